"""What the console pane does with its tabs: every action, by its key."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from textual.widgets import Input

from thanos_tui.files import data_dir
from thanos_tui.tui.terminal.tabs import Machines, SessionLine
from thanos_tui.tui.terminal.widget import TerminalView

Run = Callable[..., None]
LEAVE = "ctrl+right_square_bracket"


async def opened(hands: Any, guest: Any) -> None:
    await guest.listen()
    hands.pane.open("m1")
    await hands.until(lambda: hands.pane._current)
    await hands.connected()


async def press(hands: Any, *keys: str) -> None:
    await hands.pilot.press(*keys)
    await hands.pilot.pause()


def test_tabs_open_turn_and_close(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE)
        assert isinstance(hands.app.focused, SessionLine)
        await press(hands, "t")
        machines = hands.pane.query_one(Machines)
        await hands.until(lambda: machines.option_count >= 2)
        assert hands.app.focused is machines
        await press(hands, "enter")  # a second shell on the same machine
        await hands.until(lambda: len(hands.labels) == 2 and "shell 2>" in hands.text())
        first, second = hands.pane._tabs.values()
        await press(hands, LEAVE, "left")
        assert hands.pane._current is first
        await press(hands, "l")
        assert hands.pane._current is second
        await press(hands, "l")
        assert hands.pane._current is first
        await press(hands, "w")
        await hands.until(lambda: len(hands.app.screen_stack) > 1, "the question")
        await press(hands, "enter")
        await hands.until(lambda: hands.labels == ["m1"])
        assert hands.pane._current is second
        assert guest.shells == 2

    console(script)


def test_closing_can_be_thought_better_of(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "w")
        await hands.until(lambda: len(hands.app.screen_stack) > 1, "the question")
        await press(hands, "escape")
        await hands.until(lambda: len(hands.app.screen_stack) == 1)
        assert hands.phase == "connected"

    console(script)


def test_asking_for_a_machine_again_shows_its_tab(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "t")
        hands.pane.open("m1")
        await hands.pilot.pause()
        assert hands.labels == ["m1"]
        assert isinstance(hands.app.focused, TerminalView)

    console(script)


def test_escape_leads_back_from_the_list(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "t", "escape")
        assert hands.pane._current is not None

    console(script)


def test_a_tab_is_called_as_its_program_or_as_the_user_says(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await hands.type(r"say \x1b]0;editing\x07")
        await hands.until(lambda: hands.labels == ["m1: editing"])
        await press(hands, LEAVE, "e")
        await hands.until(lambda: len(hands.app.screen_stack) > 1)
        prompt = hands.app.screen.query_one(Input)
        assert prompt.value == "m1: editing"
        prompt.value = "work"
        await press(hands, "enter")
        await hands.until(lambda: hands.labels == ["work"])

    console(script)


def test_enter_goes_back_in_and_ctrl_bracket_can_be_sent(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "x", "enter")
        assert isinstance(hands.app.focused, TerminalView)
        await press(hands, LEAVE, "right_square_bracket", "y")
        await hands.until(lambda: guest.received == b"\x1dy", repr(guest.received))

    console(script)


def test_looking_back_and_searching(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await hands.type("flood 300")
        await hands.shows("line 299")
        view = hands.view
        await press(hands, "shift+pageup")
        assert view.back == view.emulator.rows - 1
        await press(hands, "shift+home")
        assert view.back == view.emulator.history
        assert "shell 1>" in view.render_line(0).text
        await press(hands, "shift+end")
        assert view.back == 0
        await press(hands, LEAVE, "slash", *"line", "space", *"77", "enter")
        assert isinstance(hands.app.focused, SessionLine)
        shown = [view.render_line(row).text.strip() for row in range(view.size.height)]
        assert "line 77" in shown
        await press(hands, "slash")
        hands.app.focused.value = "line 1"
        await press(hands, "enter")
        place = view._found
        await press(hands, "n")
        assert view._found.line == place.line - 1
        await press(hands, "N")
        assert view._found == place
        await press(hands, "k", "j", "pageup", "g", "G")
        assert view.back == 0
        await press(hands, "slash")
        hands.app.focused.value = "nothing like it"
        await press(hands, "enter")
        assert isinstance(hands.app.focused, Input)
        await press(hands, "escape")
        assert isinstance(hands.app.focused, SessionLine)

    console(script)


def test_what_is_read_stays_in_view_while_output_goes_on(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await hands.type("flood 100")
        await hands.shows("line 99")
        view = hands.view
        await press(hands, "shift+pageup")
        top = view.render_line(0).text
        view.feed(b"more\r\n" * 50)
        await hands.shows("more")
        await asyncio.sleep(0.1)
        await hands.pilot.pause()
        assert view.render_line(0).text == top
        await press(hands, "a")  # typing leads back to the prompt
        assert view.back == 0

    console(script)


def test_the_mouse_selects_and_copies(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        hands.view.feed(b"\x1b[2J\x1b[Hone two/three.txt four\r\n\xe6\xbc\xa2\xe5\xad\x97 five")
        await hands.shows("five")
        view = hands.view
        await hands.pilot.mouse_down(view, offset=(4, 0))
        await hands.pilot.hover(view, offset=(5, 1))
        await hands.pilot.mouse_up(view, offset=(5, 1))
        await hands.until(lambda: hands.copied)
        assert hands.copied == ["two/three.txt four\n漢字"]
        await hands.pilot.click(view, offset=(6, 0), times=2)
        await hands.until(lambda: len(hands.copied) > 1)
        assert hands.copied[-1] == "two/three.txt"
        await hands.pilot.click(view, offset=(6, 0), times=3)
        await hands.until(lambda: "one two/three.txt four" in hands.copied)
        await press(hands, LEAVE, "y")
        await hands.until(lambda: len(hands.copied) > 3)

    console(script)


def test_a_program_that_wants_the_mouse_gets_it(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        view = hands.view
        view.feed(b"\x1b[?1002h\x1b[?1006h\x1b[?2004h")
        await hands.until(lambda: view.emulator.mouse == ("drag", "sgr"))
        await hands.pilot.mouse_down(view, offset=(2, 1))
        await hands.pilot.hover(view, offset=(4, 2))
        await hands.pilot.mouse_up(view, offset=(4, 2))
        wanted = b"\x1b[<0;3;2M\x1b[<32;5;3M\x1b[<0;5;3m"
        await hands.until(lambda: guest.received == wanted, repr(guest.received))
        assert not hands.copied

    console(script)


def test_pastes_are_marked_where_the_program_wants_it(guest: Any, console: Run) -> None:
    from textual import events

    async def script(hands: Any) -> None:
        await opened(hands, guest)
        view = hands.view
        view.post_message(events.Paste("a\nb"))
        await hands.until(lambda: guest.received == b"a\rb", repr(guest.received))
        view.feed(b"\x1b[?2004h")
        await hands.until(lambda: view.emulator.bracketed_paste)
        view.post_message(events.Paste("rm\x1b[201~\nx"))
        wanted = b"a\rb\x1b[200~rm[201~\rx\x1b[201~"
        await hands.until(lambda: guest.received == wanted, repr(guest.received))

    console(script)


def test_a_recording_can_be_played(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "r", "enter")
        await hands.type(r"say \u00e9t\u00e9 \x1b[31mred")
        await hands.shows("red")
        await hands.pilot.resize_terminal(90, 30)
        await hands.until(lambda: hands.view.emulator.columns == 90)
        await press(hands, LEAVE, "r")
        [path] = (data_dir() / "recordings").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        header, *events = map(json.loads, path.read_text().splitlines())
        assert (header["version"], header["width"]) == (2, 80)
        said = "".join(event[2] for event in events if event[1] == "o")
        assert "shell 1>" in said  # what was on the screen when it began
        assert "été \x1b[31mred" in said
        assert [event[2] for event in events if event[1] == "r"] == [f"90x{hands.view.emulator.rows}"]
        times = [event[0] for event in events]
        assert times == sorted(times)

    console(script)


def test_full_screen_hands_the_terminal_over(guest: Any, console: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    async def script(hands: Any) -> None:
        await opened(hands, guest)

        @contextmanager
        def suspended() -> Any:
            ran.append("suspended")
            yield
            ran.append("resumed")

        async def execute(*argv: str) -> Any:
            ran.append(argv)
            return await real(sys.executable, "-c", "")

        real = asyncio.create_subprocess_exec
        monkeypatch.setattr(hands.app, "suspend", suspended)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", execute)
        await press(hands, LEAVE, "f")
        await hands.until(lambda: "resumed" in ran)
        assert ran == ["suspended", (sys.executable, "-m", "thanos_tui", "console", "m1"), "resumed"]

    console(script)


def test_where_the_terminal_cannot_be_handed_over_it_says_so(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await press(hands, LEAVE, "f")  # a headless driver cannot
        await hands.until(lambda: len(hands.app.screen_stack) > 1)
        assert "thanos-tui console m1" in hands.app.screen.error.hint

    console(script)


def test_a_tab_tells_that_its_bell_rang(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        tab = hands.pane._current
        await press(hands, LEAVE, "t")
        tab.view.feed(b"\x07")
        await hands.until(lambda: hands.pane.query_one(SessionLine).labels[0].rang)
        await press(hands, "escape")
        assert not hands.pane.query_one(SessionLine).labels[0].rang

    console(script)


def test_connecting_again_by_its_key(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        await hands.type("exit")
        await hands.until(lambda: hands.phase == "ended")
        await press(hands, LEAVE, "R")
        await hands.shows("shell 2>")

    console(script)


@pytest.mark.parametrize("size", [(80, 24), (30, 10), (200, 60)])
def test_every_size_can_be_drawn(guest: Any, console: Run, size: tuple[int, int]) -> None:
    async def script(hands: Any) -> None:
        await opened(hands, guest)
        emulator = hands.view.emulator
        assert (emulator.columns, emulator.rows) == tuple(hands.view.size)
        await hands.pilot.resize_terminal(20, 6)
        await hands.pilot.resize_terminal(*size)
        await hands.until(lambda: (emulator.columns, emulator.rows) == tuple(hands.view.size))

    console(script, size=size)


def test_the_serial_port_shows_what_was_said_and_takes_keys(
    guest: Any, console: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(hands: Any) -> None:
        got: list[bytes] = []
        writers: list[asyncio.StreamWriter] = []

        async def port(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            writer.write(b"login: ")
            while data := await reader.read(100):
                got.append(data)

        guest.say(b"booting\r\n\x1b[6nwelcome\r\n")
        monkeypatch.chdir(guest.directory)  # a socket's address is short
        server = await asyncio.start_unix_server(port, "serial.sock")
        hands.pane.open("m1", "serial")
        await hands.until(lambda: hands.phase == "connected")
        await hands.shows("login:")
        assert "booting" in hands.text()
        assert hands.labels == ["m1 (serial)"]
        await press(hands, "r", "enter")
        await hands.until(lambda: b"".join(got) == b"r\r", repr(got))  # and no answer to a question of long ago
        writers[0].close()
        server.close()
        await hands.until(lambda: hands.phase == "ended")

    console(script)
