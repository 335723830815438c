"""The way out of "why not": the fewest changes after which an option is active, or has a given value.

A search over sets of changes, small ones first. A set that does not do yet has a flaw: the goal is not met, or a value
cannot stand. What could mend that flaw is read off the catalogue's expressions; each such change makes a larger set.
So only options are tried that have to do with the matter, and no smaller set is missed. Whether a set does is asked of
``resolve`` itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from thanos_tui.options import expressions
from thanos_tui.options.catalogue import Catalogue, Option
from thanos_tui.options.expressions import All, Compare, Expression, IsOn, Not, Value, holds
from thanos_tui.options.resolve import (
    Assignment,
    Assignments,
    Condition,
    Edited,
    Facts,
    Problem,
    Resolved,
    Selected,
    resolve,
    resolve_after,
    why_not,
)
from thanos_tui.options.values import ValueProblem, check

LARGEST = 6  # changes; more are no help to anybody who reads them
TRIES = 200  # sets looked at in one search: some 0.1 s where a thousand options hang on each other
ALIKE = 50  # further ones, once one was found, for another of its size that does less beside


@dataclass(frozen=True)
class Fix:
    """What to change, and why that is needed.

    changes: the new value by option; None lets it have its default. Empty if nothing stands in the way.
    why: what stands in the way now. needs: options that are empty then and must not be: to be given a value next.
    """

    changes: Mapping[str, Value]
    why: tuple[Condition, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Limits:
    """What a search may do. spare: leave alone, and in effect, what the user set. whole: leave nothing empty."""

    spare: bool
    whole: bool


def fix(resolved: Resolved, assignments: Assignments, facts: Facts, name: str, value: Value = None) -> Fix | None:
    """The fewest changes after which option ``name`` is active or, with ``value``, has it; False turns it off.

    Comes first what leaves alone all that ``assignments`` say of others, then what leaves no option without a value
    that it needs, then the smaller one. Where several are as small, the one counts that changes least beside.

    None where there is no such set, or none was found in a bounded search.
    """
    goal = _Goal(name, value)
    # For each option, what it is compared with anywhere: no other values can make a difference.
    literals = _literals(resolved.catalogue)
    for limits in (_Limits(True, True), _Limits(True, False), _Limits(False, True), _Limits(False, False)):
        search = _Search(resolved, assignments, facts, goal, limits, literals)
        changes = search.best()
        if changes is None:
            continue
        after = resolve(resolved.catalogue, _with(assignments, changes), facts)
        if goal.met(after) and not any(search.flaws(after, changes)):
            needs = tuple(problem.option for problem in search.new_problems(after) if problem.missing)
            ordered = {option: changes[option] for option in resolved.catalogue.options if option in changes}
            return Fix(ordered, _why(resolved, name, value), needs)
    return None


def _with(assignments: Assignments, changes: Mapping[str, Value]) -> dict[str, Assignment]:
    after = dict(assignments)
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = Assignment(value, Edited())
    return after


def _why(resolved: Resolved, name: str, value: Value) -> tuple[Condition, ...]:
    origin = resolved[name].origin
    if value is False and isinstance(origin, Selected):
        return tuple(Condition(f"!{selector}", False, f"{selector} selects it") for selector in origin.by)
    reason = why_not(resolved, name, value)
    return tuple(part for part in reason.conditions if not part.holds) if reason else ()


@dataclass(frozen=True)
class _Goal:
    """The option to be active (``value`` is None), or to have a value; an option that is not active is off."""

    name: str
    value: Value

    def met(self, resolved: Resolved) -> bool:
        state = resolved[self.name]
        if self.value is None:
            return state.active
        return state.value == self.value and (state.active or self.value is False)


class _Search:
    """One search under the same limits."""

    def __init__(
        self,
        before: Resolved,
        assignments: Assignments,
        facts: Facts,
        goal: _Goal,
        limits: _Limits,
        literals: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.before = before
        self.assignments = assignments
        self.facts = facts
        self.goal = goal
        self.limits = limits
        self.literals = literals
        self.known = {problem.option for problem in before.problems}
        self.said = {name for name in assignments if name != goal.name or goal.value is None}

    def best(self) -> dict[str, Value] | None:
        """The best set of changes, or None."""
        number = count()
        waiting: list[tuple[int, int, dict[str, Value]]] = [(0, next(number), {})]
        seen: set[frozenset[tuple[str, Value]]] = set()
        found: list[tuple[tuple[int, ...], dict[str, Value]]] = []
        left = TRIES
        while waiting and left:
            size, _, changes = heapq.heappop(waiting)
            if found and size > len(found[0][1]):
                break
            left -= 1
            after = resolve_after(self.before, _with(self.assignments, changes), changes, self.facts)
            flaws = [list(flaw) for flaw in self.flaws(after, changes)]
            if not flaws:
                left = min(left, ALIKE) if not found else left
                found.append(((*self._price(after, changes), len(found)), changes))
                continue
            for name, value in min(flaws, key=len):
                # A list may be changed again, as several of its elements may matter; it still counts once.
                again = name in changes
                if again and not isinstance(value, tuple):
                    continue
                larger = {**changes, name: value}
                mark = frozenset(larger.items())
                if mark not in seen and len(larger) <= LARGEST:
                    seen.add(mark)
                    heapq.heappush(waiting, (len(larger), next(number), larger))
        return min(found, key=lambda item: item[0])[1] if found else None

    def _price(self, after: Resolved, changes: Mapping[str, Value]) -> tuple[int, ...]:
        """What speaks against a set, beside its size: what is overwritten, what is missing, what else is different."""
        lost = sum(problem.inactive for problem in self.new_problems(after))
        missing = sum(problem.missing for problem in self.new_problems(after))
        others = sum(
            after.values[name] != value
            for name, value in self.before.values.items()
            if name not in changes and name != self.goal.name
        )
        return lost + len(self.said & changes.keys()), missing, others

    def new_problems(self, after: Resolved) -> Iterator[Problem]:
        """The problems of options that had none."""
        return (problem for problem in after.problems if problem.option not in self.known)

    def flaws(self, after: Resolved, changes: Mapping[str, Value]) -> Iterator[Iterator[tuple[str, Value]]]:
        """For all that is wrong with these changes, what could mend it: each at least one change of every larger set
        that does."""
        ways = _Ways(self, after, changes)
        if not self.goal.met(after):
            yield ways.to_goal()
        for problem in self.new_problems(after):
            # As with any change of a document: what loses its effect is kept, what is missing can be given later.
            later = problem.option not in changes
            borne = (problem.inactive and not self.limits.spare) or (problem.missing and not self.limits.whole)
            if not (later and borne):
                yield ways.to_mend(problem)


class _Ways:
    """The single changes that can have to do with a flaw of one state."""

    def __init__(self, search: _Search, after: Resolved, changes: Mapping[str, Value]) -> None:
        self.search = search
        self.catalogue: Catalogue = after.catalogue
        self.after = after
        self.changes = changes
        self.frozen = search.said if search.limits.spare else frozenset[str]()
        self.visited: set[tuple[Expression, bool]] = set()

    def to_goal(self) -> Iterator[tuple[str, Value]]:
        goal = self.search.goal
        self.visited.clear()
        if goal.value is None:
            return self._hold(self.catalogue.options[goal.name].depends, True)
        return self._worth(goal.name, lambda value: value == goal.value, extra=goal.value)

    def to_mend(self, problem: Problem) -> Iterator[tuple[str, Value]]:
        name = problem.option
        option = self.catalogue.options[name]
        self.visited.clear()
        if problem.missing or name in self._assigned():
            yield from self._assign(name, lambda _value: True)
        yield from self._hold(option.depends, not self.after[name].active)
        yield from self._unselect(name)
        if self.after[name].active:
            yield from self._flip(option)

    def _assigned(self) -> frozenset[str]:
        kept = {name for name in self.search.assignments if self.changes.get(name, True) is not None}
        return frozenset(kept | {name for name, value in self.changes.items() if value is not None})

    def _hold(self, expression: Expression, wanted: bool) -> Iterator[tuple[str, Value]]:
        """Changes that can make an expression true (or false), which it is not now."""
        values = self.after.values
        if holds(expression, values) is wanted:
            return
        if isinstance(expression, Not):
            yield from self._hold(expression.operand, not wanted)
        elif isinstance(expression, IsOn | Compare):
            if (expression, wanted) in self.visited:
                return
            self.visited.add((expression, wanted))
            name, leaf = expression.option, expression
            yield from self._worth(name, lambda value: holds(leaf, {name: value}) is wanted)
        elif isinstance(expression, All) is wanted:
            # All of them have to change: one is enough to start with.
            yield from self._hold(
                next(part for part in expression.operands if holds(part, values) is not wanted), wanted
            )
        else:
            for part in expression.operands:
                yield from self._hold(part, wanted)

    def _worth(self, name: str, fits: Callable[[Value], bool], extra: Value = None) -> Iterator[tuple[str, Value]]:
        """Changes that can give an option a value that fits, which its value does not now."""
        option, state = self.catalogue.options[name], self.after[name]
        off: Value = False if option.type == "bool" else None
        if not state.active:
            yield from self._hold(option.depends, True)
            return
        if state.locked:
            yield from self._unselect(name)
        else:
            yield from self._assign(name, fits, extra)
            yield from self._flip(option)
            if fits(True) and option.type == "bool":
                yield from self._select(name)
        if fits(off):
            yield from self._hold(option.depends, False)

    def _assign(self, name: str, fits: Callable[[Value], bool], extra: Value = None) -> Iterator[tuple[str, Value]]:
        if name in self.frozen:
            return
        option, now = self.catalogue.options[name], self.after.values[name]
        given = extra if extra is not None else None
        for value in _candidates(option, now, self.search.literals.get(name, ()), given):
            if fits(value):
                yield name, value
        if name in self.search.assignments and name not in self.changes:
            yield name, None

    def _flip(self, option: Option) -> Iterator[tuple[str, Value]]:
        """Changes that can give an active option another default, or other bounds and values on offer."""
        for condition in option.conditions():
            yield from self._hold(condition, not holds(condition, self.after.values))

    def _select(self, name: str) -> Iterator[tuple[str, Value]]:
        for selector, condition in self.catalogue.selectors.get(name, ()):
            yield from self._hold(IsOn(selector), True)
            yield from self._hold(condition, True)

    def _unselect(self, name: str) -> Iterator[tuple[str, Value]]:
        """Changes that can end what selects an option now; of several selectors the first is enough to start with."""
        values = self.after.values
        for selector, condition in self.catalogue.selectors.get(name, ()):
            if values[selector] and holds(condition, values):
                yield from self._hold(IsOn(selector), False)
                yield from self._hold(condition, False)
                return


def _literals(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for option in catalogue.options.values():
        for condition in (option.depends, *option.conditions(), *(select.condition for select in option.selects)):
            if condition is expressions.ALWAYS:
                continue
            for leaf in expressions.comparisons(condition):
                if isinstance(leaf, Compare):
                    found.setdefault(leaf.option, {})[leaf.literal] = None
    return {name: tuple(literals) for name, literals in found.items()}


def _candidates(option: Option, now: Value, literals: tuple[str, ...], wanted: Value) -> Iterator[Value]:
    """The values of an option that can make a difference, those nearest to its value now first."""
    values: list[Value] = [wanted] if wanted is not None else []
    defaults = [default.value for default in option.defaults if default.value is not None]
    match option.type:
        case "bool":
            values += [True, False]
        case "choice":
            values += [choice.value for choice in option.values]
        case "int":
            numbers: set[int] = {number + step for number in map(int, literals) for step in (-1, 0, 1)}
            numbers |= {bound for bounds in option.ranges for bound in (bounds.low, bounds.high)}
            numbers |= {default for default in defaults if isinstance(default, int)}
            near = now if isinstance(now, int) else 0
            ordered: list[int] = sorted(numbers, key=lambda number: (abs(number - near), number))
            values += ordered
        case "string":
            values += [*defaults, *literals, ""]
        case "list":
            elements = now if isinstance(now, tuple) else ()
            known = dict.fromkeys([*literals, *(choice.value for choice in option.values)])
            values += [(*elements, each) for each in known if each not in elements]
            values += [tuple(e for e in elements if e != each) for each in elements]
            values += [*defaults, ()]
    for value in dict.fromkeys(values):
        try:
            fitting = check(option, list(value) if isinstance(value, tuple) else value)
        except ValueProblem:
            continue
        yield fitting
