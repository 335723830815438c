"""The keys: what the app's widgets declare, and what the user has put in their place.

Widgets declare each action once, with :func:`thanos_tui.tui.keys.key`. The footer and the help read the declaration
from Textual; the palette, ``thanos-tui keys`` and ``docs/keys.md`` from :func:`declared`. ``keys.yaml`` in the
configuration directory gives actions other keys::

    app.build: f5
    configure.toggle: [space, x]
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, format_key, key_to_character

from thanos_tui import yaml12
from thanos_tui.errors import InputError, ThanosError, Where, nearest
from thanos_tui.files import config_dir

_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_SHORT = {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "delete": "Del", "insert": "Ins"}
# How the parts of the app follow each other on the screen; the others come behind.
_PANES = ("configure", "yaml", "build", "machine", "console")
_ORDER = ("app", "tabs", *_PANES, "lines", "dialog", "files")


@dataclass(frozen=True)
class Declared:
    """One action: its name, the class of the widget that has it, and its binding."""

    name: str
    holder: type[DOMNode]
    binding: Binding

    @property
    def part(self) -> str:
        """What part of the app it belongs to: the name up to the first dot."""
        return self.name.partition(".")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys, by Textual's names."""
        return tuple(word.strip() for word in self.binding.key.split(","))


@dataclass(frozen=True)
class Keymap:
    """The user's keys by the names of actions, where each is written, and what is wrong with the file."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, Where] = field(default_factory=dict)
    problems: Sequence[ThanosError] = ()

    def textual(self) -> dict[str, str]:
        """As Textual takes it."""
        return {name: ",".join(keys) for name, keys in self.keys.items()}


@cache
def declared() -> tuple[Declared, ...]:
    """Every action of the app, in the order of its parts. Imports all of the app, which takes a while."""
    import thanos_tui.tui

    for module in pkgutil.walk_packages(thanos_tui.tui.__path__, "thanos_tui.tui."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            # A part that an extra brings, and that is not installed.
            if (error.name or "").startswith("thanos_tui"):
                raise
    order = {part: index for index, part in enumerate(_ORDER)}
    return tuple(sorted(loaded().values(), key=lambda each: (order.get(each.part, len(order)), each.part)))


def loaded() -> dict[str, Declared]:
    """The actions of those parts of the app that are imported already, by name."""
    found: dict[str, Declared] = {}
    ours = {holder for holder in _subclasses(DOMNode) if holder.__module__.startswith("thanos_tui.tui.")}
    # Bases first, whose actions a subclass may declare anew; then by name, whatever was imported first.
    for holder in sorted(ours, key=lambda each: (len(each.__mro__), each.__module__, each.__qualname__)):
        for each in declarations(holder):
            found.setdefault(each.name, each)
    return found


def declarations(holder: type[DOMNode]) -> Iterator[Declared]:
    """The actions that a class itself declares, not those of its bases."""
    for binding in vars(holder).get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.id:
            yield Declared(binding.id, holder, binding)


def _subclasses(base: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def path() -> Path:
    """Where the user's keys are."""
    return config_dir() / "keys.yaml"


def load() -> Keymap:
    """The user's keys, as far as the file says them rightly. Raises nothing.

    Whether there are such actions is for :func:`check`: to know that, all of the app has to be loaded.
    """
    try:
        document = yaml12.read(path().read_bytes(), str(path()))
    except (FileNotFoundError, NotADirectoryError):
        return Keymap()
    except OSError as error:
        return Keymap(problems=(InputError(f"cannot read {path()}: {error.strerror}"),))
    except ThanosError as error:
        return Keymap(problems=(error,))
    if document.value is None:
        return Keymap()
    if not isinstance(document.value, dict):
        return Keymap(problems=(InputError("keys are written ACTION: KEY, one a line", where=document.where()),))
    keys: dict[str, tuple[str, ...]] = {}
    places: dict[str, Where] = {}
    problems: list[ThanosError] = []
    for name, value in document.value.items():
        places[name] = document.where([name])
        words = value if isinstance(value, list) else str(value).split(",") if isinstance(value, str | int) else []
        given = tuple(str(word).strip() for word in words)
        wrong = [word for word in given if not is_key(word)]
        if not given:
            problems.append(InputError(f"{name} takes a key, or a list of them", where=places[name]))
        elif wrong:
            problems.append(_no_key(wrong[0], places[name]))
        else:
            keys[name] = given
    return Keymap(keys, places, tuple(problems))


