"""Options as plain data, for tables and JSON, and as the page ``docs/options.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from thanos_tui.errors import InputError
from thanos_tui.options import expressions
from thanos_tui.options.catalogue import Catalogue, Menu, Option
from thanos_tui.options.expressions import ALWAYS, Value
from thanos_tui.options.resolve import Resolved, why_not
from thanos_tui.options.values import to_text


def describe(resolved: Resolved, name: str | None = None) -> list[dict[str, Any]]:
    """Everything to know of each option, or of one and those whose names begin with ``name.``, in the menus' order.

    Keys that say nothing (no range, no warning) are left out. Raises InputError for a name that nothing bears.
    """
    catalogue = resolved.catalogue
    names = [o for o in catalogue.options if name is None or o == name or o.startswith(f"{name}.")]
    if not names:
        close = catalogue.nearest(name or "")
        raise InputError(
            f"there is no option {name!r}",
            hint=f"did you mean {close}?" if close else "`thanos-tui options` lists them",
        )
    return [_describe_one(resolved, catalogue.options[option]) for option in names]


def _describe_one(resolved: Resolved, option: Option) -> dict[str, Any]:
    state = resolved[option.name]
    reason = why_not(resolved, option.name)
    found: dict[str, Any] = {
        "name": option.name,
        "type": option.type,
        "prompt": option.prompt,
        "help": option.help,
        "menu": list(option.menu),
        "value": _plain(state.value),
        "origin": str(state.origin),
        "default": _plain(state.default),
        "active": state.active,
        "locked": state.locked,
        "why_not": str(reason) if reason else "",
        "depends_on": "" if option.depends == ALWAYS else str(option.depends),
        "selects": [select.target for select in option.selects],
        "values": [
            {
                "value": choice.value,
                "prompt": choice.prompt,
                "help": choice.help,
                "depends_on": _condition(choice.depends),
            }
            for choice in option.values
        ],
        "ranges": [{"from": r.low, "to": r.high, "if": _condition(r.condition)} for r in option.ranges],
        "unit": option.unit,
        "must_be": option.pattern_help,
        "required": option.required,
        "secret": option.secret,
        "warning": option.warning,
        "declared": f"{option.where.file}:{option.where.line}",
    }
    always = {"name", "type", "prompt", "help", "menu", "value", "origin", "default", "active"}
    return {key: value for key, value in found.items() if key in always or value not in ("", [], False)}


def _condition(expression: expressions.Expression) -> str:
    return "" if expression == ALWAYS else str(expression)


def _plain(value: Value) -> bool | int | str | list[str] | None:
    return list(value) if isinstance(value, tuple) else value


_FACTS = {"architecture": "this machine's", "profile-name": "the profile's name"}


def document(catalogue: Catalogue) -> str:
    """The page that lists every option: its type, default, what it depends on and what it does."""
    lines = [
        "# Options",
        "",
        "Made from `assets/linuxkit/catalogue/` by `python -m thanos_tui.options.describe`; a test keeps it current.",
        "In a profile and after `--set`, options have these names. `thanos-tui options NAME` shows one with its value.",
    ]
    for menu in catalogue.menus:
        lines += _document_menu(catalogue, menu, 2)
    return "\n".join(lines) + "\n"


def _document_menu(catalogue: Catalogue, menu: Menu, level: int) -> Iterator[str]:
    yield from ("", f"{'#' * level} {menu.title}", "")
    if menu.help:
        yield from (menu.help, "")
    names = [item for item in menu.items if isinstance(item, str)]
    if names:
        yield "| option | type | default | what it is |"
        yield "|---|---|---|---|"
        for name in names:
            yield _document_option(catalogue.options[name])
    for item in menu.items:
        if isinstance(item, Menu):
            yield from _document_menu(catalogue, item, level + 1)


def _document_option(option: Option) -> str:
    kind = f"{option.type}, {option.unit}" if option.unit else option.type
    kind += "".join(f", {r.low} to {r.high}" for r in option.ranges[:1])
    if option.values:
        kind += ": " + ", ".join(f"`{choice.value}`" for choice in option.values)
    defaults: list[str] = []
    for default in option.defaults:
        shown = _FACTS[default.fact] if default.fact else _code(default.value)
        condition = "" if default.condition == ALWAYS else f" if `{default.condition}`"
        defaults.append(shown + condition)
    words = [f"**{option.prompt}.** {option.help}"]
    if option.warning:
        words.append(f"*Warning: {option.warning}*")
    if option.depends != ALWAYS:
        words.append(f"Needs `{option.depends}`.")
    words += [f"`{choice.value}` needs `{choice.depends}`." for choice in option.values if choice.depends != ALWAYS]
    cells = (f"`{option.name}`", kind, "; ".join(defaults), " ".join(words))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(value: Value) -> str:
    text = to_text(value)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    from thanos_tui import options

    print(document(options.load()), end="")
