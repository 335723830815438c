"""FAT file systems inside plain files, made with mtools: how large they have to be, and what goes into them.

No root, no loop devices. Everything that mtools would take from the machine (time, time zone, random identifiers,
configuration) is given to it, so the same content gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import programs
from thanos_tui.errors import InputError

SECTOR = 512
LARGEST_FILE = 0xFFFF_FFFF
"""Bytes: FAT's sizes of files have 32 bits."""
_LARGEST_MIB = 2 << 20  # partition tables and FAT32 count sectors in 32 bits
# What BIOSes make of large disks; mformat wants numbers, and so do partition tables.
HEADS, TRACK = 255, 63
# Sectors before the first table.
_RESERVED = 32
# With 4085 to 65524 clusters a file system is a FAT16, with more a FAT32, whatever its header says.
_FAT16_CLUSTERS = 65524
_GIB_SECTORS = (1 << 30) // SECTOR
# From here on, clusters of eight sectors are enough for a FAT32.
_SMALL_SECTORS = (260 << 20) // SECTOR


@dataclass(frozen=True)
class Layout:
    """A file system, counted in sectors."""

    sectors: int
    cluster: int
    fat32: bool

    @property
    def room(self) -> int:
        """Bytes for files, at least."""
        entry = 4 if self.fat32 else 2
        tables = 2 * (self.sectors // self.cluster * entry // SECTOR + 2)
        root = 0 if self.fat32 else 32
        return (self.sectors - _RESERVED - tables - root - self.cluster) * SECTOR


def check_disk(size_mib: int, least_mib: int) -> None:
    """Raise InputError where a disk of ``size_mib`` cannot be made, or does not hold what takes ``least_mib``."""
    if size_mib < least_mib:
        raise InputError(
            f"a disk of {size_mib} MiB is too small: what is on it needs {least_mib} MiB",
            hint=f"make it {least_mib} MiB or more, or give no size",
        )
    if size_mib >= _LARGEST_MIB:
        raise InputError(f"a disk of {size_mib} MiB is too large: less than {_LARGEST_MIB} MiB can be partitioned")


def layout(sectors: int, *, fat32: bool = False) -> Layout:
    """FAT16 for small file systems, FAT32 for others: either needs a number of clusters that the other cannot have.

    fat32: for small ones too, if they have 34 MiB at least.
    """
    if fat32 and sectors < _SMALL_SECTORS:
        return Layout(sectors, 1, fat32=True)
    for cluster in () if fat32 else (4, 8, 16):
        if sectors <= _FAT16_CLUSTERS * cluster:
            return Layout(sectors, cluster, fat32=False)
    return Layout(sectors, 8 if sectors < 8 * _GIB_SECTORS else 32 if sectors < 64 * _GIB_SECTORS else 64, fat32=True)


def make(image: Path, start: int, shape: Layout, serial: bytes, time: int) -> None:
    """Make an empty file system at sector ``start`` of a file that is large enough.

    serial: the four bytes of its serial number. time: of the file system, seconds since 1970.
    Raises HostError where mtools are missing, BuildError where they fail.
    """
    words = ["-T", shape.sectors, "-h", HEADS, "-s", TRACK, "-H", start, "-c", shape.cluster]
    name = ["-N", serial.hex(), "-v", "THANOS", *(["-F"] if shape.fat32 else [])]
    programs.run(["mformat", *_at(image, start), *map(str, words), *name, "::"], env=environment(time))


def copy(image: Path, start: int, name: str, chunks: Iterable[bytes], time: int) -> None:
    """Write the file ``name`` into the file system at sector ``start``; raises as :func:`make` does."""
    programs.feed(["mcopy", *_at(image, start), "-", f"::{name}"], chunks, env=environment(time))


def make_directory(image: Path, start: int, name: str, time: int) -> None:
    """Make a directory, in one that exists, in the file system at sector ``start``; raises as :func:`make` does."""
    programs.run(["mmd", *_at(image, start), f"::{name}"], env=environment(time))


def told(chunks: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    """The same pieces; ``advance`` is told of each one's bytes when it has been taken."""
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def environment(time: int) -> Mapping[str, str]:
    """What mtools, and programs that start them, are to be run with."""
    # syslinux calls mtools by name, which may not be where PATH leads. mtools' settings can come from its files and
    # from the environment; none of them shall.
    return {
        "PATH": f"{os.environ.get('PATH', os.defpath)}:{programs.require('mcopy').parent}",
        "SOURCE_DATE_EPOCH": str(time),
        "TZ": "UTC0",
        "MTOOLSRC": os.devnull,
        "MTOOLS_SKIP_CHECK": "0",
        "MTOOLS_FAT_COMPATIBILITY": "0",
        "MTOOLS_LOWER_CASE": "0",
        "MTOOLS_NO_VFAT": "0",
    }


def _at(image: Path, start: int) -> list[str]:
    # mtools take a backslash for the beginning of something special.
    name = str(image).replace("\\", "\\\\")
    return ["-i", f"{name}@@{start * SECTOR}"]
