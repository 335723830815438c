"""From unpacked packages and a recipe's selection to the members of its image.

What a recipe names is taken, with what that needs to run, and nothing else: programs and the closure of their
libraries, named data, stated files. Every member gets one fixed time; owners and modes are the packages' own.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import BinaryIO

from thanos_tui.errors import BuildError
from thanos_tui.images import elf
from thanos_tui.images.recipes import File, Selection
from thanos_tui.images.unpacked import MERGED, Tree, canonical
from thanos_tui.tree import MTIME, Member

_BUSYBOX = "/bin/busybox"


class Missing(BuildError):
    """A named path is in none of the packages."""


def compose(selection: Selection, tree: Tree, arch: str) -> list[Member]:
    """The members of the image, sorted, parents first. ``arch`` is Debian's name.

    Raises BuildError naming what a recipe asks for and the packages do not have.
    """
    image = _Image(selection, tree, arch)
    for path in selection.programs:
        image.take_program(path)
    for soname in selection.libraries:
        image.take_library(soname)
    image.include()
    if selection.busybox:
        image.take_busybox()
    for file in selection.files:
        image.state(file)
    return image.members()


class _Image:
    def __init__(self, selection: Selection, tree: Tree, arch: str) -> None:
        self.selection = selection
        self.tree = tree
        self.arch = arch
        self.merged = selection.recipe.layout == "merged"
        self.who = f"the recipe {selection.recipe.name}"
        self.search = [place for text in selection.config.get("Env", ()) for place in _library_path(text, arch)]
        # What is taken, by canonical name, and where it goes in the split layout if that differs from the package.
        self.taken: set[str] = set()
        self.literal: dict[str, str] = {}
        self.stated: dict[str, Member] = {}
        self.applets: set[str] = set()

    # Taking

    def take(self, path: str, message: str, *, literal: bool = False) -> str:
        """Take what ``path`` leads to, and the links on the way; returns its canonical name."""
        found = self.tree.follow(path)
        if found.member is None:
            raise Missing(message, hint="name the package that has it; a path inside another image belongs in `files`")
        self.taken |= {*found.links, found.name}
        if literal:
            self.literal.setdefault(canonical(path), path.strip("/"))
        return found.name

    def take_program(self, path: str) -> None:
        if any(sign in path for sign in "*?["):
            # Some releases have a program in one piece, others in several: what a glob finds is taken, be it nothing.
            for name in filter(_pattern(path), self.tree.names()):
                self.take_program(f"/{name}")
            return
        name = self.take(path, f"{self.who} asks for the program {path}, which none of its packages has", literal=True)
        self.take_closure(name, path)

    def take_closure(self, name: str, path: str) -> None:
        if self.tree.elf(name) is None:
            return
        hint = "add the package that has it to the recipe's packages"
        closure = elf.closure(f"/{name}", self.tree.look, self.arch, named_by=path, search=self.search, hint=hint)
        for needed in closure:
            interpreter = needed.startswith("/lib") and "/ld" in needed
            self.take(needed, f"{path} needs {needed}, which no package of {self.who} has", literal=interpreter)

    def take_library(self, soname: str) -> None:
        for place in [*self.search, *elf.standard_places(self.arch)]:
            if self.tree.look(f"{place}/{soname}") is not None:
                name = self.take(f"{place}/{soname}", soname)
                self.take_closure(name, soname)
                return
        raise Missing(f"{self.who} asks for the library {soname}, which none of its packages has")

    def include(self) -> None:
        exclude = [_pattern(text) for text in self.selection.exclude]
        names = list(self.tree.names())
        for text in self.selection.include:
            pattern = _pattern(text)
            matched = [name for name in names if pattern(name)]
            if not matched:
                raise Missing(f"{self.who} includes {text}, which matches nothing in its packages")
            for name in matched:
                if any(excluded(name) for excluded in exclude):
                    continue
                self.taken.add(name)
                member = self.tree.get(name)
                if member is not None and member.kind == "symlink":
                    # A link into a package's own data is worth nothing without it; others may point anywhere.
                    found = self.tree.follow(name)
                    if found.member is not None and found.member.kind != "dir":
                        self.taken |= {*found.links, found.name}
                        self.take_closure(found.name, text)
                elif member is not None and member.kind == "file":
                    self.take_closure(name, text)

    def take_busybox(self) -> None:
        name = self.take(_BUSYBOX, f"the package of busybox has no {_BUSYBOX}", literal=True)
        self.take_closure(name, _BUSYBOX)
        member = self.tree.get(name)
        known = applets(member) if member is not None else []
        wanted = list(self.selection.busybox)
        for applet in wanted:
            if applet not in known and applet != "all":
                raise BuildError(f"{self.who} asks for the busybox applet {applet!r}, which busybox does not have")
        self.applets = set(known if "all" in wanted else wanted) - {"busybox"}

    def state(self, file: File) -> None:
        name = canonical(file.path) if self.merged else file.path.strip("/")
        member = Member(name, "dir", file.mode, file.uid, file.gid, MTIME)
        if file.symlink is not None:
            member = replace(member, kind="symlink", linkname=file.symlink)
        elif file.contents is not None:
            opener = _opener(file.contents)
            member = replace(member, kind="file", size=len(file.contents), open=opener)
        self.stated[name] = member

    # Placing

    def place(self, name: str) -> str:
        """Where what has that canonical name goes in the image."""
        if self.merged:
            return name
        member = self.tree.get(name)
        return self.literal.get(name) or (member.name if member is not None else name)

    def members(self) -> list[Member]:
        result: dict[str, Member] = {}
        for name in sorted(self.taken):
            member = self.tree.get(name)
            if member is not None:
                result[self.place(name)] = self.placed(name, member)
        home = "usr/bin" if self.merged else "bin"
        programs = {
            posixpath.basename(name) for name, member in result.items() if "bin/" in name and member.kind != "dir"
        }
        for applet in sorted(self.applets - programs):
            # A program of the same name wins over the applet.
            result[f"{home}/{applet}"] = Member(f"{home}/{applet}", "symlink", 0o777, mtime=MTIME, linkname="busybox")
        result.update(self.stated)
        for name in list(result):
            self.add_parents(name, result)
        if self.merged:
            for top in MERGED:
                if f"usr/{top}" in result:
                    result[top] = Member(top, "symlink", 0o777, mtime=MTIME, linkname=f"usr/{top}")
        return [result[name] for name in sorted(result, key=lambda name: name.split("/"))]

    def placed(self, name: str, member: Member) -> Member:
        place = self.place(name)
        moved = replace(member, name=place, mtime=MTIME)
        if member.kind != "symlink":
            return moved
        # A relative link keeps its meaning when it, or what it points to, goes to another directory than the package's.
        home = posixpath.dirname(member.name)
        target = posixpath.normpath(posixpath.join("/", home, member.linkname))
        goal = self.place(canonical(target))
        if place == member.name and goal == target.strip("/"):
            return moved
        if member.linkname.startswith("/"):
            return replace(moved, linkname=f"/{goal}")
        return replace(moved, linkname=posixpath.relpath(f"/{goal}", f"/{posixpath.dirname(place)}"))

    def add_parents(self, name: str, result: dict[str, Member]) -> None:
        parent = posixpath.dirname(name)
        while parent:
            known = result.get(parent)
            if known is not None and known.kind != "dir":
                raise BuildError(f"{self.who} puts /{name} below /{parent}, which is no directory there")
            if known is None:
                packaged = self.tree.get(canonical(parent))
                if packaged is not None and packaged.kind == "dir":
                    result[parent] = replace(packaged, name=parent, mtime=MTIME)
                else:
                    result[parent] = Member(parent, "dir", 0o755, mtime=MTIME)
            parent = posixpath.dirname(parent)


def applets(busybox: Member) -> list[str]:
    """The applets a busybox binary has: the one table of sorted names in it, which begins with ``[`` and ``[[``.

    Read from the file because the binary may be another machine's, and the package has no list.
    """
    data = busybox.open().read() if busybox.open is not None else b""
    for matched in re.finditer(rb"\[\0\[\[\0", data):
        names: list[str] = []
        for word in data[matched.start() : matched.start() + 16384].split(b"\0"):
            text = word.decode("ascii", "replace")
            if not re.fullmatch(r"[\[a-z0-9][\[a-zA-Z0-9_.+-]*", text) or (names and text <= names[-1]):
                break
            names.append(text)
        if len(names) > 20:
            return names
    raise BuildError("the list of applets was not found in the busybox binary")


def _library_path(variable: str, arch: str) -> list[str]:
    """The directories that a variable of the environment has the dynamic linker search; it knows ``$LIB``, too."""
    name, _, value = variable.partition("=")
    value = value.replace("$LIB", f"lib/{elf.TRIPLETS.get(arch, '')}")
    return [place for place in value.split(":") if place] if name == "LD_LIBRARY_PATH" else []


def _opener(contents: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(contents)


def _pattern(text: str) -> Callable[[str], bool]:
    """A glob over canonical names: ``*`` and ``?`` stay inside a directory, ``**`` does not, ``/x/**`` includes /x."""
    anywhere = text.startswith("**/")
    rest = canonical(text.removeprefix("**/")) if not anywhere else text.removeprefix("**/")
    parts: Iterable[str] = re.split(r"(\*\*/|/\*\*$|\*|\?|\[[^\]]+\])", rest)
    words = {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(words.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
    compiled = re.compile(("(?:.*/)?" if anywhere else "") + expression)
    return lambda name: compiled.fullmatch(name) is not None
