"""The flows about a profile's file, as a user goes through them: open, save, leave, recover, changed on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from waiting import until

from thanos_tui import profile
from thanos_tui.editing import recovery
from thanos_tui.editing.document import Document
from thanos_tui.editing.recent import recent, remember
from thanos_tui.editing.recovery import Keeper
from thanos_tui.tui import profiles
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.dialogs import Choices, ChooseFile, Confirm, Tell

Drive = Callable[..., None]
Press = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "box.thanos"
    path.write_text("# mine\nthanos: 1\noptions:\n  hostname: box\n")
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_WATCH", 0.05)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Keepers of apps that a test ended are closed, so that their locks are free."""
    yield
    for app in list(profiles._sessions):
        profiles.stop(app)


async def asked(pilot: Pilot[Any], text: str) -> str:
    """Wait for a question that says this; all that it says."""

    def said() -> str:
        screen = pilot.app.screen
        if not isinstance(screen, Choices | ChooseFile | Tell):
            return ""
        lines = [widget.render().plain for widget in screen.query(Static)]  # type: ignore[union-attr]
        for options in screen.query(OptionList):
            lines += [str(options.get_option_at_index(n).prompt) for n in range(options.option_count)]
        return "\n".join(lines)

    await until(pilot, lambda: text in said())
    await pilot.pause()  # until the rest of the dialog is there as well
    return said()


async def answered(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
    await pilot.app.workers.wait_for_complete(
        [worker for worker in pilot.app.workers if worker.group in ("profile", "finish")]
    )
    await pilot.pause()


def on_disk(path: Path) -> dict[str, Any]:
    return {name: given.value for name, given in profile.load(path).assignments.items()}


def left(path: Path | None) -> list[Any]:
    found = recovery.left_behind(path)
    for each in found:
        each.release()
    return [dict(each.values) for each in found]


def abandoned(path: Path | None, **values: Any) -> None:
    """Unsaved changes of an app that was killed."""
    document = Document.open(path) if path else Document.new()
    keeper = Keeper(document)
    document.listener = keeper.changed
    for name, value in values.items():
        document.set(name, value)
    keeper.close()


def test_save(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "other")
        await pilot.press("s")
        await until(pilot, lambda: not app.document.dirty)
        assert file.read_text() == "# mine\nthanos: 1\noptions:\n  hostname: other\n"
        assert [item.path for item in recent()] == [file]

    drive(app, script)
    assert left(file) == []


def test_save_as_asks_before_it_overwrites(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.new())
    other = file.with_name("new.thanos")

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "fresh")
        await pilot.press("s")
        await asked(pilot, "Save the profile as")
        app.screen.query_one(Input).value = "box.thanos"
        await pilot.press("enter")
        await asked(pilot, "box.thanos exists")
        assert isinstance(app.screen, Confirm)
        await pilot.press("escape")
        await asked(pilot, "Save the profile as")
        assert on_disk(file) == {"hostname": "box"}
        app.screen.query_one(Input).value = "new"
        await pilot.press("enter")
        await answered(pilot)
        assert on_disk(other) == {"hostname": "fresh"}
        assert (app.document.path, app.document.name, app.document.dirty) == (other, "new", False)

    drive(app, script)


def test_save_as_over_another_profile(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.new())

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("ntp", False)
        await pilot.press("S")
        await asked(pilot, "Save the profile as")
        app.screen.query_one(Input).value = "box.thanos"
        await pilot.press("enter")
        await asked(pilot, "exists")
        await pilot.press("o")
        await answered(pilot)
        assert on_disk(file) == {"ntp": False}
        assert file.read_text().startswith("# mine\n")

    drive(app, script)


def test_save_as_under_its_own_name_is_saving(drive: Drive, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    app = ThanosApp(Document.open(Path(file.name)))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "other")
        await pilot.press("S")
        await asked(pilot, "Save the profile as")
        await pilot.press("enter")
        await answered(pilot)
        assert on_disk(file) == {"hostname": "other"}

    drive(app, script)


