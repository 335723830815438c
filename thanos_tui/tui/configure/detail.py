"""The details beside the menu: all there is to know of the option under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.strip import Strip

from thanos_tui.tui.configure.facts import Paragraph
from thanos_tui.tui.configure.lines import Piece, RowView, wrapped
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key

if TYPE_CHECKING:
    from textual.binding import BindingType

_LABEL = 13  # cells; "Selected by" is the longest label


class Detail(RowView, can_focus=True):
    """Paragraphs of styled text, wrapped to the width there is; scrolls when it has the focus."""

    DEFAULT_CSS = """
    Detail { background: $surface; color: $foreground; padding: 0 1; scrollbar-gutter: stable; }
    Detail:focus { background-tint: $foreground 4%; }
    Detail .detail--title { text-style: bold; }
    Detail .detail--label { color: $text-muted; }
    Detail .detail--dim { color: $text-muted; }
    Detail .detail--value { color: $text-accent; text-style: bold; }
    Detail .detail--good { color: $text-success; }
    Detail .detail--bad { color: $text-error; }
    Detail .detail--warning { color: $text-warning; }
    Detail .detail--added { color: $text-success; }
    Detail .detail--removed { color: $text-error; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"detail--{name}" for name in ("title", "label", "dim", "value", "good", "bad", "warning", "added", "removed")
    }
    PREFIX = "detail--"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("detail.down", "j", "scroll_down", "Down", "One line down."),
        key("detail.up", "k", "scroll_up", "Up", "One line up."),
    ]

    def __init__(self, paragraphs: Sequence[Paragraph] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.paragraphs = tuple(paragraphs)
        self._rows: list[list[Piece]] = []
        self._strips: dict[int, Strip] = {}

    @property
    def text(self) -> str:
        """All that is said, as plain text."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def show(self, paragraphs: Iterable[Paragraph], *, stay: bool = False) -> None:
        """Say this now. stay: it is about the same thing as before, so what was being read stays in view."""
        self.paragraphs = tuple(paragraphs)
        before = self._rows
        self._lay_out()
        if not stay:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)
        if self._rows == before:
            return
        if self.styles.is_auto_height and len(self._rows) != len(before):
            self.refresh(layout=True)
        kept = self._strips
        self._strips = {
            index: kept[index]
            for index, (old, new) in enumerate(zip(before, self._rows, strict=False))
            if old == new and index in kept
        }
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._wrapped(width))

    def _lay_out(self) -> None:
        # Nothing before there is a width: it would be drawn, and then drawn again.
        self._rows = self._wrapped(self.scrollable_content_region.width) if self.size.width else []
        self.set_rows(len(self._rows))

    def _wrapped(self, width: int) -> list[list[Piece]]:
        width = max(20, width)
        rows: list[list[Piece]] = []
        for paragraph in self.paragraphs:
            if paragraph.label is None:
                rows += wrapped(paragraph.pieces, width)
            else:
                label = (paragraph.label.ljust(_LABEL), "label")
                rows += wrapped([label, *paragraph.pieces], width, _LABEL)
        return rows

    def on_resize(self, event: Resize) -> None:
        super().on_resize(event)
        self._lay_out()
        self.refresh()

    def forget_strips(self) -> None:
        super().forget_strips()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= len(self._rows):
            return self.strip_of([], width)
        strip = self._strips.get(index)
        if strip is None:
            strip = self._strips[index] = self.strip_of(self._rows[index], width)
        return strip


class AllDetails(Dialog[None]):
    """The details on the whole screen, for small ones."""

    DEFAULT_CSS = """
    AllDetails #box { width: 100%; height: 100%; padding: 0; }
    AllDetails Detail { width: 1fr; height: 1fr; }
    """

    def __init__(self, paragraphs: Sequence[Paragraph]) -> None:
        super().__init__()
        self._paragraphs = tuple(paragraphs)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Detail(self._paragraphs)
