from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import eventually

from thanos_tui import vm
from thanos_tui.errors import HostError, MachineError
from thanos_tui.events import Reporter
from thanos_tui.vm import Machine, Picture
from thanos_tui.vm.screen import picture_of_ppm, png


def decode(png: bytes) -> tuple[int, int, bytes]:
    """Size and pixels of a PNG with 8-bit colours and unfiltered rows; checks every checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        body = png[position + 4 : position + 8 + length]
        assert struct.unpack_from(">I", png, position + 8 + length)[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        position += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    rows = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + width * 3
    assert len(rows) == stride * height
    assert {rows[start] for start in range(0, len(rows), stride)} <= {0}
    return width, height, b"".join(rows[start + 1 : start + stride] for start in range(0, len(rows), stride))


def test_every_pixel_comes_through() -> None:
    pixels = bytes(range(3 * 2 * 3))
    picture = picture_of_ppm(b"P6\n3 2\n255\n" + pixels)
    assert picture == Picture(3, 2, pixels)
    assert decode(png(picture)) == (3, 2, pixels)


def test_pixels_that_look_like_space_are_no_header() -> None:
    assert picture_of_ppm(b"P6\n1 1\n255\n\n\n\n") == Picture(1, 1, b"\n\n\n")


@pytest.mark.parametrize(
    "ppm",
    [
        b"",
        b"P5\n1 1\n255\n1",
        b"P6\n1 1\n65535\n123456",
        b"P6\n2 2\n255\n123",
        b"P6\n1 1\n255\n1234",
        b"P6\n0 0\n255\n",
    ],
)
def test_anything_else_is_refused(ppm: bytes) -> None:
    with pytest.raises(ValueError, match="PPM"):
        picture_of_ppm(ppm)


def open_files(process: str) -> list[str]:
    """What a process has open, but for the directory that is read to learn it."""
    names = []
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(each.readlink()))
    return sorted(name for name in names if not name.startswith("/proc/"))


def test_a_picture_leaves_nothing_behind(start: Callable[..., Machine], tmp_path: Path) -> None:
    machine = start("deaf", "up\n")
    vm.wait_for_serial(machine, "up", 120, Reporter())
    before = set(machine.directory.iterdir()), open_files("self")
    pictures = [vm.picture(machine) for _ in range(10)]
    assert (set(machine.directory.iterdir()), open_files("self")) == before
    # QEMU notices a moment later that we have hung up, and then closes what it was lent.
    eventually(lambda: not any("memfd:screen" in name for name in open_files(str(machine.pid))))
    # SeaBIOS has written on the screen: light on black.
    last = pictures[-1]
    assert len(set(last.rgb)) > 1
    vm.screenshot(machine, tmp_path / "screen.png")
    assert decode((tmp_path / "screen.png").read_bytes())[:2] == (last.width, last.height)
    with pytest.raises(HostError, match="cannot write"):
        vm.screenshot(machine, Path("/proc/nowhere/screen.png"))
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError):
        vm.picture(machine)
