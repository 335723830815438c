"""The emulator par-term-emu-core-rust: compiled, several times as fast as any in Python; for Python 3.12 and newer.

Its interface changes from release to release, so pyproject.toml names one. What an image can do to the user's files and
desktop by escape sequences (read files, copy, notify, upload) is switched off or never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any

from thanos_tui.tui.terminal.emulator import (
    ALT,
    BLINK,
    BOLD,
    CTRL,
    DEFAULT,
    DIM,
    HIDDEN,
    ITALIC,
    MOUSE,
    REVERSE,
    RGB,
    SHIFT,
    STRIKE,
    TAIL,
    UNDERLINE,
    Colours,
    Cursor,
    MouseEncoding,
    MouseMode,
    Pen,
    Row,
    Shape,
    Triplet,
    fit,
    moving_up,
    text_of,
)

# The codes of the kitty keyboard protocol, which encode_key() wants; 1 is any character.
_CHARACTER = 1
_KEYS = {
    "tab": 9, "enter": 13, "escape": 27, "backspace": 127, "insert": 57426, "delete": 57427, "left": 57428,
    "right": 57429, "up": 57430, "down": 57431, "pageup": 57432, "pagedown": 57433, "home": 57434, "end": 57435,
    **{f"f{number}": 57375 + number for number in range(1, 13)},
}  # fmt: skip
# Where it sends something else than xterm, to programs that have not asked for another way of encoding keys. Alt puts
# an Escape before each.
_LEGACY = {
    ("enter", 0): b"\r", ("enter", SHIFT): b"\r", ("enter", CTRL): b"\r", ("backspace", 0): b"\x7f",
    ("backspace", SHIFT): b"\x7f", ("backspace", CTRL): b"\x08", ("escape", 0): b"\x1b", ("/", CTRL): b"\x1f",
    **{(f"f{13 + place}", 0): b"\x1b[%d~" % code for place, code in enumerate((25, 26, 28, 29, 31, 32, 33, 34))},
}  # fmt: skip
_ENCODING: dict[str, MouseEncoding] = {"Default": "legacy", "Utf8": "utf8", "Sgr": "sgr", "Urxvt": "urxvt"}
_MASKS = (BOLD, DIM, ITALIC, UNDERLINE, BLINK, REVERSE, HIDDEN, STRIKE)
_FLAGS = attrgetter("bold", "dim", "italic", "underline", "blink", "reverse", "hidden", "strikethrough")
_Drawn = tuple[Triplet, Triplet, tuple[bool, ...]]  # foreground, background, _FLAGS


def _cube() -> dict[Triplet, int]:
    """The places in the palette of 256 by the colours that this emulator gives them.

    They are not xterm's, whose steps are uneven (0, 95, 135…), but 51 apart.
    """
    places = {}
    for place in range(216):
        red, rest = divmod(place, 36)
        places[red * 51, rest // 6 * 51, rest % 6 * 51] = 16 + place
    return places


_CUBE = _cube()


class ParTerm:
    """An Emulator (see there)."""

    name = "par-term"
    slice_size = 8192

    def __init__(self, columns: int, rows: int, scrollback: int) -> None:
        self.columns = columns
        self.rows = rows
        self._limit = scrollback
        self._terminal: Any = import_module("par_term_emu_core_rust").Terminal(columns, rows, scrollback)
        self._terminal.set_allow_file_media("off")
        self._terminal.set_disable_insecure_sequences(True)
        self._terminal.set_allow_clipboard_read(False)
        self._terminal.set_allow_clipboard_write(False)
        self._terminal.set_accept_osc7(False)
        self._terminal.set_bold_brightening(False)
        self._terminal.set_event_subscription([])
        self._places: dict[Triplet, int] = {}
        self._pens: dict[_Drawn, Pen] = {}
        self._foregrounds: set[Triplet] = set()
        self._backgrounds: set[Triplet] = set()
        self._tail = b""
        self.recolour(Colours())

    def feed(self, data: bytes) -> None:
        self._terminal.process(data)
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]

    def resize(self, columns: int, rows: int) -> None:
        self._terminal.process(moving_up(self, rows, self._tail))
        self._terminal.resize(columns, rows)
        self.columns, self.rows = columns, rows

    def recolour(self, colours: Colours) -> None:
        self._terminal.set_default_fg(*colours.foreground)
        self._terminal.set_default_bg(*colours.background)
        for place, colour in enumerate(colours.ansi):
            self._terminal.set_ansi_palette_color(place, *colour)
        # Cells come back as red, green and blue: what they meant is read off the colours given here.
        self._places = {**_CUBE, **{colour: place for place, colour in reversed(tuple(enumerate(colours.ansi)))}}
        # Some cells keep the default colours of the time when they were written.
        self._foregrounds.add(colours.foreground)
        self._backgrounds.add(colours.background)
        self._pens.clear()

    def row(self, number: int) -> Row:
        return self._runs(self._terminal.get_line_cells(number))

    def past(self, number: int) -> Row:
        return self._runs(self._terminal.scrollback_line(number) or [])

    def _runs(self, cells: Sequence[tuple[str, Triplet, Triplet, Any]]) -> Row:
        runs: list[tuple[str, Pen]] = []
        text = ""
        previous: _Drawn | None = None
        after_wide = False
        for character, foreground, background, attributes in cells:
            if after_wide:
                after_wide = False
                continue
            if not character.isascii():
                after_wide = attributes.wide_char
                character = fit(character, 2 if after_wide else 1)
            elif character < " ":
                character = " "
            drawn = foreground, background, _FLAGS(attributes)
            if drawn == previous:
                text += character
                continue
            if previous is not None:
                runs.append((text, self._pen(previous)))
            previous, text = drawn, character
        if previous is not None:
            runs.append((text, self._pen(previous)))
        return tuple(runs)

    def _pen(self, drawn: _Drawn) -> Pen:
        pen = self._pens.get(drawn)
        if pen is None:
            foreground, background, flags = drawn
            if len(self._pens) > 4096:  # a picture in true colour
                self._pens.clear()
            pen = self._pens[drawn] = Pen(
                DEFAULT if foreground in self._foregrounds else self._colour(foreground),
                DEFAULT if background in self._backgrounds else self._colour(background),
                sum(mask for mask, flag in zip(_MASKS, flags, strict=True) if flag),
            )
        return pen

    def _colour(self, colour: Triplet) -> int:
        place = self._places.get(colour)
        return RGB + (colour[0] << 16 | colour[1] << 8 | colour[2]) if place is None else place

    @property
    def history(self) -> int:
        return 0 if self.alternate else int(self._terminal.scrollback_len())

    @property
    def forgotten(self) -> int | None:
        return 0 if self._terminal.scrollback_len() < self._limit else None

    def texts(self) -> list[str]:
        past = [] if self.alternate else [line.rstrip(" ") for line in self._terminal.scrollback()]
        return past + [text_of(self.row(number)) for number in range(self.rows)]

    def generation(self) -> int:
        return int(self._terminal.damage_generation())

    def changed(self, since: int) -> Sequence[int]:
        return [row for row in self._terminal.dirty_rows_since(since) if row < self.rows]

    @property
    def cursor(self) -> Cursor:
        column, row = self._terminal.cursor_position()
        style = str(self._terminal.cursor_style())
        shape: Shape = "bar" if "Bar" in style else "underline" if "Underline" in style else "block"
        return Cursor(min(column, self.columns - 1), row, shape, bool(self._terminal.cursor_visible()))

    @property
    def title(self) -> str:
        return str(self._terminal.title())

    @property
    def alternate(self) -> bool:
        return bool(self._terminal.is_alt_screen_active())

    @property
    def held(self) -> bool:
        return bool(self._terminal.synchronized_updates())

    @property
    def reversed(self) -> bool:
        return False  # it keeps no such mode

    @property
    def mouse(self) -> tuple[MouseMode, MouseEncoding]:
        mode = MOUSE.get(self._terminal.mouse_mode(), "off")
        return mode, _ENCODING.get(str(self._terminal.mouse_encoding()).rpartition(".")[2], "legacy")

    @property
    def bracketed_paste(self) -> bool:
        return bool(self._terminal.bracketed_paste())

    @property
    def reports_focus(self) -> bool:
        return bool(self._terminal.focus_tracking())

    @property
    def application_cursor(self) -> bool:
        return bool(self._terminal.application_cursor())

    def answers(self) -> bytes:
        return bytes(self._terminal.drain_responses())

    def rang(self) -> bool:
        return bool(self._terminal.drain_bell_events())

    def encode_key(self, name: str, modifiers: int, text: str) -> bytes:
        terminal = self._terminal
        legacy = not terminal.keyboard_flags() and not terminal.modify_other_keys_mode()
        if legacy and (known := _LEGACY.get((name, modifiers & ~ALT))) is not None:
            return b"\x1b" * bool(modifiers & ALT) + known
        code = _KEYS.get(name)
        if code is not None:
            return bytes(terminal.encode_key(code, modifiers))
        character = name if modifiers & (ALT | CTRL) else text
        if len(character) != 1:
            return text.encode()
        if legacy and modifiers & ALT and not modifiers & CTRL:
            return b"\x1b" + (text or character).encode()
        held = modifiers if modifiers & (ALT | CTRL) else modifiers & ~SHIFT
        return bytes(terminal.encode_key(_CHARACTER, held, ord(character)))
