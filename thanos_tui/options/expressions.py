"""Conditions of the catalogue: ``sshd && (network.mode != none || !dhcp) && output.formats has vhd``.

Kconfig's operators and precedence, with ``has`` for lists. On the left of a comparison stands an option, on the right
a literal (bare, or quoted where it holds other characters). A bare option is true when it is on (bool) or not empty
(string, list). An option that is not active is off: false when bare, equal to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Value = bool | int | str | tuple[str, ...] | None
"""What an option can be worth; ``None`` while it is not active (an inactive bool is ``False``)."""

Comparison = Literal["=", "!=", "<", "<=", ">", ">=", "has"]

_TOKEN = re.compile(
    r"""\s*(?:(?P<symbol>&&|\|\||!=|<=|>=|[!=<>()])|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<word>[A-Za-z0-9_.+/:-]+))"""
)
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class IsOn:
    """The option is on, or not empty."""

    option: str

    def __str__(self) -> str:
        return self.option


@dataclass(frozen=True)
class Compare:
    """The option compares so with the literal."""

    option: str
    comparison: Comparison
    literal: str

    def __str__(self) -> str:
        bare = re.fullmatch(r"[A-Za-z0-9_.+/:-]+", self.literal) and self.literal != "has"
        literal = self.literal if bare else f"'{self.literal}'"
        return f"{self.option} {self.comparison} {literal}"


@dataclass(frozen=True)
class Not:
    operand: Expression

    def __str__(self) -> str:
        return f"!{_nested(self.operand)}"


@dataclass(frozen=True)
class All:
    operands: tuple[Expression, ...]

    def __str__(self) -> str:
        return " && ".join(_nested(operand) for operand in self.operands) or "always"


@dataclass(frozen=True)
class AnyOf:
    operands: tuple[Expression, ...]

    def __str__(self) -> str:
        return " || ".join(_nested(operand) for operand in self.operands)


Expression = IsOn | Compare | Not | All | AnyOf

ALWAYS = All(())


def _nested(expression: Expression) -> str:
    text = str(expression)
    return f"({text})" if isinstance(expression, All | AnyOf) and len(expression.operands) > 1 else text


class ExpressionError(ValueError):
    """The text is not an expression; ``offset`` is where it stops making sense."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True)
class _Token:
    kind: Literal["symbol", "word", "quoted", "end"]
    text: str
    offset: int


def _tokens(text: str) -> Iterator[_Token]:
    offset = 0
    end = len(text.rstrip())
    while offset < end:
        match = _TOKEN.match(text, offset)
        if match is None:
            raise ExpressionError(f"unexpected {text[offset:].lstrip()[:1]!r}", offset)
        group = match.lastgroup or ""
        kind: Literal["symbol", "word", "quoted"] = (
            "symbol" if group == "symbol" else "word" if group == "word" else "quoted"
        )
        yield _Token(kind, match.group(group), match.start() + len(match.group()) - len(match.group().lstrip()))
        offset = match.end()
    yield _Token("end", "the end", end)


class _Parser:
    """Recursive descent over one expression: or, and, not, comparison."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0

    def peek(self) -> _Token:
        return self.tokens[self.position]

    def next(self) -> _Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def takes(self, symbol: str) -> bool:
        token = self.peek()
        if token.kind == "symbol" and token.text == symbol:
            self.position += 1
            return True
        return False

    def either(self) -> Expression:
        operands = [self.both()]
        while self.takes("||"):
            operands.append(self.both())
        return operands[0] if len(operands) == 1 else AnyOf(tuple(operands))

    def both(self) -> Expression:
        operands = [self.negation()]
        while self.takes("&&"):
            operands.append(self.negation())
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def negation(self) -> Expression:
        if self.takes("!"):
            return Not(self.negation())
        if self.takes("("):
            inner = self.either()
            if not self.takes(")"):
                raise ExpressionError(f"expected ')' before {self.peek().text!r}", self.peek().offset)
            return inner
        return self.comparison()

    def comparison(self) -> Expression:
        option = self.next()
        if option.kind != "word":
            raise ExpressionError(f"expected an option, not {option.text!r}", option.offset)
        token = self.peek()
        is_comparison = token.kind == "symbol" and token.text in _COMPARISONS
        if not is_comparison and not (token.kind == "word" and token.text == "has"):
            return IsOn(option.text)
        self.next()
        literal = self.next()
        if literal.kind not in ("word", "quoted"):
            raise ExpressionError(f"expected a value after {token.text!r}, not {literal.text!r}", literal.offset)
        return Compare(option.text, token.text, literal.text)  # type: ignore[arg-type]


def parse(text: str) -> Expression:
    """The expression that ``text`` states. Raises ExpressionError with the offset of the first thing wrong."""
    parser = _Parser(text)
    expression = parser.either()
    rest = parser.peek()
    if rest.kind != "end":
        raise ExpressionError(f"unexpected {rest.text!r}", rest.offset)
    return expression


def names(expression: Expression) -> frozenset[str]:
    """The options an expression speaks of."""
    match expression:
        case IsOn(option) | Compare(option):
            return frozenset((option,))
        case Not(operand):
            return names(operand)
        case All(operands) | AnyOf(operands):
            return frozenset().union(*map(names, operands))


def comparisons(expression: Expression) -> Iterator[Compare | IsOn]:
    """Every leaf of an expression, for checks against the types of the options."""
    match expression:
        case IsOn() | Compare():
            yield expression
        case Not(operand):
            yield from comparisons(operand)
        case All(operands) | AnyOf(operands):
            for operand in operands:
                yield from comparisons(operand)


def holds(expression: Expression, values: Mapping[str, Value]) -> bool:
    """Whether an expression is true of these values."""
    # Plain tests and loops: this is where resolving spends its time, and class patterns take twice as long.
    if isinstance(expression, IsOn):
        return bool(values[expression.option])
    if isinstance(expression, Compare):
        return _compare(values[expression.option], expression.comparison, expression.literal)
    if isinstance(expression, Not):
        return not holds(expression.operand, values)
    decisive = isinstance(expression, AnyOf)
    for operand in expression.operands:
        if holds(operand, values) is decisive:
            return decisive
    return not decisive


def _compare(value: Value, comparison: Comparison, literal: str) -> bool:
    if comparison == "has":
        return isinstance(value, tuple) and literal in value
    if value is None:
        return comparison == "!="
    if comparison in ("=", "!="):
        text = ("false", "true")[value] if isinstance(value, bool) else str(value)
        return (text == literal) == (comparison == "=")
    assert isinstance(value, int)  # the catalogue's check allows an order only for ints  # noqa: S101
    number = int(literal)
    return {"<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number}[comparison]


def conjuncts(expression: Expression) -> tuple[Expression, ...]:
    """The parts that must all hold, as a person reads them one by one."""
    return (
        tuple(part for operand in expression.operands for part in conjuncts(operand))
        if isinstance(expression, All)
        else (expression,)
    )


def both(first: Expression, second: Expression) -> Expression:
    """``first && second`` without needless nesting."""
    parts = dict.fromkeys(conjuncts(first) + conjuncts(second))
    return next(iter(parts)) if len(parts) == 1 else All(tuple(parts))
