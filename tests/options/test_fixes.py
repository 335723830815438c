"""Fixes: what is offered works, and nothing smaller does. Brute force over small catalogues is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thanos_tui.options import Assignment, Catalogue, Edited, Facts, Resolved, load, read_catalogue, resolve
from thanos_tui.options.expressions import Value
from thanos_tui.options.fixes import Fix, fix
from thanos_tui.options.resolve import resolve_after

Make = Callable[[str], Catalogue]
FACTS = Facts(architecture="amd64")

TEXT = """\
menu: Test
items:
  - {option: a, type: bool, prompt: A, help: A.}
  - {option: b, type: bool, prompt: B, help: B., default: true}
  - {option: c, type: bool, prompt: C, help: C., depends on: b, select: [e]}
  - {option: d, type: bool, prompt: D, help: D., depends on: a && !c}
  - {option: e, type: bool, prompt: E, help: E.}
  - option: level
    type: choice
    prompt: Level
    help: Level.
    values:
      - {value: low, prompt: Low}
      - {value: high, prompt: High, depends on: a}
      - {value: top, prompt: Top, depends on: a}
    default: low
  - option: size
    type: int
    prompt: Size
    help: Size.
    default: 5
    range: [{from: 1, to: 9, if: b}, {from: 1, to: 99}]
  - {option: big, type: bool, prompt: Big, help: Big., depends on: size > 20}
  - {option: names, type: list, prompt: Names, help: N., required: true, depends on: level = top}
  - option: parts
    type: list
    prompt: Parts
    help: Parts.
    values: [{value: x, prompt: X}, {value: y, prompt: Y}, {value: z, prompt: Z}]
  - {option: both, type: bool, prompt: Both, help: B., depends on: parts has x && parts has y}
