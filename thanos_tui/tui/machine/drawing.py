"""A machine's screen as rows of a terminal: as text where it is text, else in the terminal's graphics, else two pixels
to a cell, else by brightness.

Runs in a thread: a picture of 1024 by 768 takes some 20 ms for a terminal of 120 by 40.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from thanos_tui.tui.graphics import Graphics
from thanos_tui.tui.look import Look
from thanos_tui.tui.machine import sixel
from thanos_tui.tui.machine.kitty import MARKS, Canvas
from thanos_tui.vm.input import Point
from thanos_tui.vm.screen import Picture
from thanos_tui.vm.textscreen import Cell, TextScreen

RGB = tuple[int, int, int]
_RAMP = " .:-=+*#%@"  # from dark to light
_PLAIN = Style()  # Textual's filters want every segment to have one
_SAMPLES = 2  # in each direction, of the pixels that one half of a cell stands for


@dataclass(frozen=True)
class View:
    """Which part of a screen is looked at.

    zoom: 1 is all of it; n an nth of its width and height. Text has a size of its own and is not zoomed. x, y: the
    middle, as fractions; None is the middle of a picture, the beginning of lines of text, and where the last text is.
    """

    zoom: int = 1
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Frame:
    """A drawn screen. strips: its rows. left, top: where it begins in the room there was.

    part: what of the machine's screen it shows: left, top, width, height, as fractions. ahead: what the terminal needs
    to be sent before it can show the strips. pixels: what it needs to be sent after that, with the cursor at the upper
    left cell, and again whenever cells are drawn there: sixels lie on top of them.
    """

    strips: Sequence[Strip]
    left: int
    top: int
    part: tuple[float, float, float, float]
    is_text: bool
    ahead: str = ""
    pixels: str = ""

    @property
    def width(self) -> int:
        return self.strips[0].cell_length if self.strips else 0

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where it is in the room there was: left, top, width, height."""
        return self.left, self.top, self.width, len(self.strips)

    def point(self, column: int, row: int) -> Point | None:
        """The place of the machine's screen under a cell of the room; None outside of it."""
        column, row = column - self.left, row - self.top
        if not (0 <= column < self.width and 0 <= row < len(self.strips)):
            return None
        left, top, width, height = self.part
        return Point(left + (column + 0.5) / self.width * width, top + (row + 0.5) / len(self.strips) * height)


