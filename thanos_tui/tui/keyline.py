"""The last line: the keys that count now.

Textual's own Footer is one widget for each key, made anew with every change of focus, and each of them stays watched
until the app ends: an app that is left open all day would grow by hundreds of megabytes. This is one line of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.screen import Screen


@dataclass(frozen=True)
class Shown:
    """One key of the line: what is pressed, how that is written, what it does, and whether it works in every pane."""

    key: str
    display: str
    title: str
    everywhere: bool

    @property
    def width(self) -> int:
        """Cells that it takes: the key, a space, the title, two spaces."""
        return cell_len(self.display) + 1 + cell_len(self.title) + 2


def fitting(keys: Sequence[Shown], width: int) -> list[Shown]:
    """As many keys as there is room for; those of the app, help among them, have theirs before a pane's."""
    room = width - sum(key.width for key in keys if key.everywhere)
    chosen: list[Shown] = []
    for key in keys:
        if not key.everywhere:
            room -= key.width
        if key.everywhere or room >= 0:
            chosen.append(key)
    return chosen


class KeyLine(Widget):
    """The keys that are declared to be shown, as far as they count where the focus is. A click on one presses it."""

    DEFAULT_CSS = """
    KeyLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    KeyLine .keyline--key { color: $accent; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keyline--key"}
    _keys: reactive[tuple[Shown, ...]] = reactive(())

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._look)
        self._look(self.screen)

    def _look(self, screen: Screen[object]) -> None:
        if screen is not self.screen or not self.app.app_focus:
            return
        found: dict[str, Shown] = {}  # by action: one that has several keys is shown with its first
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in found:
                display = self.app.get_key_display(binding)
                found[binding.action] = Shown(binding.key, display, binding.description, active.node is self.app)
        self._keys = tuple(found.values())

    def render(self) -> Content:
        style = self.get_visual_style("keyline--key")
        parts = (
            part
            for key in fitting(self._keys, self.size.width)
            for part in (Content(key.display).stylize(style), Content(f" {key.title}  "))
        )
        return Content("").join(parts)

    def on_click(self, event: Click) -> None:
        at = event.x - self.styles.padding.left
        for key in fitting(self._keys, self.size.width):
            if 0 <= at < key.width - 2:
                self.app.simulate_key(key.key)
                return
            at -= key.width
