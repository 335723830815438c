"""The build pane: every action of it, in the app itself; the stages are stood in for where a test must control them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import Made
from textual.pilot import Pilot
from textual.widgets import Static
from waiting import LIMIT, until

from thanos_tui import builds
from thanos_tui.editing.document import Document
from thanos_tui.errors import BuildError, HostError
from thanos_tui.events import Reporter
from thanos_tui.files import state_dir
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.build.pane import BuildPane
from thanos_tui.tui.dialogs import Choices
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.styled import plain

Drive = Callable[..., None]


class App(ThanosApp):
    """The app, which remembers what was copied, told and opened instead of doing it."""

    def __init__(self, output: Path, document: Document | None = None) -> None:
        super().__init__(document or Document.new(directory=Path.cwd()), output)
        self.copied: list[tuple[str, str]] = []
        self.booted: list[tuple[builds.Build, str]] = []
        self.consoles: list[str] = []

    def copy(self, text: str, what: str) -> None:
        self.copied.append((text, what))

    async def boot(self, build: builds.Build, output: str) -> None:
        self.booted.append((build, output))

    async def open_console(self, machine: str) -> None:
        self.consoles.append(machine)


@pytest.fixture
def app(tmp_path: Path) -> App:
    path = tmp_path / "work" / "box.thanos"
    path.write_text("thanos: 1\noptions:\n  hostname: box\n")
    return App(tmp_path / "out", Document.open(path))


async def opened(pilot: Pilot[Any]) -> BuildPane:
    app = pilot.app
    assert isinstance(app, App)
    pane: BuildPane = await app.show("build")
    await until(pilot, lambda: head(pane) != "")  # which is drawn once it is known what was built before
    return pane


async def built(pilot: Pilot[Any], key: str = "b") -> BuildPane:
    pane = await opened(pilot)
    before = pane._run
    await pilot.press(key)
    await until(pilot, lambda: pane._run is not None and pane._run is not before and not pane.building)
    return pane


def shown(pane: BuildPane, name: str) -> str:
    lines = pane.query_one(f"#{name}", Lines)
    return "\n".join(plain(lines[index]) for index in range(len(lines)))


def head(pane: BuildPane) -> str:
    return str(pane.query_one("#head").render())


def footer(pane: BuildPane) -> set[str]:
    return {binding.binding.action for binding in pane.screen.active_bindings.values() if binding.enabled}


def test_a_build_shows_its_steps_its_log_and_its_outcome(drive: Drive, app: App, made: Made) -> None:
    def script(reporter: Reporter) -> None:
        with reporter.step("segments", "Compress components", 1000, "bytes") as step:
            step.advance(430)
            step.item("services[0]", 10, 20)
            step.log("[b]a line[/b] of \x1b[31mnarration\x1b[0m")
            made.pause()

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        assert "Nothing is being built" in head(pane)
        await pilot.press("b")
        await until(pilot, made.waits.is_set)
        await until(pilot, lambda: "services[0]" in shown(pane, "steps"))
        assert "430 bytes of 1.0 kB" in shown(pane, "steps")
        assert "[b]a line[/b] of narration" in shown(pane, "log")
        assert head(pane).lstrip("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ").startswith("Building box")
        await until(pilot, lambda: pane.status.startswith("building "))
        assert "building" in str(app.query_one("#status").render())
        assert {"cancel"} == footer(pane) & {"start", "cancel", "retry", "boot"}
        made.goes.set()
        await until(pilot, lambda: not pane.building)
        assert "Built box" in head(pane)
        assert pane.status == ""
        report = shown(pane, "report")
        assert "box-kernel" in report
        assert "sha256 kkkk" in report
        assert "Size by component: 10.0 MB compressed" in report
        assert pane.query_one("#report").has_focus
        await pilot.press("d")
        assert pane.query_one("#steps").has_focus
        assert "Compress components" in shown(pane, "steps")

    drive(app, play)
    assert (made.orders[0]["offline"], made.orders[0]["update"]) == (False, False)
    assert made.orders[0]["output"] == app.output


def test_cancelling_once_is_enough_and_retrying_goes_on(drive: Drive, app: App, made: Made) -> None:
    def script(reporter: Reporter) -> None:
        with reporter.step("tools", "Unpack mtools"):
            pass
        with reporter.step("segments", "Compress components", 10, "items"):
            made.waits.set()
            while len(made.orders) == 1:
                reporter.check()
                threading.Event().wait(0.01)

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await pilot.press("b")
        await until(pilot, made.waits.is_set)
        await pilot.press("x")
        await until(pilot, lambda: not pane.building)
        assert "Stopped" in head(pane)
        assert pane.status == ""
        assert "stopped" in shown(pane, "steps")
        assert not pane.query_one("#trouble").has_class("-shown")
        await pilot.press("r")
        await until(pilot, lambda: len(made.orders) == 2 and not pane.building)
        assert "Built box" in head(pane)

    drive(app, play)


def test_a_failure_is_told_calmly_and_retried_from_its_step(drive: Drive, app: App, made: Made) -> None:
    def script(reporter: Reporter) -> None:
        if len(made.orders) == 1:
            with reporter.step("images/a", "Make the image a"):
                pass
        with reporter.step("segments", "Compress components"):
            if len(made.orders) == 1:
                raise HostError("the disk is full", hint="free some space", where="services[1]")
            made.pause()

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await built(pilot)
        assert "The build of box failed" in head(pane)
        trouble = str(pane.query_one("#trouble").render())
        assert trouble == "services[1]: the disk is full\nfree some space\nr tries again"
        assert "the disk is full" in shown(pane, "log")
        assert "Traceback" not in shown(pane, "log")
        pane.query_one("#log").focus()
        await pilot.press("e")
        await pilot.press("r")
        await until(pilot, made.waits.is_set)
        await until(pilot, lambda: "Compress" in shown(pane, "steps"))
        assert "already done" in shown(pane, "steps")
        assert not pane.query_one("#trouble").has_class("-shown")
        made.goes.set()
        await until(pilot, lambda: not pane.building)
        assert "Built box" in head(pane)

    drive(app, play)


def test_a_fault_of_our_own_is_one_sentence_and_goes_to_the_log_file(drive: Drive, app: App, made: Made) -> None:
    def script(reporter: Reporter) -> None:
        raise ZeroDivisionError("a secret detail")

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await built(pilot)
        trouble = str(pane.query_one("#trouble").render())
        assert trouble.startswith("the build ended on a fault of its own (ZeroDivisionError)")
        assert "app.log" in trouble

    drive(app, play)
    said = (state_dir() / "app.log").read_text()
    assert "ZeroDivisionError: a secret detail" in said


def test_one_can_go_on_configuring_and_is_told_so(drive: Drive, app: App, made: Made) -> None:
    made.script = lambda _reporter: made.pause()

    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await pilot.press("b")
        await until(pilot, made.waits.is_set)
        app.document.set("hostname", "other")
        await until(pilot, lambda: "changed since this build began" in head(pane))
        app.document.undo()
        await until(pilot, lambda: "changed since" not in head(pane))
        app.document.redo()
        await pilot.press("1")
        made.goes.set()
        await until(pilot, lambda: not pane.building)
        assert any("box is built" in note.message for note in app._notifications)
        assert "changed since it began" in head(pane)

    drive(app, play)
    assert made.orders[0]["profile"].resolved["hostname"].value == "box"


def test_what_changed_since_the_last_build(drive: Drive, app: App, made: Made) -> None:
    async def play(pilot: Pilot[Any]) -> None:
        pane = await built(pilot)
        assert "Changed since" not in shown(pane, "report")
        app.document.set("hostname", "other")
        made.parts = (*made.parts[:1], *made.parts[2:])
        await built(pilot)
        report = shown(pane, "report")
        assert "in the config" in report
        assert "etc/hostname" in report
        assert "-2.0 MB since the last build" in report
        assert "gone: -2.0 MB" in report
        await built(pilot)
        assert "nothing in the config" in shown(pane, "report")

    drive(app, play, size=(120, 60))


def test_the_last_build_is_there_when_the_app_starts_again(drive: Drive, app: App, made: Made) -> None:
    async def first(pilot: Pilot[Any]) -> None:
        await built(pilot)

    async def second(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await until(pilot, lambda: "Size by component" in shown(pane, "report"))
        assert "box-kernel" in shown(pane, "report")
        assert pane.screen.focused is pane.query_one("#report")
        await pilot.press("m")
        await pilot.pause()

    drive(app, first)
    again = App(app.output, Document.open(app.document.path or Path()))
    drive(again, second)
    assert again.booted[0][1] == str(app.output / "box-kernel")


def test_booting_copying_and_showing_where_it_is(
    drive: Drive, app: App, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    async def play(pilot: Pilot[Any]) -> None:
        await built(pilot)
        await pilot.press("down", "p", "h", "m", "v")
        await until(pilot, lambda: len(app.copied) == 3 and app.booted)

    drive(app, play)
    initrd = str(app.output / "box-initrd.img")
    assert app.copied[:2] == [(initrd, "the path of box-initrd.img"), ("i" * 64, "the SHA-256 of box-initrd.img")]
    assert app.copied[2][0] == str(app.output)
    build, output = app.booted[0]
    assert output == str(app.output / "box-kernel")
    assert build == builds.builds()[0]


def test_revealing_asks_the_desktop_where_there_is_one(
    drive: Drive, app: App, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/revealed\n')
    program.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    async def play(pilot: Pilot[Any]) -> None:
        await built(pilot)
        await pilot.press("v")
        await until(pilot, (tmp_path / "revealed").exists)

    drive(app, play)
    assert (tmp_path / "revealed").read_text().strip() == str(app.output)


def test_the_console_of_a_machine_that_runs_it(
    drive: Drive, app: App, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from thanos_tui import vm

    running: list[SimpleNamespace] = []
    monkeypatch.setattr(vm, "machines", lambda: tuple(running))

    async def play(pilot: Pilot[Any]) -> None:
        await built(pilot)
        await pilot.press("t")
        await until(pilot, lambda: any("No machine runs this" in note.message for note in app._notifications))
        running.append(SimpleNamespace(name="other", alive=True, image="/elsewhere"))
        running.append(SimpleNamespace(name="box", alive=True, image=str(app.output / "box-kernel")))
        await pilot.press("t")
        await until(pilot, lambda: app.consoles)

    drive(app, play)
    assert app.consoles == ["box"]


def test_offline_renewing_and_another_directory(drive: Drive, app: App, made: Made, tmp_path: Path) -> None:
    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await pilot.press("O")
        assert "· offline" in head(pane)
        await pilot.press("U")
        assert "· offline" not in head(pane)
        assert "renewing the lock" in head(pane)
        await pilot.press("D")
        await pilot.pause()
        await pilot.press("ctrl+u", *str(tmp_path / "there"), "enter")
        await until(pilot, lambda: "there" in head(pane))
        await built(pilot)
        await pilot.press("O")
        await built(pilot)

    drive(app, play)
    assert [(order["offline"], order["update"]) for order in made.orders] == [(False, True), (True, False)]
    assert made.orders[0]["output"] == tmp_path / "there"


def test_one_build_at_a_time_from_wherever(drive: Drive, app: App, made: Made) -> None:
    made.script = lambda _reporter: made.pause()

    async def play(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+b")
        await until(pilot, made.waits.is_set)
        await pilot.press("ctrl+b")
        await until(pilot, lambda: any("under way" in note.message for note in app._notifications))
        made.goes.set()
        pane = await app.pane("build")
        await until(pilot, lambda: not pane.building)

    drive(app, play)
    assert len(made.orders) == 1


def test_leaving_the_app_stops_the_build(drive: Drive, app: App, made: Made) -> None:
    stopped = threading.Event()

    def script(reporter: Reporter) -> None:
        made.waits.set()
        while True:
            if reporter.cancelled:
                stopped.set()
            reporter.check()
            threading.Event().wait(0.01)

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await pilot.press("b")
        await until(pilot, made.waits.is_set)

    drive(app, play)
    assert stopped.wait(LIMIT)


def test_quitting_asks_while_it_builds(drive: Drive, app: App, made: Made) -> None:
    go_on = threading.Event()

    def script(reporter: Reporter) -> None:
        made.waits.set()
        while not go_on.wait(0.01):
            reporter.check()

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await pilot.press("b")
        await until(pilot, made.waits.is_set)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choices))
        assert "Leave while the build is under way?" in str(pilot.app.screen.query_one("#question", Static).content)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Choices))
        assert pilot.app.query_one(BuildPane).building
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choices))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app._exit)

    drive(app, play)
    go_on.set()


def test_the_log_takes_all_that_comes_while_keys_still_work(drive: Drive, app: App, made: Made) -> None:
    def script(reporter: Reporter) -> None:
        with reporter.step("images", "Many lines") as step:
            for number in range(60_000):
                step.log(f"line {number}")
        made.pause()

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await pilot.press("b")
        await until(pilot, lambda: made.waits.is_set() and len(pane.query_one("#log", Lines)) == 60_002)
        pane.query_one("#log").focus()
        await pilot.press("slash", *"line 31415")
        await until(pilot, lambda: pane.query_one("#log", Lines).hits == 1)
        await pilot.press("enter", "z")
        assert pane.has_class("-top")
        await pilot.press("z")
        assert pane.has_class("-log")
        await pilot.press("z")
        assert not pane.has_class("-log")
        made.goes.set()
        await until(pilot, lambda: not pane.building)

    drive(app, play)


def test_without_any_key_one_is_asked_for_a_pair(drive: Drive, app: App, made: Made, home: Path) -> None:
    (home / ".ssh" / "id_ed25519.pub").unlink()

    async def play(pilot: Pilot[Any]) -> None:
        pane = await opened(pilot)
        await pilot.press("b")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert pane._run is None
        await pilot.press("b")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("m")
        await until(pilot, lambda: pane._run is not None and not pane.building)

    drive(app, play)
    assert made.orders[0]["profile"].resolved["sshd.generate-key"].value is True


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
def test_it_fits_every_size(drive: Drive, app: App, made: Made, size: tuple[int, int]) -> None:
    def script(reporter: Reporter) -> None:
        raise BuildError("it broke", hint="mend it\nand again")

    made.script = script

    async def play(pilot: Pilot[Any]) -> None:
        pane = await built(pilot)
        made.script = lambda _reporter: None
        await built(pilot)
        for name in ("report", "log"):
            assert pane.query_one(f"#{name}").size.height >= 1
        await pilot.resize_terminal(60, 20)
        await pilot.pause()

    drive(app, play, size=size)
