"""Unpacked packages: their contents in one temporary file, their members as one tree that can be looked things up in.

A tree here knows a path under both of its names where Debian moved things into /usr: ``/bin/sh`` and ``/usr/bin/sh``
are one, whichever a package of this or that release has. The canonical name is the one in usr.
"""

from __future__ import annotations

import functools
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from thanos_tui.errors import BuildError
from thanos_tui.files import cache_dir, unwritable
from thanos_tui.images import deb
from thanos_tui.images import elf as elf_files
from thanos_tui.tree import Member

# Directories of the root that Debian turned into links into usr (its "UsrMerge").
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CHUNK = 1 << 20
# As Linux: more links on the way than this are a loop.
_LINKS = 40


def canonical(path: str) -> str:
    """A path of a tree without a leading slash and by its name in usr."""
    path = path.strip("/")
    first, _, _ = path.partition("/")
    return f"usr/{path}" if first in MERGED else path


class Shelf:
    """Packages unpacked for the time of one build. Safe to use from several threads; each package is unpacked once.

    check: called between members; what it raises stops the unpacking.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self._spool = _temporary()
        self._files = [self._spool]
        self._end = 0
        self._guard = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._members: dict[Path, tuple[Member, ...]] = {}

    def close(self) -> None:
        for stream in self._files:
            stream.close()

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def members(self, path: Path, name: str) -> tuple[Member, ...]:
        """The members of the package at ``path``, whose contents can be read again and again until :meth:`close`."""
        with self._guard:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            if path not in self._members:
                with path.open("rb") as stream:
                    self._members[path] = tuple(map(self._kept, deb.members(stream, name)))
            return self._members[path]

    def _kept(self, member: Member) -> Member:
        self._check()
        if member.open is None:
            return member
        stream = member.open()
        start = self._reserve(member.size)
        at = start
        while data := stream.read(_CHUNK):
            at += self._write(data, at)
        return replace(member, open=functools.partial(self._open, start, member.size))

    def keep(self, chunks: Iterable[bytes]) -> tuple[int, Callable[[], BinaryIO]]:
        """Put what ``chunks`` yield beside the packages' contents: its size, and how to read it."""
        stream = _temporary()
        self._files.append(stream)
        try:
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
        except OSError as error:
            raise unwritable(cache_dir(), error) from error
        size = stream.tell()
        return size, lambda: io.BufferedReader(_Slice(stream.fileno(), 0, size), 1 << 16)

    def _reserve(self, size: int) -> int:
        with self._guard:
            start = self._end
            self._end += size
        return start

    def _write(self, data: bytes, at: int) -> int:
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._spool.fileno(), data[written:], at + written)
        except OSError as error:
            raise unwritable(cache_dir(), error) from error
        return written

    def _open(self, start: int, size: int) -> BinaryIO:
        if size <= _CHUNK:
            return io.BytesIO(os.pread(self._spool.fileno(), size, start))
        return io.BufferedReader(_Slice(self._spool.fileno(), start, size), 1 << 16)


def _temporary() -> BinaryIO:
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        # Has no name, so nothing is left behind however the build ends.
        return tempfile.TemporaryFile(dir=cache_dir())
    except OSError as error:
        raise unwritable(cache_dir(), error) from error


class _Slice(io.RawIOBase):
    """A part of a file as a seekable file."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor, self._start, self._size = descriptor, start, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass(frozen=True)
class Found:
    """Where a path leads: the links on the way and the end, by canonical names; ``member`` is None where nothing is."""

    links: tuple[str, ...]
    name: str
    member: Member | None


class Tree:
    """The members of several packages as one tree. Of a path that two packages have, the earlier package's counts."""

    def __init__(self, packages: Iterable[Iterable[Member]]) -> None:
        self._members: dict[str, Member] = {}
        for members in packages:
            for member in members:
                # base-files ships the links of the merged root, older packages real directories: layouts state these.
                if member.name in MERGED or member.name == ".":
                    continue
                if member.kind == "hardlink":
                    target = self._members.get(canonical(member.linkname))
                    if target is None or target.kind != "file":
                        raise BuildError(f"a package has /{member.name} as a hard link to nothing (/{member.linkname})")
                    member = replace(target, name=member.name)
                self._members.setdefault(canonical(member.name), member)
        self._facts: dict[str, elf_files.Elf | None] = {}

    def get(self, name: str) -> Member | None:
        """The member with that canonical name."""
        return self._members.get(name)

    def names(self) -> Iterator[str]:
        """All canonical names, sorted."""
        yield from sorted(self._members)

    def follow(self, path: str) -> Found:
        """Where ``path`` leads when every symbolic link on the way is followed inside the tree."""
        todo = [part for part in path.split("/") if part]
        at: list[str] = []
        links: list[str] = []
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                at = at[:-1]
                continue
            name = canonical("/".join([*at, part]))
            member = self._members.get(name)
            if member is not None and member.kind == "symlink":
                if len(links) == _LINKS:
                    raise BuildError(f"/{path.strip('/')} leads into a loop of symbolic links")
                links.append(name)
                # Relative to where the package put the link, which is what its author had in mind.
                at = [] if member.linkname.startswith("/") else member.name.split("/")[:-1]
                todo = [*member.linkname.split("/"), *todo]
            else:
                at = [*at, part]
        name = canonical("/".join(at))
        return Found(tuple(links), name, self._members.get(name))

    def elf(self, name: str) -> elf_files.Elf | None:
        """The ELF facts of the file with that canonical name, or None where it is no ELF file."""
        if name not in self._facts:
            member = self._members[name]
            self._facts[name] = None
            if member.open is not None and member.size >= 52:
                with member.open() as stream:
                    self._facts[name] = elf_files.read(stream, f"/{member.name}")
        return self._facts[name]

    def look(self, path: str) -> elf_files.Library | None:
        """The ELF file that ``path`` leads to, for :func:`thanos_tui.images.elf.closure`."""
        found = self.follow(path)
        if found.member is None:
            return None
        facts = self.elf(found.name)
        return None if facts is None else elf_files.Library(path, f"/{found.name}", facts)
