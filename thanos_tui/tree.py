"""Members: the entries of a file tree as layers, tar archives and initramfs archives hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from thanos_tui.errors import BuildError

_CHUNK = 1 << 20

# When everything was made that a build makes up: 2017-04-18T16:30:00Z, the time upstream gives to files it makes.
MTIME = 1492533000

Kind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]


@dataclass(frozen=True)
class Member:
    """One entry of a tree.

    name: its path without a leading or trailing slash; ``"."`` is the root itself.
    mode: permission bits (``0o7777`` at most), without the file type.
    mtime: seconds since 1970; archives that cannot hold fractions cut them off.
    linkname: the target of a symlink as written, or the ``name`` of the member a hard link shares its content with.
    size: bytes of content (files only).
    device: (major, minor) of a device node.
    pax: further PAX records that a tar archive keeps (POSIX.1-2017, pax).
    open: gives the content as a stream. A member that comes from a running archive can be read only until the next
        member is asked for, and only once.
    """

    name: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    linkname: str = ""
    size: int = 0
    device: tuple[int, int] = (0, 0)
    pax: Mapping[str, str] = field(default_factory=dict)
    open: Callable[[], BinaryIO] | None = field(default=None, compare=False, repr=False)


def content(member: Member) -> Iterator[bytes]:
    """What is in a file, in pieces of a mebibyte at most; raises BuildError unless it is as long as its member says."""
    left = member.size
    if member.open is None:
        raise BuildError(f"{member.name} has a size and no content")
    with member.open() as stream:
        while left:
            data = stream.read(min(left, _CHUNK))
            if not data:
                raise BuildError(f"{member.name} is {left} bytes shorter than it should be")
            left -= len(data)
            yield data
        if stream.read(1):
            raise BuildError(f"{member.name} is longer than the {member.size} bytes it should have")
