"""Rows of text with named styles, as strips: what the menu, the details and the search results draw themselves with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from thanos_tui.tui.look import look

Piece = tuple[str, str]
"""A text and the name of its style; the empty name is the widget's own."""


def width_of(pieces: Iterable[Piece]) -> int:
    """How many cells the texts take."""
    return cell_len("".join([text for text, _ in pieces]))


def fitted(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """The pieces as far as there is room for them; the last one shown is cut."""
    if width_of(pieces) <= width:
        return [piece for piece in pieces if piece[0]]
    found: list[Piece] = []
    cut = look().cut
    for text, style in pieces:
        shown = cut(text, width)
        if shown:
            found.append((shown, style))
        width -= cell_len(text)
        if width <= 0:
            break
    return found


def spread(left: Sequence[Piece], right: Sequence[Piece], width: int) -> list[Piece]:
    """One row: ``left`` where it begins, ``right`` where it ends and only if a good part of it fits beside ``left``."""
    left = fitted(left, width)
    free = width - width_of(left)
    right = fitted(right, free - 2) if free - 2 >= min(width_of(right), 12) else []
    gap = free - width_of(right)
    return [*left, (" " * gap, ""), *right]


def wrapped(pieces: Iterable[Piece], width: int, indent: int = 0) -> list[list[Piece]]:
    """The pieces broken between words into rows of ``width`` cells; the second and later rows begin with ``indent``."""
    rows: list[list[Piece]] = [[]]
    used = start = 0  # where the row's text ends, and begins
    for text, style in pieces:
        for number, paragraph in enumerate(text.split("\n")):
            if number:
                rows.append([])
                used = start = 0
            for word in _words(paragraph):
                size = cell_len(word)
                if used + cell_len(word.rstrip()) > width and used > start:
                    rows.append([(" " * indent, "")] if indent else [])
                    used = start = indent
                    word = word.lstrip()
                    size = cell_len(word)
                while used + cell_len(word.rstrip()) > width:  # longer than a row: a path, a key
                    head = set_cell_size(word, max(1, width - used)).rstrip()
                    if not head and word.startswith(" "):  # the blanks leave no room for what follows them
                        word = word.lstrip()
                        size = cell_len(word)
                        continue
                    rows[-1].append((head, style))
                    word = word[len(head) :]
                    rows.append([(" " * indent, "")] if indent else [])
                    used = start = indent
                    size = cell_len(word)
                    if not head:
                        break
                if word:
                    rows[-1].append((word, style))
                    used += size
    return [_merged(row) for row in rows]


def _merged(row: Iterable[Piece]) -> list[Piece]:
    """The same row in as few pieces as there are styles."""
    found: list[Piece] = []
    for text, style in row:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found


def _words(text: str) -> Iterable[str]:
    """The words of a text, each with the blanks before it."""
    start = 0
    inside = False
    for position, character in enumerate(text):
        if character == " " and inside:
            yield text[start:position]
            start, inside = position, False
        elif character != " ":
            inside = True
    if start < len(text):
        yield text[start:]


def _lit(over: Style, name: str) -> Style:
    # What a search matched is to be seen under the cursor, too.
    return over + Style(underline=True) if name == "match" else over


class RowView(ScrollView):
    """A scrolling view that draws its own rows; those who extend it say how many there are and what is in each."""

    DEFAULT_CSS = """
    RowView { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    PREFIX: ClassVar[str] = ""  # of the names of its styles

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._styles_by_name: dict[str, Style] = {}

    def style_of(self, name: str) -> Style:
        """The style with this name, over that of the widget."""
        found = self._styles_by_name.get(name)
        if found is None:
            found = (self.get_visual_style(f"{self.PREFIX}{name}") if name else self.visual_style).rich_style
            self._styles_by_name[name] = found
        return found

    def strip_of(self, pieces: Iterable[Piece], width: int, over: Style | None = None) -> Strip:
        """One row. ``over``: the style of the whole row, instead of the pieces' own."""
        base = over or self.style_of("")
        segments = [Segment(text, _lit(over, name) if over else self.style_of(name)) for text, name in pieces if text]
        return Strip(segments).adjust_cell_length(width, base)

    def forget_strips(self) -> None:
        """Draw everything anew from now on; those that keep strips drop them."""
        self._styles_by_name.clear()

    def notify_style_update(self) -> None:
        self.forget_strips()
        super().notify_style_update()

    def set_rows(self, count: int) -> None:
        """There are so many rows now."""
        size = Size(self.scrollable_content_region.width, count)
        if size == self.virtual_size:
            return
        if self.styles.is_auto_height:
            self.virtual_size = size
            return
        # Setting it the usual way lays out the whole screen, at each step of the cursor in the menu: two frames and
        # three times the work. Here only a scrollbar that comes or goes needs that.
        self.set_reactive(Widget.virtual_size, size)
        self._scroll_update(size)

    def on_resize(self, _event: Resize) -> None:
        self.forget_strips()
