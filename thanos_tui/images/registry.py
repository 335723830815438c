"""Images from registries into the store: what a name leads to is looked up, and then all of it is downloaded at once.

Everything is checked before it counts: digests and sizes of manifests, configurations and layers, and that it is the
image of a container for the architecture. What the store has already is not downloaded again.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from thanos_tui.errors import BuildError, IntegrityError, Interrupted, ThanosError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import require_space
from thanos_tui.images import layouts
from thanos_tui.images import reference as references
from thanos_tui.images.store import CONFIGS, INDEXES, LAYERS, MANIFESTS, Descriptor, Image, Store, is_digest
from thanos_tui.images.transport import Absent, Connection, Session, connections
from thanos_tui.words import counted, printable

_AT_ONCE = 2
# An index of platforms, in an index at most: no honest image goes deeper.
_DEEPEST = 4
_LAYERS = 512
_LARGEST = 32 << 30  # bytes of a layer, packed
_CONFIG = 4 << 20  # bytes of a configuration
_OLD = "application/vnd.docker.distribution.manifest.v1"


@dataclass(frozen=True)
class _Document:
    """A manifest or an index as the registry gave it."""

    descriptor: Descriptor
    data: bytes
    value: Mapping[str, Any]


@dataclass(frozen=True)
class _Found:
    """What a name leads to. name: the one it gets in the store. documents: from the root to the manifest.

    blobs: configuration and layers. places: where it can be downloaded from, the one that knew the manifest first.
    """

    name: str
    repository: str
    documents: tuple[_Document, ...]
    blobs: tuple[Descriptor, ...]
    places: tuple[Connection, ...]


_Trail = tuple[tuple[_Document, ...], tuple[Descriptor, ...]]
"""Documents, from the root on, and the blobs that the manifests among them name."""


def bring(
    wanted: Mapping[str, str],
    arch: str,
    store: Store,
    reporter: Reporter,
    *,
    mirrors: Sequence[tuple[str, str]] = (),
    certificates: Sequence[Path] = (),
    whole: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[dict[str, Image], dict[str, ThanosError]]:
    """Bring images for ``arch`` (Go's name) into the store; of those that cannot be had, the second answer says why.

    wanted: references, each with the digest of the manifest that it has to be, or ``""``. mirrors: as
    ``transport.connections`` takes them. certificates: files with authorities to trust beside the system's.
    whole: references whose index is brought, with the images for these platforms, or with all; the digest is its own.

    Raises IntegrityError where what comes is not what its digest says, HostError where there is no space, Interrupted.
    """
    problems: dict[str, ThanosError] = {}
    found: dict[str, _Found] = {}
    known: dict[str, list[Connection]] = {}
    with Session(certificates) as session:
        with reporter.step("images/lookup", f"Look up {counted(len(wanted), 'image')}") as step:
            for reference, digest in wanted.items():
                registry, repository, target = located(reference, digest)
                if registry not in known:
                    known[registry] = connections(registry, mirrors, session, reporter)
                try:
                    seek = (
                        partial(_whole, platforms=whole[reference])
                        if reference in whole
                        else partial(_manifest, arch=arch)
                    )
                    found[reference] = _look_up(reference, digest, repository, target, seek, known[registry], step)
                except Interrupted:
                    raise
                except IntegrityError:
                    raise
                except ThanosError as error:
                    problems[reference] = error
        _download(list(found.values()), store, reporter)
    for one in found.values():
        for document in reversed(one.documents):
            store.put_blob([document.data], document.descriptor.media_type)
        store.name(one.name, one.documents[0].descriptor)
    return {
        reference: layouts.whole(store, one.name, whole[reference], arch)
        if reference in whole
        else store.get(one.name, arch)
        for reference, one in found.items()
    }, problems


def located(reference: str, digest: str = "") -> tuple[str, str, str]:
    """Registry, repository, and tag or digest that a reference stands for. digest: one that goes before its own."""
    parts = references.split(references.expand(reference))
    host, _, rest = parts.name.partition("/")
    if "." not in host and ":" not in host and host != "localhost":
        host, rest = "docker.io", parts.name
    return host, rest, digest or parts.digest or parts.tag or "latest"


def _look_up(
    reference: str,
    digest: str,
    repository: str,
    target: str,
    seek: Callable[[Connection, str, str, str], _Trail],
    places: Sequence[Connection],
    step: Step,
) -> _Found:
    """What a reference leads to, from the first place that knows it; seek: finds its documents and blobs there."""
    problems: list[ThanosError] = []
    for number, place in enumerate(places):
        try:
            documents, blobs = seek(place, repository, target, reference)
        except Interrupted:
            raise
        except ThanosError as error:
            problems.append(error)
            if number + 1 < len(places):
                step.log(error.message, "warning")
            continue
        full = references.expand(reference)
        name = f"{full.partition('@')[0]}@{digest}" if digest else full
        others = [other for other in places if other is not place]
        return _Found(name, repository, documents, blobs, (place, *others))
    raise _worst(problems)


def _worst(problems: Sequence[ThanosError]) -> ThanosError:
    """Of what went wrong at several places what matters most: that one gives something else than it should, then what
    a user can do something about, and last that a place lacks it.
    """
    wrong: list[ThanosError] = [one for one in problems if isinstance(one, IntegrityError)]
    return next(iter(wrong or [one for one in reversed(problems) if not isinstance(one, Absent)]), problems[-1])


def _whole(place: Connection, repository: str, target: str, reference: str, platforms: tuple[str, ...]) -> _Trail:
    """The documents from a tag or digest to the manifests for these platforms, or to all, and the blobs they name."""
    root = _document(place, repository, target, "", -1)
    read: dict[str, _Document] = {}

    def document(blob: Descriptor) -> Mapping[str, Any]:
        if blob.digest not in read:
            first = blob == root.descriptor
            read[blob.digest] = root if first else _document(place, repository, blob.digest, blob.media_type, blob.size)
        found = read[blob.digest]
        if blob.media_type in MANIFESTS:
            _parts(found, reference, any_kind=len(read) > 1)
        else:
            for entry in found.value.get("manifests") or ():
                _descriptor(entry, reference)
        return found.value

    blobs = layouts.collected(root.descriptor, document, platforms, reference)
    return tuple(read.values()), tuple(blob for blob in blobs if blob.digest not in read)


def _manifest(place: Connection, repository: str, target: str, reference: str, arch: str) -> _Trail:
    """The documents from a tag or digest to the manifest for ``arch``, and the blobs that it names."""
    trail: list[_Document] = []
    media_type, size = "", -1
    while len(trail) < _DEEPEST:
        document = _document(place, repository, target, media_type, size)
        trail.append(document)
        if document.descriptor.media_type in MANIFESTS:
            config, layers = _parts(document, reference)
            if len(trail) == 1:
                _check_platform(place, repository, config, arch, reference)
            return tuple(trail), (config, *layers)
        entry = _platform(document, arch, reference)
        target, media_type, size = entry.digest, entry.media_type, entry.size
    raise BuildError(f"the image {reference} is an index of indexes that goes too deep")


def _document(place: Connection, repository: str, target: str, expected: str, size: int) -> _Document:
    """A manifest or an index, checked against its digest; expected, size: what the index above says it is."""
    data, kind, stated = place.manifest(repository, target, (*MANIFESTS, *INDEXES))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    asked = target if ":" in target else stated if is_digest(stated) else digest
    if digest != asked or size not in (-1, len(data)):
        raise IntegrityError(
            f"{place.what} gives another manifest of {repository} than {asked[:19]}: it is {digest[:19]}",
            hint="nothing of it was used; try again later, or name another mirror",
        )
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{place.what} gives a manifest of {repository} that is not JSON") from error
    if not isinstance(value, dict):
        raise BuildError(f"{place.what} gives a manifest of {repository} that is none")
    kind = expected or str(value.get("mediaType") or kind)
    if kind.startswith(_OLD) or value.get("schemaVersion") == 1:
        raise BuildError(
            f"the image {repository} has a manifest of Docker's first kind, which is not read any more",
            hint="push it again with a Docker of this decade",
        )
    # One document, one reading: what is both could be one image for us and another one for somebody else.
    if kind not in (*MANIFESTS, *INDEXES) or (kind in MANIFESTS) == ("manifests" in value):
        raise BuildError(f"{repository} is no image of a container: it is {printable(kind)[:100] or 'of no kind'}")
    return _Document(Descriptor(digest, len(data), kind), data, value)


def _platform(document: _Document, arch: str, reference: str) -> Descriptor:
    """The entry of an index for Linux on ``arch``; an index without platforms leads to its only entry."""
    entries = document.value.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _malformed(reference)
    there: dict[str, Any] = {}
    for entry in entries:
        platform = entry.get("platform")
        platform = platform if isinstance(platform, dict) else {}
        shown = "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key))
        if "unknown" not in shown and entry.get("mediaType") in (*MANIFESTS, *INDEXES):
            there.setdefault(shown, entry)
    fitting = [name for name in there if name.split("/")[:2] == ["linux", arch]]
    # The plain one, else the first that is named: for arm64 there is v8 alone.
    chosen = (
        f"linux/{arch}" if f"linux/{arch}" in there else fitting[0] if fitting else "" if list(there) == [""] else None
    )
    if chosen is None:
        raise _other_platform(reference, arch, [name for name in there if name])
    return _descriptor(there[chosen], reference)


def _check_platform(place: Connection, repository: str, config: Descriptor, arch: str, reference: str) -> None:
    """A manifest on its own says nothing of platforms; its configuration does."""
    data = b"".join(place.blob(repository, config.digest, config.size))
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != config.digest:
        raise IntegrityError(f"{place.what} gives another configuration of {repository} than {config.digest[:19]}")
    try:
        value = json.loads(data)
        made_for = f"{value.get('os') or 'linux'}/{value.get('architecture') or arch}"
    except (ValueError, RecursionError, AttributeError) as error:
        raise _malformed(reference) from error
    if made_for != f"linux/{arch}":
        raise _other_platform(reference, arch, [made_for])


def _other_platform(reference: str, arch: str, there: Sequence[str]) -> BuildError:
    shown = ", ".join(sorted(printable(name)[:40] for name in there[:20])) or "no platform at all"
    return BuildError(
        f"the image {reference} is not there for linux/{arch}, only for {shown}",
        hint="build for one of those, or choose another image",
    )


def _parts(document: _Document, reference: str, *, any_kind: bool = False) -> tuple[Descriptor, list[Descriptor]]:
    """Configuration and layers that a manifest names. any_kind: it need be no image, as what stands beside
    images in an index, and says something of them."""
    config, layers = document.value.get("config"), document.value.get("layers")
    if not isinstance(layers, list) or len(layers) > _LAYERS:
        raise _malformed(reference)
    parts = [_descriptor(entry, reference) for entry in (config, *layers)]
    strange = [part.media_type for part in parts[:1] if part.media_type not in CONFIGS]
    strange += [part.media_type for part in parts[1:] if part.media_type not in LAYERS]
    if strange and not any_kind:
        # Among them layers that are to be fetched from elsewhere: nobody makes them for Linux.
        raise BuildError(f"{reference} is no image of a container: it holds {printable(strange[0])[:100]}")
    if parts[0].size > _CONFIG:
        raise _malformed(reference)
    return parts[0], parts[1:]


def _descriptor(entry: Any, reference: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise _malformed(reference)
    digest, size = entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise IntegrityError(
            f"the image {reference} names {printable(str(digest))[:80]!r}, which is not a sha256 digest"
        )
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
        raise IntegrityError(f"the image {reference} names a part of {printable(str(size))[:40]} bytes")
    return Descriptor(digest, size, str(entry.get("mediaType")))


def _malformed(reference: str) -> BuildError:
    return BuildError(f"the manifest of {reference} does not describe an image", hint="choose another image")


def _download(images: Sequence[_Found], store: Store, reporter: Reporter) -> None:
    """All blobs of these images that the store lacks, two at a time."""
    missing: dict[str, tuple[Descriptor, _Found]] = {}
    for one in images:
        for blob in one.blobs:
            if not store.has_blob(blob):
                missing.setdefault(blob.digest, (blob, one))
    if not missing:
        return
    total = sum(blob.size for blob, _ in missing.values())
    require_space(store.path, total, "what is downloaded")
    names = dict.fromkeys(one.name for _, one in missing.values())
    with reporter.step("images/registry", f"Pull {counted(len(names), 'image')}", total, "bytes") as step:
        step.note = f"{total >> 20} MiB"
        failed = threading.Event()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # The largest first: it must not be left over at the end.
            order = sorted(missing.values(), key=lambda pair: -pair[0].size)
            futures = [pool.submit(_blob, blob, one, store, step, failed) for blob, one in order]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                # Ctrl-C as well: what is under way need not be finished first.
                failed.set()
                pool.shutdown(cancel_futures=True)
                raise


def _blob(blob: Descriptor, one: _Found, store: Store, step: Step, failed: threading.Event) -> None:
    """A blob into the store, from the first place that has it whole."""
    shown = f"{one.repository} {blob.digest.removeprefix('sha256:')[:12]}"

    def check() -> None:
        step.reporter.check()
        if failed.is_set():
            raise Interrupted

    def chunks(place: Connection) -> Iterator[bytes]:
        got = 0
        for chunk in place.blob(one.repository, blob.digest, blob.size, check):
            yield chunk
            got += len(chunk)
            step.advance(len(chunk))
            step.item(shown, got, blob.size)

    problems: list[ThanosError] = []
    for number, place in enumerate(one.places):
        try:
            store.put_blob(chunks(place), blob.media_type, expected=blob.digest)
        except Interrupted:
            raise
        except ThanosError as error:
            problems.append(error)
            if number + 1 < len(one.places):
                step.log(error.message, "warning")
            continue
        return
    raise _worst(problems)
