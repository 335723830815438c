"""Where the images come from that a config names: a list of sources, asked in the order the user gives.

The sources are ``store`` (what was brought before), ``docker`` (what a Docker engine holds), ``docker-pull`` (the same,
and the engine pulls what it lacks), ``registry`` (the registry that an image's name names), and files: the path of an
OCI image layout or of an archive that ``docker save`` made. Whatever a source gives is in the store afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from thanos_tui.errors import (
    BuildError,
    HostError,
    InputError,
    IntegrityError,
    Interrupted,
    ThanosError,
    Where,
    nearest,
)
from thanos_tui.events import Reporter
from thanos_tui.images import layouts as kept
from thanos_tui.images.reference import expand
from thanos_tui.images.store import Image, Store
from thanos_tui.settings import BuildSettings

STORE = "store"
ENGINE = "docker"
ENGINE_PULL = "docker-pull"
REGISTRY = "registry"
WORDS = (STORE, ENGINE, ENGINE_PULL, REGISTRY)


@dataclass(frozen=True)
class Sources:
    """The sources of images, and how registries are reached.

    order: each of WORDS, or the path of a layout or an archive, which has a ``/`` or a ``.`` in it.
    mirrors: ``REGISTRY=URL``, or ``URL`` for every registry that has none; they are asked in this order, the registry
    itself last. Only where a mirror's URL says ``http://`` is anything sent unencrypted, but to this machine itself.
    certificates: files with the authorities (PEM) to trust beside the system's.
    pull: what the store and an engine hold is passed over, and asked for again.

    Raises InputError for what is no source, mirror or file.
    """

    order: tuple[str, ...] = (STORE, REGISTRY)
    mirrors: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = ()
    pull: bool = False

    def __post_init__(self) -> None:
        for word in self.order:
            if word not in WORDS and not set(word) & {"/", "."}:
                close = nearest(word, WORDS)
                raise InputError(
                    f"{word!r} is no source of images",
                    hint=f"did you mean {close}?"
                    if close
                    else f"known: {', '.join(WORDS)}, and paths such as ./{word}",
                )
            if word not in WORDS and not Path(word).expanduser().exists():
                raise InputError(f"there is no file {word} to take images from")
        if not self.order:
            raise InputError("there is no source of images", hint=f"known: {', '.join(WORDS)}, and paths")
        for mirror in self.mirrors:
            mirrored(mirror)
        for path in self.certificates:
            if not path.is_file():
                raise InputError(f"there is no file {path} with certificates")


DEFAULT = Sources()


def configured(settings: BuildSettings) -> Sources:
    """The sources that a build's settings name."""
    certificates = tuple(Path(path) for path in settings.image_certificates)
    return Sources(settings.image_sources, settings.image_mirrors, certificates)


def renewed(sources: Sources) -> Sources:
    """The same sources with the store last: tags are to be looked up anew, where somebody knows them."""
    stored = (STORE,) if STORE in sources.order else ()
    return replace(sources, order=(*(source for source in sources.order if source != STORE), *stored))


def mirrored(text: str) -> tuple[str, str]:
    """The registry that a mirror stands for (``""`` for every one), and the mirror's URL without a slash at its end.

    Raises InputError where it is not of the form ``REGISTRY=URL`` or ``URL``.
    """
    registry, equals, url = text.rpartition("=")
    if equals and not registry:
        registry = "="  # what stands before an equals sign is never nothing
    host = url.removeprefix("https://").removeprefix("http://").rstrip("/")
    if host == url.rstrip("/") or not host or "/" in registry or "=" in registry or " " in text:
        raise InputError(
            f"{text!r} is no mirror of a registry",
            hint="write REGISTRY=URL, such as docker.io=https://mirror.example.com, or a URL alone for all registries",
        )
    return registry, url.rstrip("/")


