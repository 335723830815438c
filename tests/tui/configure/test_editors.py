"""The editors: what they take, what they refuse and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from waiting import until

from thanos_tui.editing.document import Document
from thanos_tui.options.expressions import Value
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.choosing import ChooseFile
from thanos_tui.tui.configure.editors import ChoiceEditor, NumberEditor, TextEditor
from thanos_tui.tui.configure.lists import ElementEditor, ListEditor, OfferedEditor
from thanos_tui.tui.configure.pane import ConfigurePane
from thanos_tui.tui.configure.whynot import WhyNot

Drive = Callable[..., None]
Script = Pilot[Any]


async def opened(pilot: Pilot[Any], name: str, kind: type) -> Any:
    pilot.app.query_one(ConfigurePane).go_to(name)
    await pilot.press("enter")
    await pilot.pause()
    assert type(pilot.app.screen) is kind
    return pilot.app.screen


async def typed(pilot: Pilot[Any], text: str) -> None:
    """Type over what is in the line."""
    line = pilot.app.screen.query_one(Input)
    line.value = text
    await pilot.pause()


def verdict(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one("#verdict", Static).content)


def value(pilot: Pilot[Any], name: str) -> Value:
    app = pilot.app
    assert isinstance(app, ThanosApp)
    return app.document[name].value


def test_text_is_checked_while_it_is_typed(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await opened(pilot, "hostname", TextEditor)
        assert pilot.app.screen.query_one(Input).value == "thanos"
        await pilot.press("_")
        await pilot.pause()
        assert "letters, digits and '-'" in verdict(pilot)
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, TextEditor), "what does not fit is not taken"
        await pilot.press("backspace", "2", "enter")
        await pilot.pause()
        assert value(pilot, "hostname") == "thanos2"

    drive(ThanosApp(Document.new()), script)


def test_escape_leaves_everything_as_it_was(drive: Drive) -> None:
    document = Document.new()

    async def script(pilot: Script) -> None:
        for name, kind in (
            ("hostname", TextEditor),
            ("machine.cpus", NumberEditor),
            ("network", ChoiceEditor),
            ("kernel.consoles", ListEditor),
            ("output.formats", OfferedEditor),
        ):
            await opened(pilot, name, kind)
            await pilot.press("down", "escape")
            await pilot.pause()
        assert document.revision == 0

    drive(ThanosApp(document), script)


def test_a_required_text_and_a_secret_are_explained(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await opened(pilot, "output.name", TextEditor)
        await typed(pilot, "")
        assert "must not be empty" in verdict(pilot)
        await pilot.press("escape")
        await opened(pilot, "getty.password", TextEditor)
        await typed(pilot, "hunter2")
        assert "must say where the secret is" in verdict(pilot)
        assert "hunter2" not in verdict(pilot)
        await typed(pilot, "$HASH")
        await pilot.press("enter")
        await pilot.pause()
        assert value(pilot, "getty.password") == "$HASH"

    drive(ThanosApp(Document.new()), script)


def test_the_default_comes_back_into_the_line(drive: Drive) -> None:
    document = Document.new()
    document.set("hostname", "box")

    async def script(pilot: Script) -> None:
        await opened(pilot, "hostname", TextEditor)
        await pilot.press("ctrl+r", "enter")
        await pilot.pause()
        assert value(pilot, "hostname") == "thanos"

    drive(ThanosApp(document), script)


def test_numbers_are_stepped_and_kept_in_range(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await opened(pilot, "machine.cpus", NumberEditor)
        await pilot.press("up", "plus", "minus", "up")
        assert pilot.app.screen.query_one(Input).value == "4"
        await pilot.press("pagedown", "down")
        assert pilot.app.screen.query_one(Input).value == "1"
        await typed(pilot, "256")
        assert "from 1 to 255" in verdict(pilot)
        await typed(pilot, "many")
        assert "whole number" in verdict(pilot)
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, NumberEditor)
        await typed(pilot, "8")
        await pilot.press("enter")
        await pilot.pause()
        assert value(pilot, "machine.cpus") == 8
        await opened(pilot, "machine.memory", NumberEditor)
        await pilot.press("pageup", "enter")
        await pilot.pause()
        assert value(pilot, "machine.memory") == 2048

    drive(ThanosApp(Document.new()), script)


def test_a_choice_shows_each_value_with_its_help(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "network", ChoiceEditor)
        lines = editor.query_one(OptionList)
        shown = [str(lines.get_option_at_index(index).prompt) for index in range(lines.option_count)]
        assert shown[0].startswith("(X) DHCP")
        assert "The address is set here." in shown[1]
        await pilot.press("j", "j", "space")
        await pilot.pause()
        assert value(pilot, "network") == "none"

    drive(ThanosApp(Document.new()), script)


def test_a_value_that_is_not_on_offer_says_what_it_needs_and_how_to_get_there(drive: Drive) -> None:
    document = Document.new()
    document.apply({"output.architecture": "arm64"}, "arm64")

    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "rngd.source", ChoiceEditor)
        lines = editor.query_one(OptionList)
        assert "needs output.architecture = amd64" in str(lines.get_option_at_index(2).prompt)
        await pilot.press("j", "j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, WhyNot) and pilot.app.screen.looked)
        await pilot.press("enter")
        await pilot.pause()
        assert value(pilot, "rngd.source") == "rdrand"
        assert value(pilot, "output.architecture") == "amd64"

    drive(ThanosApp(document), script)


def test_a_list_is_added_to_edited_moved_and_deleted_from(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "kernel.consoles", ListEditor)
        assert editor.elements == ["tty0", "ttyS0"]
        await pilot.press("a")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ElementEditor)
        await typed(pilot, "nonsense")
        assert "a terminal such as tty0" in verdict(pilot)
        await typed(pilot, "ttyS0")
        assert "in the list already" in verdict(pilot)
        await typed(pilot, "hvc0")
        await pilot.press("enter")
        await pilot.pause()
        assert editor.elements == ["tty0", "hvc0", "ttyS0"]
        await pilot.press("J")
        assert editor.elements == ["tty0", "ttyS0", "hvc0"]
        await pilot.press("K", "K")
        assert editor.elements == ["hvc0", "tty0", "ttyS0"]
        await pilot.press("d")
        assert editor.elements == ["tty0", "ttyS0"]
        await pilot.press("enter")
        await pilot.pause()
        await typed(pilot, "tty1")
        await pilot.press("enter")
        await pilot.pause()
        assert editor.elements == ["tty1", "ttyS0"]
        await pilot.press("s")
        await pilot.pause()
        assert value(pilot, "kernel.consoles") == ("tty1", "ttyS0")
        await opened(pilot, "kernel.consoles", ListEditor)
        await pilot.press("ctrl+r", "s")
        await pilot.pause()
        assert value(pilot, "kernel.consoles") == ("tty0", "ttyS0")

    drive(ThanosApp(Document.new()), script)


def test_a_required_list_is_not_taken_empty(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "ntp.servers", ListEditor)
        await pilot.press("d", "s")
        await pilot.pause()
        assert pilot.app.screen is editor
        assert "must not be empty" in verdict(pilot)

    drive(ThanosApp(Document.new()), script)


def test_elements_on_offer_have_check_boxes_in_an_order(drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "output.formats", OfferedEditor)
        before = editor.elements
        assert before == ["vhd"]
        await pilot.press("j", "space", "j", "x")
        assert editor.elements == ["vhd", "kernel+initrd", "tar"]
        await pilot.press("K", "K")
        assert editor.elements == ["tar", "vhd", "kernel+initrd"]
        await pilot.press("enter")
        await pilot.pause()
        assert value(pilot, "output.formats") == ("tar", "vhd", "kernel+initrd")

    document = Document.new()
    document.set("output.architecture", "amd64")
    drive(ThanosApp(document), script)


def test_an_element_that_is_not_on_offer_is_refused_with_the_reason(drive: Drive) -> None:
    document = Document.new()
    document.apply({"output.architecture": "arm64"}, "arm64")

    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "output.formats", OfferedEditor)
        editor.lines.highlighted = editor.order.index("vhd")
        await pilot.press("space")
        assert "needs output.architecture = amd64" in verdict(pilot)
        assert editor.elements == ["kernel+initrd"]

    drive(ThanosApp(document), script)


def files_listed(pilot: Script) -> int:
    """How many files and directories can be chosen from; 0 before there is a list."""
    return pilot.app.screen.query_one(OptionList).option_count if isinstance(pilot.app.screen, ChooseFile) else 0


def test_files_are_picked_for_keys_and_paths(drive: Drive, home: Path) -> None:
    (Path.cwd() / "keys.gpg").write_bytes(b"")

    async def script(pilot: Script) -> None:
        editor = await opened(pilot, "sshd.authorized-keys", ListEditor)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: files_listed(pilot) > 0)
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app.screen is editor)
        assert editor.elements == ["~/.ssh/*.pub", "~/.ssh/id_ed25519.pub"]
        await pilot.press("escape")
        text = await opened(pilot, "packages.keyring", TextEditor)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: files_listed(pilot) > 0)
        await pilot.press(*"keys")
        await until(pilot, lambda: files_listed(pilot) == 1)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is text)
        await pilot.press("enter")
        await pilot.pause()
        assert value(pilot, "packages.keyring") == "keys.gpg"

    drive(ThanosApp(Document.new()), script)
