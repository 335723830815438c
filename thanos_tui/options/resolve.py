"""From assignments to the value of every option, each with its origin: a pure function, one pass over the catalogue.

The catalogue gives the options in an order in which each comes after those it depends on, so one pass ends, and the
order of the assignments cannot matter. What Kconfig calls visible is *active* here. Unlike Kconfig's, a ``select``
does not turn an option on whose own dependencies do not hold; it is reported as a problem instead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from thanos_tui.errors import InputError, Where
from thanos_tui.options import expressions
from thanos_tui.options.catalogue import Catalogue, Menu, Option
from thanos_tui.options.expressions import Compare, Expression, IsOn, Value, holds
from thanos_tui.options.values import to_text
from thanos_tui.settings import machine_architecture


@dataclass(frozen=True)
class ByDefault:
    """The catalogue's own value, given at ``where``."""

    where: Where

    def __str__(self) -> str:
        return "default"


@dataclass(frozen=True)
class InProfile:
    """Set in a profile, at ``where``."""

    where: Where

    def __str__(self) -> str:
        return str(self.where)


@dataclass(frozen=True)
class Selected:
    """Turned on by these options."""

    by: tuple[str, ...]

    def __str__(self) -> str:
        return f"selected by {', '.join(self.by)}"


@dataclass(frozen=True)
class OnCommandLine:
    """Set by an argument."""

    argument: str

    def __str__(self) -> str:
        return self.argument


@dataclass(frozen=True)
class Edited:
    """Changed by hand in the app, and not saved yet."""

    def __str__(self) -> str:
        return "changed"


@dataclass(frozen=True)
class Inactive:
    """No value: what the option depends on does not hold."""

    def __str__(self) -> str:
        return "not active"


Origin = ByDefault | InProfile | Selected | OnCommandLine | Edited | Inactive


@dataclass(frozen=True)
class Assignment:
    """A value that somebody gave an option."""

    value: Value
    origin: Origin


Assignments = Mapping[str, Assignment]


@dataclass(frozen=True)
class State:
    """What an option is worth, and why.

    default: what it would be worth if nobody had said anything.
    active: whether what it depends on holds. locked: selected, so that it cannot be turned off.
    """

    option: Option
    value: Value
    origin: Origin
    default: Value
    active: bool
    locked: bool = False


@dataclass(frozen=True)
class Problem:
    """An assignment that cannot stand; the option has the value it would have without it.

    inactive: the option is not active, so that the assignment has no effect anyway.
    missing: the option has no value, and needs one.
    """

    option: str
    message: str
    hint: str | None
    origin: Origin
    inactive: bool = False
    missing: bool = False

    def error(self) -> InputError:
        """The problem as an error at the place where the value was given."""
        where = self.origin.where if isinstance(self.origin, InProfile | ByDefault) else str(self.origin)
        return InputError(self.message, hint=self.hint, where=where)


@dataclass(frozen=True)
class Facts:
    """What default values may be taken from. architecture: Debian's name for it; profile_name: the file's stem."""

    architecture: str = ""
    profile_name: str = "thanos"


@dataclass(frozen=True)
class Resolved:
    """The state of every option, and what is wrong with the assignments."""

    catalogue: Catalogue
    states: Mapping[str, State]
    problems: tuple[Problem, ...]
    values: Mapping[str, Value] = field(repr=False)

    def __getitem__(self, name: str) -> State:
        return self.states[name]

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """(option, warning) for every option that is on, or not empty, and carries one."""
        return tuple((s.option.name, s.option.warning) for s in self.states.values() if s.option.warning and s.value)

    def check(self) -> Resolved:
        """Itself. Raises the first problem as an InputError."""
        if self.problems:
            raise self.problems[0].error()
        return self


def resolve(catalogue: Catalogue, assignments: Assignments, facts: Facts | None = None) -> Resolved:
    """The state of every option. ``assignments`` holds values that fit their options (``values.check``)."""
    facts = facts or Facts()
    values: dict[str, Value] = {}
    states: dict[str, State] = {}
    problems: list[Problem] = []
    for name in catalogue.order:
        option = catalogue.options[name]
        state, problem = _resolve_one(catalogue, option, assignments.get(name), values, facts)
        states[name] = state
        values[name] = state.value
        problem = problem or _requirement(state, states)
        if problem is not None:
            problems.append(problem)
    return Resolved(catalogue, MappingProxyType(states), tuple(problems), MappingProxyType(values))


