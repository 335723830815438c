"""Templates: LinuxKit YAML in the catalogue with the options' values left open.

In text ``${option}`` stands for the option's value; alone in a scalar it keeps its type, and alone in a list a list
is spliced into it. ``${option | filter 'argument' | …}`` passes the value through filters. Four mappings are not
LinuxKit's but ours, known by their first key:

    {if: EXPRESSION, then: NODE, else: NODE}   one or the other; without `else` nothing: the key or item is left out
    {join: SEPARATOR, of: LIST}                the elements as one text; nothing when the list is empty
    {first: LIST}                              the first of the nodes that gives something
    {let: {NAME: NODE, …}, in: NODE}           names for values, used as ${NAME} within

An option that is not active gives nothing, too, and so does a list of which nothing is left: for LinuxKit `env: []` and
no `env` are not the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thanos_tui.options import expressions
from thanos_tui.options.expressions import Expression, ExpressionError

Filter = Callable[[Any, str | None], Any]


class Nothing:
    """The result of a node that gives nothing."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()


@dataclass(frozen=True)
class Plain:
    """A scalar as it stands."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Reference:
    """``${name | filter 'argument' …}``"""

    name: str
    filters: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Text:
    """Text with references in it."""

    parts: tuple[str | Reference, ...]


@dataclass(frozen=True)
class Record:
    items: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Items:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class If:
    condition: Expression
    then: Node
    otherwise: Node | None


@dataclass(frozen=True)
class Join:
    separator: str
    of: Node


@dataclass(frozen=True)
class First:
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Let:
    names: tuple[tuple[str, Node], ...]
    body: Node


Node = Plain | Reference | Text | Record | Items | If | Join | First | Let


class TemplateError(ValueError):
    """The template is wrong at ``path`` (keys and indices from its root)."""

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


_OWN_KEYS: Mapping[str, frozenset[str]] = {
    "if": frozenset({"if", "then", "else"}),
    "join": frozenset({"join", "of"}),
    "first": frozenset({"first"}),
    "let": frozenset({"let", "in"}),
}
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_FILTER = re.compile(r"\s*\|\s*([a-z-]+)(?:\s+'([^']*)')?\s*")


def read(value: Any, path: tuple[str | int, ...] = ()) -> Node:
    """The node that plain YAML states. Raises TemplateError."""
    if isinstance(value, str):
        return _read_text(value, path)
    if isinstance(value, list):
        return Items(tuple(read(item, (*path, index)) for index, item in enumerate(value)))
    if not isinstance(value, dict):
        return Plain(value)
    own = str(next(iter(value), ""))
    if own not in _OWN_KEYS:
        return Record(tuple((str(key), read(item, (*path, key))) for key, item in value.items()))
    wrong = value.keys() - _OWN_KEYS[own]
    missing = _OWN_KEYS[own] - value.keys() - {"else"}
    if wrong or missing:
        problem = f"does not know {sorted(wrong)[0]!r}" if wrong else f"needs {sorted(missing)[0]!r}"
        raise TemplateError(f"the mapping {{{own}: …}} {problem}", path)
    if own == "if":
        otherwise = read(value["else"], (*path, "else")) if "else" in value else None
        return If(_condition(value["if"], (*path, "if")), read(value["then"], (*path, "then")), otherwise)
    if own == "join":
        return Join(str(value["join"]), read(value["of"], (*path, "of")))
    if own == "first":
        if not isinstance(value["first"], list):
            raise TemplateError("'first' needs a list", (*path, "first"))
        return First(tuple(read(item, (*path, "first", index)) for index, item in enumerate(value["first"])))
    if not isinstance(value["let"], dict):
        raise TemplateError("'let' needs a mapping of names", (*path, "let"))
    named = tuple((str(name), read(node, (*path, "let", name))) for name, node in value["let"].items())
    return Let(named, read(value["in"], (*path, "in")))


def _condition(text: Any, path: tuple[str | int, ...]) -> Expression:
    try:
        return expressions.parse(str(text))
    except ExpressionError as error:
        raise TemplateError(f"in the expression {text!r}: {error.message}", path) from error


def _read_text(text: str, path: tuple[str | int, ...]) -> Node:
    parts: list[str | Reference] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(_read_reference(match.group(1), path))
        end = match.end()
    if not parts:
        return Plain(text)
    if end < len(text):
        parts.append(text[end:])
    only = parts[0]
    return only if len(parts) == 1 and isinstance(only, Reference) else Text(tuple(parts))


def _read_reference(text: str, path: tuple[str | int, ...]) -> Reference:
    bar = text.find("|")
    name, rest = (text, "") if bar < 0 else (text[:bar], text[bar:])
    filters: list[tuple[str, str | None]] = []
    position = 0
    while position < len(rest):
        match = _FILTER.match(rest, position)
        if match is None:
            raise TemplateError(f"cannot read the filters in ${{{text}}}", path)
        # '\n' is two characters in a plain YAML scalar, and a newline is what is meant.
        argument = match.group(2)
        filters.append((match.group(1), argument.replace("\\n", "\n") if argument is not None else None))
        position = match.end()
    return Reference(name.strip(), tuple(filters))


def names(node: Node, local: frozenset[str] = frozenset()) -> Iterator[str]:
    """The options a template speaks of, in values and in conditions."""
    match node:
        case Reference(name):
            if name not in local:
                yield name
        case Text(parts):
            for part in parts:
                if isinstance(part, Reference):
                    yield from names(part, local)
        case Record(items):
            for _key, item in items:
                yield from names(item, local)
        case Items(items) | First(items):
            for item in items:
                yield from names(item, local)
        case If(condition, then, otherwise):
            yield from sorted(expressions.names(condition))
            yield from names(then, local)
            if otherwise is not None:
                yield from names(otherwise, local)
        case Join(_, of):
            yield from names(of, local)
        case Let(named, body):
            for name, inner in named:
                yield from names(inner, local)
                local |= {name}
            yield from names(body, local)


def walk(node: Node) -> Iterator[Node]:
    """A node and all nodes within it."""
    yield node
    match node:
        case Text(parts):
            yield from (part for part in parts if isinstance(part, Reference))
        case Record(items):
            for _key, item in items:
                yield from walk(item)
        case Items(items) | First(items):
            for item in items:
                yield from walk(item)
        case If(_, then, otherwise):
            yield from walk(then)
            if otherwise is not None:
                yield from walk(otherwise)
        case Join(_, of):
            yield from walk(of)
        case Let(named, body):
            for _name, inner in named:
                yield from walk(inner)
            yield from walk(body)


def fill(node: Node, values: Mapping[str, Any], filters: Mapping[str, Filter]) -> Any:
    """Plain data from a template: ``values`` by name, ``None`` for those not active. NOTHING if nothing is left."""
    match node:
        case Plain(value):
            return value
        case Reference():
            return _look_up(node, values, filters)
        case Text(parts):
            filled = [part if isinstance(part, str) else _look_up(part, values, filters) for part in parts]
            return NOTHING if NOTHING in filled else "".join(map(_as_text, filled))
        case Record(items):
            pairs = ((key, fill(item, values, filters)) for key, item in items)
            return {key: value for key, value in pairs if value is not NOTHING}
        case Items(items):
            filled_items = list(_fill_items(items, values, filters))
            return NOTHING if items and not filled_items else filled_items
        case If(condition, then, otherwise):
            if expressions.holds(condition, values):
                return fill(then, values, filters)
            return NOTHING if otherwise is None else fill(otherwise, values, filters)
        case Join(separator, of):
            elements = fill(of, values, filters)
            return separator.join(map(_as_text, elements)) if elements is not NOTHING and elements else NOTHING
        case First(nodes):
            results = (fill(item, values, filters) for item in nodes)
            return next((result for result in results if result is not NOTHING), NOTHING)
        case Let(named, body):
            scope = dict(values)
            for name, inner in named:
                value = fill(inner, scope, filters)
                scope[name] = None if value is NOTHING else value
            return fill(body, scope, filters)


def _fill_items(items: tuple[Node, ...], values: Mapping[str, Any], filters: Mapping[str, Filter]) -> Iterator[Any]:
    for item in items:
        filled = fill(item, values, filters)
        if filled is NOTHING:
            continue
        if isinstance(filled, list) and isinstance(item, Reference | If | First):
            yield from filled
        else:
            yield filled


def _look_up(reference: Reference, values: Mapping[str, Any], filters: Mapping[str, Filter]) -> Any:
    value = values[reference.name]
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        value = list(value)
    for name, argument in reference.filters:
        value = filters[name](value, argument)
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(_as_text, value)) if isinstance(value, list) else str(value)