def draw_text(screen: TextScreen, columns: int, rows: int, view: View, look: Look) -> Frame:
    """As much of a text screen as there is room for."""
    wide, high = len(screen.rows[0]), len(screen.rows)
    shown_wide, shown_high = min(wide, columns), min(high, rows)
    # What was written last is what one wants to see, unless one has moved.
    middle = screen.last + 1 - shown_high / 2 if view.y is None else view.y * high
    first = min(max(0, round(middle - shown_high / 2)), high - shown_high)
    start = min(max(0, round((view.x or 0.0) * wide - shown_wide / 2)), wide - shown_wide)
    strips = tuple(
        Strip(list(_text_row(row[start : start + shown_wide], look)), shown_wide)
        for row in screen.rows[first : first + shown_high]
    )
    part = (start / wide, first / high, shown_wide / wide, shown_high / high)
    return Frame(strips, (columns - shown_wide) // 2, (rows - shown_high) // 2, part, is_text=True)


def _text_row(cells: Sequence[Cell], look: Look) -> Iterator[Segment]:
    for (front, back, line), run in groupby(cells, lambda cell: (cell.foreground, cell.background, cell.line)):
        text = "".join(cell.character or " " for cell in run)
        if look.ascii:
            text = "".join(letter if letter.isascii() else "?" for letter in text)
        yield Segment(text, _style(front, back, line) if look.colour else Style(underline=line))


def draw_picture(picture: Picture, columns: int, rows: int, view: View, look: Look, shape: float) -> Frame:
    """A picture in cells, as large as fits. shape: how many times as high as wide a cell is."""
    wide, high = _fitting(picture, columns, rows, shape)
    part = _part(view)
    blocks = look.colour and not look.ascii
    halves = _scaled(picture, part, wide, 2 * high if blocks else high)
    strips = []
    for number in range(high):
        if blocks:
            upper, lower = halves[2 * number], halves[2 * number + 1]
            strips.append(Strip(list(_half_blocks(upper, lower, look)), wide))
        elif look.colour:
            strips.append(Strip(list(_cells(halves[number])), wide))
        else:
            strips.append(Strip([Segment("".join(map(_shade, halves[number])), _PLAIN)], wide))
    return Frame(tuple(strips), (columns - wide) // 2, (rows - high) // 2, part, is_text=False)


def draw_graphics(
    picture: Picture, columns: int, rows: int, view: View, canvas: Canvas, graphics: Graphics, shape: float
) -> Frame:
    """A picture in the terminal's graphics, as large as fits. shape: how many times as high as wide a cell is."""
    wide, high = _fitting(picture, min(columns, len(MARKS)), min(rows, len(MARKS)), shape)
    seen, part = _cut(picture, _part(view))
    ahead, strips = canvas.draw(seen, wide, high, graphics)
    return Frame(strips, (columns - wide) // 2, (rows - high) // 2, part, is_text=False, ahead=ahead)


def draw_sixels(
    picture: Picture,
    columns: int,
    rows: int,
    view: View,
    cell: tuple[int, int],
    colours: int,
    largest: tuple[int, int] | None,
) -> Frame:
    """A picture as sixels, as large as fits. cell: its width and height in pixels; colours and largest: what the
    terminal takes."""
    across, down = cell
    most = (largest[0] // across, largest[1] // down) if largest else (columns, rows)
    wide, high = _fitting(picture, max(1, min(columns, most[0])), max(1, min(rows, most[1])), down / across)
    seen, part = _cut(picture, _part(view))
    # Whole bands: one that reaches below the last row of the terminal would scroll it.
    pixels = sixel.encode(seen, wide * across, max(1, high * down // sixel.HEIGHT) * sixel.HEIGHT, colours)
    under = Strip.blank(wide, _PLAIN)
    return Frame((under,) * high, (columns - wide) // 2, (rows - high) // 2, part, is_text=False, pixels=pixels)


def _fitting(picture: Picture, columns: int, rows: int, shape: float) -> tuple[int, int]:
    """How many columns and rows a picture takes of those that there are."""
    scale = min(columns / picture.width, shape * rows / picture.height)
    wide = max(1, min(columns, round(picture.width * scale)))
    return wide, max(1, min(rows, round(picture.height * scale / shape)))


def _part(view: View) -> tuple[float, float, float, float]:
    """What is looked at of a picture: left, top, width, height, as fractions."""
    size = 1 / view.zoom
    left = min(max(0.0, (0.5 if view.x is None else view.x) - size / 2), 1 - size)
    top = min(max(0.0, (0.5 if view.y is None else view.y) - size / 2), 1 - size)
    return left, top, size, size


def _cut(
    picture: Picture, part: tuple[float, float, float, float]
) -> tuple[Picture, tuple[float, float, float, float]]:
    """A part of a picture as a picture of its own, and which part it is exactly: pixels are whole."""
    if part[2] == 1:
        return picture, part
    left, top = int(part[0] * picture.width), int(part[1] * picture.height)
    width, height = max(1, int(part[2] * picture.width)), max(1, int(part[3] * picture.height))
    pixels, stride = memoryview(picture.rgb), picture.width * 3
    starts = range(top * stride + left * 3, (top + height) * stride, stride)
    seen = Picture(width, height, b"".join(pixels[start : start + width * 3] for start in starts))
    exact = (left / picture.width, top / picture.height, width / picture.width, height / picture.height)
    return seen, exact


def _half_blocks(upper: Sequence[RGB], lower: Sequence[RGB], look: Look) -> Iterator[Segment]:
    for (above, below), run in groupby(zip(upper, lower, strict=True)):
        count = sum(1 for _ in run)
        yield Segment((" " if above == below else look.upper) * count, _style(above, below, False))


def _cells(row: Sequence[RGB]) -> Iterator[Segment]:
    for colour, run in groupby(row):
        yield Segment(" " * sum(1 for _ in run), _style(colour, colour, False))


def _shade(colour: RGB) -> str:
    # ITU-R BT.601: how much each colour adds to brightness.
    bright = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) / 255_000
    return _RAMP[min(len(_RAMP) - 1, int(bright * len(_RAMP)))]


@lru_cache(maxsize=50_000)
def _style(front: RGB, back: RGB, line: bool) -> Style:
    return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back), underline=line)


def _scaled(picture: Picture, part: tuple[float, float, float, float], wide: int, high: int) -> list[list[RGB]]:
    """A part of a picture in ``wide`` by ``high`` pixels, each the average of samples of what it stands for."""
    left, top, width, height = part
    across = [
        min(picture.width - 1, int((left + (place + 0.5) / (wide * _SAMPLES) * width) * picture.width))
        for place in range(wide * _SAMPLES)
    ]
    down = [
        min(picture.height - 1, int((top + (place + 0.5) / (high * _SAMPLES) * height) * picture.height))
        for place in range(high * _SAMPLES)
    ]
    # One call fetches all samples of a row, in C: colour by colour, and for each its first samples, then its second.
    wanted = [x * 3 + colour for colour in range(3) for nth in range(_SAMPLES) for x in across[nth::_SAMPLES]]
    fetch: Callable[[bytes], tuple[int, ...]] = itemgetter(*wanted)
    stride = picture.width * 3
    rows: list[list[RGB]] = []
    before: tuple[list[int], list[RGB]] | None = None
    for number in range(high):
        sources = down[number * _SAMPLES : (number + 1) * _SAMPLES]
        if before and before[0] == sources:
            rows.append(before[1])
            continue
        samples = [fetch(picture.rgb[y * stride : (y + 1) * stride]) for y in sources]
        if all(sample == samples[0] for sample in samples[1:]):
            samples = samples[:1]
        planes = [
            [sample[start : start + wide] for sample in samples for start in _starts(colour, wide)]
            for colour in range(3)
        ]
        count = len(planes[0])
        red, green, blue = ([total // count for total in map(sum, zip(*plane, strict=True))] for plane in planes)
        row = list(zip(red, green, blue, strict=True))
        rows.append(row)
        before = sources, row
    return rows


def _starts(colour: int, wide: int) -> Iterator[int]:
    return iter(range(colour * _SAMPLES * wide, (colour + 1) * _SAMPLES * wide, wide))
