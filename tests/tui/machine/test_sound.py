"""What a machine plays, in its pane: a real sound card, which a boot sector lets play a tone."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.widgets import Input
from waiting import until

from thanos_tui import vm
from thanos_tui.tui import look
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.dialogs import Choices, Tell
from thanos_tui.tui.look import ASCII, UNICODE
from thanos_tui.tui.machine import meter
from thanos_tui.tui.machine.list import MachineList
from thanos_tui.tui.machine.meter import FLOOR, Needle
from thanos_tui.tui.machine.sound import RecordForm, SoundLine
from thanos_tui.vm import Machine, sound
from thanos_tui.vm.sound import Level

Drive = Callable[..., None]
Start = Callable[..., Machine]


async def sound_line(pilot: Any) -> SoundLine:
    await pilot.press("4")
    pane = await pilot.app.pane("machine")
    await until(pilot, lambda: pane.query_one(MachineList).machines)
    line = pane.query_one(SoundLine)
    assert isinstance(line, SoundLine)
    return line


async def choose(pilot: Any, name: str) -> None:
    """Put the cursor on a machine."""
    machines = pilot.app.query_one(MachineList)
    await until(pilot, lambda: name in [machine.name for machine in machines.machines])
    machines.go_to([machine.name for machine in machines.machines].index(name))
    await until(pilot, lambda: machines.chosen == name)


def notices(app: ThanosApp) -> str:
    return "\n".join(f"{each.title} {each.message}" for each in app._notifications)


def moves(line: SoundLine) -> bool:
    return all(needle.rms > FLOOR for needle in line.needles)


def test_the_meter_moves_while_it_is_seen(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("tone", sound="AC97")

    async def script(pilot: Any) -> None:
        line = await sound_line(pilot)
        await until(pilot, lambda: moves(line))
        left, right = line.needles
        # Half as loud is 6 dB less.
        assert 5 < left.held - right.held < 7
        assert " dB" in line.render().plain
        await pilot.press("M")
        assert not line.display
        assert not moves(line)
        await pilot.press("M")
        await until(pilot, lambda: line.display and moves(line))
        await pilot.press("1")
        await until(pilot, lambda: not moves(line))
        await pilot.press("4")
        await until(pilot, lambda: moves(line))
        vm.stop(vm.find("tiny"), patience=0)
        await until(pilot, lambda: not line.display)

    drive(app, script)


def test_a_silent_card_shows_silence_and_without_a_card_there_is_no_meter(
    app: ThanosApp, drive: Drive, start: Start
) -> None:
    start("deaf", name="mute")
    start("deaf", name="quiet", sound="AC97")

    async def script(pilot: Any) -> None:
        line = await sound_line(pilot)
        assert not line.display
        await choose(pilot, "quiet")
        await until(pilot, lambda: line.display)
        assert "dB" not in line.render().plain

    drive(app, script)


def test_what_it_plays_is_recorded(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("tone", sound="AC97")

    async def script(pilot: Any) -> None:
        line = await sound_line(pilot)
        await until(pilot, lambda: moves(line))
        await pilot.press("W")
        await until(pilot, lambda: isinstance(app.screen, RecordForm))
        seconds = app.screen.query_one("#seconds", Input)
        seconds.value = "lots"
        await pilot.press("enter")
        assert isinstance(app.screen, RecordForm)
        seconds.value = "0.5"
        await pilot.press("enter")
        await until(pilot, lambda: "Recorded" in notices(app))
        assert "0.5 s, -1" in notices(app)
        with wave.open("tiny.wav") as made:
            assert made.getnframes() == sound.RATE // 2
            left, right = sound.levels(made.readframes(sound.RATE))
        assert left.peak > 1.5 * right.peak > 0
        await until(pilot, lambda: "Sound" in line.render().plain)

    drive(app, script)


def test_a_recording_can_be_given_up(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("tone", sound="AC97")

    async def script(pilot: Any) -> None:
        line = await sound_line(pilot)
        await pilot.press("M", "W")
        await until(pilot, lambda: isinstance(app.screen, RecordForm))
        app.screen.query_one("#seconds", Input).value = "3600"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "of 3600 s" in line.render().plain)
        assert line.display
        # Leaving the app would cut it short.
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("escape", "W")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "given up" in notices(app))
        assert not line.display
        assert not Path("tiny.wav").exists()

    drive(app, script)


def test_what_cannot_be_recorded_is_told(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("deaf", name="mute")
    start("deaf", name="quiet", sound="AC97")

    async def script(pilot: Any) -> None:
        await sound_line(pilot)
        await pilot.press("W")
        await until(pilot, lambda: "mute has no sound card" in notices(app))
        await choose(pilot, "quiet")
        await pilot.press("W")
        await until(pilot, lambda: isinstance(app.screen, RecordForm))
        Path("taken").touch()
        app.screen.query_one("#file", Input).value = "taken/quiet.wav"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        assert "taken" in app.screen.error.message

    drive(app, script)


def test_the_meter_as_text() -> None:
    def text(*needles: Needle, width: int = 80, here: look.Look = UNICODE) -> str:
        return "".join(piece for piece, _ in meter.line(needles, width, here))

    still = Needle()
    for width in (80, 120, 200):
        assert len(text(still, still, width=width)) <= width
    full = still.moved(Level(1.0, 1.0))
    assert meter.decibels(0.5) == -20 * 0.3010299956639812
    assert text(full, full).count("█") == text(still, still).count("░")
    # A peak stays for a while, and falls.
    fallen = full.moved(None)
    assert fallen.rms == FLOOR
    assert -3 < fallen.held < 0
    assert text(fallen, still, here=ASCII).isascii()
    assert "|" in text(fallen, still, here=ASCII)
    assert {style for _, style in meter.line((full, still), 80, UNICODE)} == {"", "quiet", "loud", "full", "rest"}
