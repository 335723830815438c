"""Typing into a machine and moving its pointer, as if at its own keyboard and mouse (QMP's `input-send-event`).

Keys are named by QEMU's qcodes (its qapi/ui.json), which stand for places on a keyboard: what a key types is decided by
the keyboard layout of the guest. Text is typed as on a US keyboard, which is what Linux starts with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from thanos_tui.errors import InputError, MachineError
from thanos_tui.vm.qmp import Monitor, monitor
from thanos_tui.vm.registry import Machine

Button = Literal["left", "middle", "right", "wheel-up", "wheel-down"]
Chord = tuple[str, ...]  # qcodes, pressed in this order and let go in the opposite one

FULL = 0x7FFF  # QEMU's absolute axes go from 0 to this, whatever the size of the screen
# Seconds between two chords. A PS/2 keyboard remembers 16 bytes, and a chord with Shift takes 6; under software
# emulation a busy guest fetches them late, and what does not fit is lost without a word.
PACE = 0.02

_CHORD = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
_SHIFTED = "shift"
_PLAIN: Mapping[str, str] = {
    " ": "spc",
    "\n": "ret",
    "\r": "ret",
    "\t": "tab",
    "\b": "backspace",
    "\x7f": "backspace",
    "\x1b": "esc",
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    "\\": "backslash",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    ",": "comma",
    ".": "dot",
    "/": "slash",
}
# What Shift makes of the keys above, and of the digits.
_WITH_SHIFT: Mapping[str, str] = dict(zip('~_+{}|:"<>?!@#$%^&*()', "`-=[]\\;',./1234567890", strict=True))


@dataclass(frozen=True)
class Point:
    """A place on a machine's screen, as fractions of its width and height: 0 is left and top, 1 right and bottom."""

    x: float
    y: float


def chord_of(character: str) -> Chord:
    """The keys of a US keyboard that type a character; control characters are Ctrl and their letter.

    Raises InputError for a character that has no key.
    """
    if character in _PLAIN:
        return (_PLAIN[character],)
    if character in _WITH_SHIFT:
        return (_SHIFTED, *chord_of(_WITH_SHIFT[character]))
    if character.isascii() and character.isalnum():
        return (_SHIFTED, character.lower()) if character.isupper() else (character,)
    if "\x01" <= character <= "\x1a":
        return ("ctrl", chr(ord(character) + 0x60))
    raise InputError(
        f"no key of a US keyboard types {character!r}",
        hint="text with other characters can be sent over SSH, or through the serial console",
    )


def chords_of(text: str) -> tuple[Chord, ...]:
    """The chords that type a text, for press(). Raises InputError, naming the first character without a key."""
    return tuple(chord_of(character) for character in text.replace("\r\n", "\n"))


def chord_named(text: str) -> Chord:
    """The chord that a text such as ``ctrl-alt-f2`` names: QEMU's names of keys, pressed together.

    Raises InputError for what cannot be such a name; which names there are, QEMU knows.
    """
    if not _CHORD.fullmatch(text):
        raise InputError(f"{text!r} names no keys", hint="QEMU's names, such as a, ret, f2, pgup or ctrl-alt-delete")
    return tuple(text.split("-"))


def type_text(machine: Machine, text: str) -> None:
    """Type a text on a machine's keyboard: some 50 characters a second (see PACE).

    Raises InputError before anything is typed where a character has no key, and MachineError as press().
    """
    press(machine, chords_of(text))


def press(machine: Machine, chords: Sequence[Chord]) -> None:
    """Press chords of keys, one after another.

    Raises MachineError where the machine does not run, or its QEMU knows no such key.
    """
    with monitor(machine.directory) as qmp:
        for number, chord in enumerate(chords):
            if number:
                time.sleep(PACE)
            down = [_key(code, True) for code in chord]
            _send(qmp, [*down, *(_key(code, False) for code in reversed(chord))])


def move(machine: Machine, point: Point) -> None:
    """Put a machine's pointer at a place of its screen; raises MachineError where it has no tablet for that."""
    with monitor(machine.directory) as qmp:
        _point(qmp, machine, point)


def button(machine: Machine, which: Button, point: Point, *, down: bool) -> None:
    """Press a mouse button at a place, or let it go there; raises MachineError as move()."""
    with monitor(machine.directory) as qmp:
        # The place first and for itself: the guest must know where it is when the button comes.
        _point(qmp, machine, point)
        _send(qmp, [_button(which, down)])


def click(machine: Machine, point: Point, which: Button = "left") -> None:
    """Press and let go a mouse button at a place; raises MachineError as move()."""
    button(machine, which, point, down=True)
    time.sleep(PACE)
    button(machine, which, point, down=False)


def _point(qmp: Monitor, machine: Machine, point: Point) -> None:
    # Without such a device QEMU would drop the event and say nothing.
    if not any(each["absolute"] for each in qmp.execute("query-mice")):
        raise MachineError(
            f"machine {machine.name} has no tablet, so its pointer cannot be put anywhere",
            hint="start it again: machines get one at their start",
        )
    places = {"x": point.x, "y": point.y}
    _send(
        qmp,
        [
            {"type": "abs", "data": {"axis": axis, "value": round(min(1.0, max(0.0, place)) * FULL)}}
            for axis, place in places.items()
        ],
    )


def _key(code: str, down: bool) -> dict[str, Any]:
    return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": code}}}


def _button(which: Button, down: bool) -> dict[str, Any]:
    return {"type": "btn", "data": {"down": down, "button": which}}


def _send(qmp: Monitor, events: Iterable[Mapping[str, Any]]) -> None:
    qmp.execute("input-send-event", {"events": list(events)})
