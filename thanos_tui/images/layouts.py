"""Images kept as they are, for several platforms: what belongs to one, wherever its documents come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from thanos_tui.errors import BuildError, Where
from thanos_tui.images.store import INDEXES, MANIFESTS, Descriptor, Image, Store, descriptor

# No honest index names as many images.
_MANIFESTS = 256


@dataclass(frozen=True)
class Layout:
    """What an image consists of: the descriptor that its name stands for, and the blobs, that one's included."""

    reference: str
    root: Descriptor
    blobs: tuple[Descriptor, ...]


def plan(store: Store, reference: str, platforms: tuple[str, ...], where: Where | None = None) -> Layout:
    """What the image ``reference`` consists of: for all its platforms, or for these (``linux/arm64``).

    Raises BuildError where a platform or a part of the image is not in the store.
    """
    root = store.root(reference)
    if root is None:
        raise BuildError(f"the image {reference} is not in the store {store.path}", where=where)
    blobs = collected(root, lambda blob: _held(store, blob, reference, where), platforms, reference, where)
    if not all(map(store.has_blob, blobs)):
        raise _in_part(store, reference, where)
    return Layout(reference, root, blobs)


def collected(
    root: Descriptor,
    document: Callable[[Descriptor], Mapping[str, Any]],
    platforms: tuple[str, ...],
    reference: str,
    where: Where | None = None,
) -> tuple[Descriptor, ...]:
    """The blobs of an image for these platforms, or for all, with what an index has beside images (attestations).

    The index is kept whole also where platforms are left out, as upstream does it: its digest is the image's.
    document: gives an index or a manifest, and raises BuildError where it cannot.
    Raises BuildError where a platform is not there, or what describes the image does not.
    """
    blobs: dict[str, Descriptor] = {}
    try:
        if root.media_type in INDEXES:
            found = set()
            entries = document(root)["manifests"]
            if len(entries) > _MANIFESTS:
                raise BuildError(f"the image {reference} is an index of {len(entries)} images", where=where)
            for entry in entries:
                platform = _matching(entry.get("platform") or {}, platforms)
                if entry.get("mediaType") in MANIFESTS and (platform or not platforms):
                    found.add(platform)
                    _add_image(descriptor(entry), document, blobs)
            missing = [platform for platform in platforms if platform not in found]
            if missing:
                raise BuildError(f"the image {reference} is not there for {missing[0]}", where=where)
            blobs[root.digest] = root
        elif len(platforms) > 1:
            raise BuildError(
                f"the image {reference} is for one platform, and wanted for {', '.join(platforms)}",
                hint="name an image that has all of them; where a lock names this one, renew it with `--update`",
                where=where,
            )
        else:
            _add_image(root, document, blobs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BuildError(f"the manifests of {reference} do not describe an image", where=where) from error
    return tuple(blobs.values())


def whole(store: Store, reference: str, platforms: tuple[str, ...], arch: str) -> Image:
    """An image that the store has for all of these platforms: that for ``arch`` (Go's name), or else for another one.

    Raises as :func:`plan`.
    """
    plan(store, reference, platforms)
    others = (store.find(reference, other) for other in store.platforms(reference))
    return store.find(reference, arch) or next(filter(None, others), None) or store.get(reference, arch)


def _held(store: Store, blob: Descriptor, reference: str, where: Where | None) -> Mapping[str, Any]:
    if not store.has_blob(blob):
        raise _in_part(store, reference, where)
    return store.document(blob.digest)


def _in_part(store: Store, reference: str, where: Where | None) -> BuildError:
    return BuildError(f"the image {reference} is in the store {store.path} only in part", where=where)


def _matching(platform: Mapping[str, Any], platforms: tuple[str, ...]) -> str:
    """Which of the platforms asked for this one is; ``""`` for none."""
    for wanted in platforms:
        os, arch, variant = (*wanted.split("/"), "", "")[:3]
        if (platform.get("os"), platform.get("architecture")) == (os, arch) and variant in (
            "",
            platform.get("variant"),
        ):
            return wanted
    return ""


def _add_image(
    manifest: Descriptor, document: Callable[[Descriptor], Mapping[str, Any]], blobs: dict[str, Descriptor]
) -> None:
    described = document(manifest)
    for entry in (described["config"], *described["layers"]):
        blob = descriptor(entry)
        blobs[blob.digest] = blob
    blobs[manifest.digest] = manifest
