"""What the terminal widget needs of an emulator, and the choice between those that are installed.

Two are known: par-term-emu-core-rust (compiled, Python 3.12 and newer) and bittty (pure Python). Each has a module that
makes it look like :class:`Emulator`; nothing else in the app knows which one draws.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

from rich.cells import cell_len

from thanos_tui.errors import HostError

DEFAULT = -1  # the colour a terminal has where nobody says otherwise
RGB = 1 << 24  # a colour from here on is this plus 0xRRGGBB; below it stands in the palette of 256

BOLD, DIM, ITALIC, UNDERLINE, BLINK, REVERSE, HIDDEN, STRIKE = (1 << bit for bit in range(8))

# Key modifiers, as xterm counts them.
SHIFT, ALT, CTRL, SUPER = 1, 2, 4, 8

SCROLLBACK = 10_000  # lines kept above the screen

Triplet = tuple[int, int, int]


class Pen(NamedTuple):
    """What cells are drawn with: colours (DEFAULT, 0 to 255, or RGB + 0xRRGGBB) and attributes (BOLD | …)."""

    foreground: int = DEFAULT
    background: int = DEFAULT
    attributes: int = 0


PLAIN = Pen()

# A row: stretches of text drawn with one pen, from the left. Wide characters stand for two cells; what follows the last
# stretch is blank.
Row = tuple[tuple[str, Pen], ...]

Shape = Literal["block", "underline", "bar"]
MouseMode = Literal["off", "press", "click", "drag", "move"]  # what the guest wants to be told of
MouseEncoding = Literal["legacy", "utf8", "sgr", "urxvt"]
# By the names that both emulators have for them, which are xterm's.
MOUSE: Mapping[str, MouseMode] = {"x10": "press", "normal": "click", "button": "drag", "any": "move"}


class Cursor(NamedTuple):
    column: int = 0
    row: int = 0
    shape: Shape = "block"
    visible: bool = True


@dataclass(frozen=True)
class Colours:
    """The terminal's default colours and its first sixteen, as red, green, blue."""

    foreground: Triplet = (238, 238, 238)
    background: Triplet = (0, 0, 0)
    ansi: tuple[Triplet, ...] = field(
        default=(
            (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205),
            (229, 229, 229), (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255),
            (0, 255, 255), (255, 255, 255),
        )
    )  # fmt: skip


class Emulator(Protocol):
    """A terminal's screen and memory.

    Rows count from 0 at the top of the screen, lines of the history from 0 at the oldest one kept.
    """

    name: str
    slice_size: int
    """Bytes that it takes in a few milliseconds, for which the event loop may stand still."""

    @property
    def columns(self) -> int: ...

    @property
    def rows(self) -> int: ...

    def feed(self, data: bytes) -> None:
        """Take output of the program in the terminal; escape sequences and characters may be cut anywhere."""

    def resize(self, columns: int, rows: int) -> None: ...

    def recolour(self, colours: Colours) -> None:
        """Take other default colours, which programs may ask for."""

    def row(self, number: int) -> Row:
        """A row of the screen."""

    def past(self, number: int) -> Row:
        """A line of the history."""

    @property
    def history(self) -> int:
        """How many lines have left the screen at the top and are kept."""

    @property
    def forgotten(self) -> int | None:
        """How many lines the history had to give up so far; None where that is not known."""

    def texts(self) -> list[str]:
        """Every line as plain text: the history, then the screen."""

    def generation(self) -> int:
        """A mark for :meth:`changed`."""

    def changed(self, since: int) -> Sequence[int]:
        """The rows of the screen that may have changed since :meth:`generation` gave that mark."""

    @property
    def cursor(self) -> Cursor: ...

    @property
    def title(self) -> str:
        """What the program calls its window; empty if nothing."""

    @property
    def alternate(self) -> bool:
        """Whether the screen is the one that full-screen programs use, which has no history."""

    @property
    def held(self) -> bool:
        """Whether the program is in the middle of drawing a frame and asks to wait (mode 2026)."""

    @property
    def reversed(self) -> bool:
        """Whether the whole screen is in reverse video (DECSCNM)."""

    @property
    def mouse(self) -> tuple[MouseMode, MouseEncoding]: ...

    @property
    def bracketed_paste(self) -> bool: ...

    @property
    def reports_focus(self) -> bool: ...

    @property
    def application_cursor(self) -> bool:
        """Whether the cursor keys send what full-screen programs want."""

    def answers(self) -> bytes:
        """What the program is to be told in answer to its questions, once."""

    def rang(self) -> bool:
        """Whether the bell rang since this was asked last."""

    def encode_key(self, name: str, modifiers: int, text: str) -> bytes:
        """What a key sends.

        name: a character in lower case, or ``up``, ``pagedown``, ``f1``, ``enter``… (see :mod:`.keys`).
        text: the character that was typed, if it is one. Empty for a key that terminals do not send.
        """


@lru_cache(maxsize=4096)
def fit(text: str, cells: int) -> str:
    """A cluster of characters that the screen will give as many cells as the emulator did.

    Emulator and app do not always agree on a character's width; a row that is one cell off would be torn.
    """
    width = cell_len(text)
    if width == cells:
        return text
    return text + " " * (cells - width) if width < cells else "�".ljust(cells)


TAIL = 64  # bytes last fed, by which moving_up() tells whether a sequence has begun
# ECMA-48: an escape sequence that has begun and not ended, or the first bytes of a character in UTF-8.
_UNFINISHED = re.compile(rb"(?:\x1b(?:[ -/]*|\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*)|[\xc0-\xff][\x80-\xbf]{0,2})$")


def moving_up(emulator: Emulator, rows: int, tail: bytes) -> bytes:
    """What to feed an emulator before it shrinks to so many rows, so that the cursor's row stays on the screen.

    Both emulators cut rows off at the bottom, where the prompt is; xterm and others let those at the top go into the
    history. The region that scrolls is the whole screen after a resize in any case. tail: what was fed last.
    """
    column, row = emulator.cursor[:2]
    above = row - rows + 1
    if above <= 0 or emulator.alternate or _UNFINISHED.search(tail):
        return b""
    return b"\x1b[r\x1b[%d;1H%s\x1b[%d;%dH" % (emulator.rows, b"\n" * above, row + 1 - above, column + 1)


def text_of(row: Row) -> str:
    """A row's text, without the blanks at its end."""
    return "".join(text for text, _ in row).rstrip(" ")


def backends() -> tuple[str, ...]:
    """The emulators that can be used here, best first."""
    from importlib.util import find_spec

    found = []
    if sys.version_info >= (3, 12) and find_spec("par_term_emu_core_rust"):
        found.append("par-term")
    if find_spec("bittty"):
        found.append("bittty")
    return tuple(found)


def make(columns: int, rows: int, *, backend: str | None = None, scrollback: int = SCROLLBACK) -> Emulator:
    """An emulator of that size: the best that is installed, or the one named.

    Raises HostError where there is none.
    """
    names = backends()
    chosen = backend or next(iter(names), None)
    if chosen == "par-term" and chosen in names:
        from thanos_tui.tui.terminal.parterm import ParTerm

        return ParTerm(columns, rows, scrollback)
    if chosen == "bittty" and chosen in names:
        from thanos_tui.tui.terminal.bit import Bittty

        return Bittty(columns, rows, scrollback)
    raise HostError(
        f"the terminal emulator {backend} is not installed" if backend else "no terminal emulator is installed",
        hint="install one: pip install bittty; or outside of the app: thanos-tui console",
    )
