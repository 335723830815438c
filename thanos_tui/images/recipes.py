"""Recipes: how a component's image is made from packages and stated files, as data (``docs/recipes.md``).

Reading a recipe is strict: what is not understood is refused with its place, so that a misspelt key cannot leave
something out of an image in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thanos_tui.errors import InputError, Where
from thanos_tui.images.elf import TRIPLETS
from thanos_tui.yaml12 import Document, read_file

PREFIX = "localhost/thanos/"
BASE = "base"
_FAMILIES = ("debian", "ubuntu")
_FEATURE = re.compile(r"[a-z0-9]+")
_LISTS = ("packages", "programs", "libraries", "include", "exclude", "busybox")
_TOP = {"summary", *_LISTS, "layout", "files", "config", "label", "features", "kernel"}
_IN_FEATURE = {*_LISTS, "files", "config", "label"}

# An item of a list: a text, or alternatives by distribution and architecture, nested as needed.
Choice = str | tuple["Choice", ...] | Mapping[str, "Choice"]


@dataclass(frozen=True)
class File:
    """A stated entry: a file (``contents``), a symbolic link (``symlink``) or a directory (neither)."""

    path: str
    mode: int
    uid: int = 0
    gid: int = 0
    contents: bytes | None = None
    symlink: str | None = None


@dataclass(frozen=True)
class Part:
    """What a recipe or one of its features takes; lists may hold alternatives until :meth:`Recipe.select` has chosen.

    config: the image's run configuration by OCI's names. label: LinuxKit's ``org.mobyproject.config``.
    """

    packages: tuple[Choice, ...] = ()
    programs: tuple[Choice, ...] = ()
    libraries: tuple[Choice, ...] = ()
    include: tuple[Choice, ...] = ()
    exclude: tuple[Choice, ...] = ()
    busybox: tuple[Choice, ...] = ()
    files: tuple[File, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    label: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kernel:
    """A kernel recipe: its package, and module names by feature (``base`` is always taken, ``all`` means every
    module).

    trees: names of device trees, with wild cards, as paths below the directory in which the package has them.
    """

    package: Choice
    modules: Mapping[str, tuple[str, ...]]
    places: Mapping[tuple[str, str], Where]
    trees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A recipe as its file states it."""

    name: str
    directory: Path
    summary: str
    layout: Literal["merged", "split"]
    base: Part
    features: Mapping[str, Part]
    kernel: Kernel | None

    def feature_names(self) -> list[str]:
        """The features a tag may name, sorted."""
        names = set(self.features)
        if self.kernel is not None:
            names |= {*self.kernel.modules, "all"} - {BASE}
        return sorted(names)

    def select(self, features: Sequence[str], family: str, arch: str) -> Selection:
        """What the recipe takes with these features, for a distribution's family and Debian's architecture."""
        for name in features:
            if name not in self.feature_names():
                known = ", ".join(self.feature_names()) or "none"
                raise InputError(f"the recipe {self.name} has no feature {name!r}; it has: {known}")
        parts = [self.base, *(self.features[name] for name in sorted(features) if name in self.features)]

        def joined(key: str) -> tuple[str, ...]:
            chosen = [text for part in parts for choice in getattr(part, key) for text in _chosen(choice, family, arch)]
            return tuple(dict.fromkeys(chosen))

        modules: tuple[str, ...] | None = ()
        kernel_package = ""
        if self.kernel is not None:
            names = _chosen(self.kernel.package, family, arch)
            if len(names) != 1:
                raise InputError(f"the recipe {self.name} names no kernel package for {family} on {arch}")
            kernel_package = names[0]
            wanted = [name for name in self.kernel.modules if name == BASE or name in features]
            modules = (
                None if "all" in features else tuple(dict.fromkeys(m for n in wanted for m in self.kernel.modules[n]))
            )
        return Selection(
            recipe=self,
            features=tuple(sorted(features)),
            packages=(*joined("packages"), *([kernel_package] if kernel_package else [])),
            programs=joined("programs"),
            libraries=joined("libraries"),
            include=joined("include"),
            exclude=joined("exclude"),
            busybox=joined("busybox"),
            files=tuple({file.path: file for part in parts for file in part.files}.values()),
            config={key: value for part in parts for key, value in part.config.items()},
            label={key: value for part in parts for key, value in part.label.items()},
            modules=modules,
        )