def resolve_after(
    before: Resolved, assignments: Assignments, names: Iterable[str], facts: Facts | None = None
) -> Resolved:
    """What :func:`resolve` gives, where ``assignments`` differ from those of ``before`` in these options only.

    Looks at nothing but what depends on them: for trying out many changes, one after the other.
    """
    facts = facts or Facts()
    catalogue = before.catalogue
    states, values = dict(before.states), dict(before.values)
    problems = {problem.option: problem for problem in before.problems}
    due = sorted({catalogue.position[name] for name in names})
    queued = set(due)
    while due:
        name = catalogue.order[heapq.heappop(due)]
        state, problem = _resolve_one(catalogue, catalogue.options[name], assignments.get(name), values, facts)
        same = state == states[name]
        states[name], values[name] = state, state.value
        problem = problem or _requirement(state, states)
        if problem is None:
            problems.pop(name, None)
        else:
            problems[name] = problem
        if same:
            continue
        for dependent in catalogue.dependents[name]:
            place = catalogue.position[dependent]
            if place not in queued:
                queued.add(place)
                heapq.heappush(due, place)
    ordered = tuple(sorted(problems.values(), key=lambda problem: catalogue.position[problem.option]))
    return Resolved(catalogue, MappingProxyType(states), ordered, MappingProxyType(values))


def _resolve_one(
    catalogue: Catalogue, option: Option, given: Assignment | None, values: Mapping[str, Value], facts: Facts
) -> tuple[State, Problem | None]:
    active = holds(option.depends, values)
    by = tuple(
        name
        for name, condition in catalogue.selectors.get(option.name, ())
        if values[name] and holds(condition, values)
    )
    if not active:
        off: Value = False if option.type == "bool" else None
        state = State(option, off, Inactive(), off, active=False)
        if by:
            hint = f"it needs {_unmet_text(option.depends, values)}"
            message = f"{by[0]} needs {option.name}, which is not available"
            return state, Problem(option.name, message, hint, given.origin if given else Selected(by))
        if given is not None and given.value is not False:
            return state, _unmet(option, given, values)
        return state, None
    if by:
        state = State(option, True, Selected(by), True, active=True, locked=True)
        if given is not None and given.value is False:
            message = f"{option.name} cannot be off: {' and '.join(by)} {'need' if len(by) > 1 else 'needs'} it"
            return state, Problem(option.name, message, f"turn {by[0]} off, too", given.origin)
        return state, None
    default = _default(option, values, facts)
    problem = _offence(option, given, values) if given is not None else None
    chosen = default if given is None or problem is not None else given
    return State(option, chosen.value, chosen.origin, default.value, active=True), problem


def _default(option: Option, values: Mapping[str, Value], facts: Facts) -> Assignment:
    for default in option.defaults:
        if holds(default.condition, values):
            value = default.value
            if default.fact == "architecture":
                value = facts.architecture or machine_architecture()
            elif default.fact == "profile-name":
                value = facts.profile_name
            return Assignment(_offered(option, value, values), ByDefault(default.where))
    raise AssertionError(f"{option.name} has no default")  # reading.py sees to it that the last one always holds


def _offered(option: Option, value: Value, values: Mapping[str, Value]) -> Value:
    """A default without what is not on offer now; for a choice the first value that is."""
    if not option.values or all(choice.depends == expressions.ALWAYS for choice in option.values):
        return value
    offered = [choice.value for choice in option.values if holds(choice.depends, values)]
    if isinstance(value, tuple):
        return tuple(element for element in value if element in offered)
    return value if value in offered or not offered else offered[0]


def _unmet(option: Option, given: Assignment, values: Mapping[str, Value]) -> Problem:
    unmet = _unmet_text(option.depends, values)
    return Problem(
        option.name, f"{option.name} has no effect here: it needs {unmet}", None, given.origin, inactive=True
    )


