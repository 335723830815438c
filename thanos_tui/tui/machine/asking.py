"""What the forms of this room have in common: lines to fill in, checked while they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Static

from thanos_tui.errors import ThanosError
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.events import Click

T = TypeVar("T")


class Form(Dialog[T]):
    """Lines to fill in; Enter answers what they say, once they say something that can be. Esc answers nothing.

    A subclass says the question, the rows, and what they mean.
    """

    DEFAULT_CSS = """
    Form .row { height: 1; }
    Form Label { width: 13; color: $text-muted; }
    Form Input { width: 1fr; }
    Form #verdict { height: auto; min-height: 1; color: $text-error; }
    Form #buttons { height: 1; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("form.next", "down", "app.focus_next", "Next", "Go to the next field."),
        key("form.previous", "up", "app.focus_previous", "Previous", "Go to the field before."),
        key("form.start", "ctrl+s", "start", "Start", "Do what the form is for, with what it says."),
    ]
    START: ClassVar[str] = "Start"
    """What the button says."""

    def __init__(self, question: str, explanation: str) -> None:
        super().__init__()
        self._question, self._explanation = question, explanation

    def rows(self) -> ComposeResult:
        """The lines to fill in, by row()."""
        raise NotImplementedError

    def read(self) -> T:
        """What they mean. Raises InputError."""
        raise NotImplementedError

    def row(self, title: str, field: Widget) -> ComposeResult:
        """A line: what it is called, and what is filled in."""
        with Horizontal(classes="row"):
            yield Label(title, markup=False)
            yield field

    def text(self, field: str) -> str:
        """What stands in the Input of this id."""
        return self.query_one(f"#{field}", Input).value.strip()

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(self._question), id="question")
            yield Static(Content(self._explanation), id="explanation")
            yield from self.rows()
            yield Static(id="verdict", markup=False)
            with Horizontal(id="buttons"):
                yield Button(self.START, id="start", compact=True, variant="primary")
                yield Button("Cancel", id="cancel", compact=True)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.judge()

    def judge(self) -> T | None:
        """What the form means; None, and the reason below it, where it means nothing yet."""
        said = self.query_one("#verdict", Static)
        try:
            meant = self.read()
        except ThanosError as error:
            said.update(f"{look().cross} {error.message}" + (f": {hint(self.app, error)}" if error.hint else ""))
            return None
        said.update("")
        return meant

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        meant = self.judge()
        if meant is None:
            self.app.bell()
        else:
            self.dismiss(meant)

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)


class Choice(Widget, can_focus=True):
    """One of a few values, in a line: the arrow keys, Space or a click take another one.

    note: what is said behind it.
    """

    DEFAULT_CSS = """
    Choice { width: 1fr; height: 1; background: $boost; padding: 0 1; }
    Choice .choice--value { text-style: bold; }
    Choice .choice--note { color: $text-muted; }
    Choice:focus .choice--value { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice--value", "choice--note"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("value.next", "right,space,l", "turn(1)", "Next value", "Take the next value."),
        key("value.previous", "left,h", "turn(-1)", "Previous value", "Take the value before."),
        key("value.start", "enter", "submit", "Start", "Do what the form is for."),
    ]
    value: reactive[str] = reactive("")

    class Changed(Message):
        """Another value was taken."""

    def __init__(self, values: Sequence[str], value: str, note: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values, self._note = tuple(values), note
        self.set_reactive(Choice.value, value)

    def render(self) -> Content:
        here = look()
        value = Content(f" {self.value} ").stylize(self.get_visual_style("choice--value"))
        marks = (Content(f"{here.back} "), value, Content(f" {here.arrow}"))
        return Content("").join([*marks, Content(f"  {self._note}").stylize(self.get_visual_style("choice--note"))])

    def action_turn(self, by: int) -> None:
        self.value = self._values[(self._values.index(self.value) + by) % len(self._values)]
        self.post_message(self.Changed())

    async def action_submit(self) -> None:
        await self.screen.run_action("start")

    def on_click(self, event: Click) -> None:
        event.stop()
        self.action_turn(1)
