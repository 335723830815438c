"""Archives of images: read once to be checked, and once more to be kept, or sent on, made anew for Docker.

An archive is hostile until every hash in it is right: nothing of it is unpacked here, and nothing goes on from here
but layers and configurations that were checked, under names of our own. Memory stays flat, whatever an archive holds.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from thanos_tui import tarball
from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError
from thanos_tui.events import Step
from thanos_tui.images.layers import Limits, decompressed
from thanos_tui.tree import Member

_CHUNK = 1 << 20
# No honest manifest or configuration comes near it; registries accept 4 MiB.
_DOCUMENT = 8 << 20
_DOCUMENTS = 64 << 20
_MEMBERS = 100_000
_LINKS = 40
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """What holds images: a file, a directory or the store.

    what: how errors call it. size: about how many bytes are read to check it. members: reads it from its start.
    """

    what: str
    size: int
    members: Callable[[], AbstractContextManager[Iterator[Member]]]


@dataclass(frozen=True)
class Piece:
    """A file of a source that may be a layer.

    name: the member's. digest: of the file as it is. diff_id: of the archive in it, without compression. size: bytes
    as it is sent, and sent: their digest. packed: whether it has to be decompressed for that. problem: why it cannot
    be a layer.
    """

    name: str
    digest: str
    diff_id: str
    size: int
    sent: str
    packed: bool
    problem: str = ""


@dataclass
class Found:
    """What a source holds: files by name, the small ones that look like JSON with their content, and links."""

    what: str
    pieces: dict[str, Piece] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def resolve(self, name: str) -> str:
        """The name of the file that a name in a manifest means, links followed. Raises InputError if one leads out."""
        for _ in range(_LINKS):
            name = posixpath.normpath(name)
            if name.startswith(("/", "../")) or name == "..":
                raise InputError(f"{self.what}: the name {name[:200]!r} leads out of the archive")
            if name not in self.links:
                return name
            name = posixpath.join(posixpath.dirname(name), self.links[name])
        raise InputError(f"{self.what}: too many links on the way to {name[:200]!r}")


def archive(path: Path) -> Source:
    """A tar archive, compressed by gzip or zstd or not at all. Raises InputError where it cannot be read."""
    what = str(path)
    try:
        size = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"cannot read {what}: {error.strerror}") from error

    @contextmanager
    def members() -> Iterator[Iterator[Member]]:
        with path.open("rb") as packed, decompressed(packed, what) as stream:
            yield tarball.members(stream, what)

    return Source(what, size, members)


def layout(directory: Path) -> Source:
    """An OCI image layout as a directory. Raises InputError where it is none, or cannot be read."""
    what = str(directory)

    def files() -> Iterator[Member]:
        # Nothing but what a layout consists of, and no links, which may lead anywhere.
        for path in (directory / "index.json", *sorted((directory / "blobs" / "sha256").iterdir())):
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                name = str(path.relative_to(directory))
                yield Member(name, "file", size=facts.st_size, open=lambda path=path: path.open("rb"))  # type: ignore[misc]

    try:
        size = sum(member.size for member in files())
    except OSError as error:
        raise InputError(
            f"{what} is no OCI image layout: {error.strerror}: {error.filename}", hint="name an archive, or a layout"
        ) from error
    return Source(what, size, lambda: nullcontext(files()))


class _Hashing(io.RawIOBase):
    """A stream that is hashed and counted while it is read. It does not own what it reads.

    expected: a digest; reading to the end raises IntegrityError where the content has another one.
    most: bytes after which it counts as a bomb. seen: is told how many bytes were read.
    """

    def __init__(
        self,
        stream: BinaryIO,
        what: str,
        *,
        expected: str = "",
        most: int = Limits().size,
        seen: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._stream = stream
        self._what = what
        self._expected = expected
        self._most = most
        self._seen = seen
        self._hash = hashlib.sha256()
        self.count = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        self.count += len(data)
        self._seen(len(data))
        if self.count > self._most:
            raise BuildError(f"{self._what} unpacks to more than {self._most >> 20} MiB")
        if not data and len(buffer) and self._expected not in ("", self.digest):
            raise IntegrityError(f"{self._what} has changed while it was read", hint="try again")
        return len(data)


def read(source: Source, step: Step) -> Found:
    """Read a source from its start to its end, hash what it holds, and see what could be a layer.

    Raises InputError where it is cut off, damaged, or holds what no archive of images does.
    """
    found = Found(source.what)
    kept = count = 0
    try:
        with source.members() as members:
            for member in members:
                count += 1
                if count > _MEMBERS:
                    raise InputError(f"{source.what} holds more than {_MEMBERS} files: that is no image")
                if member.kind in ("symlink", "hardlink"):
                    # A hard link's target is a name from the root, a symbolic link's one from where it stands.
                    found.links[member.name] = (
                        member.linkname
                        if member.kind == "symlink"
                        else posixpath.relpath(member.linkname, posixpath.dirname(member.name) or ".")
                    )
                elif member.kind == "file":
                    if member.name in found.pieces or member.name in found.documents:
                        raise InputError(f"{source.what} holds {member.name} twice: that is no image")
                    kept += _read_file(found, member, step)
                    if kept > _DOCUMENTS:
                        raise InputError(f"{source.what} holds more descriptions than any image has")
    except IntegrityError:
        raise
    except BuildError as error:
        raise InputError(error.message, hint="make the archive again: docker save -o FILE IMAGE") from error
    except OSError as error:
        raise HostError(f"cannot read {source.what}: {error.strerror}") from error
    return found


def _read_file(found: Found, member: Member, step: Step) -> int:
    """Note what a file of the source is; returns how many bytes of it are kept."""
    what = f"{found.what}: {member.name}"
    assert member.open is not None  # noqa: S101
    with member.open() as stream:
        raw = _Hashing(stream, what, seen=step.advance)
        packed: io.BufferedReader = io.BufferedReader(raw, _CHUNK)
        if member.size <= _DOCUMENT and packed.peek(1)[:1] in (b"{", b"["):
            found.documents[member.name] = packed.read()
            return member.size
        problem, diff_id, size = "", "", 0
        # Docker decompresses gzip itself; zstd only from its version 23 on.
        repack = packed.peek(4)[:2] != _GZIP
        try:
            with decompressed(packed, what) as unpacked:
                repack &= unpacked is not packed
                plain = _Hashing(unpacked, what)
                archive = io.BufferedReader(plain, _CHUNK)
                for number, _ in enumerate(tarball.members(archive, what)):
                    if number > Limits().members:
                        raise BuildError(f"{what} holds more than {Limits().members} files")
                # What follows the archive's end mark is part of the layer's hash.
                _drain(archive)
                diff_id, size = plain.digest, plain.count
        except IntegrityError:
            raise
        except BuildError as error:
            # Only what a manifest calls a layer has to be one; and a source that is itself cut off says so below.
            problem = error.message
        _drain(packed)
        found.pieces[member.name] = Piece(
            name=member.name,
            digest=raw.digest,
            diff_id=diff_id,
            size=size if repack else raw.count,
            sent=diff_id if repack else raw.digest,
            packed=repack,
            problem=problem,
        )
        return 0


def _drain(stream: BinaryIO) -> None:
    while stream.read(_CHUNK):
        pass


def made_anew(source: Source, pieces: Mapping[str, Piece], documents: Mapping[str, bytes]) -> Iterator[bytes]:
    """The bytes of an archive with the pieces (by the names they get) and documents, in the source's order.

    Raises IntegrityError where a piece is not what it was when it was checked.
    """

    def members() -> Iterator[Member]:
        names = {piece.name: name for name, piece in pieces.items()}
        with source.members() as read_again:
            for member in read_again:
                name = names.pop(member.name, "")
                if name and member.open is not None:
                    with _sent(pieces[name], member.open, f"{source.what}: {member.name}") as stream:
                        yield Member(name, "file", size=pieces[name].size, open=lambda stream=stream: stream)  # type: ignore[misc]
        if names:
            raise IntegrityError(f"{source.what} has changed while it was read", hint="try again")
        for name, data in documents.items():
            yield Member(name, "file", size=len(data), open=lambda data=data: io.BytesIO(data))  # type: ignore[misc]

    try:
        yield from tarball.chunks(members())
    except OSError as error:
        raise HostError(f"cannot read {source.what}: {error.strerror}") from error


@contextmanager
def _sent(piece: Piece, opened: Callable[[], BinaryIO], what: str) -> Iterator[BinaryIO]:
    """A piece as it is sent; reading it to its end compares its hash."""
    with opened() as stream:
        packed: io.BufferedReader = io.BufferedReader(_Hashing(stream, what), _CHUNK)
        with decompressed(packed, what) if piece.packed else nullcontext(packed) as plain:
            yield io.BufferedReader(_Hashing(plain, what, expected=piece.sent), _CHUNK)
