from __future__ import annotations

import struct
import zlib

import pytest

from thanos_tui.vm.screen import png_of_ppm


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
    assert decode(png_of_ppm(b"P6\n3 2\n255\n" + pixels)) == (3, 2, pixels)


def test_pixels_that_look_like_space_are_no_header() -> None:
    assert decode(png_of_ppm(b"P6\n1 1\n255\n\n\n\n")) == (1, 1, b"\n\n\n")


@pytest.mark.parametrize(
    "ppm", [b"", b"P5\n1 1\n255\n1", b"P6\n1 1\n65535\n123456", b"P6\n2 2\n255\n123", b"P6\n1 1\n255\n1234"]
)
def test_anything_else_is_refused(ppm: bytes) -> None:
    with pytest.raises(ValueError, match="PPM"):
        png_of_ppm(ppm)
