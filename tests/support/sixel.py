"""What a terminal makes of sixels, as far as DEC's manual says and the app uses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

PICTURE = re.compile(r"\x1b7\x1b\[(?P<row>\d+);(?P<column>\d+)H\x1bP7;0;0q(?P<data>[^\x1b]*)\x1b\\\x1b8")
_TOKEN = re.compile(
    r'"1;1;(?P<width>\d+);(?P<height>\d+)|#(?P<made>\d+);2;(?P<red>\d+);(?P<green>\d+);(?P<blue>\d+)|#(?P<chosen>\d+)'
    r"|!(?P<times>\d+)(?P<again>[?-~])|(?P<one>[?-~])|(?P<left>\$)|(?P<down>-)"
)


@dataclass
class Drawn:
    """A picture that was drawn: its size in pixels, the colour of each (percentages of red, green, blue), and all
    colours that it brought."""

    width: int
    height: int
    pixels: dict[tuple[int, int], tuple[int, int, int]]
    colours: dict[int, tuple[int, int, int]]


def draw(data: str) -> Drawn:
    """Draw what stands between the introducer and the end; refuses what is none, and pixels drawn twice or outside."""
    drawn = Drawn(0, 0, {}, {})
    colour, x, y, end = 0, 0, 0, 0
    for token in _TOKEN.finditer(data):
        assert token.start() == end, f"no sixels: {data[end : end + 20]!r}"
        end = token.end()
        if token["width"]:
            drawn.width, drawn.height = int(token["width"]), int(token["height"])
        elif token["made"]:
            levels = int(token["red"]), int(token["green"]), int(token["blue"])
            assert all(0 <= level <= 100 for level in levels)
            drawn.colours[int(token["made"])] = levels
        elif token["chosen"]:
            colour = int(token["chosen"])
        elif token["left"]:
            x = 0
        elif token["down"]:
            x, y = 0, y + 6
        else:
            bits = ord(token["again"] or token["one"]) - 63
            times = int(token["times"] or 1)
            for place in product(range(x, x + times), (y + bit for bit in range(6) if bits >> bit & 1)):
                assert place not in drawn.pixels
                assert place[0] < drawn.width
                assert place[1] < drawn.height
                drawn.pixels[place] = drawn.colours[colour]
            x += times
    assert end == len(data), f"no sixels: {data[end : end + 20]!r}"
    return drawn
