"""The root filesystem of a config, as parts: what goes where, in the order of LinuxKit's own archive.

kernel, init, volumes, onboot, onshutdown, services, files; where a name comes twice, the later one counts. The rules
are upstream's (``src/cmd/linuxkit/moby/build``), which its documentation only sketches.

A part is what can be cached: it has a key, and two parts with one key have the same members, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from thanos_tui.build import dockervolume, kernel, ocivolume, trees, userfiles
from thanos_tui.errors import BuildError, Where
from thanos_tui.files import cache_dir
from thanos_tui.images import layers, layouts
from thanos_tui.images.reference import expand
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import checks, spec
from thanos_tui.linuxkit.config import Compat, Component, Config, Volume
from thanos_tui.tree import MTIME, Member

# Raise it when the members that the same inputs give change: keys made before then no longer match.
_RULES = "1"

# In the root and in volumes, which are not containers, the address is written at boot.
_RESOLV = "/run/resolvconf/resolv.conf"


@dataclass(frozen=True)
class Part:
    """A piece of the root filesystem.

    location: where in the config it comes from (``kernel``, ``init[0]``, ``onboot[1]``, ``files``).
    source: the full name of its image, or what upstream writes in its place (``linuxkit.files``).
    key: hex; parts with the same key have the same members, content and all.
    size: bytes of content before compression, near enough to tell progress and the memory needed.
    members: makes them anew each time it is called, directories before what they hold. A member's own pax records
        ``LINUXKIT.source`` and ``LINUXKIT.location`` come before those of the part.
    """

    location: str
    source: str
    key: str
    size: int
    members: Callable[[], Iterator[Member]]


@dataclass(frozen=True)
class Reused:
    """What is taken from an earlier archive (``build.inputtar``).

    parts: by their locations. links: the links in the root of init images that are among them, and where they lead.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def images(self, config: Config) -> tuple[str, ...]:
        """The images of a config that are needed nevertheless, as :meth:`Config.images` has them."""
        init = () if "init[0]" in self.parts else config.init
        kernel = config.kernel if "kernel" not in self.parts else replace(config.kernel, image="")
        sections = {
            name: tuple(item for at, item in enumerate(getattr(config, name)) if f"{word}[{at}]" not in self.parts)
            for name, word in (*((name, name) for name in ("onboot", "onshutdown", "services")), ("volumes", "volume"))
        }
        return replace(config, kernel=kernel, init=init, **sections).images()


def parts(
    config: Config,
    store: Store,
    arch: str,
    *,
    images: Mapping[str, Image] | None = None,
    decompress_kernel: bool = False,
    base: Path = Path(),
    surveys: Path | None = None,
    compat: Compat = "fixed",
    reused: Reused = Reused(),
) -> tuple[Part, ...]:
    """The parts of a checked config for ``arch`` (Go's name), in order.

    images: what the config's references stand for; others are looked up in the store, where a name may have come to
    mean another image since somebody last looked.
    base: the directory that relative ``source`` paths of files start from. surveys: where what was found in an image
    is kept (``cache_dir()/surveys``); an image is opened here only when it is new. compat: whose reading of the config
    and of images counts (docs/linuxkit-compat.md). reused: parts that are there already.
    Raises BuildError for an image that is not in the store or cannot be used, InputError for what the config gets
    wrong about one. Some errors show only when the members are read: ``kernel.tar`` missing, a damaged layer.
    """
    made = _Parts(config, store, arch, images or {}, surveys or cache_dir() / "surveys", compat, reused)
    return tuple(
        chain(
            made.kernel(decompress_kernel),
            made.init(),
            chain.from_iterable(made.volume(number, item) for number, item in enumerate(config.volumes)),
            chain.from_iterable(made.container(*entry) for entry in config.components()),
            made.files(base),
        )
    )


