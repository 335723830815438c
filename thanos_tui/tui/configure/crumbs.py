"""The line above the menu: where one is, and what is left out or shown in addition."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from thanos_tui.editing.rows import Path
from thanos_tui.tui.look import look

_TOP = "ThanOS"


class Crumbs(Widget):
    """A menu's path. A click on a part of it goes there."""

    DEFAULT_CSS = """
    Crumbs { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    Crumbs .crumbs--last { color: $foreground; text-style: bold; }
    Crumbs .crumbs--note { color: $text-warning; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"crumbs--last", "crumbs--note"}
    path: reactive[Path] = reactive(())
    note: reactive[str] = reactive("")

    class Chosen(Message):
        """A part of the path was clicked on."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def _parts(self) -> list[str]:
        return [_TOP, *self.path]

    def _between(self) -> str:
        return f" {look().closed} "

    def render(self) -> Content:
        *above, last = self._parts()
        between = self._between()
        note = look().cut(self.note, self.size.width // 2)
        room = self.size.width - cell_len(note) - 2
        left = look().cut("".join(part + between for part in above) + last, room)
        split = min(len(left), sum(len(part) + len(between) for part in above))
        gap = self.size.width - cell_len(left) - cell_len(note)
        return Content.assemble(
            left[:split],
            (left[split:], self.get_visual_style("crumbs--last")),
            " " * max(0, gap),
            (note, self.get_visual_style("crumbs--note")),
        )

    def on_click(self, event: Click) -> None:
        position = self.styles.padding.left
        for number, part in enumerate(self._parts()):
            position += cell_len(part)
            if event.x < position:
                self.post_message(self.Chosen(self.path[:number]))
                return
            position += cell_len(self._between())
