"""For terminals that lack characters or colours: what is drawn is brought down to what they have.

Filters see every line last, whoever drew it: Textual's own scrollbars and borders, file names, what machines say. So no
widget needs to know what the terminal lacks; symbols of :mod:`thanos_tui.tui.look` only look better than what is made
of others here.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_LIKE = {
    "-": "─━┄┅┈┉╌╍═╴╶╸╺╼╾▁▔‐‑‒–—−",
    "|": "│┃┆┇┊┋╎╏║╵╷╹╻▏▎▌▐▕",
    "#": "█▉▊▋▀▄▅▆▇■▇▓▒",
    ".": "░·∙⋅▂▃",
    "*": "•●◉★✱",
    "o": "○◌◦□",
    "+": "✓✔✚",
    "x": "✗✘×✕✖",
    "~": "…",
    ">": "→▸▶►»›➜➤⏵",
    "<": "←◂◀◄«‹",
    "^": "↑▴▲",
    "v": "↓▾▼⌄",
    "'": "‘’‚′",
    '"': "“”„″",
}
_ASCII = {symbol: plain for plain, symbols in _LIKE.items() for symbol in symbols}


@lru_cache(4096)
def _character(character: str) -> str:
    width = cell_len(character)
    if character in _ASCII:
        return _ASCII[character] * width
    code = ord(character)
    if 0x2500 <= code < 0x2580:
        return "+"  # corners and crossings of lines
    if 0x2800 <= code < 0x2900:
        return " " if code == 0x2800 else "*"  # Braille patterns, with which pictures and spinners are drawn
    if unicodedata.category(character) == "Zs":
        return " " * width
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return base if len(base) == width and base.isprintable() else "?" * width


def to_ascii(text: str) -> str:
    """``text`` in ASCII, as wide as it was: what resembles each character, or question marks."""
    return text if text.isascii() else "".join(c if c.isascii() else _character(c) for c in text)


class AsciiFilter(LineFilter):
    """Leaves nothing but ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


@lru_cache(4096)
def _without_colour(style: Style, dark: bool) -> Style:
    ground = _brightness(style, background=True, fallback=0.0 if dark else 1.0)
    text = _brightness(style, background=False, fallback=1.0 if dark else 0.0)
    # Between the brightest bar and the faintest cursor of ThanOS's themes.
    stands_out = ground > 0.165 if dark else ground < 0.82
    # A scrollbar's handle is drawn as reversed already; so is what Textual itself marks where there are no colours.
    reverse = bool(style.reverse) or stands_out
    return Style(
        bold=style.bold,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        dim=style.dim or (not reverse and abs(text - ground) < 0.4) or None,
        reverse=reverse or None,
        meta=style.meta,
    )


def _brightness(style: Style, *, background: bool, fallback: float) -> float:
    colour = style.bgcolor if background else style.color
    return fallback if colour is None or colour.is_default else Color.from_rich_color(colour).brightness


class MonochromeFilter(LineFilter):
    """Leaves no colour: what stands on another ground than the rest is reversed, what is faint becomes dim."""

    def __init__(self, dark: bool) -> None:
        super().__init__()
        self._dark = dark

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        return [
            Segment(text, None if style is None else _without_colour(style, self._dark), control)
            for text, style, control in segments
        ]
