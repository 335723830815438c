"""Search: options found while one types, and set right there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input, Static

from thanos_tui.editing import search
from thanos_tui.editing.rows import Row, breadcrumb, option_row
from thanos_tui.tui.configure.about import About
from thanos_tui.tui.configure.lines import Piece
from thanos_tui.tui.configure.menu import MenuList, clipped, markers, symbol_style
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.options import State
    from thanos_tui.tui.configure.pane import ConfigurePane

_MOST = 100  # results: nobody reads more
_AROUND = 16  # characters of a long text shown before what was found in it


@dataclass(frozen=True)
class Kept:
    """A search to come back to: what was typed, and the option the cursor was on."""

    query: str
    name: str


class Results(MenuList):
    """What was found, with what was typed highlighted in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("results.act", "space,enter", "screen.act", "Set", "Switch the option, or edit it.", show=True),
        key("results.on", "y", "screen.switch(True)", "On", "Switch the option on."),
        key("results.off", "n", "screen.switch(False)", "Off", "Switch the option off."),
        key("results.unset", "backspace,x", "screen.unset", "Unset", "Give the option its default."),
        key("results.why", "w", "screen.why", "Why not?", "Say why it is hidden or locked.", show=True),
        key("results.go", "l,right", "screen.go", "Go to it", "Show the option in its menu."),
        key("results.type", "slash,i", "screen.type", "Type", "Go on typing.", show=True),
        key("results.undo", "u", "app.undo", "Undo", "Take the last change back."),
    ]

    def __init__(self, moved: Callable[[], None], *, id: str | None = None) -> None:
        super().__init__(moved, id=id)
        self.empty = "Nothing was found: every word must be in the name, prompt, help or value."
        self.hits: Mapping[str, search.Hit] = {}
        self.states: Mapping[str, State] = {}

    def left_of(self, row: Row, width: int) -> list[Piece]:
        plain = "" if row.active else "hidden"
        spans = self.hits[row.name].spans
        return [
            *markers(row),
            (clipped(row.symbol, width), plain or symbol_style(row)),
            (" ", ""),
            *highlighted(row.title, spans.get("prompt", ()), plain),
            ("  ", ""),
            *highlighted(row.name, spans.get("name", ()), "name"),
        ]

    def right_of(self, row: Row) -> list[Piece]:
        """Where it was found, if that is neither in the name nor the prompt; else its menu."""
        spans = self.hits[row.name].spans
        if not row.active or "name" in spans or "prompt" in spans:
            return [(row.note, "note")]
        for field in ("value", "choices", "help"):
            if field in spans:
                state = self.states[row.name]
                return snippet(search.texts(state.option, state.value)[field], spans[field])
        return [(row.note, "note")]


def highlighted(text: str, spans: Sequence[search.Span], style: str) -> list[Piece]:
    """A text with its spans in another style."""
    pieces: list[Piece] = []
    at = 0
    for first, end in spans:
        pieces += [(text[at:first], style), (text[first:end], "match")]
        at = end
    return [piece for piece in [*pieces, (text[at:], style)] if piece[0]]


def snippet(text: str, spans: Sequence[search.Span]) -> list[Piece]:
    """The part of a text around the first thing found in it."""
    start = max(0, spans[0][0] - _AROUND)
    if start:
        start = text.find(" ", start, spans[0][0]) + 1 or start
    end = spans[0][1] + 2 * _AROUND
    inside = [(first - start, min(last, end) - start) for first, last in spans if first < end]
    before, after = (look().ellipsis if cut else "" for cut in (start, end < len(text)))
    return [(before, "note"), *highlighted(text[start:end], inside, "note"), (after, "note")]


class Query(Input):
    """The line to type in. It is as wide as there is room, so a letter never changes the layout.

    Textual's own lays the whole screen out at each letter, which is then drawn in two frames.
    """

    virtual_size = Reactive(Size(0, 0))


