"""What this terminal can show: the symbols to draw with, and how many colours there are. Imports no Textual."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

VARIABLE = "THANOS_TUI_ASCII"  # 1: ASCII, 0: everything; otherwise the terminal and the locale decide


@dataclass(frozen=True)
class Look:
    """One set of symbols. Each takes one cell, unless it says otherwise.

    ascii: nothing but ASCII may be shown. old: the terminal knows nothing of what came after the VT100s, such as the
    mouse. colours: how many there are (0: none, then 16, 256, 2**24).
    """

    ascii: bool = False
    old: bool = False
    colours: int = 2**24

    # States, and marks in running text.
    tick: str = "✓"
    cross: str = "✗"
    warning: str = "!"
    running: str = "●"
    waiting: str = "○"
    dot: str = "·"  # between two facts on one line
    bullet: str = "•"  # before an item of a list
    dash: str = "–"
    ellipsis: str = "…"
    lock: str = "*"

    # Directions. ``arrow`` is "becomes"; ``opened`` and ``closed`` stand before what folds.
    arrow: str = "→"
    back: str = "←"
    up: str = "↑"
    down: str = "↓"
    opened: str = "▾"
    closed: str = "▸"

    # Lines, the parts of a tree (two cells each) and blocks.
    horizontal: str = "─"
    vertical: str = "│"
    branch: str = "├ "
    last: str = "└ "
    through: str = "│ "
    gap: str = "  "
    full: str = "█"
    empty: str = "░"
    eighths: str = " ▏▎▍▌▋▊▉█"  # a cell filled from the left
    steps: str = " ▁▂▃▄▅▆▇█"  # a cell filled from below
    upper: str = "▀"
    lower: str = "▄"

    # Textual's names of borders: around panels, around the one with the focus, around dialogs.
    border: str = "round"
    border_focus: str = "heavy"
    border_dialog: str = "round"

    spinner: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"  # a frame each, about ten a second

    @property
    def colour(self) -> bool:
        """Whether there are colours at all; without, states show by bold, underline and reverse video."""
        return self.colours > 0

    def bar(self, fraction: float, width: int) -> str:
        """A bar of ``width`` cells, filled from the left by ``fraction`` (0 to 1)."""
        parts = len(self.eighths) - 1
        filled = round(max(0.0, min(1.0, fraction)) * width * parts)
        whole, rest = divmod(filled, parts)
        bar = self.full * whole + (self.eighths[rest] if rest else "")
        return bar + self.empty * (width - len(bar))

    def cut(self, text: str, width: int) -> str:
        """``text`` in ``width`` cells at most, with an ellipsis where something had to go."""
        from rich.cells import cell_len, set_cell_size  # not needed for `--help`

        if cell_len(text) <= width:
            return text
        return set_cell_size(text, width - 1).rstrip() + self.ellipsis if width > 0 else ""


UNICODE = Look()
ASCII = Look(
    ascii=True,
    tick="+",
    cross="x",
    running="*",
    waiting="o",
    dot="|",
    bullet="-",
    dash="-",
    ellipsis="~",
    arrow=">",
    back="<",
    up="^",
    down="v",
    opened="v",
    closed=">",
    horizontal="-",
    vertical="|",
    branch="|-",
    last="`-",
    through="| ",
    full="#",
    empty=".",
    eighths=" #",
    steps=" .:-=+*#",
    upper="#",
    lower="#",
    border="ascii",
    border_focus="ascii",
    border_dialog="ascii",
    spinner="|/-\\",
)

# Terminals whose characters or font are not to be relied on: real ones on a serial line, and the Linux console.
_PLAIN = re.compile(r"(?:dumb|unknown|linux|ansi|cons25|sun|vt\d.*|wyse.*|tvi.*)?")
_MONOCHROME = re.compile(r"(?:dumb|unknown|vt\d.*|wyse.*|tvi.*|.*-m|.*-mono)?")


def decide(environment: Mapping[str, str], *, ascii_only: bool | None = None, coerced: bool = False) -> Look:
    """The look for an environment: ``LC_ALL``/``LC_CTYPE``/``LANG``, ``TERM``, ``COLORTERM``, ``NO_COLOR``.

    ascii_only: what the settings say; ``THANOS_TUI_ASCII`` comes before them, the terminal and the locale after. A
    locale that nothing sets, as in most containers, leaves it to the terminal. coerced: Python itself put a UTF-8
    ``LC_CTYPE`` into the environment of a C locale (PEP 538).
    """
    forced = {"1": True, "0": False}.get(environment.get(VARIABLE, ""), ascii_only)
    terminal = environment.get("TERM", "")
    old = _PLAIN.fullmatch(terminal) is not None
    plain = old or not _speaks_utf8(environment, coerced)
    base = ASCII if (plain if forced is None else forced) else UNICODE
    return replace(base, old=old, colours=_colours(environment, terminal))


def _speaks_utf8(environment: Mapping[str, str], coerced: bool) -> bool:
    ctype = "" if coerced else environment.get("LC_CTYPE", "")
    locale = environment.get("LC_ALL") or ctype or environment.get("LANG") or ""
    return not locale or "utf-8" in locale.lower() or "utf8" in locale.lower()


def _colours(environment: Mapping[str, str], terminal: str) -> int:
    if environment.get("NO_COLOR") or _MONOCHROME.fullmatch(terminal):
        return 0
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or terminal.endswith("-direct"):
        return 2**24
    return 256 if "256color" in terminal or "kitty" in terminal else 16


_current: Look | None = None


def look() -> Look:
    """The look of the terminal that this process runs on; decided once, as what decides it does not change."""
    return settle() if _current is None else _current


def settle(ascii_only: bool | None = None) -> Look:
    """Decide the look by this process's environment and the settings, and return it."""
    # Python sets utf8_mode together with the LC_CTYPE of its own making.
    coerced = sys.flags.utf8_mode == 1 and os.environ.get("LC_CTYPE") == "C.UTF-8"
    decided = decide(os.environ, ascii_only=ascii_only, coerced=coerced)
    use(decided)
    return decided


def use(new: Look | None) -> None:
    """Take another look from now on; None decides anew at the next :func:`look`."""
    global _current
    _current = new
