"""The root filesystem as one tree: every name once, directories first, for file systems that are made from a tree.

Archives may hold a name twice, and the later one counts. File systems cannot.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from thanos_tui.build.cpio import clean
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError
from thanos_tui.tree import MTIME, Member

# As many links in one path are too many for Linux.
_LINKS = 40


def members(parts: Iterable[Part]) -> Iterator[Member]:
    """The members of all parts but for what boots them (below ``boot/``), read twice: the last of each name counts.

    Directories come first, the rest in the order of the parts; the content of a member has to be read before the next
    is asked for. What lies behind a link goes where the link leads. Raises BuildError where a directory would have to
    be a file, and what the parts' members raise.
    """
    parts = tuple(parts)
    tree = _Tree(parts)
    yield from tree.directories()
    for number, part in enumerate(parts):
        written: dict[str, str] = {}
        for member in _kept(part):
            if member.kind == "dir":
                continue
            name = tree.place(member.name)
            if tree.winner(name, number) and name not in written.values():
                yield _linked(tree, replace(member, name=name), written)
            elif member.kind == "file" and (heir := tree.heir(name, number)):
                # Another part has a file of this name, and the other names of this one have lost their content.
                written[name] = heir
                yield replace(member, name=heir)


def _linked(tree: _Tree, member: Member, written: dict[str, str]) -> Member:
    if member.kind != "hardlink":
        return member
    target = tree.place(member.linkname)
    return replace(member, linkname=written.get(target, target))


def _kept(part: Part) -> Iterator[Member]:
    for member in part.members():
        name = clean(member.name)
        if name != "boot" and not name.startswith("boot/"):
            yield replace(member, name=name)


class _Tree:
    """Which part has the last word on each name."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._directories = {".": Member(".", "dir", mode=0o755, mtime=MTIME)}
        self._others: dict[str, tuple[int, Member]] = {}
        self._heirs: dict[tuple[int, str], list[str]] = {}
        self._real: dict[str, str] = {}
        for number, part in enumerate(parts):
            for member in _kept(part):
                self._add(number, replace(member, open=None))
        for name in self._others:
            if name in self._directories:
                raise _clash(name)

    def directories(self) -> Iterator[Member]:
        """All of them, each after the one it is in."""
        for name in sorted(self._directories):
            yield self._directories[name]

    def place(self, name: str) -> str:
        """Where a name is, links on its way followed."""
        above, slash, last = name.rpartition("/")
        return f"{self._directory(above)}/{last}" if slash else name

    def winner(self, name: str, number: int) -> bool:
        """Whether what part ``number`` has at ``name`` is what counts."""
        return self._others[name][0] == number

    def heir(self, name: str, number: int) -> str | None:
        """The first of the other names of a file of part ``number`` that is still its own."""
        return next((link for link in self._heirs.get((number, name), ()) if self.winner(link, number)), None)

    def _add(self, number: int, member: Member) -> None:
        name = self.place(member.name)
        above = posixpath.dirname(name)
        while above and above not in self._directories:
            if above in self._others:
                raise _clash(above)
            self._directories[above] = Member(above, "dir", mode=0o755, mtime=MTIME)
            above = posixpath.dirname(above)
        if member.kind == "dir":
            other = self._others.get(name)
            if other and other[1].kind == "symlink" and self._directory(name) in self._directories:
                # A directory that comes where a link leads to one is that one.
                name = self._directory(name)
            else:
                self._others.pop(name, None)
                self._real.clear()
            self._directories[name] = replace(member, name=name)
            return
        self._others[name] = number, replace(member, name=name)
        self._real.clear()
        if member.kind == "hardlink":
            self._heirs.setdefault((number, self.place(member.linkname)), []).append(name)

    def _directory(self, path: str) -> str:
        """The directory that ``path`` leads to; as it is where links lead in circles."""
        if path not in self._real:
            self._real[path] = self._follow(path)
        return self._real[path]

    def _follow(self, path: str) -> str:
        steps, found, followed = path.split("/")[::-1], "", 0
        while steps:
            step = steps.pop()
            if step in ("", "."):
                continue
            if step == "..":
                found = posixpath.dirname(found)
                continue
            here = f"{found}/{step}" if found else step
            link = self._others.get(here)
            if link is None or link[1].kind != "symlink":
                found = here
                continue
            followed += 1
            if followed > _LINKS:
                return path
            target = link[1].linkname
            found = "" if target.startswith("/") else found
            steps += target.split("/")[::-1]
        return found


def _clash(name: str) -> BuildError:
    return BuildError(
        f"{name} is a directory in one part of the root filesystem, and something else in another",
        hint="one of the two has to go, or to move",
    )
