"""Calm questions and notices above the app: each is a modal screen that returns what was answered, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from thanos_tui.errors import ThanosError
from thanos_tui.tui.choosing import ChooseFile
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.events import Key

    from thanos_tui.tui.app import ThanosApp

__all__ = ["Choices", "ChooseFile", "Confirm", "Dialog", "Prompt", "Tell", "letters"]


class Choices(Dialog[str]):
    """A question with a few answers: a list, each with a letter that chooses it.

    choices: (answer, what it says) each; the first one is highlighted. The letter is the first of what it says that
    none before it has.
    """

    def __init__(self, question: str, choices: Sequence[tuple[str, str]], explanation: str = "") -> None:
        super().__init__()
        self._question, self._choices, self._explanation = question, choices, explanation
        self._letters = letters([title for _, title in choices])

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(self._question), id="question")
            if self._explanation:
                with VerticalScroll(id="explanation", can_focus=False):
                    yield Static(Content(self._explanation))
            rows = [
                Content.assemble((f" {letter or ' '} ", "$text-accent bold"), " ", title)
                for letter, (_, title) in zip(self._letters, self._choices, strict=True)
            ]
            yield OptionList(*(Option(row) for row in rows), markup=False, compact=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._choices[event.option_index][0])

    def on_key(self, event: Key) -> None:
        pressed = (event.character or "").lower()
        if pressed and pressed in self._letters:
            event.stop()
            self.dismiss(self._choices[self._letters.index(pressed)][0])


class Confirm(Choices):
    """A question that is answered with ``yes`` or ``no``."""

    def __init__(self, question: str, explanation: str = "", yes: str = "Yes", no: str = "No") -> None:
        super().__init__(question, [("yes", yes), ("no", no)], explanation)


def letters(titles: Sequence[str]) -> list[str]:
    """A letter for each title, from the title where it has one left; empty where there is none."""
    taken: list[str] = []
    for title in titles:
        free = (c for c in title.lower() if c.isascii() and c.isalnum() and c not in taken)
        taken.append(next(free, ""))
    return taken


class Tell(Dialog[None]):
    """What went wrong, where, and what to do about it."""

    DEFAULT_CSS = """
    Tell #box { border: round $error; }
    Tell #said { height: auto; max-height: 16; }
    Tell #said Static { height: auto; }
    Tell #buttons { height: 1; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("dialog.copy", "c", "copy", "Copy", "Copy what is said."),
        key("dialog.next", "right,down", "app.focus_next", "Next", "Go to the next button."),
        key("dialog.previous", "left,up", "app.focus_previous", "Previous", "Go to the previous button."),
    ]
    AUTO_FOCUS = "#close"

    def __init__(self, error: ThanosError) -> None:
        super().__init__()
        self.error = error

    def compose(self) -> ComposeResult:
        error = self.error
        with Vertical(id="box"):
            with VerticalScroll(id="said", can_focus=False):
                mark = (f"{look().cross} ", "$text-error bold")
                yield Static(Content.assemble(mark, (error.message, "bold")), id="message")
                if error.where:
                    yield Static(Content.styled(f"  {error.where}", "$text-muted"), id="where")
                if error.hint:
                    yield Static(Content(f"\n{hint(self.app, error)}"), id="hint")
            with Horizontal(id="buttons"):
                yield Button("Close", id="close", compact=True, variant="primary")
                yield Button(Content.assemble(("C", "underline"), "opy"), id="copy", compact=True)

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#copy")
    def action_copy(self) -> None:
        cast("ThanosApp", self.app).copy(str(self.error), "the message")


class Prompt(Dialog[str]):
    """A line of text, checked while it is typed; only one that fits can be entered.

    check: why a text does not fit, or None if it does. complete: whole texts that begin with what is typed; the right
    arrow takes the first.
    """

    DEFAULT_CSS = """
    Prompt #verdict { height: auto; min-height: 1; color: $text-muted; }
    Prompt #verdict.-bad { color: $text-error; }
    """

    def __init__(
        self,
        question: str,
        value: str = "",
        *,
        explanation: str = "",
        check: Callable[[str], str | None] | None = None,
        complete: Callable[[str], Sequence[str]] | None = None,
        secret: bool = False,
    ) -> None:
        super().__init__()
        self._question, self._value, self._explanation, self._secret = question, value, explanation, secret
        self._check = check or (lambda _: None)
        self._complete = complete

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(self._question), id="question")
            if self._explanation:
                yield Static(Content(self._explanation), id="explanation")
            yield Input(
                self._value,
                password=self._secret,
                suggester=_FirstOf(self._complete),
                select_on_focus=False,
                compact=True,
            )
            yield Static(id="verdict", markup=False)

    def on_mount(self) -> None:
        # What stands there at the beginning is not the user's mistake.
        self._judge(self._value, blame=False)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge(event.value, blame=event.value != self._value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._judge(event.value, blame=True):
            self.dismiss(event.value)
        else:
            self.app.bell()

    def _judge(self, value: str, *, blame: bool) -> bool:
        reason = self._check(value)
        verdict = self.query_one("#verdict", Static)
        verdict.set_class(bool(reason) and blame, "-bad")
        said = "Enter takes it, Esc cancels" if reason is None else reason
        verdict.update(f"{look().cross} {said}" if reason and blame else said)
        return reason is None


class _FirstOf(Suggester):
    """The first completion that goes on from what is typed."""

    def __init__(self, complete: Callable[[str], Sequence[str]] | None) -> None:
        # What completes can change from one moment to the next: files, machines.
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        found = self._complete(value) if self._complete and value else ()
        return next((text for text in found if text.startswith(value) and text != value), None)
