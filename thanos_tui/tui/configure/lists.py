"""The editors of lists: elements of one's own, and elements to choose from those on offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option as Line

from thanos_tui.editing.document import Document
from thanos_tui.options import why_not
from thanos_tui.options.expressions import Value, holds
from thanos_tui.options.values import ValueProblem, check
from thanos_tui.tui.configure.editors import Editor, TextEditor, takes_path
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType


class _Elements(Editor):
    """What the two editors of lists share: a list with a cursor, elements in an order, a verdict, an answer."""

    DEFAULT_CSS = """
    _Elements OptionList { max-height: 12; min-height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("list.down", "j", "step(1)", "Down", "Go to the next element."),
        key("list.up", "k", "step(-1)", "Up", "Go to the element above."),
        key("list.later", "J,shift+down,ctrl+down", "shift(1)", "Move down", "Move the element down."),
        key("list.earlier", "K,shift+up,ctrl+up", "shift(-1)", "Move up", "Move the element up."),
        key("list.done", "ctrl+s,s", "done", "Take it", "Take the list as it is now."),
    ]

    def __init__(self, document: Document, name: str) -> None:
        super().__init__(document, name)
        self.elements: list[str] = list(self.state.value) if isinstance(self.state.value, tuple) else []

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield from self.heading()
            yield OptionList(markup=False)
            yield Static(id="verdict", markup=False)

    def on_mount(self) -> None:
        self.draw(0)

    @property
    def lines(self) -> OptionList:
        """The elements on the screen."""
        return self.query_one(OptionList)

    @property
    def at(self) -> int:
        """The index of the line with the cursor."""
        return self.lines.highlighted or 0

    def content(self) -> list[Content]:
        """The lines to show."""
        raise NotImplementedError

    def keys(self) -> str:
        """The keys that matter here."""
        raise NotImplementedError

    def draw(self, at: int) -> None:
        """Show the elements as they are now, with the cursor there."""
        made = self.content()
        self.lines.set_options([Line(line) for line in made])
        self.lines.highlighted = max(0, min(at, len(made) - 1)) if made else None
        reason = self.reason(self.elements)
        self.say(reason or self.keys(), bad=bool(reason))

    def reason(self, elements: list[str]) -> str | None:
        """Why the list cannot be so, or None."""
        if self.option.required and not elements:
            return "must not be empty"
        try:
            value = check(self.option, elements)
        except ValueProblem as problem:
            return f"{problem.message}{f'; {problem.hint}' if problem.hint else ''}"
        stands = why_not(self.resolved, self.option.name, value)
        return stands.message.removeprefix(f"{self.option.name} ") if stands else None

    def action_step(self, by: int) -> None:
        if by > 0:
            self.lines.action_cursor_down()
        else:
            self.lines.action_cursor_up()

    def action_done(self) -> None:
        if self.reason(self.elements):
            self.app.bell()
        else:
            self.dismiss(tuple(self.elements))


