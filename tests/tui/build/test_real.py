"""Real builds in the app: what the road makes is what the pane shows, and a retry goes on where a build failed."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replays import Cache
from textual.pilot import Pilot
from waiting import until

from thanos_tui import builds
from thanos_tui.build import writers
from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.events import Event, StepStarted
from thanos_tui.files import APPLICATION
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.build import work
from thanos_tui.tui.build.pane import BuildPane
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.styled import plain

Drive = Callable[..., None]
pytestmark = pytest.mark.network

PROFILE = Path(__file__).parents[3] / "profiles" / "minimal.thanos"
USERS = Path(os.environ.get("XDG_CACHE_HOME") or Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The user's cache with its packages and images, of which nothing was compressed yet."""
    (USERS / APPLICATION).mkdir(parents=True, exist_ok=True)
    copied = Cache(USERS).copy(tmp_path / "cache", without=("segments", "outputs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(copied.home))
    return copied


@pytest.fixture
def app(tmp_path: Path, cache: Cache) -> ThanosApp:
    path = tmp_path / "work" / "minimal.thanos"
    path.write_bytes(PROFILE.read_bytes())
    return ThanosApp(Document.open(path, ["output.compression=1"]), tmp_path / "out")


async def ended(pilot: Pilot[Any], pane: BuildPane, outcome: str) -> None:
    await until(pilot, lambda: pane._run is not None and not pane.building, limit=600)
    assert pane._run is not None
    assert pane._run.state.outcome == outcome, pane._error


def test_a_real_build_and_its_repetition(drive: Drive, app: ThanosApp) -> None:
    async def play(pilot: Pilot[Any]) -> None:
        pane: BuildPane = await app.show("build")
        await pilot.press("b")
        await ended(pilot, pane, "done")
        lines = pane.query_one("#report", Lines)
        told = "\n".join(plain(lines[index]) for index in range(len(lines)))
        assert "minimal-initrd.img" in told
        assert "Size by component" in told
        assert "containerd" in told
        build = builds.builds()[0]
        sizes = {path.name: path.stat().st_size for path in app.output.iterdir()}
        assert sum(part.bytes for part in build.parts) == sum(sizes.values())
        assert {step.step for step in build.steps} >= {"segments", "output/kernel+initrd"}
        assert builds.config_of(build) == app.document.config()
        await pilot.press("b")
        await ended(pilot, pane, "done")
        assert pane._run is not None
        assert not pane._run.state.steps

    drive(app, play)


def test_a_retry_goes_on_where_it_failed(drive: Drive, app: ThanosApp, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[list[str]] = []
    write = writers.BOOTABLE["kernel+initrd"]

    def failing_once(job: writers.Job) -> Any:
        if len(begun) == 1:
            raise HostError("the disk is full", hint="free some space")
        return write(job)

    class Noting(work.Reporter):
        def __init__(self, listener: Callable[[Event], None]) -> None:
            begun.append([])

            def listen(event: Event) -> None:
                if isinstance(event, StepStarted):
                    begun[-1].append(event.step)
                listener(event)

            super().__init__(listen)

    monkeypatch.setitem(writers.BOOTABLE, "kernel+initrd", failing_once)
    monkeypatch.setattr("thanos_tui.tui.build.pane.Reporter", Noting)

    async def play(pilot: Pilot[Any]) -> None:
        pane: BuildPane = await app.show("build")
        await pilot.press("b")
        await ended(pilot, pane, "failed")
        assert not any(app.output.glob("*")) if app.output.exists() else True
        await pilot.press("r")
        await ended(pilot, pane, "done")

    drive(app, play)
    assert begun[0][-2:] == ["segments", "output/kernel+initrd"]
    assert begun[1] == ["output/kernel+initrd"]
    assert (app.output / "minimal-initrd.img").exists()
