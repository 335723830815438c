"""Sizes, counts, times and paths as people say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui import words


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (38_240_000, "38.2 MB"), (4e13, "40000.0 GB")],
)
def test_sizes(count: float, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 lines"), (1, "1 line"), (2500, "2,500 lines")])
def test_counts(number: int, said: str) -> None:
    assert words.counted(number, "line") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (3.21, "3.2 s"), (12.4, "12 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.9, "0 s"), (59, "59 s"), (60, "1 min"), (7500, "2 h 5 min")])
def test_uptimes_are_short(seconds: float, said: str) -> None:
    assert words.uptime(seconds) == said


def test_paths_are_said_from_here_or_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "home" / "work"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(here)
    assert words.short(here / "out" / "x.vhd") == "out/x.vhd"
    assert words.short("x.vhd") == "x.vhd"
    assert words.short(tmp_path / "home" / "x.vhd") == "~/x.vhd"
    assert words.short("/srv/x.vhd") == "/srv/x.vhd"


def test_paths_are_said_where_the_working_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert words.short(tmp_path / "x.vhd") == "~/x.vhd"
    assert words.short("x.vhd") == "x.vhd"
