"""The editors: each type of option has the one that fits. What cannot be is refused while it is typed, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option as Line

from thanos_tui.editing.document import Document
from thanos_tui.options import Option, Resolved, why_not
from thanos_tui.options.expressions import Value, holds
from thanos_tui.options.values import ValueProblem, from_text
from thanos_tui.tui.configure.facts import type_in_words
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.app import App
    from textual.binding import BindingType


async def ask(app: App[Any], document: Document, name: str) -> Value:
    """Another value for an option, asked of the user; None where they left it. To be called from a worker."""
    option = document[name].option
    match option.type:
        case "choice":
            return await app.push_screen_wait(ChoiceEditor(document, name))
        case "int":
            return await app.push_screen_wait(NumberEditor(document, name))
        case "list":
            from thanos_tui.tui.configure.lists import ListEditor, OfferedEditor

            return await app.push_screen_wait((OfferedEditor if option.values else ListEditor)(document, name))
        case _:
            return await app.push_screen_wait(TextEditor(document, name))


def takes_path(option: Option) -> bool:
    """Whether what is typed can be the path of a file here."""
    return option.secret or option.format in ("path", "extra-file") or option.name.endswith(".authorized-keys")


def refusal(resolved: Resolved, name: str, text: str) -> str | None:
    """Why a text cannot be the value of an option now, in words; None if it can."""
    option = resolved[name].option
    try:
        value = from_text(option, text)
    except ValueProblem as problem:
        return f"{problem.message}{f'; {problem.hint}' if problem.hint else ''}"
    if option.required and not text:
        return "must not be empty"
    reason = why_not(resolved, name, value)
    return reason.message.removeprefix(f"{name} ") if reason else None


class Editor(Dialog[Value]):
    """The editor of one option: its prompt, its help, and below that what it is set with."""

    DEFAULT_CSS = """
    Editor #box { width: 76; }
    Editor #type { color: $text-muted; height: auto; }
    Editor #verdict { height: auto; min-height: 1; color: $text-muted; }
    Editor #verdict.-bad { color: $text-error; }
    Editor #explanation { max-height: 6; }
    Editor Input, Editor Input:focus { border: none; height: 1; margin: 1 0; padding: 0 1; background: $panel; }
    Editor OptionList, Editor OptionList:focus { border: none; padding: 0; margin: 1 0; }
    """

    def __init__(self, document: Document, name: str) -> None:
        super().__init__()
        self.document = document
        self.resolved = document.current.resolved
        self.state = self.resolved[name]
        self.option = self.state.option

    def heading(self) -> ComposeResult:
        """The prompt, the help, and the type in words."""
        yield Static(Content.assemble(self.option.prompt, ("  " + self.option.name, "dim not bold")), id="question")
        yield Static(Content(self.option.help), id="explanation")
        if self.option.type != "choice":
            yield Static(Content(type_in_words(self.option, self.resolved)), id="type")

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say so below the input."""
        verdict = self.query_one("#verdict", Static)
        verdict.set_class(bad, "-bad")
        verdict.update(f"{look().cross} {text}" if bad else text)


