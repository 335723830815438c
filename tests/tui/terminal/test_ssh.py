"""Shells in tabs: waiting, logging in, typing, resizing, ending, rebooting, failing."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
from textual.widgets import Input, OptionList

from thanos_tui import keys
from thanos_tui.tui.terminal.tabs import Machines
from thanos_tui.tui.terminal.widget import TerminalView

Run = Callable[..., None]
WORD = "open"


def lock(identity: Path) -> None:
    """Put a passphrase on a key."""
    with warnings.catch_warnings(action="ignore"):  # one round is not secure, and quick
        asyncssh.read_private_key(identity).write_private_key(identity, passphrase=WORD, rounds=1)


def test_a_machine_is_chosen_from_the_list_and_gets_every_key(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        await hands.until(lambda: hands.pane.query_one(Machines).option_count >= 2)
        hands.pane.query_one(Machines).focus()
        await hands.pilot.press("enter")
        await hands.connected()
        assert isinstance(hands.app.focused, TerminalView)
        assert guest.terms == ["xterm-256color"]
        view = hands.view
        assert guest.sizes[-1] == (view.emulator.columns, view.emulator.rows)
        # Keys that the app would take anywhere else: all of them are the machine's.
        await hands.pilot.press(
            "a", "1", "q", "ctrl+p", "ctrl+q", "ctrl+c", "tab", "escape", "up", "f1", "question_mark"
        )
        wanted = b"a1q\x10\x11\x03\t\x1b\x1b[A\x1bOP?"
        await hands.until(lambda: guest.received == wanted, f"{wanted!r}, not {guest.received!r}")

    console(script)


def test_a_shell_that_ends_offers_to_connect_again(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        await hands.type("exit 3")
        await hands.shows("the shell has ended with status 3")
        await hands.until(lambda: hands.phase == "ended")
        await hands.pilot.press("x", "enter")
        await hands.shows("shell 2>")
        assert "shell 1>" in hands.text()  # what was there stays

    console(script)


def test_waits_for_sshd_and_says_so(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        port = guest.port
        await guest.drop()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.until(lambda: "answer" in hands.pane._current.session.state.words)
        assert guest.port == port
        await guest.listen()
        await hands.connected()

    console(script)


def test_comes_back_after_a_reboot(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        await hands.type(r"say \x1b[?1049h\x1b[?1000hfull-screen")
        await hands.until(lambda: hands.view.emulator.alternate)
        await guest.drop()
        await hands.shows("was lost; waiting for m1 to answer again")
        assert not hands.view.emulator.alternate
        assert hands.view.emulator.mouse[0] == "off"
        await guest.listen()
        await hands.shows("shell 2>")
        assert "shell 1>" in hands.text()

    console(script)


def test_notices_a_reset_that_nobody_told_it_of(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        guest.say(f"thanos: ssh host key: {guest.host_key}\n".encode())  # this boot's
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        await asyncio.sleep(1.5)
        assert guest.shells == 1
        guest.say(f"thanos: ssh host key: {guest.host_key}\n".encode())  # the next one's
        await hands.shows("m1 has booted anew")
        await hands.shows("shell 2>")

    console(script)


def test_a_shell_killed_by_shutdown_is_not_taken_for_its_end(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        await hands.type("kill")
        await asyncio.sleep(0.3)
        await guest.drop()
        await hands.shows("was lost")
        guest.stop()
        await hands.until(lambda: hands.phase == "ended")
        assert "m1" in hands.pane._current.session.state.words

    console(script)


def test_a_machine_that_does_not_run(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        guest.stop()
        hands.pane.open("m1")
        await hands.until(lambda: hands.phase == "ended")
        await hands.shows("m1 does not run")
        await hands.shows("press Enter to connect again")

    console(script)


def test_another_host_key_is_refused(guest: Any, console: Run, tmp_path: Path) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        guest.record(guest.port, keys.generate(tmp_path / "other", ""))
        hands.pane.open("m1")
        await hands.until(lambda: hands.phase == "ended")
        assert "shows a different host key" in hands.text()
        assert guest.shells == 0

    console(script)


def test_a_locked_key_is_unlocked_by_a_dialog(guest: Any, console: Run, home: Path) -> None:
    lock(guest.identity)

    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: len(hands.app.screen_stack) > 1, "the question")
        prompt = hands.app.screen.query_one(Input)
        assert prompt.password
        await hands.pilot.press(*WORD, "enter")
        await hands.connected()

    console(script)


def test_a_question_that_is_put_away_ends_calmly(guest: Any, console: Run) -> None:
    lock(guest.identity)

    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: len(hands.app.screen_stack) > 1, "the question")
        await hands.pilot.press("escape")
        await hands.shows("was not unlocked")
        await hands.shows("ssh-add")

    console(script)


def test_the_guest_learns_of_the_size(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        await hands.pilot.resize_terminal(100, 40)
        emulator = hands.view.emulator
        await hands.until(lambda: emulator.columns == 100 and guest.sizes[-1] == (100, emulator.rows))
        assert emulator.rows > 30

    console(script)


def test_much_output_is_held_back_and_nothing_is_lost(guest: Any, console: Run) -> None:
    async def script(hands: Any) -> None:
        await guest.listen()
        hands.pane.open("m1")
        await hands.until(lambda: hands.pane._current)
        await hands.connected()
        most = 0

        def look() -> bool:
            nonlocal most
            most = max(most, hands.view.backlog)
            return "line 39999" in hands.view.emulator.texts()

        await hands.type("flood 40000")
        await hands.until(look)
        assert most < 1 << 19
        lines = [line for line in hands.view.emulator.texts() if line.startswith("line ")]
        assert lines[-5000:] == [f"line {number}" for number in range(35000, 40000)]

    console(script)


def test_the_list_says_what_to_do_where_nothing_runs(console: Run) -> None:
    async def script(hands: Any) -> None:
        machines = hands.pane.query_one(Machines)
        await hands.until(lambda: machines.option_count)
        assert isinstance(machines, OptionList)
        assert "No machine is running" in str(machines.get_option_at_index(0).prompt)

    console(script)
