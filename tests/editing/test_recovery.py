"""What is unsaved survives however the app ends, and no two apps take each other's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import eventually

from thanos_tui.editing import recovery
from thanos_tui.editing.document import Document
from thanos_tui.editing.recovery import Keeper, Left, difference, left_behind, restored, root
from thanos_tui.errors import HostError


@pytest.fixture
def keep() -> Iterator[Callable[[Document], Keeper]]:
    """Keeps a document as the app does: every change is told."""
    keepers: list[Keeper] = []

    def start(document: Document) -> Keeper:
        keeper = Keeper(document)
        document.listener = keeper.changed
        keepers.append(keeper)
        return keeper

    yield start
    for keeper in keepers:
        keeper.discard()


def files() -> list[str]:
    return sorted(path.suffix for path in root().glob("*"))


def test_what_was_left_comes_back(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    document.set("sysctl.settings", ("a=1", "b=2"))
    document.set("sysctl", False)
    keeper.close()
    (left,) = left_behind(profile_file)
    assert (left.path, left.name, left.directory) == (profile_file, "box", profile_file.parent)
    assert not left.stale
    assert set(difference(left)) == {
        ("hostname", "box", "other"),
        ("sysctl", None, False),
        ("sysctl.settings", None, ("a=1", "b=2")),
    }
    again, lost = restored(left)
    assert lost == ()
    assert again.changed() == document.changed()
    assert again.path == profile_file
    assert again.dirty
    again.set("sysctl", True)
    assert again["sysctl.settings"].value == ("a=1", "b=2")  # kept, though it had no effect
    left.discard()
    assert files() == []


def test_a_profile_without_a_file(tmp_path: Path, keep: Callable[[Document], Keeper], profile_file: Path) -> None:
    document = Document.new(directory=tmp_path)
    keeper = keep(document)
    document.set("hostname", "fresh")
    keeper.close()
    assert left_behind(profile_file) == []
    (left,) = left_behind(None)
    again, _ = restored(left)
    assert (again.path, again.directory, again["hostname"].value) == (None, tmp_path, "fresh")
    left.release()


def test_nothing_is_kept_of_what_is_saved_or_undone(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    eventually(lambda: files() == [".json", ".lock"])
    document.undo()
    eventually(lambda: files() == [".lock"])
    document.redo()
    eventually(lambda: files() == [".json", ".lock"])
    document.save()
    eventually(lambda: files() == [".lock"])
    keeper.close()
    assert files() == []
    assert left_behind(profile_file) == []


def test_discarding_removes_what_was_kept(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    eventually(lambda: ".json" in files())
    keeper.discard()
    assert files() == []
    document.set("hostname", "more")
    keeper.flush()
    assert files() == []


def test_only_the_owner_may_read_it(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    keeper.flush()
    eventually(lambda: ".json" in files())
    assert root().stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in root().iterdir()} == {0o600}


def test_two_apps_with_one_profile(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    first, second = Document.open(profile_file), Document.open(profile_file)
    one, two = keep(first), keep(second)
    first.set("hostname", "first")
    second.set("hostname", "second")
    one.flush()
    two.flush()
    eventually(lambda: files().count(".json") == 2)
    assert left_behind(profile_file) == []  # both live
    one.close()
    (left,) = left_behind(profile_file)
    assert left.values == {"hostname": "first"}
    assert left_behind(profile_file) == []  # a third app is being asked about it
    left.release()
    two.close()
    assert sorted(str(each.values["hostname"]) for each in left_behind(profile_file)) == ["first", "second"]


CRASHING = """
import sys, time
from pathlib import Path
from thanos_tui.editing.document import Document
from thanos_tui.editing.recovery import Keeper
document = Document.open(Path(sys.argv[1]))
keeper = Keeper(document)
document.listener = keeper.changed
document.set("hostname", "killed")
print("changed", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_killed_app_loses_nothing(profile_file: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", CRASHING, profile_file], stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        assert app.stdout.readline() == "changed\n"
        eventually(lambda: ".json" in files())
        assert left_behind(profile_file) == []
        app.send_signal(number)
        app.wait()
    (left,) = left_behind(profile_file)
    assert left.values == {"hostname": "killed"}
    left.release()


def test_a_profile_changed_meanwhile_is_told(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    keeper.close()
    profile_file.write_text("thanos: 1\noptions:\n  hostname: theirs\n")
    (left,) = left_behind(profile_file)
    assert left.stale
    assert difference(left) == (("hostname", "theirs", "other"),)
    left.release()
    profile_file.unlink()
    (left,) = left_behind(profile_file)
    again, _ = restored(left)
    assert (again.path, again["hostname"].value) == (None, "other")


def test_values_that_do_not_fit_any_more_are_left_out(profile_file: Path) -> None:
    (left,) = made_up(
        profile_file,
        {
            "hostname": "fine",
            "no.such.option": True,
            "ntp": 5,
            "output.compression": 99,
            "output.formats": ["vhd"],
            "output.architecture": "arm64",
        },
    )
    document, lost = restored(left)
    assert set(lost) == {"no.such.option", "ntp", "output.compression", "output.formats"}
    assert document["hostname"].value == "fine"
    assert document["output.architecture"].value == "arm64"


def made_up(profile_file: Path, values: dict[str, object]) -> list[Left]:
    root().mkdir(parents=True)
    said = {"schema": 1, "path": str(profile_file), "name": "box", "directory": str(profile_file.parent)}
    said |= {"when": "2026-01-01T00:00:00+00:00", "base": "", "values": values}  # type: ignore[dict-item]
    (root() / "box-1.json").write_text(json.dumps(said))
    return left_behind(profile_file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', '{"schema": 1, "path": 5}', '{"schema": 1}'])
def test_damaged_files_are_passed_over(profile_file: Path, text: str) -> None:
    root().mkdir(parents=True)
    (root() / "x.json").write_text(text)
    assert left_behind(profile_file) == []
    assert left_behind(None) == []


def test_a_place_that_cannot_be_written_is_no_crash(
    profile_file: Path, keep: Callable[[Document], Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise HostError("no space")

    monkeypatch.setattr(recovery, "replacing", full)
    document = Document.open(profile_file)
    keeper = keep(document)
    document.set("hostname", "other")
    keeper.close()
    assert keeper.problem is not None
    assert keeper.problem.message == "no space"
    monkeypatch.undo()


def test_a_file_in_the_way_of_the_directory(profile_file: Path, keep: Callable[[Document], Keeper]) -> None:
    root().parent.mkdir(parents=True)
    root().write_text("")
    keeper = keep(document := Document.open(profile_file))
    document.set("hostname", "other")
    keeper.close()
    assert keeper.problem is not None
    assert os.fspath(root()) in str(keeper.problem)
    assert left_behind(profile_file) == []
