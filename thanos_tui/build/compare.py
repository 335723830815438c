"""Two outputs side by side, member by member: what is left of each when it is unpacked, and where that differs.

Of members with one name the last counts, and order does not: a tar archive and an initrd, which is several archives
one after another, mean what they leave behind.
"""

from __future__ import annotations

import hashlib
import lzma
import posixpath
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from thanos_tui import tarball
from thanos_tui.errors import BuildError
from thanos_tui.tree import content

_KINDS = {0o100: "file", 0o040: "dir", 0o120: "symlink", 0o020: "char", 0o060: "block", 0o010: "fifo"}
_HEADER = 110
# The largest initrd that is unpacked in memory to be compared.
_LARGEST = 4 << 30


@dataclass(frozen=True)
class Entry:
    """What is at a name. mode: without the type; of no meaning for symlinks. mtime: whole seconds.

    content: SHA-256 (hex) of a file. link: where a symlink leads. device: (major, minor).
    """

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    content: str = ""
    link: str = ""
    device: tuple[int, int] = (0, 0)


State = Mapping[str, Entry]


def tar(path: Path) -> State:
    """What a tar archive leaves behind. Raises BuildError where it is none."""
    with path.open("rb") as stream:
        return _unpacked(stream, path.name)


def _unpacked(stream: BinaryIO, what: str) -> State:
    found: dict[str, Entry] = {}
    for member in tarball.members(stream, what):
        if member.kind == "hardlink":
            if member.linkname not in found:
                raise BuildError(f"{what}: {member.name} is a hard link to {member.linkname}, which is not there")
            found[member.name] = found[member.linkname]
            continue
        digest = hashlib.sha256()
        for data in content(member) if member.kind == "file" and member.size else ():
            digest.update(data)
        found[member.name] = Entry(
            member.kind,
            0 if member.kind == "symlink" else member.mode,
            member.uid,
            member.gid,
            int(member.mtime),
            member.size,
            digest.hexdigest() if member.kind == "file" else "",
            member.linkname,
            member.device,
        )
    return found


def initrd(data: bytes, what: str) -> State:
    """What an initrd leaves behind: archives one after another, each plain or compressed (gzip, xz, zstd).

    Names that are one file, and the symlinks that upstream writes in their place, count as files with its content.
    Raises BuildError where it is none.
    """
    found: dict[str, Entry] = {}
    try:
        for archive in _archives(data):
            _add_archive(archive, found)
    except (ValueError, IndexError, zlib.error, lzma.LZMAError) as error:
        raise BuildError(f"{what} is no initrd: {error}") from None
    return found


def _archives(data: bytes) -> Iterator[bytes]:
    import zstandard

    rest, unpack = data, cast(Any, None)
    while rest := rest.lstrip(b"\0"):
        if rest[:5] == b"07070":
            end = _end(rest)
            yield rest[:end]
            rest = rest[end:]
            continue
        if rest[:2] == b"\x1f\x8b":
            unpack = zlib.decompressobj(wbits=31)
        elif rest[:6] == b"\xfd7zXZ\0":
            unpack = lzma.LZMADecompressor()
        elif rest[:4] == b"\x28\xb5\x2f\xfd" or rest[1:4] == b"\x2a\x4d\x18":
            unpack = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        else:
            raise ValueError(f"unknown data at byte {len(data) - len(rest)}")
        try:
            plain = unpack.decompress(rest)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        if not unpack.eof or len(plain) > _LARGEST:
            raise ValueError("a compressed archive is cut off, or too large")
        yield plain
        rest = unpack.unused_data


def _end(data: bytes) -> int:
    position = 0
    for *_, name, _, position in _members(data):
        if name == "TRAILER!!!":
            return position
    return position


def _members(data: bytes) -> Iterator[tuple[list[int], str, bytes, int]]:
    """Header fields, name, content and end of each member, trailers included."""
    at = 0
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        if data[at : at + 5] != b"07070":
            raise ValueError(f"no cpio header at byte {at} of an archive")
        header = [int(data[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        name = data[at + _HEADER : at + _HEADER + header[11] - 1].decode("utf-8", "surrogateescape")
        start = at + _HEADER + header[11]
        start += -start % 4
        end = start + header[6]
        if end > len(data):
            raise ValueError("an archive is cut off")
        at = end + -end % 4
        yield header, name, data[start:end], at


def _add_archive(archive: bytes, found: dict[str, Entry]) -> None:
    shared: dict[tuple[int, int, int], list[str]] = {}
    for header, written, body, _ in _members(archive):
        if written == "TRAILER!!!":
            continue
        inode, mode, uid, gid, links, mtime, size = header[:7]
        kind = _KINDS.get(mode >> 9 & 0o170, "")
        name = posixpath.normpath(written.lstrip("/") or ".")
        entry = Entry(kind, 0 if kind == "symlink" else mode & 0o7777, uid, gid, mtime)
        if kind == "symlink":
            entry = replace(entry, link=body.decode("utf-8", "surrogateescape"))
        elif kind in ("char", "block"):
            entry = replace(entry, device=(header[9], header[10]))
        elif kind == "file":
            entry = replace(entry, size=size, content=hashlib.sha256(body).hexdigest())
            if links > 1:
                shared.setdefault((header[7], header[8], inode), []).append(name)
        found[name] = entry
    for names in shared.values():
        # The content goes with one of the names; the others are empty.
        best = max((found[name] for name in names), key=lambda entry: entry.size)
        found.update(dict.fromkeys(names, best))


def tar_kernel_initrd(path: Path) -> tuple[dict[str, bytes], State]:
    """The files of a ``tar-kernel-initrd`` but for the initrd, and what the initrd leaves behind."""
    files: dict[str, bytes] = {}
    with path.open("rb") as stream:
        for member in tarball.members(stream, path.name):
            files[member.name] = b"".join(content(member)) if member.size else b""
    return files, initrd(files.pop("initrd.img", b""), path.name)


def differences(ours: State, theirs: State, *, hardlinks: State | None = None) -> Iterator[tuple[str, str]]:
    """Where two states differ: names, each with a sentence about it.

    Directories that theirs only implies may stand in ours. hardlinks: what the names are in a tar archive, where theirs
    is an initrd of upstream's: it has symlinks for hard links.
    """
    implied = {parent for name in theirs for parent in _above(name)}
    for name in sorted({*ours, *theirs}):
        mine, their = ours.get(name), theirs.get(name)
        if mine is None:
            yield name, "is missing in ours"
        elif their is None:
            if mine.kind != "dir" or name not in implied:
                yield name, f"is in ours only ({mine.kind})"
        elif mine != their:
            if (
                mine.kind == "file"
                and their.kind == "symlink"
                and hardlinks is not None
                and hardlinks.get(name) == mine
            ):
                continue
            for item in fields(Entry):
                values = getattr(mine, item.name), getattr(their, item.name)
                if values[0] != values[1]:
                    yield name, f"{item.name} {_shown(item.name, values[0])}, theirs {_shown(item.name, values[1])}"


def _above(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name
    yield "."


def _shown(field: str, value: object) -> str:
    if field == "mode":
        return f"{value:04o}"
    return str(value)[:19] if field == "content" else str(value)


def kernel_initrd(directory: Path, name: str) -> tuple[dict[str, bytes], State]:
    """The same for the three files of ``kernel+initrd``."""
    files = {
        part: path.read_bytes()
        for part in ("kernel", "cmdline", "initrd.img")
        if (path := directory / f"{name}-{part}").exists()
    }
    return files, initrd(files.pop("initrd.img", b""), f"{name}-initrd.img")
