"""The list of profiles used last."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui.editing.disk import fingerprint
from thanos_tui.editing.document import Document
from thanos_tui.editing.recent import KEPT, recent, remember, templates
from thanos_tui.files import state_dir


def test_the_latest_comes_first_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{name}.thanos" for name in "abc"]
    for path in paths:
        path.touch()
        remember(path)
    monkeypatch.chdir(tmp_path)
    remember(Path("a.thanos"))
    assert [item.path.name for item in recent()] == ["a.thanos", "c.thanos", "b.thanos"]
    paths[2].unlink()
    assert [item.path.name for item in recent()] == ["a.thanos", "b.thanos"]
    paths[2].touch()
    assert len(recent()) == 3
    assert (state_dir() / "recent.json").stat().st_mode & 0o777 == 0o600


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        (tmp_path / f"{number}.thanos").touch()
        remember(tmp_path / f"{number}.thanos")
    assert len(recent()) == KEPT


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"path": "/x"}]', '[{"path": "/x", "when": "now"}]'])
def test_a_damaged_list_is_empty(text: str, profile_file: Path) -> None:
    state_dir().mkdir(parents=True)
    (state_dir() / "recent.json").write_text(text)
    assert recent() == []
    remember(profile_file)
    assert [item.path for item in recent()] == [profile_file]


def test_templates_say_what_they_are_for(tmp_path: Path) -> None:
    found = {item.name: item for item in templates()}
    assert found["minimal"].about == "The least that boots in QEMU and can be logged in to over SSH"
    assert found["firefox-kiosk"].about == "One page on the whole screen, with sound"
    document = Document.new(found["minimal"].path, tmp_path)
    assert document.path is None
    assert document.directory == tmp_path
    assert document["machine.memory"].value == 512
    assert document.dirty


def test_fingerprints_follow_the_content(profile_file: Path) -> None:
    before = fingerprint(profile_file)
    profile_file.touch()
    assert fingerprint(profile_file) == before != ""
    profile_file.write_text("thanos: 1\n")
    assert fingerprint(profile_file) not in (before, "")
    profile_file.unlink()
    assert fingerprint(profile_file) == fingerprint(None) == ""
