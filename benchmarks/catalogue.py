"""A catalogue of 1,000 options, for our program and, as Kconfig, for its peers.

Ours comes first as it ships; what is made besides has menus three deep, every type, dependencies, selects, ranges and
help texts, and puts lines into the config as the shipped options do. The Kconfig file is written from the catalogue as
it was read, so both say the same: choices become Kconfig choices, and what Kconfig has no type for becomes strings.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from thanos_tui.options import Catalogue, Menu, Option, read_catalogue
from thanos_tui.options.expressions import ALWAYS, All, AnyOf, Compare, Expression, IsOn, Not
from thanos_tui.options.values import to_text

AREAS = ("storage", "radio", "display", "audio", "cluster", "cache", "proxy", "backup", "metrics", "policy")
PARTS = ("driver", "daemon", "client", "limits")
TOPICS = ("queue", "retry", "buffer", "power", "logging")
WORDS = (
    *("connection", "packet", "interrupt", "memory", "window", "request", "session", "firmware", "scheduler"),
    *("channel", "device", "journal", "table", "threshold", "latency", "worker", "page", "checksum", "replica"),
    *("snapshot", "pointer", "volume", "encoder", "clock", "mirror"),
)
DEFAULTS: dict[str, Any] = {"int": 64, "string": "auto", "choice": "middle", "list": ["first", "second"]}


def assets(shipped: Path, directory: Path, total: int = 1000) -> Catalogue:
    """Copy the shipped assets to ``directory`` with a catalogue that has ``total`` options, and read that back."""
    shutil.copytree(shipped, directory, copy_function=os.symlink)
    place = directory / "linuxkit" / "catalogue"
    wanted = total - len(read_catalogue(sorted(place.glob("*.yml"))).options)
    draw = random.Random(1)  # noqa: S311 - the same catalogue every time
    for index, area in enumerate(AREAS):
        share = wanted // len(AREAS) + (index < wanted % len(AREAS))
        text = yaml.safe_dump(_area(area, share, draw), sort_keys=False, allow_unicode=True, width=100)
        (place / f"{70 + index}-{area}.yml").write_text(text)
    made = read_catalogue(sorted(place.glob("*.yml")))
    assert len(made.options) == total
    return made


def _area(area: str, count: int, draw: random.Random) -> dict[str, Any]:
    """One file: a menu with a menu for each part, with a menu for each topic, and what it gives the config."""
    places = [(part, topic) for part in PARTS for topic in TOPICS]
    menus: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    config: list[dict[str, Any]] = []
    for index, (part, topic) in enumerate(places):
        share = count // len(places) + (index < count % len(places))
        stem = f"{area}.{part}.{topic}"
        items = [_option(stem, number, draw) for number in range(share)]
        menus[part].append({"menu": topic.title(), "help": f"How the {part} handles its {topic}.", "items": items})
        config.append({"if": stem, "files": [_file(stem, items)]})
    items = [
        {"menu": part.title(), "help": f"The {part} of {area}.", "items": topics} for part, topics in menus.items()
    ]
    return {"menu": area.title(), "help": f"Everything about {area}.", "items": items, "config": config}


def _option(stem: str, number: int, draw: random.Random) -> dict[str, Any]:
    """The first option of a topic switches it; the others depend on that one, every fourth on a neighbour besides."""
    help_ = " ".join(draw.choices(WORDS, k=draw.randint(12, 30))).capitalize() + "."
    if number == 0:
        return {"option": stem, "type": "bool", "prompt": stem.replace(".", " "), "help": help_, "default": True}
    kind = ("bool", "int", "string", "choice", "list")[number - 1 if number < 5 else 0]
    name = f"{stem}.{WORDS[number - 1]}"
    made: dict[str, Any] = {"option": name, "type": kind, "prompt": f"{' '.join(draw.choices(WORDS, k=3))}"}
    made |= {"help": help_, "depends on": stem, "default": DEFAULTS.get(kind, number % 2 == 0)}
    if kind == "int":
        made |= {"range": [0, 4096], "unit": "MiB"}
    if kind == "choice":
        made["values"] = [{"value": each, "prompt": each.title()} for each in ("low", "middle", "high")]
    if number == 5:
        made["depends on"] = f"{stem} && {stem}.{WORDS[1]} > 16"
    if kind == "bool" and number == 1:
        made["select"] = [stem]
        del made["depends on"]
    return made


def _file(stem: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A file of the config with a line for each option of a topic."""
    lines: list[Any] = [f"[{stem}]"]
    for item in items[1:]:
        name = item["option"]
        if item["type"] == "bool":
            lines.append({"if": name, "then": f"{name.rpartition('.')[2]} = on"})
        elif item["type"] == "list":
            lines.append("${" + name + " | each '- %' | join ', '}")
        else:
            lines.append({"if": stem, "then": name.rpartition(".")[2] + " = ${" + name + "}"})
    return {"path": f"etc/{stem.replace('.', '/')}.conf", "contents": {"join": "\n", "of": lines}, "mode": "0644"}


