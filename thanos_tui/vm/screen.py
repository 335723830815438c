"""Pictures of a machine's screen."""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from pathlib import Path

from thanos_tui.errors import MachineError
from thanos_tui.files import replacing
from thanos_tui.vm.qmp import monitor
from thanos_tui.vm.registry import Machine


def screenshot(machine: Machine, path: Path) -> None:
    """Write what the machine's screen shows to ``path`` as PNG, replacing what is there.

    QEMU writes PNG itself only from 7.1 on and where it was built with it; so it is asked for PPM, which every QEMU
    writes, and the PNG is made here.

    Raises MachineError where the machine does not run or has no screen, HostError where the file cannot be written.
    """
    picture = machine.directory / f"screen-{uuid.uuid4().hex}.ppm"
    try:
        with monitor(machine.directory) as qmp:
            qmp.execute("screendump", {"filename": picture.name}, timeout=30)
        png = png_of_ppm(picture.read_bytes())
    except (OSError, ValueError) as error:
        raise MachineError(f"QEMU gave no picture of {machine.name}: {error}") from error
    finally:
        picture.unlink(missing_ok=True)
    with replacing(path) as stream:
        stream.write(png)


def png_of_ppm(ppm: bytes) -> bytes:
    """A binary PPM picture (P6, 8 bits per colour) as PNG (RFC 2083). Raises ValueError for anything else."""
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    if not head:
        raise ValueError("not a binary PPM picture with 8 bits per colour")
    width, height = int(head[1]), int(head[2])
    pixels = memoryview(ppm)[head.end() :]
    if len(pixels) != width * height * 3:
        raise ValueError("the PPM picture is cut off")
    # Each row is preceded by its filter; 0 is none.
    rows = b"".join(b"\0" + pixels[row * width * 3 : (row + 1) * width * 3] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, colour, no interlacing
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
