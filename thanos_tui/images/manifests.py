"""What the images in an archive are: their manifests read, every hash compared, for one architecture.

Known are the archives of `docker save`, with a ``manifest.json`` (Docker Image Specification v1.2), and OCI image
layouts, with an ``index.json`` (OCI Image Layout Specification 1.0).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thanos_tui.errors import InputError, IntegrityError
from thanos_tui.images import reference as references
from thanos_tui.images.archives import Found, Piece
from thanos_tui.images.store import INDEXES, MANIFESTS, Descriptor, descriptor

_DEEPEST = 4
_HEX = re.compile(r"[0-9a-f]{64}")
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_NO_IMAGE = "name what `docker save` or `podman save` made, or an OCI image layout"


@dataclass(frozen=True)
class Loadable:
    """An image that was checked. digest: of its configuration, which is its ID for Docker; layers: lowest first.

    manifest: as an OCI layout has it; empty for an archive of `docker save`.
    """

    digest: str
    names: tuple[str, ...]
    config: bytes
    layers: tuple[Piece, ...]
    manifest: bytes = b""

    def called(self, what: str) -> str:
        """What people call it: its first name, or for want of one, where it comes from."""
        return self.names[0] if self.names else what


def loadable(found: Found, arch: str) -> tuple[Loadable, ...]:
    """The images for an architecture (Go's name).

    Raises InputError where there are none, or what says so is no description of images; IntegrityError where a layer
    or a configuration is not what its hash says.
    """
    others: set[str] = set()
    if "manifest.json" in found.documents:
        images = list(_saved(found))
    elif "index.json" in found.documents:
        images = list(_laid_out(found, arch, others))
    else:
        raise InputError(f"{found.what} is no image: it has neither manifest.json nor index.json", hint=_NO_IMAGE)
    fitting = {}
    for image in images:
        config = _mapping(found, _json(found, "the configuration of an image", image.config))
        made_for = str(config.get("architecture") or arch)
        if made_for == arch and config.get("os") in (None, "", "linux"):
            _check_layers(found, image, config)
            fitting[image.digest, image.names] = image
        else:
            others.add(f"{config.get('os') or 'linux'}/{made_for}")
    if not fitting:
        kinds = ", ".join(sorted(others)) or "nothing"
        raise InputError(
            f"{found.what} holds an image for {kinds}, and the machine is linux/{arch}",
            hint=f"save the image for it: docker pull --platform linux/{arch} IMAGE",
        )
    return tuple(fitting.values())


def roots(found: Found) -> dict[str, Descriptor]:
    """What the names in an OCI image layout stand for: indices or manifests. Raises InputError where it is none."""
    if "index.json" not in found.documents:
        return {}
    entries = _mapping(found, _json(found, "index.json", found.documents["index.json"])).get("manifests")
    if not isinstance(entries, list):
        raise _malformed(found, "index.json")
    given = {}
    for each in entries:
        entry = _mapping(found, each)
        name = _called(_mapping(found, entry.get("annotations") or {}))
        if name and entry.get("mediaType") in (*INDEXES, *MANIFESTS):
            _blob(found, entry)
            given[name] = descriptor({"size": 0, **entry})
    return given


def document(found: Found, blob: Descriptor) -> Mapping[str, Any]:
    """An index or a manifest of an OCI image layout. Raises InputError or IntegrityError."""
    name = _blob(found, {"digest": blob.digest})
    return _mapping(found, _json(found, name, _document(found, name)))


def manifest(images: Sequence[Loadable]) -> tuple[dict[str, Piece], dict[str, bytes]]:
    """What goes into an archive that Docker loads: layers, and documents, by the names they have there."""
    pieces = {_layer(piece): piece for image in images for piece in image.layers}
    documents = {f"{_hex(image.digest)}.json": image.config for image in images}
    entries = [
        {
            "Config": f"{_hex(image.digest)}.json",
            "RepoTags": list(image.names),
            "Layers": [_layer(piece) for piece in image.layers],
        }
        for image in images
    ]
    return pieces, {**documents, "manifest.json": json.dumps(entries).encode()}


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _layer(piece: Piece) -> str:
    return f"{_hex(piece.diff_id)}.tar"


# Archives of docker save


def _saved(found: Found) -> Iterator[Loadable]:
    entries = _json(found, "manifest.json", found.documents["manifest.json"])
    if not isinstance(entries, list) or not entries:
        raise _malformed(found, "manifest.json")
    for entry in entries:
        entry = _mapping(found, entry)
        name, tags, layers = entry.get("Config"), entry.get("RepoTags") or [], entry.get("Layers") or []
        if not isinstance(name, str) or not _texts(tags) or not _texts(layers):
            raise _malformed(found, "manifest.json")
        config = _document(found, found.resolve(name))
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        stated = name.rpartition("/")[2].removesuffix(".json")
        if _HEX.fullmatch(stated) and stated != _hex(digest):
            raise _damaged(found, name)
        yield Loadable(
            digest,
            tuple(name for tag in tags for name in _tagged(tag)),
            config,
            tuple(_piece(found, found.resolve(layer)) for layer in layers),
        )


def _tagged(text: str) -> tuple[str, ...]:
    """A name as Docker takes it, with a tag; nothing for one that only pins a digest. Raises InputError."""
    parts = references.split(text)
    return () if parts.digest and not parts.tag else (f"{parts.name}:{parts.tag or 'latest'}",)


# OCI image layouts


def _laid_out(
    found: Found, arch: str, others: set[str], name: str = "index.json", called: str = "", depth: int = 0
) -> Iterator[Loadable]:
    """The images that an index leads to; platforms that are not for ``arch`` need not be there, and go to others."""
    entries = _mapping(found, _json(found, name, _document(found, name))).get("manifests")
    if not isinstance(entries, list) or depth == _DEEPEST:
        raise _malformed(found, name)
    for each in entries:
        entry = _mapping(found, each)
        platform = _mapping(found, entry.get("platform") or {})
        made_for = platform.get("architecture", arch)
        if made_for != arch:
            if made_for != "unknown":  # an attestation
                others.add(f"{platform.get('os', 'linux')}/{made_for}")
            continue
        blob = _blob(found, entry)
        inner = called or _called(_mapping(found, entry.get("annotations") or {}))
        if entry.get("mediaType") in INDEXES:
            yield from _laid_out(found, arch, others, blob, inner, depth + 1)
        elif entry.get("mediaType") in MANIFESTS:
            yield _image(found, blob, inner)


def _image(found: Found, name: str, called: str) -> Loadable:
    data = _document(found, name)
    described = _mapping(found, _json(found, name, data))
    layers = described.get("layers")
    if not isinstance(layers, list):
        raise _malformed(found, name)
    config_name = _blob(found, _mapping(found, described.get("config")))
    config = _document(found, config_name)
    names = [_blob(found, _mapping(found, layer)) for layer in layers]
    return Loadable(
        f"sha256:{hashlib.sha256(config).hexdigest()}",
        _tagged(called) if called else (),
        config,
        tuple(_piece(found, layer) for layer in names),
        data,
    )


def _called(annotations: Mapping[str, Any]) -> str:
    # `latest` alone is a tag, which names nothing.
    found = (annotations.get(key) for key in _NAMES)
    return next((text for text in found if isinstance(text, str) and re.search("[/:]", text)), "")


def _blob(found: Found, descriptor: Mapping[str, Any]) -> str:
    """The name of the file that a descriptor means; its content is compared with its hash, if it is there."""
    algorithm, _, digest = str(descriptor.get("digest")).partition(":")
    if algorithm != "sha256" or not _HEX.fullmatch(digest):
        raise InputError(f"{found.what}: {str(descriptor.get('digest'))[:80]!r} is not a sha256 digest")
    name = f"blobs/sha256/{digest}"
    held = found.documents.get(name)
    piece = found.pieces.get(name)
    if held is not None and hashlib.sha256(held).hexdigest() != digest:
        raise _damaged(found, name)
    if piece is not None and _hex(piece.digest) != digest:
        raise _damaged(found, name)
    return name


# Both


def _check_layers(found: Found, image: Loadable, config: Mapping[str, Any]) -> None:
    stated = _mapping(found, config.get("rootfs") or {}).get("diff_ids")
    if not isinstance(stated, list) or len(stated) != len(image.layers):
        raise InputError(f"{found.what} is no image of a container: its layers are not those of its configuration")
    for number, (piece, diff_id) in enumerate(zip(image.layers, stated, strict=True), 1):
        if piece.problem:
            raise InputError(piece.problem, hint=_NO_IMAGE)
        if piece.diff_id != diff_id:
            raise IntegrityError(
                f"{found.what}: layer {number} of {image.called('the image')} is damaged: it does not have the hash "
                "that the image's configuration states",
                hint="get the archive again, and compare its checksum",
            )


def _piece(found: Found, name: str) -> Piece:
    piece = found.pieces.get(name)
    if piece is None:
        raise _missing(found, name)
    return piece


def _document(found: Found, name: str) -> bytes:
    data = found.documents.get(name)
    if data is None:
        raise _missing(found, name)
    return data


def _json(found: Found, name: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _malformed(found, name) from None


def _mapping(found: Found, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{found.what} is no image: what describes it is not as it should be", hint=_NO_IMAGE)
    return value


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _malformed(found: Found, name: str) -> InputError:
    return InputError(f"{found.what} is no image: {name} in it does not describe one", hint=_NO_IMAGE)


def _missing(found: Found, name: str) -> InputError:
    return InputError(f"{found.what} is not complete: {name[:200]} is not in it", hint="make or get the archive again")


def _damaged(found: Found, name: str) -> IntegrityError:
    return IntegrityError(
        f"{found.what} is damaged: {name[:200]} does not have the hash in its name",
        hint="get the archive again, and compare its checksum",
    )
