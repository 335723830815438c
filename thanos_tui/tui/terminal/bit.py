"""The emulator bittty: pure Python, so it runs wherever the app does; its speed is enough for people and most logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from thanos_tui.tui.terminal.emulator import (
    BLINK,
    BOLD,
    DEFAULT,
    DIM,
    HIDDEN,
    ITALIC,
    MOUSE,
    REVERSE,
    RGB,
    STRIKE,
    TAIL,
    UNDERLINE,
    Colours,
    Cursor,
    MouseEncoding,
    MouseMode,
    Pen,
    Row,
    fit,
    moving_up,
    text_of,
)

_ENCODING: dict[str, MouseEncoding] = {"utf8": "utf8", "sgr": "sgr", "urxvt": "urxvt"}


class _Line:
    """The cable to the program: keeps what the emulator sends until it is fetched."""

    closed = False

    def __init__(self) -> None:
        self.sent = bytearray()

    def write(self, data: str) -> int:
        self.sent += data.encode("utf-8", "surrogatepass")
        return len(data)

    def write_bytes(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.sent)
        self.sent.clear()
        return taken

    def flush(self) -> None:
        """There is nothing between this and its reader."""

    def resize(self, rows: int, cols: int) -> None:
        """The session is told by the widget, which knows first."""

    def configure_line(self, line: Any) -> None:
        """No modem is in between."""

    def close(self) -> None:
        self.closed = True


class Bittty:
    """An Emulator (see there), and what its board shows to (bittty's Presentable)."""

    name = "bittty"
    slice_size = 4096
    keeps_scrollback = True

    def __init__(self, columns: int, rows: int, scrollback: int) -> None:
        self._bittty: Any = import_module("bittty")
        events: Any = import_module("bittty.present")
        self._bell, self._scrolled, self._cleared = events.Bell, events.RowsScrolledOff, events.ScrollbackCleared
        # Without a printer and other devices that could swallow output. Its own model is an xterm that lets Alt send
        # Escape, breaks long lines anew when the width changes, and holds frames.
        self._board: Any = self._bittty.Board(
            width=columns, height=rows, model=replace(self._bittty.BITTTY, options=frozenset())
        )
        self._board.set_caps(self._bittty.TerminalCaps(grapheme_mode="permanently-set"))  # accents join their letters
        self._line = _Line()
        self._board.host.attach(self._line)
        self._board.attach_display(self)
        self._limit = scrollback
        self._past: deque[Row] = deque(maxlen=scrollback)
        self._forgotten = 0
        self._bells = 0
        self._tail = b""
        self._pens: dict[Any, Pen] = {}
        self._title = self._board.title.title
        self.recolour(Colours())

    @property
    def columns(self) -> int:
        return int(self._board.width)

    @property
    def rows(self) -> int:
        return int(self._board.height)

    def present(self, event: Any) -> None:
        """Take what the board would not keep: rows that scroll off, and the bell."""
        if isinstance(event, self._scrolled):
            self._forgotten += max(0, len(self._past) + len(event.lines) - self._limit)
            self._past.extend(_trimmed(self._runs(line.cells)) for line in event.lines)
        elif isinstance(event, self._cleared):
            self._forgotten += len(self._past)
            self._past.clear()
        elif isinstance(event, self._bell):
            self._bells += 1

    def feed(self, data: bytes) -> None:
        self._board.feed_host_data(data)
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]

    def resize(self, columns: int, rows: int) -> None:
        self._board.feed_host_data(moving_up(self, rows, self._tail))
        self._board.resize_from_frontend(columns, rows)

    def recolour(self, colours: Colours) -> None:
        palette = self._board.palette
        palette.foreground, palette.background, palette.cursor = (
            colours.foreground,
            colours.background,
            colours.foreground,
        )
        for place, colour in enumerate(colours.ansi):
            palette.colors[place] = colour

    def row(self, number: int) -> Row:
        return self._runs(self._board.blitter.main_page.grid[number])

    def past(self, number: int) -> Row:
        return self._past[number]

    def _runs(self, cells: Sequence[tuple[Any, str]]) -> Row:
        runs: list[tuple[str, Pen]] = []
        text: list[str] = []
        style = None
        plain = True
        for cell_style, character in cells:
            if cell_style is not style:
                if style is not None:
                    runs.append((self._joined(text, plain), self._pen(style)))
                    text, plain = [], True
                style = cell_style
            text.append(character)
            if not character or not character.isascii():
                plain = False
        if style is not None:
            runs.append((self._joined(text, plain), self._pen(style)))
        return tuple(runs)

    @staticmethod
    def _joined(cells: list[str], plain: bool) -> str:
        if plain:
            return "".join(cells)
        fitted = []
        for place, character in enumerate(cells):
            if character:
                wide = place + 1 < len(cells) and not cells[place + 1]
                fitted.append(fit(character, 2 if wide else 1) if character >= " " else " ")
        return "".join(fitted)

    def _pen(self, style: Any) -> Pen:
        pen = self._pens.get(style)
        if pen is None:
            pen = self._pens[style] = Pen(
                self._colour(style.fg),
                self._colour(style.bg),
                (BOLD if style.bold else 0)
                | (DIM if style.dim else 0)
                | (ITALIC if style.italic else 0)
                | (UNDERLINE if style.underline else 0)
                | (BLINK if style.blink else 0)
                | (REVERSE if style.reverse else 0)
                | (HIDDEN if style.conceal else 0)
                | (STRIKE if style.strike else 0),
            )
            if len(self._pens) > 4096:  # a picture in true colour
                self._pens.clear()
        return pen

    @staticmethod
    def _colour(colour: Any) -> int:
        if colour is None or colour.mode == "default":
            return DEFAULT
        if colour.mode == "indexed":
            return int(colour.value)
        red, green, blue = map(int, colour.value)
        return RGB + (red << 16 | green << 8 | blue)

    @property
    def history(self) -> int:
        return 0 if self.alternate else len(self._past)

    @property
    def forgotten(self) -> int | None:
        return self._forgotten

    def texts(self) -> list[str]:
        past = [] if self.alternate else [text_of(row) for row in self._past]
        return past + [text_of(self.row(number)) for number in range(self.rows)]

    def generation(self) -> int:
        return int(self._board.blitter.main_page.observe())

    def changed(self, since: int) -> Sequence[int]:
        return list(self._board.blitter.main_page.dirty_rows(since))

    @property
    def cursor(self) -> Cursor:
        board = self._board
        place = board.display.cursor
        column, row = place or (board.cursor.display_x, board.cursor.y)
        return Cursor(min(column, self.columns - 1), row, board.cursor.shape, place is not None)

    @property
    def title(self) -> str:
        title = str(self._board.title.title)
        return "" if title == self._title else title

    @property
    def alternate(self) -> bool:
        return bool(self._board.blitter.in_alt_screen)

    @property
    def held(self) -> bool:
        return bool(self._board.modes.synchronized_output)

    @property
    def reversed(self) -> bool:
        return bool(self._board.modes.reverse_screen)

    @property
    def mouse(self) -> tuple[MouseMode, MouseEncoding]:
        mouse = self._board.mouse
        return MOUSE.get(mouse.protocol.value, "off"), _ENCODING.get(mouse.encoding.value, "legacy")

    @property
    def bracketed_paste(self) -> bool:
        return bool(self._board.modes.bracketed_paste)

    @property
    def reports_focus(self) -> bool:
        return bool(self._board.modes.focus_reporting)

    @property
    def application_cursor(self) -> bool:
        return bool(self._board.modes.cursor_application_mode)

    def answers(self) -> bytes:
        return self._line.take()

    def rang(self) -> bool:
        rang, self._bells = self._bells > 0, 0
        return rang

    def encode_key(self, name: str, modifiers: int, text: str) -> bytes:
        waiting = self._line.take()  # answers that nobody has fetched yet
        self._board.input_key_event(
            self._bittty.KeyEvent(name, self._bittty.KeyModifiers(modifiers), text=text or None)
        )
        sent = self._line.take()
        self._line.write_bytes(waiting)
        return sent


def _trimmed(row: Row) -> Row:
    """A row without the blanks at its end, which a long history need not keep."""
    while row:
        text, pen = row[-1]
        if pen.background != DEFAULT or pen.attributes & (REVERSE | UNDERLINE | STRIKE):
            return row
        text = text.rstrip(" ")
        if text:
            return (*row[:-1], (text, pen))
        row = row[:-1]
    return row
