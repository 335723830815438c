"""What there is to know of an option or a menu, as paragraphs of styled text: for the details beside the menu."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thanos_tui.editing.document import Document
from thanos_tui.editing.rows import Path, breadcrumb, menu_at, names_in, shown
from thanos_tui.options import Option, Resolved, State, expressions
from thanos_tui.options.expressions import ALWAYS, Expression, Value, holds
from thanos_tui.options.resolve import Edited, Inactive, InProfile, OnCommandLine
from thanos_tui.tui.configure.lines import Piece
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from thanos_tui.options.resolve import Condition

_TYPES = {"bool": "on or off", "choice": "one of several", "int": "whole number", "string": "text", "list": "list"}


@dataclass(frozen=True)
class Paragraph:
    """Some text. label: what it is about, before it; empty where that is said above; None for a text by itself."""

    label: str | None
    pieces: tuple[Piece, ...]


def of_option(document: Document, name: str) -> list[Paragraph]:
    """Everything about an option in the document's state: the most asked for first."""
    resolved = document.current.resolved
    state = resolved[name]
    option = state.option
    found = [Paragraph(None, ((option.prompt, "title"), (f"  {name}", "dim")))]
    found += _wrongs(document, name)
    found.append(Paragraph(None, ((option.help, ""),)))
    if option.warning and not state.value:
        found.append(Paragraph(None, ((f"When on: {option.warning}", "dim"),)))
    found.append(_value(document, state))
    if state.active and not state.locked and state.value != state.default:
        found.append(Paragraph("Default", ((_words(option, state.default), ""),)))
    if name in document.unsaved():
        saved = document.on_disk[name]
        words = _words(option, saved.value) if saved.active else "not active"
        found.append(Paragraph("Saved", ((words, ""),)))
    found.append(Paragraph("Type", ((type_in_words(option, resolved), ""),)))
    found += _needs(option.depends, resolved)
    found += _selections(option, resolved)
    found += _values(state, resolved)
    return found


def of_menu(document: Document, path: Path) -> list[Paragraph]:
    """Everything about a menu: its help, what it depends on, and how much of it is changed."""
    catalogue = document.catalogue
    resolved = document.resolved
    menu = menu_at(catalogue, path)
    if menu is None:
        return []
    names = names_in(catalogue, path)
    found = [
        Paragraph(None, ((menu.title, "title"), *(((f"  in {breadcrumb(path[:-1])}", "dim"),) if path[1:] else ())))
    ]
    found += [
        Paragraph("Problem", ((problem.message, "bad"),)) for problem in resolved.problems if problem.option in names
    ]
    if menu.help:
        found.append(Paragraph(None, ((menu.help, ""),)))
    active = sum(resolved[name].active for name in names)
    hidden = f", {len(names) - active} hidden" if active < len(names) else ""
    found.append(Paragraph("Options", ((f"{active} to set{hidden}", ""),)))
    changed = [name for name in document.changed() if name in names]
    if changed:
        found.append(Paragraph("Changed", ((", ".join(changed), ""),)))
    found += _needs(menu.depends, resolved)
    return found


def _wrongs(document: Document, name: str) -> Iterator[Paragraph]:
    for problem in document.resolved.problems:
        if problem.option == name:
            hint = ((f"  {problem.hint}", "dim"),) if problem.hint else ()
            yield Paragraph("Problem", ((problem.message, "bad"), *hint))
    state = document[name]
    if state.option.warning and state.value:
        yield Paragraph("Warning", ((state.option.warning, "warning"),))


def _words(option: Option, value: Value) -> str:
    words = shown(option, value) or "empty"
    return f"{words} ({value})" if option.type == "choice" and words != value else words


def _value(document: Document, state: State) -> Paragraph:
    if isinstance(state.origin, Inactive):
        kept = document.current.assignments.get(state.option.name)
        # What was said of it is not lost: it counts again as soon as the option is there again.
        rest = f"; {_words(state.option, kept.value)} is kept for when it is" if kept and kept.value else ""
        return Paragraph("Value", ((f"not available{rest}", "warning"),))
    return Paragraph("Value", ((_words(state.option, state.value), "value"), (f"  {origin(state)}", "dim")))


