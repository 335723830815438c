"""Images from files into the store: from an archive of images, or from somebody else's OCI image layout."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from thanos_tui.errors import BuildError, InputError, IntegrityError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import require_space
from thanos_tui.images import archives, layouts, manifests
from thanos_tui.images import reference as references
from thanos_tui.images.store import (
    INDEXES,
    LAYER,
    MANIFESTS,
    OCI_CONFIG,
    OCI_MANIFEST,
    Descriptor,
    Image,
    Store,
    descriptor,
)
from thanos_tui.tree import Member, content
from thanos_tui.words import counted, printable

_DEEPEST = 8
_SHOWN = 5  # names in an error


def from_file(
    path: Path,
    wanted: Collection[str],
    arch: str,
    store: Store,
    reporter: Reporter,
    whole: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, Image]:
    """Those images of ``wanted`` that an archive or a layout has for ``arch`` (Go's name), put into the store.

    whole: references whose index is taken, with the images for these platforms, or with all.

    Raises InputError or IntegrityError where the file is not what it should be, BuildError where it holds none of them.
    """
    if not path.is_dir():
        return _from_archive(path, wanted, arch, store, reporter, whole)
    layout = Store(path, own=False)
    names = {normal(name): name for name in layout.references()}
    fitting = {reference: names[normal(reference)] for reference in wanted if normal(reference) in names}
    if not fitting:
        raise _nothing(str(path), names)
    with reporter.step(
        f"images/{path.name}", f"Take {counted(len(fitting), 'image')} from {path}", unit="bytes"
    ) as step:
        return {
            reference: _copied(layout, name, reference, arch, store, step, whole.get(reference))
            for reference, name in fitting.items()
        }


def _from_archive(
    path: Path,
    wanted: Collection[str],
    arch: str,
    store: Store,
    reporter: Reporter,
    whole: Mapping[str, tuple[str, ...]],
) -> dict[str, Image]:
    """An archive of ``docker save``, or an OCI image layout as an archive."""
    source = archives.archive(path)
    title = f"Read {path}"
    with reporter.step(f"images/{path.name}", title, source.size, "bytes") as step:
        found = archives.read(source, step)
        roots = {normal(name): root for name, root in manifests.roots(found).items()}
        taken = {}
        for reference in wanted:
            if reference in whole and normal(reference) in roots:
                root = roots[normal(reference)]
                taken[reference] = _kept_whole(source, found, root, reference, whole[reference], arch, store, step)
        wanted = [reference for reference in wanted if reference not in taken]
        if not wanted:
            return taken
        images = manifests.loadable(found, arch)
        names = {normal(name): image for image in images for name in image.names}
        fitting = {reference: names[normal(reference)] for reference in wanted if normal(reference) in names}
        if not fitting and not taken:
            raise _nothing(str(path), names)
        made = keep(source, fitting, arch, store, step)
        for reference in made.keys() & whole.keys():
            layouts.plan(store, reference, whole[reference])
        return {**taken, **made}


def keep(
    source: archives.Source, images: dict[str, manifests.Loadable], arch: str, store: Store, step: Step
) -> dict[str, Image]:
    """Put checked images of an archive into the store, each by the reference that it is asked for by."""
    pieces = {piece.name: piece for image in images.values() for piece in image.layers}
    require_space(store.path, sum(piece.size for piece in pieces.values()), "what is taken over")
    blobs: dict[str, Descriptor] = {}
    with source.members() as members:
        for member in members:
            piece = pieces.get(member.name)
            if piece is not None:
                kept = store.put_blob(_checked(member, step), LAYER, expected=piece.digest)
                # Not LAYER alone, which says that it is not compressed.
                kind = LAYER if piece.digest == piece.diff_id else f"{LAYER}+{'zstd' if piece.packed else 'gzip'}"
                blobs[member.name] = Descriptor(kept.digest, kept.size, kind, piece.diff_id)
    if pieces.keys() - blobs.keys():
        raise IntegrityError(f"{source.what} has changed while it was read", hint="try again")
    made = {}
    for reference, image in images.items():
        if image.manifest:
            # As it is: its digest is the one by which the image is known everywhere.
            store.put_blob([image.config], OCI_CONFIG, expected=image.digest)
            kind = json.loads(image.manifest).get("mediaType")
            kept = store.put_blob([image.manifest], kind if kind in MANIFESTS else OCI_MANIFEST)
            store.name(reference, kept)
            made[reference] = store.get(reference, arch)
        else:
            config = json.loads(image.config).get("config") or {}
            made[reference] = store.add_image(reference, arch, config, [blobs[piece.name] for piece in image.layers])
    return made


def _kept_whole(
    source: archives.Source,
    found: archives.Found,
    root: Descriptor,
    reference: str,
    platforms: tuple[str, ...],
    arch: str,
    store: Store,
    step: Step,
) -> Image:
    """Put an image of an OCI layout into the store with its index, and its images for these platforms, or for all."""
    blobs = layouts.collected(root, lambda blob: manifests.document(found, blob), platforms, reference)
    require_space(store.path, sum(blob.size for blob in blobs), "what is taken over")
    wanted = {f"blobs/{blob.digest.replace(':', '/')}": blob for blob in blobs}
    with source.members() as members:
        for member in members:
            blob = wanted.pop(member.name, None)
            if blob is not None:
                store.put_blob(_checked(member, step), blob.media_type, expected=blob.digest)
    if wanted:
        raise InputError(
            f"{source.what} is not complete: {next(iter(wanted))[:200]} is not in it", hint="make or get it again"
        )
    store.name(reference, root)
    return layouts.whole(store, reference, platforms, arch)


def _checked(member: Member, step: Step) -> Iterator[bytes]:
    for chunk in content(member):
        step.reporter.check()
        yield chunk


def normal(reference: str) -> str:
    """A reference as it is compared: written out in full, with the tag that is meant where there is none."""
    full = references.expand(reference)
    parts = references.split(full)
    return full if parts.digest or parts.tag else f"{full}:latest"


def _copied(
    layout: Store,
    name: str,
    reference: str,
    arch: str,
    store: Store,
    step: Step,
    platforms: tuple[str, ...] | None,
) -> Image:
    """An image of another layout: its manifests, configurations and layers, as they are there.

    platforms: which of them to take, if not that of ``arch`` alone.
    """
    if platforms is None:
        root, blobs = _single(layout, name, arch)
    else:
        plan = layouts.plan(layout, name, platforms)
        root, blobs = plan.root, plan.blobs
    for blob in blobs:
        if store.has_blob(blob):
            continue

        def chunks(digest: str = blob.digest) -> Iterator[bytes]:
            with layout.open_blob(digest) as stream:
                while chunk := stream.read(1 << 20):
                    step.advance(len(chunk))
                    yield chunk

        store.put_blob(chunks(), blob.media_type, expected=blob.digest)
    store.name(reference, root)
    return store.get(reference, arch) if platforms is None else layouts.whole(store, reference, platforms, arch)


def _single(layout: Store, name: str, arch: str) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    """What a name stands for, and the blobs of its image for an architecture."""
    image = layout.get(name, arch)
    root = layout.root(name)
    trail = _trail(layout, root, image.digest) if root is not None else None
    if root is None or trail is None:
        raise BuildError(f"the image {name} in {layout.path} cannot be followed to its manifest")
    config = descriptor(layout.document(image.digest)["config"])
    return root, (*image.layers, config, *reversed(trail))


def _trail(layout: Store, root: Descriptor, manifest: str, depth: int = 0) -> list[Descriptor] | None:
    """The documents from a root to a manifest."""
    if root.digest == manifest:
        return [root]
    if root.media_type not in INDEXES or depth == _DEEPEST or not layout.has_blob(root):
        return None
    for entry in layout.manifests(root.digest):
        if entry.get("mediaType") in (*INDEXES, *MANIFESTS):
            below = _trail(layout, descriptor(entry), manifest, depth + 1)
            if below is not None:
                return [root, *below]
    return None


def _nothing(what: str, names: Collection[str]) -> BuildError:
    shown = ", ".join(sorted(printable(name) for name in names)[:_SHOWN]) or "nothing with a name"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BuildError(
        f"{what} holds other images: {shown}{more}",
        hint="name the image in the YAML as it is named there, or save it again by its name",
    )
