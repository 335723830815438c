"""From YAML to the typed values of ``model.py``: which keys there are, and what type each value must have.

The rules come from the dataclasses themselves, so that there is one list of keys. They are as strict as upstream's
JSON schema: no unknown keys, no numbers for strings, no empty values.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from thanos_tui.errors import InputError, nearest
from thanos_tui.linuxkit.model import Compat, Place

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """One key of a mapping: its name in the YAML, the attribute that holds it, and the type of its value."""

    name: str
    attribute: str
    type: Any
    range: tuple[int, int] | None
    default: Any


@cache
def keys(cls: Hashable) -> Mapping[str, Key]:
    """The keys that a mapping of this class may have, by name, in the order of the class."""
    hints = typing.get_type_hints(cast(type, cls))
    found = {}
    for item in fields(cast(Any, cls)):
        if item.name in ("place", "places", "init_places"):
            continue
        name = item.metadata.get("key", item.name)
        default = item.default if item.default_factory is MISSING else item.default_factory()
        found[name] = Key(name, item.name, _without_none(hints[item.name]), item.metadata.get("range"), default)
    # A name and an image come first, although the class inherits the other keys.
    return dict(sorted(found.items(), key=lambda pair: pair[1].default is not MISSING))


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) and types.NoneType in hint.__args__:
        rest = tuple(part for part in hint.__args__ if part is not types.NoneType)
        return rest[0] if len(rest) == 1 else typing.Union[rest]  # noqa: UP007 - built at run time
    return hint


def build(cls: type[T], value: Any, place: Place, name: str, compat: Compat) -> T:
    """Make a ``cls`` of a YAML mapping.

    name: what to call the mapping in messages (``a container``, ```resources.memory```).
    Raises InputError at the place of the first value that is not what it must be.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a mapping, {_shown(value, place)}", where=place.where())
    known = keys(cast(Hashable, cls))
    attributes: dict[str, Any] = {}
    for key, entry in value.items():
        if key not in known:
            raise unknown_key(key, known, place, name)
        rule = known[key]
        at = Place(place.document, (*place.path, key))
        attributes[rule.attribute] = _value(rule, rule.type, entry, at, name, compat)
    for rule in known.values():
        if rule.default is MISSING and rule.attribute not in attributes:
            raise InputError(f"{_titled(name, value)} has no `{rule.name}`", where=place.where())
    if "place" in cls.__dataclass_fields__:  # type: ignore[attr-defined]
        attributes["place"] = place
    return cls(**attributes)


def _titled(name: str, value: Mapping[str, Any]) -> str:
    title = value.get("name")
    return f"{name.replace('a ', 'the ', 1)} `{title}`" if isinstance(title, str) and name.startswith("a ") else name


def unknown_key(key: str, known: Iterable[str], place: Place, name: str) -> InputError:
    """The error for a key that does not exist, with the name that was probably meant."""
    close = nearest(key, known)
    hint = f"did you mean `{close}`?" if close else f"it may have: {', '.join(known)}"
    return InputError(f"{name} has no key `{key}`", hint=hint, where=place.where(key, key=True))


def _value(rule: Key, kind: Any, value: Any, place: Place, name: str, compat: Compat) -> Any:
    if is_dataclass(kind):
        nested = f"`{rule.name}`" if name.startswith(("a ", "the ")) else f"`{name.strip('`')}.{rule.name}`"
        return build(cast(type[Any], kind), value, place, nested, compat)
    if typing.get_origin(kind) is tuple:
        (item, _) = typing.get_args(kind)
        if not isinstance(value, list):
            raise _wrong(rule, _plural(item), value, place)
        places = (Place(place.document, (*place.path, index)) for index in range(len(value)))
        return tuple(_item(rule, item, entry, at, name, compat) for entry, at in zip(value, places, strict=True))
    if typing.get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise _wrong(rule, "a mapping of strings", value, place)
        for key, entry in value.items():
            if not isinstance(entry, str):
                at = Place(place.document, (*place.path, key))
                raise InputError(
                    f"`{key}` in `{rule.name}` must be a string, {_shown(entry, at)}",
                    hint=_quotes(entry),
                    where=at.where(),
                )
        return {key: text(entry, Place(place.document, (*place.path, key)), compat) for key, entry in value.items()}
    return _scalar(rule, kind, value, place, compat)


def _item(rule: Key, kind: Any, value: Any, place: Place, name: str, compat: Compat) -> Any:
    if is_dataclass(kind):
        return _value(rule, kind, value, place, name, compat)
    allowed = typing.get_args(kind) or (kind,)
    if type(value) not in allowed:
        raise InputError(
            f"`{rule.name}` must be {_plural(kind)}, {_shown(value, place)}", hint=_quotes(value), where=place.where()
        )
    return _scalar(rule, kind, value, place, compat)


def _scalar(rule: Key, kind: Any, value: Any, place: Place, compat: Compat) -> Any:
    allowed = typing.get_args(kind) or (kind,)
    # type() and not isinstance(): True is no number here.
    if type(value) not in allowed:
        raise _wrong(
            rule,
            {bool: "true or false", int: "a whole number", str: "a string"}.get(kind, "a name or number"),
            value,
            place,
        )
    if isinstance(value, str):
        return text(value, place, compat)
    if rule.range and type(value) is int and not (compat == "upstream" and str in allowed):
        low, high = rule.range
        if not low <= value <= high:
            raise InputError(f"`{rule.name}` must be from {low} to {high}, not {value}", where=place.where())
    return value


def text(value: str, place: Place, compat: Compat) -> str:
    """A string as it counts: package templates are refused."""
    if value.startswith("@pkg:"):
        raise InputError(
            f"the template `{value}` cannot be resolved here",
            hint=f"write the image's name instead; `linuxkit pkg show-tag {value[5:]}` prints it",
            where=place.where(),
        )
    # Upstream's template step turns every other text with an @ in front into an empty one.
    return "" if compat == "upstream" and value.startswith("@") else value


def _plural(kind: Any) -> str:
    if is_dataclass(kind):
        return "a list of mappings"
    return "a list of strings" if kind is str else "a list of names or numbers"


def _wrong(rule: Key, expected: str, value: Any, place: Place) -> InputError:
    hint = _quotes(value) if expected == "a string" else None
    if expected == "true or false" and isinstance(value, str):
        hint = "YAML 1.2 knows no other words for them"
    return InputError(f"`{rule.name}` must be {expected}, {_shown(value, place)}", hint=hint, where=place.where())


def _quotes(value: Any) -> str | None:
    return "put it in quotes" if isinstance(value, bool | int | float) else None


def _shown(value: Any, place: Place) -> str:
    if value is None:
        return "it is empty"
    if isinstance(value, list):
        return "it is a list"
    if isinstance(value, dict):
        return "it is a mapping"
    written = place.document.written(place.path)
    shown = written if len(written) <= 40 else written[:40] + "…"
    return f"`{shown}` is " + (
        "a string" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"
    )


def plain(item: Any) -> Any:
    """A value of ``model.py`` as YAML has it: mappings, lists and scalars, without what equals its default."""
    if is_dataclass(item):
        found = {}
        for rule in keys(cast(Hashable, type(item))).values():
            value = getattr(item, rule.attribute)
            if rule.default is MISSING or value != rule.default:
                found[rule.name] = plain(value)
        return found
    if isinstance(item, tuple):
        return [plain(entry) for entry in item]
    return dict(sorted(item.items())) if isinstance(item, Mapping) else item
