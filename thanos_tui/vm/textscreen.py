"""Reading the text off a text screen: which characters stand where, and in which colours.

A PC in text mode draws every character with the font in the ROM of its graphics card, and Linux's console on a frame
buffer with one that hardly differs. So that font is taken from the machine's memory, and every cell of the picture is
looked up in it. No guess is made: a cell that is not exactly a glyph is no character.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from thanos_tui.vm.qmp import monitor
from thanos_tui.vm.registry import Machine
from thanos_tui.vm.screen import Picture

Colour = tuple[int, int, int]
Font = Mapping[bytes, str]  # from the 16 rows of a glyph, a bit for each pixel, to its character

_HEIGHT = 16
_ROM, _ROM_SIZE = 0xC0000, 0xA000  # where PCs have the ROM of the graphics card
# The second character of the font, a face: no other sixteen bytes of the ROM look like it.
_FACE = bytes.fromhex("00007e81a58181bd9981817e00000000")
_PICTURES = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"  # what code page 437 shows for control characters
# Where Linux's font (VGA8x16) has another glyph for a character of ASCII than QEMU's ROM, as seen on its screen.
_LINUX = {
    "0": "0000386cc6c6d6d6c6c66c3800000000",
    "M": "0000c6eefefed6c6c6c6c6c600000000",
    "T": "00007e7e5a1818181818183c00000000",
    "V": "0000c6c6c6c6c6c6c66c381000000000",
    "W": "0000c6c6c6c6d6d6d6feee6c00000000",
    "X": "0000c6c66c7c38387c6cc6c600000000",
    "Y": "0000666666663c181818183c00000000",
    "Z": "0000fec6860c183060c2c6fe00000000",
    "`": "0030180c000000000000000000000000",
    "f": "00001c36323078303030307800000000",
    "m": "0000000000ecfed6d6d6d6c600000000",
    "v": "0000000000c6c6c6c6c66c3800000000",
    "w": "0000000000c6c6d6d6d6fe6c00000000",
    "x": "0000000000c66c3838386cc600000000",
    "|": "00001818181818181818181800000000",
    "~": "0076dc00000000000000000000000000",
}
_CURSOR_ROWS = range(12, 16)  # where a cursor is drawn that is a line
_DOUBT = 4  # cells that are no character make a picture of it if there are more than this part of those that are


@dataclass(frozen=True)
class Cell:
    """A place of a text screen. character: "" where no glyph fits. line: a cursor stands there, or it is underlined."""

    character: str
    foreground: Colour
    background: Colour
    line: bool = False


@dataclass(frozen=True)
class TextScreen:
    """The rows of a text screen from the top, all of the same length."""

    rows: tuple[tuple[Cell, ...], ...]

    @property
    def last(self) -> int:
        """The last row with anything on it."""
        return max((number for number, row in enumerate(self.rows) if any(_shows(cell) for cell in row)), default=0)

    def text(self) -> str:
        """Its characters, without the spaces at the ends of rows."""
        return "\n".join("".join(cell.character or " " for cell in row).rstrip() for row in self.rows)


def font_of(machine: Machine) -> Font:
    """The font in the ROM of a machine's graphics card; empty where it has none, or its firmware has not begun yet.

    Raises MachineError.
    """
    with monitor(machine.directory) as qmp:
        dump = qmp.execute("human-monitor-command", {"command-line": f"xp /{_ROM_SIZE}bx {_ROM:#x}"}, timeout=30)
    rom = bytes(int(byte, 16) for line in dump.splitlines() for byte in re.findall(r" 0x([0-9a-f]{2})\b", line))
    return font_in(rom)


def font_in(rom: bytes) -> Font:
    """The font of 256 glyphs, 8 by 16 pixels each, in a ROM, and what Linux draws otherwise; empty without one."""
    start = rom.find(_FACE) - _HEIGHT
    if start < 0 or len(rom) < start + 256 * _HEIGHT:
        return {}
    characters = _PICTURES + bytes(range(32, 127)).decode() + "⌂" + bytes(range(128, 256)).decode("cp437")
    font: dict[bytes, str] = {}
    for number, character in enumerate(characters):
        glyph = rom[start + number * _HEIGHT : start + (number + 1) * _HEIGHT]
        font.setdefault(glyph, " " if not any(glyph) else character)
    for character, rows in _LINUX.items():
        font.setdefault(bytes.fromhex(rows), character)
    return font


class Reader:
    """Reads pictures with one font. What it has read is kept: from one picture to the next little changes."""

    def __init__(self, font: Font) -> None:
        self._font = font
        self._tops: dict[bytes, str] = {}  # by the rows above a cursor's
        for glyph, character in font.items():
            self._tops.setdefault(glyph[: _CURSOR_ROWS.start], character)
        self._cells: dict[bytes, Cell] = {}
        self._bands: dict[int, tuple[bytes, tuple[Cell, ...]]] = {}

    def read(self, picture: Picture) -> TextScreen | None:
        """The text of a picture; None where it is no text screen."""
        # In VGA's text mode glyphs have a ninth column, which most leave empty.
        wide = 9 if (picture.width, picture.height) == (720, 400) else 8
        if not self._font or picture.width % wide or picture.height < _HEIGHT:
            return None
        size = picture.width * 3 * _HEIGHT
        rows, known, odd = [], 0, 0
        for number in range(picture.height // _HEIGHT):
            row = self._row(number, picture.rgb[number * size : (number + 1) * size], picture.width, wide)
            rows.append(row)
            known += sum(_shows(cell) for cell in row)
            odd += sum(not cell.character for cell in row)
            if odd > 50 and odd * _DOUBT > known:  # a picture: no need to look at the rest
                return None
        return None if odd * _DOUBT > known else TextScreen(tuple(rows))

    def _row(self, number: int, band: bytes, width: int, wide: int) -> tuple[Cell, ...]:
        before = self._bands.get(number)
        if before and before[0] == band:
            return before[1]
        lines = [band[start : start + width * 3] for start in range(0, len(band), width * 3)]
        row = tuple(
            self._cell(b"".join([line[start : start + 24] for line in lines]))
            for start in range(0, width * 3, wide * 3)
        )
        self._bands[number] = band, row
        return row

    def _cell(self, block: bytes) -> Cell:
        found = self._cells.get(block)
        if found is None:
            if len(self._cells) > 20_000:  # moving pictures are not worth remembering
                self._cells.clear()
            found = self._cells[block] = self._look(block)
        return found

    def _look(self, block: bytes) -> Cell:
        pixels = list(zip(block[::3], block[1::3], block[2::3], strict=True))
        # The lighter of two colours is that of the character, unless only the opposite is one.
        colours = sorted(set(pixels), key=sum)
        if len(colours) == 1:
            return Cell(" ", colours[0], colours[0])
        average = (sum(block[::3]) // 128, sum(block[1::3]) // 128, sum(block[2::3]) // 128)
        if len(colours) > 2:
            return Cell("", average, average)
        dark, light = colours
        for front, back in ((light, dark), (dark, light)):
            bits = "".join("1" if pixel == front else "0" for pixel in pixels)
            glyph = int(bits, 2).to_bytes(_HEIGHT, "big")
            if glyph in self._font:
                return Cell(self._font[glyph], front, back)
            top = glyph[: _CURSOR_ROWS.start]
            if 0xFF in glyph[_CURSOR_ROWS.start :] and top in self._tops:
                return Cell(self._tops[top], front, back, line=True)
        return Cell("", average, average)


def _shows(cell: Cell) -> bool:
    return cell.character not in ("", " ") or cell.line
