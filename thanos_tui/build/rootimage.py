"""The root filesystem as a read-only file system in a file: SquashFS, EROFS, ISO 9660.

The programs that make them want a directory. It is unpacked beside the output under fakeroot, which remembers owners
and devices that only root could give to files, and shows them to the program that follows. (Extended attributes are
left out: fakeroot 1.31 takes a file whose attributes are set for one of no kind.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from thanos_tui import programs, tarball
from thanos_tui.build import isobios, virtual
from thanos_tui.errors import HostError
from thanos_tui.tree import Member

# xorriso counts places with 32 bits, and puts the highest first.
_LAST = 2_000_000_000
# Everything that a later program could see of the clock, or of who calls it, is taken away before both are run.
_SCRIPT = """
unset SOURCE_DATE_EPOCH TAR_OPTIONS MKSQUASHFS_OPTIONS
tar --extract --preserve-permissions --same-owner --numeric-owner --no-xattrs --delay-directory-restore \
    --warning=no-unknown-keyword --directory="$1" && shift && exec "$@" >&2
"""


def write(
    tree: Iterable[Member], image: Path, form: str, identity: bytes, time: int, advance: Callable[[int], None]
) -> None:
    """Make an image of a merged tree (merged.py); form: a key of ``FORMS``.

    identity: 16 bytes that name the content. time: when the file system was made, seconds since 1970. advance: is told
    of bytes that have been unpacked. Raises HostError where programs or space are missing, BuildError where one fails,
    and what reading the tree raises.
    """
    prefix = f"{image.name.removesuffix('.part')}-"
    with tempfile.TemporaryDirectory(prefix=prefix, suffix=".part", dir=image.parent) as place:
        root, order = Path(place) / "root", Path(place) / "order"
        root.mkdir()
        root.chmod(0o755)  # whatever the umask
        words = FORMS[form](root, image, identity, time)
        program = programs.require(words[0])

        def archive() -> Iterable[bytes]:
            with order.open("w", encoding="utf-8", errors="surrogateescape") as listing:
                for chunk in tarball.chunks(_listed(tree, listing)):
                    yield chunk
                    advance(len(chunk))

        env = {"TZ": "UTC0"}
        programs.feed([*_fakeroot(), "sh", "-c", _SCRIPT, "sh", root, program, *words[1:]], archive(), env=env)


def _squashfs(root: Path, image: Path, _identity: bytes, time: int) -> list[str]:
    # SquashFS has no identifier. With -mem its queues do not take a quarter of the machine's memory.
    settled = ["-noappend", "-no-progress", "-quiet", "-mkfs-time", str(time), "-mem", "256M"]
    return ["mksquashfs", str(root), str(image), *settled, "-comp", "zstd", "-Xcompression-level", "15", "-b", "256K"]


def _erofs(root: Path, image: Path, identity: bytes, time: int) -> list[str]:
    # One time for all files: then each of them takes a small inode, which has no room for one of its own.
    return [
        "mkfs.erofs",
        "-zlz4hc,12",
        "-C65536",
        f"-T{time}",
        "-U",
        str(virtual.uuid(identity)),
        str(image),
        str(root),
    ]


def _iso(root: Path, image: Path, _identity: bytes, time: int) -> list[str]:
    # Rock Ridge holds names, owners and devices. Directories stay where they are, however deep.
    weights = ["--sort-weight-list", str(root.with_name("order"))]
    return isobios.command(["-R", "-D", *weights, str(root)], image, time)


def _listed(tree: Iterable[Member], listing: TextIO) -> Iterator[Member]:
    """The members, of which each file gets a line: its place among all of them, and its name.

    The order of files in an ISO 9660 would come from their inode numbers, if no other were given.
    """
    place = _LAST
    for member in tree:
        yield member
        if member.kind == "file" and "\n" not in member.name:
            place -= 1
            listing.write(f"{place} /{member.name}\n")


FORMS: Mapping[str, Callable[[Path, Path, bytes, int], list[str]]] = {
    "squashfs": _squashfs,
    "erofs": _erofs,
    "iso": _iso,
}
"""The command that makes each kind of image of a directory."""


def _fakeroot() -> list[str | Path]:
    # Its own paths are those of an installed package; it may be in the cache (images/tools.py).
    program = programs.require("fakeroot-sysv")
    library = next(program.resolve().parents[1].glob("lib/*/libfakeroot/libfakeroot-sysv.so"), None)
    if library is None:
        raise HostError("libfakeroot is not installed", hint="install it: apt-get install libfakeroot fakeroot")
    return [program, "--lib", library, "--faked", programs.require("faked-sysv"), "--"]
