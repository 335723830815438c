"""Pictures as sixels: six rows of pixels at a time, and of those one colour at a time.

Each character is six pixels on top of each other that have the colour or not, as the bits of its code less 63; "!5~"
is "~~~~~", "$" goes back to the left, "-" down to the next six. Pillow scales and chooses the colours, in C.
https://vt100.net/docs/vt3xx-gp/chapter14.html
"""

from __future__ import annotations

import re
from functools import lru_cache

from thanos_tui.vm.screen import Picture

HEIGHT = 6  # rows of pixels in one band
_FEWER = (64, 16)  # colours of pictures that have a great many in every band
_BUSY = 4000  # bands times the colours in each: 4000 take some 100 ms
_REPEATED = re.compile(rb"(.)\1{3,}", re.DOTALL)
_ONLY = [bytes(256)[:number] + b"\1" + bytes(256)[number + 1 :] for number in range(256)]  # one colour: 1, others: 0


def encode(picture: Picture, width: int, height: int, colours: int) -> str:
    """What draws a picture at the cursor, scaled to so many pixels, the height a multiple of six.

    colours: how many there may be, 256 at most. Takes 20 to 120 ms for 800 by 600 pixels, by how many colours meet in
    one band; most of it with Python's lock.
    """
    from PIL import Image

    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    for count in (colours, *(fewer for fewer in _FEWER if fewer < colours)):
        chosen = image.quantize(count, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        pixels = chosen.tobytes()
        bands = [pixels[at : at + width * HEIGHT] for at in range(0, len(pixels), width * HEIGHT)]
        if sum(len(set(band)) for band in bands) <= _BUSY:
            break
    levels = [round(level * 100 / 255) for level in chosen.getpalette() or ()]  # per cent
    palette = b"".join(b"#%d;2;%d;%d;%d" % (number, *levels[number * 3 :][:3]) for number in sorted(set(pixels)))
    drawn = b"-".join(_band(band, width) for band in bands)
    # 7: pixels are square. They are all drawn, so it does not matter what happens to others.
    return (b'\x1bP7;0;0q"1;1;%d;%d%b%b\x1b\\' % (width, height, palette, drawn)).decode("ascii")


@lru_cache(512)  # the next picture is mostly the same
def _band(band: bytes, width: int) -> bytes:
    """Six rows, one after the other, of one byte for each pixel: its colour's number."""
    return b"$".join(b"#%d%b" % (colour, _row(band.translate(_ONLY[colour]), width)) for colour in sorted(set(band)))


def _row(bits: bytes, width: int) -> bytes:
    # A number with a byte for each column: all columns at once, in C.
    total = int.from_bytes(b"?" * width, "big")
    for row in range(HEIGHT):
        total += int.from_bytes(bits[row * width : (row + 1) * width], "big") << row
    return _REPEATED.sub(_shorter, total.to_bytes(width, "big").rstrip(b"?"))


def _shorter(run: re.Match[bytes]) -> bytes:
    return b"!%d%b" % (len(run[0]), run[1])
