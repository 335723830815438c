"""The Configure pane by its keys and the mouse, mostly over the real catalogue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalogues import catalogue_of, document_of, many
from textual.pilot import Pilot
from waiting import until

from thanos_tui import profile
from thanos_tui.editing.document import Document
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.configure.crumbs import Crumbs
from thanos_tui.tui.configure.detail import AllDetails, Detail
from thanos_tui.tui.configure.menu import MenuList
from thanos_tui.tui.configure.pane import ConfigurePane
from thanos_tui.tui.configure.whynot import WhyNot

Drive = Callable[..., None]
Script = Pilot[Any]


def pane_of(pilot: Pilot[Any]) -> ConfigurePane:
    return pilot.app.query_one(ConfigurePane)


def at(pilot: Pilot[Any]) -> str:
    """The option or the menu under the cursor."""
    row = pane_of(pilot).menu.row
    assert row is not None
    return row.name or row.title


def names(pilot: Pilot[Any]) -> list[str]:
    return [row.name or row.title for row in pane_of(pilot).menu.rows]


def detail(pilot: Pilot[Any]) -> str:
    return pane_of(pilot).query_one(Detail).text


def screen_text(widget: MenuList) -> list[str]:
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


async def settled(pilot: Pilot[Any], done: Callable[[], object]) -> None:
    """Until what waits in threads has come back."""
    await pilot.pause(0.02)
    await until(pilot, done)


def test_menus_are_entered_and_left_and_the_cursor_comes_back(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        assert names(pilot) == ["Output", "Packages", "Kernel", "System", "Network", "Services", "Stark", "Extra"]
        await pilot.press("j", "down")
        assert at(pilot) == "Kernel"
        await pilot.press("enter")
        assert pane_of(pilot).path == ("Kernel",)
        assert pilot.app.query_one(Crumbs).path == ("Kernel",)
        await pilot.press("G")
        assert at(pilot) == "Modules"
        await pilot.press("l", "j")
        assert at(pilot) == "kernel.modules.qemu"
        await pilot.press("escape")
        assert at(pilot) == "Modules"
        await pilot.press("h")
        assert at(pilot) == "Kernel"
        await pilot.press("right", "left")
        assert at(pilot) == "Kernel"

    drive(ThanosApp(Document.new()), script)


def test_the_cursor_moves_by_rows_pages_and_to_the_ends(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        menu = pane_of(pilot).menu
        await pilot.press("enter", "enter")
        height = menu.size.height
        seen = []
        for pressed in ("pagedown", "ctrl+d", "ctrl+u", "pageup", "G", "k", "up", "g", "end", "home"):
            await pilot.press(pressed)
            seen.append(menu.cursor)
            assert 0 <= menu.screen_row < height, "the cursor is always in view"
        half = height // 2
        assert seen == [height, height + half, height, 0, 39, 38, 37, 0, 39, 0], "ten of the fifty are hidden"

    drive(ThanosApp(document_of(many(100))), script)


def test_space_enter_y_and_n_switch(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("containerd")
        for pressed, value in (("space", False), ("enter", True), ("n", False), ("n", False), ("y", True)):
            await pilot.press(pressed)
            assert document["containerd"].value is value
            assert at(pilot) == "containerd"
        row = pane_of(pilot).menu.row
        assert row is not None
        assert row.symbol == "[*]"

    drive(ThanosApp(document), script)


def test_y_means_nothing_for_a_number(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("machine.memory")
        await pilot.press("y", "n")
        assert document.revision == 0

    drive(ThanosApp(document), script)


def test_rows_that_come_and_go_above_leave_the_cursor_where_it_is_on_the_screen(drive: Drive) -> None:
    lines = ["menu: Flat", "items:"]
    for number in range(60):
        needs = ", depends on: o40" if number in (3, 8, 13) else ""
        lines.append(f"  - {{option: o{number}, type: bool, prompt: Option {number}, help: H.{needs}}}")

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("o40")
        await pilot.pause()
        menu = pane_of(pilot).menu
        place, row, top = menu.screen_row, menu.cursor, screen_text(menu)[0]
        await pilot.press("space")
        assert (at(pilot), menu.cursor, menu.screen_row) == ("o40", row + 3, place)
        assert screen_text(menu)[0] == top
        assert screen_text(menu)[place] == " ● [*] Option 40"
        await pilot.press("space")
        assert (at(pilot), menu.cursor, menu.screen_row) == ("o40", row, place)

    drive(ThanosApp(document_of(catalogue_of("\n".join(lines)))), script)


def test_hidden_options_are_shown_on_demand_with_the_reason(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("network")
        assert "network.addresses" not in names(pilot)
        await pilot.press("a")
        assert "network.addresses" in names(pilot)
        assert at(pilot) == "network"
        assert any("needs network = static" in line for line in screen_text(pane_of(pilot).menu))
        await pilot.press("z")
        assert "network.addresses" not in names(pilot)

    drive(ThanosApp(Document.new()), script)


def test_changed_only_shows_what_differs_wherever_it_is(drive: Drive) -> None:
    document = Document.new()
    document.set("hostname", "box")
    document.set("sshd.port", 22)

    async def script(pilot: Script) -> None:
        await pilot.press("c")
        assert names(pilot) == ["hostname", "sshd.port"]
        assert "changed only" in pilot.app.query_one(Crumbs).note
        await pilot.press("x")
        assert names(pilot) == ["sshd.port"]
        await pilot.press("escape")
        assert names(pilot)[0] == "Output"

    drive(ThanosApp(document), script)


def test_unset_and_reset_of_an_option(drive: Drive, tmp_path: Path) -> None:
    file = tmp_path / "box.thanos"
    file.write_text("thanos: 1\noptions:\n  hostname: box\n")
    document = Document.open(file)

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("hostname")
        document.set("hostname", "other")
        await pilot.press("r")
        assert document["hostname"].value == "box", "as saved"
        await pilot.press("x")
        assert document["hostname"].value == "thanos", "the default"
        await pilot.press("u", "backspace")
        assert document["hostname"].value == "thanos"
        await pilot.press("u", "r")
        assert document["hostname"].value == "thanos", "with nothing unsaved the next one back is the default"

    drive(ThanosApp(document), script)


def test_reset_of_a_menu_and_of_everything_asks_first_and_is_one_step(drive: Drive) -> None:
    document = Document.new()
    document.apply({"sshd.port": 22, "ntp": False, "hostname": "box"}, "three")

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        await pilot.press("j", "j", "j", "j", "j", "r")
        await pilot.pause()
        assert len(pilot.app.screen_stack) == 2
        await pilot.press("escape")
        assert set(document.changed()) == {"sshd.port", "ntp", "hostname"}
        await pilot.press("r")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert set(document.changed()) == {"hostname"}
        document.undo()
        await pilot.pause()
        pane.menu.focus()
        await pilot.press("R")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert not document.changed()
        assert document.undo() is not None
        assert len(document.changed()) == 3

    drive(ThanosApp(document), script)


def test_a_menu_goes_back_to_what_is_saved(drive: Drive, tmp_path: Path) -> None:
    file = tmp_path / "box.thanos"
    file.write_text("thanos: 1\noptions:\n  sshd.port: 2222\n")
    document = Document.open(file)
    document.apply({"sshd.port": 22, "ntp": False}, "two")

    async def script(pilot: Script) -> None:
        await pilot.press("R")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert document.changed() == {"sshd.port": 2222}
        assert not document.dirty

    drive(ThanosApp(document), script)


def test_the_cursor_follows_undo_and_redo(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("sshd")
        await pilot.press("space")
        pane_of(pilot).go_to("hostname")
        await pilot.press("u")
        assert (at(pilot), document["sshd"].value) == ("sshd", True)
        pane_of(pilot).go_to("hostname")
        await pilot.press("ctrl+r")
        assert (at(pilot), document["sshd"].value) == ("sshd", False)

    drive(ThanosApp(document), script)


def test_a_change_that_others_depend_on_says_what_is_missing(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        pane.go_to("network")
        assert pane.change("network", "static")
        await pilot.pause()
        row = next(row for row in pane.menu.rows if row.name == "network.addresses")
        assert "must not be empty" in row.problem
        pane.go_to("network.addresses")
        await pilot.pause()
        assert "must not be empty" in detail(pilot)

    drive(ThanosApp(document), script)


def test_the_details_tell_value_origin_range_dependencies_and_values(drive: Drive, tmp_path: Path) -> None:
    file = tmp_path / "box.thanos"
    file.write_text("thanos: 1\noptions:\n  sshd.port: 2222\n")
    document = Document(profile.override(profile.load(file), ["ntp=false"]), profile.load(file).assignments)

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)

        async def said(name: str) -> str:
            pane.go_to(name)
            await pilot.pause()
            return " ".join(detail(pilot).split())

        text = await said("sshd.port")
        assert "2222 box.thanos, line 3" in text
        assert "Default 1234" in text
        assert "whole number from 1 to 65535" in text
        assert "✓ sshd is on" in text
        assert "command line: --set ntp=false" in await said("ntp")
        assert "from 256 to 1048576, in MiB" in await said("machine.memory")
        assert "✗ network = static is dhcp" in await said("network.addresses")
        text = await said("rngd.source")
        assert "● auto Automatic" in text
        assert "○ jitter Timing jitter: Differences" in text
        document.set("hostname", "box")
        assert "box changed here" in await said("hostname")
        assert "Saved thanos" in await said("hostname")

    drive(ThanosApp(document), script, size=(120, 40))


def test_the_details_tell_what_selects_and_is_selected(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        pane.go_to("sound")
        await pilot.pause()
        assert "Selects      driver" in detail(pilot)
        pane.go_to("driver")
        await pilot.pause()
        assert "Selected by  ✓ sound" in detail(pilot)
        assert "selected by sound" in detail(pilot)

    drive(ThanosApp(document_of(catalogue_of(), {"sound": True})), script)


def test_what_a_change_does_to_the_yaml_appears_by_itself(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("rngd")
        await settled(pilot, lambda: "services rngd" in detail(pilot))
        assert "If off" in detail(pilot)

    drive(ThanosApp(Document.new()), script, size=(120, 40))


def test_the_details_stand_beside_the_menu_where_there_is_room(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        menu, details = pane_of(pilot).menu.region, pane_of(pilot).query_one(Detail).region
        if pilot.app.size.width >= 100:
            assert (details.y, details.x) == (menu.y, menu.right)
        else:
            assert (details.y, details.x) == (menu.bottom, menu.x)
        assert min(menu.height, details.height) >= 4
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(pilot.app.screen, AllDetails)
        assert pilot.app.screen.query_one(Detail).region.width > 70
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, AllDetails)

    for size in ((80, 24), (120, 40), (200, 60)):
        drive(ThanosApp(Document.new()), script, size=size)


def test_the_mouse_selects_switches_enters_and_goes_back(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        await pilot.click(MenuList, offset=(10, 3))
        assert at(pilot) == "System"
        await pilot.click(MenuList, offset=(10, 3), times=2)
        await pilot.pause()
        assert pane.path == ("System",)
        row = names(pilot).index("containerd")
        await pilot.click(MenuList, offset=(20, row))
        assert (at(pilot), document["containerd"].value) == ("containerd", True)
        await pilot.click(MenuList, offset=(4, row))
        assert document["containerd"].value is False
        await pilot.click(Crumbs, offset=(2, 0))
        await pilot.pause()
        assert (pane.path, at(pilot)) == ((), "System")

    drive(ThanosApp(document), script)


def test_why_not_names_the_conditions_and_makes_the_changes_in_one_step(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        pane.go_to("network.gateways")
        assert pane.view.hidden, "a hidden option is shown when it is gone to"
        await pilot.press("w")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        said = pilot.app.screen.query_one(Detail).text
        assert "✗ network = static" in said
        assert "DHCP → Static" in said
        await pilot.press("enter")
        await pilot.pause()
        assert document["network.gateways"].active
        assert at(pilot) == "network.gateways"
        assert document.undo() is not None
        assert not document.can_undo

    drive(ThanosApp(document), script)


def test_why_not_can_be_left_without_a_change(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("network.gateways")
        await pilot.press("enter")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot))
        await pilot.press("escape")
        assert document.revision == 0

    drive(ThanosApp(document), script)


def test_switching_off_what_is_selected_offers_to_switch_off_what_selects_it(drive: Drive) -> None:
    document = document_of(catalogue_of(), {"sound": True})

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("driver")
        await pilot.press("space")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        assert "needed by sound" in pilot.app.screen.query_one(Detail).text
        await pilot.press("f")
        await pilot.pause()
        assert document["sound"].value is False
        assert document["driver"].value is False

    drive(ThanosApp(document), script)


def test_a_hidden_bool_switched_on_gets_what_it_needs(drive: Drive) -> None:
    document = Document.new()
    document.set("containerd", False)

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("sshd.generate-key")
        await pilot.press("y")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        await pilot.press("enter")
        await pilot.pause()
        assert document["sshd.generate-key"].value is True
        assert document["containerd"].value is True

    drive(ThanosApp(document), script)


def test_why_not_of_a_hidden_menu_and_of_what_is_free(drive: Drive) -> None:
    document = Document.new()
    document.set("containerd", False)

    async def script(pilot: Script) -> None:
        await pilot.press("w")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, WhyNot), "nothing stands in the way of Output"
        await pilot.press("a")
        pane_of(pilot).menu.move_to(names(pilot).index("Services"))
        await pilot.press("w")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        await pilot.press("enter")
        await pilot.pause()
        assert document["containerd"].value is True

    drive(ThanosApp(document), script)


def test_a_dangerous_option_warns_and_is_marked(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("getty.insecure")
        await pilot.press("y")
        await pilot.pause()
        row = pane_of(pilot).menu.row
        assert row is not None
        assert "without a password" in row.warning
        assert screen_text(pane_of(pilot).menu)[pane_of(pilot).menu.screen_row].startswith("!●")
        assert "Warning" in detail(pilot)

    drive(ThanosApp(Document.new()), script)


def test_only_the_rows_that_changed_are_drawn(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        menu = pane_of(pilot).menu
        await pilot.press("enter", "enter")
        await pilot.pause()
        drawn: list[int] = []
        draw = menu.render_line
        menu.render_line = lambda y: (drawn.append(y), draw(y))[1]  # type: ignore[method-assign]
        await pilot.press("j")
        await pilot.pause()
        assert set(drawn) == {0, 1}
        drawn.clear()
        await pilot.press("space")
        await pilot.pause()
        assert set(drawn) <= {0, 1}

    drive(ThanosApp(document_of(many(1000))), script)


def test_it_is_all_ascii_where_it_has_to_be(drive: Drive) -> None:
    from thanos_tui.tui import look

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("network.addresses")
        await pilot.pause()
        lines = ["".join(segment.text for segment in strip) for strip in pilot.app.screen._compositor.render_strips()]
        inside = "\n".join(lines[1:-1])
        assert "network.addresses" in inside
        assert inside.isascii(), [character for character in inside if not character.isascii()]

    look.use(look.ASCII)
    try:
        drive(ThanosApp(Document.new()), script)
        drive(ThanosApp(Document.new()), script, size=(120, 40))
    finally:
        look.use(None)


def test_another_document_begins_at_the_top(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app = pilot.app
        assert isinstance(app, ThanosApp)
        pane_of(pilot).go_to("hostname")
        other = Document.new()
        other.set("hostname", "other")
        app.replace_document(other)
        await pilot.pause()
        assert pane_of(pilot).path == ()
        pane_of(pilot).go_to("hostname")
        assert "other" in screen_text(pane_of(pilot).menu)[0]

    drive(ThanosApp(Document.new()), script)


def test_every_key_of_the_pane_has_a_name_and_a_help() -> None:
    from thanos_tui.tui.configure.search import Results, Search

    declared = [*ConfigurePane.BINDINGS, *MenuList.BINDINGS, *Search.BINDINGS, *Results.BINDINGS, *WhyNot.BINDINGS]
    for binding in declared:
        assert binding.id  # type: ignore[union-attr]
        assert binding.tooltip.endswith(".")  # type: ignore[union-attr]


def test_an_empty_menu_says_what_it_lacks(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        menu = pane_of(pilot).menu
        await pilot.press("c")
        assert "Nothing here differs" in screen_text(menu)[0]
        await pilot.press("space", "x", "w", "y", "r", "down", "G", "c")
        assert len(menu.rows) == 8

    drive(ThanosApp(Document.new()), script)


def test_it_works_in_a_tiny_terminal_and_follows_its_size(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        pane.go_to("sshd.authorized-keys")
        await pilot.press("slash", "s", "escape", "enter", "escape", "w", "i", "escape")
        for size in ((10, 4), (60, 12), (140, 50), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert at(pilot) == "sshd.authorized-keys"
        assert 0 <= pane.menu.screen_row < pane.menu.size.height

    drive(ThanosApp(Document.new()), script, size=(24, 8))


def test_a_value_that_stands_against_another_offers_to_change_both(drive: Drive) -> None:
    document = Document.new()
    document.apply({"output.architecture": "amd64", "output.formats": ("raw-bios",)}, "a disk")

    async def script(pilot: Script) -> None:
        pane = pane_of(pilot)
        pane.go_to("output.architecture")
        assert not pane.change("output.architecture", "arm64")
        await settled(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        said = " ".join(pilot.app.screen.query_one(Detail).text.split())
        assert "output.formats cannot be raw-bios" in said
        await pilot.press("enter")
        await pilot.pause()
        assert document["output.architecture"].value == "arm64"
        assert "raw-bios" not in (document["output.formats"].value or ())  # type: ignore[operator]
        document.undo()
        assert document["output.formats"].value == ("raw-bios",)

    drive(ThanosApp(document), script)


def test_the_details_scroll_when_they_have_the_focus(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("output.formats")
        await pilot.press("tab", "j", "j", "k")
        await pilot.pause()
        details = pane_of(pilot).query_one(Detail)
        assert details.has_focus
        assert details.scroll_offset.y == 1

    drive(ThanosApp(Document.new()), script)


def test_it_says_why_there_is_no_yaml_to_compare(drive: Drive) -> None:
    document = Document.new()
    document.set("extra.yaml", ("gone.yml",))

    async def script(pilot: Script) -> None:
        pane_of(pilot).go_to("rngd")
        await settled(pilot, lambda: "nothing to build" in detail(pilot))
        assert "gone.yml" in detail(pilot)

    drive(ThanosApp(document), script)