class TextEditor(Editor):
    """A line of text; with a file picker where it can be a path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("editor.pick", "ctrl+o,f2", "pick", "Pick a file", "Choose a file from a list.", priority=True),
        key("editor.default", "ctrl+r", "default", "Default", "Take the default into the line.", priority=True),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield from self.heading()
            yield Input(self.text_of(self.state.value), select_on_focus=False)
            yield Static(id="verdict", markup=False)

    def text_of(self, value: Value) -> str:
        """A value as it is typed."""
        return "" if value is None else str(value)

    def on_mount(self) -> None:
        self.judge(blame=False)

    def reason(self, text: str) -> str | None:
        """Why a text will not do, or None."""
        return refusal(self.resolved, self.option.name, text)

    def keys(self) -> str:
        """The keys that matter here, for the line below the input."""
        parts = ["Enter takes it", "Esc cancels", "Ctrl+R: default"]
        if takes_path(self.option):
            parts.insert(0, "Ctrl+O picks a file")
        return f" {look().dot} ".join(parts)

    def judge(self, *, blame: bool) -> bool:
        """Whether what is typed will do; say why not. blame: it is what the user typed, not what was there."""
        reason = self.reason(self.query_one(Input).value)
        self.say(reason or self.keys(), bad=bool(reason) and blame)
        return reason is None

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.judge(blame=event.value != self.text_of(self.state.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.judge(blame=True):
            self.dismiss(self.accepted(event.value))
        else:
            self.app.bell()

    def accepted(self, text: str) -> Value:
        """What to answer for a text that will do."""
        return from_text(self.option, text)

    def action_default(self) -> None:
        self.put(self.text_of(self.state.default))

    def put(self, text: str) -> None:
        """Have this text in the line."""
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)

    def action_pick(self) -> None:
        if takes_path(self.option):
            from thanos_tui.tui.configure.picking import pick

            pick(self, self.document.directory, self.option, self.query_one(Input).value, self.put)


class NumberEditor(TextEditor):
    """A whole number: typed, or stepped with the arrows or ``+`` and ``-``, within its range."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("number.up", "up,plus,kp_add", "step(1)", "One more", "One more.", priority=True),
        key("number.down", "down,minus,kp_subtract", "step(-1)", "One less", "One less.", priority=True),
        key("number.much-up", "pageup", "step(2)", "Much more", "Ten more; twice as much of a size.", priority=True),
        key("number.much-down", "pagedown", "step(-2)", "Much less", "Ten less; half of a size.", priority=True),
    ]

    def keys(self) -> str:
        return f" {look().dot} ".join(["+ - PgUp PgDn step it", "Enter takes it", "Ctrl+R: default", "Esc cancels"])

    def bounds(self) -> tuple[int, int] | None:
        """The range that holds now."""
        values = self.resolved.values
        return next(((b.low, b.high) for b in self.option.ranges if holds(b.condition, values)), None)

    def action_step(self, by: int) -> None:
        try:
            now = int(self.query_one(Input).value)
        except ValueError:
            now = self.state.value if isinstance(self.state.value, int) else 0
        bounds = self.bounds()
        if abs(by) == 1:
            after = now + by
        elif self.option.unit and now:
            after = now * 2 if by > 0 else now // 2
        else:
            after = now + 5 * by
        self.put(str(max(bounds[0], min(bounds[1], after)) if bounds else after))


class ChoiceEditor(Editor):
    """One of several values, each with its help; those that are not on offer now are dimmed and say why."""

    DEFAULT_CSS = """
    ChoiceEditor OptionList { max-height: 14; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("choice.down", "j", "move(1)", "Down", "Go to the next value."),
        key("choice.up", "k", "move(-1)", "Up", "Go to the value above."),
        key("choice.take", "space,l,right", "take", "Choose", "Choose this value."),
        key("choice.cancel", "h,left", "cancel", "Cancel", "Leave it as it is."),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield from self.heading()
            yield OptionList(*(Line(self._line(number)) for number in range(len(self.option.values))), markup=False)
            yield Static(id="verdict", markup=False)

    def _line(self, number: int) -> Content:
        choice = self.option.values[number]
        chosen = choice.value == self.state.value
        mark = "(X) " if chosen else "( ) "
        offered = holds(choice.depends, self.resolved.values)
        words = Content.assemble(mark, (choice.prompt, "bold" if chosen else ""), (f"  {choice.value}", "dim"))
        if choice.help:
            words += Content(f"\n    {choice.help}").stylize("dim")
        if not offered:
            words = words.stylize("dim") + Content(f"\n    needs {choice.depends}").stylize("$text-warning")
        return words

    def on_mount(self) -> None:
        lines = self.query_one(OptionList)
        values = [choice.value for choice in self.option.values]
        lines.highlighted = values.index(str(self.state.value)) if self.state.value in values else 0
        self.say(f"Enter chooses {look().dot} Esc cancels")

    def action_move(self, by: int) -> None:
        lines = self.query_one(OptionList)
        if by > 0:
            lines.action_cursor_down()
        else:
            lines.action_cursor_up()

    def action_take(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        # One that is not on offer is answered as well: the pane then says why not, and what would allow it.
        event.stop()
        self.dismiss(self.option.values[event.option_index].value)