def bring(
    references: Mapping[str, str],
    arch: str,
    store: Store,
    sources: Sources,
    reporter: Reporter,
    *,
    offline: bool = False,
    where: Callable[[str], Where | None] = lambda _: None,
    layouts: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, Image]:
    """The images of these references for ``arch`` (Go's name), brought into the store from the first source that has
    them.

    references: each with the digest that the lock says (:func:`pinned`), or ``""``. offline: what needs the network is
    passed over. where: where a reference is written, for errors. layouts: images that are wanted as they are, for
    these platforms or for all they have; where one has none for ``arch``, the image is that for another architecture.

    Raises BuildError, HostError or InputError that says for an image which no source has why each of them has it not;
    IntegrityError where a source gives something else than it should.
    """
    found: dict[str, Image] = {}
    problems: dict[str, list[ThanosError]] = {reference: [] for reference in references}
    for source in sources.order:
        left = {reference: digest for reference, digest in references.items() if reference not in found}
        if not left:
            break
        try:
            given, why_not = _from(source, left, arch, store, sources, reporter, layouts, offline=offline)
        except (Interrupted, IntegrityError):
            raise
        except ThanosError as error:
            given, why_not = {}, dict.fromkeys(left, error)
        for reference, why in why_not.items():
            problems[reference].append(why)
        for reference, image in given.items():
            digest = pinned(image, store, whole=reference in layouts)
            problem = _unlocked(image, digest, references[reference], source)
            if problem is None:
                found[reference] = image
            else:
                problems[reference].append(problem)
    for reference in references:
        if reference not in found:
            nowhere = _nowhere(reference, problems[reference])
            nowhere.where = nowhere.where or where(reference)
            raise nowhere
    return found


def _from(
    source: str,
    left: Mapping[str, str],
    arch: str,
    store: Store,
    sources: Sources,
    reporter: Reporter,
    layouts: Mapping[str, tuple[str, ...]],
    *,
    offline: bool,
) -> tuple[dict[str, Image], dict[str, ThanosError]]:
    """What one source has of these images, and why it has not the others."""
    passed_over = sources.pull and source in (STORE, ENGINE)
    if passed_over or (offline and source in (ENGINE_PULL, REGISTRY)):
        reason = "is passed over, as images are to be pulled" if passed_over else "is not asked: offline"
        return {}, {reference: HostError(f"the source {source} {reason}") for reference in left}
    if source == STORE:
        return _stored(left, arch, store, layouts)
    if source in (ENGINE, ENGINE_PULL):
        from thanos_tui.images import docker

        how = {"pull": source == ENGINE_PULL, "again": sources.pull}
        found, problems = docker.bring(left, arch, store, reporter, **how)
        # An engine gives an image for one platform at a time; the store puts them together.
        for reference in [one for one in found if one in layouts]:
            for other in dict.fromkeys(platform.split("/")[1] for platform in layouts[reference]):
                if other != arch and reference in found:
                    _, more = docker.bring([reference], other, store, reporter, **how)
                    problems |= more
                    if more:
                        del found[reference]
        return found, problems
    if source == REGISTRY:
        from thanos_tui.images import registry

        mirrors = [mirrored(text) for text in sources.mirrors]
        return registry.bring(
            left, arch, store, reporter, mirrors=mirrors, certificates=sources.certificates, whole=layouts
        )
    from thanos_tui.images import imports

    path = Path(source).expanduser()
    given = imports.from_file(path, left, arch, store, reporter, layouts)
    absent = BuildError(f"{path} does not hold it")
    return given, {reference: absent for reference in left if reference not in given}


def pinned(image: Image, store: Store, *, whole: bool) -> str:
    """The digest that a lock names an image by: that of its manifest, or of the index where all of it is wanted."""
    root = store.root(image.reference) if whole else None
    return root.digest if root else image.digest


def _stored(
    left: Mapping[str, str], arch: str, store: Store, layouts: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Image], dict[str, ThanosError]]:
    found: dict[str, Image] = {}
    problems: dict[str, ThanosError] = {}
    for reference, digest in left.items():
        # What was brought for a lock has a name of its own: the tag may mean another image by now.
        locked = f"{expand(reference).partition('@')[0]}@{digest}"
        try:
            if reference in layouts:
                name = locked if digest and store.root(locked) else reference
                found[reference] = kept.whole(store, name, layouts[reference], arch)
            else:
                image = store.find(locked, arch) if digest else None
                found[reference] = image or store.get(reference, arch)
        except IntegrityError:
            raise
        except BuildError as error:
            problems[reference] = error
    return found, problems


def _unlocked(image: Image, found: str, digest: str, where: str) -> BuildError | None:
    """What is wrong with an image that is not what the lock says."""
    if digest in ("", found):
        return None
    return BuildError(
        f"the image {image.reference} is {found[:19]} in the source {where}, and the lock says {digest[:19]}",
        hint="bring the locked image there, or renew the lock with `--update`",
    )


def _nowhere(reference: str, problems: Sequence[ThanosError]) -> ThanosError:
    """The error for an image that no source has: what each of them says, and of the kind of the last one."""
    if len(problems) == 1:
        return problems[0]
    last = problems[-1]
    lines = [problem.message for problem in problems]
    return type(last)(
        f"the image {reference} is in no source", hint="\n  ".join([*lines, *([last.hint] if last.hint else [])])
    )
