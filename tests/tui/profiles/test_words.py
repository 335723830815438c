"""How dialogs about profiles put things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thanos_tui.options import load
from thanos_tui.tui.profiles_words import ago, differences, place

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=23), "23 hours ago"),
    ],
)
def test_times(passed: timedelta, said: str) -> None:
    assert ago(NOW - passed, NOW) == said


def test_long_ago_is_a_date() -> None:
    assert ago(NOW - timedelta(days=30), NOW).startswith("2026-02-0")


def test_places(home: Path) -> None:
    assert place(Path("x.thanos")) == "x.thanos"
    assert place(home / "y" / "x.thanos") == "~/y/x.thanos"
    assert place(Path("/srv/x.thanos")) == "/srv/x.thanos"
    long = place(Path("/srv") / ("d" * 100) / "x.thanos")
    assert len(long) == 44
    assert long.endswith("d/x.thanos")


def test_differences_are_cut_where_they_are_many() -> None:
    catalogue = load()
    many = [(name, None, "x" * 100) for name in catalogue.options]
    lines = differences(catalogue, many).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"and {len(many) - 10} more"
    assert max(map(len, lines)) < 70
    assert differences(catalogue, [("gone.option", None, True)]) == "gone.option: nothing → True"
    assert differences(catalogue, [("ntp", True, False)], "file", "here") == "ntp: file on, here off"
