"""Screens as rows of a terminal."""

from __future__ import annotations

import pytest

from thanos_tui.tui.look import ASCII, UNICODE, Look
from thanos_tui.tui.machine.drawing import Frame, View, draw_picture, draw_text
from thanos_tui.vm import Picture
from thanos_tui.vm.input import Point
from thanos_tui.vm.textscreen import Cell, TextScreen

GREY, BLACK = (170, 170, 170), (0, 0, 0)
MONOCHROME = Look(colours=0)


def screen(*lines: str) -> TextScreen:
    return TextScreen(tuple(tuple(Cell(letter, GREY, BLACK) for letter in line) for line in lines))


def texts(frame: Frame) -> list[str]:
    return [strip.text for strip in frame.strips]


NUMBERS = screen(*(f"line {number:02}".ljust(80) for number in range(25)))
EARLY = screen(*[f"line {number:02}".ljust(80) for number in range(3)], *[" " * 80] * 22)


def test_text_that_fits_stands_in_the_middle() -> None:
    frame = draw_text(NUMBERS, 100, 31, View(), UNICODE)
    assert (frame.left, frame.top, frame.width, len(frame.strips)) == (10, 3, 80, 25)
    assert frame.part == (0, 0, 1, 1)
    assert texts(frame)[7].rstrip() == "line 07"


def test_of_text_that_does_not_fit_the_last_is_seen() -> None:
    assert [line.rstrip() for line in texts(draw_text(NUMBERS, 80, 3, View(), UNICODE))] == [
        "line 22",
        "line 23",
        "line 24",
    ]
    assert texts(draw_text(EARLY, 80, 5, View(), UNICODE))[0].rstrip() == "line 00"
    moved = draw_text(NUMBERS, 40, 5, View(x=0.5, y=0.1), UNICODE)
    assert texts(moved)[0].rstrip() == ""
    assert moved.part == (0.25, 0, 0.5, 0.2)


def test_a_point_is_where_the_character_is() -> None:
    frame = draw_text(NUMBERS, 100, 31, View(), UNICODE)
    assert frame.point(10, 3) == Point(0.5 / 80, 0.5 / 25)
    assert frame.point(89, 27) == Point(79.5 / 80, 24.5 / 25)
    assert frame.point(9, 3) is None
    assert frame.point(10, 28) is None
    part = draw_text(NUMBERS, 80, 5, View(), UNICODE)
    first = part.point(0, 0)
    assert first is not None
    assert first.y == pytest.approx(20.5 / 25)


def test_only_ascii_is_drawn_where_nothing_else_can_be() -> None:
    assert texts(draw_text(screen("a═é☺"), 10, 1, View(), ASCII)) == ["a???"]


def squares(width: int, height: int) -> Picture:
    """Left half white; of the right half the upper part red, the lower black."""
    rows = []
    for y in range(height):
        right = b"\xff\0\0" if y < height // 2 else b"\0\0\0"
        rows.append(b"\xff\xff\xff" * (width // 2) + right * (width - width // 2))
    return Picture(width, height, b"".join(rows))


def colours(frame: Frame, column: int, row: int) -> tuple[object, object, str]:
    """Foreground, background and character of a cell."""
    for segment in frame.strips[row]:
        if column < len(segment.text):
            style = segment.style
            assert style is not None
            assert style.color is not None
            assert style.bgcolor is not None
            return style.color.triplet, style.bgcolor.triplet, segment.text[column]
        column -= len(segment.text)
    raise AssertionError("no such cell")


@pytest.mark.parametrize(("room", "size", "place"), [((80, 24), (64, 24), (8, 0)), ((40, 60), (40, 15), (0, 22))])
def test_a_picture_keeps_its_shape(room: tuple[int, int], size: tuple[int, int], place: tuple[int, int]) -> None:
    frame = draw_picture(squares(640, 480), *room, View(), UNICODE, 2.0)
    assert (frame.width, len(frame.strips)) == size
    assert (frame.left, frame.top) == place


def test_each_cell_shows_two_pixels() -> None:
    frame = draw_picture(squares(8, 6), 8, 3, View(), UNICODE, 2.0)
    assert colours(frame, 0, 1) == ((255, 255, 255), (255, 255, 255), " ")
    assert colours(frame, 7, 1) == ((255, 0, 0), (0, 0, 0), UNICODE.upper)


def test_closer_shows_a_part() -> None:
    frame = draw_picture(squares(640, 480), 80, 24, View(zoom=4, x=1.0, y=0.0), UNICODE, 2.0)
    assert frame.part == (0.75, 0, 0.25, 0.25)
    assert colours(frame, 0, 0)[1] == (255, 0, 0)
    assert frame.point(frame.left, frame.top) == Point(0.75 + 0.25 * 0.5 / 64, 0.25 * 0.5 / 24)


def test_without_colours_brightness_is_shown() -> None:
    assert texts(draw_picture(squares(8, 8), 8, 4, View(), MONOCHROME, 2.0)) == ["@@@@::::"] * 2 + ["@@@@    "] * 2
    assert all(line.isascii() for line in texts(draw_picture(squares(8, 8), 8, 4, View(), ASCII, 2.0)))


def test_thin_lines_are_not_lost() -> None:
    rgb = bytearray(320 * 200 * 3)
    for y in range(200):
        rgb[(y * 320 + 2) * 3 : (y * 320 + 3) * 3] = b"\xff\xff\xff"
    frame = draw_picture(Picture(320, 200, bytes(rgb)), 160, 50, View(), UNICODE, 2.0)
    assert colours(frame, 1, 20)[1] == (127, 127, 127)
