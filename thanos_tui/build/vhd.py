"""The footer that makes a disk image a VHD (Microsoft, "Virtual Hard Disk Image Format Specification" 1.0).

Written here and not by qemu-img, because a footer has a time and an identifier in it: ours come from the content, so
the same content gives the same bytes, and different disks are different to VirtualBox.
"""

from __future__ import annotations

import struct

SIZE = 512
# Seconds from 1970 to 2000, where a VHD's time starts.
_EPOCH = 946684800
_FIXED, _DYNAMIC = 2, 3
# Of the header that only dynamic VHDs have: none, or right behind the copy of the footer.
_NO_OFFSET, _OFFSET = 0xFFFF_FFFF_FFFF_FFFF, SIZE


def footer(size: int, identity: bytes, time: int, *, dynamic: bool = False) -> bytes:
    """The last 512 bytes of a VHD.

    size: bytes of the disk. identity: 16 bytes that name it. time: seconds since 1970. dynamic: whether it is a VHD
    that grows, whose first 512 bytes are these too.
    """
    cylinders, heads, sectors = geometry(size // 512)
    # Readers disagree on whether the size or the geometry, which can only say about so much, is the disk's true size;
    # QEMU goes by this field, and takes the size if it says "win " (Hyper-V's mark). VirtualBox always takes the size.
    creator = b"win "
    fields = (
        b"conectix",
        2,  # features: none, but this bit is always set
        0x0001_0000,  # version of the format
        _OFFSET if dynamic else _NO_OFFSET,
        time - _EPOCH,
        creator,
        0x000A_0000,
        b"Wi2k",
        size,  # at first
        size,  # now
        cylinders,
        heads,
        sectors,
        _DYNAMIC if dynamic else _FIXED,
    )
    head = struct.pack(">8sIIQI4sI4sQQHBBI", *fields)
    # The checksum is the ones' complement of the sum of all other bytes.
    checksum = ~(sum(head) + sum(identity)) & 0xFFFF_FFFF
    return (head + struct.pack(">I16sB", checksum, identity, 0)).ljust(SIZE, b"\0")


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track for a disk, by the specification's appendix; never more than there are."""
    total = min(sectors, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        track, heads = 255, 16
        return total // track // heads, heads, track
    track = 17
    rows = total // track
    heads = max(4, (rows + 1023) // 1024)
    if rows >= heads * 1024 or heads > 16:
        track, heads = 31, 16
        rows = total // track
    if rows >= heads * 1024:
        track, heads = 63, 16
        rows = total // track
    return rows // heads, heads, track
