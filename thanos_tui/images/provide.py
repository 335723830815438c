"""The images that a config names: found in the store, or made from recipes; and the lock that says what they are.

With a lock and everything in the store this costs a few milliseconds: no apt, no YAML, nothing decompressed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from thanos_tui.errors import BuildError, IntegrityError, Interrupted, Where
from thanos_tui.events import Reporter, Step, StepPlanned
from thanos_tui.files import assets_dir, cache_dir, replacing, stark_dir
from thanos_tui.images import docker, fetch, recipes
from thanos_tui.images.lock import Lock, LockedImage
from thanos_tui.images.package import Origin as Origin
from thanos_tui.images.package import Package
from thanos_tui.images.recipes import Selection
from thanos_tui.images.store import LAYER, Image, Store
from thanos_tui.tree import Member

if TYPE_CHECKING:
    from thanos_tui.images.unpacked import Shelf

# Part of every image's key: to be raised whenever the same recipe and packages give other bytes than before.
FORMAT = 1
_AT_ONCE = 2


class Provided(NamedTuple):
    """images: by the references as they were given. lock: what they are and what they were made from."""

    images: dict[str, Image]
    lock: Lock


@dataclass(frozen=True)
class _Work:
    """An image that has to be made. pinned: the lock's entry, where its packages are to be used."""

    reference: str
    directory: Path
    features: tuple[str, ...]
    files: str
    pinned: LockedImage | None