class _Parts:
    """What the sections need of each other while their parts are put together."""

    def __init__(
        self,
        config: Config,
        store: Store,
        arch: str,
        images: Mapping[str, Image],
        surveys: Path,
        compat: Compat,
        reused: Reused,
    ) -> None:
        self._config = config
        self._reused = reused
        self._compat = compat
        self._store = store
        self._arch = arch
        self._surveys = surveys
        self._ids = checks.container_ids(config)
        self._volumes = {volume.name: volume for volume in config.volumes}
        # Containers with one image share the tree of the first: where it is, by the image's name.
        self._trees: dict[str, str] = {}
        self._images = dict(images)
        inits = enumerate(() if "init[0]" in reused.parts else config.init)
        self._inits = [self._image(name, config.where_init(number)) for number, name in inits]
        self._links = self._root_links()

    def kernel(self, decompress: bool) -> Iterator[Part]:
        described = self._config.kernel
        if not described.image:
            return
        if "kernel" in self._reused.parts:
            yield self._reused.parts["kernel"]
            return
        image = self._image(described.image, described.where())
        survey, content, names = self._survey(image), layers.content_key(image), kernel.names(described)

        def size(*wanted: str) -> int:
            return sum(survey.top[name][1] if name in survey.top else survey.size for name in wanted if name)

        key = _key("boot", content, names.binary, names.ucode, described.cmdline, decompress, *self._deviation())
        yield Part(
            "kernel",
            image.reference,
            key,
            size(names.binary, names.ucode),
            lambda: kernel.boot(self._store, image, described, decompress, MTIME, self._compat),
        )
        if names.tar:
            yield Part(
                "kernel",
                image.reference,
                _key("modules", content, names.tar, self._links),
                size(names.tar),
                lambda: trees.with_parents(trees.moved(kernel.modules(self._store, image, described), self._links)),
            )

    def init(self) -> Iterator[Part]:
        yield from (part for location, part in sorted(self._reused.parts.items(), key=_order) if location[:4] == "init")
        for number, image in enumerate(self._inits):
            top = self._survey(image).top
            links = {name: target for name, target in self._links.items() if top.get(name, ("",))[0] == "dir"}
            yield self._tree(f"init[{number}]", image, "", _RESOLV, links)
        having = [image for image in self._inits if self._survey(image).package_db]
        if len(having) > 1:
            key = _key("package database", [layers.content_key(image) for image in having])
            yield Part("init", "LINUXKIT.apkinit", key, 1 << 20, lambda: trees.package_db(self._store, having))

    def volume(self, number: int, volume: Volume) -> Iterator[Part]:
        location = f"volume[{number}]"
        if location in self._reused.parts:
            yield self._reused.parts[location]
            return
        lower = f"{volume.directory}/lower"
        if not volume.image:
            yield Part(location, "empty", _key("prefix", lower), 0, lambda: iter(trees.way(lower)))
        elif volume.format == "oci":
            name = expand(volume.image)
            stored = self._images[volume.image].reference if volume.image in self._images else name
            plan = layouts.plan(self._store, stored, volume.platforms, volume.where("image"))
            layout = replace(plan, reference=name)
            yield Part(
                location,
                name,
                _key("layout", asdict(layout), lower),
                sum(blob.size for blob in layout.blobs),
                lambda: ocivolume.members(self._store, layout, lower),
            )
        elif volume.format == "docker":
            image = self._image(volume.image, volume.where("image"))
            kept = dockervolume.plan(self._store, image, self._survey(image).size)
            yield Part(
                location,
                image.reference,
                _key("docker", layers.content_key(image), image.reference, kept.id, lower),
                kept.size,
                lambda: dockervolume.members(self._store, kept, lower),
            )
        else:
            image = self._image(volume.image, volume.where("image"))
            yield self._tree(location, image, lower, _RESOLV, {})
        mounts = [trees.directory(f"{volume.directory}/{name}") for name in ("tmp", "merged")]
        yield Part(location, "linuxkit.volumes", _key("volume", volume.directory), 0, lambda: iter(mounts))

    def container(self, section: str, number: int, component: Component) -> Iterator[Part]:
        location = f"{section}[{number}]"
        if location in self._reused.parts:
            yield self._reused.parts[location]
            return
        image = self._image(component.image, component.where("image"))
        settled = spec.effective(component, image.config, self._volumes, self._compat)
        path = f"containers/{section}/{'' if section == 'services' else f'{number:03d}-'}{component.name}"
        own = f"{path}/{'rootfs' if settled.readonly else 'lower'}"
        root = self._trees.setdefault(image.reference, own)
        if root == own:
            yield self._tree(location, image, own, "", {})
        # A container that may write is mounted at rootfs, from its image and a fresh tmp.
        mounts = {"tmp": not settled.readonly, "rootfs": root != f"{path}/rootfs"}
        documents = (
            spec.to_json(spec.oci_spec(settled, self._ids, self._compat)),
            spec.to_json(spec.runtime_spec(settled, path, root, self._compat)),
        )
        members = [
            *trees.way(path),
            trees.file(f"{path}/config.json", documents[0]),
            *(trees.directory(f"{path}/{name}") for name, needed in mounts.items() if needed),
            trees.file(f"{path}/runtime.json", documents[1]),
        ]
        names = [member.name for member in members]
        key = _key("bundle", names, *(document.decode() for document in documents))
        yield Part(location, image.reference, key, _size(members), lambda: iter(members))

    def files(self, base: Path) -> Iterator[Part]:
        if not self._config.files:
            return
        made = list(userfiles.members(self._config, base))
        members = list(trees.moved((member for member, _ in made), self._links))
        facts = [_facts(member, digest) for member, (_, digest) in zip(members, made, strict=True)]
        yield Part("files", "linuxkit.files", _key("files", facts), _size(members), lambda: iter(members))

    def _deviation(self) -> tuple[str, ...]:
        """What sets apart the keys of parts that upstream lays out otherwise."""
        return (self._compat,) if self._compat == "upstream" else ()

    # Images

    def _image(self, reference: str, where: Where | None) -> Image:
        try:
            if reference not in self._images:
                self._images[reference] = self._store.get(reference, self._arch)
            image = self._images[reference]
            # What is brought for a volume alone may be for other architectures.
            return image if image.arch == self._arch else self._store.get(image.reference, self._arch)
        except BuildError as error:
            error.where = error.where or where
            raise

    def _survey(self, image: Image) -> layers.Survey:
        return layers.survey(self._store, image, self._surveys)

    def _tree(self, location: str, image: Image, prefix: str, resolv: str, links: Mapping[str, str]) -> Part:
        def members() -> Iterator[Member]:
            return trees.image_tree(self._store, image, prefix, resolv, self._compat)

        return Part(
            location,
            image.reference,
            _key("tree", layers.content_key(image), prefix, resolv, dict(links), *self._deviation()),
            self._survey(image).size,
            (lambda: trees.with_parents(trees.moved(members(), links))) if links else members,
        )

    def _root_links(self) -> dict[str, str]:
        """Links such as ``lib`` to ``usr/lib`` in the root of init images, where something else may put a directory.

        Unpacked over one another as they are, the directory would take the link's place, or the link would fail:
        a merged-usr image and modules in ``lib/modules`` do not boot. So what belongs in ``lib`` goes to ``usr/lib``.
        """
        found = {
            name: target
            for name, target in self._reused.links.items()
            if name not in trees.GENERATED and not target.startswith(".")
        }
        for image in self._inits:
            for name, (kind, _, target) in self._survey(image).top.items():
                path = posixpath.normpath(target.lstrip("/"))
                if kind == "symlink" and name not in trees.GENERATED and not path.startswith("."):
                    found[name] = path
        return {name: end for name in found if (end := _followed(name, found)) != name}


def _order(entry: tuple[str, Part]) -> tuple[int, int]:
    """The place of a part of ``init``: by its number, the joined list of packages last."""
    number = entry[0].partition("[")[2].rstrip("]")
    return (0, int(number)) if number.isdigit() else (1, 0)


def _followed(name: str, links: Mapping[str, str]) -> str:
    """Where a link in the root leads through others (``lib64`` to ``lib`` to ``usr/lib``); ``name`` if in a circle."""
    path = name
    for _ in range(len(links) + 1):
        first, slash, rest = path.partition("/")
        if first not in links:
            return path
        path = f"{links[first]}{slash}{rest}"
    return name


def _key(kind: str, *facts: Any) -> str:
    return hashlib.sha256(json.dumps([_RULES, kind, *facts], sort_keys=True).encode()).hexdigest()


def _facts(member: Member, digest: str) -> list[Any]:
    """All of a member that its archives can show, with a hash in the place of its content."""
    values = asdict(replace(member, open=None))
    return [values, digest]


def _size(members: Sequence[Member]) -> int:
    return sum(member.size for member in members)
