"""Reads the catalogue from its files and checks it strictly, so that a mistake in it is found where it was made.

A file holds one menu:

    menu: TITLE                     help, `depends on`
    items: [MENU or OPTION, …]
    config: [{if: EXPRESSION, SECTION OF LINUXKIT YAML: TEMPLATE, …}, …]      see templates.py

    option: NAME                    type, prompt, help; and where the type has them:
    default: VALUE                  or a list of {value: VALUE} or {fact: NAME}, each with an optional `if`
    depends on: EXPRESSION          select: [NAME or {option: NAME, if: EXPRESSION}]
    range: [LOW, HIGH]              or a list of {from: LOW, to: HIGH, if: EXPRESSION}
    values: [{value, prompt, help, depends on}]
    pattern: REGULAR EXPRESSION     pattern help, format, unit, required, secret: reference, warning, setting

Files are read in the order of their names; menus, and what they put into the config, keep that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, get_args

from thanos_tui import yaml12
from thanos_tui.errors import InputError, Where
from thanos_tui.options import expressions, templates
from thanos_tui.options.catalogue import (
    Catalogue,
    Choice,
    Contribution,
    Default,
    Fact,
    Menu,
    Option,
    Range,
    Select,
    Type,
)
from thanos_tui.options.expressions import ALWAYS, Compare, Expression, ExpressionError, Value
from thanos_tui.options.filters import NAMES as FILTERS
from thanos_tui.options.values import FORMATS, ValueProblem, check

Path_ = tuple[str | int, ...]

SECTIONS = ("kernel", "init", "volumes", "onboot", "onshutdown", "services", "files")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*")
_MENU_KEYS = frozenset({"menu", "help", "depends on", "items", "config"})
_OPTION_KEYS = frozenset(
    {"option", "type", "prompt", "help", "default", "depends on", "select", "range", "values", "pattern"}
    | {"pattern help", "format", "unit", "required", "secret", "warning", "setting"}
)
_ONLY_FOR: Mapping[str, tuple[Type, ...]] = {
    "select": ("bool",),
    "warning": ("bool", "string", "list"),
    "range": ("int",),
    "unit": ("int",),
    "values": ("choice", "list"),
    "pattern": ("string", "list"),
    "format": ("string", "list"),
    "required": ("string", "list"),
    "secret": ("string",),
}
_EMPTY: Mapping[Type, Value] = {"bool": False, "string": "", "list": ()}


class _File:
    """One file of the catalogue, with checked access to its data."""

    def __init__(self, document: yaml12.Document) -> None:
        self.document = document

    def error(self, message: str, path: Path_, *, key: bool = False, hint: str | None = None) -> InputError:
        return InputError(message, hint=hint, where=self.document.where(path, key=key))

    def mapping(self, data: Any, path: Path_, allowed: Iterable[str], needed: Iterable[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.error("expected a mapping", path)
        for key in data:
            if key not in allowed:
                raise self.error(f"unknown key {key!r}; known are {', '.join(sorted(allowed))}", (*path, key), key=True)
        for key in needed:
            if key not in data:
                raise self.error(f"the key {key!r} is missing", path)
        return data

    def text(self, data: Mapping[str, Any], key: str, path: Path_) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            raise self.error(f"{key!r} must be text", (*path, key))
        return value.strip()

    def sequence(self, data: Mapping[str, Any], key: str, path: Path_) -> Sequence[Any]:
        value = data.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"{key!r} must be a list", (*path, key))
        return value

    def condition(self, data: Mapping[str, Any], key: str, path: Path_) -> Expression:
        if key not in data:
            return ALWAYS
        text = data[key]
        if not isinstance(text, str):
            raise self.error(f"{key!r} must be an expression in text", (*path, key))
        try:
            return expressions.parse(text)
        except ExpressionError as error:
            raise self.error(f"in the expression {text!r}: {error.message}", (*path, key)) from None


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.options: dict[str, Option] = {}
        self.contributions: list[Contribution] = []
        self.mentions: list[tuple[Expression, Where]] = []

    def expression(self, file: _File, data: Mapping[str, Any], key: str, path: Path_) -> Expression:
        """A condition, kept for the check that comes when all options are known."""
        condition = file.condition(data, key, path)
        self.mentions.append((condition, file.document.where((*path, key))))
        return condition

    def menu(self, file: _File, data: Any, path: Path_, titles: tuple[str, ...], depends: Expression) -> Menu:
        file.mapping(data, path, _MENU_KEYS, ("menu", "items"))
        title = file.text(data, "menu", path)
        if not title:
            raise file.error("a menu needs a title", (*path, "menu"))
        own = self.expression(file, data, "depends on", path)
        depends = expressions.both(depends, own) if own != ALWAYS else depends
        titles = (*titles, title)
        items: list[Menu | str] = []
        for index, item in enumerate(file.sequence(data, "items", path)):
            place = (*path, "items", index)
            if isinstance(item, dict) and "menu" in item:
                items.append(self.menu(file, item, place, titles, depends))
            else:
                items.append(self.option(file, item, place, titles, depends))
        for index, item in enumerate(file.sequence(data, "config", path)):
            self.contribution(file, item, (*path, "config", index), depends)
        return Menu(title, file.text(data, "help", path), depends, tuple(items))

    def contribution(self, file: _File, data: Any, path: Path_, depends: Expression) -> None:
        file.mapping(data, path, ("if", *SECTIONS), ())
        condition = self.expression(file, data, "if", path)
        sections = {key: value for key, value in data.items() if key != "if"}
        try:
            template = templates.read(sections, path)
        except templates.TemplateError as error:
            raise file.error(error.message, error.path) from None
        where = file.document.where(path)
        for node in templates.walk(template):
            if isinstance(node, templates.If):
                self.mentions.append((node.condition, where))
            if isinstance(node, templates.Reference):
                for name, _argument in node.filters:
                    if name not in FILTERS:
                        raise file.error(f"unknown filter {name!r}; known are {', '.join(sorted(FILTERS))}", path)
        condition = expressions.both(depends, condition) if condition != ALWAYS else depends
        self.contributions.append(Contribution(condition, template, where))

    def option(self, file: _File, data: Any, path: Path_, titles: tuple[str, ...], depends: Expression) -> str:
        file.mapping(data, path, _OPTION_KEYS, ("option", "type", "prompt", "help"))
        name, kind = file.text(data, "option", path), file.text(data, "type", path)
        if not _NAME.fullmatch(name):
            raise file.error(f"{name!r} is no name for an option", (*path, "option"))
        if name in self.options:
            first = self.options[name].where
            raise file.error(f"the option {name} is declared twice; first at {first}", (*path, "option"))
        if kind not in get_args(Type):
            raise file.error(f"unknown type {kind!r}; known are {', '.join(get_args(Type))}", (*path, "type"))
        for key, kinds in _ONLY_FOR.items():
            if key in data and kind not in kinds:
                raise file.error(f"{key!r} has no meaning for an option of type {kind}", (*path, key), key=True)
        own = self.expression(file, data, "depends on", path)
        option = Option(
            name=name,
            type=kind,  # type: ignore[arg-type]  # checked above
            prompt=file.text(data, "prompt", path),
            help=file.text(data, "help", path),
            menu=titles,
            defaults=(),
            depends=expressions.both(depends, own) if own != ALWAYS else depends,
            where=file.document.where(path),
            selects=tuple(self.selects(file, data, path)),
            ranges=tuple(self.ranges(file, data, path)),
            values=tuple(self.choices(file, data, path)),
            pattern=_pattern(file, data, path),
            pattern_help=file.text(data, "pattern help", path),
            format=_one_of(file, data, "format", path, FORMATS),
            unit=file.text(data, "unit", path),
            required=_flag(file, data, "required", path),
            secret=_one_of(file, data, "secret", path, ("reference",)) == "reference",
            warning=file.text(data, "warning", path),
            setting=file.text(data, "setting", path),
        )
        if not option.prompt or not option.help:
            raise file.error(f"the option {name} needs a prompt and a help text", path)
        if kind == "choice" and not option.values:
            raise file.error(f"the choice {name} needs values", path)
        self.options[name] = replace(option, defaults=tuple(self.defaults(file, data, path, option)))
        return name

    def selects(self, file: _File, data: Mapping[str, Any], path: Path_) -> Iterable[Select]:
        for index, item in enumerate(file.sequence(data, "select", path)):
            place = (*path, "select", index)
            if isinstance(item, str):
                yield Select(item, ALWAYS)
            else:
                fields = file.mapping(item, place, ("option", "if"), ("option",))
                yield Select(file.text(fields, "option", place), self.expression(file, fields, "if", place))

    def ranges(self, file: _File, data: Mapping[str, Any], path: Path_) -> Iterable[Range]:
        items = file.sequence(data, "range", path)
        if len(items) == 2 and all(isinstance(item, int) for item in items):
            items = [{"from": items[0], "to": items[1]}]
        for index, item in enumerate(items):
            place = (*path, "range", index)
            fields = file.mapping(item, place, ("from", "to", "if"), ("from", "to"))
            low, high = fields["from"], fields["to"]
            if not isinstance(low, int) or not isinstance(high, int) or low > high:
                raise file.error("a range goes from a smaller to a larger whole number", place)
            yield Range(low, high, self.expression(file, fields, "if", place))

    def choices(self, file: _File, data: Mapping[str, Any], path: Path_) -> Iterable[Choice]:
        seen: set[str] = set()
        for index, item in enumerate(file.sequence(data, "values", path)):
            place = (*path, "values", index)
            fields = file.mapping(item, place, ("value", "prompt", "help", "depends on"), ("value", "prompt"))
            value = file.text(fields, "value", place)
            if not value or value in seen:
                raise file.error(f"the value {value!r} is empty or given twice", place)
            seen.add(value)
            depends = self.expression(file, fields, "depends on", place)
            yield Choice(value, file.text(fields, "prompt", place), file.text(fields, "help", place), depends)

    def defaults(self, file: _File, data: Mapping[str, Any], path: Path_, option: Option) -> Iterable[Default]:
        given = data.get("default")
        conditional = isinstance(given, list) and bool(given) and all(isinstance(item, dict) for item in given)
        if "default" not in data or not conditional:
            value = _EMPTY.get(option.type) if "default" not in data else given
            if value is None:
                raise file.error(f"the option {option.name} needs a default", path)
            where = file.document.where((*path, "default") if "default" in data else path)
            yield Default(self.checked(file, option, value, (*path, "default")), None, ALWAYS, where)
            return
        last: Expression = ALWAYS
        assert isinstance(given, list)  # noqa: S101  # seen above
        for index, item in enumerate(given):
            place = (*path, "default", index)
            fields = file.mapping(item, place, ("value", "fact", "if"), ())
            last = self.expression(file, fields, "if", place)
            where = file.document.where(place)
            if "fact" in fields:
                fact: Fact = _one_of(file, fields, "fact", place, get_args(Fact))  # type: ignore[assignment]
                yield Default(None, fact, last, where)
            else:
                if "value" not in fields:
                    raise file.error("a default needs a 'value' or a 'fact'", place)
                yield Default(self.checked(file, option, fields["value"], (*place, "value")), None, last, where)
        if last != ALWAYS:
            raise file.error(f"the last default of {option.name} must hold without a condition", path)

    def checked(self, file: _File, option: Option, value: Any, path: Path_) -> Value:
        try:
            return check(option, list(value) if isinstance(value, tuple) else value)
        except ValueProblem as problem:
            raise file.error(f"the default of {option.name} {problem.message}", path) from None

    def finish(self, menus: tuple[Menu, ...]) -> Catalogue:
        for condition, where in self.mentions:
            _check_expression(condition, self.options, where)
        selectors: dict[str, list[tuple[str, Expression]]] = {}
        for option in self.options.values():
            for select in option.selects:
                target = self.options.get(select.target)
                if target is None or target.type != "bool":
                    problem = "is not declared" if target is None else "is no bool"
                    raise InputError(f"{option.name} selects {select.target}, which {problem}", where=option.where)
                selectors.setdefault(select.target, []).append((option.name, select.condition))
        for contribution in self.contributions:
            for name in templates.names(contribution.template):
                if name not in self.options:
                    raise InputError(f"the template speaks of {name}, which is no option", where=contribution.where)
        made = Catalogue(
            options=self.options,
            menus=menus,
            contributions=tuple(self.contributions),
            order=(),
            selectors={name: tuple(by) for name, by in selectors.items()},
        )
        return replace(made, order=_order(made))


def _pattern(file: _File, data: Mapping[str, Any], path: Path_) -> re.Pattern[str] | None:
    text = file.text(data, "pattern", path)
    if not text:
        return None
    if not data.get("pattern help"):
        raise file.error("a pattern needs a 'pattern help' that says in words what it wants", path)
    try:
        return re.compile(text)
    except re.error as error:
        raise file.error(f"the pattern is no regular expression: {error}", (*path, "pattern")) from None


def _one_of(file: _File, data: Mapping[str, Any], key: str, path: Path_, known: Iterable[str]) -> str:
    text = file.text(data, key, path)
    if text and text not in known:
        raise file.error(f"unknown {key} {text!r}; known are {', '.join(sorted(known))}", (*path, key))
    return text


def _flag(file: _File, data: Mapping[str, Any], key: str, path: Path_) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise file.error(f"{key!r} must be true or false", (*path, key))
    return value


def _check_expression(expression: Expression, options: Mapping[str, Option], where: Where) -> None:
    """Refuse unknown options, and comparisons that could never be true."""
    for leaf in expressions.comparisons(expression):
        option = options.get(leaf.option)
        if option is None:
            raise InputError(f"the expression {expression} speaks of {leaf.option}, which is no option", where=where)
        if not isinstance(leaf, Compare):
            if option.type in ("choice", "int"):
                raise InputError(f"{leaf.option} is of type {option.type}: compare it with a value", where=where)
            continue
        kinds = {"=": ("bool", "choice", "int", "string"), "has": ("list",)}
        kinds["!="] = kinds["="]
        if option.type not in kinds.get(leaf.comparison, ("int",)):
            raise InputError(f"{leaf.comparison} does not work on {leaf.option} ({option.type})", where=where)
        offered = [choice.value for choice in option.values] or (["true", "false"] if option.type == "bool" else [])
        if offered and leaf.literal not in offered:
            raise InputError(f"{leaf.option} is never {leaf.literal}: it has {', '.join(offered)}", where=where)
        if option.type == "int" and not re.fullmatch(r"-?[0-9]+", leaf.literal):
            raise InputError(f"{leaf.option} is a number, and {leaf.literal} is none", where=where)


def _order(catalogue: Catalogue) -> tuple[str, ...]:
    """Every option after those its value depends on. Raises InputError for a circle, naming it."""
    graph = TopologicalSorter[str]()
    for name in catalogue.options:
        graph.add(name, *sorted(catalogue.needs(name)))
    try:
        return tuple(graph.static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        raise InputError(
            f"these options depend on each other in a circle: {' ← '.join(circle)}",
            where=catalogue.options[circle[0]].where,
        ) from None


def read_catalogue(files: Iterable[Path | tuple[str, str]]) -> Catalogue:
    """The catalogue that these files (or pairs of name and text) state, in this order.

    Raises InputError, with file, line and column, for whatever is wrong in them.
    """
    reading = _Reading()
    menus: list[Menu] = []
    for item in files:
        document = yaml12.read(item[1], item[0]) if isinstance(item, tuple) else yaml12.read_file(item)
        menus.append(reading.menu(_File(document), document.value, (), (), ALWAYS))
    return reading.finish(tuple(menus))