def test_what_is_incomplete_is_not_saved(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("network", "static")
        await pilot.press("s")
        assert "network.addresses must not be empty" in await asked(pilot, "must not be empty")
        await pilot.press("escape")
        assert on_disk(file) == {"hostname": "box"}
        assert app.document.dirty

    drive(app, script)


def test_a_place_that_cannot_be_written_loses_nothing(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "other")
        file.unlink()
        file.mkdir()
        await pilot.press("s")
        await asked(pilot, "cannot")
        await pilot.press("escape")
        assert app.document["hostname"].value == "other"
        assert app.document.dirty

    drive(app, script)


@pytest.mark.parametrize(
    ("key", "code", "says", "kept"),
    [("s", 0, "other", []), ("d", 0, "box", []), ("g", None, "box", ["other"]), ("escape", None, "box", ["other"])],
)
def test_leaving_asks_about_unsaved_changes(
    drive: Drive, file: Path, key: str, code: int | None, says: str, kept: list[str]
) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "other")
        await pilot.press("ctrl+q")
        said = await asked(pilot, "Save 1 change to box.thanos?")
        assert "hostname: box" in said
        await pilot.press(key)
        await answered(pilot)
        assert app.return_code == code or (code is None and app.return_code is None)

    drive(app, script)
    assert on_disk(file) == {"hostname": says}
    # An app that ends without an answer (a closed terminal) leaves what is unsaved.
    assert [values["hostname"] for values in left(file)] == kept


def test_leaving_at_once_where_nothing_is_unsaved(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code == 0)

    drive(app, script)


def test_open_one_used_lately(drive: Drive, file: Path) -> None:
    other = file.with_name("other.thanos")
    other.write_text("thanos: 1\noptions:\n  hostname: elsewhere\n")
    remember(other)
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "changed")
        await pilot.press("o")
        said = await asked(pilot, "Open a profile")
        assert "other.thanos" in said
        assert "box.thanos" not in said  # it is open
        assert "New from minimal" in said
        await pilot.press("enter")
        await asked(pilot, "Save 1 change")
        await pilot.press("escape")
        await answered(pilot)
        assert app.document["hostname"].value == "changed"
        await pilot.press("o")
        await asked(pilot, "Open a profile")
        await pilot.press("enter")
        await asked(pilot, "Save 1 change")
        await pilot.press("d")
        await answered(pilot)
        assert (app.document.path, app.document["hostname"].value) == (other, "elsewhere")
        assert [item.path for item in recent()] == [other, file]

    drive(app, script)
    assert left(file) == []


def test_open_by_the_file_chooser(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.new())

    async def script(pilot: Pilot[Any]) -> None:
        await pilot.press("o")
        await asked(pilot, "Another file")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ChooseFile))
        app.screen.query_one(Input).value = "box.thanos"
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
        await pilot.press("enter")
        await answered(pilot)
        assert app.document.path is not None
        assert app.document.path.samefile(file)

    drive(app, script)


