"""Kernel images: the kernel and the chosen modules of a kernel package, as LinuxKit expects them.

The image has ``/kernel``, and ``/kernel.tar`` with ``lib/modules/VERSION``: the named modules, what they depend on,
and depmod's files. Modules are stored decompressed: the whole archive is compressed later, better than each module by
itself, and a small init can load them.
"""

from __future__ import annotations

import glob
import io
import lzma
import posixpath
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import BinaryIO

from thanos_tui import tarball
from thanos_tui.errors import BuildError, InputError
from thanos_tui.images import depmod
from thanos_tui.images.compose import Missing
from thanos_tui.images.recipes import Selection
from thanos_tui.images.unpacked import Shelf, Tree, canonical
from thanos_tui.tree import MTIME, Member

# The largest module of a distribution's kernel has some 10 MiB.
_MODULE_LIMIT = 1 << 28


def members(selection: Selection, tree: Tree, shelf: Shelf) -> list[Member]:
    """``/kernel`` and ``/kernel.tar`` of the one kernel in ``tree``.

    Raises InputError at the place in the recipe where a module is named that the kernel does not have, BuildError where
    the packages hold no kernel.
    """
    kernels = [name for name in tree.names() if re.fullmatch(r"boot/vmlinu[xz]-[^/]+", name)]
    if len(kernels) != 1:
        raise Missing(f"the packages of the recipe {selection.recipe.name} hold {len(kernels)} kernels instead of one")
    version = kernels[0].partition("-")[2]
    binary = tree.get(kernels[0])
    collection = _Collection(tree, version)
    chosen = collection.chosen(selection)
    wanted = selection.recipe.kernel.trees if selection.recipe.kernel else ()
    trees = _device_trees(tree, version, wanted)
    size, opened = shelf.keep(tarball.chunks([*_archive(version, chosen, collection), *trees]))
    archive = Member("kernel.tar", "file", 0o644, mtime=MTIME, size=size, open=opened)
    if binary is None:
        raise BuildError(f"{kernels[0]} cannot be read")
    return [replace(binary, name="kernel", mode=0o644, mtime=MTIME), archive]


def shipped(path: str) -> tuple[str, ...]:
    """What packages call a file of a kernel image, or of the archive of modules in it, as globs."""
    if path == "kernel":
        return ("boot/vmlinu[xz]-*",)
    short = path.removeprefix("boot/dtb/")
    if short != path:
        return tuple(f"{base}{glob.escape(short)}" for base in _device_tree_places("*"))
    plain = glob.escape(canonical(path))
    return plain, f"{plain}.xz", f"{plain}.zst", f"{plain}.gz"


def _device_tree_places(version: str) -> tuple[str, str]:
    """Debian's place, and Ubuntu's."""
    return f"usr/lib/linux-image-{version}/", f"usr/lib/firmware/{version}/device-tree/"


def _device_trees(tree: Tree, version: str, wanted: Iterable[str]) -> list[Member]:
    """``boot/dtb/``, where LinuxKit's kernels have it, with the device trees that the package has of those wanted."""
    found: dict[str, Member] = {}
    for base in _device_tree_places(version):
        for name in tree.names():
            member = tree.get(name)
            short = name.removeprefix(base)
            if short != name and member and member.kind == "file" and any(fnmatchcase(short, text) for text in wanted):
                path = f"boot/dtb/{short}"
                found[path] = replace(member, name=path, mode=0o644, mtime=MTIME)
    above = sorted({parent for path in found for parent in _parents(path)})
    return [*(Member(path, "dir", 0o755, mtime=MTIME) for path in above), *(found[path] for path in sorted(found))]


