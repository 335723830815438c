"""The menu on the screen: rows of options, a cursor, keys and mouse. It draws only the rows that changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.events import Blur, Click, Focus, Resize
from textual.message import Message
from textual.strip import Strip

from thanos_tui.editing.rows import Row, index_of
from thanos_tui.tui.configure.lines import Piece, RowView, spread
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType

_MARKERS = 3  # cells before the symbol: a problem or warning, changed or unsaved, a blank
_KEPT = 2000  # strips; a menu has some dozens of rows, each drawn with and without the cursor


class MenuList(RowView, can_focus=True):
    """The rows of one menu, with a cursor."""

    DEFAULT_CSS = """
    MenuList { background: $background; color: $foreground; width: 1fr; height: 1fr; }
    MenuList .menu--cursor { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
    MenuList .menu--cursor-blurred {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
    }
    MenuList .menu--on { color: $text-success; text-style: bold; }
    MenuList .menu--off { color: $text-muted; }
    MenuList .menu--locked { color: $text-warning; }
    MenuList .menu--value { color: $text-accent; }
    MenuList .menu--submenu { color: $text-primary; }
    MenuList .menu--hidden { color: $text-disabled; text-style: italic; }
    MenuList .menu--note { color: $text-muted; }
    MenuList .menu--name { color: $text-muted; }
    MenuList .menu--changed { color: $text-primary; }
    MenuList .menu--unsaved { color: $text-warning; text-style: bold; }
    MenuList .menu--problem { color: $text-error; text-style: bold; }
    MenuList .menu--warning { color: $text-warning; }
    MenuList .menu--match { color: $text-warning; text-style: bold underline; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"menu--{name}"
        for name in (
            *("cursor", "cursor-blurred", "on", "off", "locked", "value", "submenu", "hidden", "note", "name"),
            *("changed", "unsaved", "problem", "warning", "match"),
        )
    }
    PREFIX = "menu--"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("menu.down", "down,j", "move(1)", "Down", "Go to the next row."),
        key("menu.up", "up,k", "move(-1)", "Up", "Go to the row above."),
        key("menu.page-down", "pagedown", "page(1)", "Page down", "Go one screenful down."),
        key("menu.page-up", "pageup", "page(-1)", "Page up", "Go one screenful up."),
        key("menu.half-down", "ctrl+d", "page(0.5)", "Half a page down", "Go half a screenful down."),
        key("menu.half-up", "ctrl+u", "page(-0.5)", "Half a page up", "Go half a screenful up."),
        key("menu.first", "g,home", "edge(0)", "First", "Go to the first row."),
        key("menu.last", "G,end", "edge(-1)", "Last", "Go to the last row."),
    ]

    class Clicked(Message):
        """A row was clicked on. on_symbol: on its ``[*]``; again: the second click of two."""

        def __init__(self, menu: MenuList, *, on_symbol: bool, again: bool) -> None:
            super().__init__()
            self.menu = menu
            self.on_symbol = on_symbol
            self.again = again

        @property
        def control(self) -> MenuList:
            """The menu it happened in."""
            return self.menu

    def __init__(self, moved: Callable[[], None], *, id: str | None = None) -> None:
        """``moved``: called when the cursor is on another row, or the row says something else.

        Called at once, not by a message: what it draws is then in the frame of the cursor, not in one after it.
        """
        super().__init__(id=id)
        self._moved = moved
        self.rows: tuple[Row, ...] = ()
        self.cursor = 0
        self.empty = ""  # what to say where there are no rows
        self._kept: dict[tuple[Row, int], Strip] = {}

    # What is shown

    @property
    def row(self) -> Row | None:
        """The row with the cursor; None in an empty menu."""
        return self.rows[self.cursor] if self.rows else None

    @property
    def screen_row(self) -> int:
        """How far below the top of the widget the cursor is."""
        return self.cursor - self.scroll_offset.y

    def show(self, rows: tuple[Row, ...], cursor: tuple[str, ...] | None = None, screen_row: int | None = None) -> None:
        """Show these rows. cursor: the key of the row to be on; where it is gone, the place it had is kept.

        screen_row: where on the screen the cursor is to be, if the scrolling allows; where it was, unless given.
        """
        before, place = self.rows, self.screen_row if screen_row is None else screen_row
        wanted = index_of(rows, cursor) if cursor is not None else None
        at = wanted if wanted is not None else self.cursor
        was, self.cursor = self.cursor, max(0, min(at, len(rows) - 1))
        self.rows = rows
        self.set_rows(len(rows))
        if _same_rows(before, rows):
            for index, (old, new) in enumerate(zip(before, rows, strict=True)):
                if (old is not new and old != new) or index in (was, self.cursor):
                    self.refresh_line(index)
            self._scroll_into_view()
        else:
            self._scroll_so(self.cursor - place)
            self._scroll_into_view()
            self.refresh()
        self._moved()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row with this index, or on the nearest there is."""
        index = max(0, min(index, len(self.rows) - 1))
        if index == self.cursor or not self.rows:
            return
        before, self.cursor = self.cursor, index
        self.refresh_line(before)
        self.refresh_line(index)
        self._scroll_into_view()
        self._moved()

    def _height(self) -> int:
        return max(1, self.scrollable_content_region.height)

    def _scroll_so(self, top: int) -> None:
        # By force: with the rows just set, there is no scrollbar yet that would allow it.
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def _scroll_into_view(self) -> None:
        if not self.size.height:
            return
        height = self._height()
        margin = 2 if height > 7 else 0  # rows that are to be seen beyond the cursor
        top, highest = self.scroll_offset.y, self.cursor - margin
        lowest = self.cursor + margin - height + 1
        if top > highest or top < lowest:
            self._scroll_so(highest if top > highest else min(lowest, len(self.rows) - height))

    def on_resize(self, event: Resize) -> None:
        super().on_resize(event)
        self.set_rows(len(self.rows))
        self._scroll_into_view()

    def on_focus(self, _event: Focus) -> None:
        self.refresh_line(self.cursor)

    def on_blur(self, _event: Blur) -> None:
        self.refresh_line(self.cursor)

    # Drawing

    def forget_strips(self) -> None:
        super().forget_strips()
        self._kept.clear()

    def draw_anew(self) -> None:
        """Draw the rows again: what they say has changed, whatever they are."""
        self._kept.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= len(self.rows):
            text = f"   {self.empty}" if not self.rows and y == 0 else ""
            return self.strip_of([(look().cut(text, width), "note")], width)
        row = self.rows[index]
        # 0: an ordinary row, 1: under the cursor, 2: under the cursor while the keys go elsewhere.
        state = 0 if index != self.cursor else 1 if self.has_focus else 2
        strip = self._kept.get((row, state))
        if strip is None:
            if len(self._kept) > _KEPT:
                self._kept.clear()
            strip = self._kept[row, state] = self._draw(row, state, width)
        return strip

    def _draw(self, row: Row, state: int, width: int) -> Strip:
        pieces = spread(self.left_of(row, width), self.right_of(row), width - 1)
        if not state:
            return self.strip_of(pieces, width)
        over = self.style_of("cursor" if state == 1 else "cursor-blurred")
        if not look().colour:
            over += Style(reverse=state == 1, underline=state == 2)
        # One colour on the cursor's background: those of the symbols are made for another one.
        return self.strip_of(pieces, width, over)

    def left_of(self, row: Row, width: int) -> list[Piece]:
        """What a row begins with: marks, the symbol, the prompt."""
        hidden = "" if row.active else "hidden"
        pieces: list[Piece] = [*markers(row), ("  " * row.depth, "")]
        if row.kind == "menu":
            return [*pieces, (row.title, hidden), ("  ", ""), (row.symbol, hidden or "submenu")]
        return [*pieces, (clipped(row.symbol, width), hidden or symbol_style(row)), (" ", ""), (row.title, hidden)]

    def right_of(self, row: Row) -> list[Piece]:
        """What a row ends with, if there is room."""
        return [(row.note, "note")] if row.note else []

    # Keys and mouse

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, pages: float) -> None:
        by = max(1, int(abs(pages) * self._height()))
        self.move_to(self.cursor + (by if pages > 0 else -by))

    def action_edge(self, index: int) -> None:
        self.move_to(len(self.rows) - 1 if index else 0)

    def on_click(self, event: Click) -> None:
        index = event.y + self.scroll_offset.y
        if event.button != 1 or not 0 <= index < len(self.rows):
            return
        event.stop()
        same = index == self.cursor
        self.move_to(index)
        row = self.rows[index]
        start = _MARKERS + 2 * row.depth
        on_symbol = start <= event.x < start + cell_len(clipped(row.symbol, self.size.width)) and row.kind == "option"
        self.post_message(self.Clicked(self, on_symbol=on_symbol, again=event.chain > 1 and same))


def _same_rows(before: tuple[Row, ...], after: tuple[Row, ...]) -> bool:
    """Whether there are the same rows in the same places, whatever they say."""
    return len(before) == len(after) > 0 and all(
        old is new or old.key == new.key for old, new in zip(before, after, strict=True)
    )


def markers(row: Row) -> list[Piece]:
    """The marks at the beginning of a row: what is wrong with it, and whether it is changed or unsaved."""
    drawn = look()
    wrong: Piece = (" ", "")
    if row.problem:
        wrong = (drawn.cross, "problem")
    elif row.warning:
        wrong = (drawn.warning, "warning")
    differs: Piece = (" ", "")
    if row.unsaved:
        differs = (drawn.running, "unsaved")
    elif row.changed:
        differs = (drawn.waiting, "changed")
    return [wrong, differs, (" ", "")]


def symbol_style(row: Row) -> str:
    """The name of the style that a symbol is drawn in."""
    return _SYMBOL_STYLES.get(row.symbol, "value")


_SYMBOL_STYLES: Mapping[str, str] = {"[*]": "on", "[ ]": "off", "-*-": "locked", "( )": "off"}


def clipped(symbol: str, width: int) -> str:
    """A symbol with no longer a value than leaves room for the prompt."""
    most = max(12, width * 2 // 5)
    return symbol if cell_len(symbol) <= most else f"({look().cut(symbol[1:-1], most - 2)})"
