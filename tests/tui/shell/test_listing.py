"""Directories as choosing a file sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thanos_tui.errors import InputError
from thanos_tui.tui import listing


@pytest.mark.parametrize(
    ("text", "directory", "fragment"),
    [
        ("", "/s", ""),
        ("a", "/s", "a"),
        ("d/", "/s/d", ""),
        ("d/a", "/s/d", "a"),
        ("/etc/ho", "/etc", "ho"),
        ("/", "/", ""),
        ("..", "/s/..", ""),
        ("../x", "/s/..", "x"),
    ],
)
def test_typed_paths(text: str, directory: str, fragment: str) -> None:
    assert listing.split(text, Path("/s")) == (Path(directory), fragment)


def test_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert listing.split("~/x", Path("/s")) == (Path("/home/me"), "x")
    assert listing.split("~", Path("/s")) == (Path("/home/me"), "")
    assert listing.split("~nobody-of-this-name/x", Path("/s"))[1] == "x"


def test_directories_come_first_and_what_is_neither_not_at_all(tmp_path: Path) -> None:
    tmp_path = tmp_path / "tree"
    (tmp_path / "Z").mkdir(parents=True)
    (tmp_path / "b.thanos").write_text("12345")
    (tmp_path / "A.thanos").write_text("")
    (tmp_path / "c.txt").write_text("")
    (tmp_path / ".d.thanos").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe.thanos")
    found = listing.read(tmp_path, [".thanos"])
    assert [(entry.name, entry.directory, entry.size) for entry in found] == [
        ("Z", True, 0),
        ("A.thanos", False, 0),
        ("b.thanos", False, 5),
    ]
    assert "c.txt" in [entry.name for entry in listing.read(tmp_path)]
    assert ".d.thanos" in [entry.name for entry in listing.read(tmp_path, hidden=True)]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        listing.read(tmp_path / "gone")


def test_narrowing() -> None:
    entries = [listing.Entry(name, False) for name in ("xab", "ABC", "cab", "zz")]
    assert [entry.name for entry in listing.narrowed(entries, "ab")] == ["ABC", "xab", "cab"]
    assert listing.narrowed(entries, "") == entries


def test_names_are_made_harmless() -> None:
    assert listing.shown("a\x1b[31mb\n") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"
    assert listing.shown(os.fsdecode(b"\xff")) == "\N{REPLACEMENT CHARACTER}"