class _Collection:
    """The modules of a kernel version; each is read when it is asked for."""

    def __init__(self, tree: Tree, version: str) -> None:
        self.tree = tree
        self.base = f"usr/lib/modules/{version}/"
        self.places: dict[str, str] = {}
        self.read: dict[str, depmod.Module] = {}
        for name in tree.names():
            if name.startswith(self.base) and re.search(r"\.ko(\.(xz|zst|gz))?$", name):
                self.places[depmod.module_name(name)] = name
        self.builtin = self.lines("modules.builtin")
        self.built_in_names = {depmod.module_name(line) for line in self.builtin}

    def lines(self, name: str) -> list[str]:
        # Ubuntu's modules.order names modules with their compression.
        return [re.sub(r"\.ko\.(xz|zst|gz)$", ".ko", line) for line in self.content(name).decode().split()]

    def content(self, name: str) -> bytes:
        member = self.tree.get(self.base + name)
        return member.open().read() if member is not None and member.open is not None else b""

    def data(self, name: str) -> bytes:
        """A module's decompressed bytes."""
        member = self.tree.get(self.places[name])
        packed = member.open().read() if member is not None and member.open is not None else b""
        suffix = self.places[name].rpartition(".")[2]
        try:
            if suffix == "xz":
                return lzma.LZMADecompressor(memlimit=_MODULE_LIMIT).decompress(packed, _MODULE_LIMIT)
            if suffix == "gz":
                return zlib.decompressobj(wbits=31).decompress(packed, _MODULE_LIMIT)
            if suffix == "zst":
                import zstandard

                return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        except (lzma.LZMAError, zlib.error) as error:
            raise BuildError(f"the module {name} is damaged ({error})") from error
        return packed

    def module(self, name: str) -> depmod.Module:
        if name not in self.read:
            path = re.sub(r"\.ko\.\w+$", ".ko", self.places[name].removeprefix(self.base))
            self.read[name] = depmod.read(self.data(name), path)
        return self.read[name]

    def chosen(self, selection: Selection) -> list[depmod.Module]:
        """The modules a selection names with everything they depend on, sorted by path."""
        if selection.modules is None:
            names = set(self.places)
        else:
            found = {wish: self.named(wish) for wish in selection.modules}
            self.check(found, selection)
            names = {name for matched in found.values() for name in matched}
        todo = sorted(names)
        while todo:
            module = self.module(todo.pop())
            for name in module.depends:
                if name not in self.places and name not in self.built_in_names:
                    raise BuildError(
                        f"the kernel module {module.name} depends on {name}, which the kernel does not have"
                    )
            new = {name for name in (*module.depends, *module.wishes) if name in self.places} - names
            names |= new
            todo += sorted(new)
        return sorted((self.module(name) for name in names), key=lambda module: module.path)

    def named(self, wish: str) -> list[str]:
        """The modules that one item of a list means: a name, or a glob over paths below ``kernel/``."""
        text = wish.removesuffix("?")
        if "/" not in text:
            name = depmod.normal(text)
            return [name] if name in self.places else []
        base = f"{self.base}kernel/"
        paths = {name: re.sub(r"\.ko(\.\w+)?$", "", place.removeprefix(base)) for name, place in self.places.items()}
        return [name for name, path in paths.items() if fnmatchcase(path, text)]

    def check(self, found: Mapping[str, Sequence[str]], selection: Selection) -> None:
        """Raise InputError at the first item that means no module and nothing built in, naming the others too."""
        unknown = [
            wish
            for wish, names in found.items()
            if not names and not wish.endswith("?") and depmod.normal(wish) not in self.built_in_names
        ]
        if not unknown:
            return
        kernel = selection.recipe.kernel
        places = kernel.places if kernel is not None else {}
        where = next((place for (_, wish), place in places.items() if wish == unknown[0]), None)
        others = f" (nor {'is' if len(unknown) == 2 else 'are'} {', '.join(unknown[1:])})" if len(unknown) > 1 else ""
        raise InputError(
            f"{unknown[0]!r} is no module of the kernel {self.base.split('/')[-2]}{others}",
            hint="check the name, or write it with a question mark at the end if only some kernels have it",
            where=where,
        )


def _archive(version: str, chosen: Sequence[depmod.Module], collection: _Collection) -> Iterable[Member]:
    base = f"lib/modules/{version}"
    paths = {f"{base}/{module.path}": module for module in chosen}
    made = depmod.files(
        chosen, collection.lines("modules.order"), collection.builtin, collection.content("modules.builtin.modinfo")
    )
    contents: Mapping[str, bytes] = {f"{base}/{name}": data for name, data in made.items()}
    directories = {parent for path in [*paths, *contents] for parent in _parents(path)}
    for path in sorted([*paths, *contents, *directories], key=lambda path: path.split("/")):
        if path in directories:
            yield Member(path, "dir", 0o755, mtime=MTIME)
        else:
            data = contents[path] if path in contents else collection.data(paths[path].name)
            yield Member(path, "file", 0o644, mtime=MTIME, size=len(data), open=_opener(data))


def _opener(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def _parents(path: str) -> Iterable[str]:
    while path := posixpath.dirname(path):
        yield path
