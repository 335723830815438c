"""The terminal in the app: draws an emulator's rows, takes every key, and keeps what has scrolled away.

Output is taken in small slices, one per turn of the event loop, and drawn sixty times a second at most, changed rows
only. What is at the other end stands in :class:`FarEnd`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from thanos_tui.errors import HostError
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.terminal import keys
from thanos_tui.tui.terminal.colours import Styles, theme_colours
from thanos_tui.tui.terminal.emulator import ALT, CTRL, PLAIN, Emulator, Row
from thanos_tui.tui.terminal.recording import Recording
from thanos_tui.tui.terminal.text import Place, Selection, between, hits, line_selection, visible, word_selection

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

_FRAME = 1 / 60  # seconds from one drawing to the next, at least
_BUSY_FRAME = 1 / 10  # likewise while more output waits: drawing takes longer than reading
_HELD = 0.2  # seconds that a program may ask to wait with drawing
_WHEEL = 3  # lines for one step of the wheel
# What a program that ended unexpectedly may have left switched on: mouse and paste marks, application keys, a scroll
# region (setting it moves the cursor), attributes, a hidden cursor.
_CALM = (
    b"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[?1l\x1b>\x1b[<9u"
    b"\x1b[>4;0m\x1b7\x1b[r\x1b8\x1b[m\x1b[?7h\x1b[?25h\x0f"
)


class FarEnd(Protocol):
    """What a terminal is connected to. Its methods do not wait."""

    def send(self, data: bytes) -> None:
        """Take what was typed, pasted or answered."""

    def resize(self, columns: int, rows: int) -> None:
        """Learn the terminal's size."""

    def drained(self) -> None:
        """All output has been drawn, so more may come (see :attr:`TerminalView.backlog`)."""


