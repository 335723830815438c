"""Pictures by kitty's graphics protocol, placed by characters.

The terminal is sent a picture and how many cells it fills. A cell that shows a part of it holds a placeholder: a
character that says which row and column of the picture it is, in a colour that is the picture's number. So dialogs may
cover it, and Textual may draw cells in any order. https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import random
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from thanos_tui.tui.graphics import Graphics
from thanos_tui.vm.screen import Picture

_PLACEHOLDER = "\U0010eeee"
_CHUNK = 4096  # bytes of base64 in one sequence, at most
# The marks that stand for 0 to 296, in this order: of Unicode 6.0 those above a letter (class 230) which no
# normalisation touches. Computed they would be others with each Python.
_MARKS = """
305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 59C-5A1 5A8-5A9 5AB-5AC 5AF 5C4
610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 6EB-6EC 730 732-733 735-736 73A 73D 73F-741 743 745 747 749-74A
7EB-7F1 7F3 816-819 81B-823 825-827 829-82D 951 953-954 F82-F83 F86-F87 135D-135F 17DD 193A 1A17 1A75-1A7C 1B6B
1B6D-1B73 1CD0-1CD2 1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE 20D0-20D1 20D4-20D7 20DB-20DC 20E1 20E7
20E9 20F0 2CEF-2CF1 2DE0-2DFF A66F A67C-A67D A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 AAB7-AAB8 AABE-AABF AAC1 FE20-FE26
10A0F 10A38 1D185-1D189 1D1AA-1D1AD 1D242-1D244
"""


def _marks() -> Iterator[str]:
    for span in _MARKS.split():
        first, _, last = span.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


MARKS = tuple(_marks())


def transmit(picture: Picture, number: int, columns: int, rows: int, graphics: Graphics = "kitty") -> str:
    """What gives the terminal a picture, to be shown in so many cells; one of the same number is replaced.

    The terminal stays quiet whether it works or not (q=2): what it said would arrive among the keys. Takes some 30 ms
    for 1024 by 768 pixels, most of it without Python's lock.
    """
    data = b64encode(zlib.compress(picture.rgb, 1)).decode()
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    size = f"s={picture.width},v={picture.height},c={columns},r={rows}"
    keys = [f"a=T,U=1,q=2,f=24,o=z,i={number},{size}", *["q=2"] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        _command(f"{key},m={another};{chunk}", graphics) for key, another, chunk in zip(keys, more, chunks, strict=True)
    )


def delete(number: int, graphics: Graphics = "kitty") -> str:
    """What makes the terminal forget a picture."""
    return _command(f"a=d,d=I,i={number},q=2", graphics)


def _command(text: str, graphics: Graphics) -> str:
    command = f"\x1b_G{text}\x1b\\"
    if graphics == "kitty-in-tmux":
        return f"\x1bPtmux;{command.replace(chr(27), chr(27) * 2)}\x1b\\"
    return command


@lru_cache(4)
def placeholders(number: int, columns: int, rows: int) -> Sequence[Strip]:
    """The cells of a picture, for at most as many columns and rows as there are marks.

    Each says its row *and* column. The protocol lets a cell follow from the one before it, but that one may be covered.
    """
    colour = Style(color=Color.from_rgb(number >> 16, number >> 8 & 255, number & 255))
    spans = list(_spans(min(columns, len(MARKS))))
    return tuple(
        Strip(
            [Segment("".join(_PLACEHOLDER + down + mark for mark in MARKS[span]), colour) for span in spans],
            spans[-1].stop,
        )
        for down in MARKS[:rows]
    )


def _spans(columns: int) -> Iterator[slice]:
    """Pieces of a row, each of as many cells as a power of two.

    Where a dialog covers a row, Rich cuts a text of n cells at (cut / n) of its characters. For other n than these that
    is not exact, and a mark may end up with the cell after its own.
    """
    at = 0
    while at < columns:
        size = 1 << ((columns - at).bit_length() - 1)
        yield slice(at, at + size)
        at += size


class Canvas:
    """The pictures that one view has in the terminal: two, of which one is seen.

    The other is replaced, and then the cells name that one. So what is seen stays whole until the new one is there.
    """

    def __init__(self) -> None:
        # Numbers are shared with whatever else runs in this terminal. 24 bits fit into a colour.
        first = random.randrange(1, 1 << 23) * 2  # noqa: S311
        self._numbers = (first, first + 1)
        self._at = 0
        self._shown: tuple[Picture, int, int] | None = None

    def draw(self, picture: Picture, columns: int, rows: int, graphics: Graphics) -> tuple[str, Sequence[Strip]]:
        """What the terminal has to be sent first, if anything, and the cells that show the picture then."""
        ahead = ""
        if self._shown != (picture, columns, rows):
            self._at = 1 - self._at
            self._shown = (picture, columns, rows)
            ahead = transmit(picture, self._numbers[self._at], columns, rows, graphics)
        return ahead, placeholders(self._numbers[self._at], columns, rows)

    def farewell(self, graphics: Graphics) -> str:
        """What makes the terminal forget both."""
        return "".join(delete(number, graphics) for number in self._numbers)
