"""Debian packages as data: the members of a ``.deb``, read in one pass, without dpkg and without running anything.

The format is deb(5): an ``ar`` archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``. The tar archive
inside is ustar with GNU's long names, which is all that dpkg takes. Every length and name is checked before it is
used, so a hostile file costs an error and neither memory nor a path outside the tree.
"""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from thanos_tui.errors import BuildError
from thanos_tui.tree import Kind, Member

_BLOCK = 512
_CHUNK = 1 << 18
# xz -9 asks for 64 MiB and zstd --ultra for 128 MiB; what wants more is no package.
_MEMORY = 1 << 28
# Linux's PATH_MAX; a long name beyond it could not be unpacked anywhere.
_NAME_LIMIT = 4096

_KINDS: dict[bytes, Kind] = {
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


def members(stream: BinaryIO, name: str) -> Iterator[Member]:
    """The members of a package's ``data.tar`` in archive order; their content can be read until the next one is asked
    for.

    ``name`` is what errors call the package. Raises BuildError where the file is no package, is cut off, or holds what
    no package may hold (names that leave the tree, links to what has not come before).
    """
    for part, body in _ar(stream, name):
        if part == "debian-binary":
            version = body.read(16)
            if not version.startswith(b"2."):
                raise BuildError(f"{name}: package format {version[:8]!r} is not known, only 2.x is")
        elif part.startswith("data.tar"):
            yield from _tar(_decompressed(body, part, name), name)
            return
    raise BuildError(f"{name}: the package has no data.tar")


def _ar(stream: BinaryIO, name: str) -> Iterator[tuple[str, _Part]]:
    if stream.read(8) != b"!<arch>\n":
        raise BuildError(f"{name}: not a Debian package")
    while header := stream.read(60):
        if len(header) != 60 or header[58:] != b"`\n":
            raise BuildError(f"{name}: the package is damaged (no member header where one should be)")
        try:
            size = int(header[48:58])
        except ValueError:
            raise BuildError(f"{name}: the package is damaged (a member without a size)") from None
        body = _Part(stream, size)
        yield header[:16].rstrip(b" /").decode("ascii", "replace"), body
        body.skip()
        stream.read(size % 2)


class _Part(io.RawIOBase):
    """The next ``size`` bytes of a stream, as a stream of its own."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self._left and self.read(_CHUNK):
            pass


class _Decompressor(Protocol):
    """What lzma's decompressor and ours over zlib and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of lzma's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


class _Stream:
    """The decompressed side of a compressed stream, in pieces of bounded size."""

    def __init__(self, source: _Part, kind: str, name: str) -> None:
        self._source = source
        self._kind = kind
        self._name = name
        self._inner = self._new()
        self._pending = b""

    def _new(self) -> _Decompressor:
        return _Gzip() if self._kind == "gz" else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)

    def read(self, size: int) -> bytes:
        while True:
            if self._inner.eof:
                rest = self._inner.unused_data or self._source.read(_CHUNK)
                if not rest.strip(b"\0"):
                    return b""
                self._inner, self._pending = self._new(), rest
            if self._inner.needs_input and not self._pending:
                self._pending = self._source.read(_CHUNK)
                if not self._pending:
                    raise BuildError(f"{self._name}: the package is cut off")
            data, self._pending = self._pending, b""
            try:
                out = self._inner.decompress(data, size)
            except (lzma.LZMAError, zlib.error, MemoryError) as error:
                raise BuildError(f"{self._name}: the package is damaged ({error})") from error
            if out:
                return out


