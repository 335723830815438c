"""From Textual's keys and clicks to those of a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby, zip_longest

from thanos_tui.errors import InputError
from thanos_tui.tui.terminal.emulator import ALT, CTRL, SHIFT, SUPER
from thanos_tui.tui.terminal.keys import parse
from thanos_tui.vm import Machine
from thanos_tui.vm import input as keyboard
from thanos_tui.vm.input import Button, Chord, Point, chord_of

_NAMED = {
    "backspace": "backspace",
    "delete": "delete",
    "down": "down",
    "end": "end",
    "enter": "ret",
    "escape": "esc",
    "home": "home",
    "insert": "insert",
    "left": "left",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "right": "right",
    "tab": "tab",
    "up": "up",
    **{f"f{number}": f"f{number}" for number in range(1, 13)},
}
_HELD = ((CTRL, "ctrl"), (ALT, "alt"), (SUPER, "meta_l"), (SHIFT, "shift"))


@dataclass(frozen=True)
class Press:
    """A mouse button pressed or let go at a place; ``which`` None: the pointer has moved there."""

    point: Point
    which: Button | None = None
    down: bool = False


def chord(key: str, character: str | None) -> Chord:
    """The keys to press for a key of the user's. key, character: as in Textual's Key event.

    Raises InputError for a character that a US keyboard does not have, and for keys without a counterpart.
    """
    name, modifiers, text = parse(key, character)
    # A character may be typed with other keys than on the user's own keyboard: what it needs is the guest's matter.
    if name in _NAMED:
        keys: Chord = (_NAMED[name],)
    elif text or len(name) == 1:
        keys = chord_of(text or name)
        modifiers &= ~SHIFT if text else ~0
    else:
        raise InputError(f"the key {key} has no counterpart on the machine's keyboard")
    held = tuple(code for bit, code in _HELD if modifiers & bit and code not in keys)
    return (*held, *keys)


def acts(machine: Machine, batch: list[Chord | Press]) -> list[Callable[[], None]]:
    """The calls that do all of a batch: chords that follow each other together, of several moves only the last."""
    found: list[Callable[[], None]] = []
    for is_press, group in groupby(batch, lambda each: isinstance(each, Press)):
        run = list(group)
        if not is_press:
            found.append(partial(keyboard.press, machine, [each for each in run if isinstance(each, tuple)]))
            continue
        presses = [each for each in run if isinstance(each, Press)]
        for each, following in zip_longest(presses, presses[1:]):
            if each.which is not None:
                found.append(partial(keyboard.button, machine, each.which, each.point, down=each.down))
            elif following is None:  # a button's press brings its own place with it
                found.append(partial(keyboard.move, machine, each.point))
    return found
