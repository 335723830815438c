"""Volumes that hold an image as it is: an OCI image layout, for programs that bring their own runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from thanos_tui.build import trees
from thanos_tui.errors import BuildError, Where
from thanos_tui.images.archives import Source
from thanos_tui.images.store import INDEXES, MANIFESTS, Descriptor, Store, descriptor
from thanos_tui.tree import Member


@dataclass(frozen=True)
class Layout:
    """What goes in: the descriptor that the image's name stands for, and the blobs in their order."""

    reference: str
    root: Descriptor
    blobs: tuple[Descriptor, ...]


def plan(store: Store, reference: str, platforms: tuple[str, ...], where: Where | None) -> Layout:
    """What the image ``reference`` consists of: for all its platforms, or for these (``linux/arm64``).

    The index is kept whole also where platforms are left out, as upstream does it: its digest is the image's.
    Raises BuildError where a platform or a part of the image is not in the store.
    """
    root = store.root(reference)
    if root is None:
        raise BuildError(f"the image {reference} is not in the store {store.path}", where=where)
    blobs: dict[str, Descriptor] = {}
    if root.media_type in MANIFESTS:
        _add_image(store, root, blobs)
    else:
        found = set()
        for entry in store.manifests(root.digest) if root.media_type in INDEXES else ():
            platform = _matching(entry.get("platform") or {}, platforms)
            if entry.get("mediaType") in MANIFESTS and (platform or not platforms):
                found.add(platform)
                _add_image(store, descriptor(entry), blobs)
        missing = [platform for platform in platforms if platform not in found]
        if missing:
            raise BuildError(f"the image {reference} is not there for {missing[0]}", where=where)
        blobs[root.digest] = root
    absent = next((blob for blob in blobs.values() if not store.has_blob(blob)), None)
    if absent is not None:
        raise BuildError(f"the image {reference} is in the store {store.path} only in part", where=where)
    return Layout(reference, root, tuple(blobs.values()))


def members(store: Store, layout: Layout, lower: str) -> Iterator[Member]:
    """The layout's files below ``lower``; blobs are checked against their hashes while they are read."""
    yield from trees.way(lower)
    # Upstream gives none of these a time.
    yield trees.file(f"{lower}/oci-layout", b'{"imageLayoutVersion":"1.0.0"}', mtime=0)
    for name in ("blobs", "blobs/sha256"):
        yield Member(f"{lower}/{name}", "dir", mode=0o755)
    for blob in layout.blobs:
        name = f"{lower}/blobs/{blob.digest.replace(':', '/')}"
        yield Member(name, "file", size=blob.size, open=lambda digest=blob.digest: store.open_blob(digest))  # type: ignore[misc]
    entry = {"mediaType": layout.root.media_type, "size": layout.root.size, "digest": layout.root.digest}
    entry["annotations"] = {"org.opencontainers.image.ref.name": layout.reference}
    index = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [entry]}
    yield trees.file(f"{lower}/index.json", json.dumps(index, separators=(",", ":")).encode(), mtime=0)


def source(store: Store, reference: str, arch: str) -> Source:
    """An image of the store as an archive of images, for an architecture (Go's name).

    Raises BuildError where it is not there whole.
    """
    layout = plan(store, reference, (f"linux/{arch}",), None)

    def files() -> Iterator[Member]:
        for member in members(store, layout, "image"):
            yield replace(member, name=member.name.removeprefix("image/"))

    return Source(reference, sum(blob.size for blob in layout.blobs), lambda: nullcontext(files()))


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


def _add_image(store: Store, manifest: Descriptor, blobs: dict[str, Descriptor]) -> None:
    document = store.document(manifest.digest)
    try:
        for entry in (document["config"], *document["layers"]):
            blob = descriptor(entry)
            blobs[blob.digest] = blob
    except (KeyError, TypeError, ValueError) as error:
        raise BuildError(f"the manifest {manifest.digest} in {store.path} is not a manifest of an image") from error
    blobs[manifest.digest] = manifest