def origin(state: State) -> str:
    """Where a value comes from, in words."""
    match state.origin:
        case InProfile(where):
            return f"{where.file.rpartition('/')[2]}, line {where.line}"
        case OnCommandLine(argument):
            return f"command line: {argument}"
        case Edited():
            return "changed here"
        case other:
            return str(other)


def type_in_words(option: Option, resolved: Resolved) -> str:
    """What values an option takes: its type, its range, its unit, and what they must look like."""
    words = _TYPES[option.type]
    if option.type == "list":
        words = "some of several" if option.values else "list"
    bounds = next((bounds for bounds in option.ranges if holds(bounds.condition, resolved.values)), None)
    if bounds is not None:
        words += f" from {bounds.low} to {bounds.high}"
    if option.unit:
        words += f", in {option.unit}"
    if option.pattern_help:
        words += f"{', each' if option.type == 'list' else ':'} {option.pattern_help}"
    if option.secret:
        words += ": where a secret is, never the secret itself"
    return words + ("; must not be empty" if option.required else "")


def conditions(depends: Expression, resolved: Resolved) -> list[Condition]:
    """The parts that must all hold, each with whether it does and the values that decide it."""
    from thanos_tui.options.resolve import Condition

    if depends == ALWAYS:
        return []
    return [
        Condition(str(part), holds(part, resolved.values), _live(part, resolved))
        for part in expressions.conjuncts(depends)
    ]


def _live(part: Expression, resolved: Resolved) -> str:
    names = sorted(expressions.names(part))
    said: list[str] = []
    for name in names:
        state = resolved[name]
        value = shown(state.option, state.value) if state.option.type in ("bool", "list") else str(state.value)
        # Of one option alone the condition itself says the name.
        subject = f"{name} is " if len(names) > 1 else "is "
        said.append(subject + (value or "empty" if state.active else "not active"))
    return ", ".join(said)


def truth(condition: Condition) -> tuple[Piece, ...]:
    """A condition with a mark that says whether it holds."""
    mark = look().tick if condition.holds else look().cross
    style = "good" if condition.holds else "bad"
    return (
        (f"{mark} ", style),
        (condition.expression, "" if condition.holds else "bad"),
        (f"  {condition.live}", "dim"),
    )


def _needs(depends: Expression, resolved: Resolved) -> Iterator[Paragraph]:
    for number, condition in enumerate(conditions(depends, resolved)):
        yield Paragraph("" if number else "Needs", truth(condition))


def _selections(option: Option, resolved: Resolved) -> Iterator[Paragraph]:
    for number, select in enumerate(option.selects):
        when = "" if select.condition == ALWAYS else f"  if {select.condition}"
        yield Paragraph("" if number else "Selects", ((select.target, ""), (when, "dim")))
    for number, (name, condition) in enumerate(resolved.catalogue.selectors.get(option.name, ())):
        now = bool(resolved.values[name]) and holds(condition, resolved.values)
        when = "" if condition == ALWAYS else f"  if {condition}"
        words = f"{look().tick} {name}" if now else f"{look().waiting} {name}"
        yield Paragraph("" if number else "Selected by", ((words, "good" if now else ""), (when, "dim")))


def _values(state: State, resolved: Resolved) -> Iterator[Paragraph]:
    chosen = state.value if isinstance(state.value, tuple) else (state.value,)
    for number, choice in enumerate(state.option.values):
        label = "" if number else "Values"
        offered = holds(choice.depends, resolved.values)
        mark = look().running if choice.value in chosen else look().waiting
        words: list[Piece] = [
            (f"{mark} ", "value" if choice.value in chosen else "dim"),
            (choice.value, "" if offered else "dim"),
            (f"  {choice.prompt}", "dim"),
        ]
        if choice.help:
            words.append((f": {choice.help}", "dim"))
        if not offered:
            words.append((f"  needs {choice.depends}", "bad"))
        yield Paragraph(label, tuple(words))
