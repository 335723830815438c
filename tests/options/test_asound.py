"""The sound of stark: what can be chosen together, and the configuration of the sound library that it makes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from thanos_tui import profile
from thanos_tui.errors import InputError
from thanos_tui.options import Resolved, asound, render, settings
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import to_text


def resolved_with(assignments: dict[str, Value]) -> Resolved:
    given = {"stark": True, "x11": False, **assignments}
    plain = profile.read("thanos: 1", "test")
    return profile.override(plain, [f"{name}={to_text(value)}" for name, value in given.items()]).resolved


def files(assignments: dict[str, Value], directory: Path) -> dict[str, str]:
    """The files of the OS that the options make, by path."""
    made = render(resolved_with({"sshd": False, **assignments}), directory, "test")
    return {item.path: item.contents or "" for item in made.files}


def conf(directory: Path, **assignments: Value) -> dict[str, Any]:
    """asound.conf for options (`card_name` is `alsa.card-name`), read back."""
    given = {f"alsa.{name.replace('_', '-')}": value for name, value in assignments.items()}
    return read(files(given, directory)["etc/asound.conf"])


def read(text: str) -> dict[str, Any]:
    """What asound.conf says, as nested mappings; dots stay in the names."""
    words = re.findall(r'"[^"]*"|[{}]|[^\s{}]+', re.sub(r"(?m)^#.*$", "", text))

    def block() -> dict[str, Any]:
        found: dict[str, Any] = {}
        while words and words[0] != "}":
            name, value = words.pop(0), words.pop(0)
            assert name not in found
            if value == "{":
                found[name] = block()
                assert words.pop(0) == "}"
            else:
                found[name] = value.strip('"')
        return found

    made = block()
    assert words == []
    return made


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Path:
    return tmp_path


def test_apps_play_to_a_mixer_and_record_from_another(place: Path) -> None:
    made = conf(place)
    assert set(made) == {"ctl.!default", "pcm.!default", "pcm.!thanos"}
    assert made["ctl.!default"] == {"type": "hw", "card": "thanos"}
    assert made["pcm.!default"]["slave.pcm"] == "thanos"
    play, capture = made["pcm.!thanos"]["playback.pcm"], made["pcm.!thanos"]["capture.pcm"]
    volume = play["slave.pcm"]
    assert (play["type"], volume["type"], capture["type"]) == ("plug", "softvol", "plug")
    mixer, snoop = volume["slave.pcm"], capture["slave.pcm"]
    assert (mixer["type"], snoop["type"]) == ("dmix", "dsnoop")
    assert (mixer["ipc_key"], snoop["ipc_key"]) == ("290001", "290003")  # dmix has 290002 as well
    for each in (mixer, snoop):
        assert (each["ipc_perm"], each["ipc_gid"]) == ("0660", "29")
        assert each["slave"] == {
            "pcm": {"type": "hw", "card": "thanos", "device": "0", "subdevice": "0"},
            "format": "S16_LE",
            "rate": "48000",
            "channels": "2",
            "period_size": "2048",
            "periods": "4",
        }


def test_every_option_is_where_it_belongs(place: Path) -> None:
    made = conf(
        place,
        device="none",
        rate=96000,
        format="S32_LE",
        channels=6,
        period=512,
        periods=8,
        ipc_key=7,
        ipc_permissions="0666",
        card_device=3,
    )
    mixer = made["pcm.!thanos"]["playback.pcm"]["slave.pcm"]["slave.pcm"]
    snoop = made["pcm.!thanos"]["capture.pcm"]["slave.pcm"]
    assert (mixer["ipc_key"], snoop["ipc_key"]) == ("71", "73")
    assert mixer["ipc_perm"] == snoop["ipc_perm"] == "0666"
    assert mixer["slave"] == {
        "pcm": {"type": "hw", "card": "thanos", "device": "3", "subdevice": "0"},
        "format": "S32_LE",
        "rate": "96000",
        "channels": "6",
        "period_size": "512",
        "periods": "8",
    }
    assert snoop["slave"] == {**mixer["slave"], "channels": "2"}


def test_without_mixing_an_app_has_the_card_for_itself(place: Path) -> None:
    text = str(made := conf(place, mixing=False))
    assert "dmix" not in text
    assert "dsnoop" not in text
    assert "period" not in text
    card = {"type": "hw", "card": "thanos", "device": "0", "subdevice": "0"}
    converted = {"type": "plug", "slave.format": "S16_LE", "slave.rate": "48000", "slave.channels": "2"}
    volume = {"type": "softvol", "control": {"name": "Master Playback Volume", "card": "thanos"}, "slave.pcm": card}
    assert made["pcm.!thanos"]["playback.pcm"] == {**converted, "slave.pcm": volume}
    assert made["pcm.!thanos"]["capture.pcm"] == {**converted, "slave.pcm": card}


def test_without_recording_there_is_nothing_to_record_from(place: Path) -> None:
    assert "capture.pcm" not in conf(place, capture=False)["pcm.!thanos"]


def test_a_loopback_beside_the_card(place: Path) -> None:
    made = conf(place, loopback=True, default="loopback")
    assert made["pcm.!default"]["playback.pcm"] == "loopback"
    assert made["pcm.!default"]["capture.pcm"] == "monitor"
    into, out_of = made["pcm.!loopback"]["slave.pcm"], made["pcm.!monitor"]["slave.pcm"]
    assert (into["slave"]["pcm"]["card"], into["slave"]["pcm"]["device"]) == ("loopback", "0")
    assert (out_of["slave"]["pcm"]["card"], out_of["slave"]["pcm"]["device"]) == ("loopback", "1")
    keys = re.findall(r"ipc_key (\d+)", files({"alsa.loopback": True}, place)["etc/asound.conf"])
    assert sorted(keys) == ["290001", "290003", "290005", "290007"]


def test_a_loopback_for_a_card(place: Path) -> None:
    made = conf(place, card="loopback", channels=6)
    assert "pcm.!loopback" not in made
    slave = made["pcm.!monitor"]["slave.pcm"]["slave"]
    assert (slave["pcm"]["card"], slave["pcm"]["device"], slave["channels"]) == ("thanos", "1", "6")


def test_silence(place: Path) -> None:
    made = conf(place, default="silence")
    assert made["pcm.!default"]["type"] == "null"
    assert "pcm.!thanos" in made


def test_what_stark_does_is_for_a_shell(place: Path) -> None:
    given: dict[str, Value] = {
        "alsa.card": "name",
        "alsa.card-name": "HDA Intel PCH (2)",
        "alsa.card-device": 7,
        "alsa.volume": 30,
        "alsa.unmute": False,
    }
    text = files(given, place)["etc/stark/alsa"]
    shown = subprocess.run(["sh", "-ec", f"{text}\nset"], env={}, capture_output=True, text=True, check=True).stdout
    values = dict(re.findall(r"^(ALSA_\w+)='?([^'\n]*)'?$", shown, re.MULTILINE))
    assert values == {
        "ALSA_CHOICE": "name",
        "ALSA_CARD_NAME": "HDA Intel PCH (2)",
        "ALSA_CARD_DEVICE": "7",
        "ALSA_LOOPBACK": "false",
        "ALSA_CAPTURE": "true",
        "ALSA_VOLUME": "30",
        "ALSA_UNMUTE": "false",
    }


def test_the_kernel_has_what_the_sound_needs() -> None:
    assert resolved_with({})["kernel.modules.sound"].value is True
    assert resolved_with({"alsa": False})["kernel.modules.sound"].value is False
    assert resolved_with({"kernel.modules.all": True})["alsa"].value is True


def test_without_sound_there_is_nothing_of_it(place: Path) -> None:
    assert not [path for path in files({"alsa": False}, place) if "asound" in path or "alsa" in path]
    assert settings(resolved_with({"alsa": False}), place).sound is None


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({}, "alsa.period", 2048),
        ({}, "alsa.periods", 4),
        ({"alsa.device": "none"}, "alsa.period", 1024),
        ({}, "alsa.device", "AC97"),
        ({"alsa.card": "dummy"}, "alsa.device", "none"),
        ({"alsa.card": "loopback"}, "alsa.device", "none"),
    ],
)
def test_defaults_follow_the_card(given: dict[str, Value], name: str, value: Value) -> None:
    assert resolved_with(given)[name].value == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        # The cards of QEMU, as they are.
        ({"alsa.rate": 96000}, "alsa.rate"),
        ({"alsa.device": "usb-audio", "alsa.rate": 44100}, "alsa.rate"),
        ({"alsa.device": "intel-hda", "alsa.rate": 8000}, "alsa.rate"),
        ({"alsa.format": "S32_LE"}, "alsa.format"),
        ({"alsa.device": "intel-hda", "alsa.format": "S24_3LE"}, "alsa.format"),
        ({"alsa.channels": 6}, "alsa.channels"),
        ({"alsa.period": 512}, "alsa.period"),
        # A dummy card is a simple one.
        ({"alsa.card": "dummy", "alsa.rate": 96000}, "alsa.rate"),
        ({"alsa.card": "dummy", "alsa.format": "S32_LE"}, "alsa.format"),
        ({"alsa.card": "dummy", "alsa.channels": 6}, "alsa.channels"),
        # Any card.
        ({"alsa.device": "none", "alsa.rate": 200000}, "alsa.rate"),
        ({"alsa.device": "none", "alsa.channels": 1}, "alsa.channels"),
        ({"alsa.periods": 2}, "alsa.periods"),
        ({"alsa.period": 4096, "alsa.periods": 8}, "alsa.periods"),
        ({"alsa.period": 2048, "alsa.periods": 16}, "alsa.periods"),
        ({"alsa.volume": 101}, "alsa.volume"),
        ({"alsa.ipc-key": 0}, "alsa.ipc-key"),
        ({"alsa.ipc-permissions": "0777"}, "alsa.ipc-permissions"),
        # What needs something else.
        ({"alsa.card": "name"}, "alsa.card-name"),
        ({"alsa.card": "name", "alsa.card-name": "'; reboot"}, "alsa.card-name"),
        ({"alsa.card-index": 1}, "alsa.card-index"),
        ({"alsa.card": "dummy", "alsa.card-device": 1}, "alsa.card-device"),
        ({"alsa.default": "loopback"}, "alsa.default"),
        ({"alsa.card": "loopback", "alsa.loopback": True}, "alsa.loopback"),
        ({"alsa.mixing": False, "alsa.period": 4096}, "alsa.period"),
        ({"alsa.mixing": False, "alsa.ipc-key": 5}, "alsa.ipc-key"),
        ({"alsa": False, "alsa.volume": 5}, "alsa.volume"),
        ({"stark": False, "alsa.volume": 5}, "alsa.volume"),
    ],
)
def test_impossible_combinations_are_refused(given: dict[str, Value], said: str) -> None:
    with pytest.raises(InputError) as caught:
        resolved_with(given)
    assert said in str(caught.value)


# --- The sound library itself reads it, as far as it can where there is no sound card.

CHOICES: list[dict[str, Value]] = [
    {},
    {"alsa.mixing": False},
    {"alsa.capture": False},
    {"alsa.default": "silence"},
    {"alsa.loopback": True, "alsa.default": "loopback"},
    {"alsa.card": "loopback", "alsa.channels": 6, "alsa.format": "S24_3LE", "alsa.rate": 192000},
]


@pytest.mark.parametrize("given", CHOICES, ids=str)
def test_the_sound_library_takes_it_by_itself(given: dict[str, Value], place: Path) -> None:
    aplay = shutil.which("aplay")
    if aplay is None:
        pytest.skip("aplay is not installed (alsa-utils)")
    text = files(given, place)["etc/asound.conf"]
    path = place / "asound.conf"
    path.write_text(text)
    alone = {**os.environ, "ALSA_CONFIG_PATH": str(path), "LC_ALL": "C"}
    done = subprocess.run([aplay, "-L"], env=alone, capture_output=True, text=True, check=True)
    names = {name.removeprefix("pcm.!") for name in read(text) if name.startswith("pcm.")}
    # It leaves out what leads straight to a card that is not there.
    assert {"default", "thanos"} <= {line for line in done.stdout.splitlines() if not line.startswith(" ")} <= names
    assert done.stderr == ""
    play = [aplay, "-q", "-D", "default", "-t", "raw", "-f", "cd", "/dev/null"]
    played = subprocess.run(play, env=alone, capture_output=True, text=True)
    if given.get("alsa.default") == "silence":
        assert (played.returncode, played.stderr) == (0, "")
    elif not Path("/dev/snd").exists():
        # It understood all of it, and found no card of that name.
        assert f"Cannot get card index for {asound.LOOPBACK if 'alsa.loopback' in given else asound.CARD}" in (
            played.stderr
        )
