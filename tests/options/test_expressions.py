"""Conditions: precedence, comparisons, and texts that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui.options import expressions
from thanos_tui.options.expressions import All, AnyOf, Compare, Expression, IsOn, Not, holds, parse

VALUES: dict[str, expressions.Value] = {
    "on": True,
    "off": False,
    "mode": "static",
    "size": 10,
    "empty": "",
    "formats": ("vhd", "raw-bios"),
    "gone": None,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", True),
        ("!on", False),
        ("!!on", True),
        ("off || on && on", True),
        ("on || on && off", True),  # && binds closer: (on) || (on && off)
        ("(on || on) && off", False),
        ("!off && !empty", True),
        ("formats", True),
        ("gone", False),
        ("mode = static", True),
        ("mode != static", False),
        ("mode='static'", True),
        ('mode = "dhcp"', False),
        ("on = true", True),
        ("off = true", False),
        ("size = 10 && size >= 10 && size <= 10", True),
        ("size < 10 || size > 10", False),
        ("formats has vhd", True),
        ("formats has tar", False),
        ("gone = x", False),
        ("gone != x", True),
        ("gone has x", False),
    ],
)
def test_what_holds(text: str, expected: bool) -> None:
    assert holds(parse(text), VALUES) is expected


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("on &&", 5),
        ("(on", 3),
        ("on)", 2),
        ("on on", 3),
        ("= x", 0),
        ("mode =", 6),
        ("mode = (", 7),
        ("a & b", 1),
        ("'x'", 0),
    ],
)
def test_what_is_no_expression(text: str, offset: int) -> None:
    with pytest.raises(expressions.ExpressionError) as caught:
        parse(text)
    assert caught.value.offset == offset


LEAVES = st.sampled_from(
    [
        IsOn("on"),
        IsOn("off"),
        Compare("mode", "=", "static"),
        Compare("mode", "!=", "a b"),
        Compare("formats", "has", "vhd"),
    ]
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_its_text_says_the_same(expression: Expression) -> None:
    again = parse(str(expression))
    assert holds(again, VALUES) == holds(expression, VALUES)
    assert expressions.names(again) == expressions.names(expression)


@given(EXPRESSIONS, EXPRESSIONS)
def test_both_needs_both(first: Expression, second: Expression) -> None:
    together = expressions.both(first, second)
    assert holds(together, VALUES) == (holds(first, VALUES) and holds(second, VALUES))
    assert expressions.both(expressions.ALWAYS, first) == expressions.both(first, expressions.ALWAYS)
