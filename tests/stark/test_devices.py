"""The X server's input devices, as a script of stark finds them in what the kernel tells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from thanos_tui.files import stark_dir

OPTIONS = """\
X11_KEYBOARD_MODEL='pc104'
X11_KEYBOARD_LAYOUT='de,us'
X11_KEYBOARD_VARIANT=''
X11_KEYBOARD_OPTIONS='ctrl:nocaps,compose:ralt'
X11_POINTER='true'
"""
# What /sys/class/input/*/device told of the devices of machines and PCs: their names, and their keys, relative and
# absolute axes.
DEVICES = {
    "event0": ("Power Button", "10000000000000 0", "0", "0"),
    "event1": ("AT Translated Set 2 keyboard", "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe", "0", "0"),
    "event2": ("QEMU Virtio Tablet", "1f0000 0 0 0 0", "100", "3"),
    "event3": ("ImExPS/2 Generic Explorer Mouse", "1f0000 0 0 0 0", "143", "0"),
    "event4": ("PC Speaker", "0", "0", "0"),
    "event5": ("Generic USB Joystick", "fff00000000 0 0 0 0", "0", "30027"),
    "event6": ("Touch Screen", "400 0 0 0 0 0", "0", "260800000000003"),
    "event7": ("Remote Control", "100000000000 0 10000200", "0", "0"),
    "event8": ("Sleep Button", "4000 0 0", "0", "0"),
    "event9": ('Keyboard with "pad"\t', "1f0000 0 0 0 fffffffffffffffe", "3", "0"),
}


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A directory such as /sys/class/input."""
    for event, (name, *bits) in DEVICES.items():
        directory = tmp_path / "input" / event / "device"
        (directory / "capabilities").mkdir(parents=True)
        (directory / "name").write_text(f"{name}\n")
        for kind, words in zip(("key", "rel", "abs"), bits, strict=True):
            (directory / "capabilities" / kind).write_text(f"{words}\n")
    return tmp_path / "input"


def found(kernel: Path, options: str = OPTIONS) -> dict[str, dict[str, str]]:
    """The options of each device's section."""
    settings = kernel / "x11"
    settings.write_text(options)
    # Numbers of 64 bits, as in the machine's own shell; not every /bin/sh has them.
    done = subprocess.run(
        ["bash", "--posix", stark_dir() / "sv" / "xorg" / "devices", kernel],
        env={"STARK_X11": str(settings), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    sections = re.findall(
        r'^Section "InputDevice"\n    Identifier "(\w+)"\n    Driver "evdev"\n(.*?)^EndSection',
        done.stdout,
        re.M | re.S,
    )
    return {name: dict(re.findall(r'^    Option "(\w+)" "([^"\n]*)"$', body, re.M)) for name, body in sections}


def test_keyboards_and_pointers_are_told_from_the_rest(kernel: Path) -> None:
    devices = found(kernel)
    assert {name for name, options in devices.items() if "XkbLayout" in options} == {"event1", "event7", "event9"}
    assert set(devices) == {"event1", "event2", "event3", "event6", "event7", "event9"}
    for name, options in devices.items():
        assert options["Device"] == f"/dev/input/{name}"
        assert options["AutoServerLayout"] == "true"


def test_one_of_each_kind_is_the_first(kernel: Path) -> None:
    devices = found(kernel)
    assert [name for name, options in devices.items() if "CoreKeyboard" in options] == ["event1"]
    assert [name for name, options in devices.items() if "CorePointer" in options] == ["event2"]


def test_keyboards_have_the_layout_of_the_profile(kernel: Path) -> None:
    keyboard = found(kernel)["event1"]
    assert keyboard["XkbModel"] == "pc104"
    assert keyboard["XkbLayout"] == "de,us"
    assert keyboard["XkbOptions"] == "ctrl:nocaps,compose:ralt"
    assert "XkbVariant" not in keyboard


def test_what_is_touched_turns_with_the_picture_and_what_is_pushed_does_not(kernel: Path) -> None:
    turned = found(kernel, OPTIONS + "X11_TOUCH='0 -1 1 1 0 0 0 0 1'\n")
    named = [name for name, options in turned.items() if "TransformationMatrix" in options]
    assert named == ["event2", "event6"]


def test_without_a_pointer_only_keys_are_left(kernel: Path) -> None:
    devices = found(kernel, OPTIONS.replace("X11_POINTER='true'", "X11_POINTER='false'"))
    assert set(devices) == {"event1", "event7", "event9"}
    assert devices["event9"]["IgnoreRelativeAxes"] == devices["event9"]["IgnoreAbsoluteAxes"] == "true"
    assert "IgnoreRelativeAxes" not in devices["event1"]


def test_a_machine_without_devices_has_no_sections(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    assert found(tmp_path / "input") == {}
