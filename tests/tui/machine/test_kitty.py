"""Pictures by kitty's graphics protocol: the bytes, the cells, and the view that shows a machine's screen by them."""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from kitty import Screen
from textual.drivers.headless_driver import HeadlessDriver
from watching import Modal, Stub, Watching, noise, until

from thanos_tui import vm
from thanos_tui.editing.document import Document
from thanos_tui.tui import graphics
from thanos_tui.tui import look as looks
from thanos_tui.tui.answers import Answers
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.graphics import Graphics, decide
from thanos_tui.tui.look import ASCII, UNICODE, Look
from thanos_tui.tui.machine import screen as screens
from thanos_tui.tui.machine.drawing import View, draw_graphics
from thanos_tui.tui.machine.kitty import MARKS, Canvas, delete, placeholders, transmit
from thanos_tui.tui.machine.screen import ScreenView
from thanos_tui.vm import Machine, Picture

Drive = Callable[..., None]
HOLDER = "\U0010eeee"
SMALL = Picture(2, 1, bytes([255, 0, 0, 0, 0, 255]))


# The protocol


def test_a_small_picture_is_these_bytes() -> None:
    # Not every zlib compresses to the same bytes.
    data = b64encode(zlib.compress(b"\xff\0\0\0\0\xff", 1)).decode()
    head = "\x1b_Ga=T,U=1,q=2,f=24,o=z,i=66051,s=2,v=1,c=4,r=2,m=0;"
    assert transmit(SMALL, 0x010203, 4, 2) == f"{head}{data}\x1b\\"
    assert delete(66051) == "\x1b_Ga=d,d=I,i=66051,q=2\x1b\\"


def test_a_large_picture_comes_in_chunks_and_whole() -> None:
    picture, screen = noise(120, 40), Screen()
    data = transmit(picture, 7, 60, 10)
    assert data.count("\x1b_G") == 5
    screen.feed(data)
    assert screen.pictures == {7: (picture.rgb, 120, 60, 10)}
    screen.feed(delete(7))
    assert not screen.pictures


def test_for_tmux_every_command_is_wrapped() -> None:
    wrapped, screen = transmit(noise(120, 40), 7, 60, 10, "kitty-in-tmux"), Screen()
    parts = wrapped.split("\x1bPtmux;")[1:]
    assert all(part.endswith("\x1b\\") for part in parts)
    screen.feed("".join(part[:-2].replace("\x1b\x1b", "\x1b") for part in parts))
    assert screen.pictures[7][0] == noise(120, 40).rgb


def test_the_marks_are_those_of_the_protocol() -> None:
    assert len(MARKS) == 297
    assert all(unicodedata.category(mark) == "Mn" and unicodedata.combining(mark) == 230 for mark in MARKS)
    assert not any(unicodedata.decomposition(mark) for mark in MARKS)
    assert list(MARKS) == sorted(MARKS)
    # Of all characters in kitty's gen/rowcolumn-diacritics.txt, in its order.
    known = "5e5fb029e3fe73fb7f0cfc088d820ba3db79719b65a4c8da087be5fb4cd99d1e"
    assert hashlib.sha256("".join(MARKS).encode()).hexdigest() == known


def test_placeholders_say_their_place() -> None:
    strips = placeholders(0x010203, 3, 2)
    assert [strip.text for strip in strips] == [
        f"{HOLDER}\u0305\u0305{HOLDER}\u0305\u030d{HOLDER}\u0305\u030e",
        f"{HOLDER}\u030d\u0305{HOLDER}\u030d\u030d{HOLDER}\u030d\u030e",
    ]
    segment = strips[0]._segments[0]
    assert segment.style is not None
    assert segment.style.color is not None
    assert segment.style.color.triplet == (1, 2, 3)


@pytest.mark.parametrize("columns", [1, 3, 80, 123, 200, len(MARKS)])
def test_placeholders_survive_being_cut_anywhere(columns: int) -> None:
    row = placeholders(1, columns, 1)[0]
    assert row.cell_length == columns
    for at in range(1, columns):
        left, right = row.divide([at, columns])
        assert left.text == "".join(f"{HOLDER}\u0305{mark}" for mark in MARKS[:at])
        assert right.text == "".join(f"{HOLDER}\u0305{mark}" for mark in MARKS[at:columns])


# Frames


