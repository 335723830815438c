"""What a change of the option under the cursor would do to the YAML and to the image, in words."""

from __future__ import annotations

from typing import Any

from thanos_tui.editing.document import Document
from thanos_tui.editing.effects import Effect
from thanos_tui.editing.rows import shown
from thanos_tui.errors import ThanosError
from thanos_tui.linuxkit.diff import Change
from thanos_tui.options.expressions import Value
from thanos_tui.tui.configure.facts import Paragraph
from thanos_tui.tui.configure.lines import Piece
from thanos_tui.tui.look import look
from thanos_tui.words import size

_MOST = 8  # changes shown; the YAML pane has them all
_LONG = 40  # characters of a value


def question(document: Document, name: str) -> Value:
    """The value whose effect is worth showing: the other one of a bool, the default of anything else. None: there is
    none, as the option cannot be changed or has its default."""
    state = document[name]
    if not state.active or state.locked:
        return None
    if state.option.type == "bool":
        return not state.value
    return state.default if state.value != state.default else None


def label(value: Value) -> str:
    """What stands before the effect of giving an option this value."""
    return "If on" if value is True else "If off" if value is False else "By default"


def refusal(value: Value, error: ThanosError) -> list[Paragraph]:
    """That with this value there is nothing to build: something else is missing then, or a file cannot be used."""
    hint = ((f"  {error.hint}", "dim"),) if error.hint else ()
    return [Paragraph(label(value), ((f"nothing to build: {error.message}", "warning"), *hint))]


def answer(document: Document, name: str, value: Value, found: Effect) -> list[Paragraph]:
    """The effect of giving the option this value."""
    option = document[name].option
    said: list[tuple[Piece, ...]] = []
    if not isinstance(value, bool):
        said.append(((shown(option, value) or "empty", "value"),))
    said += [_change(change) for change in found.yaml[:_MOST]]
    if len(found.yaml) > _MOST:
        said.append(((f"and {len(found.yaml) - _MOST} more, see the YAML pane", "dim"),))
    if not found.yaml:
        said.append((("the YAML stays as it is", "dim"),))
    if found.bytes is not None:
        sign = "+" if found.bytes > 0 else look().dash if found.bytes < 0 else ""
        words = f"image {sign}{size(abs(found.bytes))}" if found.bytes else "image as large as now"
        said.append(((words, "warning" if found.bytes > 0 else "good" if found.bytes < 0 else "dim"),))
    return [Paragraph("" if number else label(value), pieces) for number, pieces in enumerate(said)]


def _change(change: Change) -> tuple[Piece, ...]:
    path = " ".join(change.path)
    match change.kind:
        case "added":
            return (("+ ", "added"), (path, ""), (_after(change.after), "dim"))
        case "removed":
            return (("- ", "removed"), (path, ""), (_after(change.before), "dim"))
        case "moved":
            return (("~ ", "warning"), (path, ""), ("  in another order", "dim"))
        case _:
            arrow = f"  {_short(change.before)} {look().arrow} {_short(change.after)}"
            return (("~ ", "warning"), (path, ""), (arrow, "dim"))


def _after(value: Any) -> str:
    return "" if isinstance(value, dict | list) else f"  {_short(value)}"


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return look().cut(text.replace("\n", " "), _LONG)
