"""Typing and pointing: the keys of texts, and what arrives in a machine."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from road import Road
from waiting import eventually

from thanos_tui import vm
from thanos_tui.errors import InputError, MachineError
from thanos_tui.events import Reporter
from thanos_tui.vm import Machine, Settings, input, serial_position, timeline
from thanos_tui.vm.input import Point, chord_of, chords_of

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@pytest.mark.parametrize(
    ("character", "chord"),
    [
        ("a", ("a",)),
        ("A", ("shift", "a")),
        ("7", ("7",)),
        ("&", ("shift", "7")),
        ("?", ("shift", "slash")),
        ("\n", ("ret",)),
        ("\x03", ("ctrl", "c")),
        ("\x1b", ("esc",)),
    ],
)
def test_characters_have_the_keys_of_a_us_keyboard(character: str, chord: tuple[str, ...]) -> None:
    assert chord_of(character) == chord


def test_every_character_of_ascii_has_keys_of_its_own() -> None:
    assert len(set(chords_of(PRINTABLE))) == len(PRINTABLE)


def test_a_line_from_a_dos_file_ends_once() -> None:
    assert chords_of("a\r\nb\rc") == (("a",), ("ret",), ("b",), ("ret",), ("c",))


@pytest.mark.parametrize("character", ["ä", "€", "一", "\x00", "\x1c"])
def test_a_character_without_a_key_is_named(character: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(character))):
        chords_of(f"before {character} after")


def said_since(machine: Machine, position: int, wanted: Callable[[bytes], bool]) -> bytes:
    """What the serial log has got since ``position``, once it is as wanted."""

    def said() -> bytes:
        return (machine.directory / "serial.log").read_bytes()[position:]

    eventually(lambda: wanted(said()), tell=said)
    return said()


def ask(machine: Machine) -> None:
    """Type until the shell answers: what is typed before it is there, nobody reads."""
    position = serial_position(machine)
    for _ in range(60):
        input.type_text(machine, "echo here >/dev/ttyS0\n")
        time.sleep(1)
        if b"here" in (machine.directory / "serial.log").read_bytes()[position:]:
            return
    pytest.fail("no shell answers on the screen")


def test_what_is_typed_arrives(start: Callable[..., Machine]) -> None:
    machine = start("echo", "ready\n")
    vm.wait_for_serial(machine, "ready", 120, Reporter())
    before = vm.picture(machine)
    position = serial_position(machine)
    with pytest.raises(InputError):
        input.type_text(machine, "never typed, for it has no key: ü")
    text = 'Hello, World! "~|" {[<>]}'
    input.type_text(machine, text)
    assert said_since(machine, position, lambda said: len(said) >= len(text)).decode() == text
    assert vm.picture(machine) != before
    with pytest.raises(MachineError, match="refused"):
        input.press(machine, [("no-such-key",)])
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError):
        input.type_text(machine, "x")


@pytest.mark.parametrize("devices", ["qemu", "virtualbox"])
def test_every_device_model_has_a_pointer(start: Callable[..., Machine], devices: str) -> None:
    machine = start(devices=devices)
    input.move(machine, Point(0.5, 0.5))
    input.click(machine, Point(2.0, -1.0))


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A ThanOS with an open shell on its screen, built with the user's own cache."""
    user = Road(tmp_path_factory.mktemp("user"), Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    profile = Path(__file__).parents[2] / "profiles" / "minimal.thanos"
    (user.home / "open.thanos").write_text(profile.read_text() + "  getty.insecure: true\n")
    user.run("--replay", "open.thanos", "--output", "out", "--format", "kernel+initrd", "--generate-key")
    boot = vm.boot_of(user.home / "out" / "open-kernel")
    state = os.environ.get("XDG_STATE_HOME")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", user.environment["XDG_STATE_HOME"])
        with vm.attached(boot, Settings(memory_mib=512, cpus=1, accel="tcg")) as machine:
            vm.wait_for_serial(machine, "Welcome to ThanOS", 300, Reporter())
            yield machine
    assert os.environ.get("XDG_STATE_HOME") == state


@pytest.mark.boot
@pytest.mark.network
def test_a_booted_system_hears_every_key_and_click(linux: Machine) -> None:
    ask(linux)
    position = serial_position(linux)
    input.type_text(linux, f"cat <<'E' >/dev/ttyS0\n{PRINTABLE}\nE\n")
    said_since(linux, position, lambda said: PRINTABLE.encode() in said)

    # The tablet, as Linux sees it: three events for the place, two for each change of the button.
    position = serial_position(linux)
    input.type_text(linux, "e=/dev/input/$(grep -l Tablet /sys/class/input/event*/device/name | cut -d/ -f5)\n")
    # From when it is open, events are kept until they are read.
    hexdump = 'hexdump -v -e \'24/1 "%02x" "\\n"\''
    input.type_text(linux, f"(exec 3<$e; echo ready; dd bs=24 count=7 <&3 | {hexdump}) >/dev/ttyS0\n")
    said_since(linux, position, lambda said: b"ready" in said)
    input.click(linux, Point(0.25, 0.5))
    said = said_since(linux, position, lambda said: len(re.findall(rb"[0-9a-f]{48}", said)) == 7)
    events = [struct.unpack("<qqHHi", bytes.fromhex(line.decode()))[2:] for line in re.findall(rb"[0-9a-f]{48}", said)]
    # <linux/input-event-codes.h>: EV_ABS 3, ABS_X 0, ABS_Y 1; EV_KEY 1, BTN_LEFT 272.
    assert [each for each in events if each[0]] == [(3, 0, 8192), (3, 1, 16384), (1, 272, 1), (1, 272, 0)]


@pytest.mark.boot
@pytest.mark.network
def test_its_timeline_tells_the_whole_boot(linux: Machine) -> None:
    told = timeline.timeline(linux)
    assert told.up is not None
    names = [step.name for step in told.steps]
    assert names[:2] == ["firmware", "kernel"]
    assert [name for name in names if name.startswith("onboot ")] == ["onboot 000-sysctl", "onboot 001-dhcp"]
    assert names[-1] in ("services", "service sshd")
    assert all(step.ok and step.seconds is not None for step in told.steps)
    # Without a gap, from power-on until it is up.
    row = [step for step in told.steps if step.name != "service sshd"]
    for before, after in pairwise(row):
        assert before.start + (before.seconds or 0) == pytest.approx(after.start, abs=0.01)
    assert row[-1].start + (row[-1].seconds or 0) == pytest.approx(told.up, abs=0.01)
