"""Cached files that know whether they are still what they were.

Each has its content first and 40 bytes after it: the SHA-256 of the content and its length. A file that was cut off or
changed on the disk is found out when it is read, and can be made again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from thanos_tui.errors import IntegrityError
from thanos_tui.files import replacing

_CHUNK = 1 << 20
_TAIL = 40


class Damaged(IntegrityError):
    """A cached file is not what was written; ``path`` is where it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged", hint="delete it: it can be made again")
        self.path = path


@dataclass(frozen=True)
class Blob:
    """A cached file of ``size`` bytes of content with this SHA-256 (hex)."""

    path: Path
    size: int
    sha256: str

    def chunks(self) -> Iterator[bytes]:
        """The content, in pieces; raises Damaged, at the latest at the end, if it is not what it should be."""
        digest = hashlib.sha256()
        left = self.size
        try:
            with self.path.open("rb", buffering=0) as stream:
                while left and (data := stream.read(min(left, _CHUNK))):
                    digest.update(data)
                    left -= len(data)
                    yield data
        except FileNotFoundError:
            raise Damaged(self.path) from None
        if left or digest.hexdigest() != self.sha256:
            raise Damaged(self.path)

    def read(self) -> bytes:
        """The content at once, for small ones."""
        return b"".join(self.chunks())


def find(path: Path) -> Blob | None:
    """The blob at ``path``, marked as used now; None if there is none, or it was cut off."""
    try:
        with path.open("rb") as stream:
            length = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, length - _TAIL))
            tail = stream.read(_TAIL)
        if len(tail) != _TAIL or int.from_bytes(tail[32:], "big") != length - _TAIL:
            return None
        # Least recently used ones go first when the cache is trimmed; access times may be off.
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Blob(path, length - _TAIL, tail[:32].hex())


class Writer:
    """Takes the content of a new blob."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self.size += len(data)

    def finish(self) -> None:
        self._stream.write(self._digest.digest() + self.size.to_bytes(8, "big"))


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write a blob, whole or not at all; raises HostError where it cannot be written."""
    with replacing(path) as stream:
        writer = Writer(stream)
        yield writer
        writer.finish()


def trim(directory: Path, most: int) -> None:
    """Delete the least recently used files of a cache until those left have no more than ``most`` bytes."""
    found = []
    for path in directory.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found.append((status.st_mtime, status.st_size, path))
    left = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if left <= most:
            return
        path.unlink(missing_ok=True)
        left -= size
