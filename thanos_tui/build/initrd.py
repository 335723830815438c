"""An initrd: segments put end to end, with what they need of each other between them.

What counts is what the kernel makes of it (``init/initramfs.c``). It drops a file whose directory is not there, keeps a
directory that a link was to replace, and writes a file that comes again over the old one, with all its names. So the
tree is followed here as it grows; what can be mended is, by small archives between the segments, and what cannot is
refused instead of giving a machine that boots with files missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from thanos_tui.build import blobs, cpio, segments
from thanos_tui.build.segments import Segment
from thanos_tui.errors import BuildError
from thanos_tui.tree import MTIME, Kind, Member

# The kernel gives up after as many symbolic links in one path.
_LINKS = 40


@dataclass(frozen=True)
class Bootable:
    """What a machine boots: kernel and command line (either may be missing), and the initrd in pieces.

    memory: bytes that the initrd takes unpacked. device_trees: by their names below ``boot/dtb/``.
    """

    kernel: blobs.Blob | None
    cmdline: blobs.Blob | None
    ucode: blobs.Blob | None
    pieces: tuple[blobs.Blob | bytes, ...]
    memory: int
    device_trees: Mapping[str, blobs.Blob] = field(default_factory=dict)

    @property
    def segments_size(self) -> int:
        """Bytes of the initrd without microcode."""
        return sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes of the initrd, microcode included."""
        return self.segments_size + (self.ucode.size + -self.ucode.size % 4 if self.ucode else 0)

    @property
    def total(self) -> int:
        """Bytes of kernel, initrd and command line."""
        return self.size + sum(blob.size for blob in (self.kernel, self.cmdline) if blob)

    @property
    def command_line(self) -> str:
        """The kernel's command line on one line; it may be written as several."""
        return " ".join(self.cmdline.read().decode("utf-8", "replace").split()) if self.cmdline else ""

    @property
    def identity(self) -> bytes:
        """32 bytes that name the content: two of these with the same one are the same, byte for byte."""
        digest = hashlib.sha256()
        for blob in (self.kernel, self.cmdline, self.ucode):
            digest.update((blob.sha256 if blob else "").encode() + b"\n")
        for piece in self.pieces:
            digest.update((hashlib.sha256(piece).hexdigest() if isinstance(piece, bytes) else piece.sha256).encode())
        for name, blob in sorted(self.device_trees.items()):
            digest.update(f"{name} {blob.sha256}\n".encode())
        return digest.digest()

    def initrd(self) -> Iterator[bytes]:
        """The initrd: microcode first, uncompressed, where the kernel looks for it; then the segments.

        Raises blobs.Damaged if the cache was changed on the disk, which can show late; so does :meth:`segments`.
        """
        if self.ucode:
            yield from self.ucode.chunks()
            yield b"\0" * (-self.ucode.size % 4)
        yield from self.segments()

    def segments(self) -> Iterator[bytes]:
        """The initrd without microcode."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.chunks()


def join(ready: Iterable[Segment]) -> Bootable:
    """Put segments together; between them go the directories and corrections that they need of each other.

    Raises BuildError where parts contradict each other in a way that would lose files at boot; both are named.
    """
    tree = _Tree()
    pieces: list[blobs.Blob | bytes] = []
    boot: dict[str, blobs.Blob] = {}
    memory = 0
    for segment in ready:
        between = tree.add(segment)
        if between:
            pieces.append(_pack_small(between))
        pieces.append(segment.blob)
        memory += segment.survey.memory
        boot.update(segment.boot)
    # An empty command line is none: LinuxKit writes no file for it either.
    given = {name: blob for name, blob in boot.items() if blob.size}
    kernel, cmdline, ucode = (given.get(f"boot/{name}") for name in ("kernel", "cmdline", "ucode.cpio"))
    trees = {name: blob for name, blob in boot.items() if name.startswith("boot/dtb/")}
    return Bootable(kernel, cmdline, ucode, tuple(pieces), memory, trees)


class _Tree:
    """The root filesystem as it grows, segment after segment: what is where, and who put it there."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}
        self._others: dict[str, tuple[str, Kind]] = {}
        self._targets: dict[str, str] = {}
        self._occupied: set[str] = set()
        self._shared: set[str] = set()

    def add(self, segment: Segment) -> list[Member]:
        """Take in a segment; the answer is what has to come before it."""
        survey, who = segment.survey, segments.name(segment.part)
        between: list[Member] = []
        through: dict[str, str] = {}
        for name in survey.needs:
            self._ensure(name, who, between)
            real = self._real(name)
            self._occupied.add(real)
            if real != name:
                through[name] = real

        def place(name: str) -> str:
            # Where the kernel puts a name: mostly there, but a link of another part may be on the way.
            above, slash, last = name.rpartition("/")
            return f"{self._real(above)}/{last}".lstrip("/") if through and slash else name

        for name in map(place, survey.directories):
            self._add_directory(name, who)
        placed: dict[str, str] = {}
        for given, kind in survey.others.items():
            name = place(given)
            if placed.setdefault(name, given) != given:
                raise BuildError(f"{who} has both {placed[name]} and {given}, which a link in another part makes one")
            self._add_other(name, kind, who, between)
        for name, target in survey.targets.items():
            self._targets[place(name)] = target
        for first, names in survey.groups.items():
            self._shared.update(map(place, (first, *names)))
        for name, real in through.items():
            if self._real(name) != real:
                raise BuildError(f"{who} has files in {name}, and replaces the link that leads there")
        return between

    def _add_directory(self, name: str, who: str) -> None:
        other = self._others.get(name)
        if other and other[1] == "symlink" and self._real(f"{name}/.") in self._directories:
            # The kernel would put an empty directory in the place of the link, and so cut off what is behind it.
            raise self._clash(name, f"has {name} as a directory", who)
        self._others.pop(name, None)
        self._targets.pop(name, None)
        self._directories.setdefault(name, who)
        self._occupied.add(name.rpartition("/")[0])

    def _add_other(self, name: str, kind: Kind, who: str, between: list[Member]) -> None:
        if name in self._occupied and name in self._directories:
            # The kernel cannot remove a directory with something in it, and would leave the file out.
            raise BuildError(
                f"{name} is a {kind} in {who}, and a directory with something in it in {self._directories[name]}",
                hint="one of the two has to go, or to move",
            )
        self._directories.pop(name, None)
        if name in self._shared or (kind in ("char", "block") and name in self._others):
            # The kernel writes a file that comes again over the old one, which other names may share, and leaves a
            # device as it is. What is of another kind, such as a link, is removed first.
            between.append(Member(name, "symlink", linkname="replaced", mtime=MTIME))
            self._shared.discard(name)
        self._others[name] = (who, kind)
        self._targets.pop(name, None)
        self._occupied.add(name.rpartition("/")[0])

    def _ensure(self, name: str, who: str, between: list[Member]) -> None:
        """Have the directory ``name``, made up if nobody has brought it so far, and what it is in."""
        above = name.rpartition("/")[0]
        if above:
            self._ensure(above, who, between)
        real = self._real(name)
        if real in self._directories:
            return
        if real in self._others:
            raise self._clash(name, f"has files in {name}", who)
        if real != name:
            # Where a link leads, there may be nothing yet.
            self._ensure(real, who, between)
            return
        between.append(Member(name, "dir", mode=0o755, mtime=MTIME))
        self._directories[name] = who
        self._occupied.add(above)

    def _real(self, name: str) -> str:
        """``name`` with the symlinks on its way followed; as it is where they lead in circles."""
        steps, found = name.split("/")[::-1], ""
        followed = 0
        while steps:
            step = steps.pop()
            if step in ("", "."):
                continue
            if step == "..":
                found = found.rpartition("/")[0]
                continue
            here = f"{found}/{step}" if found else step
            target = self._targets.get(here)
            if target is None:
                found = here
                continue
            followed += 1
            if followed > _LINKS:
                return name
            if target.startswith("/"):
                found = ""
            steps += target.split("/")[::-1]
        return found

    def _clash(self, name: str, what: str, who: str) -> BuildError:
        other, kind = self._others[name if name in self._others else self._real(name)]
        return BuildError(
            f"{who} {what}, which is a {kind} in {other}: at boot, files would be missing",
            hint=f"put it where the link leads, {self._targets[name]}" if name in self._targets else None,
        )


def _pack_small(members: list[Member]) -> bytes:
    import zstandard

    packed = zstandard.ZstdCompressor(level=segments.LEVEL, write_checksum=True)
    data = packed.compress(b"".join(cpio.archive(members, cpio.survey(members))))
    return data + b"\0" * (-len(data) % 4)
