"""Disk images that a BIOS boots: a partition table, one FAT file system, and SYSLINUX in it.

Made with mtools and syslinux, which work on plain files: no root, no loop devices. Everything that these programs would
take from the machine (time, time zone, random identifiers, configuration) is given to them, so the same content gives
the same bytes.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import programs
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import HostError, InputError

SECTOR = 512
# Where everybody aligns partitions, and where firmware expects them.
_START = 2048
_MIB = 1 << 20
# What BIOSes make of large disks; mformat wants numbers, SYSLINUX uses sector numbers instead where it can.
_HEADS, _TRACK = 255, 63
_RESERVED = 32
# ldlinux.sys and ldlinux.c32 (180 KiB), syslinux.cfg, and what all files lose in their last clusters.
_LOADER = 512 << 10
# A kernel's command line (COMMAND_LINE_SIZE, x86) and SYSLINUX's buffer for it are as long, less what SYSLINUX adds.
_CMDLINE = 2000
# FAT's sizes of files and of partitions have 32 bits (bytes, sectors).
_FILE = 0xFFFF_FFFF
_DISK_MIB = 2 << 20
# So that even the smallest FAT16 has the clusters that make it one.
_SMALLEST = 16


@dataclass(frozen=True)
class _Layout:
    """A partition and the file system in it, counted in sectors."""

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


def smallest_mib(system: Bootable) -> int:
    """The least size (MiB) of a disk that holds this."""
    need = _needed(system)
    size = max(_SMALLEST, need // _MIB + 2)
    while _layout(size).room < need:
        size += 1
    return size


def check(system: Bootable, size_mib: int | None = None) -> None:
    """Raise InputError where no disk, or none of ``size_mib``, can hold and boot this."""
    if system.kernel is None:
        raise InputError("a disk cannot boot without a kernel", hint="name one, or choose the format tar")
    if system.kernel.size > _FILE or system.size > _FILE:
        raise InputError(
            f"the initrd has {system.size // _MIB} MiB, and a FAT file system holds files of up to 4095 MiB",
            hint="choose the format kernel+initrd, or leave components out",
        )
    line = _line(system)
    if len(line.encode()) > _CMDLINE:
        raise InputError(f"the kernel's command line has {len(line.encode())} bytes, and a disk's may have {_CMDLINE}")
    if size_mib is not None:
        least = smallest_mib(system)
        if size_mib < least:
            raise InputError(
                f"a disk of {size_mib} MiB is too small: what is on it needs {least} MiB",
                hint=f"make it {least} MiB or more, or give no size",
            )
        if size_mib >= _DISK_MIB:
            raise InputError(f"a disk of {size_mib} MiB is too large: less than {_DISK_MIB} MiB can be partitioned")


def write(image: Path, system: Bootable, size_mib: int, time: int, advance: Callable[[int], None]) -> None:
    """Fill the empty file ``image`` with a disk of ``size_mib``; ``advance`` is told of bytes that are done.

    The file has holes where the disk is empty. Space for what is not empty is taken at once, so that a full file system
    shows before work starts. time: of all files, seconds since 1970.

    Raises InputError (see :func:`check`), OSError where space is missing, HostError where programs are, BuildError
    where they fail, blobs.Damaged.
    """
    check(system, size_mib)
    layout = _layout(size_mib)
    code = mbr_code()
    identity = system.identity
    with image.open("r+b") as stream:
        stream.truncate(size_mib * _MIB)
        os.posix_fallocate(stream.fileno(), 0, _START * SECTOR + _needed(system))
        stream.write(_partition_table(code, layout, identity))
    at = ["-i", f"{image}@@{_START * SECTOR}"]
    shape = ["-T", layout.sectors, "-h", _HEADS, "-s", _TRACK, "-H", _START, "-c", layout.cluster]
    name = ["-N", identity[4:8].hex(), "-v", "THANOS"]
    env = _environment(time)
    programs.run(["mformat", *at, *map(str, shape), *name, *(["-F"] if layout.fat32 else []), "::"], env=env)
    # SYSLINUX first: what the BIOS has to read is then at the start of the disk.
    programs.run(["syslinux", "--offset", str(_START * SECTOR), "--install", image], env=env)
    files: dict[str, Iterable[bytes]] = {
        "syslinux.cfg": [configuration(_line(system)).encode()],
        "kernel": system.kernel.chunks() if system.kernel else [],
        "initrd.img": system.initrd(),
    }
    for file, chunks in files.items():
        programs.feed(["mcopy", *at, "-", f"::{file}"], _told(chunks, advance), env=env)
    if layout.fat32:
        _copy_boot_sectors(image)


def configuration(cmdline: str) -> str:
    """``syslinux.cfg``: boot at once, and speak on the serial console too if ``cmdline`` (one line) names one."""
    text = ""
    serial = re.search(r"(?:^|\s)console=ttyS(\d)(?:,(\d+))?", cmdline)
    if serial:
        text += f"SERIAL {serial[1]} {serial[2] or 115200}\n"
    text += "PROMPT 0\nDEFAULT linux\nLABEL linux\n  KERNEL /kernel\n  INITRD /initrd.img\n"
    return text + (f"  APPEND {cmdline}\n" if cmdline else "")


def mbr_code() -> bytes:
    """SYSLINUX's boot code for the master boot record; raises HostError where its package is not installed."""
    program = programs.require("syslinux")
    # Beside the program, should it not be installed in /usr; then as Debian, Fedora and Arch have it.
    for above in dict.fromkeys((program.resolve().parents[1], Path("/usr"))):
        for place in ("lib/syslinux/mbr/mbr.bin", "share/syslinux/mbr.bin", "lib/syslinux/bios/mbr.bin"):
            try:
                code = (above / place).read_bytes()
            except OSError:
                continue
            if 0 < len(code) <= 440:
                return code
    raise HostError("SYSLINUX's mbr.bin is not installed", hint="install it: apt-get install syslinux-common")


