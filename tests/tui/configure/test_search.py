"""Search: typing, what is highlighted, setting what was found, going to it and coming back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catalogues import document_of, many
from textual.pilot import Pilot
from textual.widgets import Input
from waiting import until

from thanos_tui.editing.document import Document
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.configure.about import About
from thanos_tui.tui.configure.editors import NumberEditor
from thanos_tui.tui.configure.pane import ConfigurePane
from thanos_tui.tui.configure.search import Results, Search, snippet
from thanos_tui.tui.configure.whynot import WhyNot

Drive = Callable[..., None]
Script = Pilot[Any]


def search_of(pilot: Pilot[Any]) -> Search:
    screen = pilot.app.screen
    assert isinstance(screen, Search)
    return screen


def found(pilot: Pilot[Any]) -> list[str]:
    return [row.name for row in search_of(pilot).results.rows]


def matched(pilot: Pilot[Any], y: int) -> str:
    """What is highlighted in a row."""
    results = search_of(pilot).results
    plain = results.style_of("match")
    return "".join(segment.text for segment in results.render_line(y) if segment.style == plain)


async def look_for(pilot: Pilot[Any], query: str) -> None:
    await pilot.press("slash")
    await pilot.pause()
    await pilot.press(*("space" if character == " " else character for character in query))
    await pilot.pause()


def test_results_follow_what_is_typed_and_show_why(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await look_for(pilot, "port")
        assert found(pilot)[0] == "sshd.port"
        assert "TCP port" in search_of(pilot).query_one(About).text
        await pilot.press("down")
        assert matched(pilot, 0) == "Portport"
        assert search_of(pilot).query_one(Input).has_focus, "one goes on typing"
        await pilot.press(*"xyz")
        await pilot.pause()
        assert found(pilot) == []
        assert "Nothing was found" in search_of(pilot).results.render_line(0).text
        await pilot.press("escape")
        assert isinstance(pilot.app.query_one(ConfigurePane), ConfigurePane)

    drive(ThanosApp(Document.new()), script)


def test_each_letter_is_highlighted_in_rows_that_stay(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await look_for(pilot, "op")
        rows = found(pilot)
        await pilot.press("t")
        await pilot.pause()
        assert found(pilot) == rows
        drawn = pilot.app.export_screenshot()
        search_of(pilot).results.draw_anew()
        await pilot.pause()
        assert pilot.app.export_screenshot() == drawn

    drive(ThanosApp(document_of(many(60))), script, size=(120, 40))


def test_values_and_help_are_searched_and_shown(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await look_for(pilot, "ntp.org")
        assert found(pilot)[0] == "ntp.servers"
        search_of(pilot).query_one(Input).value = "libvirt"
        await pilot.pause()
        rows = search_of(pilot).results
        assert any("libvirt" in rows.render_line(y).text for y in range(len(rows.rows)))

    drive(ThanosApp(Document.new()), script, size=(120, 40))


def test_what_was_found_is_set_in_place(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        await look_for(pilot, "SSH server")
        assert found(pilot)[0] == "sshd"
        await pilot.press("enter")
        await pilot.pause()
        assert document["sshd"].value is False
        assert search_of(pilot).results.rows[0].symbol == "[ ]", "the row follows"
        await pilot.press("tab")
        await pilot.press("space")
        await pilot.pause()
        assert document["sshd"].value is True
        for pressed, value in (("n", False), ("y", True), ("n", False), ("x", True)):
            await pilot.press(pressed)
            await pilot.pause()
            assert document["sshd"].value is value
            assert search_of(pilot).name_at == "sshd"
        await pilot.press("u")
        await pilot.pause()
        assert document["sshd"].value is False
        assert search_of(pilot).results.has_focus
        await pilot.press("slash", "space", "p", "o", "r", "t")
        await pilot.pause()
        assert search_of(pilot).query_one(Input).value.endswith(" port")

    drive(ThanosApp(document), script)


def test_an_editor_opens_above_the_results(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        await look_for(pilot, "machine.cpus")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, NumberEditor)
        await pilot.press("up", "enter")
        await pilot.pause()
        assert document["machine.cpus"].value == 3
        assert search_of(pilot).results.rows[0].symbol == "(3)"

    drive(ThanosApp(document), script)


def test_a_hidden_result_says_why_and_can_be_freed(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        await look_for(pilot, "gateways")
        row = search_of(pilot).results.rows[0]
        assert (row.name, row.active, row.note) == ("network.gateways", False, "needs network = static")
        await pilot.press("tab", "w")
        await until(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        await pilot.press("enter")
        await pilot.pause()
        assert search_of(pilot).results.rows[0].active

    drive(ThanosApp(document), script)


def test_one_goes_to_a_result_and_comes_back_to_the_others(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane = pilot.app.query_one(ConfigurePane)
        await look_for(pilot, "kernel")
        await pilot.press("down", "down", "ctrl+g")
        await pilot.pause()
        row = pane.menu.row
        assert row is not None
        name = row.name
        assert name
        await pilot.press("escape")
        await pilot.pause()
        assert search_of(pilot).name_at == name
        assert search_of(pilot).query_one(Input).value == "kernel"
        assert search_of(pilot).results.has_focus
        await pilot.press("right")
        await pilot.pause()
        await pilot.press("h")
        assert pane.path != ("kernel",)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, Search), "once one walks away, Esc goes up as ever"

    drive(ThanosApp(Document.new()), script)


def test_the_mouse_selects_and_sets_results(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        await look_for(pilot, "SSH server")
        await pilot.click(Results, offset=(4, 0))
        await pilot.pause()
        assert document["sshd"].value is False

    drive(ThanosApp(document), script)


def test_no_more_than_a_hundred_results_are_shown(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await look_for(pilot, "option")
        assert len(found(pilot)) == 100
        await pilot.press("pagedown", "up")
        assert search_of(pilot).results.cursor > 3

    drive(ThanosApp(document_of(many(1000))), script)


def test_a_snippet_shows_what_was_found_in_a_long_text() -> None:
    text = "How much containerd writes to the file that the administrator reads after everything went wrong."
    at = text.index("administrator")
    pieces = snippet(text, [(at, at + 13)])
    assert ("administrator", "match") in pieces
    shown = "".join(part for part, _ in pieces)
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) < 70
