"""ThanOS's own themes, beside Textual's; and which one to begin with on this terminal."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from textual.theme import BUILTIN_THEMES, Theme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import App
    from textual.filter import LineFilter

    from thanos_tui.tui.look import Look

DARK = Theme(
    name="thanos-dark",
    primary="#8b6fd6",
    secondary="#5a9bd4",
    accent="#e3b35c",
    success="#6fbf73",
    warning="#e2a54a",
    error="#e5685f",
    foreground="#e3e0ec",
    background="#13111a",
    surface="#1a1824",
    panel="#262233",
    dark=True,
    variables={"footer-key-foreground": "#b7a3ee", "input-selection-background": "#8b6fd6 40%"},
)
LIGHT = Theme(
    name="thanos-light",
    primary="#6542b8",
    secondary="#2a6fae",
    accent="#9a6200",
    success="#2c7a31",
    warning="#945800",
    error="#b02a20",
    foreground="#231d33",
    background="#faf9fc",
    surface="#f1eef7",
    panel="#e2dcee",
    dark=False,
    variables={"footer-key-foreground": "#6542b8", "input-selection-background": "#6542b8 30%"},
)
OURS = (DARK, LIGHT)


def register(app: App[int]) -> None:
    """Let the app know ThanOS's themes."""
    for theme in OURS:
        app.register_theme(theme)


def known() -> list[str]:
    """The names of all themes: ours first."""
    return [theme.name for theme in OURS] + sorted(BUILTIN_THEMES)


def initial(chosen: str, look: Look) -> str:
    """The theme to begin with: the one chosen in the settings, if the terminal has the colours for it.

    Sixteen colours are the terminal's own, so a theme made of those is taken. Without colours brightness decides what
    is reversed (``tui.plain``), which the dark theme is made for.
    """
    if look.colours == 0:
        return DARK.name
    if look.colours == 16 and not (chosen in BUILTIN_THEMES and BUILTIN_THEMES[chosen].ansi):
        return "ansi-dark"
    return chosen if chosen in known() else DARK.name


@cache
def filters(look: Look, dark: bool) -> Sequence[LineFilter]:
    """What every line is put through last on this terminal, in a dark theme or a light one.

    The same objects each time: what they made of a line is kept by them.
    """
    from thanos_tui.tui.plain import AsciiFilter, MonochromeFilter

    found: list[LineFilter] = []
    if not look.colour:
        found.append(MonochromeFilter(dark))
    if look.ascii:
        found.append(AsciiFilter())
    return found
