"""Resolution: origins, selects, problems, and laws that hold for every catalogue."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui.errors import InputError
from thanos_tui.options import (
    Assignment,
    Catalogue,
    Edited,
    OnCommandLine,
    Resolved,
    changed,
    load,
    read_catalogue,
    resolve,
    visible,
    why_not,
)
from thanos_tui.options.catalogue import Menu
from thanos_tui.options.expressions import Value, holds
from thanos_tui.options.resolve import ByDefault, Facts, Inactive, Selected

Make = Callable[[str], Catalogue]

TEXT = """\
menu: Test
items:
  - {option: a, type: bool, prompt: A, help: A., select: [{option: c, if: level = high}]}
  - {option: b, type: bool, prompt: B, help: B., default: true}
  - {option: c, type: bool, prompt: C, help: C., depends on: b}
  - option: level
    type: choice
    prompt: Level
    help: Level.
    values:
      - {value: low, prompt: Low}
      - {value: high, prompt: High}
      - {value: top, prompt: Top, depends on: c}
    default: [{value: high, if: b}, {value: low}]
  - option: size
    type: int
    prompt: Size
    help: Size.
    default: 5
    range: [{from: 1, to: 10, if: b}, {from: 1, to: 100}]
  - {option: name, type: string, prompt: Name, help: Name., required: true, depends on: a}
