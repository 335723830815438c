"""Tar archives as a stream of members, read and written one at a time.

Python's tarfile is not used for reading because it takes a damaged header in the middle of an archive for its end, and
reads an extended header into memory whatever its size. Read are POSIX's ustar and pax formats, GNU's long names and
large numbers; written is pax (POSIX.1-2017, pax, "pax interchange format"), always with the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from thanos_tui.errors import BuildError
from thanos_tui.tree import Kind, Member, content

_BLOCK = 512
_CHUNK = 1 << 20
# Linux's PATH_MAX: a longer name could not be unpacked anywhere.
_NAME = 4095
# An extended header holds names, times and extended attributes; Linux limits all attributes of a file to 64 KiB.
_EXTENDED = 1 << 20

_KINDS: Mapping[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
}
_FLAGS: Mapping[Kind, bytes] = {kind: flag for flag, kind in _KINDS.items() if flag not in (b"\0", b"7")}

# What a pax record says that a member has a field for (or, for the last three, no use for).
_KNOWN = frozenset({"path", "linkpath", "size", "uid", "gid", "mtime", "uname", "gname", "hdrcharset"})


def members(stream: BinaryIO, what: str, *, jump: bool = False) -> Iterator[Member]:
    """The members of an archive, in order; the content of one can be read until the next is asked for.

    Names come out clean (``./usr//bin/`` is ``usr/bin``, the root ``.``), those of a hard link's target too. Stops
    after the end mark: what follows in ``stream`` is the caller's.

    stream: a buffered one, whose ``read(n)`` gives less than ``n`` bytes only at its end. what: how errors call the
    archive. jump: over content that nobody asks for; the stream is a file, which can be sought in.

    Raises BuildError where it is damaged, cut off, holds names that leave its root
    (``..``, or absolute ones), or something that no file tree can hold.
    """
    archive = _Archive(stream, what, jump)
    general: dict[str, str] = {}
    records: dict[str, str] = {}
    first = True
    lasting = held = 0
    while True:
        header = archive.header(first)
        if header is None:
            return
        first = False
        flag = header[156:157]
        size = archive.number(header[124:136])
        if flag in b"xgLK":
            # A member's records together, and those for all members, may take as much as one header.
            held += size
            lasting += size if flag == b"g" else 0
            if held > _EXTENDED:
                raise archive.error(f"the archive has extended headers of {held} bytes")
        if flag in b"xg":
            (general if flag == b"g" else records).update(_records(archive.extended(size), what))
            continue
        if flag in b"LK":
            text = archive.extended(size).partition(b"\0")[0].decode("utf-8", "surrogateescape")
            records["path" if flag == b"L" else "linkpath"] = text
            continue
        yield archive.member(header, flag, size, {**general, **records})
        records, held = {}, lasting
        archive.skip()


class _Archive:
    """An archive being read: where it stands, and how much of the current member is left."""

    def __init__(self, stream: BinaryIO, what: str, jump: bool) -> None:
        self._stream = stream
        # Where the archive ends; -1 if it is to be read to see that.
        self._end = stream.seek(0, io.SEEK_END) if jump else -1
        if jump:
            stream.seek(0)
        self._what = what
        self._left = 0
        self._padding = 0

    def error(self, message: str) -> BuildError:
        return BuildError(f"{self._what}: {message}")

    def header(self, first: bool) -> bytes | None:
        """The next header; None at the end mark, or where the file ends between members."""
        header = self._stream.read(_BLOCK)
        if not header or header.count(0) == len(header) == _BLOCK:
            return None
        if len(header) < _BLOCK:
            raise self.error("this is not a tar archive" if first else "the archive is cut off")
        body = header[:148] + b" " * 8 + header[156:]
        total = sum(body)
        try:
            stated = int(header[148:156].strip(b"\0 ") or b"-1", 8)
        except ValueError:
            stated = -1
        # Some old programs summed signed bytes.
        if stated != total and stated != total - 256 * sum(byte > 127 for byte in body):
            raise self.error("this is not a tar archive" if first else "the archive is damaged (a wrong checksum)")
        return header

    def member(self, header: bytes, flag: bytes, size: int, records: dict[str, str]) -> Member:
        sparse = next((key for key in records if key.startswith("GNU.sparse.")), "")
        kind = _KINDS.get(flag)
        if kind is None or sparse:
            raise self.error(f"the archive holds {'a sparse file' if sparse or flag == b'S' else f'type {flag!r}'}")
        written = records.get("path") or _name(header)
        if kind == "file" and flag == b"\0" and written.endswith("/"):
            kind = "dir"  # as archives older than POSIX.1-1988 write it
        link = records.get("linkpath") or _text(header[157:257])
        if "size" in records:
            size = self._decimal(records["size"])
        # Of other kinds the field may tell the size of what a hard link leads to; nothing follows it.
        self._left = size if kind == "file" else 0
        self._padding = -self._left % _BLOCK
        mtime = records.get("mtime", "")
        pax = {key: value for key, value in records.items() if key not in _KNOWN}
        if "." in mtime:
            pax["mtime"] = mtime  # a float cannot hold the nanoseconds
        return Member(
            name=self._inside(written),
            kind=kind,
            mode=self.number(header[100:108]) & 0o7777,
            uid=self._decimal(records["uid"]) if "uid" in records else self.number(header[108:116]),
            gid=self._decimal(records["gid"]) if "gid" in records else self.number(header[116:124]),
            mtime=self._time(mtime) if mtime else self.number(header[136:148], signed=True),
            linkname=self._inside(link.lstrip("/")) if kind == "hardlink" else link if kind == "symlink" else "",
            size=self._left,
            device=(self.number(header[329:337]), self.number(header[337:345]))
            if kind in ("char", "block")
            else (0, 0),
            pax=pax,
            open=(lambda: io.BufferedReader(_Content(self))) if kind == "file" else None,
        )

    def take(self, size: int) -> bytes:
        """At most ``size`` bytes of the current member's content; nothing once it is used up."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(min(wanted, _CHUNK))
        if wanted and not data:
            raise self.error("the archive is cut off")
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Go on behind the current member."""
        if self._left and self._end >= 0:
            if self._stream.tell() + self._left > self._end:
                raise self.error("the archive is cut off")
            self._stream.seek(self._left, io.SEEK_CUR)
            self._left = 0
        while self._left:
            self.take(_CHUNK)
        if len(self._stream.read(self._padding)) < self._padding:
            raise self.error("the archive is cut off")

    def extended(self, size: int) -> bytes:
        self._left, self._padding = size, -size % _BLOCK
        data = b""
        while self._left:
            data += self.take(self._left)
        self.skip()
        return data

    def number(self, field: bytes, signed: bool = False) -> int:
        if field[0] in (0x80, 0xFF):  # GNU: base 256, for what octal digits cannot hold
            value = int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
        else:
            try:
                value = int(field.partition(b"\0")[0].strip() or b"0", 8)
            except ValueError:
                raise self.error("the archive is damaged (a header has no number where one belongs)") from None
        if value < 0 and not signed:
            raise self.error("the archive is damaged (a negative number in a header)")
        return value

    def _decimal(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise self.error(f"the archive is damaged ({text[:30]!r} is not a number)")
        return int(text)

    def _time(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < 1 << 62:
            raise self.error(f"the archive is damaged ({text[:30]!r} is not a time)")
        return value

    def _inside(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or name.startswith("/"):
            raise self.error(f"the name {name[:200]!r} leads out of the tree")
        clean = "/".join(parts) or "."
        if "\0" in clean or len(clean.encode("utf-8", "surrogateescape")) > _NAME:
            raise self.error(f"the name {clean[:60]!r}… cannot be a file's name")
        return clean


class _Content(io.RawIOBase):
    """The content of the member at which an archive stands."""

    def __init__(self, archive: _Archive) -> None:
        self._archive = archive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._archive.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    # The prefix belongs to POSIX's magic alone: GNU's own format keeps times there.
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _records(data: bytes, what: str) -> Iterator[tuple[str, str]]:
    """The records of a pax header: ``LENGTH KEY=VALUE``, each with a newline that its length counts."""
    while data:
        digits = data[:20].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if not key or not equals or data[length - 1 : length] != b"\n":
            raise BuildError(f"{what}: the archive is damaged (in an extended header)")
        yield key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        data = data[length:]


def chunks(tree: Iterable[Member], records: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """The bytes of an archive of ``tree``, end mark included, in pieces of a mebibyte at most.

    records: further pax records of every member; what a member brings itself wins.
    Raises BuildError where a member's content is not as long as it says.
    """
    for member in tree:
        yield _header(member, {**(records or {}), **member.pax})
        if member.kind == "file" and member.size:
            yield from content(member)
            yield b"\0" * (-member.size % _BLOCK)
    yield b"\0" * 2 * _BLOCK


def _header(member: Member, records: dict[str, str]) -> bytes:
    name, link = (text.encode("utf-8", "surrogateescape") for text in (member.name, member.linkname))
    if len(name) > 100 or not name.isascii():
        records["path"] = member.name
    if len(link) > 100 or not link.isascii():
        records["linkpath"] = member.linkname
    # Octal digits that fit a field; what does not fit stands in the record, and 0 in the header.
    uid, gid, size, mtime = member.uid, member.gid, member.size if member.kind == "file" else 0, int(member.mtime)
    if uid > 0o7777777:
        records["uid"], uid = str(uid), 0
    if gid > 0o7777777:
        records["gid"], gid = str(gid), 0
    if size > 0o77777777777:
        records["size"], size = str(size), 0
    if mtime != member.mtime:
        records.setdefault("mtime", repr(member.mtime))
    if not 0 <= mtime <= 0o77777777777:
        records.setdefault("mtime", str(mtime))
        mtime = 0
    flag = _FLAGS[member.kind]
    header = _ustar(name, member.mode, uid, gid, size, mtime, flag, link, member.device)
    if not records:
        return header
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    extended = _ustar(b"PaxHeaders/" + name[-80:], 0o644, 0, 0, len(body), 0, b"x", b"", (0, 0))
    return extended + body + b"\0" * (-len(body) % _BLOCK) + header


def _ustar(
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, flag: bytes, link: bytes, device: tuple[int, int]
) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    before = name[:100].ljust(100, b"\0") + numbers
    owners = b"ustar\00000" + b"\0" * 64
    behind = flag + link[:100].ljust(100, b"\0") + owners + b"%07o\0%07o\0" % device
    behind = behind.ljust(_BLOCK - len(before) - 8, b"\0")
    return before + b"%06o\0 " % (sum(before) + sum(behind) + 8 * 32) + behind


def _record(key: str, value: str) -> bytes:
    body = b" %b=%b\n" % (key.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
    # The length counts its own digits.
    length = len(body) + len(str(len(body)))
    if len(str(length)) > len(str(len(body))):
        length += 1
    return str(length).encode() + body
