"""Pictures of a machine's screen."""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.errors import MachineError
from thanos_tui.files import replacing
from thanos_tui.vm.qmp import monitor
from thanos_tui.vm.registry import Machine


@dataclass(frozen=True)
class Picture:
    """What a screen shows: three bytes (red, green, blue) for each pixel, row by row from the top left."""

    width: int
    height: int
    rgb: bytes


def picture(machine: Machine) -> Picture:
    """What a machine's screen shows now: some 4 ms for a text screen, in memory only.

    QEMU writes to a file of memory that it is handed over the monitor's socket, so nothing is left on a disk however
    this ends. It is asked for PPM: PNG it writes only from 7.1 on and where it was built with it.

    Raises MachineError where the machine does not run or has no screen.
    """
    held = os.memfd_create("screen", os.MFD_CLOEXEC)
    try:
        with monitor(machine.directory) as qmp:
            # QEMU takes a descriptor only for what it was opened for: writing, and nothing else.
            theirs = os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                lent = qmp.execute("add-fd", descriptor=theirs)["fdset-id"]
            finally:
                os.close(theirs)
            # It gives the descriptor back when this conversation ends.
            qmp.execute("screendump", {"filename": f"/dev/fdset/{lent}"}, timeout=30)
        return picture_of_ppm(os.pread(held, os.fstat(held).st_size, 0))
    except (OSError, ValueError) as error:
        raise MachineError(f"QEMU gave no picture of {machine.name}: {error}") from error
    finally:
        os.close(held)


def screenshot(machine: Machine, path: Path) -> None:
    """Write what the machine's screen shows to ``path`` as PNG, replacing what is there.

    Raises MachineError where the machine does not run or has no screen, HostError where the file cannot be written.
    """
    data = png(picture(machine))
    with replacing(path) as stream:
        stream.write(data)


def picture_of_ppm(ppm: bytes) -> Picture:
    """A binary PPM picture (P6, 8 bits per colour). Raises ValueError for anything else."""
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    if not head:
        raise ValueError("not a binary PPM picture with 8 bits per colour")
    width, height = int(head[1]), int(head[2])
    if not width or not height or len(ppm) - head.end() != width * height * 3:
        raise ValueError("the PPM picture is cut off")
    return Picture(width, height, ppm[head.end() :])


def png(of: Picture) -> bytes:
    """A picture as PNG (RFC 2083)."""
    stride = of.width * 3
    pixels = memoryview(of.rgb)
    # Each row is preceded by its filter; 0 is none.
    rows = b"".join(b"\0" + pixels[row * stride : (row + 1) * stride] for row in range(of.height))
    header = struct.pack(">IIBBBBB", of.width, of.height, 8, 2, 0, 0, 0)  # 8 bits, colour, no interlacing
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
