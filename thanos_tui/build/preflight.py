"""What can be known before a build starts: programs, space, a place to write to, and memory for booting the result."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui import programs
from thanos_tui.build import disk
from thanos_tui.build.formats import Format
from thanos_tui.errors import HostError, InputError
from thanos_tui.files import nearest_existing, unwritable
from thanos_tui.images import data

if TYPE_CHECKING:
    from thanos_tui.build.initrd import Bootable
    from thanos_tui.build.rootfs import Part

_MIB = 1 << 20
# The kernel, its own data structures, and what init, containerd and a few services take before they do any work.
_SYSTEM_MIB = 160


def check(formats: Collection[Format], directory: Path, name: str, arch: str | None, size_mib: int | None) -> None:
    """Find out what would make a build fail at its end. arch: what it is for; None if nobody knows.

    Raises InputError for a format that does not exist for ``arch``, a size that is none, or a name that cannot be a
    file's; HostError for programs that are missing (all of them at once) and a directory that cannot be written to.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise InputError(f"an output cannot be called {name!r}", hint="give a name without slashes")
    if size_mib is not None and size_mib < 1:
        raise InputError(f"a disk of {size_mib} MiB cannot be made")
    for format_ in formats:
        if format_.arch and arch and arch not in format_.arch:
            raise InputError(
                f"the format {format_.name} exists for {', '.join(format_.arch)} only, not for {arch}",
                hint="choose kernel+initrd",
            )
        if size_mib and format_.largest_mib and size_mib > format_.largest_mib:
            raise InputError(
                f"a disk of {size_mib} MiB is too large for {format_.name}, which goes up to {format_.largest_mib} MiB",
                hint="give a smaller size, or none, or choose another format",
            )
    check_programs(formats)
    if arch:
        for wanted in dict.fromkeys(wanted for format_ in formats for wanted in format_.data):
            data.require(wanted, arch)
    _check_writable(directory)
    for format_ in formats:
        for path in format_.paths(directory, name):
            if path.is_dir():
                raise InputError(f"{path} is a directory, and the format {format_.name} writes a file there")


def check_room(formats: Iterable[Format], parts: Iterable[Part], level: int, cache: Path) -> None:
    """Raise InputError where what is compressed already is too much for a format.

    How small a part gets is known when it has been compressed, and not before; so the first build of parts is told by
    the formats' own checks, when all of them are. As ``cache`` keeps them, a later build of these and others is told
    here, before its own work starts. The kernel's part does not count, as some of it goes beside the initrd. Nor does a
    disk's size that was asked for: who hears that it is too small is to hear what would do, which the parts that are
    known do not tell.
    """
    from thanos_tui.build import blobs, efi, rpi3, segments
    from thanos_tui.build.initrd import Bootable

    kept = segments.sizes(parts, level=level, cache=cache)
    least = sum(size for part, size in kept if part.location != "kernel")
    known = Bootable(blobs.Blob(Path(), 0, ""), None, None, (blobs.Blob(Path(), least, ""),), 0)
    for format_ in formats:
        if format_.name == "rpi3":
            rpi3.check_size(known)
        elif format_.firmware == "bios":
            disk.check(known)
        elif format_.firmware == "efi":
            efi.check(known)


def check_programs(formats: Iterable[Format]) -> None:
    """Raise HostError naming every program that the formats need and that is not installed, and the packages."""
    needed = dict.fromkeys(program for format_ in formats for program in format_.needs)
    missing = [program for program in needed if programs.find(program) is None]
    if missing:
        packages = dict.fromkeys(programs.PACKAGES.get(program, program) for program in missing)
        raise HostError(
            f"not installed: {', '.join(missing)}",
            hint=f"install: apt-get install {' '.join(packages)}; or choose the format kernel+initrd, which needs none",
        )
    if "syslinux" in needed:
        disk.mbr_code()


def ram_needed_mib(system: Bootable) -> int:
    """How much memory (MiB, a multiple of 64) a machine needs to boot this and have a little left; an estimate.

    The kernel unpacks the initrd into a tmpfs, which may take half of the memory, and keeps the packed one until it is
    done. So twice the tree, or the tree, the initrd and what unpacking takes, whichever is more.
    """
    tree, packed = _mib(system.memory), _mib(system.size)
    # 64 MiB: the window that the kernel has to keep to unpack zstd (segments.py).
    least = max(2 * tree, tree + packed + 64) + _SYSTEM_MIB
    return -(-least // 64) * 64


def _check_writable(directory: Path) -> None:
    nearest = nearest_existing(directory)
    if not nearest.is_dir():
        raise InputError(f"{nearest} is not a directory")
    # Asking is not enough: root may write where a read-only file system does not let anybody.
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise unwritable(directory, error) from error


def _mib(size: int) -> int:
    return -(-size // _MIB)
