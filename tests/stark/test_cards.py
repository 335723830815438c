"""Which sound card stark takes, of those that a kernel tells of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from thanos_tui.files import stark_dir

# Two lines each, as the kernel writes them, and the devices that play.
HDMI = ("HDA-Intel - HDA ATI HDMI", "HDA ATI HDMI at 0xfea60000 irq 25", (3, 7))
BOARD = ("HDA-Intel - HDA Intel PCH", "HDA Intel PCH at 0xf7c10000 irq 29", (0,))
USB = ("USB-Audio - USB Audio DAC", "Maker USB Audio DAC at usb-0000:00:14.0-2, full speed", (0,))
WEBCAM = ("USB-Audio - HD Webcam", "HD Webcam at usb-0000:00:14.0-3, high speed", ())
LOOPBACK = ("Loopback - Loopback", "Loopback 1", (0, 1))
DUMMY = ("Dummy - Dummy", "Dummy 1", (0,))
Card = tuple[str, str, tuple[int, ...]]


def chosen(directory: Path, cards: tuple[Card, ...], settings: Mapping[str, str]) -> str:
    """The card that is chosen of these, by its number; "" for none."""
    text = ""
    for number, (short, long, devices) in enumerate(cards):
        text += f"{number:2} [{'Card' + str(number):15}]: {short}\n{'':22}{long}\n"
        for device in devices:
            (directory / f"card{number}" / f"pcm{device}p").mkdir(parents=True)
    (directory / "cards").write_text(text or "--- no soundcards ---\n")
    script = stark_dir() / "sv" / "alsa" / "cards"
    variables = {**os.environ, "ASOUND": str(directory), **settings}
    done = subprocess.run(["sh", "-c", f". {script}; choose"], env=variables, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.partition(":")[0]


AUTO = {"ALSA_CHOICE": "auto"}


@pytest.mark.parametrize(
    ("cards", "settings", "expected"),
    [
        ((HDMI, BOARD, USB), AUTO, "2"),
        ((WEBCAM, HDMI, BOARD), AUTO, "2"),  # plays nothing
        ((LOOPBACK, BOARD), AUTO, "1"),
        ((LOOPBACK, DUMMY), AUTO, ""),
        ((), AUTO, ""),
        ((HDMI, BOARD), {**AUTO, "ALSA_CARD_DEVICE": "3"}, "0"),
        ((BOARD,), {**AUTO, "ALSA_CARD_DEVICE": "3"}, ""),
        ((BOARD, USB), {"ALSA_CHOICE": "name", "ALSA_CARD_NAME": "intel pch"}, "0"),
        ((BOARD, USB), {"ALSA_CHOICE": "name", "ALSA_CARD_NAME": "USB-Audio"}, "1"),
        ((BOARD, USB), {"ALSA_CHOICE": "name", "ALSA_CARD_NAME": "I.tel"}, ""),  # no regular expression
        ((BOARD, USB), {"ALSA_CHOICE": "name", "ALSA_CARD_NAME": "-v"}, ""),  # no option of grep
        ((BOARD, LOOPBACK), {"ALSA_CHOICE": "name", "ALSA_CARD_NAME": "Loopback"}, ""),
        ((BOARD, USB), {"ALSA_CHOICE": "index", "ALSA_CARD_INDEX": "1"}, "1"),
        ((BOARD, USB), {"ALSA_CHOICE": "index", "ALSA_CARD_INDEX": "2"}, ""),
        # One in memory that was taken for want of a card is not that card.
        ((LOOPBACK,), {"ALSA_CHOICE": "index", "ALSA_CARD_INDEX": "0"}, ""),
        ((BOARD, LOOPBACK), {"ALSA_CHOICE": "loopback"}, "1"),
        ((BOARD, DUMMY), {"ALSA_CHOICE": "dummy"}, "1"),
    ],
)
def test_the_card_that_the_profile_means(
    cards: tuple[Card, ...], settings: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert chosen(tmp_path, cards, settings) == expected


def test_a_kernel_without_sound(tmp_path: Path) -> None:
    script = stark_dir() / "sv" / "alsa" / "cards"
    variables = {**os.environ, "ASOUND": str(tmp_path / "nowhere"), **AUTO}
    done = subprocess.run(["sh", "-c", f". {script}; choose"], env=variables, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