def _unmet_text(expression: Expression, values: Mapping[str, Value]) -> str:
    """The parts of an expression that do not hold, with the values they have."""
    parts = [part for part in expressions.conjuncts(expression) if not holds(part, values)]
    return " and ".join(f"{part} ({_live(part, values)})" for part in parts)


def _live(expression: Expression, values: Mapping[str, Value]) -> str:
    shown: list[str] = []
    for name in sorted(expressions.names(expression)):
        value = values[name]
        shown.append(f"{name} is {_shown(value)}")
    return ", ".join(shown)


def _shown(value: Value) -> str:
    if value is None:
        return "not active"
    if isinstance(value, bool):
        return "on" if value else "off"
    return to_text(value) or "empty"


def _offence(option: Option, given: Assignment, values: Mapping[str, Value]) -> Problem | None:
    """What is wrong with a value because of others: a range that holds now, a value that is not on offer now."""
    if isinstance(given.value, int) and option.ranges:
        bounds = next((bounds for bounds in option.ranges if holds(bounds.condition, values)), None)
        if bounds is not None and not bounds.low <= given.value <= bounds.high:
            message = f"{option.name} must be from {bounds.low} to {bounds.high}, not {given.value}"
            return Problem(option.name, message, None, given.origin)
    chosen = given.value if isinstance(given.value, tuple) else (given.value,)
    for choice in option.values:
        if choice.value in chosen and not holds(choice.depends, values):
            message = f"{option.name} cannot be {choice.value}: that needs {_unmet_text(choice.depends, values)}"
            return Problem(option.name, message, None, given.origin)
    return None


def _requirement(state: State, states: Mapping[str, State]) -> Problem | None:
    option = state.option
    if not option.required or not state.active or state.value not in ("", ()):
        return None
    reasons = [part for part in expressions.conjuncts(option.depends) if isinstance(part, IsOn | Compare)]
    because = f" ({' and '.join(map(str, reasons))})" if reasons else ""
    origin = state.origin
    if isinstance(origin, ByDefault):
        # Nobody said anything of this option: the place to mend is where it was made to be needed.
        causes = [states[name].origin for part in reasons for name in sorted(expressions.names(part))]
        origin = next((cause for cause in causes if not isinstance(cause, ByDefault)), origin)
    return Problem(option.name, f"{option.name} must not be empty{because}", "give it a value", origin, missing=True)


def visible(resolved: Resolved, menu: Menu) -> Iterator[Menu | State]:
    """The menus and options of a menu that can be used now; menus without any are left out."""
    for item in menu.items:
        if isinstance(item, str):
            if resolved.states[item].active:
                yield resolved.states[item]
        elif any(True for _ in visible(resolved, item)):
            yield item


@dataclass(frozen=True)
class Condition:
    """A part of an expression, whether it holds, and the values that decide it."""

    expression: str
    holds: bool
    live: str


@dataclass(frozen=True)
class Reason:
    """Why an option cannot have a value: one sentence, and the conditions it hangs on one by one."""

    message: str
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        lines = [f"  {'✓' if part.holds else '✗'} {part.expression}  ({part.live})" for part in self.conditions]
        return "\n".join([self.message, *lines])


def why_not(resolved: Resolved, name: str, value: Value = None) -> Reason | None:
    """Why the option is not active or, with ``value``, cannot have it. None if nothing stands in the way."""
    state = resolved.states[name]
    if not state.active:
        return _reason(f"{name} is not available", state.option.depends, resolved.values)
    if isinstance(state.origin, Selected) and value is False:
        return Reason(f"{name} cannot be off: it is {state.origin}")
    if value is None:
        return None
    for choice in state.option.values:
        chosen = value if isinstance(value, tuple) else (value,)
        if choice.value in chosen and not holds(choice.depends, resolved.values):
            return _reason(f"{name} cannot be {choice.value}", choice.depends, resolved.values)
    problem = _offence(state.option, Assignment(value, Edited()), resolved.values)
    return Reason(problem.message) if problem else None


def _reason(message: str, expression: Expression, values: Mapping[str, Value]) -> Reason:
    parts = tuple(
        Condition(str(part), holds(part, values), _live(part, values)) for part in expressions.conjuncts(expression)
    )
    return Reason(f"{message}: it needs {expression}", parts)
