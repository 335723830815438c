"""Debian packages as data: the members of a ``.deb``, read in one pass, without dpkg and without running anything.

The format is deb(5): an ``ar`` archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``. Lengths and names
are checked before they are used and a decompressor's memory is limited, so that a hostile file costs no more than an
error.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, cast

import zstandard

from thanos_tui import tarball
from thanos_tui.errors import BuildError
from thanos_tui.tree import Member

_CHUNK = 1 << 18
# xz -9 asks for 64 MiB and zstd --ultra for 128 MiB; what wants more is no package.
_MEMORY = 1 << 28


def members(stream: BinaryIO, name: str) -> Iterator[Member]:
    """The members of a package's ``data.tar`` in archive order.

    The content of one can be read until the next is asked for. ``name`` is what errors call the package. Raises
    BuildError where the file is no package, is cut off or damaged, or holds names that leave the tree.
    """
    for part, body in _ar(stream, name):
        if part == "debian-binary":
            version = body.read(16)
            if not version.startswith(b"2."):
                raise BuildError(f"{name}: the package's format {version[:8]!r} is not known, only 2.x is")
        elif part.startswith("data.tar"):
            yield from _data(body, part, name)
            return
    raise BuildError(f"{name}: the package has no data.tar")


def _data(body: _Part, part: str, name: str) -> Iterator[Member]:
    compression = part.removeprefix("data.tar").removeprefix(".")
    if compression not in _UNPACKERS:
        raise BuildError(f"{name}: the package is compressed with {compression}, which is not xz, zstd or gzip")
    source = _Checked(_UNPACKERS[compression](body), name)
    yield from tarball.members(io.BufferedReader(source, _CHUNK), f"the package {name}")
    # What follows the archive's end is padding, and the compressor's checksum.
    while source.read(_CHUNK):
        pass


def _zstd(body: _Part) -> BinaryIO:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
    return cast(BinaryIO, unpacker.stream_reader(cast(BinaryIO, body), read_across_frames=True))


_UNPACKERS: Mapping[str, Callable[[_Part], BinaryIO]] = {
    "": lambda body: cast(BinaryIO, body),
    "gz": lambda body: cast(BinaryIO, gzip.GzipFile(fileobj=body)),
    "xz": lambda body: cast(BinaryIO, _Xz(body)),
    "zst": _zstd,
}


def _ar(stream: BinaryIO, name: str) -> Iterator[tuple[str, _Part]]:
    """The parts of an ar archive, by name."""
    if stream.read(8) != b"!<arch>\n":
        raise BuildError(f"{name}: not a Debian package")
    while header := stream.read(60):
        size = header[48:58].strip()
        if len(header) != 60 or header[58:] != b"`\n" or not size.isdigit():
            raise BuildError(f"{name}: the package is damaged or cut off (no header where one should be)")
        body = _Part(stream, int(size))
        yield header[:16].rstrip(b" /").decode("ascii", "replace"), body
        while body.read(_CHUNK):
            pass
        stream.read(int(size) % 2)


class _Checked(io.RawIOBase):
    """A decompressed stream whose errors name the package."""

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source = source
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
            raise BuildError(f"{self._name}: the package is damaged or cut off ({error})") from error
        buffer[: len(data)] = data
        return len(data)


class _Part(io.RawIOBase):
    """The next ``size`` bytes of a stream, as a stream of its own."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self._left))
        if self._left and not data:
            raise EOFError("the file ends too early")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class _Xz(io.RawIOBase):
    """The decompressed side of an xz stream: lzma.LZMAFile with a limit to the memory that a stream may ask for."""

    def __init__(self, source: _Part) -> None:
        self._source = source
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            if self._inner.eof:
                # Several streams one after another are one file; zeros pad it.
                rest = (self._inner.unused_data + (self._source.read(_CHUNK) or b"")).lstrip(b"\0")
                if not rest:
                    return 0
                self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
                data = self._inner.decompress(rest, len(buffer))
            else:
                packed = (self._source.read(_CHUNK) or b"") if self._inner.needs_input else b""
                if self._inner.needs_input and not packed:
                    raise EOFError("the file ends too early")
                data = self._inner.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        return len(data)