def test_new_from_a_template(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        await pilot.press("o")
        await asked(pilot, "New from minimal")
        options = app.screen.query_one(OptionList)
        options.highlighted = next(
            n for n in range(options.option_count) if "minimal" in str(options.get_option_at_index(n).prompt)
        )
        await pilot.press("enter")
        await answered(pilot)
        assert app.document.path is None
        assert app.document["machine.memory"].value == 512
        assert app.document.dirty

    drive(app, script)


def test_a_profile_that_cannot_be_read_changes_nothing(drive: Drive, file: Path) -> None:
    bad = file.with_name("bad.thanos")
    bad.write_text("thanos: 1\noptions:\n  hostnam: x\n")
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.open_path(bad)
        assert "did you mean hostname?" in await asked(pilot, "there is no option")
        await pilot.press("escape")
        assert app.document.path == file

    drive(app, script)


def test_recovery_is_offered_at_the_start(drive: Drive, file: Path) -> None:
    abandoned(file, hostname="rescued", ntp=False)
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        said = await asked(pilot, "Restore unsaved changes to box.thanos?")
        assert "Last made just now:" in said
        assert "hostname: box" in said
        assert "ntp: default" in said
        await pilot.press("r")
        await answered(pilot)
        assert app.document.unsaved() == {"hostname", "ntp"}
        assert app.document.path == file

    drive(app, script)
    assert left(file) == [{"hostname": "rescued", "ntp": False}]  # still not saved, still there


@pytest.mark.parametrize(("key", "kept"), [("d", []), ("a", ["rescued"]), ("escape", ["rescued"])])
def test_recovery_can_be_declined(drive: Drive, file: Path, key: str, kept: list[str]) -> None:
    abandoned(file, hostname="rescued")
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        await asked(pilot, "Restore unsaved changes")
        await pilot.press(key)
        await answered(pilot)
        assert not app.document.dirty

    drive(app, script)
    assert [values["hostname"] for values in left(file)] == kept


def test_recovery_of_a_profile_without_a_file(drive: Drive) -> None:
    abandoned(None, hostname="nameless")
    app = ThanosApp(Document.new())

    async def script(pilot: Pilot[Any]) -> None:
        await asked(pilot, "Restore unsaved changes to a profile without a file?")
        await pilot.press("r")
        await answered(pilot)
        assert app.document["hostname"].value == "nameless"

    drive(app, script)


def test_what_was_saved_meanwhile_is_not_offered(drive: Drive, file: Path) -> None:
    abandoned(file, hostname="rescued")
    file.write_text("thanos: 1\noptions:\n  hostname: rescued\n")
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: not list(recovery.root().glob("*.json")))
        assert len(app.screen_stack) == 1

    drive(app, script)


@pytest.mark.parametrize(
    ("key", "value", "dirty"), [("t", "theirs", False), ("k", "mine", True), ("escape", "mine", True)]
)
def test_a_file_changed_on_disk_is_noticed(drive: Drive, file: Path, key: str, value: str, dirty: bool) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "mine")
        await answered(pilot)
        file.write_text("thanos: 1\noptions:\n  hostname: theirs\n")
        said = await asked(pilot, "was changed by somebody else")
        assert "hostname: file theirs, here mine" in said
        await pilot.press(key)
        await answered(pilot)
        assert (app.document["hostname"].value, app.document.dirty) == (value, dirty)
        await pilot.pause(0.3)
        assert len(app.screen_stack) == 1  # asked once
        if key == "t":
            await pilot.press("u")
            assert app.document["hostname"].value == "mine"

    drive(app, script)


def test_show_both(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "mine")
        await answered(pilot)
        file.write_text("thanos: 1\noptions:\n  hostname: theirs\n")
        await asked(pilot, "was changed by somebody else")
        await pilot.press("s")
        await until(pilot, lambda: app.shown == "yaml")
        assert app.document.on_disk["hostname"].value == "theirs"

    drive(app, script)


def test_saving_over_a_changed_file_asks_first(drive: Drive, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_WATCH", 1000)
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("hostname", "mine")
        await answered(pilot)
        file.write_text("thanos: 1\noptions:\n  hostname: theirs\n")
        await pilot.press("s")
        await asked(pilot, "was changed by somebody else")
        await pilot.press("escape")
        await answered(pilot)
        assert on_disk(file) == {"hostname": "theirs"}
        await pilot.press("s")
        await asked(pilot, "Save mine over it")
        await pilot.press("enter")
        await answered(pilot)
        assert on_disk(file) == {"hostname": "mine"}
        assert not app.document.dirty

    drive(app, script)


def test_other_comments_are_nothing_to_ask_about(drive: Drive, file: Path) -> None:
    app = ThanosApp(Document.open(file))

    async def script(pilot: Pilot[Any]) -> None:
        app.document.set("ntp", False)
        await answered(pilot)
        file.write_text("# theirs\nthanos: 1\noptions:\n  hostname: box # here\n")
        await pilot.pause(0.3)
        assert len(app.screen_stack) == 1
        await pilot.press("s")
        await until(pilot, lambda: not app.document.dirty)
        assert file.read_text() == "# theirs\nthanos: 1\noptions:\n  hostname: box # here\n  ntp: false\n"

    drive(app, script)