def provide(
    references: Iterable[str],
    arch: str,
    store: Store,
    lock: Lock | None,
    reporter: Reporter,
    *,
    offline: bool = False,
    update: bool = False,
    origin: Origin | None = None,
    directories: Sequence[Path] = (),
    base: str = docker.BASE,
    sources: fetch.Sources = fetch.DEFAULT,
    where: Callable[[str], Where | None] = lambda _: None,
    layouts: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Provided:
    """Every image of ``references`` for ``arch`` (Go's name), made where it is missing, and the lock of what is used.

    offline: nothing is asked of the network. update: the lock is not honoured, but made anew from fresh indices.
    directories: where recipes are looked for, before those that come with the program. base: what an image that a
    Docker engine builds is built on top of. sources: where images come from that no recipe makes.
    where: where a reference is written, for errors. layouts: the images that are wanted as they are, and for which
    platforms (``Config.layouts``).

    Raises HostError where an engine is needed and none answers, InputError or BuildError where a reference is in no
    source, BuildError where a locked package cannot be had any more or an image does not come out as locked, and what
    apt, downloads and recipes raise.
    """
    # stark is the one recipe in the directory above its own.
    places = [*directories, assets_dir() / "linuxkit" / "recipes", stark_dir() / "apps", stark_dir().parent]
    wanted = list(dict.fromkeys(references))
    images: dict[str, Image] = {}
    entries: dict[tuple[str, str], LockedImage] = {}
    work: list[_Work] = []
    foreign: dict[str, str] = {}
    for reference in wanted:
        locked = lock.images.get((reference, arch)) if lock else None
        if docker.features(reference) is not None:
            built = _built(reference, arch, base, store, None if update else locked, reporter)
            images[reference], entries[reference, arch] = built
            continue
        recipe = recipes.split(reference)
        if recipe is None:
            foreign[reference] = "" if update or locked is None else locked.digest
            continue
        name, features = recipe
        directory = recipes.find(name, places)
        if directory is None:
            raise BuildError(f"there is no recipe {name} for the image {reference}")
        files = fingerprint(directory)
        if locked is not None and not update:
            image = store.find(reference, arch)
            same = locked.recipe == key(reference, arch, locked.family, files, locked.packages)
            if same and image is not None and image.digest == locked.digest:
                images[reference] = image
                entries[reference, arch] = locked
                continue
        work.append(_Work(reference, directory, features, files, None if update else locked))
    # The images of others first: of them it is least certain that they can be had.
    asked = fetch.renewed(sources) if update else sources
    whole = {reference: layouts[reference] for reference in foreign if reference in layouts}
    brought = fetch.bring(foreign, arch, store, asked, reporter, offline=offline, where=where, layouts=whole)
    for reference, image in brought.items():
        images[reference] = image
        entries[reference, arch] = LockedImage(fetch.pinned(image, store, whole=reference in whole))
    if work:
        made = _Maker(arch, store, reporter, origin, offline=offline, update=update).make(work)
        for reference, (image, entry) in made.items():
            images[reference] = image
            entries[reference, arch] = entry
    others = {key: entry for key, entry in (lock.images if lock else {}).items() if key[1] != arch}
    return Provided({name: images[name] for name in wanted}, Lock({**others, **entries}))


def fingerprint(directory: Path) -> str:
    """A hash over the names, modes and contents of a recipe's files."""
    total = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(directory)}\0{path.stat().st_mode & 0o111 != 0}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def key(reference: str, arch: str, family: str, files: str, packages: Iterable[Package]) -> str:
    """What an image is made from, as one hash: same key, same bytes."""
    words = [str(FORMAT), reference, arch, family, files, *sorted(package.sha256 for package in packages)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def label(settings: Mapping[str, Any]) -> str:
    """LinuxKit's settings as the text of the image's label, always the same."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _built(
    reference: str, arch: str, base: str, store: Store, locked: LockedImage | None, reporter: Reporter
) -> tuple[Image, LockedImage]:
    """An image that a Docker engine builds: the locked one, where it is in the store, else a new one."""
    digest = docker.key(reference, arch, base)
    same = locked is not None and locked.recipe == digest
    image = store.find(reference, arch)
    if image is None or not same or locked is None or image.digest != locked.digest:
        if same:
            raise BuildError(
                f"the image {reference} that the lock names is not in the store, and Docker would build another one",
                hint="bring the locked image into the store, or renew the lock with `--update`",
            )
        image = docker.build(reference, arch, base, store, reporter)
    return image, LockedImage(image.digest, digest)


class _Maker:
    """Makes images from recipes: solves, downloads everything in one go, then composes two at a time."""

    def __init__(
        self, arch: str, store: Store, reporter: Reporter, origin: Origin | None, *, offline: bool, update: bool
    ) -> None:
        from thanos_tui.images.apt import Apt, debian_arch

        self.arch = arch
        self.debian_arch = debian_arch(arch)
        self.store = store
        self.reporter = reporter
        self.offline = offline
        self.update = update
        self.apt = Apt(arch, origin)
        self.refreshed = False
        self.refreshing = threading.Lock()

    def make(self, work: Sequence[_Work]) -> dict[str, tuple[Image, LockedImage]]:
        from thanos_tui.images.download import Gone

        try:
            return self.attempt(work)
        except Gone:
            if self.update or self.offline or not self.refreshed:
                raise
        # The archive has moved on since its indices were fetched; newer ones do not name what is gone.
        self.update, self.refreshed = True, False
        return self.attempt(work)

    def attempt(self, work: Sequence[_Work]) -> dict[str, tuple[Image, LockedImage]]:
        from thanos_tui.images.unpacked import Shelf

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = list(pool.map(self.planned, work))
        result = {job.work.reference: (image, job.entry(image)) for job in jobs if (image := self.known(job))}
        left = [job for job in jobs if job.work.reference not in result]
        if left:
            for job in left:
                self.reporter.report(StepPlanned(job.step, job.title))
            self.download(package for job in left for package in job.first())
            failed = threading.Event()

            def check() -> None:
                self.reporter.check()
                if failed.is_set():
                    raise Interrupted

            with Shelf(check) as shelf, ThreadPoolExecutor(_AT_ONCE) as pool:
                # The largest first: it must not be left over at the end.
                left.sort(key=lambda job: -sum(package.size for package in job.first()))
                futures = [(job, pool.submit(self.image, job, shelf)) for job in left]
                try:
                    for job, future in futures:
                        image = future.result()
                        result[job.work.reference] = (image, job.entry(image))
                except BaseException:
                    # Ctrl-C as well: the other image need not be finished first.
                    failed.set()
                    pool.shutdown(cancel_futures=True)
                    raise
        return result

    def planned(self, item: _Work) -> _Job:
        """The packages an image is made from: the lock's, where it answers the same question, else the solver's."""
        recipe = recipes.load(item.directory)
        if item.pinned is not None and item.pinned.recipe:
            selection = recipe.select(item.features, item.pinned.family, self.debian_arch)
            if selection.requested == item.pinned.requested:
                return _Job(item, selection, item.pinned.family, item.pinned.packages, self.arch)
        self.refresh()
        selection = recipe.select(item.features, self.apt.family, self.debian_arch)
        packages = tuple(self.apt.solve(selection.requested, self.reporter.check)) if selection.requested else ()
        return _Job(item, selection, self.apt.family, packages, self.arch)

    def refresh(self) -> None:
        with self.refreshing:
            if not self.refreshed:
                self.apt.refresh(self.reporter, force=self.update, offline=self.offline)
                self.refreshed = True

    def known(self, job: _Job) -> Image | None:
        """The image, where the store still holds what this key gave before."""
        try:
            digest = self.memory(job).read_text().strip()
        except OSError:
            return None
        image = self.store.find(job.work.reference, self.arch)
        if image is None or image.digest != digest:
            return None
        self.check(job, image)
        return image

    def memory(self, job: _Job) -> Path:
        """The file that remembers which image a key gave."""
        return cache_dir() / "recipes" / job.key

    def check(self, job: _Job, image: Image) -> None:
        pinned = job.work.pinned
        if pinned is not None and pinned.recipe == job.key and pinned.digest != image.digest:
            raise IntegrityError(
                f"{job.work.reference} came out as {image.digest[:19]}, and the lock says {pinned.digest[:19]}",
                hint="the lock was written by another version of thanos-tui or changed by hand: renew it: `--update`",
            )

    def download(self, packages: Iterable[Package]) -> dict[Package, Path]:
        from thanos_tui.images.download import fetch

        return fetch(packages, self.apt, self.reporter, offline=self.offline)

    def image(self, job: _Job, shelf: Shelf) -> Image:
        """Make one image. Most need the named packages and libraries only; the rest is fetched where one asks for
        more.
        """
        from thanos_tui.images.compose import Missing
        from thanos_tui.images.elf import MissingLibrary

        with self.reporter.step(job.step, job.title, unit="bytes") as step:
            try:
                members = self.composed(job, job.first(), shelf)
            except (Missing, MissingLibrary):
                if len(job.first()) == len(job.packages):
                    raise
                members = self.composed(job, job.packages, shelf)
            step.total = sum(member.size for member in members)
            image = self.stored(job, members, step)
            step.note = f"{step.total >> 20} MiB"
        self.check(job, image)
        with replacing(self.memory(job)) as stream:
            stream.write(f"{image.digest}\n".encode())
        return image

    def composed(self, job: _Job, packages: Sequence[Package], shelf: Shelf) -> list[Member]:
        from thanos_tui.images.compose import compose
        from thanos_tui.images.unpacked import Tree

        files = self.download(packages)
        # Named packages first: where two packages have a path, the one that was asked for counts.
        order = sorted(packages, key=lambda package: (package.name not in job.selection.named, package.name))
        tree = Tree(shelf.members(files[package], str(package)) for package in order)
        members = compose(job.selection, tree, self.debian_arch)
        if job.selection.recipe.kernel is not None:
            from thanos_tui.images import kernel

            members = sorted([*members, *kernel.members(job.selection, tree, shelf)], key=lambda member: member.name)
        return members

    def stored(self, job: _Job, members: Sequence[Member], step: Step) -> Image:
        from thanos_tui import tarball

        def chunks() -> Iterator[bytes]:
            for chunk in tarball.chunks(members):
                step.advance(len(chunk))
                yield chunk

        blob = self.store.put_blob(chunks(), LAYER)
        # Not compressed, because compressors change with their versions, and an image's digest is promised to every
        # machine that has the lock. What is built from images is compressed there.
        layer = replace(blob, diff_id=blob.digest)
        return self.store.add_image(job.work.reference, self.arch, job.config(), [layer])


@dataclass(frozen=True)
class _Job:
    work: _Work
    selection: Selection
    family: str
    packages: tuple[Package, ...]
    arch: str

    @property
    def name(self) -> str:
        return self.work.reference.removeprefix(recipes.PREFIX).removesuffix(f":{recipes.BASE}")

    @property
    def step(self) -> str:
        return f"images/{self.name}"

    @property
    def title(self) -> str:
        return f"Make the image {self.name}"

    @functools.cached_property
    def key(self) -> str:
        return key(self.work.reference, self.arch, self.family, self.work.files, self.packages)

    def first(self) -> tuple[Package, ...]:
        """The packages that nearly always suffice: those the recipe names, and libraries or the kernel."""
        kernel = self.selection.recipe.kernel is not None
        likely = ("linux-image-", "linux-modules-") if kernel else ("lib", "zlib")
        named = self.selection.named
        return tuple(one for one in self.packages if one.name in named or one.name.startswith(likely))

    def entry(self, image: Image) -> LockedImage:
        return LockedImage(image.digest, self.key, self.family, self.selection.requested, self.packages)

    def config(self) -> dict[str, Any]:
        config = dict(self.selection.config)
        if self.selection.label:
            config["Labels"] = {"org.mobyproject.config": label(self.selection.label)}
        return config