"""


def edited(**values: Value) -> dict[str, Assignment]:
    return {name: Assignment(value, Edited()) for name, value in values.items()}


@pytest.fixture
def catalogue(make_catalogue: Make) -> Catalogue:
    # `level` needs c for one value, and c is selected depending on level: without that value there is no circle.
    return make_catalogue(TEXT.replace("\n      - {value: top, prompt: Top, depends on: c}", ""))


def test_origins(catalogue: Catalogue) -> None:
    resolved = resolve(catalogue, edited(a=True, name="x"))
    assert isinstance(resolved["b"].origin, ByDefault)
    assert str(resolved["b"].origin) == "default"
    assert resolved["a"].origin == Edited()
    assert resolved["c"].origin == Selected(("a",))
    assert resolved["c"].locked
    assert str(resolved["c"].origin) == "selected by a"
    assert isinstance(resolve(catalogue, {})["name"].origin, Inactive)
    assert resolved.check() is resolved


def test_a_circle_through_values_on_offer_is_found(make_catalogue: Make) -> None:
    with pytest.raises(InputError, match="circle"):
        make_catalogue(TEXT)


def test_what_is_selected_cannot_be_off(catalogue: Catalogue) -> None:
    resolved = resolve(catalogue, edited(a=True, name="x", c=False))
    assert resolved["c"].value is True
    assert [p.message for p in resolved.problems] == ["c cannot be off: a needs it"]
    assert str(why_not(resolved, "c", False)) == "c cannot be off: it is selected by a"


def test_a_select_does_not_override_dependencies(catalogue: Catalogue) -> None:
    resolved = resolve(catalogue, edited(a=True, name="x", b=False, level="high"))
    assert resolved["c"].value is False
    (problem,) = resolved.problems
    assert problem.message == "a needs c, which is not available"
    assert problem.hint == "it needs b (b is off)"


def test_conditional_defaults_and_ranges(catalogue: Catalogue) -> None:
    assert resolve(catalogue, {})["level"].value == "high"
    assert resolve(catalogue, edited(b=False))["level"].value == "low"
    assert resolve(catalogue, edited(b=False, size=50))["size"].value == 50
    with pytest.raises(InputError, match="size must be from 1 to 10, not 50"):
        resolve(catalogue, edited(size=50)).check()
    assert resolve(catalogue, edited(size=50))["size"].value == 5


def test_problems_name_the_place_and_the_reason(catalogue: Catalogue) -> None:
    argument = OnCommandLine("--set name=x")
    with pytest.raises(InputError) as caught:
        resolve(catalogue, {"name": Assignment("x", argument)}).check()
    assert str(caught.value) == "--set name=x: name has no effect here: it needs a (a is off)"
    with pytest.raises(InputError, match=r"name must not be empty \(a\)"):
        resolve(catalogue, edited(a=True)).check()


def test_an_inactive_bool_may_be_off(catalogue: Catalogue) -> None:
    assert not resolve(catalogue, edited(b=False, c=False)).problems


def test_why_not_shows_every_condition_with_its_values(make_catalogue: Make) -> None:
    catalogue = make_catalogue(
        """\
        menu: Test
        items:
          - {option: a, type: bool, prompt: A, help: A., default: true}
          - {option: n, type: int, prompt: N, help: N., default: 3}
          - {option: x, type: string, prompt: X, help: X., depends on: a && (n > 5 || !a)}
          - option: y
            type: choice
            prompt: Y
            help: Y.
            default: p
            values: [{value: p, prompt: P}, {value: q, prompt: Q, depends on: n = 4}]
        """
    )
    resolved = resolve(catalogue, {})
    assert str(why_not(resolved, "x")).splitlines() == [
        "x is not available: it needs a && (n > 5 || !a)",
        "  ✓ a  (a is on)",
        "  ✗ n > 5 || !a  (a is on, n is 3)",
    ]
    assert "y cannot be q: it needs n = 4" in str(why_not(resolved, "y", "q"))
    assert why_not(resolved, "y", "p") is None
    assert why_not(resolve(catalogue, edited(n=6)), "x") is None
    with pytest.raises(InputError, match=r"y cannot be q: that needs n = 4 \(n is 3\)"):
        resolve(catalogue, edited(y="q")).check()


def test_menus_show_what_can_be_used(catalogue: Catalogue) -> None:
    shown = [
        item.option.name for item in visible(resolve(catalogue, {}), catalogue.menus[0]) if not isinstance(item, Menu)
    ]
    assert shown == ["a", "b", "c", "level", "size"]
    resolved = resolve(load(), edited(containerd=False))
    titles = [menu.title for menu in load().menus if any(True for _ in visible(resolved, menu))]
    assert "Services" not in titles
    assert "Kernel" in titles


def test_formats_follow_the_architecture() -> None:
    intel, arm = (resolve(load(), {}, Facts(architecture=name)) for name in ("amd64", "arm64"))
    assert intel["output.formats"].value == ("vhd",)
    assert arm["output.formats"].value == ("kernel+initrd",)
    assert "ttyAMA0" in (arm["kernel.consoles"].value or ())  # type: ignore[operator]
    bad = resolve(load(), edited(**{"output.formats": ("vhd",)}), Facts(architecture="arm64"))
    with pytest.raises(InputError, match=r"output\.formats cannot be vhd: that needs output\.architecture = amd64"):
        bad.check()


# --- Laws, over catalogues made at random: bools on a line, each of which may depend on those before it and select
# those after it, so that there is never a circle.


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[list[dict[str, object]], Catalogue]:
    count = draw(st.integers(1, 8))
    items: list[dict[str, object]] = []
    for index in range(count):
        item: dict[str, object] = {"option": f"o{index}", "type": "bool", "prompt": "O", "help": "O."}
        item["default"] = draw(st.booleans())
        if index:
            names = st.integers(0, index - 1).map(lambda n: f"o{n}")
            leaf = st.builds(lambda negated, name: f"!{name}" if negated else name, st.booleans(), names)
            parts = draw(st.lists(leaf, max_size=3))
            if parts:
                item["depends on"] = draw(st.sampled_from([" && ", " || "])).join(parts)
        later = [f"o{n}" for n in range(index + 1, count)]
        if later:
            item["select"] = draw(st.lists(st.sampled_from(later), max_size=2, unique=True))
        items.append(item)
    return items, _catalogue(items)


def _catalogue(items: list[dict[str, object]]) -> Catalogue:
    return read_catalogue([("random.yml", json.dumps({"menu": "Random", "items": items}))])


ASSIGNMENTS = st.dictionaries(st.integers(0, 7).map(lambda n: f"o{n}"), st.booleans())


def _resolve(catalogue: Catalogue, values: dict[str, bool]) -> Resolved:
    return resolve(catalogue, {n: Assignment(v, Edited()) for n, v in values.items() if n in catalogue.options})


@given(catalogues(), ASSIGNMENTS)
def test_active_means_that_dependencies_hold(made: tuple[object, Catalogue], values: dict[str, bool]) -> None:
    resolved = _resolve(made[1], values)
    for state in resolved.states.values():
        assert state.active == holds(state.option.depends, resolved.values)
        assert state.active or state.value is False
        by = [n for n, _ in made[1].selectors.get(state.option.name, ()) if resolved.values[n]]
        if by and state.active:
            assert state.value is True
            assert state.locked
        if by and not state.active:
            assert state.option.name in {problem.option for problem in resolved.problems}


@given(catalogues(), ASSIGNMENTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    made: tuple[list[dict[str, object]], Catalogue], values: dict[str, bool], chance: random.Random
) -> None:
    items, catalogue = made
    first = _resolve(catalogue, values)
    shuffled = list(items)
    chance.shuffle(shuffled)
    pairs = list(values.items())
    chance.shuffle(pairs)
    assert dict(_resolve(_catalogue(shuffled), dict(pairs)).values) == dict(first.values)


@given(catalogues(), ASSIGNMENTS)
def test_what_is_saved_says_all(made: tuple[object, Catalogue], values: dict[str, bool]) -> None:
    resolved = _resolve(made[1], values)
    saved = changed(resolved)
    again = _resolve(made[1], {name: bool(value) for name, value in saved.items()})
    assert dict(again.values) == dict(resolved.values)
    assert changed(again) == saved
    # Only what selects ask for in vain can still be wrong; no saved value is.
    assert all(problem.message.endswith("which is not available") for problem in again.problems)


def test_warnings_are_of_what_is_on() -> None:
    assert resolve(load(), {}).warnings() == ()
    ((name, text),) = resolve(load(), edited(**{"getty.insecure": True})).warnings()
    assert name == "getty.insecure"
    assert "without a password" in text
    assert resolve(load(), edited(**{"getty.insecure": True, "getty": False})).warnings() == ()
