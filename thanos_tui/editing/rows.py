"""Menus as rows, the way ``make menuconfig`` shows them; plain data that any screen can draw.

[*] SSH server              a bool: on, off ``[ ]``, forced on by others ``-*-``
(1234) Port                 anything else with a value; ``( )`` when it has none
Console login  --->         a menu; ``----`` when there is nothing in it to set now
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from thanos_tui.editing.document import Document
from thanos_tui.options import Catalogue, Menu, Option, Resolved, State, expressions
from thanos_tui.options.expressions import Compare, Expression, IsOn, Not, Value, holds
from thanos_tui.options.resolve import Selected

Path = tuple[str, ...]
"""Where a menu is: the titles from the outermost menu to it; empty for the list of all menus."""


@dataclass(frozen=True)
class View:
    """What is shown. hidden: also what is not active. changed: only what differs, from all menus below, in one list."""

    hidden: bool = False
    changed: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a menu.

    menu: the menu it leads to, or the one its option is in. name: the option; empty for a menu.
    symbol: ``[*]``, ``(1234)``, ``--->``. depth: how many options above it in the same menu it hangs on.
    active: can be used now. note: what else to say on the line: who selected it, why it is hidden, where it is.
    changed: differs from the default. unsaved: differs from the file. problem, warning: what is wrong with it, or with
        something in the menu; empty otherwise.
    """

    kind: Literal["option", "menu"]
    menu: Path
    name: str
    symbol: str
    title: str
    depth: int = 0
    active: bool = True
    locked: bool = False
    changed: bool = False
    unsaved: bool = False
    problem: str = ""
    warning: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other rows of its menu, whatever its value."""
        return (self.name,) if self.name else ("", *self.menu)


# A state that is the same object stands for the same value, origin and dependencies: a change makes new states of all
# that hang on it, and leaves the others alone.
Memo = dict[str, tuple[State | None, Row]]
"""The rows of options as they were made last, with the states they were made from."""

_NOTHING: tuple[None, Row] = (None, Row("option", (), "", "", ""))


@dataclass(frozen=True)
class Marks:
    """What is to be marked in one state of a document: options by name, and the menus that they are in."""

    changed: frozenset[str]
    unsaved: frozenset[str]
    problems: Mapping[str, str]
    warnings: Mapping[str, str]
    changed_menus: frozenset[Path]
    unsaved_menus: frozenset[Path]
    problem_menus: Mapping[Path, str]
    warning_menus: Mapping[Path, str]


def marks(document: Document) -> Marks:
    """The marks for the document as it is now; worth keeping until its revision changes."""
    resolved = document.resolved
    catalogue = resolved.catalogue
    changed, unsaved = frozenset(document.changed()), document.unsaved()
    # The first of several problems is the one to show: those after it often follow from it.
    problems = {problem.option: problem.message for problem in reversed(resolved.problems)}
    warnings = dict(resolved.warnings())
    return Marks(
        changed,
        unsaved,
        problems,
        warnings,
        frozenset(menu for name in changed for menu in _menus_above(catalogue.options[name])),
        frozenset(menu for name in unsaved for menu in _menus_above(catalogue.options[name])),
        {menu: text for name, text in problems.items() for menu in _menus_above(catalogue.options[name])},
        {menu: text for name, text in warnings.items() for menu in _menus_above(catalogue.options[name])},
    )


def _menus_above(option: Option) -> Iterator[Path]:
    for length in range(1, len(option.menu) + 1):
        yield option.menu[:length]


def menu_at(catalogue: Catalogue, path: Path) -> Menu | None:
    """The menu of this path; None if there is none."""
    found: Menu | None = None
    items: tuple[Menu | str, ...] = catalogue.menus
    for title in path:
        found = next((item for item in items if isinstance(item, Menu) and item.title == title), None)
        if found is None:
            return None
        items = found.items
    return found


def names_in(catalogue: Catalogue, path: Path) -> tuple[str, ...]:
    """The options in a menu and in the menus below it, in their order; all of them for the empty path."""
    return tuple(name for name, option in catalogue.options.items() if option.menu[: len(path)] == path)


def rows(
    document: Document, marked: Marks, path: Path = (), view: View | None = None, memo: Memo | None = None
) -> tuple[Row, ...]:
    """The lines of a menu: its options and submenus in the catalogue's order, or what is changed in and below it.

    memo: the caller keeps it from one call to the next, so that only what has changed meanwhile is made anew.
    """
    view = view or View()
    memo = {} if memo is None else memo
    resolved = document.current.resolved
    catalogue = resolved.catalogue
    if view.changed:
        differing = marked.changed | marked.unsaved
        shown = (name for name in names_in(catalogue, path) if name in differing)
        return tuple(
            option_row(resolved, marked, name, note=breadcrumb(catalogue.options[name].menu)) for name in shown
        )
    menu = menu_at(catalogue, path)
    items = menu.items if menu is not None else catalogue.menus
    made: list[Row] = []
    depths: dict[str, int] = {}
    for item in items:
        if isinstance(item, Menu):
            row = _menu_row(resolved, marked, item, (*path, item.title), view)
        else:
            state = resolved.states[item]
            before, row = memo.get(item, _NOTHING)
            if before is not state or not _marked_so(row, marked):
                row = option_row(resolved, marked, item, _depth(state.option, depths))
                memo[item] = (state, row)
            depths[item] = row.depth
        if row.active or view.hidden:
            made.append(row)
    return tuple(made)


def _marked_so(row: Row, marked: Marks) -> bool:
    name = row.name
    return (
        row.changed is (name in marked.changed)
        and row.unsaved is (name in marked.unsaved)
        and row.problem == marked.problems.get(name, "")
    )


def option_row(resolved: Resolved, marked: Marks, name: str, depth: int = 0, note: str = "") -> Row:
    """The line of one option, wherever it is shown."""
    state = resolved[name]
    if not state.active:
        note = why_hidden(state.option.depends, resolved.values)
    elif isinstance(state.origin, Selected):
        note = str(state.origin)
    return Row(
        "option",
        state.option.menu,
        name,
        symbol(state),
        state.option.prompt,
        depth,
        active=state.active,
        locked=state.locked,
        changed=name in marked.changed,
        unsaved=name in marked.unsaved,
        problem=marked.problems.get(name, ""),
        warning=marked.warnings.get(name, ""),
        note=note,
    )


def _menu_row(resolved: Resolved, marked: Marks, menu: Menu, path: Path, view: View) -> Row:
    usable = any(resolved[name].active for name in _options_of(menu))
    available = holds(menu.depends, resolved.values)
    enterable = usable or (view.hidden and bool(menu.items))
    return Row(
        "menu",
        path,
        "",
        "--->" if enterable else "----",
        menu.title,
        active=available,
        changed=path in marked.changed_menus,
        unsaved=path in marked.unsaved_menus,
        problem=marked.problem_menus.get(path, ""),
        warning=marked.warning_menus.get(path, ""),
        note="" if available else why_hidden(menu.depends, resolved.values),
    )


def _options_of(menu: Menu) -> Iterator[str]:
    for item in menu.items:
        if isinstance(item, str):
            yield item
        else:
            yield from _options_of(item)


def _depth(option: Option, depths: Mapping[str, int]) -> int:
    """One more than the option that it hangs on, of those above it in the menu.

    Kconfig's implicit submenu: what needs an option to be on, or to have a value, is shown below it and indented.
    """
    parts = expressions.conjuncts(option.depends)
    above = [part.option for part in parts if isinstance(part, IsOn | Compare) and part.option in depths]
    return max((depths[name] for name in above), default=-1) + 1


def symbol(state: State) -> str:
    """What menuconfig writes for an option's value."""
    if state.option.type == "bool":
        return "-*-" if state.locked else "[*]" if state.value else "[ ]"
    return f"({shown(state.option, state.value) or ' '})"


def shown(option: Option, value: Value) -> str:
    """A value as a person reads it: the words of a choice, a number with its unit, a list with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, int):
        return f"{value} {option.unit}".rstrip()
    if option.type == "choice":
        return next((choice.prompt for choice in option.values if choice.value == value), value)
    return value


def why_hidden(depends: Expression, values: Mapping[str, Value]) -> str:
    """In a few words what an option or a menu waits for; empty if it waits for nothing."""
    missing = [part for part in expressions.conjuncts(depends) if not holds(part, values)]
    return f"needs {' and '.join(_in_words(part) for part in missing)}" if missing else ""


def _in_words(part: Expression) -> str:
    if isinstance(part, Not) and isinstance(part.operand, IsOn):
        return f"{part.operand} off"
    return str(part)


def breadcrumb(path: Path, between: str = " > ") -> str:
    """A menu's path as one reads it."""
    return between.join(path)


def index_of(made: tuple[Row, ...], key: tuple[str, ...]) -> int | None:
    """Where the row with this key is; None if it is not among them."""
    return next((index for index, row in enumerate(made) if row.key == key), None)