@dataclass(frozen=True)
class Selection:
    """A recipe with everything chosen: plain lists. ``modules``: names, or None for every module."""

    recipe: Recipe
    features: tuple[str, ...]
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    libraries: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    busybox: tuple[str, ...]
    files: tuple[File, ...]
    config: Mapping[str, Any]
    label: Mapping[str, Any]
    modules: tuple[str, ...] | None

    @property
    def named(self) -> frozenset[str]:
        """The packages the solver is asked for, whether a release must have them or not."""
        return frozenset(name.removesuffix("?") for name in self.requested)

    @property
    def requested(self) -> tuple[str, ...]:
        """What the solver is asked for, sorted: packages, with ``?`` behind those that not every release has."""
        # Where there is a C library anyway, the busybox that uses it is a third of the static one's size.
        busybox = "busybox" if self.programs or self.libraries else "busybox-static"
        return tuple(sorted({*self.packages, *([busybox] if self.busybox else [])}))


def split(reference: str) -> tuple[str, tuple[str, ...]] | None:
    """The recipe's name and the features of ``localhost/thanos/NAME:TAG``; None for any other reference.

    Raises InputError where the tag is not ``base`` or sorted feature names joined by ``-``.
    """
    if not reference.startswith(PREFIX):
        return None
    name, colon, tag = reference.removeprefix(PREFIX).partition(":")
    features = () if tag == BASE else tuple(tag.split("-"))
    if not name or not colon or list(features) != sorted(set(features)) or not all(map(_FEATURE.fullmatch, features)):
        raise InputError(
            f"{reference}: the tag of a recipe's image is {BASE!r} or its features, sorted and joined by '-'",
            hint=f"for example {PREFIX}{name or 'NAME'}:{'-'.join(sorted(set(filter(None, features)))) or BASE}",
        )
    return name, features


def find(name: str, directories: Iterable[Path]) -> Path | None:
    """The directory of the recipe ``name``, in the first of ``directories`` that has it."""
    for directory in directories:
        if (directory / name / "recipe.yml").is_file() and "/" not in name and not name.startswith("."):
            return directory / name
    return None


def load(directory: Path) -> Recipe:
    """Read ``recipe.yml`` in ``directory``. Raises InputError with the place of what is wrong."""
    reader = _Reader(read_file(directory / "recipe.yml"), directory)
    return reader.recipe()


def _chosen(choice: Choice, family: str, arch: str) -> list[str]:
    if isinstance(choice, str):
        return [choice]
    if isinstance(choice, tuple):
        return [text for item in choice for text in _chosen(item, family, arch)]
    for key in (family, arch):
        if key in choice:
            return _chosen(choice[key], family, arch)
    # Not stated for this distribution or architecture: not needed there.
    return []


