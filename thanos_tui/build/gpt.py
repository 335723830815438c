"""GUID partition tables (UEFI specification 2.10, chapter 5) for a disk with one partition, which EFI boots from."""

from __future__ import annotations

import struct
import uuid
import zlib
from pathlib import Path

from thanos_tui.build.fat import SECTOR

START = 2048
"""The partition's first sector: where everybody aligns partitions."""
# 128 entries of 128 bytes: the least there must be room for.
_ENTRIES, _ENTRY = 128, 128
_TABLE = _ENTRIES * _ENTRY // SECTOR
_SYSTEM_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ALIGNMENT = 2048


def partition_sectors(sectors: int) -> int:
    """How long the partition is on a disk of so many sectors: whole MiB, and the second table comes after it."""
    return (sectors - START - _TABLE - 1) // _ALIGNMENT * _ALIGNMENT


def write(image: Path, sectors: int, identity: bytes) -> None:
    """Write both tables, and the protective one, to a file of ``sectors``.

    identity: 32 bytes that name the disk's content; its identifiers are made from them.
    """
    entries = _entry(partition_sectors(sectors), identity[16:32]).ljust(_ENTRIES * _ENTRY, b"\0")
    last = sectors - 1
    with image.open("r+b") as stream:
        stream.write(_protective(sectors))
        stream.write(_header(1, last, 2, sectors, entries, identity[:16]) + entries)
        stream.seek((last - _TABLE) * SECTOR)
        stream.write(entries + _header(last, 1, last - _TABLE, sectors, entries, identity[:16]))


def _entry(length: int, identity: bytes) -> bytes:
    name = "EFI System Partition".encode("utf-16-le")
    return struct.pack("<16s16sQQQ72s", _SYSTEM_PARTITION.bytes_le, _guid(identity), START, START + length - 1, 0, name)


def _header(here: int, other: int, table: int, sectors: int, entries: bytes, identity: bytes) -> bytes:
    """The header at sector ``here``, whose copy is at ``other`` and whose entries begin at ``table``."""

    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x0001_0000,
            92,
            checksum,
            0,
            here,
            other,
            2 + _TABLE,
            sectors - 2 - _TABLE,
            _guid(identity),
            table,
            _ENTRIES,
            _ENTRY,
            zlib.crc32(entries),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")


def _protective(sectors: int) -> bytes:
    """A master boot record that keeps programs which know no GPT from taking the disk for an empty one."""
    entry = struct.pack("<B3sB3sII", 0, b"\0\x02\0", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFF_FFFF))
    return b"\0" * 446 + entry.ljust(64, b"\0") + b"\x55\xaa"


def _guid(identity: bytes) -> bytes:
    """A GUID from 16 bytes, marked as one that was not made from a clock, as its fields lie on a disk."""
    return uuid.UUID(bytes=identity, version=4).bytes_le