def test_a_picture_is_fitted_by_the_shape_of_a_cell_and_cut_by_the_zoom() -> None:
    picture, canvas, screen = noise(400, 200), Canvas(), Screen()
    frame = draw_graphics(picture, 80, 30, View(), canvas, "kitty", 2.0)
    assert (frame.width, len(frame.strips), frame.left, frame.top) == (80, 20, 0, 5)
    screen.feed(frame.ahead)
    assert [each[0] for each in screen.pictures.values()] == [picture.rgb]
    square = draw_graphics(picture, 80, 90, View(), canvas, "kitty", 1.0)
    assert (square.width, len(square.strips)) == (80, 40)
    screen.feed(square.ahead)

    near = draw_graphics(picture, 80, 30, View(zoom=4, x=1, y=1), canvas, "kitty", 2.0)
    screen.feed(near.ahead)
    assert near.part == (0.75, 0.75, 0.25, 0.25)
    corner = b"".join(picture.rgb[(y * 400 + 300) * 3 : (y + 1) * 400 * 3] for y in range(150, 200))
    assert corner in [each[0] for each in screen.pictures.values()]
    assert near.point(0, near.top) == vm.input.Point(0.75 + 0.25 * 0.5 / 80, 0.75 + 0.25 * 0.5 / 20)

    again = draw_graphics(picture, 80, 30, View(zoom=4, x=1, y=1), canvas, "kitty", 2.0)
    assert (again.ahead, again.strips) == ("", near.strips)


def test_there_are_no_more_cells_than_marks() -> None:
    frame = draw_graphics(noise(1000, 10), 500, 400, View(), Canvas(), "kitty", 2.0)
    assert frame.width == 297
    assert frame.left == 101


# Which terminals

KITTY = Answers(name="kitty(0.41.1)")
XTERM = Answers(name="XTerm(379)", sixel=True)
TMUX = {"TMUX": "/tmp/x,1,0"}


