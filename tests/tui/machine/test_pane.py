"""Every action of the machine pane, by its keys, with real machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList, Static
from waiting import until

from thanos_tui import vm
from thanos_tui.builds import Build
from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.images import tools
from thanos_tui.tui import look
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.choosing import ChooseFile
from thanos_tui.tui.dialogs import Choices, Tell
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.machine.form import StartForm
from thanos_tui.tui.machine.list import MachineList
from thanos_tui.tui.machine.pane import MachinePane
from thanos_tui.tui.machine.screen import ScreenView
from thanos_tui.tui.machine.views import VIEWS, ViewLine, Views
from thanos_tui.tui.styled import plain
from thanos_tui.vm import Machine, input
from thanos_tui.vm.input import Button, Point

Drive = Callable[..., None]
Start = Callable[..., Machine]


async def at_machines(pilot: Any) -> MachinePane:
    """The pane of machines, once it knows those that there are."""
    await pilot.press("4")
    pane = await pilot.app.pane("machine")
    assert isinstance(pane, MachinePane)
    wanted = [machine.name for machine in vm.machines()]
    await until(pilot, lambda: [machine.name for machine in pane.query_one(MachineList).machines] == wanted)
    await pilot.pause()
    return pane


def lines(pane: MachinePane, view: str) -> str:
    shown = pane.query_one(f"#{view}", Lines)
    return "\n".join(plain(shown[number]) for number in range(len(shown)))


def on_screen(pane: MachinePane) -> str:
    """What the live view shows, as text."""
    frame = pane.query_one(ScreenView).frame
    return "\n".join(strip.text.rstrip() for strip in frame.strips) if frame else ""


def serial(machine: Machine) -> bytes:
    return (machine.directory / "serial.log").read_bytes()


def notices(app: ThanosApp) -> list[str]:
    return [f"{each.title} {each.message}" for each in app._notifications]


def test_without_machines_it_says_how_to_get_one(app: ThanosApp, drive: Drive, build: Callable[..., Build]) -> None:
    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        said = pane.query_one("#none", Static)
        await until(pilot, lambda: "no machine yet. Build one first" in str(said.content))
        for key in ("x", "R", "t", "p"):
            await pilot.press(key)
        assert any("there is no machine" in each for each in notices(app))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        await pilot.press("escape")
        build()
        await pilot.press("1", "4")
        await until(pilot, lambda: "b boots tiny-bios.img" in str(said.content))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        assert "tiny-bios.img" in str(app.screen.query_one(OptionList).get_option_at_index(0).prompt)

    drive(app, script)


def test_a_build_is_booted_watched_and_typed_into(app: ThanosApp, drive: Drive, build: Callable[..., Build]) -> None:
    made = build("echo", "ready\n")

    async def script(pilot: Any) -> None:
        await app.boot(made, made.outputs[0])
        pane = await app.pane("machine")
        await until(pilot, lambda: "tiny: up" in pane.status)
        machine = vm.find("tiny")
        assert (machine.record.memory_mib, machine.record.cpus) == (32, 1)
        assert "tiny" in lines(pane, "machines")
        await until(pilot, lambda: "Booting from Hard Disk" in on_screen(pane))
        view = pane.query_one(ScreenView)
        assert "720x400, text" in view.summary().plain

        # Grabbed, every key goes to the machine, those of the app too; Ctrl+] is the way out.
        view.focus()
        await pilot.press("enter")
        await until(pilot, lambda: view.grabbed)
        assert not pane.query_one("#machines").display
        await pilot.press("H", "i", "exclamation_mark", "q", "4", "question_mark")
        view.post_message(paste(" pasted"))
        await until(pilot, lambda: b"Hi!q4? pasted" in serial(machine))
        await until(pilot, lambda: "Hi!q4? pasted" in on_screen(pane))
        await pilot.press("ü")
        await until(pilot, lambda: any("no key of a US keyboard" in each for each in notices(app)))
        await pilot.press("ctrl+right_square_bracket")
        assert not view.grabbed
        assert pane.query_one("#machines").display
        assert app.shown == "machine"
        await pilot.press("c")
        await until(pilot, lambda: "Hi!q4? pasted" in app.clipboard)

    drive(app, script)


def paste(text: str) -> Any:
    from textual.events import Paste

    return Paste(text)


def test_the_picture_can_be_moved_about(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("echo", "ready\n")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        view = pane.query_one(ScreenView)
        await until(pilot, lambda: view.frame is not None and view.frame.is_text and "Booting" in on_screen(pane))
        view.focus()

        async def press(key: str, so: Callable[[], object]) -> None:
            await pilot.press(key)
            await until(pilot, so)

        def part() -> tuple[float, ...]:
            assert view.frame is not None
            return view.frame.part

        await press("m", lambda: view.frame and not view.frame.is_text)
        assert part() == (0, 0, 1, 1)
        await press("plus", lambda: part()[2] == 0.5)
        await press("plus", lambda: part()[2] == 0.25)
        middle = part()
        await press("left", lambda: part()[0] < middle[0])
        await press("up", lambda: part()[1] < middle[1])
        await press("right", lambda: part()[0] == middle[0])
        await press("down", lambda: part()[1] == middle[1])
        await press("minus", lambda: part()[2] == 0.5)
        await press("0", lambda: part() == (0, 0, 1, 1))
        await press("m", lambda: view.frame and view.frame.is_text)

    drive(app, script)


def test_without_colours_and_in_ascii_the_screen_is_seen_too(
    home: Path, drive: Drive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("echo", "ready\n")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("THANOS_TUI_ASCII", "1")
    monkeypatch.setattr(look, "_current", None)
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        view = pane.query_one(ScreenView)
        await until(pilot, lambda: "Booting from Hard Disk" in on_screen(pane))
        view.focus()
        await pilot.press("m")
        await until(pilot, lambda: view.frame is not None and not view.frame.is_text)
        await pilot.pause()
        assert on_screen(pane).isascii()
        assert on_screen(pane).strip()
        for _ in VIEWS:
            await pilot.press("v")
            await pilot.pause(0.2)

    drive(app, script)
    vm.stop(vm.find("tiny"), patience=0)


def test_clicks_go_where_they_are_seen(
    app: ThanosApp, drive: Drive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("deaf")
    done: list[tuple[Button, Point, bool]] = []
    moved: list[Point] = []
    monkeypatch.setattr(input, "button", lambda _, which, point, *, down: done.append((which, point, down)))
    monkeypatch.setattr(input, "move", lambda _, point: moved.append(point))

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        view = pane.query_one(ScreenView)
        await until(pilot, lambda: view.frame is not None)
        await pilot.click(view)  # takes hold of keyboard and mouse
        assert view.grabbed
        assert not done
        await until(pilot, lambda: view.frame is not None and len(view.frame.strips) == view.size.height)
        assert view.frame is not None
        await pilot.click(view, offset=(20, 3))
        await until(pilot, lambda: len(done) == 2)
        point = view.frame.point(20, 3)
        assert done == [("left", point, True), ("left", point, False)]
        # Let go outside of the picture, the button is up all the same.
        await pilot.mouse_down(view, offset=(20, 3))
        await pilot.mouse_up(pane.query_one(ViewLine), offset=(0, 0))
        await until(pilot, lambda: len(done) == 4)
        assert done[2:] == [("left", point, True), ("left", point, False)]
        await pilot.hover(view, offset=(30, 5))
        await until(pilot, lambda: view.frame and moved and moved[-1] == view.frame.point(30, 5))

    drive(app, script)


def test_the_views_show_log_boot_and_details(app: ThanosApp, drive: Drive, start: Start) -> None:
    machine = start("deaf", "thanos: onboot 000-first\nmore words\n")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "more words" in lines(pane, "log"))
        await pilot.press("v")
        await until(pilot, lambda: "onboot 000-first" in lines(pane, "boot"))
        assert "firmware and kernel" in lines(pane, "boot")
        await pilot.press("v")
        await until(pilot, lambda: f"127.0.0.1:{machine.ssh_port}" in lines(pane, "details"))
        pane.query_one("#details").focus()
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.clipboard == f"127.0.0.1:{machine.ssh_port}")
        await pilot.press("V")
        assert pane.query_one(Views).current == "boot"
        assert app.focused is pane.query_one("#boot")
        await pilot.click(pane.query_one(ViewLine), offset=(12, 0))
        assert pane.query_one(Views).current == "log"
        await pilot.press("y")
        await until(pilot, lambda: any("SSH server" in each for each in notices(app)))

    drive(app, script)


@pytest.mark.parametrize(("ending", "presses", "how"), [("polite", 1, "powered off"), ("deaf", 2, "quit")])
def test_stop_asks_and_asked_again_insists(
    app: ThanosApp, drive: Drive, start: Start, ending: str, presses: int, how: str
) -> None:
    machine = start(ending)

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await until(pilot, lambda: b"Welcome" in serial(machine))
        await pilot.press("x")
        for _ in range(presses - 1):
            await until(pilot, lambda: "pressing its power button" in lines(pane, "machines"))
            await pilot.press("x")
        await until(pilot, lambda: any(f"tiny: {how}" in each for each in notices(app)))
        await until(pilot, lambda: "stopped" in lines(pane, "machines"))
        assert pane.status == ""
        # That was no surprise.
        assert not [each for each in notices(app) if "has ended" in each or "has crashed" in each]
        await pilot.press("x")
        assert any("does not run" in each for each in notices(app))

    drive(app, script)


def test_the_reset_button_starts_it_again(app: ThanosApp, drive: Drive, start: Start) -> None:
    machine = start("deaf", "Welcome\n")

    async def script(pilot: Any) -> None:
        await at_machines(pilot)
        await until(pilot, lambda: b"Welcome" in serial(machine))
        await pilot.press("R")
        await until(pilot, lambda: serial(machine).count(b"Welcome") == 2)

    drive(app, script)


def test_a_machine_that_ends_by_itself_is_told_of_with_its_last_words(
    app: ThanosApp, drive: Drive, start: Start
) -> None:
    start("polite", "famous last words\n")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        machine = vm.find("tiny")
        await until(pilot, lambda: b"words" in serial(machine))
        await asyncio.to_thread(vm.stop, machine)  # not by the pane
        await until(pilot, lambda: any("famous last words" in each for each in notices(app)))
        assert any("tiny has ended: it powered off" in each for each in notices(app))
        assert pane.query_one(Views).current == "log"
        await until(pilot, lambda: lines(pane, "log").endswith("tiny has stopped: it powered off"))

    drive(app, script)


def test_an_ended_machine_is_started_again_with_other_settings(app: ThanosApp, drive: Drive, start: Start) -> None:
    vm.stop(start("deaf"), patience=0)

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        pane.focus_first()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StartForm))
        form = app.screen
        assert form.query_one("#memory", Input).value == "32"
        form.query_one("#memory", Input).value = "lots"
        await pilot.press("enter")
        assert app.screen is form
        assert "from 16 to" in str(form.query_one("#verdict", Static).content)
        form.query_one("#memory", Input).value = "40"
        form.query_one("#ports", Input).value = "0:0"
        await pilot.press("ctrl+s")
        assert "HOST:GUEST" in str(form.query_one("#verdict", Static).content)
        form.query_one("#ports", Input).value = ""
        await pilot.press("down", "up", "enter")
        await until(pilot, lambda: "tiny: up" in pane.status)
        assert vm.find("tiny").record.memory_mib == 40

    drive(app, script)


def test_an_image_of_any_name_can_be_booted(app: ThanosApp, drive: Drive, image: Callable[..., Path]) -> None:
    path = image(name="other")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StartForm))
        app.screen.query_one("#memory", Input).value = "32"
        await pilot.click("#start")
        await until(pilot, lambda: "other: up" in pane.status)

    drive(app, script)


def test_remove_asks_first_and_not_while_it_runs(app: ThanosApp, drive: Drive, start: Start) -> None:
    machine = start("deaf")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        await pilot.press("escape")
        await asyncio.to_thread(vm.stop, machine, patience=0)
        await until(pilot, lambda: "stopped" in lines(pane, "machines"))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("escape")
        assert vm.machines()
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("enter")
        await until(pilot, lambda: not pane.query_one(MachineList).machines)
        assert not machine.directory.exists()
        said = pane.query_one("#none", Static)
        await until(pilot, lambda: "no machine yet. Build one first" in str(said.content))

    drive(app, script)


def test_its_screen_is_saved_and_its_console_opened(
    app: ThanosApp, drive: Drive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("deaf")
    opened: list[str] = []

    async def open_console(name: str) -> None:
        opened.append(name)

    monkeypatch.setattr(app, "open_console", open_console)

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await pilot.press("p")
        await until(pilot, lambda: Path("tiny.png").exists())
        assert Path("tiny.png").read_bytes().startswith(b"\x89PNG")
        await pilot.press("t")
        await until(pilot, lambda: opened == ["tiny"])
        pane.focus_first()
        await pilot.press("enter")
        await until(pilot, lambda: opened == ["tiny", "tiny"])

    drive(app, script)


def test_several_machines_are_chosen_from(app: ThanosApp, drive: Drive, start: Start) -> None:
    start("deaf", "words of one\n", "one")
    start("deaf", "words of two\n", "two")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        assert pane.status == "2 machines up"
        assert pane.query_one(MachineList).chosen == "one"
        await pilot.press("v")
        await until(pilot, lambda: "words of one" in lines(pane, "log"))
        pane.focus_first()
        await pilot.press("down")
        await until(pilot, lambda: lines(pane, "log").strip() == "words of two")
        assert pane.query_one(MachineList).chosen == "two"
        await pilot.press("up")
        await until(pilot, lambda: lines(pane, "log").strip() == "words of one")

    drive(app, script)


# --- what can go wrong ---


def told(app: ThanosApp, message: str) -> bool:
    return isinstance(app.screen, Tell) and message in app.screen.error.message


@pytest.fixture
def failing(app: ThanosApp, drive: Drive) -> Callable[..., None]:
    """Boots a build and expects to be told of an error; no machine is left behind."""

    def run(build: Build, message: str) -> None:
        async def script(pilot: Any) -> None:
            await app.boot(build, build.outputs[0])
            await until(pilot, lambda: told(app, message))
            await pilot.press("escape")
            pane = await app.pane("machine")
            await until(pilot, lambda: not pane.query_one("#activity").has_class("-busy"))
            assert not [machine for machine in vm.machines() if machine.name == build.name]

        drive(app, script)

    return run


def test_a_missing_image_is_told(failing: Callable[..., None], build: Callable[..., Build]) -> None:
    made = build()
    Path(made.outputs[0]).unlink()
    failing(made, "nothing to boot")


def test_a_missing_qemu_is_told(
    failing: Callable[..., None], build: Callable[..., Build], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure(_programs: object, _reporter: object) -> None:
        raise HostError("the program qemu-system-x86_64 is not installed", hint="install it")

    monkeypatch.setattr(tools, "ensure", ensure)
    failing(build(), "qemu-system-x86_64 is not installed")


def test_a_taken_port_is_told(app: ThanosApp, drive: Drive, start: Start) -> None:
    one = start("deaf", name="one")
    vm.stop(start("deaf", name="two"), patience=0)

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        machines = pane.query_one(MachineList)
        machines.go_to([machine.name for machine in machines.machines].index("two"))
        await until(pilot, lambda: machines.chosen == "two")
        pane.focus_first()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StartForm))
        app.screen.query_one("#ssh", Input).value = str(one.ssh_port)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: told(app, "is taken by the machine one"))

    drive(app, script)


def test_a_machine_that_cannot_be_seen_says_why(
    app: ThanosApp, drive: Drive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = start("deaf")

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        view = pane.query_one(ScreenView)
        await until(pilot, lambda: view.frame is not None)
        (machine.directory / "qmp.sock").rename(machine.directory / "away.sock")
        await until(pilot, lambda: any("no QEMU listens" in view.render_line(y).text for y in range(view.size.height)))
        await pilot.press("R")
        await until(pilot, lambda: told(app, "no QEMU listens"))
        (machine.directory / "away.sock").rename(machine.directory / "qmp.sock")
        await pilot.press("escape")
        await until(pilot, lambda: view.frame is not None)
        await asyncio.to_thread(vm.stop, machine, patience=0)
        await until(pilot, lambda: pane.query_one(Views).current == "log")
        pane.query_one(Views).show("screen")
        await until(pilot, lambda: any("does not run" in view.render_line(y).text for y in range(view.size.height)))

    drive(app, script)


def test_nothing_is_asked_of_a_machine_that_nobody_sees(
    app: ThanosApp, drive: Drive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("deaf")
    looked: list[Machine] = []
    picture = vm.picture
    monkeypatch.setattr(vm, "picture", lambda machine: (looked.append(machine), picture(machine))[1])

    async def script(pilot: Any) -> None:
        pane = await at_machines(pilot)
        await until(pilot, lambda: looked)
        hide: tuple[Callable[[], Awaitable[None]], ...] = (lambda: pilot.press("v"), lambda: pilot.press("1"))
        for act in hide:
            await act()
            # What is under way then comes to its end.
            for _ in range(10):
                before = len(looked)
                await pilot.pause(1)
                if len(looked) == before:
                    break
            assert len(looked) == before
            await pilot.press("4")
            pane.query_one(Views).show("screen")
            await until(pilot, lambda before=before: len(looked) > before)

    drive(app, script)
