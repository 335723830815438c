"""Lines as all panes show them: a view that stays fast, with keys to move, search, wrap and copy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from thanos_tui.tui.finding import Search
from thanos_tui.tui.keys import key
from thanos_tui.tui.lineview import LIMIT, LineView
from thanos_tui.tui.styled import Line, pairs, plain

_ERROR = re.compile(r"(?i)\b(?:errors?|failed|failure|fatal|panic|traceback|cannot|denied)\b")


class Lines(LineView):
    """Lines with a cursor (if wanted), search, wrapping, copying, and a view that follows the end (if wanted)."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--match", "lines--hit", "lines--prompt"}
    DEFAULT_CSS = """
    Lines {
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
        super().__init__(lines, cursor=cursor, wrap=wrap, follow=follow, limit=limit, id=id, classes=classes)
        self._is_error = is_error or tells_of_error
        self._asking = False  # the search's prompt takes the keys
        self._search = Search()

    # Search

    def _lines_came(self) -> None:
        if self._search.query and "search" not in self._jobs and self._search.seen < self.dropped + len(self._lines):
            self._start("search", self._find_all())

    def _lines_dropped(self) -> None:
        self._search.drop(self.dropped)

    def _lines_replaced(self) -> None:
        self._search.begin(self._search.query, 0)

    def _marks(self, number: int, text: str) -> Iterator[tuple[int, int, Style]]:
        if self._search.query:
            style = self._style("hit" if number == self._search.hit else "match")
            for start, end in self._search.spans(text):
                yield start, end, style
        yield from super()._marks(number, text)

    @property
    def _has_footer(self) -> bool:
        return self._asking or bool(self._search.query)

    def _footer(self, width: int) -> Strip:
        """The search's prompt, and how it stands."""
        told = self._search.told()
        style = self._base(False) + self._style("prompt")
        text = Text(f"/{self._search.query}", style, end="")
        if self._asking:
            text.append(" ", Style(reverse=True))
        text.append(" " * max(1, width - text.cell_len - len(told) - 1) + told)
        return Strip(text.render(self.app.console)).crop_extend(0, width, style)

    def search(self, query: str) -> None:
        """Mark all lines that have this text in whatever case, and go to the first one from here on; "" ends it."""
        if not self._search.query:
            self._search.origin = self._here
        shown = self._has_footer
        self._search.begin(query, self.dropped)
        self._jobs.pop("search", None)
        self._redraw()
        if query or self._has_footer != shown:
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
        self._cursor_moved()

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

    def _cursor_moved(self) -> None:
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
