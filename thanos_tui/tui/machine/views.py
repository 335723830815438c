"""The line above what is shown of a machine: the names of the views, and what is to be said of the one shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.events import Click

VIEWS = {"screen": "Screen", "log": "Serial log", "boot": "Boot", "details": "Details", "apps": "Apps"}


class ViewLine(Widget):
    """The views by name; a click chooses one."""

    DEFAULT_CSS = """
    ViewLine { height: 1; background: $panel; color: $text-muted; }
    ViewLine .view--current { color: $text; text-style: bold underline; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"view--current"}
    current = reactive("screen")
    said: reactive[Content] = reactive(Content(""))

    class Chosen(Message):
        """A view was chosen with the mouse."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def render(self) -> Content:
        current = self.get_visual_style("view--current")
        names = [
            Content(f" {title} ").stylize(current) if view == self.current else Content(f" {title} ")
            for view, title in VIEWS.items()
        ]
        left = Content("").join(names)
        said = self.said.truncate(max(0, self.size.width - left.cell_length - 2), ellipsis=True)
        gap = self.size.width - left.cell_length - said.cell_length - 1
        return Content("").join([left, Content(" " * max(1, gap)), said])

    def on_click(self, event: Click) -> None:
        position = 0
        for view, title in VIEWS.items():
            position += len(title) + 2
            if event.x < position:
                self.post_message(self.Chosen(view))
                return