@dataclass(frozen=True)
class _Reader:
    document: Document
    directory: Path

    def recipe(self) -> Recipe:
        top = self.mapping((), _TOP)
        features = {}
        for name in self.mapping(("features",)) if "features" in top else {}:
            if not _FEATURE.fullmatch(name) or name in (BASE, "all"):
                raise self.error(
                    f"{name!r} cannot be a feature's name: small letters and digits only", ("features", name), key=True
                )
            features[name] = self.part(("features", name), _IN_FEATURE)
        layout = top.get("layout", "merged")
        if layout not in ("merged", "split"):
            raise self.error("layout is 'merged' or 'split'", ("layout",))
        return Recipe(
            name=self.directory.name,
            directory=self.directory,
            summary=self.text(("summary",)) if "summary" in top else "",
            layout=layout,
            base=self.part((), _TOP),
            features=features,
            kernel=self.kernel() if "kernel" in top else None,
        )

    def part(self, path: tuple[str | int, ...], allowed: set[str]) -> Part:
        value = self.mapping(path, allowed)
        lists = {name: self.choices((*path, name)) for name in _LISTS if name in value}
        for name in ("programs", "include"):
            for item in _texts(lists.get(name, ())):
                if not item.startswith(("/", "**/")):
                    raise self.error(f"{item!r} is not an absolute path", (*path, name))
        files: list[File] = []
        if "files" in value:
            for index in range(len(self.sequence((*path, "files")))):
                files += self.entries((*path, "files", index))
        config = self.config((*path, "config")) if "config" in value else {}
        label = self.mapping((*path, "label")) if "label" in value else {}
        return Part(**lists, files=tuple(files), config=config, label=label)

    def choices(self, path: tuple[str | int, ...]) -> tuple[Choice, ...]:
        value = self.at(path)
        if path[-1] == "busybox" and value == "all":
            return ("all",)
        return tuple(self.choice((*path, index)) for index in range(len(self.sequence(path))))

    def choice(self, path: tuple[str | int, ...]) -> Choice:
        value = self.at(path)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list):
            return tuple(self.choice((*path, index)) for index in range(len(value)))
        if isinstance(value, dict):
            self.mapping(path, {*_FAMILIES, *TRIPLETS})
            return {key: self.choice((*path, key)) for key in value}
        raise self.error("a text is wanted here, or alternatives by distribution or architecture", path)

    def entries(self, path: tuple[str | int, ...]) -> list[File]:
        """What one item of ``files`` states: an entry, or every file in a directory beside the recipe."""
        value = self.at(path)
        source = value.get("source") if isinstance(value, dict) else None
        if not isinstance(source, str) or not (self.directory / source).is_dir():
            return [self.file(path)]
        self.mapping(path, {"path", "source"})
        top = self.file_path(path)
        found = []
        for file in sorted((self.directory / self.source(path)).rglob("*")):
            if file.is_file():
                contents = file.read_bytes()
                # By what is in it, as not every way that a directory is copied keeps its modes.
                mode = 0o755 if contents.startswith(b"#!") else 0o644
                found.append(File(f"{top}/{file.relative_to(self.directory / source)}", mode, contents=contents))
        return found

    def file_path(self, path: tuple[str | int, ...]) -> str:
        name = self.text((*path, "path"))
        if not name.startswith("/") or {".", "..", ""} & set(name.strip("/").split("/")):
            raise self.error(f"{name!r} is not a plain absolute path", (*path, "path"))
        return name

    def source(self, path: tuple[str | int, ...]) -> str:
        source = self.text((*path, "source"))
        if source.startswith("/") or ".." in source.split("/"):
            raise self.error(f"{source!r} is not beside the recipe", (*path, "source"))
        return source

    def file(self, path: tuple[str | int, ...]) -> File:
        kinds = {"contents", "source", "symlink", "directory"}
        value = self.mapping(path, {"path", "mode", "uid", "gid", *kinds})
        name = self.file_path(path)
        stated = [kind for kind in kinds if kind in value]
        if len(stated) != 1:
            raise self.error(f"{name} needs exactly one of contents, source, symlink and directory", path)
        owner = {"uid": 0, "gid": 0}
        for key in ("uid", "gid"):
            if key in value:
                number = value[key]
                if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**32:
                    raise self.error(f"{key} is a number", (*path, key))
                owner[key] = number
        if "symlink" in value:
            return File(name, 0o777, owner["uid"], owner["gid"], symlink=self.text((*path, "symlink")))
        if "directory" in value:
            if value["directory"] is not True:
                raise self.error("directory is 'true' or is left out", (*path, "directory"))
            return File(name, self.mode(path, 0o755), owner["uid"], owner["gid"])
        if "contents" in value:
            contents = self.text((*path, "contents"), empty=True).encode()
        else:
            source = self.source(path)
            try:
                contents = (self.directory / source).read_bytes()
            except OSError as error:
                raise self.error(
                    f"cannot read {source} beside the recipe: {error.strerror}", (*path, "source")
                ) from None
        return File(name, self.mode(path, 0o644), owner["uid"], owner["gid"], contents)

    def mode(self, path: tuple[str | int, ...], default: int) -> int:
        if "mode" not in self.at(path):
            return default
        # As written: whether a number without quotes is octal is a question of the YAML version.
        text = self.document.written((*path, "mode"))
        if not re.fullmatch(r"0?[0-7]{3,4}", text):
            raise self.error(f'mode is written in octal digits, such as "0755", not {text!r}', (*path, "mode"))
        return int(text, 8)

    def config(self, path: tuple[str | int, ...]) -> dict[str, Any]:
        value = self.mapping(path, {"entrypoint", "cmd", "env", "workdir", "user"})
        lists = {"entrypoint": "Entrypoint", "cmd": "Cmd", "env": "Env"}
        texts = {"workdir": "WorkingDir", "user": "User"}
        result: dict[str, Any] = {}
        for key, name in lists.items():
            if key in value:
                result[name] = [self.text((*path, key, i), empty=True) for i in range(len(self.sequence((*path, key))))]
        for key, name in texts.items():
            if key in value:
                result[name] = self.text((*path, key))
        return result

    def kernel(self) -> Kernel:
        value = self.mapping(("kernel",), {"package", "modules", "device-trees"})
        if "package" not in value:
            raise self.error("kernel needs a package", ("kernel",))
        modules = {}
        places = {}
        for name in self.mapping(("kernel", "modules")) if "modules" in value else {}:
            if not _FEATURE.fullmatch(name) or name == "all":
                raise self.error(f"{name!r} cannot be a feature's name", ("kernel", "modules", name), key=True)
            path = ("kernel", "modules", name)
            modules[name] = tuple(self.text((*path, index)) for index in range(len(self.sequence(path))))
            for index, module in enumerate(modules[name]):
                places[name, module] = self.document.where((*path, index))
        listed = self.sequence(("kernel", "device-trees")) if "device-trees" in value else ()
        trees = tuple(self.text(("kernel", "device-trees", index)) for index in range(len(listed)))
        return Kernel(self.choice(("kernel", "package")), modules, places, trees)

    # Values and their places

    def at(self, path: tuple[str | int, ...]) -> Any:
        value = self.document.value
        for step in path:
            value = value[step]
        return value

    def mapping(self, path: tuple[str | int, ...], allowed: set[str] | None = None) -> dict[str, Any]:
        value = self.at(path)
        if not isinstance(value, dict):
            raise self.error("a mapping (key: value) is wanted here", path)
        for key in value:
            if allowed is not None and key not in allowed:
                known = ", ".join(sorted(allowed))
                raise self.error(f"{key!r} is not known here; known are: {known}", (*path, key), key=True)
        return value

    def sequence(self, path: tuple[str | int, ...]) -> list[Any]:
        value = self.at(path)
        if not isinstance(value, list):
            raise self.error("a list is wanted here", path)
        return value

    def text(self, path: tuple[str | int, ...], *, empty: bool = False) -> str:
        try:
            value = self.at(path)
        except KeyError:
            raise self.error(f"{path[-1]} is missing", path[:-1]) from None
        if not isinstance(value, str) or not (value or empty):
            raise self.error("a text is wanted here", path)
        return value

    def error(self, message: str, path: tuple[str | int, ...], *, key: bool = False) -> InputError:
        return InputError(message, where=self.document.where(path, key))


def _texts(choices: Iterable[Choice]) -> Iterable[str]:
    for choice in choices:
        if isinstance(choice, str):
            yield choice
        else:
            yield from _texts(choice.values() if isinstance(choice, Mapping) else choice)
