"""Selecting and finding in plain lines, and the theme's colours for a terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.app import App

from thanos_tui.tui.terminal.colours import Styles, theme_colours
from thanos_tui.tui.terminal.emulator import DEFAULT, RGB, Colours, Pen
from thanos_tui.tui.terminal.text import (
    Place,
    Selection,
    between,
    columns,
    hits,
    line_selection,
    visible,
    word_selection,
)


def test_columns_count_cells() -> None:
    assert columns("a漢字b", 1, 3) == "漢"
    assert columns("a漢字b", 2) == "字b"  # from the middle of a wide character it is left out
    assert columns("e\u0301x", 0, 1) == "e\u0301"
    assert columns("plain", 1, 3) == "la"


def test_a_selection_goes_either_way() -> None:
    lines = ["first line", "second   ", "third"]
    forward = Selection(Place(10, 6), Place(12, 3))
    assert between(lines, forward, 10) == "line\nsecond\nthi"
    assert between(lines, Selection(forward.end, forward.start), 10) == "line\nsecond\nthi"
    assert forward.on(11, 20) == (0, 20)
    assert forward.on(12, 20) == (0, 3)
    assert forward.on(9, 20) is None
    assert between(lines, Selection(Place(0, 5), Place(10, 5)), 10) == "first"  # what is forgotten is not copied


def test_words() -> None:
    text = "see (/etc/os-release) now"
    word = word_selection(text, 3, 8)
    assert between([text], word, 3) == "/etc/os-release"
    assert between(["漢字 x"], word_selection("漢字 x", 0, 2), 0) == "漢字"
    assert word_selection("ab", 0, 10) == Selection(Place(0, 10), Place(0, 11))
    assert between([text], line_selection(text, 3), 3) == text


def test_hits() -> None:
    assert list(hits("Error: no error", "error")) == [(0, 5), (10, 15)]
    assert list(hits("Error: no error", "Error")) == [(0, 5)]
    assert list(hits("漢 x x", "x")) == [(3, 4), (5, 6)]
    assert list(hits("anything", "")) == []


def test_words_of_others_cannot_act() -> None:
    assert visible("a\x1b[2Jb\n\u202ec") == "a [2Jb  c"


@pytest.mark.parametrize("theme", ["nord", "textual-light", "dracula", "gruvbox", "solarized-light"])
def test_a_terminal_has_the_themes_colours(theme: str) -> None:
    async def main() -> None:
        app: App[Any] = App()
        async with app.run_test():
            app.theme = theme
            colours = theme_colours(app)
            background, foreground = colours.background, colours.foreground
            # Every colour that text is written in can be read on the background.
            for place in (1, 2, 3, 4, 5, 6, 8):
                assert sum(abs(a - b) for a, b in zip(colours.ansi[place], background, strict=True)) > 60, place
            assert foreground != background
            for place, strongest in ((1, 0), (2, 1), (4, 2)):
                assert colours.ansi[place][strongest] >= max(colours.ansi[place]) - 40, (place, colours.ansi[place])

    asyncio.run(main())


def test_a_terminal_with_colours_of_its_own_keeps_them() -> None:
    native = Styles(Colours(), native=True)
    style = native(Pen(1, DEFAULT))
    assert style.color is not None
    assert style.bgcolor is not None
    assert (style.color.number, style.bgcolor.is_default) == (1, True)
    themed = Styles(Colours(ansi=((7, 7, 7),) * 16), native=False)(Pen(1, RGB + 0x010203))
    assert themed.color is not None
    assert themed.bgcolor is not None
    assert (themed.color.triplet, themed.bgcolor.triplet) == ((7, 7, 7), (1, 2, 3))


def test_the_cube_of_colours_is_xterms() -> None:
    triplets = []
    for place in (16, 200, 231, 232, 255):
        colour = Styles(Colours(), native=False)(Pen(place)).color
        assert colour is not None
        triplets.append(colour.triplet)
    assert triplets == [(0, 0, 0), (255, 0, 215), (255, 255, 255), (8, 8, 8), (238, 238, 238)]