class _Zstandard:
    """The same over zstandard, which Ubuntu's packages use."""

    def __init__(self, source: _Part, name: str) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._name = name
        self._inner = zstandard.ZstdDecompressor(max_window_size=_MEMORY).stream_reader(
            cast(BinaryIO, source), read_across_frames=True
        )

    def read(self, size: int) -> bytes:
        try:
            return self._inner.read(size)
        except self._error as error:
            raise BuildError(f"{self._name}: the package is damaged ({error})") from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _decompressed(body: _Part, part: str, name: str) -> _Readable:
    kind = part.removeprefix("data.tar").removeprefix(".")
    if kind in ("xz", "gz"):
        return _Stream(body, kind, name)
    if kind == "zst":
        return _Zstandard(body, name)
    if kind == "":
        return body
    raise BuildError(f"{name}: the package is compressed with {kind}, and only xz, zstd and gzip are known")


@dataclass
class _Archive:
    """A tar archive under way: exact reads, and how much of the current member is left."""

    source: _Readable
    name: str
    left: int = 0

    def exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.source.read(min(size - len(data), _CHUNK))
            if not piece:
                raise BuildError(f"{self.name}: the package is cut off")
            data += piece
        return bytes(data)

    def skip(self, size: int) -> None:
        while size:
            size -= len(self.exactly(min(size, _CHUNK)))


class _Content(io.RawIOBase):
    """The content of the member an archive stands at."""

    def __init__(self, archive: _Archive) -> None:
        self._archive = archive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._archive.exactly(min(len(buffer), self._archive.left, _CHUNK))
        self._archive.left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def _tar(source: _Readable, name: str) -> Iterator[Member]:
    archive = _Archive(source, name)
    seen: set[str] = set()
    long_name = long_link = ""
    while True:
        header = archive.exactly(_BLOCK)
        if header.count(0) == _BLOCK:
            return
        if _checksum(header) != _number(header[148:156], name):
            raise BuildError(f"{name}: the package is damaged (a tar header's checksum is wrong)")
        size = _number(header[124:136], name)
        flag = header[156:157]
        if flag in b"LK":
            if size > _NAME_LIMIT:
                raise BuildError(f"{name}: a name in the package is {size} bytes long")
            text = archive.exactly(size).rstrip(b"\0").decode("utf-8", "surrogateescape")
            archive.skip(-size % _BLOCK)
            long_name, long_link = (text, long_link) if flag == b"L" else (long_name, text)
            continue
        kind = _KINDS.get(flag)
        if kind is None:
            raise BuildError(f"{name}: the package holds a tar member of unknown type {flag!r}")
        # The prefix field belongs to POSIX's magic alone: GNU's own format keeps times there.
        prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
        written = long_name or "/".join(filter(None, (prefix, _text(header[:100]))))
        link = long_link or _text(header[157:257])
        long_name = long_link = ""
        path = _inside(written, name)
        if kind == "hardlink":
            link = _inside(link, name)
            if link not in seen:
                raise BuildError(f"{name}: {path} is a hard link to {link}, which has not come before it")
        archive.left = size if kind == "file" else 0
        seen.add(path)
        yield Member(
            name=path,
            kind=kind,
            mode=_number(header[100:108], name) & 0o7777,
            uid=_number(header[108:116], name),
            gid=_number(header[116:124], name),
            mtime=_number(header[136:148], name),
            linkname=link if kind in ("symlink", "hardlink") else "",
            size=archive.left,
            device=(_number(header[329:337], name), _number(header[337:345], name))
            if kind in ("char", "block")
            else (0, 0),
            open=(lambda: io.BufferedReader(_Content(archive), _CHUNK)) if kind == "file" else None,
        )
        if kind == "file":
            archive.skip(archive.left)
            archive.skip(-size % _BLOCK)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _checksum(header: bytes) -> int:
    return sum(header) - sum(header[148:156]) + 8 * 32


def _number(field: bytes, name: str) -> int:
    if field[0] == 0x80:  # GNU: base 256, for what octal digits cannot hold
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise BuildError(f"{name}: the package is damaged (a tar header holds no number where one should be)") from None


def _inside(path: str, name: str) -> str:
    """``./usr//bin/`` as ``usr/bin``; refuses what would leave the tree."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or path.startswith("/"):
        raise BuildError(f"{name}: the package holds the name {path!r}, which leaves the tree")
    return "/".join(parts) or "."
