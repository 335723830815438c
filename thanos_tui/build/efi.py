"""Disks and optical discs that EFI boots: a FAT file system with one unified kernel image where firmware looks for it.

A disk has a GPT with that file system as its EFI system partition, made without root as disk.py makes its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.build import fat, gpt, uki
from thanos_tui.build.fat import SECTOR
from thanos_tui.build.initrd import Bootable

_MIB = 1 << 20
# The names that firmware looks for on a disk it has no boot entry for (UEFI specification, 3.5.1.1).
PROGRAMS = {"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}
# What directories, the stub, section headers, and files in their last clusters take.
_EXTRA = 1 << 20
# The firmware of a system partition may count on FAT32, and the smallest of these has some 32 MiB.
_SMALLEST = 36


def smallest_mib(system: Bootable) -> int:
    """The least size (MiB) of a disk that holds this."""
    size = max(_SMALLEST, _needed(system) // _MIB + 3)
    while _layout(size).room < _needed(system):
        size += 1
    return size


def check(system: Bootable, size_mib: int | None = None) -> None:
    """Raise InputError where no disk, or none of ``size_mib``, can hold and boot this."""
    uki.check(system)
    if size_mib is not None:
        fat.check_disk(size_mib, smallest_mib(system))


@dataclass(frozen=True)
class Program:
    """What firmware is to start: an EFI program for an architecture, its size in bytes, and its content, read once."""

    arch: str
    size: int
    chunks: Iterable[bytes]


def write(image: Path, system: Bootable, size_mib: int, time: int, advance: Callable[[int], None]) -> None:
    """Fill the empty file ``image`` with a disk of ``size_mib``; as disk.write(), and raises as it does and as
    :func:`thanos_tui.build.uki.image` does.
    """
    check(system, size_mib)
    kernel = uki.image(system)
    sectors = size_mib * _MIB // SECTOR
    _allocate(image, sectors * SECTOR, gpt.START * SECTOR + kernel.size + _EXTRA)
    gpt.write(image, sectors, system.identity)
    program = Program(kernel.arch, kernel.size, fat.told(kernel.chunks(), advance))
    _fill(image, gpt.START, _layout(size_mib), program, system.identity, time)


def write_partition(image: Path, program: Program, identity: bytes, time: int) -> None:
    """Fill the empty file ``image`` with the file system alone, as small as it can be.

    identity: names the content, as a system's; otherwise as :func:`write`.
    """
    needed = program.size + _EXTRA
    mib = needed // _MIB + 1
    while (shape := fat.layout(mib * _MIB // SECTOR)).room < needed:
        mib += 1
    _allocate(image, mib * _MIB, needed)
    _fill(image, 0, shape, program, identity, time)


def _fill(image: Path, start: int, shape: fat.Layout, program: Program, identity: bytes, time: int) -> None:
    fat.make(image, start, shape, identity[4:8], time)
    for directory in ("EFI", "EFI/BOOT"):
        fat.make_directory(image, start, directory, time)
    fat.copy(image, start, f"EFI/BOOT/{PROGRAMS[program.arch]}", program.chunks, time)


def _allocate(image: Path, size: int, used: int) -> None:
    """Make a file of this size whose first part has its space for certain; the rest is a hole."""
    with image.open("r+b") as stream:
        stream.truncate(size)
        os.posix_fallocate(stream.fileno(), 0, min(size, used))


def _layout(size_mib: int) -> fat.Layout:
    return fat.layout(gpt.partition_sectors(size_mib * _MIB // SECTOR), fat32=True)


def _needed(system: Bootable) -> int:
    return (system.kernel.size if system.kernel else 0) + system.size + _EXTRA
