"""Files that are hashed as they are written, or read without their holes."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from thanos_tui.errors import BuildError
from thanos_tui.events import Step

_MIB = 1 << 20


class Hashing:
    """A stream to write to, which hashes on the way, in a thread of its own: hashing takes as long as all the rest."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._worker = ThreadPoolExecutor(1, "hashing")
        self._held: list[bytes] = []
        self._size = 0
        self._before: Future[None] | None = None

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _MIB:
            self._hand_over()
        return self._stream.write(data)

    def sha256(self) -> str:
        self._hand_over()
        self._worker.shutdown()
        return self._digest.hexdigest()

    def _hand_over(self) -> None:
        # One batch at a time: a disk that is faster than the hash must not fill the memory.
        if self._before:
            self._before.result()
        self._before = self._worker.submit(self._update, self._held)
        self._held, self._size = [], 0

    def _update(self, batch: Sequence[bytes]) -> None:
        for data in batch:
            self._digest.update(data)


class Reader(io.RawIOBase):
    """Pieces of bytes as a stream; one read gives what is left of one piece, at most."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return b""
        size = len(self._left) if size < 0 else size
        data, self._left = self._left[:size], self._left[size:]
        return data


def opener(chunks: Callable[[], Iterator[bytes]]) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, Reader(chunks()))


def copy(chunks: Iterable[bytes], stream: BinaryIO, advance: Callable[[int], None]) -> str:
    hashing = Hashing(stream)
    for chunk in chunks:
        hashing.write(chunk)
        advance(len(chunk))
    return hashing.sha256()


def digest(image: Path, step: Step) -> str:
    """The SHA-256 of a file. Holes are not read: that would fill the page cache with a gigabyte of zeros."""
    digest = hashlib.sha256()
    zeros = bytes(_MIB)
    buffer = memoryview(bytearray(_MIB))
    with image.open("rb", buffering=0) as stream:
        for hole, size in _extents(stream.fileno()):
            while size:
                step.reporter.check()
                if hole:
                    count = min(size, _MIB)
                    digest.update(zeros[:count])
                else:
                    count = stream.readinto(buffer[: min(size, _MIB)]) or 0
                    digest.update(buffer[:count])
                    if not count:
                        raise BuildError(f"{image} was cut off while it was read")
                size -= count
    return digest.hexdigest()


def _extents(descriptor: int) -> Iterator[tuple[bool, int]]:
    """The holes and the rest of a file, in order: (is a hole, bytes). The file's position is where each begins."""
    position, end = 0, os.fstat(descriptor).st_size
    while position < end:
        try:
            data = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = end
        if data > position:
            yield True, data - position
        position = data
        if position < end:
            hole = os.lseek(descriptor, position, os.SEEK_HOLE)
            os.lseek(descriptor, position, os.SEEK_SET)
            yield False, hole - position
            position = hole


def digest_of(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
