"""The YAML pane by its keys, in the whole app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import waiting
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from thanos_tui import builds, vm
from thanos_tui.builds import Build
from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.linuxkit import config, diff
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.choosing import ChooseFile
from thanos_tui.tui.configure.pane import ConfigurePane
from thanos_tui.tui.dialogs import Choices, Tell
from thanos_tui.tui.styled import plain
from thanos_tui.tui.yaml import shown as made
from thanos_tui.tui.yaml.lines import YamlLines
from thanos_tui.tui.yaml.pane import YamlPane

Drive = Callable[..., None]
Script = Pilot[Any]


@pytest.fixture
def document(home: Path) -> Document:
    path = Path("mine.thanos")
    path.write_text("thanos: 1\noptions: {hostname: box}\n")
    return Document.open(path.absolute())


@pytest.fixture
def app(document: Document) -> ThanosApp:
    return ThanosApp(document)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was copied, and what it was called."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(ThanosApp, "copy", lambda _self, text, what: found.append((text, what)))
    return found


async def until(pilot: Script, done: Callable[[], object]) -> None:
    """Wait for what threads and messages bring about."""
    await pilot.pause()
    await waiting.until(pilot, done, tell=lambda: shown(pilot))


def pane(pilot: Script) -> YamlPane:
    return pilot.app.query_one(YamlPane)


def view(pilot: Script) -> YamlLines:
    return pilot.app.query_one(YamlLines)


def shown(pilot: Script) -> list[str]:
    lines = view(pilot)
    return [plain(lines[index]) for index in range(len(lines))]


def head(pilot: Script) -> str:
    return str(pane(pilot).query_one("#head", Static).content)


def trouble(pilot: Script) -> str:
    said = pane(pilot).query_one("#trouble", Static)
    return str(said.content) if said.display else ""


def under_cursor(pilot: Script) -> str:
    line = view(pilot).cursor_line
    assert line is not None
    return shown(pilot)[line].strip()


async def open_yaml(pilot: Script) -> None:
    await pilot.press("2")
    await until(pilot, lambda: len(view(pilot)))


async def compare_with(pilot: Script, title: str) -> None:
    """Choose what to compare with, in the list that `a` opens."""
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, Choices))
    rows = pilot.app.screen.query_one(OptionList)
    index = next(n for n, option in enumerate(rows.options) if title in str(option.prompt))
    rows.highlighted = index
    await pilot.press("enter")


async def leads_to(pilot: Script, name: str) -> None:
    """Wait until the cursor of the menu is at an option."""
    await until(pilot, lambda: pilot.app.shown == "configure")
    row = pilot.app.query_one(ConfigurePane).menu.row
    assert row is not None
    assert row.name == name


async def go_to(pilot: Script, text: str) -> None:
    """Put the cursor on the first line that has a text."""
    view(pilot).go_to(next(n for n, line in enumerate(shown(pilot)) if text in line))
    await pilot.pause()


def notices(app: ThanosApp) -> str:
    return " ".join(notice.message for notice in app._notifications)


# --- The YAML


def test_shows_the_yaml_and_follows_every_change(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        assert "\n".join(shown(pilot)) + "\n" == diff.shown(app.document.config())
        assert head(pilot) == f"mine · {len(shown(pilot))} lines"
        app.document.set("hostname", "other")
        await until(pilot, lambda: "      other" in shown(pilot))
        await pilot.press("u")
        await until(pilot, lambda: "      box" in shown(pilot))

    drive(app, script)


def test_what_changes_while_it_is_hidden_is_there_when_it_is_shown(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("1")
        app.document.set("hostname", "other")
        await pilot.press("2")
        await until(pilot, lambda: "      other" in shown(pilot))

    drive(app, script)


def test_the_cursor_stays_in_its_entry_while_others_come_and_go(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await go_to(pilot, "etc/hostname")
        app.document.apply({"network": "none", "rngd": False}, "less")
        await until(pilot, lambda: "  - name: rngd" not in shown(pilot))
        assert under_cursor(pilot) == "- path: etc/hostname"

    drive(app, script)


def test_secrets_are_never_on_the_screen(app: ThanosApp, drive: Drive, copied: list[tuple[str, str]]) -> None:
    Path("hash").write_text("$6$salt$hunter2\n")

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        app.document.set("getty.password", "./hash")
        await until(pilot, lambda: any("(secret 1)" in line for line in shown(pilot)))
        await pilot.press("d")
        await until(pilot, lambda: "difference" in head(pilot))
        await pilot.press("C")
        assert "(secret 1)" in copied[-1][0]
        for said in ("\n".join(shown(pilot)), copied[-1][0]):
            assert "hunter2" not in said

    drive(app, script)


def test_search_and_copying(app: ThanosApp, drive: Drive, copied: list[tuple[str, str]]) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("slash", *"rngd", "enter")
        await until(pilot, lambda: "rngd" in under_cursor(pilot))
        await pilot.press("c")
        assert copied.pop()[0].strip() == "- name: rngd"
        await pilot.press("C")
        assert copied.pop()[0] == diff.shown(app.document.config())
        app.document.set("ntp", False)
        await pilot.press("X")
        assert copied.pop()[0] == f"thanos-tui --replay {app.document.path} --set ntp=false"

    drive(app, script)


def test_tabs_are_copied_as_tabs(app: ThanosApp, drive: Drive, copied: list[tuple[str, str]]) -> None:
    Path("table").write_text("a\tb\n")

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        app.document.set("extra.files", ("/etc/table=table",))
        await until(pilot, lambda: any("etc/table" in line for line in shown(pilot)))
        await pilot.press("C")
        assert "a\tb\n" in copied[-1][0]

    drive(app, script)


# --- Trouble


def test_what_cannot_be_rendered_leaves_the_last_yaml_dimmed(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        before = shown(pilot)
        app.document.set("getty.password", "./missing")
        await until(pilot, lambda: trouble(pilot))
        assert "cannot read the secret in" in trouble(pilot)
        assert "the last YAML that could be made" in trouble(pilot)
        assert shown(pilot) == before
        assert view(pilot).has_class("-stale")
        app.document.unset(["getty.password"])
        await until(pilot, lambda: not trouble(pilot))
        assert not view(pilot).has_class("-stale")

    drive(app, script)


def test_nothing_to_show_from_the_start(home: Path, drive: Drive, copied: list[tuple[str, str]]) -> None:
    Path("mine.thanos").write_text("thanos: 1\noptions: {extra.yaml: [broken.yml]}\n")
    Path("broken.yml").write_text("servces: []\n")
    app = ThanosApp(Document.open(Path("mine.thanos").absolute()))

    async def script(pilot: Script) -> None:
        await pilot.press("2")
        await until(pilot, lambda: trouble(pilot))
        assert "`services`" in trouble(pilot)  # the hint
        assert head(pilot) == "mine: there is no YAML yet"
        await pilot.press("enter", "d", "v", "z", "right_square_bracket", "C", "escape")
        pane(pilot).show_option("ntp")
        await until(pilot, lambda: not pane(pilot)._due)
        assert "servces" in trouble(pilot)
        assert not shown(pilot)
        assert not copied

    drive(app, script)


def test_a_key_is_needed_for_writing_and_not_for_looking(app: ThanosApp, home: Path, drive: Drive) -> None:
    (home / ".ssh" / "id_ed25519.pub").unlink()

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        assert not trouble(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        assert "there is no SSH key" in str(app.screen.error)
        assert not Path("mine.yml").exists()

    drive(app, script)


def test_another_side_that_cannot_be_read_is_told_above_the_yaml(app: ThanosApp, drive: Drive) -> None:
    Path("broken.yml").write_text("servces: []\n")

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await compare_with(pilot, "another profile")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = "broken.yml"
        await pilot.press("enter")
        await until(pilot, lambda: trouble(pilot))
        assert "servces" in trouble(pilot)
        assert "services" in trouble(pilot)
        assert shown(pilot)[0] == "kernel:"
        assert not view(pilot).has_class("-stale")
        await pilot.press("d")
        await until(pilot, lambda: not trouble(pilot))

    drive(app, script)


# --- Differences


def test_the_difference_from_what_was_saved(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "no difference" in head(pilot))
        app.document.apply({"hostname": "other", "kernel.modules.sound": True}, "two")
        await until(pilot, lambda: "2 differences" in head(pilot))
        assert head(pilot).startswith("mine.thanos as saved → mine")
        assert "-       box" in shown(pilot)
        assert "+       other" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: shown(pilot)[0] == "kernel:")
        assert not any(line.startswith("+") for line in shown(pilot))

    drive(app, script)


def test_differences_are_gone_through_one_by_one(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app.document.apply({"hostname": "other", "kernel.modules.sound": True, "rngd": False}, "three")
        await open_yaml(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "(1 of 3)" in head(pilot))
        assert "kernel:hyperv-qemu-virtualbox" in under_cursor(pilot)
        for expected in ("name: rngd", "box", "kernel:"):
            await pilot.press("right_square_bracket")
            await pilot.pause()
            assert expected in under_cursor(pilot)
        await pilot.press("left_square_bracket")
        await pilot.pause()
        assert under_cursor(pilot) == "-       box"
        assert "(3 of 3)" in head(pilot)

    drive(app, script)


def test_folds_open_with_enter_and_all_at_once(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app.document.set("hostname", "other")
        await open_yaml(pilot)
        whole = len(shown(pilot))
        await pilot.press("d")
        await until(pilot, lambda: "1 difference" in head(pilot))
        folds = [line for line in shown(pilot) if "equal lines" in line]
        assert len(folds) == 2
        await go_to(pilot, folds[0])
        await pilot.press("enter")
        await until(pilot, lambda: sum("equal lines" in line for line in shown(pilot)) == 1)
        await pilot.press("z")
        await until(pilot, lambda: len(shown(pilot)) == whole + 1)
        await pilot.press("z")
        await until(pilot, lambda: sum("equal lines" in line for line in shown(pilot)) == 2)

    drive(app, script)


def test_side_by_side_needs_room(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app.document.set("hostname", "other")
        await open_yaml(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "1 difference" in head(pilot))
        await pilot.press("v")
        await pilot.pause()
        assert "side by side needs 100 columns, and there are 80" in notices(app)
        assert "-       box" in shown(pilot)
        await pilot.resize_terminal(120, 30)
        await pilot.press("v")
        await until(pilot, lambda: any("box" in line and "other" in line for line in shown(pilot)))
        assert all(len(line) <= 120 for line in shown(pilot))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "-       box" in shown(pilot))
        assert "side by side needs 100 columns" in head(pilot)
        await pilot.resize_terminal(140, 30)
        await until(pilot, lambda: any("box" in line and "other" in line for line in shown(pilot)))

    drive(app, script)


def test_the_difference_from_the_defaults_and_another_profile(app: ThanosApp, drive: Drive) -> None:
    Path("lean.thanos").write_text("thanos: 1\noptions: {ntp: false, hostname: box}\n")

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await compare_with(pilot, "the defaults")
        await until(pilot, lambda: head(pilot).startswith("the defaults → mine"))
        assert "-       thanos" in shown(pilot)
        await compare_with(pilot, "another profile")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = "lean.thanos"
        await pilot.press("enter")
        await until(pilot, lambda: head(pilot).startswith("lean.thanos → mine"))
        assert "+   - name: ntp" in shown(pilot)
        # Put away: what is compared with stays.
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("escape")
        await pilot.pause()
        assert head(pilot).startswith("lean.thanos → mine")

    drive(app, script)


def test_the_difference_from_the_last_build_and_a_running_machine(
    app: ThanosApp, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Path("mine.vhd").absolute()
    builds.remember(
        Build("mine", str(app.document.path), (str(image),), 512, 1, "amd64", None, None), app.document.config()
    )
    machine = SimpleNamespace(name="one", alive=True, image=str(image))
    monkeypatch.setattr(vm, "machines", lambda: [machine])

    async def script(pilot: Script) -> None:
        app.document.set("rngd", False)
        await open_yaml(pilot)
        for title in ("the last build", "the machine one"):
            await compare_with(pilot, title)
            await until(pilot, lambda title=title: head(pilot).startswith(f"{title} → mine"))  # type: ignore[misc]
            assert "-   - name: rngd" in shown(pilot)
        await go_to(pilot, "name: rngd")
        await pilot.press("enter")
        await leads_to(pilot, "rngd")

    drive(app, script)


def test_another_document_begins_with_its_own_yaml(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "no difference" in head(pilot))
        app.replace_document(Document.new())
        await until(pilot, lambda: head(pilot).startswith("thanos ·"))
        await pilot.press("d")
        await until(pilot, lambda: head(pilot).startswith("the defaults → thanos"))

    drive(app, script)


# --- To the options and back


@pytest.mark.parametrize(
    ("line", "name"), [("- name: rngd", "rngd"), ("servers pool.ntp.org", "ntp.servers"), ("      box", "hostname")]
)
def test_a_line_leads_to_its_option(app: ThanosApp, drive: Drive, line: str, name: str) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await go_to(pilot, line)
        await pilot.press("enter")
        await leads_to(pilot, name)

    drive(app, script)


def test_a_line_of_several_options_asks_which(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await go_to(pilot, "cmdline:")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        rows = app.screen.query_one(OptionList)
        assert [str(option.prompt).split()[-1] for option in rows.options] == ["kernel.consoles", "kernel.cmdline"]
        await pilot.press("down", "enter")
        await leads_to(pilot, "kernel.cmdline")

    drive(app, script)


def test_a_difference_leads_to_the_option_that_was_changed(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app.document.apply({"network": "none", "kernel.modules.sound": True}, "two")
        for text, name in (("kernel:hyperv-qemu-sound", "kernel.modules.sound"), ("- name: ntp", "network")):
            await open_yaml(pilot)
            if "difference" not in head(pilot):
                await pilot.press("d")
                await until(pilot, lambda: "difference" in head(pilot))
            await go_to(pilot, text)
            await pilot.press("enter")
            await leads_to(pilot, name)

    drive(app, script)


def test_a_line_that_is_always_there_says_so(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await go_to(pilot, "etc/linuxkit.yml")
        await pilot.press("enter")
        await until(pilot, lambda: "no option has a say" in notices(app))
        assert app.shown == "yaml"

    drive(app, script)


def test_an_option_leads_to_its_lines(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await app.show_in_yaml("ntp.servers")
        await until(pilot, lambda: len(view(pilot)) and under_cursor(pilot) == "contents: |")
        lines = view(pilot)
        marked = [
            plain(lines[n]).strip()
            for n in range(len(lines))
            if any("marked" in style for _, style in lines[n])  # type: ignore[misc,str-unpack]
        ]
        assert marked == ["contents: |", "servers pool.ntp.org"]
        await app.show_in_yaml("output.compression")
        await until(pilot, lambda: "is about the build" in notices(app))

    drive(app, script)


def test_an_option_is_found_within_folds(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        app.document.set("hostname", "other")
        await open_yaml(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "1 difference" in head(pilot))
        assert not any("rngd" in line for line in shown(pilot))
        await app.show_in_yaml("rngd")
        await until(pilot, lambda: under_cursor(pilot) == "- name: rngd")

    drive(app, script)


# --- Writing


def test_the_yaml_is_written_for_linuxkit(app: ThanosApp, drive: Drive) -> None:
    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        assert app.screen.query_one(Input).value == "mine.yml"
        await pilot.press("enter")
        await until(pilot, lambda: Path("mine.yml").exists())
        assert config.read_files(["mine.yml"]) == app.document.config()
        await until(pilot, lambda: "written to" in notices(app))
        # What is there already is only replaced when that is said.
        app.document.set("hostname", "other")
        for answer, text in (("enter", "box"), ("r", "other")):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, ChooseFile))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Choices))
            await pilot.press(answer)
            await until(pilot, lambda: app.screen is app.screen_stack[0])
            await until(pilot, lambda text=text: text in Path("mine.yml").read_text())  # type: ignore[misc]

    drive(app, script)


def test_secrets_are_written_only_after_a_word_about_them(app: ThanosApp, drive: Drive) -> None:
    Path("hash").write_text("$6$salt$hunter2\n")

    async def script(pilot: Script) -> None:
        app.document.set("getty.password", "./hash")
        await open_yaml(pilot)
        for answer in ("escape", "d"):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Choices))
            await pilot.press(answer)
            await until(pilot, lambda: app.screen is app.screen_stack[0])
            assert not Path("mine.yml").exists()
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Choices))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        await pilot.press("enter")
        await until(pilot, lambda: Path("mine.yml").exists())
        assert "hunter2" in Path("mine.yml").read_text()
        assert Path("mine.yml").stat().st_mode & 0o077 == 0

    drive(app, script)


def test_a_place_that_cannot_be_written_is_told(app: ThanosApp, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise HostError("cannot write mine.yml: No space left on device", hint="free some space")

    monkeypatch.setattr(made, "write", fail)

    async def script(pilot: Script) -> None:
        await open_yaml(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Tell))
        assert "No space left" in str(app.screen.error)

    drive(app, script)