def _needed(system: Bootable) -> int:
    return (system.kernel.size if system.kernel else 0) + system.size + _LOADER


def _layout(size_mib: int) -> _Layout:
    """FAT16 for small partitions, FAT32 for others: either needs a number of clusters that the other cannot have.

    With 4085 to 65524 clusters a file system is a FAT16, with more a FAT32, whatever its header says.
    """
    sectors = size_mib * _MIB // SECTOR - _START
    for most, cluster in ((128, 4), (256, 8), (512, 16)):
        if size_mib <= most:
            return _Layout(sectors, cluster, fat32=False)
    return _Layout(sectors, 8 if size_mib <= 8192 else 32 if size_mib <= 65536 else 64, fat32=True)


def _partition_table(code: bytes, layout: _Layout, identity: bytes) -> bytes:
    entry = struct.pack(
        "<B3sB3sII",
        0x80,  # the one to boot
        _chs(_START),
        0x0C if layout.fat32 else 0x0E,
        _chs(_START + layout.sectors - 1),
        _START,
        layout.sectors,
    )
    return code.ljust(440, b"\0") + identity[:4] + b"\0\0" + entry.ljust(64, b"\0") + b"\x55\xaa"


def _chs(sector: int) -> bytes:
    cylinder, rest = divmod(sector, _HEADS * _TRACK)
    if cylinder > 1023:
        # Beyond what these three bytes can say.
        return b"\xfe\xff\xff"
    head, number = divmod(rest, _TRACK)
    return bytes((head, number + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))


def _copy_boot_sectors(image: Path) -> None:
    # A FAT32 has a copy of its first sectors six sectors on. syslinux changes the first and not the copy, which
    # checkers take for damage, and repair programs for the truth.
    with image.open("r+b") as stream:
        stream.seek(_START * SECTOR)
        boot = stream.read(2 * SECTOR)
        stream.seek((_START + 6) * SECTOR)
        stream.write(boot)


def _told(chunks: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def _line(system: Bootable) -> str:
    # A command line may be written as several lines; syslinux.cfg has one for it.
    return " ".join(system.cmdline.read().decode("utf-8", "replace").split()) if system.cmdline else ""


def _environment(time: int) -> Mapping[str, str]:
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
