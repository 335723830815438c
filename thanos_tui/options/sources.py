"""Which options each value of the rendered config is taken from: the way back from a line of YAML to its cause.

A value comes from the options that its template names, and from those in the conditions that let it in. Those have
values of their own because of others (a dependency, a default, a ``select``); :func:`behind` tells which.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thanos_tui.linuxkit import schema
from thanos_tui.linuxkit.config import Config
from thanos_tui.options import expressions, templates
from thanos_tui.options.catalogue import Catalogue, Option
from thanos_tui.options.expressions import Expression, Value
from thanos_tui.options.filters import Surroundings, make_filters
from thanos_tui.options.render import profile_key
from thanos_tui.options.resolve import ByDefault, Inactive, Resolved, Selected
from thanos_tui.options.templates import NOTHING, First, If, Items, Let, Node, Record, Reference

Names = tuple[str, ...]
Steps = Sequence[str | int]

# What a filter adds by itself belongs to an option, too: the profile's own key is among the authorized ones.
_ADDED_BY_FILTERS: Mapping[str, Names] = {"public-keys": ("sshd.generate-key",)}
_EXTRA = ("extra.yaml",)


@dataclass(frozen=True)
class _Part:
    """A value of the config: the options it comes from, nearest first, and its own parts by key or index."""

    names: Names
    parts: Mapping[str | int, _Part] = field(default_factory=dict)


@dataclass(frozen=True)
class Sources:
    """The options behind one rendered config."""

    resolved: Resolved
    root: _Part

    def of(self, path: Steps) -> Names:
        """The options that the value at a path (keys and indices from the top) is taken from, the nearest first.

        Empty where no option has a say: such a value is in every config.
        """
        part = self.root
        for number, step in enumerate(path):
            inner = part.parts.get(step)
            if inner is None:
                merged = number == 1 and isinstance(step, int)
                return _EXTRA if merged else part.names
            part = inner
        return part.names


def trace(resolved: Resolved, directory: Path, profile_name: str, rendered: Config) -> Sources:
    """The options behind ``rendered``, which :func:`thanos_tui.options.render.render` made of the same arguments.

    Raises InputError where files that rendering reads have gone meanwhile.
    """
    key = profile_key(profile_name)
    filters = make_filters(Surroundings(directory, profile_key=key if key.exists() else None, need_key=False))
    values: Mapping[str, Any] = resolved.values
    sections: dict[str | int, _Part] = {}
    kernel: dict[str, Any] = {}
    for contribution in resolved.catalogue.contributions:
        if not expressions.holds(contribution.condition, values):
            continue
        outer = _of_expression(contribution.condition)
        filled, traced = _trace(contribution.template, _Scope(values, filters), outer)
        if filled is NOTHING:
            continue
        kernel |= filled.get("kernel", {})
        for section, part in traced.parts.items():
            before = sections.get(section, _Part(()))
            offset = 0 if section == "kernel" else len(before.parts)
            moved = {step + offset if isinstance(step, int) else step: inner for step, inner in part.parts.items()}
            sections[section] = _Part((), {**before.parts, **moved})
    if values.get("extra.yaml"):
        # Lists grow at their end, where nothing is known of them; of the kernel the last one to speak counts.
        said = {name: value for name, value in schema.plain(rendered.kernel).items() if kernel.get(name) != value}
        before = sections.get("kernel", _Part(()))
        sections["kernel"] = _Part((), {**before.parts, **dict.fromkeys(said, _Part(_EXTRA))})
    return Sources(resolved, _Part((), sections))


@dataclass(frozen=True)
class _Scope:
    """What names in a template mean. local: the options behind the names that ``let`` has given."""

    values: Mapping[str, Any]
    filters: Mapping[str, templates.Filter]
    local: Mapping[str, Names] = field(default_factory=dict)

    def names(self, node: Node) -> Names:
        """The options a template speaks of."""
        found: list[str] = []
        for inner in templates.walk(node):
            if isinstance(inner, Reference):
                for name, _ in inner.filters:
                    found += _ADDED_BY_FILTERS.get(name, ())
        said = [name for given in templates.names(node) for name in self.local.get(given, (given,))]
        return tuple(dict.fromkeys([*said, *found]))


def _trace(node: Node, scope: _Scope, outer: Names) -> tuple[Any, _Part]:
    """What ``templates.fill`` makes of a template, and where it comes from; ``outer``: what let the template in."""
    match node:
        case Record(items):
            traced = {key: _trace(item, scope, outer) for key, item in items}
            kept = {key: pair for key, pair in traced.items() if pair[0] is not NOTHING}
            parts: dict[str | int, _Part] = {key: part for key, (_, part) in kept.items()}
            return {key: value for key, (value, _) in kept.items()}, _Part(outer, parts)
        case Items(items):
            elements = list(_trace_items(items, scope, outer))
            if items and not elements:
                return NOTHING, _Part(outer)
            return [value for value, _ in elements], _Part(outer, dict(enumerate(part for _, part in elements)))
        case If(condition, then, otherwise):
            inner = _joined(_of_expression(condition), outer)
            if expressions.holds(condition, scope.values):
                return _trace(then, scope, inner)
            return (NOTHING, _Part(inner)) if otherwise is None else _trace(otherwise, scope, inner)
        case First(nodes):
            for tried in nodes:
                value, part = _trace(tried, scope, outer)
                if value is not NOTHING:
                    return value, part
                outer = _joined(scope.names(tried), outer)
            return NOTHING, _Part(outer)
        case Let(named, body):
            for name, inner_node in named:
                value = templates.fill(inner_node, scope.values, scope.filters)
                values = {**scope.values, name: None if value is NOTHING else value}
                scope = _Scope(values, scope.filters, {**scope.local, name: scope.names(inner_node)})
            return _trace(body, scope, outer)
        case _:
            value = templates.fill(node, scope.values, scope.filters)
            part = _Part(_joined(scope.names(node), outer))
            return value, _Part(part.names, dict.fromkeys(range(len(value)), part)) if isinstance(value, list) else part


def _trace_items(items: Iterable[Node], scope: _Scope, outer: Names) -> Iterator[tuple[Any, _Part]]:
    for item in items:
        value, part = _trace(item, scope, outer)
        if value is NOTHING:
            continue
        if isinstance(value, list) and isinstance(item, Reference | If | First):
            for index, element in enumerate(value):
                yield element, part.parts[index]
        else:
            yield value, part


def _of_expression(expression: Expression) -> Names:
    return tuple(leaf.option for leaf in expressions.comparisons(expression))


def _joined(*names: Names) -> Names:
    return tuple(dict.fromkeys(name for part in names for name in part))


def possible(resolved: Resolved, entry: Sequence[str]) -> Names:
    """The options by which an entry (named as in ``linuxkit.diff.Change.path``) that others have may be missing here.

    For configs of which only the YAML is known. Where the entry is here as well, the options that it could come from.
    """
    section, *rest = entry
    name = re.sub(r" #\d+$", "", rest[0]) if rest else None
    found: list[str] = []
    listed: list[str] = []
    for contribution in resolved.catalogue.contributions:
        content = dict(contribution.template.items).get(section) if isinstance(contribution.template, Record) else None
        if content is None:
            continue
        if isinstance(content, Reference):
            listed.append(content.name)
        items = content.items if isinstance(content, Items) else (content,)
        concerned = [item for item in items if name is None or _is_named(item, name)]
        if concerned:
            parts = expressions.conjuncts(contribution.condition)
            against = [part for part in parts if not expressions.holds(part, resolved.values)]
            if not against:
                found += [option for item in concerned for option in _Scope({}, {}).names(item)]
            found += [option for part in against or parts for option in _of_expression(part)]
    # What no template names can only be among what people list themselves.
    return tuple(dict.fromkeys(found or (*listed, *_EXTRA)))


def _is_named(node: Node, name: str) -> bool:
    named = (item for inner in templates.walk(node) if isinstance(inner, Record) for item in inner.items)
    return any(key in ("name", "path") and item == templates.Plain(name) for key, item in named)


def behind(catalogue: Catalogue, names: Iterable[str]) -> Names:
    """The options themselves, and all those that their values can depend on, in growing distance."""
    waiting = deque(names)
    found: dict[str, None] = dict.fromkeys(waiting)
    while waiting:
        name = waiting.popleft()
        for other in _needed(catalogue, catalogue.options[name]):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return tuple(found)


def _needed(catalogue: Catalogue, option: Option) -> Iterator[str]:
    yield from _of_expression(option.depends)
    for selector, condition in catalogue.selectors.get(option.name, ()):
        yield selector
        yield from _of_expression(condition)
    for default in option.defaults:
        yield from _of_expression(default.condition)
    for bounds in option.ranges:
        yield from _of_expression(bounds.condition)
    for choice in option.values:
        yield from _of_expression(choice.depends)


def nearest(resolved: Resolved, names: Names) -> Names:
    """Those that are closest to a value: that can be set now, and that no other one of them needs."""
    usable = [name for name in names if resolved[name].active] or list(names)
    needed = {other for name in usable for other in behind(resolved.catalogue, (name,)) if other != name}
    return tuple(name for name in usable if name not in needed) or tuple(usable)


def causes(names: Names, before: Resolved, after: Resolved) -> Names:
    """Which of the options behind a difference somebody has set otherwise, the nearest first.

    names: those that the differing values come from. Where all are worth the same (a file has another content), those.
    """
    found = [name for name in behind(after.catalogue, names) if before[name].value != after[name].value]
    given = [name for name in found if _is_given(before, name) or _is_given(after, name)]
    free = [name for name in given if before[name].active and after[name].active]
    return tuple(free or given or found) or nearest(after, names)


def _is_given(resolved: Resolved, name: str) -> bool:
    return not isinstance(resolved[name].origin, ByDefault | Inactive | Selected)


def why_absent(resolved: Resolved, name: str) -> str:
    """Why nothing in the config comes from an option, in a sentence."""
    state = resolved[name]
    if state.option.setting and name not in _contributing(resolved.catalogue):
        return f"{name} is about the build and its machine; the YAML does not say it"
    if not state.active:
        return f"{name} is not available, so nothing in the YAML comes from it"
    shown: Value = state.value
    if shown in (False, "", ()):
        return f"{name} is {'off' if shown is False else 'empty'}, so nothing in the YAML comes from it"
    return f"{name} adds nothing to the YAML as it is set"


def _contributing(catalogue: Catalogue) -> frozenset[str]:
    """The options that templates name, or the conditions around them."""
    found: set[str] = set(_EXTRA)
    for contribution in catalogue.contributions:
        found.update(_of_expression(contribution.condition), _Scope({}, {}).names(contribution.template))
    return frozenset(found)
