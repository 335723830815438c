"""The two lines that are always there: the tabs on top, and how things stand at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.words import counted

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.editing.document import Document


class TabLine(Widget, can_focus=True):
    """The panes' names with their numbers; the shown one stands out."""

    DEFAULT_CSS = """
    TabLine { height: 1; background: $panel; color: $text-muted; }
    TabLine .tab--current { background: $primary; color: $text; text-style: bold; }
    TabLine .tab--number { text-style: dim; }
    TabLine .tab--cursor { text-style: bold reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"tab--current", "tab--number", "tab--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("tabs.next", "right,l", "move(1)", "Next tab", "Show the pane to the right."),
        key("tabs.previous", "left,h", "move(-1)", "Previous tab", "Show the pane to the left."),
        key("tabs.enter", "enter,down", "enter", "Enter", "Go into the pane that is shown."),
    ]
    current = reactive("")

    class Chosen(Message):
        """A tab was chosen, by key or mouse. ``passing``: on the way to another, so that the focus stays here."""

        def __init__(self, tab: str, *, passing: bool = False) -> None:
            super().__init__()
            self.tab = tab
            self.passing = passing

    def __init__(self, tabs: Sequence[tuple[str, str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs = tabs

    def _labels(self) -> list[str]:
        labels = [f" {number} {title} " for number, (_, title) in enumerate(self._tabs, 1)]
        if sum(map(cell_len, labels)) > self.size.width:
            labels = [f" {number} {title[:4]} " for number, (_, title) in enumerate(self._tabs, 1)]
        return labels

    def render(self) -> Content:
        number = self.get_visual_style("tab--number")
        chosen = "tab--cursor" if self.has_focus else "tab--current"
        parts: list[Content] = []
        for (tab, _), label in zip(self._tabs, self._labels(), strict=True):
            style = self.get_visual_style(chosen) if tab == self.current else None
            text = Content(label).stylize(number, 0, 2)
            parts.append(text.stylize(style) if style else text)
        return Content("").join(parts)

    def on_click(self, event: Click) -> None:
        position = 0
        for (tab, _), label in zip(self._tabs, self._labels(), strict=True):
            position += cell_len(label)
            if event.x < position:
                self.post_message(self.Chosen(tab))
                return

    def action_move(self, by: int) -> None:
        ids = [tab for tab, _ in self._tabs]
        self.post_message(self.Chosen(ids[(ids.index(self.current) + by) % len(ids)], passing=True))

    def action_enter(self) -> None:
        self.screen.focus_next()


class StatusLine(Widget):
    """The profile and whether it is saved, what stands against it, and what the build and the machines are doing."""

    DEFAULT_CSS = """
    StatusLine { height: 1; background: $panel; color: $text-muted; }
    StatusLine .status--name { color: $text; text-style: bold; }
    StatusLine .status--warning { color: $text-warning; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"status--name", "status--warning"}
    # (text, name of its style): the colours are the theme's at the time of drawing.
    _left: reactive[tuple[tuple[str, str], ...]] = reactive(())
    _right: reactive[str] = reactive("")

    def show(self, document: Document, build: str, machine: str) -> None:
        """Take over how things stand. ``build``, ``machine``: what their panes say, or nothing."""
        name = str(document.path.name if document.path else f"{document.name} (no file yet)")
        unsaved = len(document.unsaved())
        parts = [(f" {name}", "name")]
        if unsaved:
            parts.append((f"  {unsaved} unsaved", ""))
        problems = len(document.resolved.problems)
        if problems:
            parts.append((f"  {counted(problems, 'problem')}", "warning"))
        self._left = tuple(parts)
        self._right = f" {look().bullet} ".join(state for state in (build, machine) if state)

    def render(self) -> Content:
        left = Content("").join(
            Content(text).stylize(self.get_visual_style(f"status--{style}")) if style else Content(text)
            for text, style in self._left
        )
        room = self.size.width - left.cell_length - 2
        right = Content(self._right).truncate(max(0, room), ellipsis=True)
        return Content("").join([left, Content(" " * max(1, room + 1 - right.cell_length)), right])
