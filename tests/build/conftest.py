"""What the kernel makes of an initrd: its unpacker (init/initramfs.c), step by step, as the judge of ours."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

from thanos_tui.build import blobs
from thanos_tui.build.rootfs import Part
from thanos_tui.tree import Member

KINDS = {0o100: "file", 0o040: "dir", 0o120: "symlink", 0o020: "char", 0o060: "block", 0o010: "fifo"}


@pytest.fixture
def blob(tmp_path: Path) -> Callable[[str, bytes], blobs.Blob]:
    """Makes a cached file with this name and content."""

    def make(name: str, content: bytes) -> blobs.Blob:
        with blobs.writing(tmp_path / name) as writer:
            writer.write(content)
        found = blobs.find(tmp_path / name)
        assert found
        return found

    return make


@dataclass
class Inode:
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    children: dict[str, Inode] = field(default_factory=dict)


class Files:
    """A file system in memory with just the calls that unpackers make; each says whether it worked."""

    def __init__(self) -> None:
        self.root = Inode("dir", 0o755)

    def directory(self, path: str, depth: int = 0) -> Inode | None:
        """The directory that ``path`` leads to, symlinks followed."""
        trail = [self.root]
        for number, step in enumerate(steps := [step for step in path.split("/") if step not in ("", ".")]):
            if step == "..":
                del trail[max(1, len(trail) - 1) :]
                continue
            node = trail[-1].children.get(step)
            if node is not None and node.kind == "symlink":
                target = node.data.decode("utf-8", "surrogateescape")
                base = "" if target.startswith("/") else "/".join(steps[:number])
                return self.directory("/".join((base, target, *steps[number + 1 :])), depth + 1) if depth < 40 else None
            if node is None or node.kind != "dir":
                return None
            trail.append(node)
        return trail[-1]

    def place(self, path: str) -> tuple[Inode, str] | None:
        above = self.directory(posixpath.dirname(path))
        return (above, posixpath.basename(path)) if above else None

    def get(self, path: str) -> Inode | None:
        place = self.place(path)
        return place[0].children.get(place[1]) if place else None

    def remove(self, path: str) -> bool:
        place = self.place(path)
        if place is None or place[1] not in place[0].children or place[0].children[place[1]].children:
            return False
        del place[0].children[place[1]]
        return True

    def put(self, path: str, node: Inode) -> bool:
        place = self.place(path)
        if place is None or place[1] in place[0].children:
            return False
        place[0].children[place[1]] = node
        return True

    def listing(self) -> dict[str, tuple[object, ...]]:
        """What is there, by name; of names that are one file, each has the first one of them."""
        found: dict[str, tuple[object, ...]] = {}
        first: dict[int, str] = {}

        def walk(node: Inode, prefix: str) -> None:
            for name, child in sorted(node.children.items()):
                path = prefix + name
                if child.kind == "dir":
                    found[path] = ("dir", child.mode, child.uid, child.gid)
                    walk(child, f"{path}/")
                elif child.kind == "symlink":
                    found[path] = ("symlink", child.data.decode("utf-8", "surrogateescape"))
                else:
                    same = first.setdefault(id(child), path)
                    facts = (child.mode, child.uid, child.gid, child.mtime)
                    found[path] = (child.kind, *facts, child.data, child.device, same)

        walk(self.root, "")
        return found


@dataclass(frozen=True)
class Entry:
    """A header of a newc archive with its name and body."""

    name: str
    inode: int
    mode: int
    uid: int
    gid: int
    links: int
    mtime: int
    body: bytes
    device: tuple[int, int]
    offset: int

    @property
    def kind(self) -> str:
        return KINDS.get(self.mode >> 9 & 0o170, "end")


def archives(initrd: bytes) -> Iterator[list[Entry]]:
    """The archives of an initrd, each up to its trailer."""
    position = 0
    while position < len(initrd):
        if initrd[position] == 0:
            position += 1
        elif initrd[position : position + 1] == b"0" and position % 4 == 0:
            entries, end = archive(initrd[position:])
            position += end
            yield entries
        else:
            unpack = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            data = unpack.decompress(initrd[position:])
            assert unpack.eof, f"junk at {position}"
            position = len(initrd) - len(unpack.unused_data)
            entries, end = archive(data)
            assert not data[end:].strip(b"\0"), "junk behind the trailer"
            yield entries


def archive(data: bytes) -> tuple[list[Entry], int]:
    entries: list[Entry] = []
    position = 0
    while True:
        assert data[position : position + 6] == b"070701", f"no header at {position}"
        fields = [int(data[position + 6 + 8 * n : position + 14 + 8 * n], 16) for n in range(13)]
        inode, mode, uid, gid, links, mtime, size, _, _, major, minor, length, check = fields
        assert check == 0
        raw = data[position + 110 : position + 110 + length]
        assert raw[-1:] == b"\0"
        assert b"\0" not in raw[:-1]
        body = position + (110 + length + 3 & ~3)
        name = raw[:-1].decode("utf-8", "surrogateescape")
        entry = Entry(name, inode, mode, uid, gid, links, mtime, data[body : body + size], (major, minor), position)
        assert len(entry.body) == size
        position = body + (size + 3 & ~3)
        entries.append(entry)
        if entry.name == "TRAILER!!!":
            return entries, position


def booted(initrd: bytes) -> Files:
    """The file system that a kernel has after unpacking an initrd."""
    files = Files()
    for entries in archives(initrd):
        first: dict[tuple[int, str], str] = {}
        for entry in entries[:-1]:
            _take(files, entry, first)
    return files


def _take(files: Files, entry: Entry, first: dict[tuple[int, str], str]) -> None:
    def clean(kind: str) -> None:
        old = files.get(entry.name)
        if old is not None and old.kind != kind:
            files.remove(entry.name)

    def link() -> int:
        if entry.links < 2:
            return 0
        old = first.get((entry.inode, entry.kind))
        if old is None:
            first[entry.inode, entry.kind] = entry.name
            return 0
        clean("")
        node = files.get(old)
        return 1 if node is not None and files.put(entry.name, node) else -1

    facts = (entry.mode & 0o7777, entry.uid, entry.gid, entry.mtime)
    if entry.kind == "symlink":
        clean("")
        files.put(entry.name, Inode("symlink", data=entry.body))
        return
    clean(entry.kind)
    if entry.kind == "dir":
        files.put(entry.name, Inode("dir"))
        node = files.directory(entry.name)
        if node is not None:
            node.mode, node.uid, node.gid, node.mtime = facts
    elif entry.kind == "file":
        linked = link()
        if linked < 0:
            return
        files.put(entry.name, Inode("file"))
        node = files.get(entry.name)
        if node is None or node.kind != "file":
            return
        if linked == 0 or entry.body:
            node.data = entry.body
        node.mode, node.uid, node.gid, node.mtime = facts
    elif link() == 0:
        files.put(entry.name, Inode(entry.kind, device=entry.device))
        node = files.get(entry.name)
        if node is not None:
            node.mode, node.uid, node.gid, node.mtime = facts


@pytest.fixture(scope="session")
def boot() -> Callable[[bytes], Files]:
    """Unpacks an initrd as the kernel does."""
    return booted


@pytest.fixture(scope="session")
def read_archives() -> Callable[[bytes], list[list[Entry]]]:
    """The archives in an initrd, entry by entry."""
    return lambda initrd: list(archives(initrd))


@pytest.fixture(scope="session")
def part() -> Callable[..., Part]:
    """Makes a part of members: ``part(members, location=…, source=…)``; its key comes from them and their content."""

    def make(
        members: Sequence[Member], location: str = "init[0]", source: str = "docker.io/library/test:1", key: str = ""
    ) -> Part:
        digest = hashlib.sha256(repr(members).encode("utf-8", "surrogateescape"))
        for member in members:
            if member.open:
                digest.update(member.open().read())
        size = sum(member.size for member in members)
        return Part(location, source, key or digest.hexdigest(), size, lambda: iter(members))

    return make