"""


def edited(values: Mapping[str, Value]) -> dict[str, Assignment]:
    return {name: Assignment(value, Edited()) for name, value in values.items()}


def applied(values: Mapping[str, Value], changes: Mapping[str, Value]) -> dict[str, Assignment]:
    return edited({name: value for name, value in {**values, **changes}.items() if value is not None})


def fixed(catalogue: Catalogue, values: Mapping[str, Value], name: str, value: Value = None) -> Fix | None:
    given = edited(values)
    return fix(resolve(catalogue, given, FACTS), given, FACTS, name, value)


@pytest.fixture
def catalogue(make_catalogue: Make) -> Catalogue:
    return make_catalogue(TEXT)


@pytest.mark.parametrize(
    ("values", "name", "value", "changes"),
    [
        ({}, "a", None, {}),  # nothing stands in the way
        ({}, "d", None, {"a": True}),
        ({}, "d", True, {"a": True, "d": True}),
        ({"c": True}, "d", None, {"a": True, "c": False}),
        ({"c": True}, "e", False, {"c": False}),
        ({"a": True}, "level", "high", {"level": "high"}),
        ({}, "level", "high", {"a": True, "level": "high"}),
        ({}, "size", 50, {"b": False, "size": 50}),
        ({}, "big", None, {"b": False, "size": 21}),
        ({"b": True}, "big", None, {"b": False, "size": 21}),  # it has to go, whoever set it
        ({}, "both", None, {"parts": ("x", "y")}),
        ({"parts": ("z",)}, "both", None, {"parts": ("z", "x", "y")}),
    ],
)
def test_the_fewest_changes(
    catalogue: Catalogue, values: dict[str, Value], name: str, value: Value, changes: dict[str, Value]
) -> None:
    found = fixed(catalogue, values, name, value)
    assert found is not None
    assert found.changes == changes
    assert found.needs == ()


def test_what_has_to_be_filled_in_is_named(catalogue: Catalogue) -> None:
    found = fixed(catalogue, {}, "names")
    assert found is not None
    assert found.changes == {"a": True, "level": "top"}
    assert found.needs == ("names",)
    assert [part.expression for part in found.why] == ["level = top"]
    static = fixed(load(), {}, "network.gateways")
    assert static is not None
    assert (dict(static.changes), static.needs) == ({"network": "static"}, ("network.addresses",))


def test_the_user_s_own_values_are_spared(make_catalogue: Make) -> None:
    catalogue = make_catalogue(
        """\
        menu: Test
        items:
          - {option: mine, type: bool, prompt: M, help: M., default: true}
          - {option: p, type: bool, prompt: P, help: P.}
          - {option: q, type: bool, prompt: Q, help: Q., depends on: p}
          - {option: x, type: bool, prompt: X, help: X., depends on: '!mine || q'}
        """
    )
    one, two = {"mine": False}, {"p": True, "q": True}
    assert fixed(catalogue, {}, "x") == Fix(one, fixed(catalogue, {}, "x").why)  # type: ignore[union-attr]
    spared = fixed(catalogue, {"mine": True}, "x")
    assert spared is not None
    assert spared.changes == two


def test_why_names_the_selectors(catalogue: Catalogue) -> None:
    found = fixed(catalogue, {"c": True}, "e", False)
    assert found is not None
    assert [(part.expression, part.holds) for part in found.why] == [("!c", False)]


def test_none_where_nothing_helps(make_catalogue: Make) -> None:
    catalogue = make_catalogue(
        """\
        menu: Test
        items:
          - {option: a, type: bool, prompt: A, help: A.}
          - {option: never, type: bool, prompt: N, help: N., depends on: a && !a}
          - {option: text, type: string, prompt: T, help: T.}
          - {option: said, type: bool, prompt: S, help: S., depends on: text}
        """
    )
    assert fixed(catalogue, {}, "never") is None
    assert fixed(catalogue, {}, "said") is None  # which text it should be, nobody can know


def test_every_locked_option_of_the_catalogue_can_be_freed() -> None:
    everything_off: dict[str, Value] = {
        name: False
        for name, option in load().options.items()
        if option.type == "bool" and name not in ("containerd.log-level",)
    }
    for values in ({}, {"containerd": False}, {"network": "none"}, {"kernel.modules.all": True}, everything_off):
        states = resolve(load(), edited(values), FACTS).states
        for name, state in states.items():
            found = fixed(load(), values, name)
            assert found is not None, (name, values)
            assert bool(found.changes) is not state.active


# --- Catalogues made at random, of every type and kind of condition.

LITERALS = {"choice": ("u", "v", "w"), "int": ("0", "1", "2")}


@st.composite
def conditions(draw: st.DrawFn, before: list[tuple[str, str]]) -> str:
    """A condition on options that are declared before."""

    def leaf() -> str:
        name, kind = draw(st.sampled_from(before))
        if kind == "bool":
            text = name
        elif kind == "list":
            text = draw(st.sampled_from([name, f"{name} has u", f"{name} has v"]))
        else:
            signs = ("=", "!=") if kind == "choice" else ("=", "!=", "<", ">=")
            text = f"{name} {draw(st.sampled_from(signs))} {draw(st.sampled_from(LITERALS[kind]))}"
        return f"!({text})" if draw(st.integers(0, 3)) == 0 else text

    joint = draw(st.sampled_from([" && ", " || "]))
    return joint.join(leaf() for _ in range(draw(st.integers(1, 2))))


@st.composite
def items(draw: st.DrawFn, most: int = 5) -> list[dict[str, object]]:
    kinds = draw(
        st.lists(st.sampled_from(["bool", "bool", "bool", "choice", "int", "list"]), min_size=2, max_size=most)
    )
    made: list[dict[str, object]] = []
    before: list[tuple[str, str]] = []
    for index, kind in enumerate(kinds):
        item: dict[str, object] = {"option": f"o{index}", "type": kind, "prompt": "O", "help": "O."}

        def maybe(item: dict[str, object], key: str = "if", chance: int = 1) -> dict[str, object]:
            return {**item, key: draw(conditions(before))} if before and draw(st.integers(0, chance)) else item

        value = {
            "bool": st.booleans(),
            "choice": st.sampled_from("uvw"),
            "int": st.integers(0, 2),
            "list": st.sampled_from([[], ["u"], ["v", "u"]]),
        }[kind]
        if kind in ("choice", "list"):
            item["values"] = [maybe({"value": v, "prompt": "V"}, "depends on", 0) for v in "uvw"]
            if draw(st.booleans()) and before:
                item["values"][-1]["depends on"] = draw(conditions(before))  # type: ignore[index]
        if kind == "list":
            item["required"] = draw(st.booleans())
        if kind == "int":
            item["range"] = [maybe({"from": 0, "to": 1}), {"from": 0, "to": 2}] if before else [0, 2]
            if isinstance(item["range"][0], dict) and "if" not in item["range"][0]:  # type: ignore[index]
                item["range"] = [0, 2]
        if kind != "list":
            item["default"] = [maybe({"value": draw(value)}), {"value": draw(value)}]
        item = maybe(item, "depends on")
        later = [f"o{n}" for n in range(index + 1, len(kinds)) if kinds[n] == "bool"]
        if kind == "bool" and later and draw(st.booleans()):
            item["select"] = [maybe({"option": draw(st.sampled_from(later))})]
        made.append(item)
        before.append((f"o{index}", kind))
    return made


def read(made: list[dict[str, object]]) -> Catalogue:
    return read_catalogue([("random.yml", json.dumps({"menu": "Random", "items": made}))])


def values_of(catalogue: Catalogue, name: str) -> list[Value]:
    match catalogue.options[name].type:
        case "bool":
            return [False, True]
        case "choice":
            return ["u", "v", "w"]
        case "int":
            return [0, 1, 2]
        case _:
            return [(), ("u",), ("v",), ("w",), ("u", "v"), ("u", "w"), ("v", "w"), ("u", "v", "w")]


def draw_values(data: st.DataObject, catalogue: Catalogue) -> dict[str, Value]:
    return {
        name: data.draw(st.sampled_from(values_of(catalogue, name)), label=name)
        for name in catalogue.options
        if data.draw(st.integers(0, 2)) == 0
    }


def rank(
    before: Resolved, values: Mapping[str, Value], changes: Mapping[str, Value], name: str, value: Value
) -> tuple[bool, bool] | None:
    """(what the user set is overwritten or of no effect, something is missing); None where the changes do not do."""
    after = resolve(before.catalogue, applied(values, changes), FACTS)
    state = after[name]
    met = state.active if value is None else state.value == value and (state.active or value is False)
    new = [problem for problem in after.problems if problem.option not in {known.option for known in before.problems}]
    later = [problem for problem in new if (problem.inactive or problem.missing) and problem.option not in changes]
    if not met or later != new:
        return None
    overwritten = any(other in values and not (other == name and value is not None) for other in changes)
    return overwritten or any(problem.inactive for problem in new), any(problem.missing for problem in new)


def every_change(catalogue: Catalogue, values: Mapping[str, Value], size: int) -> Iterator[dict[str, Value]]:
    for names in combinations(catalogue.options, size):
        sides = [[v for v in values_of(catalogue, n) if v != values.get(n)] + [None] * (n in values) for n in names]
        yield from (dict(zip(names, chosen, strict=True)) for chosen in product(*sides))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_brute_force_finds_nothing_better(data: st.DataObject) -> None:
    catalogue = read(data.draw(items(most=4)))
    values = draw_values(data, catalogue)
    before = resolve(catalogue, edited(values), FACTS)
    name = data.draw(st.sampled_from(list(catalogue.options)))
    value = data.draw(st.sampled_from([None, *values_of(catalogue, name)]))
    best: tuple[bool, bool, int] | None = None
    for size in range(len(catalogue.options) + 1):
        for changes in every_change(catalogue, values, size):
            order = rank(before, values, changes, name, value)
            if order is not None and (best is None or (*order, size) < best):
                best = (*order, size)
    found = fixed(catalogue, values, name, value)
    if found is None:
        assert best is None
        return
    order = rank(before, values, found.changes, name, value)
    assert order is not None
    assert (*order, len(found.changes)) == best
    assert bool(found.needs) is order[1]


@settings(deadline=None)
@given(st.data())
def test_every_fix_works_and_is_the_same_each_time(data: st.DataObject) -> None:
    catalogue = read(data.draw(items(most=12)))
    values = draw_values(data, catalogue)
    before = resolve(catalogue, edited(values), FACTS)
    name = data.draw(st.sampled_from(list(catalogue.options)))
    value = data.draw(st.sampled_from([None, *values_of(catalogue, name)]))
    found = fixed(catalogue, values, name, value)
    assume(found is not None)
    assert found is not None
    assert rank(before, values, found.changes, name, value) is not None
    assert fixed(catalogue, dict(reversed(values.items())), name, value) == found


@settings(deadline=None)
@given(st.data())
def test_resolving_what_depends_on_a_change_is_resolving_all(data: st.DataObject) -> None:
    catalogue = read(data.draw(items(most=10)))
    first, second = draw_values(data, catalogue), draw_values(data, catalogue)
    before = resolve(catalogue, edited(first), FACTS)
    names = [name for name in catalogue.options if first.get(name) != second.get(name)]
    assert resolve_after(before, edited(second), names, FACTS) == resolve(catalogue, edited(second), FACTS)
