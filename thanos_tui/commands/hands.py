"""Commands that stand in for somebody at a machine: screenshot, record, type, click."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import InputError

if TYPE_CHECKING:
    from thanos_tui.events import Reporter

BUTTONS = ("left", "middle", "right", "wheel-up", "wheel-down")  # vm.input.Button, without loading it
_PLACE = re.compile(r"(\d{1,6})|(\d{1,3}(?:\.\d{1,6})?)%")


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    parser = commands.add_parser("screenshot", help="save a machine's screen as PNG", description=_screenshot.__doc__)
    parser.add_argument("machine", nargs="?", metavar="MACHINE")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="default: MACHINE.png")
    parser.set_defaults(function=_screenshot)

    parser = commands.add_parser("record", help="save what a machine plays as WAV", description=_record.__doc__)
    parser.add_argument("machine", nargs="?", metavar="MACHINE")
    parser.add_argument(
        "--seconds", "-s", type=float, default=10.0, metavar="N", help="how long to listen (%(default)g)"
    )
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="default: MACHINE.wav")
    parser.add_argument("--json", action="store_true", help="events, and the recording at the end, as JSON lines")
    parser.set_defaults(function=_record)

    parser = commands.add_parser("type", help="type on a machine's keyboard", description=_type.__doc__)
    parser.add_argument("text", nargs="*", metavar="TEXT", help="words, with a blank between two; - is stdin")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEYS",
        help="press keys after the text: QEMU's names, such as ret, f2 or ctrl-alt-delete; may be repeated",
    )
    _add_machine(parser)
    parser.set_defaults(function=_type)

    parser = commands.add_parser("click", help="click on a machine's screen", description=_click.__doc__)
    parser.add_argument("x", metavar="X", help="pixels from the left, or a share of the screen such as 50%%")
    parser.add_argument("y", metavar="Y", help="from the top, likewise")
    parser.add_argument("--button", choices=BUTTONS, default="left", help="which one (%(default)s)")
    parser.add_argument("--times", type=int, choices=(1, 2, 3), default=1, help="2 for a double click (%(default)s)")
    _add_machine(parser)
    parser.set_defaults(function=_click)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--machine", metavar="NAME", help="without it the only one that runs")


def _screenshot(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Save what a machine's screen shows now; prints the file's name."""
    from thanos_tui import vm

    machine = vm.find(arguments.machine)
    path = arguments.output or Path(f"{machine.name}.png")
    vm.screenshot(machine, path)
    print(path)
    return 0


def _record(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Save what a machine's sound card plays from now on, silence included; prints the file's name."""
    from thanos_tui import vm
    from thanos_tui.vm import sound

    machine = vm.find(arguments.machine)
    path = arguments.output or Path(f"{machine.name}.wav")
    recording = sound.record(machine, arguments.seconds, path, reporter)
    if arguments.json:
        print(json.dumps({"event": "recording", "machine": machine.name, **recording.as_dict()}))
    else:
        print(path)
    return 0


def _type(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Type as at a US keyboard: what its keys mean is decided by the layout that the machine has."""
    from thanos_tui import vm
    from thanos_tui.vm import input as keyboard

    if not arguments.text and not arguments.key:
        raise InputError("there is nothing to type", hint="give a text, or --key ret")
    text = sys.stdin.read() if arguments.text == ["-"] else " ".join(arguments.text)
    keys = [keyboard.chord_named(keys) for keys in arguments.key]
    keyboard.press(vm.find(arguments.machine), [*keyboard.chords_of(text), *keys])
    return 0


def _click(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Put a machine's pointer somewhere on its screen and press a button there."""
    from thanos_tui import vm
    from thanos_tui.vm.input import Point, click

    machine = vm.find(arguments.machine)
    shown = vm.picture(machine)
    point = Point(_share(arguments.x, shown.width, "X"), _share(arguments.y, shown.height, "Y"))
    for _ in range(arguments.times):
        click(machine, point, arguments.button)
    return 0


def _share(text: str, pixels: int, where: str) -> float:
    """A place as a fraction of so many pixels: the middle of the pixel. Raises InputError for one that is outside."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InputError(
            f"{text} is no place", where=where, hint="pixels such as 200, or a share of the screen such as 50%"
        )
    share = (int(found[1]) + 0.5) / pixels if found[1] else float(found[2]) / 100
    if share > 1:
        raise InputError(f"{text} is not on the screen, which has {pixels} pixels there", where=where)
    return share