def is_key(word: str) -> bool:
    """Whether a word names a key: a character, a name such as ``space`` or ``f5``, ``ctrl+`` and the like before it."""
    *modifiers, last = word.split("+") if word != "+" else [word]
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    named = last in {key.value for key in Keys} or key_to_character(last) is not None or format_key(last) != last
    keypad = last.startswith("kp_")  # as terminals with kitty's protocol name the keys beside
    return named or keypad or (len(last) == 1 and last.isprintable())


def _no_key(word: str, where: Where) -> InputError:
    close = nearest(word.rpartition("+")[2], [key.value for key in Keys])
    hint = f"did you mean {close}?" if close else "`thanos-tui keys` shows how keys are written"
    return InputError(f"there is no key {word!r}", hint=hint, where=where)


def check(given: Keymap, actions: Sequence[Declared]) -> list[ThanosError]:
    """What is wrong with the user's keys, once the actions are known: names that nothing bears, keys given twice."""
    problems = list(given.problems)
    names = [action.name for action in actions]
    for name in given.keys:
        if name not in names:
            close = nearest(name, names)
            hint = f"did you mean {close}?" if close else "`thanos-tui keys` lists the actions"
            problems.append(InputError(f"there is no action {name!r}", hint=hint, where=given.places[name]))
    for (key, newcomer), losers in _clashes(given, actions).items():
        problems.append(
            InputError(
                f"{key} is a key of {newcomer} and of {', '.join(losers)}",
                hint=f"give {losers[0]} another key as well" if len(losers) == 1 else "choose a key that is free",
                where=given.places[newcomer],
            )
        )
    return problems


def _clashes(given: Keymap, actions: Sequence[Declared]) -> dict[tuple[str, str], list[str]]:
    """The actions that share a key by the user's doing: those of one widget, and those of the app and of a pane.

    By (key, action that was given it). Other widgets take keys from the app on purpose: lists, editors, terminals.
    """
    before = _shared(actions, {})
    found: dict[tuple[str, str], list[str]] = {}
    for key, one, other in sorted(_shared(actions, given.keys) - before):
        newcomer, loser = (one, other) if one in given.keys else (other, one)
        found.setdefault((key, newcomer), []).append(loser)
    return found


def _shared(actions: Sequence[Declared], given: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    by_key: dict[str, list[Declared]] = {}
    for action in actions:
        for key in given.get(action.name, action.keys):
            by_key.setdefault(_full_name(key), []).append(action)
    for key, sharing in by_key.items():
        for index, one in enumerate(sharing):
            for other in sharing[index + 1 :]:
                if one.holder is other.holder or (one.part == "app" and other.part in _PANES):
                    found.add((key, one.name, other.name))
    return found


def _full_name(key: str) -> str:
    return next(iter(Binding.make_bindings([Binding(key, "")]))).key


def shown(key: str) -> str:
    """A key as people write it: ``Ctrl+B``, ``?``, ``Space``."""
    *modifiers, last = key.split("+") if key != "+" else [key]
    symbol = format_key(last)
    if len(symbol) != 1 or not symbol.isascii():
        symbol = _SHORT.get(last) or last.replace("_", " ").title()
    words = [word.title() for word in modifiers]
    return "+".join([*words, symbol.upper() if words and len(symbol) == 1 else symbol])


def rows(given: Keymap) -> list[tuple[str, str, str, str]]:
    """Every action: its name, its keys now, its title and what it does."""
    return [
        (
            action.name,
            " ".join(shown(key) for key in given.keys.get(action.name, action.keys)),
            action.binding.description,
            action.binding.tooltip,
        )
        for action in declared()
    ]


def document() -> str:
    """The page ``docs/keys.md``."""
    lines = [
        "# Keys",
        "",
        "Made from the app's own declarations by `python -m thanos_tui.tui.keymap`; a test keeps it current.",
        "`docs/app.md` says how to give an action other keys by its name. `thanos-tui keys` shows the ones in force.",
    ]
    part = ""
    for name, keys, title, help_text in rows(Keymap()):
        if name.partition(".")[0] != part:
            part = name.partition(".")[0]
            lines += ["", f"## {part.title()}", "", "| action | keys | what it does |", "|---|---|---|"]
        cells = (f"`{name}`", " ".join(f"`{key}`" for key in keys.split()), f"**{title}.** {help_text}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