def kconfig(catalogue: Catalogue) -> str:
    """The catalogue as a Kconfig file."""
    lines = ['mainmenu "1,000 options"', ""]
    for menu in catalogue.menus:
        lines += _menu(catalogue, menu)
    return "\n".join(lines) + "\n"


def _menu(catalogue: Catalogue, menu: Menu) -> Iterator[str]:
    yield f"menu {_quoted(menu.title)}"
    for item in menu.items:
        yield from _menu(catalogue, item) if isinstance(item, Menu) else _entry(catalogue, catalogue.options[item])
    yield "endmenu"
    yield ""


def _entry(catalogue: Catalogue, option: Option) -> Iterator[str]:
    kind = {"bool": "bool", "int": "int"}.get(option.type, "string")
    if option.type == "choice":
        yield f"choice {_symbol(option.name)}"
        yield f"\tprompt {_quoted(option.prompt)}"
    else:
        yield f"config {_symbol(option.name)}"
        yield f"\t{kind} {_quoted(option.prompt)}"
    for default in option.defaults:
        value = {"architecture": "amd64", "profile-name": "thanos"}.get(default.fact or "", default.value)
        yield f"\tdefault {_value(option, value)}{_if(catalogue, default.condition)}"
    if option.depends != ALWAYS:
        yield f"\tdepends on {_expression(catalogue, option.depends)}"
    for select in option.selects:
        yield f"\tselect {_symbol(select.target)}{_if(catalogue, select.condition)}"
    for bounds in option.ranges:
        yield f"\trange {bounds.low} {bounds.high}{_if(catalogue, bounds.condition)}"
    yield "\thelp"
    yield from (f"\t  {line}" for line in option.help.splitlines())
    if option.type == "choice":
        for choice in option.values:
            yield f"config {_symbol(option.name, choice.value)}"
            yield f"\tbool {_quoted(choice.prompt)}"
            if choice.depends != ALWAYS:
                yield f"\tdepends on {_expression(catalogue, choice.depends)}"
        yield "endchoice"
    yield ""


def _value(option: Option, value: Any) -> str:
    if option.type == "choice":
        return _symbol(option.name, str(value))
    if option.type == "bool":
        return "y" if value else "n"
    return str(value) if option.type == "int" else _quoted(to_text(value))


def _if(catalogue: Catalogue, condition: Expression) -> str:
    return "" if condition == ALWAYS else f" if {_expression(catalogue, condition)}"


def _expression(catalogue: Catalogue, expression: Expression) -> str:
    match expression:
        case Not(operand):
            return f"!({_expression(catalogue, operand)})"
        case All(operands) | AnyOf(operands):
            sign = " && " if isinstance(expression, All) else " || "
            return "(" + sign.join(_expression(catalogue, operand) for operand in operands) + ")"
        case IsOn(name):
            empty = "" if catalogue.options[name].type == "bool" else ' != ""'
            return _symbol(name) + empty
        case Compare(name, comparison, literal):
            kind = catalogue.options[name].type
            if kind == "choice":
                return ("!" if comparison == "!=" else "") + _symbol(name, literal)
            # Kconfig knows no lists: one that has a value is one that is not empty there.
            if comparison == "has":
                return f'{_symbol(name)} != ""'
            literal = {"true": "y", "false": "n"}.get(literal, literal) if kind == "bool" else literal
            return f"{_symbol(name)} {comparison} {_quoted(literal)}"
    raise AssertionError(expression)


def _symbol(*parts: str) -> str:
    return "__".join("".join(c if c.isalnum() else "_" for c in part.upper()) for part in parts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
