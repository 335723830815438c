"""Why an option cannot be set as wanted, and the fewest changes that would allow it, made by one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical

from thanos_tui.editing.document import Document
from thanos_tui.editing.rows import shown
from thanos_tui.errors import InputError, ThanosError
from thanos_tui.options import fixes, why_not
from thanos_tui.options.expressions import Value
from thanos_tui.options.resolve import Selected
from thanos_tui.tui.configure.detail import Detail
from thanos_tui.tui.configure.facts import Paragraph, conditions, truth
from thanos_tui.tui.configure.lines import Piece
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from textual.binding import BindingType


class WhyNot(Dialog[Mapping[str, Value]]):
    """The reasons, and a way out if there is one. Answers the changes to make, or None.

    value: what the option was to be; None asks for its being available at all. error: how that was refused.
    """

    DEFAULT_CSS = """
    WhyNot #box { width: 76; height: auto; max-height: 100%; }
    WhyNot Detail { height: auto; max-height: 20; padding: 0; }
    WhyNot Detail:focus { background-tint: transparent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("why.apply", "enter,f,y", "apply", "Make these changes", "Make the changes shown, as one step."),
        key("why.close", "w,n,q", "cancel", "Close", "Put it away and change nothing."),
    ]

    def __init__(self, document: Document, name: str, value: Value = None, error: InputError | None = None) -> None:
        super().__init__()
        self.document, self.option, self.value, self.error = document, name, value, error
        self.fix: fixes.Fix | None = None
        self.looked = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Detail([*self._reasons(), _plain(f"Looking for what would allow it{look().ellipsis}", "dim")])

    def on_mount(self) -> None:
        self._look()

    def _reasons(self) -> list[Paragraph]:
        document, name = self.document, self.option
        resolved = document.current.resolved
        state = resolved[name]
        said = [Paragraph(None, ((state.option.prompt, "title"), (f"  {name}", "dim")))]
        if not state.active:
            said.append(_plain("is not available: all of this must hold", "warning"))
            said += [Paragraph(None, truth(condition)) for condition in conditions(state.option.depends, resolved)]
        elif isinstance(state.origin, Selected) and self.value is False:
            said.append(_plain(f"cannot be off, as it is needed by {', '.join(state.origin.by)}", "warning"))
            said += [
                Paragraph(None, ((f"{look().tick} {by}", "good"), (f"  {resolved[by].option.prompt}", "dim")))
                for by in state.origin.by
            ]
        else:
            reason = why_not(resolved, name, self.value)
            problem = next((problem for problem in resolved.problems if problem.option == name), None)
            message = (
                reason.message if reason else self.error.message if self.error else problem.message if problem else ""
            )
            hint = None if reason else self.error.hint if self.error else problem.hint if problem else None
            said.append(_plain(message, "warning"))
            said += [Paragraph(None, truth(condition)) for condition in (reason.conditions if reason else ())]
            if hint:
                said.append(_plain(hint, "dim"))
        return [*said, _plain("", "")]

    @work(exclusive=True)
    async def _look(self) -> None:
        """Look for a way out, in a thread: it tries many sets of changes."""
        current = self.document.current
        try:
            self.fix = await perform(
                fixes.fix, current.resolved, current.assignments, current.facts, self.option, self.value
            )
        except ThanosError as error:
            self.error = error if isinstance(error, InputError) else self.error
        self.looked = True
        self.query_one(Detail).show([*self._reasons(), *self._way_out()])

    def _way_out(self) -> list[Paragraph]:
        if self.fix is None or not self.fix.changes:
            return [_plain("No set of changes was found that would allow it.", "bad"), _plain("Esc closes this", "dim")]
        resolved = self.document.current.resolved
        many = len(self.fix.changes) > 1
        said = [_plain(f"{'These changes' if many else 'This change'} would allow it:", "title")]
        for name, value in self.fix.changes.items():
            state = resolved[name]
            before = "not available" if not state.active else shown(state.option, state.value) or "empty"
            after = "its default" if value is None else shown(state.option, value) or "empty"
            pieces: list[Piece] = [
                (f"{look().bullet} {state.option.prompt}", ""),
                (f"  {name}  ", "dim"),
                (f"{before} {look().arrow} ", "dim"),
                (after, "value"),
            ]
            said.append(Paragraph(None, tuple(pieces)))
        said += [_plain(f"After that, {name} needs a value.", "warning") for name in self.fix.needs]
        keys = f"Enter makes {'them' if many else 'it'} {look().dot} Esc closes this"
        return [*said, _plain("", ""), _plain(keys, "dim")]

    def action_apply(self) -> None:
        if self.fix is not None and self.fix.changes:
            self.dismiss(self.fix.changes)
        elif self.looked:
            self.app.bell()


def _plain(text: str, style: str) -> Paragraph:
    return Paragraph(None, ((text, style),))
