"""Disk images that a BIOS boots: a partition table, one FAT file system, and SYSLINUX in it.

Made with mtools (fat.py) and syslinux, which work on plain files: no root, no loop devices. The same content gives the
same bytes.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from thanos_tui import programs
from thanos_tui.build import fat
from thanos_tui.build.fat import SECTOR
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import HostError, InputError

# Where everybody aligns partitions, and where firmware expects them.
_START = 2048
_MIB = 1 << 20
# ldlinux.sys and ldlinux.c32 (180 KiB), syslinux.cfg, and what all files lose in their last clusters.
_LOADER = 512 << 10
# A kernel's command line (COMMAND_LINE_SIZE, x86) and SYSLINUX's buffer for it are as long, less what SYSLINUX adds.
_CMDLINE = 2000
# So that even the smallest FAT16 has the clusters that make it one.
_SMALLEST = 16


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
    if system.kernel.size > fat.LARGEST_FILE or system.size > fat.LARGEST_FILE:
        raise InputError(
            f"the initrd has {system.size // _MIB} MiB, and a FAT file system holds files of up to 4095 MiB",
            hint="choose the format kernel+initrd, or leave components out",
        )
    length = len(system.command_line.encode())
    if length > _CMDLINE:
        raise InputError(f"the kernel's command line has {length} bytes, and a disk's may have {_CMDLINE}")
    if size_mib is not None:
        fat.check_disk(size_mib, smallest_mib(system))


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
    fat.make(image, _START, layout, identity[4:8], time)
    # SYSLINUX first: what the BIOS has to read is then at the start of the disk.
    programs.run(["syslinux", "--offset", str(_START * SECTOR), "--install", image], env=fat.environment(time))
    files: dict[str, Iterable[bytes]] = {
        "syslinux.cfg": [configuration(system.command_line).encode()],
        "kernel": system.kernel.chunks() if system.kernel else [],
        "initrd.img": system.initrd(),
    }
    for file, chunks in files.items():
        fat.copy(image, _START, file, fat.told(chunks, advance), time)
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


def _layout(size_mib: int) -> fat.Layout:
    return fat.layout(size_mib * _MIB // SECTOR - _START)


def _partition_table(code: bytes, layout: fat.Layout, identity: bytes) -> bytes:
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
    cylinder, rest = divmod(sector, fat.HEADS * fat.TRACK)
    if cylinder > 1023:
        # Beyond what these three bytes can say.
        return b"\xfe\xff\xff"
    head, number = divmod(rest, fat.TRACK)
    return bytes((head, number + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))


def _copy_boot_sectors(image: Path) -> None:
    # A FAT32 has a copy of its first sectors six sectors on. syslinux changes the first and not the copy, which
    # checkers take for damage, and repair programs for the truth.
    with image.open("r+b") as stream:
        stream.seek(_START * SECTOR)
        boot = stream.read(2 * SECTOR)
        stream.seek((_START + 6) * SECTOR)
        stream.write(boot)
