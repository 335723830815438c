"""A view of many lines that stays fast: logs and texts of a hundred thousand lines, of which only the shown are drawn.

Appending a line costs no more than a list entry: its codes are parsed when it is first seen. Whatever has to look at
all lines (a search, the rows of wrapped lines) does so a few milliseconds at a time, between other events.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.cache import LRUCache
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from thanos_tui.tui.finding import Search
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.styled import Line, breaks, pairs, plain, styled
from thanos_tui.tui.wrapping import Wrapped

LIMIT = 200_000  # lines kept; at a hundred characters each, that is about 30 MB
_SLACK = 10  # a tenth more than the limit may come before the oldest go: dropping few at a time would cost as much
_FRAME = 1 / 20  # seconds between two pictures of lines that pour in; nobody reads faster
_SLICE = 0.006  # seconds of work on all lines before other events have their turn
_ERROR = re.compile(r"(?i)\b(?:errors?|failed|failure|fatal|panic|traceback|cannot|denied)\b")

STYLES = ("error", "warning", "success", "muted", "accent", "strong")
"""The names a line's styles may have; a subclass adds its own with ``lines--NAME`` in its COMPONENT_CLASSES."""


class Lines(ScrollView, can_focus=True):
    """Lines with a cursor (if wanted), search, wrapping, copying, and a view that follows the end (if wanted)."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"lines--{name}" for name in STYLES),
        "lines--cursor",
        "lines--match",
        "lines--hit",
        "lines--prompt",
    }
    DEFAULT_CSS = """
    Lines {
        background: $surface;
        color: $foreground;
        scrollbar-size: 1 1;
        & > .lines--error { color: $text-error; text-style: bold; }
        & > .lines--warning { color: $text-warning; }
        & > .lines--success { color: $text-success; }
        & > .lines--muted { color: $text-muted; }
        & > .lines--accent { color: $text-accent; }
        & > .lines--strong { text-style: bold; }
        & > .lines--cursor { background: $block-cursor-blurred-background; }
        &:focus > .lines--cursor {
            background: $block-cursor-background;
            color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
        & > .lines--match { background: $warning; color: $background; }
        & > .lines--hit { background: $warning; color: $background; text-style: bold reverse; }
        & > .lines--prompt { background: $panel; color: $foreground; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("lines.search", "slash", "search", "Search", "Find text in these lines while you type.", show=True),
        key("lines.next", "n", "step_match(1)", "Next match", "Go to the next line that matches."),
        key("lines.previous", "N", "step_match(-1)", "Previous match", "Go to the line before it that matches."),
        key("lines.error", "e", "first_error", "First error", "Go to the first line that tells of an error."),
        key("lines.wrap", "w", "wrap", "Wrap", "Break long lines at the edge, or scroll sideways."),
        key("lines.follow", "f", "follow", "Follow", "Stay at the end as lines come, or stay where you are."),
        key("lines.copy", "c", "copy_line", "Copy line", "Copy the selected text, or else this line."),
        key("lines.copy-all", "C", "copy_all", "Copy all", "Copy all lines."),
        key("lines.up", "up,k", "scroll_up", "Up", "One line up."),
        key("lines.down", "down,j", "scroll_down", "Down", "One line down."),
        key("lines.home", "home,g", "scroll_home", "First line", "Go to the first line."),
        key("lines.end", "end,G", "scroll_end", "Last line", "Go to the last line, and follow the end."),
        key("lines.pick", "enter", "pick", "Choose", "Choose the line under the cursor."),
        key("lines.forget", "escape", "forget_search", "End search", "Forget the search and its marks."),
    ]

    class CursorMoved(Message):
        """The cursor stands on another line; ``index`` counts from the first line kept."""

        def __init__(self, lines: Lines, index: int) -> None:
            super().__init__()
            self.lines, self.index = lines, index

        @property
        def control(self) -> Lines:
            return self.lines

    class Picked(CursorMoved):
        """Enter was pressed on a line, or it was clicked twice."""

    wrap: reactive[bool] = reactive(False)
    following: reactive[bool] = reactive(True)
    """Whether the view is at the end and stays there as lines come."""
    cursor: reactive[bool] = reactive(False)
    """Whether one line is the current one, which the arrow keys move."""

    def __init__(
        self,
        lines: Iterable[Line] = (),
        *,
        cursor: bool = False,
        wrap: bool = False,
        follow: bool = True,
        limit: int = LIMIT,
        is_error: Callable[[Line], bool] | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """follow: stick to the end as lines come. limit: lines kept, the oldest are dropped. is_error: whether a line
        tells of an error; without it, one with the style ``error`` or a word for it."""
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = list(lines)
        self._limit = limit
        self._follow = follow
        self._is_error = is_error or tells_of_error
        self.dropped = 0
        """How many of the oldest lines are gone."""
        self._at = 0  # the cursor's line
        self._widest = 0
        self._wrapped = Wrapped()
        self._strips: LRUCache[tuple[int, bool], list[Strip]] = LRUCache(256)
        self._styles: dict[str, Style] = {}
        self._jobs: dict[str, Iterator[None]] = {}
        self._due = self._placing = False
        self._asking = False  # the search's prompt takes the keys
        self._search = Search()
        self.set_reactive(Lines.wrap, wrap)
        self.set_reactive(Lines.following, follow)
        self.set_reactive(Lines.cursor, cursor)

    # The lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Line:
        return self._lines[index]

    def append(self, line: Line) -> None:
        """Add one line at the end."""
        self.extend((line,))

    def extend(self, lines: Iterable[Line]) -> None:
        """Add lines at the end; they are shown with the next frame. On the event loop only."""
        at_end = self._at >= len(self._lines) - 1
        self._lines.extend(lines)
        if self.following and at_end:
            self._at = max(0, len(self._lines) - 1)
        if not self._due and self.is_attached:
            self._due = True
            self.set_timer(_FRAME, self._arrange)

    def replace(self, lines: Iterable[Line]) -> None:
        """Show other lines at once; the cursor and the view stay where they are, as far as there are lines."""
        self._lines = list(lines)
        self.dropped = 0
        self._widest = 0
        self._wrapped = Wrapped()
        self._at = max(0, min(self._at, len(self._lines) - 1))
        self._jobs.clear()
        self._search.begin(self._search.query, 0)
        self._redraw()
        self._arrange()

    def clear(self) -> None:
        """Remove all lines."""
        self.replace(())

    def text(self) -> str:
        """All lines as plain text."""
        return "\n".join(map(plain, self._lines))

    # Size and place

    @property
    def cursor_line(self) -> int | None:
        """The line under the cursor, counted from the first line kept; None without a cursor or lines."""
        return self._at if self.cursor and self._lines else None

    def go_to(self, index: int) -> None:
        """Show a line, and put the cursor there."""
        if not self._lines:
            return
        index = max(0, min(index, len(self._lines) - 1))
        moved, self._at = index != self._at, index
        first, last = self._rows_of(index)
        height, top = self._height, self.scroll_offset.y
        if first < top or last > top + height:
            # A step scrolls by a row; a leap shows what is around.
            near = top - 2 <= first <= top + height + 1
            y = (first if first < top else last - height) if near else first - height // 2
            self._place(y)
        if self._follow:
            self.following = index == len(self._lines) - 1
        self.refresh()
        if moved and self.cursor:
            self.post_message(self.CursorMoved(self, index))

    @property
    def _height(self) -> int:
        """Rows for lines; the prompt of a search takes one."""
        return max(1, self.scrollable_content_region.height - self._prompted)

    @property
    def _prompted(self) -> bool:
        return self._asking or bool(self._search.query)

    def _rows_of(self, index: int) -> tuple[int, int]:
        """The rows of a line, the last one excluded, counted from the top of all."""
        head = bool(self.dropped)
        if not self.wrap:
            return head + index, head + index + 1
        start, end = self._wrapped.of(index)
        return head + start, head + end

    def _line_at(self, row: int) -> tuple[int, int]:
        """The line that has a row, and which of its rows that is; -1 for the note about dropped lines."""
        row -= bool(self.dropped)
        return (row, 0) if row < 0 or not self.wrap else self._wrapped.at(row)

    def _arrange(self) -> None:
        """Take in what has changed: the size of it all, and where the end is."""
        self._due = False
        if len(self._lines) > self._limit + self._limit // _SLACK:
            self._drop(len(self._lines) - self._limit)
        if self.wrap and len(self._wrapped) < len(self._lines):
            self._start("wrap", self._count_rows())
        if self._search.query and "search" not in self._jobs and self._search.seen < self.dropped + len(self._lines):
            self._start("search", self._find_all())
        rows = self._wrapped.total if self.wrap else len(self._lines)
        height = bool(self.dropped) + rows + self._prompted
        size = Size(0 if self.wrap else self._widest, height)
        if size != self.virtual_size:
            self.virtual_size = size
        if self.following:
            self._place(self.max_scroll_y)
        self.refresh()

    def _place(self, y: float) -> None:
        """Scroll without that being a sign of the user's wish."""
        self._placing = True
        try:
            self.scroll_to(y=max(0, min(y, self.max_scroll_y)), animate=False, force=True)
        finally:
            self._placing = False

    def _drop(self, count: int) -> None:
        del self._lines[:count]
        self._jobs.pop("wrap", None)
        rows = self._wrapped.drop(count) if self.wrap else count
        rows -= not self.dropped  # the note about them takes a row
        self.dropped += count
        self._at = max(0, self._at - count)
        self._search.drop(self.dropped)
        self._place(self.scroll_y - rows)

    def _count_rows(self) -> Iterator[None]:
        yield from self._wrapped.count(self._lines, self.scrollable_content_region.width)
        self.call_later(self._arrange)

    def _start(self, name: str, job: Iterator[None]) -> None:
        """Do something with all lines, a little at a time; a job of the same name that is under way ends."""
        idle = not self._jobs
        self._jobs[name] = job
        if idle:
            self._work()

    def _work(self) -> None:
        until = time.monotonic() + _SLICE
        while self._jobs and time.monotonic() < until:
            for name, job in list(self._jobs.items()):
                try:
                    next(job)
                except StopIteration:
                    if self._jobs.get(name) is job:
                        del self._jobs[name]
        if self._jobs:
            self.set_timer(0.001, self._work)

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def selection_updated(self, _selection: Selection | None) -> None:
        self._redraw()

    def _redraw(self) -> None:
        self._strips.clear()
        self.refresh()

    def _style(self, name: str) -> Style:
        found = self._styles.get(name)
        if found is None:
            component = f"lines--{name}"
            known = component in self._component_styles
            found = self._styles[name] = self.get_component_rich_style(component, partial=True) if known else Style()
        return found

    def _base(self, current: bool) -> Style:
        # Asking Textual for it takes a quarter of a line's time.
        name = "cursor" if current else ""
        found = self._styles.get(f"{name}-base")
        if found is None:
            found = self._styles[f"{name}-base"] = self.rich_style + self._style(name)
        return found

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._prompted and y == self.size.height - 1:
            return self._prompt(width)
        index, piece = self._line_at(self.scroll_offset.y + y)
        if index < 0:
            note = f"{look().ellipsis} {self.dropped:,} earlier lines were dropped"
            style = self._base(False) + self._style("muted")
            return Strip([Segment(note, style)]).crop_extend(0, width, style)
        if index >= len(self._lines):
            return Strip.blank(width, self._base(False))
        current = self.cursor and index == self._at
        number = self.dropped + index
        strips = self._strips.get((number, current))
        if strips is None:
            strips = self._strips[number, current] = self._draw(index, current)
        if piece >= len(strips):
            return Strip.blank(width, self._base(False))
        left = 0 if self.wrap else self.scroll_offset.x
        return strips[piece].crop_extend(left, left + width, self._base(current))

    def _draw(self, index: int, current: bool) -> list[Strip]:
        number = self.dropped + index
        base = self._base(current)
        pieces = styled(self._lines[index], self._style)
        marks = list(self._marks(number, "".join(text for text, _ in pieces)))
        if not marks and not self.wrap:
            over = self._style("cursor") if current and self.has_focus else Style.null()
            strip = Strip([Segment(text, base + style + over) for text, style in pieces])
            return [self._measured(strip.apply_offsets(0, number))]
        text = Text.assemble(*pieces, end="")
        text.style = base
        if current and self.has_focus:
            # Over the line's own colours, which need not be seen on the cursor's.
            text.stylize(self._style("cursor"))
        for start, end, style in marks:
            text.stylize(style, start, end)
        cuts = breaks(text.plain, self.scrollable_content_region.width) if self.wrap else []
        strips = []
        for start, row in zip((0, *cuts), text.divide(cuts) if cuts else [text], strict=True):
            row.end = ""
            strips.append(Strip(row.render(self.app.console)).apply_offsets(start, number))
        return strips if self.wrap else [self._measured(strips[0])]

    def _marks(self, number: int, text: str) -> Iterator[tuple[int, int, Style]]:
        """What stands out in a line: where the search found something, and the selection."""
        style = self._style("hit" if number == self._search.hit else "match") if self._search.query else Style.null()
        for start, end in self._search.spans(text):
            yield start, end, style
        selected = self.text_selection
        if selected is not None and (span := selected.get_span(number)) is not None:
            end = len(text) if span[1] == -1 else span[1]
            yield span[0], end, self.screen.get_component_rich_style("screen--selection")

    def _measured(self, strip: Strip) -> Strip:
        """A line that is not wrapped; what is wider than all before gives the view more to scroll."""
        if strip.cell_length > self._widest:
            self._widest = strip.cell_length
            if not self._due:
                self._due = True
                self.call_after_refresh(self._arrange)
        return strip

    def _prompt(self, width: int) -> Strip:
        told = self._search.told()
        style = self._base(False) + self._style("prompt")
        text = Text(f"/{self._search.query}", style, end="")
        if self._asking:
            text.append(" ", Style(reverse=True))
        text.append(" " * max(1, width - text.cell_len - len(told) - 1) + told)
        return Strip(text.render(self.app.console)).crop_extend(0, width, style)

    # Search

    def search(self, query: str) -> None:
        """Mark all lines that have this text in whatever case, and go to the first one from here on; "" ends it."""
        if not self._search.query:
            self._search.origin = self._here
        shown = self._prompted
        self._search.begin(query, self.dropped)
        self._jobs.pop("search", None)
        self._redraw()
        if query or self._prompted != shown:
            self._arrange()

    @property
    def _here(self) -> int:
        """The line from which a search goes on, counted from the first one ever."""
        return self.dropped + (self._at if self.cursor else max(0, self._line_at(self.scroll_offset.y)[0]))

    @property
    def query_text(self) -> str:
        """What is searched for; "" if nothing is."""
        return self._search.query

    @property
    def hits(self) -> int:
        """How many lines the search has found so far."""
        return len(self._search.hits)

    def _find_all(self) -> Iterator[None]:
        for line in self._search.look(self._lines, self.dropped):
            if line is not None:
                self._show_hit(line)
            yield
        self.refresh()

    def _show_hit(self, line: int) -> None:
        self._strips.clear()
        self.go_to(line - self.dropped)

    def action_search(self) -> None:
        self._asking = True
        self.search("")
        self._arrange()

    def action_step_match(self, step: int) -> None:
        line = self._search.step(step)
        if line is not None:
            self._show_hit(line)

    def action_forget_search(self) -> None:
        self._asking = False
        self._search.begin("", self.dropped)
        self._jobs.pop("search", None)
        self._redraw()
        self._arrange()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "forget_search":
            # Where there is no search, Escape is for whoever is around.
            return bool(self._search.query)
        if action == "follow":
            return self._follow
        if action == "pick":
            return self.cursor
        return super().check_action(action, parameters)

    def check_consume_key(self, _key: str, character: str | None) -> bool:
        return self._asking and character is not None and character.isprintable()

    async def _on_key(self, event: events.Key) -> None:
        if not self._asking:
            return
        if event.key in ("enter", "escape"):
            self._asking = False
            if event.key == "escape" or not self._search.query:
                self.action_forget_search()
            self._redraw()
        elif event.key == "backspace":
            self.search(self._search.query[:-1])
        elif event.key == "ctrl+u":
            self.search("")
        elif event.character is not None and event.character.isprintable():
            self.search(self._search.query + event.character)
        elif event.key not in ("up", "down"):
            return
        else:
            self.action_step_match(1 if event.key == "down" else -1)
        event.stop()
        event.prevent_default()

    def _on_paste(self, event: events.Paste) -> None:
        if self._asking and event.text:
            self.search(self._search.query + plain(event.text.splitlines()[0]))
            event.stop()

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        if self._asking:
            self._asking = False
            self._redraw()
            self._arrange()

    def action_first_error(self) -> None:
        self._start("error", self._find_error())

    def _find_error(self) -> Iterator[None]:
        for start in range(0, len(self._lines), 500):
            for index, line in enumerate(self._lines[start : start + 500], start):
                if self._is_error(line):
                    self.go_to(index)
                    return
            yield
        self.notify("No line tells of an error.")

    # Moving, wrapping, copying

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._placing and self._follow:
            self.following = round(new_value) >= self.max_scroll_y

    def watch_show_horizontal_scrollbar(self) -> None:
        # It takes a row away from the lines, or gives one back.
        if self.is_attached:
            self.call_after_refresh(self._arrange)

    def watch_wrap(self) -> None:
        self._wrapped = Wrapped()
        self._jobs.pop("wrap", None)
        self._redraw()
        self._arrange()
        self.scroll_to(x=0, animate=False)

    def on_mount(self) -> None:
        super().on_mount()  # type: ignore[no-untyped-call]
        self._arrange()

    def _on_resize(self, _event: events.Resize) -> None:
        if self.wrap:
            self._wrapped = Wrapped()
            self._jobs.pop("wrap", None)
        self._strips.clear()
        self._arrange()

    def action_wrap(self) -> None:
        self.wrap = not self.wrap

    def action_follow(self) -> None:
        if self.following:
            self.following = False
        else:
            self.action_scroll_end()

    def action_scroll_end(self) -> None:
        self._at = max(0, len(self._lines) - 1)
        self.following = self._follow
        self._place(self.max_scroll_y)
        self.refresh()
        self._moved()

    def action_scroll_home(self) -> None:
        self._step(-len(self._lines))

    def action_scroll_up(self) -> None:
        self._step(-1)

    def action_scroll_down(self) -> None:
        self._step(1)

    def action_page_up(self) -> None:
        self._step(-self._height)

    def action_page_down(self) -> None:
        self._step(self._height)

    def _step(self, count: int) -> None:
        if self.cursor:
            self.go_to(self._at + count)
        else:
            self.scroll_to(y=self.scroll_y + count, animate=False)

    def _moved(self) -> None:
        if self.cursor and self._lines:
            self.post_message(self.CursorMoved(self, self._at))

    def action_pick(self) -> None:
        if self.cursor and self._lines:
            self.post_message(self.Picked(self, self._at))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not self.cursor:
            return
        index, _ = self._line_at(offset.y + self.scroll_offset.y)
        if 0 <= index < len(self._lines):
            self.go_to(index)
            if event.chain == 2:
                self.action_pick()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text; lines are counted as :meth:`_draw` counts them for the screen."""
        back = Offset(0, self.dropped)
        start = selection.start - back if selection.start else Offset(0, 0)
        end = selection.end - back if selection.end else Offset(0, len(self._lines))
        lines = [plain(line) for line in self._lines[max(0, start.y) : end.y + 1]]
        if not lines:
            return None
        if end.y < len(self._lines):
            lines[-1] = lines[-1][: end.x]
        if start.y >= 0:
            lines[0] = lines[0][start.x :]
        return "\n".join(lines), "\n"

    def action_copy_line(self) -> None:
        chosen = self.screen.get_selected_text()
        if not chosen and self._lines:
            found = self._search.hit
            line = self._here if self.cursor or found is None else found
            chosen = plain(self._lines[line - self.dropped])
        if chosen:
            self._copy(chosen, "1 line" if "\n" not in chosen else f"{chosen.count(chr(10)) + 1} lines")

    def action_copy_all(self) -> None:
        if self._lines:
            self._copy(self.text(), f"{len(self._lines):,} lines")

    def _copy(self, text: str, what: str) -> None:
        from thanos_tui.tui.app import ThanosApp

        if isinstance(self.app, ThanosApp):
            self.app.copy(text, what)
        else:
            self.app.copy_to_clipboard(text)


def tells_of_error(line: Line) -> bool:
    """Whether a line has the style of errors, or a word that tells of one."""
    if isinstance(line, tuple) and any(name == "error" for _, name in pairs(line)):
        return True
    return _ERROR.search(plain(line)) is not None
