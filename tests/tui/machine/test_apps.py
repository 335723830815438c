"""The apps of a machine, in its pane: a real Docker engine behind SSH, and a machine that only has to run."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from engines import PROBE, Dockerd, serve
from engines import dockerd as dockerd
from engines import probe as probe
from engines import with_probe as with_probe
from servers import InProcess
from servers import identity as identity
from servers import server as server
from textual.widgets import Input, Static
from waiting import until

from thanos_tui import apps, reach, vm
from thanos_tui.apps import AppState, Engine
from thanos_tui.apps.engine import SOCKET
from thanos_tui.console import Target
from thanos_tui.events import Reporter
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.choosing import ChooseFile
from thanos_tui.tui.dialogs import Choices, Prompt, Tell
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.lineview import LineView
from thanos_tui.tui.machine import services
from thanos_tui.tui.machine.applog import AppLog
from thanos_tui.tui.machine.apps import AppsView
from thanos_tui.tui.machine.asking import Choice
from thanos_tui.tui.machine.list import MachineList
from thanos_tui.tui.machine.running import RunForm
from thanos_tui.tui.machine.services import ServiceLines
from thanos_tui.tui.styled import plain
from thanos_tui.vm import Machine
from thanos_tui.wiring import App

pytestmark = pytest.mark.network

Drive = Callable[..., None]
WORD = "open"


@pytest.fixture
def machine(start: Callable[..., Machine]) -> Machine:
    """A machine that runs; what is behind its SSH port, the tests say."""
    return start("deaf")


@pytest.fixture
def lead_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Target], None]:
    """Lets SSH to our machines lead to a server of the tests."""

    def lead(target: Target) -> None:
        monkeypatch.setattr(reach, "reach_ours", lambda *_: target)

    return lead


@pytest.fixture
def docker(
    machine: Machine,
    server: InProcess,
    with_probe: Dockerd,
    tmp_path: Path,
    lead_to: Callable[[Target], None],
) -> Iterator[Dockerd]:
    """The Docker of that machine, which has the image PROBE, a screen and no sound."""
    root = tmp_path / "machine"
    target = serve(server, {SOCKET: with_probe.socket}, root)
    for sign in ("run/stark", "tmp/.X11-unix"):
        (root / sign).mkdir(parents=True)
    (root / "run/stark/Xauthority").touch()
    lead_to(target)
    yield with_probe
    with_probe.clear()


async def at_apps(pilot: Any) -> AppsView:
    """The view of apps, in which the keys count."""
    await pilot.press("4")
    pane = await pilot.app.pane("machine")
    await until(pilot, lambda: pane.query_one(MachineList).machines)
    await pilot.press("a")
    view = pane.query_one(AppsView)
    await until(pilot, lambda: pilot.app.focused is view.query_one("#app-list"))
    return view


def listed(view: AppsView) -> str:
    return _text(view.query_one("#app-list", Lines))


def log(view: AppsView) -> str:
    return _text(view.query_one(AppLog))


def _text(lines: LineView) -> str:
    return "\n".join(plain(lines[number]) for number in range(len(lines)))


def notices(app: ThanosApp) -> str:
    return "\n".join(f"{each.title} {each.message}" for each in app._notifications)


async def fill(pilot: Any, source: str, **more: str) -> RunForm:
    """The form for running an app, filled in."""
    await pilot.press("r")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunForm))
    form = pilot.app.screen
    for field, text in {"source": source, **more}.items():
        form.query_one(f"#{field}", Input).value = text
    return form


def plain_app(docker: Dockerd, name: str, *command: str) -> None:
    """An app without wiring, which the pane has not started itself."""
    docker.cli("run", "--detach", "--network=none", "--label=io.thanos.app=1", "--name", name, PROBE, *command)


def test_an_app_is_run_followed_halted_and_removed(app: ThanosApp, drive: Drive, docker: Dockerd) -> None:
    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        form = await fill(pilot, PROBE, command="sh -c 'echo one; echo \"two  words\"; sleep 600'", name="demo")
        # What the machine has for apps, the form knows.
        assert [form.query_one(f"#{part}", Choice).value for part in ("x11", "sound")] == ["yes", "no"]
        form.query_one("#x11", Choice).focus()
        await pilot.press("space")
        form.query_one("#restart", Choice).focus()
        await pilot.press("right", "ctrl+s")
        await until(pilot, lambda: "demo: Up" in notices(app), tell=lambda: notices(app))
        await until(pilot, lambda: "demo" in listed(view) and "Up" in listed(view))
        facts = docker.inspect("demo")
        assert facts["Config"]["Cmd"] == ["sh", "-c", 'echo one; echo "two  words"; sleep 600']
        assert facts["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
        assert not facts["HostConfig"]["Devices"]
        assert not [mount for mount in facts["Mounts"] if mount["Destination"] == "/tmp/.X11-unix"]
        await until(pilot, lambda: log(view) == "one\ntwo  words")
        assert "Log of demo" in str(view.query_one("#app-title", Static).content)
        assert view.query_one(AppLog).following
        await pilot.press("h")
        await until(pilot, lambda: "Exited" in listed(view), tell=lambda: (listed(view), notices(app), app.screen))
        await until(pilot, lambda: log(view).endswith("demo has ended"), tell=lambda: log(view))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("escape")
        assert "demo" in docker.cli("ps", "--all")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("enter")
        await until(pilot, lambda: "No app is here yet" in listed(view))
        assert "demo" not in docker.cli("ps", "--all")

    drive(app, script)


def test_an_app_is_started_again(app: ThanosApp, drive: Drive, docker: Dockerd) -> None:
    plain_app(docker, "demo", "sleep", "600")
    plain_app(docker, "fails", "sh", "-c", "echo cannot open display; exit 3")

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: view.app_chosen and view.app_chosen.name == "demo")
        before = docker.inspect("demo")["State"]["Pid"]
        await pilot.press("A")
        await until(pilot, lambda: "starting again" in listed(view))
        await until(pilot, lambda: "starting again" not in listed(view) and "Up" in listed(view))
        again = docker.inspect("demo")["State"]["Pid"]
        assert again not in (0, before)
        await pilot.press("space")
        await until(pilot, lambda: "starting" not in listed(view))
        assert docker.inspect("demo")["State"]["Pid"] == again
        docker.cli("kill", "demo")
        await until(pilot, lambda: "Exited (137)" in listed(view))
        await pilot.press("space")
        await until(pilot, lambda: "Up" in listed(view))
        # One that ends at once is told as when it is run, with the keys of this place.
        await pilot.press("down", "space")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        assert app.screen.error.message == "the app fails ended at once with status 3"
        said = str(app.screen.query_one("#hint", Static).content)
        assert "cannot open display" in said
        assert "it is still there: a (Machine: Apps); d (Apps: Remove app)" in said

    drive(app, script)


def service(name: str, state: str = "ready", seconds: int = 40, restarts: int = 0, note: str = "") -> dict[str, Any]:
    return {"name": name, "state": state, "pid": 7, "seconds": seconds, "restarts": restarts, "note": note}


def test_the_services_of_stark_are_seen(
    app: ThanosApp,
    drive: Drive,
    machine: Machine,
    server: InProcess,
    with_probe: Dockerd,
    tmp_path: Path,
    lead_to: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services, "_SOON", 0.1)
    monkeypatch.setattr(services, "_LATER", 0.1)
    sockets: dict[str, Path] = {}
    found = [service("docker", "starting", 12), service("xorg", "waiting", 3, 2), service("alsa")]
    answer: list[tuple[int, bytes, bytes]] = []
    lead_to(serve(server, sockets, tmp_path / "machine", lambda: answer[-1]))

    def say(*entries: dict[str, Any]) -> None:
        answer.append((0, json.dumps(entries).encode(), b""))

    async def script(pilot: Any) -> None:
        say(*found)
        view = await at_apps(pilot)
        line = view.query_one(ServiceLines)
        # While Docker is waited for, they are what there is to be seen.
        await until(pilot, lambda: line.display)
        waits = "● xorg waiting 3 s – started again 2 times"
        assert _text(line) == f" ● docker starting 12 s  {waits}  ● alsa "
        assert "Waiting for Docker on m1" in listed(view)
        sockets[SOCKET] = with_probe.socket
        say(*(service(each, note="full" if each == "alsa" else "") for each in ("docker", "xorg", "alsa")))
        await until(pilot, lambda: _text(line) == " ● docker  ● xorg  ● alsa – full ")
        await until(pilot, lambda: "No app is here yet" in listed(view))
        # Nobody asks while another view is shown.
        await pilot.press("v")
        await until(pilot, lambda: not line.display)
        await pilot.pause(0.5)
        say(service("docker", "stopped"))
        await pilot.press("a")
        await until(pilot, lambda: _text(line) == " ○ docker stopped 40 s ")
        # A stark that does not say is no trouble here.
        answer.append((1, b"", b"ctr: no"))
        await until(pilot, lambda: not line.display)
        assert "No app is here yet" in listed(view)
        say(*found)
        await until(pilot, lambda: line.display)

    drive(app, script)


def test_the_log_is_that_of_the_chosen_app(app: ThanosApp, drive: Drive, docker: Dockerd) -> None:
    plain_app(docker, "done", "sh", "-c", "echo words of done; exit 3")
    plain_app(docker, "talks", "sh", "-c", "i=0; while :; do echo word $i; i=$((i+1)); sleep 0.2; done")

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "Exited (3)" in listed(view) and "talks" in listed(view))
        await until(pilot, lambda: log(view) == "words of done")
        await pilot.press("down")
        await until(pilot, lambda: log(view).startswith("word 0\nword 1\n"))
        # It goes on as the app does, in the view that all logs have.
        seen = len(view.query_one(AppLog))
        await until(pilot, lambda: len(view.query_one(AppLog)) > seen)
        await pilot.press("enter")
        assert app.focused is view.query_one(AppLog)
        await pilot.press("slash", *"word 1", "enter")
        await until(pilot, lambda: view.query_one(AppLog).hits)
        # Nobody reads it while another view is shown, and all of it is there after that.
        await pilot.press("v")
        await pilot.press("a")
        before = log(view)
        await until(pilot, lambda: len(log(view)) > len(before) and log(view).startswith("word 0\nword 1\n"))
        await pilot.press("up")
        await until(pilot, lambda: log(view) == "words of done")

    drive(app, script)


def test_an_app_that_is_started_again_is_followed_again(app: ThanosApp, drive: Drive, docker: Dockerd) -> None:
    plain_app(docker, "mute", "sleep", "600")

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "Up" in listed(view))
        docker.cli("kill", "mute")
        await until(pilot, lambda: "Exited" in listed(view) and "ended" in log(view))
        await pilot.pause(2)
        assert log(view).count("mute has ended") == 1
        docker.cli("start", "mute")
        await until(pilot, lambda: "Up" in listed(view))
        docker.cli("kill", "mute")
        await until(pilot, lambda: "Exited" in listed(view))
        await pilot.pause(2)
        assert log(view).count("mute has ended") == 1

    drive(app, script)


def test_an_image_is_loaded_from_a_file_and_run_from_one(
    app: ThanosApp, drive: Drive, docker: Dockerd, probe: Path
) -> None:
    archive = Path("image.tar")
    archive.symlink_to(probe)
    docker.cli("image", "rm", PROBE)
    seen: list[str] = []

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        work = view.query_one("#app-work", Static)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = "image.tar"
        await pilot.press("enter")
        await until(pilot, lambda: seen.append(str(work.content)) or PROBE in notices(app))
        assert any("%" in each for each in seen)
        assert PROBE in docker.cli("images", "--format", "{{.Repository}}:{{.Tag}}")
        assert not view.has_class("-busy")

        # Picked in the form, it is run at once; its name is that of the image.
        await fill(pilot, "")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = "image.tar"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunForm) and app.screen.text("source").endswith("image.tar"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "probe" in listed(view) and "Up" in listed(view))
        assert docker.inspect("probe")["Config"]["Image"] == PROBE
        await until(pilot, lambda: log(view) == "begun")

    drive(app, script)


def test_the_form_says_what_cannot_be(app: ThanosApp, drive: Drive, docker: Dockerd) -> None:
    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        form = await fill(pilot, "")
        for field, text, reason in (
            ("source", "", "say which image"),
            ("source", "no image", "'no image' is not the name of an image"),
            ("command", "sh -c 'open", "no closing quotation"),
            ("name", "-", "'-' cannot be the name of an app"),
        ):
            form.query_one("#source", Input).value = PROBE
            form.query_one(f"#{field}", Input).value = text
            await pilot.press("ctrl+s")
            assert reason in str(form.query_one("#verdict", Static).content)
            form.query_one(f"#{field}", Input).value = ""
        await pilot.press("escape")
        assert docker.cli("ps", "--all", "--quiet") == ""

    drive(app, script)


@pytest.mark.parametrize(
    ("source", "command", "said"),
    [
        ("localhost/nothing/here:base", "", "here:base"),
        ("/nowhere/image.tar", "", "cannot read /nowhere/image.tar"),
        (PROBE, "no-such-program", "the app probe ended at once with status 127"),
        (PROBE, "sh -c 'echo cannot open display; exit 3'", "the app probe ended at once with status 3"),
    ],
)
def test_an_app_that_cannot_be_run_is_told(
    app: ThanosApp, drive: Drive, docker: Dockerd, source: str, command: str, said: str
) -> None:
    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        await fill(pilot, source, command=command)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        assert said in app.screen.error.message
        assert not view.under_way
        await pilot.press("escape")
        # What was asked for is still there, to be mended.
        form = await fill(pilot, source)
        assert form.text("command") == command

    drive(app, script)


def test_without_stark_it_says_how_to_get_it(
    app: ThanosApp, drive: Drive, machine: Machine, server: InProcess, tmp_path: Path, lead_to: Any
) -> None:
    target = serve(server, {}, tmp_path / "machine")
    shutil.rmtree(tmp_path / "machine/containers")
    lead_to(target)

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "it was built without stark" in listed(view))
        assert "stark=y" in listed(view)
        # Nothing here can be done then, and nothing is asked again and again.
        asked = len(server.connections)
        await pilot.press("r")
        assert "no connection to Docker" in notices(app)
        await pilot.press("h")
        assert "there is no app" in notices(app)
        await pilot.pause(5)
        assert len(server.connections) == asked

    drive(app, script)


def test_docker_is_waited_for_and_comes_back(
    app: ThanosApp, drive: Drive, machine: Machine, server: InProcess, with_probe: Dockerd, tmp_path: Path, lead_to: Any
) -> None:
    sockets: dict[str, Path] = {}
    lead_to(serve(server, sockets, tmp_path / "machine"))

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "Waiting for Docker on m1" in listed(view))
        sockets[SOCKET] = with_probe.socket
        await until(pilot, lambda: "No app is here yet" in listed(view))
        server.cut()
        await until(pilot, lambda: "was lost" in listed(view) or "cut off" in listed(view), tell=lambda: listed(view))
        await until(pilot, lambda: "No app is here yet" in listed(view))

    drive(app, script)


def test_there_is_one_connection_while_the_pane_is_seen(
    app: ThanosApp, drive: Drive, docker: Dockerd, server: InProcess, machine: Machine
) -> None:
    plain_app(docker, "talks", "sh", "-c", "while :; do echo word; sleep 0.2; done")

    def connections() -> int:
        return len([each for each in server.connections if not each.is_closed()])

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "word" in log(view))
        assert connections() == 1
        await pilot.press("v", "v")
        await pilot.pause(2)
        assert connections() == 1
        await pilot.press("1")
        await until(pilot, lambda: connections() == 0)
        await pilot.press("4", "a")
        await until(pilot, lambda: connections() == 1)
        await until(pilot, lambda: "word" in log(view))
        # A machine that is reset does not say goodbye.
        before = server.connections[-1]
        await pilot.press("R")
        await until(pilot, lambda: before.is_closed() and connections() == 1)
        await until(pilot, lambda: view.apps)
        await asyncio.to_thread(vm.stop, machine, patience=0)
        await until(pilot, lambda: connections() == 0)
        assert "does not run" in listed(view)

    drive(app, script)
    assert connections() == 0


def test_what_is_brought_there_goes_on_when_the_pane_is_left(
    app: ThanosApp, drive: Drive, docker: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    run = apps.run

    def slow(engine: Engine, wanted: App) -> AppState:
        begun.set()
        go_on.wait()
        return run(engine, wanted)

    monkeypatch.setattr(apps, "run", slow)

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        await fill(pilot, PROBE)
        await pilot.press("ctrl+s")
        await until(pilot, begun.is_set)
        await pilot.press("r")
        assert f"the start of {PROBE} is under way" in notices(app)
        await pilot.press("1", "q")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        assert f"the start of {PROBE}" in app.screen._question
        await pilot.press("escape")
        go_on.set()
        await until(pilot, lambda: "probe: Up" in notices(app))
        assert "probe" in docker.cli("ps")

    try:
        drive(app, script)
    finally:
        go_on.set()


def test_what_is_brought_there_can_be_given_up(
    app: ThanosApp, drive: Drive, docker: Dockerd, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(_engine: Engine, _what: str, reporter: Reporter) -> tuple[str, ...]:
        with reporter.step("apps/send", "Sending it", 1 << 40, "bytes") as step:
            while True:
                step.advance(1)

    monkeypatch.setattr(apps, "load", endless)

    async def script(pilot: Any) -> None:
        view = await at_apps(pilot)
        await until(pilot, lambda: "No app is here yet" in listed(view))
        await fill(pilot, str(probe))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Sending it" in str(view.query_one("#app-work", Static).content))
        await pilot.press("escape")
        await until(pilot, lambda: "was given up" in notices(app))
        assert not view.under_way

    drive(app, script)


def test_a_passphrase_is_asked_for_above_the_app(app: ThanosApp, drive: Drive, docker: Dockerd, identity: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # one round is not secure, and quick
        asyncssh.read_private_key(identity).write_private_key(identity, passphrase=WORD, rounds=1)

    async def script(pilot: Any) -> None:
        await pilot.press("4")
        pane = await app.pane("machine")
        await until(pilot, lambda: pane.query_one(MachineList).machines)
        await pilot.press("a")
        view = pane.query_one(AppsView)
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press("escape")
        await until(pilot, lambda: "was not unlocked" in listed(view))
        # Whoever comes back is asked again.
        await pilot.press("v", "a")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press(*WORD, "enter")
        await until(pilot, lambda: "No app is here yet" in listed(view))

    drive(app, script)