class Search(Dialog[tuple[str, Kept]]):
    """A line to type in, the options found below it, and the details of the one under the cursor.

    Answers the option to go to in the menu, with the search to come back to; None if it was put away.
    """

    DEFAULT_CSS = """
    Search { align: left top; background: $background; }
    Search #box { width: 100%; height: 100%; border: none; padding: 0; background: $background; }
    Search #line { height: 1; background: $surface; }
    Search #line Static { width: auto; padding: 0 1; color: $text-primary; text-style: bold; }
    Search Input, Search Input:focus { border: none; height: 1; width: 1fr; background: $boost; padding: 0 1; }
    Search #count { width: 12; text-align: right; color: $text-muted; text-style: none; }
    Search #body { layout: horizontal; height: 1fr; }
    Search About { width: 45%; height: 100%; }
    Search.-narrow #body { layout: vertical; }
    Search.-narrow About { width: 100%; height: 40%; }
    Search #keys { height: 1; background: $panel; color: $text-muted; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("search.down", "down", "move(1)", "Down", "Go to the next result."),
        key("search.up", "up", "move(-1)", "Up", "Go to the result above."),
        key("search.page-down", "pagedown", "page(1)", "Page down", "Go one screenful of results down."),
        key("search.page-up", "pageup", "page(-1)", "Page up", "Go one screenful of results up."),
        key("search.go", "ctrl+g", "go", "Go to it", "Show the option in its menu; Esc comes back here."),
    ]

    def __init__(self, pane: ConfigurePane, kept: Kept | None = None) -> None:
        super().__init__()
        self.pane, self.kept = pane, kept
        self._query = ""

    def compose(self) -> ComposeResult:
        self.set_class(self.app.size.width < 100, "-narrow")
        with Vertical(id="box"):
            with Horizontal(id="line"):
                yield Static("Find", markup=False)
                yield Query(self.kept.query if self.kept else "", select_on_focus=False)
                yield Static(id="count", markup=False)
            with Container(id="body"):
                yield Results(self._moved, id="results")
                yield About()
            yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        self.pane.changed.subscribe(self, lambda _document: self.find(stay=True))
        self.find()
        # Watched, not told by a message: the results are then in the frame of the letter, not in one after it.
        self.watch(self.query_one(Input), "value", lambda: self.find(), init=False)
        if self.kept is not None:
            self.results.show(self.results.rows, (self.kept.name,))
            self.results.focus()

    @property
    def results(self) -> Results:
        """The rows found."""
        return self.query_one(Results)

    @property
    def name_at(self) -> str:
        """The option under the cursor; empty if nothing was found."""
        row = self.results.row
        return row.name if row else ""

    def find(self, *, stay: bool = False) -> None:
        """Show what fits what is typed. stay: the values changed, not the query: the same options stay."""
        pane, results = self.pane, self.results
        document = pane.document
        resolved = document.current.resolved
        if not stay:
            self._query = self.query_one(Input).value
            hits = search.search(pane.index, self._query, _MOST, resolved.values)
            results.hits = {hit.name: hit for hit in hits}
        options = document.catalogue.options
        results.states = resolved.states
        between = f" {look().closed} "
        marked = pane.marked()
        made = tuple(
            option_row(resolved, marked, name, note=breadcrumb(options[name].menu, between)) for name in results.hits
        )
        results.draw_anew()
        results.show(made, (self.name_at,) if stay else (made[0].key if made else None), None if stay else 0)
        count = len(made)
        self.query_one("#count", Static).update(f"{count}{'+' if count == _MOST else ''} found", layout=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_act()

    def _moved(self) -> None:
        self.query_one(About).tell(self.pane.document, self.results.row)

    @on(MenuList.Clicked)
    def _clicked(self, message: MenuList.Clicked) -> None:
        self.results.focus()
        if message.on_symbol or message.again:
            self.action_act()

    def on_descendant_focus(self) -> None:
        typing = self.query_one(Input).has_focus
        if typing:
            keys = ["Enter sets it", "Tab: results", "Ctrl+G goes to it", "Esc closes"]
        else:
            keys = ["Space Enter y n x w as in the menu", f"{look().arrow} goes to it", "/ types", "Esc closes"]
        self.query_one("#keys", Static).update(Content(f" {look().dot} ".join(keys)))

    def action_move(self, by: int) -> None:
        self.results.action_move(by)

    def action_page(self, pages: float) -> None:
        self.results.action_page(pages)

    def action_type(self) -> None:
        self.query_one(Input).focus()

    def action_act(self) -> None:
        row = self.results.row
        if row is not None:
            self.pane.edit(row)

    def action_switch(self, on: bool) -> None:
        if self.results.row is not None:
            self.pane.switch(self.results.row, on)

    def action_unset(self) -> None:
        if self.results.row is not None:
            self.pane.unset(self.results.row)

    def action_why(self) -> None:
        if self.results.row is not None:
            self.pane.why(self.results.row)

    def action_go(self) -> None:
        if self.name_at:
            self.dismiss((self.name_at, Kept(self._query, self.name_at)))
