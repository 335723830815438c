"""From Textual's keys to those of a machine's keyboard."""

from __future__ import annotations

from thanos_tui.errors import InputError
from thanos_tui.tui.terminal.emulator import ALT, CTRL, SHIFT, SUPER
from thanos_tui.tui.terminal.keys import parse
from thanos_tui.vm.input import Chord, chord_of

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
