"""From a terminal's pens to the app's styles: the theme's colours stand for the default ones and the first sixteen."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style

from thanos_tui.tui.terminal.emulator import (
    BLINK,
    BOLD,
    DEFAULT,
    DIM,
    HIDDEN,
    ITALIC,
    REVERSE,
    STRIKE,
    UNDERLINE,
    Colours,
    Pen,
    Triplet,
)

if TYPE_CHECKING:
    from textual.app import App

# The theme's variables whose colours may stand for one of a terminal's, and what hue (0 to 1) each of those has.
_THEME = ("error", "success", "warning", "primary", "secondary", "accent")
_HUES = {1: 0 / 6, 2: 2 / 6, 3: 1 / 6, 4: 4 / 6, 5: 5 / 6, 6: 3 / 6}
_NEAR = 1 / 14  # two hues that one would call by the same name
_STEPS = (0, 95, 135, 175, 215, 255)


def theme_colours(app: App[object]) -> Colours:
    """The colours a terminal has under the app's theme.

    Red is the theme's own red where it has one (most call it ``error``), and so on for the others; those that a theme
    lacks come from Textual's palette for dark or light terminals.
    """
    variables = app.theme_variables
    base = app.ansi_theme
    ansi = [_triplet(base.ansi_colors[place]) for place in range(16)]
    if app.native_ansi_color:
        return Colours(_triplet(base.foreground_color), _triplet(base.background_color), tuple(ansi))
    own = [found for name in _THEME if (found := _parse(variables, name)) is not None]
    foreground = _parse(variables, "foreground") or _triplet(base.foreground_color)
    background = _parse(variables, "background") or _triplet(base.background_color)
    dark = app.current_theme.dark
    for place, hue in _HUES.items():
        near = _nearest(own, hue)
        if near is not None:
            ansi[place] = near
            ansi[place + 8] = _blend(near, (255, 255, 255) if dark else (0, 0, 0), 0.25)
    # Black and white must be told from the background they are drawn on.
    ends = (_blend(background, foreground, 0.15), _blend(foreground, background, 0.15))
    ansi[0], ansi[7] = ends if dark else ends[::-1]
    greys = (_blend(background, foreground, 0.5), foreground)
    ansi[8], ansi[15] = greys if dark else (greys[0], background)
    return Colours(foreground, background, tuple(ansi))


class Styles:
    """The style of each pen, made once.

    native: the user's terminal has colours of its own for the default and the first sixteen, and is to use them.
    """

    def __init__(self, colours: Colours, *, native: bool) -> None:
        self._colours = colours
        self._native = native
        self._made: dict[Pen, Style] = {}

    def __call__(self, pen: Pen) -> Style:
        style = self._made.get(pen)
        if style is None:
            if len(self._made) > 4096:  # a picture in true colour
                self._made.clear()
            bits = pen.attributes
            style = self._made[pen] = Style(
                color=self._colour(pen.foreground, self._colours.foreground),
                bgcolor=self._colour(pen.background, self._colours.background),
                bold=bool(bits & BOLD) or None,
                dim=bool(bits & DIM) or None,
                italic=bool(bits & ITALIC) or None,
                underline=bool(bits & UNDERLINE) or None,
                blink=bool(bits & BLINK) or None,
                reverse=bool(bits & REVERSE) or None,
                conceal=bool(bits & HIDDEN) or None,
                strike=bool(bits & STRIKE) or None,
            )
        return style

    def _colour(self, colour: int, default: Triplet) -> Color:
        if colour == DEFAULT:
            return Color.default() if self._native else Color.from_rgb(*default)
        if colour < 16:
            return Color.from_ansi(colour) if self._native else Color.from_rgb(*self._colours.ansi[colour])
        if colour < 256:
            return Color.from_rgb(*_fixed(colour))
        return Color.from_rgb(colour >> 16 & 255, colour >> 8 & 255, colour & 255)


def _fixed(place: int) -> Triplet:
    """A colour of xterm's palette that no theme changes: the cube of 216 from 16 on, then the greys."""
    if place >= 232:
        grey = 8 + 10 * (place - 232)
        return grey, grey, grey
    red, rest = divmod(place - 16, 36)
    return _STEPS[red], _STEPS[rest // 6], _STEPS[rest % 6]


def _parse(variables: Mapping[str, str], name: str) -> Triplet | None:
    from textual.color import Color as ThemeColour
    from textual.color import ColorParseError

    try:
        colour = ThemeColour.parse(variables.get(name, ""))
    except ColorParseError:
        return None
    return None if colour.ansi is not None else colour.rgb


def _triplet(colour: Sequence[int]) -> Triplet:
    return colour[0], colour[1], colour[2]


def _nearest(own: Sequence[Triplet], hue: float) -> Triplet | None:
    """The colour that people would call by that hue's name, if there is one."""
    best, distance = None, _NEAR
    for colour in own:
        found, _, saturation = colorsys.rgb_to_hls(*(part / 255 for part in colour))
        away = min(abs(found - hue), 1 - abs(found - hue))
        if saturation > 0.2 and away < distance:
            best, distance = colour, away
    return best


def _blend(one: Triplet, other: Triplet, amount: float) -> Triplet:
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(one, other, strict=True))
    return red, green, blue