class ListEditor(_Elements):
    """Elements of one's own: add, edit, delete, move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("list.add", "a,plus,insert", "add", "Add", "Add an element below."),
        key("list.edit", "e,space,l,right", "edit", "Edit", "Edit the element."),
        key("list.delete", "d,delete,backspace,x", "delete", "Delete", "Delete the element."),
        key("list.pick", "ctrl+o,f2", "pick", "Pick a file", "Add a file, chosen from a list."),
        key("list.default", "ctrl+r", "default", "Default", "Take the default's elements."),
    ]

    def content(self) -> list[Content]:
        add = Content(f"+ add {look().ellipsis}").stylize("dim")
        return [*(Content(element) for element in self.elements), add]

    def keys(self) -> str:
        parts = ["s takes it", "a adds", "Enter edits", "d deletes", "J K move", "Esc cancels"]
        if takes_path(self.option):
            parts.insert(-1, "Ctrl+O picks a file")
        return f" {look().dot} ".join(parts)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_edit()

    def action_edit(self) -> None:
        if self.at < len(self.elements):
            self._ask(self.at, self.elements[self.at])
        else:
            self.action_add()

    def action_add(self) -> None:
        self._ask(min(self.at + 1, len(self.elements)), None)

    @work
    async def _ask(self, index: int, before: str | None) -> None:
        others = [element for place, element in enumerate(self.elements) if before is None or place != index]
        text = await self.app.push_screen_wait(ElementEditor(self.document, self.option.name, before or "", others))
        if isinstance(text, str):
            self.elements[index : index + (before is not None)] = [text]
            self.draw(index)

    def action_delete(self) -> None:
        if self.at < len(self.elements):
            at = self.at
            del self.elements[at]
            self.draw(at)

    def action_shift(self, by: int) -> None:
        at, to = self.at, self.at + by
        if at < len(self.elements) and 0 <= to < len(self.elements):
            self.elements[at], self.elements[to] = self.elements[to], self.elements[at]
            self.draw(to)

    def action_default(self) -> None:
        self.elements = list(self.state.default) if isinstance(self.state.default, tuple) else []
        self.draw(0)

    def action_pick(self) -> None:
        if takes_path(self.option):
            from thanos_tui.tui.configure.picking import pick

            pick(self, self.document.directory, self.option, "", self._add)

    def _add(self, text: str) -> None:
        if text not in self.elements:
            self.elements.append(text)
        self.draw(self.elements.index(text))


class ElementEditor(TextEditor):
    """One element of a list, checked like the whole list while it is typed."""

    def __init__(self, document: Document, name: str, text: str, others: list[str]) -> None:
        super().__init__(document, name)
        self._text, self._others = text, others

    def text_of(self, value: Value) -> str:  # noqa: ARG002
        return self._text

    def keys(self) -> str:
        return super().keys().replace(f" {look().dot} Ctrl+R: default", "")

    def reason(self, text: str) -> str | None:
        if not text:
            return "type the element, or leave it with Esc"
        try:
            check(self.option, [text])
        except ValueProblem as problem:
            message = problem.message.removeprefix("element 1 ")
            return f"{message}{f'; {problem.hint}' if problem.hint else ''}"
        return "is in the list already" if text in self._others else None

    def accepted(self, text: str) -> Value:
        return text


class OfferedEditor(_Elements):
    """Elements chosen from those on offer: check boxes, in the order that the list will have."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("list.toggle", "space,x,l,right", "choose", "Choose", "Choose it, or not any more."),
        key("list.leave", "h,left", "cancel", "Cancel", "Leave the list as it was."),
    ]

    def __init__(self, document: Document, name: str) -> None:
        super().__init__(document, name)
        offered = [choice.value for choice in self.option.values]
        self.order = [*self.elements, *(value for value in offered if value not in self.elements)]

    def content(self) -> list[Content]:
        by_value = {choice.value: choice for choice in self.option.values}
        made: list[Content] = []
        for value in self.order:
            choice = by_value[value]
            mark = "[*] " if value in self.elements else "[ ] "
            line = Content.assemble(mark, choice.prompt, (f"  {value}", "dim"))
            if choice.help:
                line += Content(f"\n    {choice.help}").stylize("dim")
            if not holds(choice.depends, self.resolved.values):
                line = line.stylize("dim") + Content(f"\n    needs {choice.depends}").stylize("$text-warning")
            made.append(line)
        return made

    def keys(self) -> str:
        return f" {look().dot} ".join(["Enter takes the list", "Space chooses", "J K move", "Esc cancels"])

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_done()

    def action_choose(self) -> None:
        value = self.order[self.at]
        chosen = {*self.elements} ^ {value}
        choice = next(choice for choice in self.option.values if choice.value == value)
        if value in chosen and not holds(choice.depends, self.resolved.values):
            self.say(f"{value} needs {choice.depends}", bad=True)
            self.app.bell()
            return
        self._take(chosen)
        self.draw(self.at)

    def _take(self, chosen: set[str]) -> None:
        self.elements = [value for value in self.order if value in chosen]

    def action_shift(self, by: int) -> None:
        at = self.at
        to = max(0, min(at + by, len(self.order) - 1))
        self.order[at], self.order[to] = self.order[to], self.order[at]
        self._take({*self.elements})
        self.draw(to)