class TerminalView(Widget, can_focus=True):
    """A terminal emulator's screen. With the focus it takes every key but its own few (BINDINGS)."""

    ALLOW_SELECT = False  # it selects by itself: lines here move
    takes_every_key: ClassVar[bool] = True  # the app's own keys, priority or not, wait until it is left

    DEFAULT_CSS = """
    TerminalView { background: $background; color: $foreground; pointer: text; width: 1fr; height: 1fr; }
    TerminalView .terminal--selection { background: $primary 40%; }
    TerminalView .terminal--hit { background: $warning 40%; }
    TerminalView .terminal--found { background: $warning; color: $background; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"terminal--selection", "terminal--hit", "terminal--found"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("terminal.leave", "ctrl+right_square_bracket", "leave", "Leave", "Leave the machine.", show=True),
        key("terminal.page-up", "shift+pageup", "scroll_lines(-1, True)", "Page up", "Look a page further back."),
        key("terminal.page-down", "shift+pagedown", "scroll_lines(1, True)", "Page down", "Go a page towards the end."),
        key("terminal.first", "shift+home", "scroll_first", "First line", "Look at the oldest line kept."),
        key("terminal.last", "shift+end", "scroll_last", "Last line", "Back to where output appears."),
    ]

    class Changed(Message):
        """The title, the position in the history or the recording changed."""

    class Rang(Message):
        """The bell rang."""

        def __init__(self, view: TerminalView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, emulator: Emulator, far: FarEnd | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.emulator = emulator
        self.far = far
        self.way_out: Widget | None = None  # what has the focus once the terminal is left
        self.backlog = 0
        self.back = 0  # lines the view is scrolled back by
        self.recording: Recording | None = None
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._pump_handle: asyncio.Handle | None = None
        self._paint_handle: asyncio.TimerHandle | None = None
        self._painted = 0.0
        self._held_since = 0.0
        self._mark = emulator.generation()
        self._strips: dict[int, Strip] = {}
        self._style: Styles | None = None
        self._cursor = emulator.cursor
        self._lines = self._line_count()
        self._alternate = emulator.alternate
        self._reversed = emulator.reversed
        self._title = ""
        self._selection: Selection | None = None
        self._selecting = False
        self._pressed: int | None = None
        self._told = ("", 0, 0)  # the last movement a program was told of
        self._needle = ""
        self._found: Place | None = None

    # Output

    def feed(self, data: bytes, *, replayed: bool = False) -> None:
        """Show output. replayed: it was said before now, so nothing is answered, rung or recorded."""
        if not data:
            return
        self._waiting.append((data, replayed))
        self.backlog += len(data)
        if self._pump_handle is None:
            self._pump_handle = asyncio.get_running_loop().call_soon(self._pump)

    def calm(self) -> None:
        """Undo what a program that is gone may have left switched on, and begin a new line."""
        self.feed(_CALM, replayed=True)

    def say(self, text: str) -> None:
        """Show words of ours between those of the machine."""
        for line in text.splitlines():
            self.feed(b"\x1b[0;2m" + visible(line).encode() + b"\x1b[0m\r\n", replayed=True)

    def _pump(self) -> None:
        self._pump_handle = None
        if not self.is_attached:
            return
        data, replayed = self._waiting.popleft()
        size = self.emulator.slice_size
        if len(data) > size:
            self._waiting.appendleft((data[size:], replayed))
            data = data[:size]
        self.backlog -= len(data)
        emulator = self.emulator
        if data is _CALM:
            emulator.feed(b"\x18")  # the end of any sequence
            # Leaving a screen that one is not on would move the cursor.
            data = (b"\x1b[?1049l" if emulator.alternate else b"") + _CALM
            emulator.feed(data)
            data = b"\r\n" if emulator.cursor.column else b""
        emulator.feed(data)
        answers, rang = emulator.answers(), emulator.rang()
        if not replayed:
            if answers and self.far is not None:
                self.far.send(answers)
            if rang:
                self.post_message(self.Rang(self))
            self._record(lambda recording: recording.output(data))
        self._schedule()
        if self._waiting:
            self._pump_handle = asyncio.get_running_loop().call_soon(self._pump)
        elif self.far is not None:
            self.far.drained()

    def _schedule(self) -> None:
        if self._paint_handle is None:
            frame = _BUSY_FRAME if self._waiting else _FRAME
            wait = max(0.0, self._painted + frame - time.monotonic())
            self._paint_handle = asyncio.get_running_loop().call_later(wait, self._paint)

    def _paint(self) -> None:
        """Have the rows that changed drawn again."""
        self._paint_handle = None
        if not self.is_attached:
            return
        emulator = self.emulator
        now = self._painted = time.monotonic()
        if emulator.held:
            self._held_since = self._held_since or now
            if now - self._held_since < _HELD:
                self._schedule()
                return
        else:
            self._held_since = 0.0
        changed = set(emulator.changed(self._mark))
        self._mark = emulator.generation()
        cursor, lines = emulator.cursor, self._line_count()
        if emulator.alternate != self._alternate or emulator.reversed != self._reversed:
            self._alternate, self._reversed = emulator.alternate, emulator.reversed
            self._selection = self._found = None
            self.back = 0
            changed = set(range(emulator.rows))
        for row in changed:
            self._strips.pop(row, None)
        if emulator.forgotten is None and changed:
            self._selection = self._found = None  # where it has gone nobody can tell
        if self.back:
            # The view stays on what is being read.
            self.back = max(0, min(emulator.history, self.back + lines - self._lines))
            self.refresh()
        elif lines != self._lines and (self._selection or self._needle):
            self.refresh()
        else:
            changed |= {self._cursor.row, cursor.row}
            if len(changed) > emulator.rows // 2:
                self.refresh()
            else:
                self.refresh(*(Region(0, row, self.size.width, 1) for row in changed if row < self.size.height))
        if self.back or lines != self._lines or emulator.title != self._title:
            self._title = emulator.title
            self.post_message(self.Changed())
        self._cursor, self._lines = cursor, lines
        self._place_cursor()

    def _line_count(self) -> int:
        """Lines there ever were above the screen, as far as is known."""
        return (self.emulator.forgotten or 0) + self.emulator.history

    def _place_cursor(self) -> None:
        """Let the real cursor stand where ours is: input methods and screen readers look there."""
        if self.has_focus and not self.back:
            cursor = self.emulator.cursor
            self.app.cursor_position = self.content_region.offset + Offset(cursor.column, cursor.row)

    # Drawing

    def _styles(self) -> Styles:
        if self._style is None:
            colours = theme_colours(self.app)
            self.emulator.recolour(colours)
            self._style = Styles(colours, native=self.app.native_ansi_color)
            self._strips.clear()
        return self._style

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._style = None
        if self.is_attached:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        emulator, styles = self.emulator, self._styles()
        width = self.size.width
        if y >= emulator.rows:
            return Strip.blank(width, self.rich_style)
        line = emulator.history - self.back + y
        row = line - emulator.history
        if row < 0:
            strip = self._strip(emulator.past(line), styles, width)
        else:
            cached = self._strips.get(row)
            if cached is None:
                cached = self._strips[row] = self._strip(emulator.row(row), styles, width)
            strip = cached
        strip = self._highlighted(strip, line)
        if emulator.reversed:
            strip = strip.apply_style(Style(reverse=True))
        cursor = emulator.cursor
        if row == cursor.row and cursor.visible:
            strip = self._with_cursor(strip, cursor.column)
        return strip

    def _strip(self, row: Row, styles: Styles, width: int) -> Strip:
        segments = [Segment(text, styles(pen)) for text, pen in row if text]
        return Strip(segments).adjust_cell_length(width, self._blank())

    def _blank(self) -> Style:
        return self._styles()(PLAIN)

    def _highlighted(self, strip: Strip, line: int) -> Strip:
        number = line + (self.emulator.forgotten or 0)
        if self._needle:
            for start, end in hits(strip.text, self._needle):
                if self._found == (number, start):
                    style = self.get_component_rich_style("terminal--found")
                else:
                    style = self._background_of("terminal--hit")
                strip = _overlaid(strip, start, end, style)
        if self._selection is not None:
            span = self._selection.on(number, self.size.width)
            if span is not None:
                strip = _overlaid(strip, *span, self._background_of("terminal--selection"))
        return strip

    def _background_of(self, name: str) -> Style:
        """What a component changes of a cell; without colours there is only reverse video."""
        if not look().colour:
            return Style(reverse=True)
        return Style(bgcolor=self.get_component_rich_style(name).bgcolor)

    def _with_cursor(self, strip: Strip, column: int) -> Strip:
        shape = self.emulator.cursor.shape
        if not self.has_focus or shape == "underline":
            style = Style(underline=True)
        elif shape == "bar":
            style = Style(underline=True, reverse=True)  # a cell has no left edge to draw one on
        else:
            style = Style(reverse=True)
        return _overlaid(strip, column, column + 1, style)

    # Size and focus

    def on_resize(self) -> None:
        columns, rows = self.content_size
        emulator = self.emulator
        if columns < 2 or rows < 1 or (columns, rows) == (emulator.columns, emulator.rows):
            return
        emulator.resize(columns, rows)
        self._strips.clear()
        self._selection = self._found = None
        self.back = min(self.back, emulator.history)
        if self.far is not None:
            self.far.resize(columns, rows)
        self._record(lambda recording: recording.resized(columns, rows))
        self.refresh()
        self._schedule()

    def on_focus(self) -> None:
        self._focus_changed(b"\x1b[I")

    def on_blur(self) -> None:
        self._focus_changed(b"\x1b[O")

    def _focus_changed(self, report: bytes) -> None:
        if self.emulator.reports_focus and self.far is not None:
            self.far.send(report)
        self.refresh(Region(0, self.emulator.cursor.row, self.size.width, 1))
        self._place_cursor()
        self.post_message(self.Changed())

    def on_unmount(self) -> None:
        for handle in (self._pump_handle, self._paint_handle):
            if handle is not None:
                handle.cancel()
        self.stop_recording()

    # Input

    async def _on_key(self, event: events.Key) -> None:
        if any(active.node is self for name, active in self.screen.active_bindings.items() if name == event.key):
            return  # one of the few of ours
        event.stop()
        event.prevent_default()
        data = keys.encode(self.emulator, event)
        if data:
            self.type(data)

    def type(self, data: bytes) -> None:
        """Send what the user typed, and show where the answer will appear."""
        self._selection = None
        self.action_scroll_last()
        if self.far is not None:
            self.far.send(data)

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.paste(event.text)

    def paste(self, text: str) -> None:
        if text:
            self.type(keys.encode_paste(self.emulator, text))

    # Mouse

    def _mouse(self, event: events.MouseEvent, kind: str, button: int) -> bool:
        """Tell the program of the mouse, if it wants to know; Shift keeps the mouse for us."""
        if self.emulator.mouse[0] == "off" or event.shift or self.back:
            return False
        column = max(0, min(self.emulator.columns - 1, event.x))
        row = max(0, min(self.emulator.rows - 1, event.y))
        if kind in ("drag", "move"):
            if self._told == (kind, column, row):
                return True  # still in the same cell
            self._told = (kind, column, row)
        held = (ALT if event.meta else 0) | (CTRL if event.ctrl else 0)
        data = keys.encode_mouse(self.emulator, kind, button, column, row, held)
        if data and self.far is not None:
            self.far.send(data)
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        button = event.button - 1
        if self._mouse(event, "press", button):
            self._pressed = button
            self.capture_mouse()
        elif button == 0:
            place = self._place(event)
            self._selection = Selection(place, place)
            self._selecting = True
            self.capture_mouse()
            self.refresh()
        elif button == 1:
            self.paste(self.app.clipboard)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._selecting and self._selection is not None:
            if event.y < 0:
                self.action_scroll_lines(-1)
            elif event.y >= self.size.height:
                self.action_scroll_lines(1)
            self._selection = Selection(self._selection.start, self._place(event))
            self.refresh()
        elif self._pressed is not None:
            self._mouse(event, "drag", self._pressed)
        else:
            self._mouse(event, "move", 0)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        event.stop()
        self.release_mouse()
        if self._pressed is not None:
            self._mouse(event, "release", self._pressed)
            self._pressed = None
        elif self._selecting:
            self._selecting = False
            selection = self._selection
            if selection is None or selection.start == selection.end:
                self._selection = None
                self.refresh()
            else:
                self.copy()

    def on_click(self, event: events.Click) -> None:
        if event.chain < 2 or event.button != 1 or (self.emulator.mouse[0] != "off" and not event.shift):
            return
        line, column = self._place(event)
        text = self.emulator.texts()[line - (self.emulator.forgotten or 0)]
        self._selection = word_selection(text, line, column) if event.chain == 2 else line_selection(text, line)
        self.refresh()
        self.copy()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 64, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 65, 1)

    def _wheel(self, event: events.MouseEvent, button: int, direction: int) -> None:
        event.stop()
        if self._mouse(event, "press", button):
            return
        if self.emulator.alternate and self.far is not None:
            # A full-screen program that does not want the mouse scrolls by cursor keys.
            self.far.send(self.emulator.encode_key("up" if direction < 0 else "down", 0, "") * _WHEEL)
        else:
            self.action_scroll_lines(direction * _WHEEL)

    def _place(self, event: events.MouseEvent) -> Place:
        """The line, counted from the first there ever was, and the column under the mouse."""
        row = max(0, min(self.emulator.rows - 1, event.y))
        column = max(0, min(self.emulator.columns, event.x))
        return Place(self._line_count() - self.back + row, column)

    # The history

    def action_leave(self) -> None:
        if self.way_out is not None:
            self.screen.set_focus(self.way_out)  # at once: the next key is not the machine's

    def action_scroll_lines(self, count: int, pages: bool = False) -> None:
        """Scroll by so many lines, or pages less a line; back is negative."""
        step = count * (self.emulator.rows - 1) if pages else count
        self._go_back(self.back - step)

    def action_scroll_first(self) -> None:
        self._go_back(self.emulator.history)

    def action_scroll_last(self) -> None:
        self._go_back(0)

    def _go_back(self, back: int) -> None:
        back = max(0, min(self.emulator.history, back))
        if back != self.back:
            self.back = back
            self.refresh()
            self.post_message(self.Changed())

    @property
    def needle(self) -> str:
        """What is searched for."""
        return self._needle

    def search(self, needle: str) -> bool:
        """Mark every place that has ``needle``, and show the last one; False if there is none."""
        self._needle, self._found = needle, None
        self.refresh()
        return bool(needle) and self.find(-1)

    def find(self, direction: int) -> bool:
        """Show the next place that was searched for: 1 towards the end, -1 back."""
        if not self._needle:
            return False
        first = self.emulator.forgotten or 0
        places = [
            Place(first + number, start)
            for number, text in enumerate(self.emulator.texts())
            for start, _ in hits(text, self._needle)
        ]
        if not places:
            return False
        if self._found is None:
            self._found = places[-1]
        elif direction > 0:
            self._found = next((place for place in places if place > self._found), places[0])
        else:
            self._found = next((place for place in reversed(places) if place < self._found), places[-1])
        row = self._found.line - self._line_count()  # on the screen if it is not negative
        if not 0 <= row + self.back < self.emulator.rows:
            self._go_back(self.emulator.rows // 2 - row)
        self.refresh()
        return True

    # Copying and recording

    def selected(self) -> str:
        """The text that is selected; without a selection what is in view."""
        first = self.emulator.forgotten or 0
        lines = self.emulator.texts()
        if self._selection is not None:
            return between(lines, self._selection, first)
        top = self.emulator.history - self.back
        return "\n".join(lines[top : top + self.emulator.rows]).rstrip("\n")

    def copy(self) -> None:
        """Put what :meth:`selected` says on the clipboard."""
        text = self.selected()
        if text:
            self.post_message(self.Copied(text, whole=self._selection is None))

    class Copied(Message):
        """A text is to be put on the clipboard. whole: it is all that is in view."""

        def __init__(self, text: str, *, whole: bool) -> None:
            super().__init__()
            self.text, self.whole = text, whole

    def record(self, recording: Recording) -> None:
        """Record from now on, beginning with what is on the screen."""
        self.recording = recording
        screen = self.emulator.texts()[-self.emulator.rows :]
        self._record(lambda recording: recording.output("\r\n".join(screen).encode()))
        cursor = self.emulator.cursor
        self._record(lambda recording: recording.output(b"\x1b[%d;%dH" % (cursor.row + 1, cursor.column + 1)))
        self.post_message(self.Changed())

    def stop_recording(self) -> Recording | None:
        """End a recording; returns it, complete."""
        recording, self.recording = self.recording, None
        if recording is not None:
            try:
                recording.close()
            except HostError as error:
                self._recording_failed(error)
                return None
            self.post_message(self.Changed())
        return recording

    def _record(self, act: Callable[[Recording], None]) -> None:
        if self.recording is None:
            return
        try:
            act(self.recording)
        except HostError as error:
            self.recording = None
            self._recording_failed(error)

    def _recording_failed(self, error: HostError) -> None:
        self.notify(error.message, severity="error", markup=False)
        self.post_message(self.Changed())


def _overlaid(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """A strip with the cells from ``start`` to ``end`` in another style, where that says something."""
    length = strip.cell_length
    end = min(end, length)
    if start >= end:
        return strip
    over = [Segment(text, (was or Style.null()) + style) for text, was, _ in strip.crop(start, end)]
    return Strip.join([strip.crop(0, start), Strip(over, end - start), strip.crop(end, length)])
