"""Reading text off pictures: a font of the tests' own, and the one of a real machine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from waiting import LIMIT

from thanos_tui import vm
from thanos_tui.events import Reporter
from thanos_tui.vm import Machine, Picture, input
from thanos_tui.vm.textscreen import Cell, Reader, TextScreen, font_in, font_of

GREY, BLACK, RED = (170, 170, 170), (0, 0, 0), (170, 0, 0)
FACE = bytes.fromhex("00007e81a58181bd9981817e00000000")


def glyph(number: int) -> bytes:
    """Sixteen rows that no other character has; the blanks are blank."""
    if number in (0, 32, 255):
        return bytes(16)
    return FACE if number == 1 else bytes([0, 0, number, number ^ 0x5A, 0x18, number, *[0] * 10])


ROM = b"\x55\xaa" + bytes(300) + b"".join(map(glyph, range(256))) + bytes(50)


def picture_of(lines: list[list[Cell]], wide: int = 8) -> Picture:
    """A picture with this text in the font above."""
    rows = []
    for line in lines:
        for y in range(16):
            row = b""
            for cell in line:
                bits = 0xFF if cell.line and y in (13, 14) else glyph(ord(cell.character.encode("cp437")))[y]
                colours = [cell.foreground if bits >> (7 - x) & 1 else cell.background for x in range(8)]
                row += b"".join(map(bytes, [*colours, *[cell.background] * (wide - 8)]))
            rows.append(row)
    return Picture(len(lines[0]) * wide, len(lines) * 16, b"".join(rows))


def cells(text: str, front: tuple[int, int, int] = GREY, back: tuple[int, int, int] = BLACK) -> list[Cell]:
    return [Cell(letter, back if letter == " " else front, back) for letter in text]


@pytest.fixture
def reader() -> Reader:
    return Reader(font_in(ROM))


def read(reader: Reader, picture: Picture) -> TextScreen:
    screen = reader.read(picture)
    assert screen is not None
    return screen


@pytest.mark.parametrize("wide", [8, 9])
def test_text_comes_back_with_its_colours(reader: Reader, wide: int) -> None:
    # 80 by 25 cells of 9 by 16 pixels: VGA's text mode.
    lines = [cells(f"line {number} of text".ljust(80)) for number in range(25)]
    lines[3] = cells("red".ljust(80), RED)
    lines[4] = cells("light in front of dark, and the other way round".ljust(80), BLACK, GREY)
    assert read(reader, picture_of(lines, wide)).rows == tuple(map(tuple, lines))


def test_glyphs_of_linux_count_beside_those_of_the_rom() -> None:
    font = font_in(ROM)
    assert font[glyph(ord("M"))] == "M"
    assert font[bytes.fromhex("0000c6eefefed6c6c6c6c6c600000000")] == "M"


def test_the_cursor_is_a_line_under_what_stands_there(reader: Reader) -> None:
    line = [*cells("ab"), Cell("c", GREY, BLACK, line=True), *cells("  ")]
    screen = read(reader, picture_of([cells("     "), line, cells("     ")]))
    assert screen.rows[1][2] == Cell("c", GREY, BLACK, line=True)
    assert screen.last == 1
    assert screen.text() == "\nabc\n"


def test_what_changes_is_read_again(reader: Reader) -> None:
    assert read(reader, picture_of([cells("before")])).text() == "before"
    assert read(reader, picture_of([cells("after ")])).text() == "after"


def test_a_picture_is_no_text(reader: Reader) -> None:
    noise = random.Random(1).randbytes(640 * 480 * 3)  # noqa: S311
    assert reader.read(Picture(640, 480, noise)) is None
    # A pointer on an empty background is none either.
    pointer = bytearray(picture_of([cells(" " * 20)] * 10).rgb)
    pointer[3000:3030] = bytes(range(100, 130))
    assert reader.read(Picture(160, 160, bytes(pointer))) is None


def test_a_few_odd_cells_do_not_spoil_a_text(reader: Reader) -> None:
    lines = [cells("many characters that are known") for _ in range(4)]
    picture = picture_of(lines)
    spoilt = bytearray(picture.rgb)
    spoilt[0:24] = bytes(range(24))
    screen = read(reader, Picture(picture.width, picture.height, bytes(spoilt)))
    assert screen.rows[0][0].character == ""
    assert screen.rows[0][1:] == tuple(lines[0][1:])


@pytest.mark.parametrize("size", [(1, 1), (13, 32), (8, 15)])
def test_odd_sizes_are_no_text(reader: Reader, size: tuple[int, int]) -> None:
    assert reader.read(Picture(*size, bytes(size[0] * size[1] * 3))) is None


@pytest.mark.parametrize("rom", [b"", bytes(5000), FACE, ROM[:2000]])
def test_without_a_font_nothing_is_read(rom: bytes) -> None:
    assert font_in(rom) == {}
    assert Reader({}).read(picture_of([cells("text")])) is None


def test_a_machine_is_read_with_its_own_font(start: Callable[..., Machine]) -> None:
    machine = start("echo", "ready\n")
    vm.wait_for_serial(machine, "ready", 120, Reporter())
    reader = Reader(font_of(machine))
    text = 'Quick brown fox, "lazy" dog: {0123} [456] <789> ~!@#$%^&*()'
    shown, typed = "", False
    deadline = time.monotonic() + LIMIT
    while text not in shown:
        assert time.monotonic() < deadline, shown
        screen = reader.read(vm.picture(machine))
        shown = screen.text() if screen else ""
        if "Booting from Hard Disk" in shown and not typed:
            typed = True
            input.type_text(machine, text)
        time.sleep(0.05)
