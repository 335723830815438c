"""Bringing an image to a machine: from an archive, from the store here (made by its recipe), or from a registry."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.apps.engine import Engine, status
from thanos_tui.errors import InputError, MachineError, ThanosError, nearest
from thanos_tui.events import Reporter, Step
from thanos_tui.files import cache_dir, cache_in_use
from thanos_tui.words import printable, size

if TYPE_CHECKING:
    from docker.models.images import Image

    from thanos_tui.images.archives import Source
    from thanos_tui.images.manifests import Loadable

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
_FETCHED = frozenset({"Downloading", "Download complete"})


def bring(engine: Engine, name: str, reporter: Reporter) -> str:
    """See that a machine has an image, and return how its Docker calls it.

    One that it does not have is loaded from the store here, which may mean to make it by its recipe; what is not there
    either, Docker is asked to fetch from its registry.
    Raises InputError for an image that is nowhere, or made for another architecture, and what :func:`load` raises.
    """
    image = _held(engine, name)
    if image is None:
        source = _local(name, engine.arch, reporter)
        if source is not None:
            names = _load(engine, source, reporter)
            return name if _held(engine, name) is not None else names[0]
        _fetch(engine, name, reporter)
        image = _held(engine, name)
    made_for = str(image.attrs.get("Architecture") or engine.arch) if image is not None else engine.arch
    if made_for != engine.arch:
        raise InputError(f"the image {name} is for {made_for}, and {engine.target} is {engine.arch}")
    return name


def load(engine: Engine, what: str, reporter: Reporter) -> tuple[str, ...]:
    """Give a machine's Docker the images in an archive or OCI layout, or an image by its name in the store here.

    Returns their names, or for one that has none, its ID. Raises InputError or IntegrityError for what is no image, is
    damaged or is for another architecture (all is checked before anything is sent), MachineError if Docker cannot
    take it, ConsoleError if the connection is lost.
    """
    return _load(engine, _source(what, engine.arch, reporter), reporter)


def _source(what: str, arch: str, reporter: Reporter) -> Source:
    from thanos_tui.images import archives

    path = Path(what).expanduser()
    if path.is_dir():
        return archives.layout(path)
    if path.exists() or what.startswith(("/", "./", "../", "~")) or what.endswith(_ARCHIVES):
        return archives.archive(path)
    found = _local(what, arch, reporter)
    if found is None:
        raise InputError(
            f"there is no file {what} here, and no image of that name in the store",
            hint="name an archive of `docker save`, or an image with a recipe, such as localhost/thanos/demo:base",
        )
    return found


def _local(reference: str, arch: str, reporter: Reporter) -> Source | None:
    """An image of the store here; one that has a recipe is made, unless it has been already."""
    from thanos_tui.build import ocivolume
    from thanos_tui.images import provide, recipes
    from thanos_tui.images.package import mark_used
    from thanos_tui.images.reference import split
    from thanos_tui.images.store import Store

    split(reference)
    store = Store(cache_dir() / "store")
    with cache_in_use():
        if recipes.split(reference) is not None:
            made = provide.provide([reference], arch, store, None, reporter)
            mark_used(package for image in made.lock.images.values() for package in image.packages)
        elif store.find(reference, arch) is None:
            return None
        return ocivolume.source(store, reference, arch)


def _load(engine: Engine, source: Source, reporter: Reporter) -> tuple[str, ...]:
    from thanos_tui.images import archives
    from thanos_tui.images.manifests import loadable, manifest

    with cache_in_use():
        with reporter.step("apps/check", f"Checking {printable(source.what)}", source.size, "bytes") as step:
            images = loadable(archives.read(source, step), engine.arch)
        missing = [image for image in images if _held(engine, image.digest) is None]
        if missing:
            pieces, documents = manifest(missing)
            total = sum(piece.size for piece in pieces.values())
            with reporter.step("apps/send", f"Sending it to {engine.target}", total, "bytes") as step:
                archive = _zipped(_counted(archives.made_anew(source, pieces, documents), step))
                with engine.asking():
                    answers = engine.api.load_image(archive)  # type: ignore[no-untyped-call]
                step.note = size(total)
            with reporter.step("apps/unpack", f"Unpacking it on {engine.target}", unit="bytes") as step:
                _listen(engine, answers, step, frozenset({"Loading layer"}))
        else:
            reporter.log(f"{engine.target} has it already")
    for image in images:
        if image not in missing:
            _tag(engine, image)
    return tuple(name for image in images for name in image.names or (image.digest,))


def _counted(archive: Iterable[bytes], step: Step) -> Iterator[bytes]:
    for chunk in archive:
        yield chunk
        step.advance(len(chunk))


def _zipped(archive: Iterable[bytes]) -> Iterator[bytes]:
    """An archive as gzip, which Docker undoes: an emulated machine takes an SSH session's megabyte in a second."""
    packer = zlib.compressobj(1, wbits=31)
    for chunk in archive:
        # Nothing at all would be the end of a request that is sent in chunks.
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def _tag(engine: Engine, image: Loadable) -> None:
    """Give an image that was there already the names it has in the archive."""
    with engine.asking():
        for name in image.names:
            repository, _, tag = name.rpartition(":")
            engine.api.tag(image.digest, repository, tag)


def _held(engine: Engine, name: str) -> Image | None:
    import docker

    with engine.asking():
        try:
            return engine.client.images.get(name)
        except docker.errors.ImageNotFound:
            return None


def _fetch(engine: Engine, name: str, reporter: Reporter) -> None:
    """Let the machine's Docker fetch an image from its registry."""
    import docker

    with reporter.step("apps/fetch", f"Fetching {name} on {engine.target}", unit="bytes") as step, engine.asking():
        try:
            answers = engine.api.pull(name, stream=True, decode=True)
        except docker.errors.APIError as error:
            raise _unknown(engine, name, error.explanation or "", status(error)) from error
        try:
            _listen(engine, answers, step, _FETCHED)
        except (InputError, MachineError) as error:
            raise _unknown(engine, name, error.message, 500) from error


def _unknown(engine: Engine, name: str, said: str, code: int) -> ThanosError:
    known = [str(tag) for image in engine.client.images.list() for tag in image.tags]
    close = nearest(name, known)
    hints = [f"Docker says: {printable(said.strip())}"]
    hints += [f"did you mean {close}?"] if close else []
    hints += [f"bring it from elsewhere: docker save -o FILE.tar {name}; `thanos-tui app load FILE.tar`"]
    kind = InputError if code == 404 else MachineError
    return kind(f"the image {name} is not on {engine.target}, not here, and cannot be fetched", hint="\n  ".join(hints))


def _listen(engine: Engine, answers: Iterable[Mapping[str, Any]], step: Step, counted: frozenset[str]) -> None:
    """Follow what Docker says of its work. Raises the error it says."""
    done: dict[str, int] = {}
    totals: dict[str, int] = {}
    with engine.asking():
        for answer in answers:
            if "error" in answer:
                raise engine.refused(str(answer["error"]))
            detail = answer.get("progressDetail") or {}
            layer = str(answer.get("id"))
            if answer.get("status") in counted and isinstance(detail.get("current"), int):
                totals[layer] = max(totals.get(layer, 0), detail.get("total") or 0, detail["current"])
                before, done[layer] = done.get(layer, 0), detail["current"]
                step.total = sum(totals.values())
                step.advance(max(0, done[layer] - before))
            else:
                step.reporter.check()
