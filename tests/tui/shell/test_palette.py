"""The palette reaches everything, and the help says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.widgets import OptionList
from waiting import until

from thanos_tui.editing import recent
from thanos_tui.editing.document import Document
from thanos_tui.tui import keymap, palette, themes
from thanos_tui.tui.app import ROOMS, ThanosApp
from thanos_tui.tui.help import Help
from thanos_tui.tui.lines import Lines


async def _find(app: ThanosApp, pilot: Any, words: str) -> list[str]:
    """Open the palette, type, and return the hits' texts once they are there."""
    await pilot.press("ctrl+p")
    await pilot.pause()
    await pilot.press(*("space" if letter == " " else letter for letter in words))
    found = app.screen.query_one(OptionList)

    def ready() -> bool:
        return app.screen.has_class("-ready") and found.option_count > 0 and not app.screen.query(".--populating")

    await until(pilot, ready)
    await app.workers.wait_for_complete()
    await pilot.pause()
    return [str(found.get_option_at_index(index).prompt) for index in range(found.option_count)]


def test_every_action_is_in_the_palette(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(_: Any) -> None:
        commands = list(palette.action_commands(app, keymap.declared()))
        said = {(command.help, command.key) for command in commands}
        for action in keymap.declared():
            if action.part in [room.id for room in ROOMS] or action.part == "app":
                keys = " ".join(map(keymap.shown, action.keys))
                assert (action.binding.tooltip, keys) in said, action.name

    drive(app, script)


def test_it_shows_keys_beside_the_titles(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        hits = await _find(app, pilot, "undo")
        assert any(hit.split("\n")[0].split() == ["Undo", "u"] for hit in hits), hits

    drive(app, script)


@pytest.mark.parametrize("room", ROOMS[1:], ids=lambda room: room.id)
def test_an_action_of_a_pane_shows_the_pane_first(drive, room: Any) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        action = next(each for each in keymap.declared() if each.part == room.id)
        assert room.id not in [pane.id for pane in app.mounted()]
        await palette.perform(app, action)
        await pilot.pause()
        assert app.shown == room.id

    drive(app, script)


def test_a_hit_is_done_when_chosen(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        hits = await _find(app, pilot, "go to yaml")
        assert hits[0].startswith("Go to YAML")
        await pilot.press("enter")
        await until(pilot, lambda: app.shown == "yaml")
        assert not CommandPalette.is_open(app)

    drive(app, script)


def test_options_are_found_and_shown(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())
    gone: list[str] = []

    async def go(name: str) -> None:
        gone.append(name)

    app.go_to_option = go  # type: ignore[method-assign]

    async def script(pilot: Any) -> None:
        hits = await _find(app, pilot, "ntp.servers")
        assert any(hit.startswith("Option: ") and hit.endswith("ntp.servers") for hit in hits), hits
        await pilot.press("enter")
        await until(pilot, lambda: gone)
        assert gone == ["ntp.servers"]

    drive(app, script)


def test_themes_and_profiles_are_found(drive, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    profile = tmp_path / "work" / "box[1].thanos"
    profile.write_text("thanos: 1\n")
    recent.remember(profile)
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        hits = await _find(app, pilot, "box")
        assert any(hit.startswith("Profile: box[1].thanos") for hit in hits), hits
        await pilot.press("escape")
        commands = list(palette.theme_commands(app))
        assert [command.title for command in commands] == [f"Theme: {name}" for name in themes.known()]
        await commands[1].run()
        assert app.theme == themes.known()[1]

    drive(app, script)


@pytest.mark.parametrize("name", themes.known())
def test_every_theme_draws(drive, name: str) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        await app.choose_theme(name)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, Help)

    drive(app, script)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.id)
@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_the_help_of_a_pane_says_all_its_keys(drive, room: Any, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        pane = await app.show(room.id)
        await pilot.pause()
        app.action_help()
        await pilot.pause()
        await pilot.pause()
        text = " ".join(app.screen.query_one(Lines).text().split())
        assert pane.HELP.split()[0] in text
        for action in keymap.declared():
            if action.part == "app" or (action.part == room.id and issubclass(type(pane), action.holder)):
                assert " ".join(action.binding.tooltip.split()) in text, action.name
        await pilot.press("q")
        assert not isinstance(app.screen, Help)

    drive(app, script, size=size)


def test_the_help_is_searched(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        await pilot.press("f1")
        await pilot.pause()
        await pilot.press("slash", *"palette")
        await until(pilot, lambda: app.screen.query_one(Lines).hits > 0)

    drive(app, script)


def test_every_way_out_asks_before_changes_are_lost(drive) -> None:  # type: ignore[no-untyped-def]
    for key in ("q", "ctrl+q"):
        app = ThanosApp(Document.new())

        async def script(pilot: Any, app: ThanosApp = app, key: str = key) -> None:
            app.document.set("hostname", "box")
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) == 2)
            assert app.is_running
            await pilot.press("escape")

        drive(app, script)
