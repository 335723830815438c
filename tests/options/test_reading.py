"""The catalogue's own mistakes are found when it is loaded, where they are."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from thanos_tui.errors import InputError
from thanos_tui.options import Catalogue

Make = Callable[[str], Catalogue]

HEAD = """\
menu: Test
items:
  - {option: a, type: bool, prompt: A, help: First.}
"""


def test_menus_options_and_their_order(make_catalogue: Make) -> None:
    catalogue = make_catalogue(
        HEAD
        + """\
  - menu: Inner
    depends on: a
    items:
      - {option: c.d, type: int, prompt: C, help: Third., default: 3, range: [1, 5], depends on: b}
  - {option: b, type: bool, prompt: B, help: Second., default: true}
"""
    )
    assert list(catalogue.options) == ["a", "c.d", "b"]
    option = catalogue.options["c.d"]
    assert option.menu == ("Test", "Inner")
    assert str(option.depends) == "a && b"
    assert str(option.where) == "test.yml:7:9"
    assert catalogue.order.index("c.d") > max(catalogue.order.index("a"), catalogue.order.index("b"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "  - {option: a, type: bool, prompt: X, help: X.}",
            r"test\.yml:4:14: the option a is declared twice; first at",
        ),
        ("  - {option: B, type: bool, prompt: X, help: X.}", r"test\.yml:4:14: 'B' is no name for an option"),
        ("  - {option: b, type: tristate, prompt: X, help: X.}", r"test\.yml:4:23: unknown type 'tristate'"),
        ("  - {option: b, type: bool, prompt: X, help: X., colour: red}", r"test\.yml:4:50: unknown key 'colour'"),
        ("  - {option: b, type: bool, prompt: X}", r"test\.yml:4:5: the key 'help' is missing"),
        ("  - {option: b, type: bool, prompt: X, help: ''}", r"needs a prompt and a help"),
        ("  - {option: b, type: int, prompt: X, help: X.}", r"the option b needs a default"),
        (
            "  - {option: b, type: int, prompt: X, help: X., default: 9, range: [1, 5]}",
            r":58: the default of b must be from 1",
        ),
        ("  - {option: b, type: int, prompt: X, help: X., default: 1, range: [5, 1]}", r"a range goes from a smaller"),
        ("  - {option: b, type: bool, prompt: X, help: X., default: 1}", r"the default of b must be true or false"),
        ("  - {option: b, type: bool, prompt: X, help: X., range: [1, 2]}", r":50: 'range' has no meaning for .* bool"),
        (
            "  - {option: b, type: bool, prompt: X, help: X., depends on: zz}",
            r"test\.yml:4:62: .*speaks of zz, which is no option",
        ),
        ("  - {option: b, type: bool, prompt: X, help: X., depends on: a &&}", r"in the expression 'a &&'"),
        ("  - {option: b, type: bool, prompt: X, help: X., depends on: a has x}", r"has does not work on a \(bool\)"),
        (
            "  - {option: b, type: bool, prompt: X, help: X., depends on: a = maybe}",
            r"a is never maybe: it has true, false",
        ),
        ("  - {option: b, type: bool, prompt: X, help: X., depends on: b}", r"circle: b ← b"),
        ("  - {option: b, type: bool, prompt: X, help: X., select: [zz]}", r"b selects zz, which is not declared"),
        ("  - {option: b, type: bool, prompt: X, help: X., select: [b]}", r"circle"),
        ("  - {option: b, type: choice, prompt: X, help: X., default: x}", r"must be one of|the choice b needs values"),
        ("  - {option: b, type: string, prompt: X, help: X., pattern: '['}", r"needs a 'pattern help'"),
        ("  - {option: b, type: string, prompt: X, help: X., pattern: '[', pattern help: x}", r"no regular expression"),
        ("  - {option: b, type: string, prompt: X, help: X., format: colour}", r"unknown format 'colour'"),
        (
            "  - {option: b, type: string, prompt: X, help: X., default: [{value: x, if: a}]}",
            r"last default of b must hold",
        ),
        ("  - {option: b, type: string, prompt: X, help: X., default: [{fact: weather}]}", r"unknown fact 'weather'"),
        ("config:\n  - {colour: red}", r"test\.yml:5:6: unknown key 'colour'"),
        ("config:\n  - {init: ['${zz}']}", r"test\.yml:5:5: the template speaks of zz"),
        ("config:\n  - {init: ['${a | shout}']}", r"unknown filter 'shout'"),
        ("config:\n  - {init: [{if: a}]}", r"test\.yml:5:13: the mapping \{if: …\} needs 'then'"),
        ("config:\n  - {init: [{if: zz, then: x}]}", r"speaks of zz"),
        ("config:\n  - {init: [{first: x}]}", r"'first' needs a list"),
    ],
)
def test_mistakes(make_catalogue: Make, lines: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_catalogue(HEAD + lines)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "test.yml:" in str(caught.value)


def test_a_circle_through_select_names_its_members(make_catalogue: Make) -> None:
    text = """\
menu: Test
items:
  - {option: a, type: bool, prompt: A, help: A., depends on: b}
  - {option: b, type: bool, prompt: B, help: B., depends on: c}
  - {option: c, type: bool, prompt: C, help: C.}
  - {option: d, type: bool, prompt: D, help: D., depends on: a, select: [c]}
"""
    with pytest.raises(InputError, match="circle") as caught:
        make_catalogue(text)
    assert {"a", "b", "c", "d"} <= set(re.findall(r"\b[abcd]\b", caught.value.message))


def test_a_bare_choice_in_a_condition_is_refused(make_catalogue: Make) -> None:
    text = (
        HEAD
        + """\
  - {option: b, type: choice, prompt: B, help: B., default: x, values: [{value: x, prompt: X}]}
  - {option: c, type: bool, prompt: C, help: C., depends on: b}
"""
    )
    with pytest.raises(InputError, match="compare it with a value"):
        make_catalogue(text)
