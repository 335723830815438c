"""The help screen: what the pane in front is for, and every key that works there now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keymap import Declared, declarations, shown
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.styled import Line

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.tui.app import ThanosApp
    from thanos_tui.tui.pane import Pane

_KEYS = 18  # cells for the keys; longer ones push their sentence to the next line


class Help(Dialog[None]):
    """Help for the pane in front: scrolls, and is searched with ``/``."""

    DEFAULT_CSS = """
    Help #box { width: 84; height: 100%; max-height: 40; }
    Help Lines { height: 1fr; margin: 1 0 0 0; }
    Help #foot { color: $text-muted; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("help.close", "q,question_mark,f1", "cancel", "Close", "Go back to the pane."),
    ]
    AUTO_FOCUS = "Lines"

    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self._pane = pane

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(f"{self._pane.TITLE or 'Help'}: help"), id="question")
            yield Lines(follow=False, wrap=True)
            yield Static(f"/ searches {look().dot} Esc closes", id="foot", markup=False)

    def on_mount(self) -> None:
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        lines = self.query_one(Lines)
        app = cast("ThanosApp", self.app)
        width = max(30, lines.size.width - 1)
        lines.replace(list(page(self._pane, app, app.keymap.keys, width)))


def page(pane: Pane, app: ThanosApp, given: Mapping[str, tuple[str, ...]], width: int) -> Iterator[Line]:
    """The lines of the help of a pane: its words, its widgets' keys, and those that work everywhere."""
    for paragraph in textwrap.dedent(pane.HELP).strip().split("\n\n"):
        yield from ((line, "") for line in textwrap.wrap(paragraph, width))
        yield ""
    own: list[Declared] = []
    nodes = [pane, *(node for node in pane.walk_children() if isinstance(node, Widget))]
    for holder in dict.fromkeys(type(node) for node in nodes):
        own += [each for each in _of(holder) if each not in own]
    for title, actions in (("Keys here", own), ("Keys everywhere", [*_of(type(app))])):
        if actions:
            yield (title, "strong")
            yield ""
            for action in actions:
                yield from _lines(action, given.get(action.name, action.keys), width)
            yield ""


def _of(holder: type[DOMNode]) -> Iterator[Declared]:
    for base in holder.__mro__:
        if issubclass(base, DOMNode):
            yield from declarations(base)


def _lines(action: Declared, keys: Sequence[str], width: int) -> Iterator[Line]:
    said = " ".join(shown(key) for key in keys)
    text = textwrap.wrap(f"{action.binding.description}: {action.binding.tooltip}", max(20, width - _KEYS - 2))
    if len(said) > _KEYS:
        yield (f"  {said}", "accent")
        said = ""
    for index, line in enumerate(text):
        yield ((f"  {said if index == 0 else '':<{_KEYS}}", "accent"), (line, ""))
