"""Volumes that hold an image as it is: an OCI image layout, for programs that bring their own runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from thanos_tui.build import trees
from thanos_tui.images import layouts
from thanos_tui.images.archives import Source
from thanos_tui.images.layouts import Layout
from thanos_tui.images.store import INDEXES, Store
from thanos_tui.tree import Member


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
    layout = layouts.plan(store, reference, (f"linux/{arch}",))

    def files() -> Iterator[Member]:
        for member in members(store, layout, "image"):
            yield replace(member, name=member.name.removeprefix("image/"))

    return Source(reference, sum(blob.size for blob in layout.blobs), lambda: nullcontext(files()))
