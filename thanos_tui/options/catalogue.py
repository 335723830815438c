"""What the catalogue holds: menus of options, and what they put into the config. ``reading.py`` reads it from files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from thanos_tui.errors import Where, nearest
from thanos_tui.options import templates
from thanos_tui.options.expressions import Expression, Value, names
from thanos_tui.options.templates import Node, Reference

Type = Literal["bool", "choice", "int", "string", "list"]
Fact = Literal["architecture", "profile-name"]
"""What only the machine or the profile's place knows; see :class:`thanos_tui.options.resolve.Facts`."""


@dataclass(frozen=True)
class Default:
    """A default value, or the fact it is taken from, while ``condition`` holds. The first that holds counts."""

    value: Value
    fact: Fact | None
    condition: Expression
    where: Where


@dataclass(frozen=True)
class Select:
    """Turns ``target`` on while the option itself is on and ``condition`` holds."""

    target: str
    condition: Expression


@dataclass(frozen=True)
class Range:
    """The smallest and the largest int allowed while ``condition`` holds. The first that holds counts."""

    low: int
    high: int
    condition: Expression


@dataclass(frozen=True)
class Choice:
    """One value of a choice, or one element that a list may have; on offer while ``depends`` holds."""

    value: str
    prompt: str
    help: str
    depends: Expression


@dataclass(frozen=True)
class Option:
    """One thing that can be configured.

    menu: titles of the menus it is in, outermost first.
    depends: its own ``depends on`` and those of its menus.
    values: of a choice, or of a list whose elements are to be chosen; empty where anything goes.
    pattern, format: what a string, or every element of a list, must look like; ``pattern_help`` says it in words.
    required: an empty value is refused while the option is active.
    secret: the value is a reference to a secret (a path or ``$VARIABLE``), never the secret.
    warning: shown while the option is on, or is not empty.
    setting: the field of BuildSettings the value goes to; empty where it goes into the config.
    """

    name: str
    type: Type
    prompt: str
    help: str
    menu: tuple[str, ...]
    defaults: tuple[Default, ...]
    depends: Expression
    where: Where
    selects: tuple[Select, ...] = ()
    ranges: tuple[Range, ...] = ()
    values: tuple[Choice, ...] = ()
    pattern: re.Pattern[str] | None = None
    pattern_help: str = ""
    format: str = ""
    unit: str = ""
    required: bool = False
    secret: bool = False
    warning: str = ""
    setting: str = ""

    def conditions(self) -> Iterator[Expression]:
        """What decides its default, its bounds and the values on offer."""
        yield from (default.condition for default in self.defaults)
        yield from (bounds.condition for bounds in self.ranges)
        yield from (choice.depends for choice in self.values)


@dataclass(frozen=True)
class Menu:
    """A menu: further menus, and options by name, in the order they are shown."""

    title: str
    help: str
    depends: Expression
    items: tuple[Menu | str, ...]


@dataclass(frozen=True)
class Contribution:
    """A piece of LinuxKit YAML that joins the config while ``condition`` holds."""

    condition: Expression
    template: Node
    where: Where

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The options that the template speaks of."""
        return tuple(dict.fromkeys(templates.names(self.template)))

    @cached_property
    def filters(self) -> frozenset[str]:
        """The filters that the template puts values through."""
        inner = (node for node in templates.walk(self.template) if isinstance(node, Reference))
        return frozenset(name for reference in inner for name, _ in reference.filters)


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be configured.

    options: by name, in the order of the menus.
    order: every name, after all those its value depends on.
    selectors: for each option, those that can select it, and when.
    """

    options: Mapping[str, Option]
    menus: tuple[Menu, ...]
    contributions: tuple[Contribution, ...]
    order: tuple[str, ...]
    selectors: Mapping[str, tuple[tuple[str, Expression], ...]] = field(default_factory=dict)

    def needs(self, name: str) -> frozenset[str]:
        """The options that the state of this one is worked out from."""
        option = self.options[name]
        by = self.selectors.get(name, ())
        conditions = [option.depends, *option.conditions(), *(condition for _selector, condition in by)]
        return frozenset(selector for selector, _condition in by).union(*map(names, conditions))

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """For each option, those whose state is worked out from it."""
        found: dict[str, list[str]] = {name: [] for name in self.options}
        for name in self.order:
            for needed in self.needs(name):
                found[needed].append(name)
        return {name: tuple(others) for name, others in found.items()}

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The place of each option in ``order``."""
        return {name: place for place, name in enumerate(self.order)}

    def nearest(self, name: str) -> str | None:
        """The option whose name is most like ``name``, for "did you mean"."""
        close = nearest(name, self.options)
        if close is not None:
            return close
        # `port` for `sshd.port`: a last part that only one option has is as good as its name.
        ends = [option for option in self.options if option.rpartition(".")[2] == name.rpartition(".")[2]]
        return ends[0] if len(ends) == 1 else None
