"""What tests of the app share: a home of their own, documents, and a driver for scripts that press keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from thanos_tui.tui import look

Script = Callable[[Pilot[Any]], Awaitable[None]]
Drive = Callable[..., None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory with an SSH key, and a working directory beside it."""
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("KITTY_WINDOW_ID", "TERM_PROGRAM", "TMUX"):  # what pictures are drawn by
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    # Whatever terminal and locale the tests run on, and whatever look a test before took.
    look.use(look.UNICODE)
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody"
    (directory / ".ssh" / "id_ed25519.pub").write_text(key + "\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.chdir(tmp_path / "work")
    return directory


@pytest.fixture
def drive() -> Drive:
    """Run a script against an app: ``drive(app, script, size=(80, 24))``; what it raises, the test raises."""

    def run(app: App[Any], script: Script, size: tuple[int, int] = (80, 24), notifications: bool = False) -> None:
        async def main() -> None:
            async with app.run_test(size=size, notifications=notifications) as pilot:
                await pilot.pause()
                await script(pilot)

        asyncio.run(main())

    return run