@pytest.mark.parametrize(
    ("known", "environment", "setting", "kind"),
    [
        (KITTY, {}, "auto", "kitty"),
        (Answers(name="kitty(0.28.0)"), {}, "auto", "kitty"),
        (Answers(name="kitty(1.0)"), {}, "auto", "kitty"),
        (Answers(name="kitty(0.26.5)"), {}, "auto", "none"),  # no placeholders; Debian 12 has it
        (Answers(name="ghostty 1.2.3"), {}, "auto", "kitty"),
        (Answers(name="tmux 3.5a"), {**TMUX, "TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "auto", "none"),
        (Answers(name="WezTerm 20240203", sixel=True), {}, "auto", "sixel"),
        (XTERM, {}, "auto", "sixel"),
        (Answers(name="tmux 3.5a", sixel=True), TMUX, "auto", "sixel"),
        (Answers(), {"TERM": "xterm-kitty"}, "auto", "none"),
        (KITTY, {}, "none", "none"),
        (XTERM, {}, "none", "none"),
        (Answers(), {}, "kitty", "kitty"),
        (XTERM, TMUX, "kitty", "kitty-in-tmux"),
        (KITTY, {}, "sixel", "sixel"),
        (Answers(), {}, "sixel", "sixel"),
    ],
)
def test_the_terminal_and_the_settings_decide(
    known: Answers, environment: dict[str, str], setting: str, kind: Graphics
) -> None:
    assert decide(known, environment, UNICODE, setting) == kind


@pytest.mark.parametrize("symbols", [ASCII, Look(colours=0)])
@pytest.mark.parametrize("setting", ["auto", "kitty", "sixel"])
@pytest.mark.parametrize("known", [KITTY, XTERM])
def test_in_ascii_and_without_colours_there_are_none(symbols: Look, setting: str, known: Answers) -> None:
    assert decide(known, {}, symbols, setting) == "none"


def test_few_colours_are_enough_for_sixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Look(colours=256)
    assert decide(KITTY, {}, few) == decide(KITTY, {}, few, "kitty") == "none"
    assert decide(XTERM, {}, few) == "sixel"
    monkeypatch.setattr(graphics, "has_encoder", lambda: False)
    assert decide(XTERM, {}, few) == decide(XTERM, {}, few, "sixel") == "none"


# The view


@dataclass
class Seen:
    """What the machine shows, and what the terminal has got."""

    picture: Picture
    terminal: Screen
    looked: int = 0


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    state = Seen(noise(64, 32), Screen())

    def look(_: Machine) -> Picture:
        state.looked += 1
        return state.picture

    monkeypatch.setattr(vm, "picture", look)
    monkeypatch.setattr(screens, "font_of", lambda _: None)
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: state.terminal.feed(data))
    monkeypatch.setattr(ThanosDriver, "known", KITTY)
    monkeypatch.setattr(graphics, "_setting", "auto")
    return state


def named(app: Watching) -> int | None:
    """The number of the picture that the cells of the view name; None if they name none."""
    strip = app.view.render_line(app.view.size.height // 2)
    for segment in strip:
        if HOLDER in segment.text:
            assert segment.style is not None
            assert segment.style.color is not None
            red, green, blue = segment.style.color.get_truecolor()
            return red << 16 | green << 8 | blue
    return None


async def look_again(pilot: Any, seen: Seen, times: int = 2) -> None:
    wanted = seen.looked + times
    await until(pilot, lambda: seen.looked >= wanted)


def test_the_view_sends_what_changes_and_forgets_it_when_it_is_left(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        terminal = seen.terminal
        await until(pilot, lambda: named(app) in terminal.pictures)
        first = named(app)
        await look_again(pilot, seen)
        assert terminal.sent == 1  # the same picture is not sent again

        seen.picture = noise(64, 32, 1)
        await until(pilot, lambda: named(app) != first and named(app) in terminal.pictures)
        assert terminal.pictures[cast("int", named(app))][0] == seen.picture.rgb
        assert terminal.sent == 2
        seen.picture = noise(64, 32, 2)
        await until(pilot, lambda: named(app) == first)
        assert terminal.pictures[cast("int", first)][0] == seen.picture.rgb
        assert len(terminal.pictures) == 2  # no more than that, however often it changes

        app.view.watch_machine(None)
        await pilot.pause()
        assert not terminal.pictures
        assert named(app) is None
        app.view.watch_machine(cast("Machine", Stub()))
        await until(pilot, lambda: named(app) in terminal.pictures)

    drive(app, script, size=(80, 24))


def test_under_a_dialog_there_are_half_blocks_and_then_the_picture_again(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: named(app) in seen.terminal.pictures)
        number = named(app)
        await app.push_screen(Modal())
        await until(pilot, lambda: named(app) is None)
        assert UNICODE.upper in app.view.render_line(app.view.size.height // 2).text
        await app.pop_screen()
        await until(pilot, lambda: named(app) == number)
        assert seen.terminal.sent == 1

    drive(app, script, size=(80, 24))


def test_a_resumed_terminal_gets_it_anew(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: named(app) in seen.terminal.pictures)
        seen.terminal.pictures.clear()  # as it leaves the alternate screen
        app.app_resume_signal.publish(app)
        await until(pilot, lambda: named(app) in seen.terminal.pictures)

    drive(app, script, size=(80, 24))


@pytest.mark.parametrize("symbols", [ASCII, Look(colours=0)])
def test_in_ascii_and_without_colours_nothing_is_sent(drive: Drive, seen: Seen, symbols: Look) -> None:
    looks.use(symbols)
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: app.view.frame is not None)
        await look_again(pilot, seen)
        assert seen.terminal.sent == 0
        assert named(app) is None

    drive(app, script, size=(80, 24))


def test_a_machine_is_seen_and_gone_with_its_pane(
    home: Path, drive: Drive, start: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = start("deaf")
    terminal = Screen()
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: terminal.feed(data) if "\x1b_G" in data else None)
    monkeypatch.setattr(ThanosDriver, "known", KITTY)
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        await pilot.press("4")
        pane = await app.pane("machine")
        await until(pilot, lambda: pane.query_one(ScreenView).frame is not None)
        view = pane.query_one(ScreenView)
        await until(pilot, lambda: view.frame and view.frame.is_text)
        assert terminal.sent == 0  # text is text
        view.focus()
        await pilot.press("m")
        await until(pilot, lambda: terminal.pictures)
        picture = await asyncio.to_thread(vm.picture, machine)
        await until(pilot, lambda: picture.rgb in [pixels for pixels, *_ in terminal.pictures.values()])
        await pilot.press("1")
        await until(pilot, lambda: not terminal.pictures)
        await pilot.press("4")
        await until(pilot, lambda: terminal.pictures)
        await pilot.press("v")  # another view of the machine
        await until(pilot, lambda: not terminal.pictures)

    try:
        drive(app, script)
    finally:
        vm.stop(machine, patience=0)
