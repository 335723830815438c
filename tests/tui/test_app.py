"""The app around its panes: tabs, the status line, undo, and what is loaded when."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.tui.app import ROOMS, ThanosApp
from thanos_tui.tui.bars import StatusLine, TabLine
from thanos_tui.tui.keyline import KeyLine, Shown, fitting
from thanos_tui.tui.work import perform

Drive = Callable[..., None]


@pytest.fixture
def app() -> ThanosApp:
    return ThanosApp(Document.new())


def status(app: ThanosApp) -> str:
    return app.query_one(StatusLine).render().plain


def test_begins_with_configure_and_loads_no_other_pane(home: Path) -> None:
    code = (
        "import asyncio, json, sys\n"
        "from thanos_tui.editing.document import Document\n"
        "from thanos_tui.tui.app import ThanosApp\n"
        "async def main():\n"
        " app = ThanosApp(Document.new())\n"
        " async with app.run_test() as pilot:\n"
        "  await pilot.pause()\n"
        "  assert app.shown == 'configure', app.shown\n"
        "  print(json.dumps(sorted(sys.modules)))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    others = {room.module for room in ROOMS if room.id != "configure"}
    assert "thanos_tui.tui.configure.pane" in loaded
    assert not loaded & {*others, "asyncssh", "docker", "PIL", "cryptography", "zstandard", "bittty"}


def test_digits_show_the_panes(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        for number, room in enumerate(ROOMS, 1):
            await pilot.press(str(number))
            await pilot.pause()
            assert app.shown == room.id
            assert app.query_one(TabLine).current == room.id
            assert [pane.id for pane in app.mounted() if pane.display] == [room.id]
        assert len(app.mounted()) == len(ROOMS)

    drive(app, script)


def test_tabs_take_the_mouse_and_the_arrows(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await pilot.click(TabLine, offset=(len(" 1 Configure ") + 2, 0))
        await pilot.pause()
        assert app.shown == "yaml"
        await pilot.press("ctrl+right_square_bracket", "left")
        await pilot.pause()
        assert app.shown == "configure"
        assert isinstance(app.focused, TabLine)
        await pilot.press("1")
        assert not isinstance(app.focused, TabLine)

    drive(app, script)


def test_the_keys_that_count_are_shown_and_can_be_clicked(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        line = app.query_one(KeyLine)
        assert "/ Search" in line.render().plain
        await pilot.press("3")
        await pilot.pause()
        told = line.render().plain
        assert "b Build" in told
        assert told.rstrip().endswith("q Quit")
        await pilot.click(KeyLine, offset=(1 + told.index("? Help"), 0))
        await pilot.pause()
        assert app.screen is not app.screen_stack[0]

    drive(app, script)


def test_where_room_is_short_a_panes_keys_make_way_for_help_and_quit() -> None:
    keys = [
        Shown("a", "a", "Alpha", False),
        Shown("b", "b", "Beta", False),
        Shown("question_mark", "?", "Help", True),
        Shown("q", "q", "Quit", True),
    ]
    assert fitting(keys, 80) == keys
    assert [key.display for key in fitting(keys, 28)] == ["a", "?", "q"]
    assert [key.display for key in fitting(keys, 5)] == ["?", "q"]


def test_an_app_that_stays_open_does_not_grow(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        async def change() -> int:
            for _ in range(20):
                await pilot.press("2", "1")
            await pilot.pause()
            gc.collect()
            return sum(isinstance(thing, Widget) for thing in gc.get_objects())

        await change()
        before = await change()
        assert await change() == before

    drive(app, script)


def test_the_focus_comes_back_to_where_it_was(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        before = app.focused
        assert before is not None
        await pilot.press("2")
        await pilot.pause()
        assert app.focused is not before
        await pilot.press("1")
        await pilot.pause()
        assert app.focused is before

    drive(app, script)


def test_the_status_line_counts_what_is_not_saved(app: ThanosApp, drive: Drive, tmp_path: Path) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        assert "no file yet" in status(app)
        assert "unsaved" not in status(app)
        app.document.set("hostname", "box")
        assert "1 unsaved" in status(app)
        await pilot.press("u")
        await pilot.pause()
        assert "unsaved" not in status(app)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.document["hostname"].value == "box"
        app.document.save(tmp_path / "mine.thanos")
        assert "mine.thanos" in status(app)
        assert "unsaved" not in status(app)

    drive(app, script)


def test_another_document_takes_the_place_of_the_first(app: ThanosApp, drive: Drive, tmp_path: Path) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        first = app.document
        path = tmp_path / "other.thanos"
        path.write_text("thanos: 1\noptions:\n  hostname: other\n")
        app.replace_document(Document.open(path))
        assert "other.thanos" in status(app)
        first.set("hostname", "late")
        assert "unsaved" not in status(app)

    drive(app, script)


def test_copies_the_command_that_builds_this(app: ThanosApp, drive: Drive) -> None:
    copied: list[tuple[str, str]] = []

    async def script(pilot: Pilot[Any]) -> None:
        app.copy = lambda text, what: copied.append((text, what))  # type: ignore[method-assign]
        app.document.set("hostname", "box")
        await pilot.press("X")
        await pilot.pause()
        assert copied == [("thanos-tui --replay thanos.thanos --set hostname=box", "the command")]

    drive(app, script)


def test_errors_of_the_system_become_ours() -> None:
    with pytest.raises(HostError, match="No such file or directory") as caught:
        asyncio.run(perform(Path("/nowhere/at/all").read_text))
    assert "/nowhere/at/all" in caught.value.message
