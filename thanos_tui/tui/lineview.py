"""A view of many lines that stays fast: logs and texts of a hundred thousand lines, of which only the shown are drawn.

Appending a line costs no more than a list entry: its codes are parsed when it is first seen. Whatever has to look at
all lines (a search, the rows of wrapped lines) does so a few milliseconds at a time, between other events.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.cache import LRUCache
from textual.geometry import Offset, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from thanos_tui.tui.look import look
from thanos_tui.tui.styled import Line, breaks, plain, styled
from thanos_tui.tui.wrapping import Wrapped

LIMIT = 200_000  # lines kept; at a hundred characters each, that is about 30 MB
_SLACK = 10  # a tenth more than the limit may come before the oldest go: dropping few at a time would cost as much
_FRAME = 1 / 20  # seconds between two pictures of lines that pour in; nobody reads faster
_SLICE = 0.006  # seconds of work on all lines before other events have their turn

STYLES = ("error", "warning", "success", "muted", "accent", "strong")
"""The names a line's styles may have; a subclass adds its own with ``lines--NAME`` in its COMPONENT_CLASSES."""


class LineView(ScrollView, can_focus=True):
    """Lines, wrapped or not, with a cursor (if wanted); the view follows the end (if wanted)."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"lines--{name}" for name in STYLES), "lines--cursor"}
    DEFAULT_CSS = """
    LineView {
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
    }
    """

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
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """follow: stick to the end as lines come. limit: lines kept, the oldest are dropped."""
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = list(lines)
        self._limit = limit
        self._follow = follow
        self.dropped = 0
        """How many of the oldest lines are gone."""
        self._at = 0  # the cursor's line
        self._widest = 0
        self._wrapped = Wrapped()
        self._strips: LRUCache[tuple[int, bool], list[Strip]] = LRUCache(256)
        self._styles: dict[str, Style] = {}
        self._jobs: dict[str, Iterator[None]] = {}
        self._due = self._placing = False
        self.set_reactive(LineView.wrap, wrap)
        self.set_reactive(LineView.following, follow)
        self.set_reactive(LineView.cursor, cursor)

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
        self._lines_replaced()
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
            self._cursor_moved()

    @property
    def _height(self) -> int:
        """Rows for lines; a footer takes one."""
        return max(1, self.scrollable_content_region.height - self._has_footer)

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
        self._lines_came()
        rows = self._wrapped.total if self.wrap else len(self._lines)
        height = bool(self.dropped) + rows + self._has_footer
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
        self._lines_dropped()
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
            found = self._styles[name] = self._component(f"lines--{name}")
        return found

    def _component(self, name: str) -> Style:
        """The style of a component class; an empty one for a name that is none."""
        if name not in self._component_styles:
            return Style()
        has_rule = self.get_component_styles(name).has_rule
        # Muted text and see-through backgrounds have their colours only together with what is behind them.
        seen = self.get_visual_style(name).rich_style
        return self.get_component_rich_style(name, partial=True) + Style(
            color=seen.color if has_rule("color") else None, bgcolor=seen.bgcolor if has_rule("background") else None
        )

    def _base(self, current: bool) -> Style:
        # Asking Textual for it takes a quarter of a line's time.
        name = "cursor" if current else ""
        found = self._styles.get(f"{name}-base")
        if found is None:
            found = self._styles[f"{name}-base"] = self.rich_style + self._style(name)
        return found

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._has_footer and y == self.size.height - 1:
            return self._footer(width)
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
        # Not as the text's own style: Rich forgets that one where nothing else is styled.
        text.stylize_before(base)
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
        """What stands out in a line: from where to where, and how. A subclass may add to it."""
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

    # For subclasses

    @property
    def _has_footer(self) -> bool:
        """Whether the last row is not for lines."""
        return False

    def _footer(self, width: int) -> Strip:
        """What the last row shows then."""
        return Strip.blank(width, self._base(False))

    def _cursor_moved(self) -> None:
        """The cursor stands on another line."""

    def _lines_came(self) -> None:
        """There may be more lines than at the last call."""

    def _lines_dropped(self) -> None:
        """The oldest lines are gone; ``dropped`` says how many have gone so far."""

    def _lines_replaced(self) -> None:
        """There are other lines now."""

    # What happens to it

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
