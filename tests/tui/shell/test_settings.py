"""The user's settings: read, changed, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError, InputError
from thanos_tui.tui import first, look, settings, themes
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.settings import Settings


def _write(text: str) -> Path:
    settings.path().parent.mkdir(parents=True, exist_ok=True)
    settings.path().write_text(text)
    return settings.path()


def test_settings_are_kept() -> None:
    assert settings.load() == (Settings(), ())
    settings.change(theme="nord")
    settings.change(ascii=True)
    settings.change(graphics="none")
    assert settings.load() == (Settings("nord", True, "none"), [])
    settings.change(graphics="auto")
    assert "graphics" not in settings.path().read_text()


@pytest.mark.parametrize(
    ("text", "said", "left"),
    [
        ("them: nord\nascii: true\n", "settings.yaml:1:1: there is no setting 'them'\n  did you mean theme?", True),
        ("theme: 5\nascii: true\n", "settings.yaml:1:8: theme takes the name of a theme", True),
        ("ascii: maybe\n", "settings.yaml:1:8: ascii takes true or false", None),
        ("graphics: jpeg\nascii: true\n", "settings.yaml:1:11: graphics takes auto, kitty, sixel or none", True),
        ("[]\n", "settings are written NAME: VALUE", None),
        ("theme: 'nord\n", "settings.yaml:", None),
        ("\udcff", "settings.yaml", None),
    ],
)
def test_mistakes_are_said_and_the_rest_counts(text: str, said: str, left: bool | None) -> None:
    _write("").write_bytes(text.encode(errors="surrogateescape"))
    found, problems = settings.load()
    assert len(problems) == 1
    assert said in str(problems[0])
    assert found.ascii is left


def test_a_file_with_a_mistake_is_not_written_over() -> None:
    path = _write("them: nord\n")
    with pytest.raises(InputError, match="not saved"):
        settings.change(theme="nord")
    assert path.read_text() == "them: nord\n"


def test_a_directory_in_its_place_is_said() -> None:
    settings.path().mkdir(parents=True)
    assert "cannot read" in str(settings.load()[1][0])


def test_where_it_cannot_be_written_that_is_said(home: Path) -> None:
    (home / ".config").write_text("a file")
    with pytest.raises(HostError):
        settings.change(theme="nord")


@pytest.mark.parametrize(
    ("chosen", "colours", "begins"),
    [
        ("", 2**24, "thanos-dark"),
        ("nord", 2**24, "nord"),
        ("nord", 16, "ansi-dark"),
        ("ansi-light", 16, "ansi-light"),
        ("nord", 0, "thanos-dark"),
        ("no such", 2**24, "thanos-dark"),
    ],
)
def test_the_theme_fits_the_terminal(chosen: str, colours: int, begins: str) -> None:
    assert themes.initial(chosen, _look(colours)) == begins


def _look(colours: int) -> look.Look:
    from dataclasses import replace

    return replace(look.UNICODE, colours=colours)


def test_the_app_begins_with_a_damaged_file_and_says_so(drive) -> None:  # type: ignore[no-untyped-def]
    _write("theme: norrd\nascii: maybe\n")
    app = ThanosApp(Document.new())

    async def script(pilot) -> None:  # type: ignore[no-untyped-def]
        await app.workers.wait_for_complete()
        await pilot.pause()
        said = " ".join(notice.message for notice in app._notifications)
        assert "did you mean nord?" in said
        assert "ascii takes true or false" in said

    drive(app, script)
    assert app.theme == "thanos-dark"


def test_a_chosen_theme_stays(drive) -> None:  # type: ignore[no-untyped-def]
    app = ThanosApp(Document.new())

    async def script(pilot) -> None:  # type: ignore[no-untyped-def]
        await app.choose_theme("thanos-light")
        await pilot.pause()

    drive(app, script)
    assert ThanosApp(Document.new()).theme == "thanos-light"
    assert first._remembered(os.environ).all[0].lower() == themes.LIGHT.background


def test_ascii_by_the_settings(drive) -> None:  # type: ignore[no-untyped-def]
    _write("ascii: true\n")
    app = ThanosApp(Document.new())
    assert look.look().ascii

    async def script(pilot) -> None:  # type: ignore[no-untyped-def]
        await pilot.press("question_mark")
        await pilot.pause()
        rows = ["".join(segment.text for segment in row) for row in app.screen._compositor.render_strips()]
        assert all(row.isascii() for row in rows)
        assert any("Configure: help" in row for row in rows)

    drive(app, script)


@pytest.mark.parametrize("damage", ["", "x\n", "xterm-256color truecolor -\nred\n", "\0" * 400, "é"])
def test_a_damaged_memory_of_the_first_frame_is_no_matter(home: Path, damage: str) -> None:
    (home / ".local/state/thanos-tui").mkdir(parents=True)
    (home / ".local/state/thanos-tui/first-frame").write_text(damage)
    assert first._remembered(os.environ).all == first.PLAIN.all


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (33, 7), (200, 60)])
def test_the_first_frame_fills_the_screen_and_no_more(size: tuple[int, int]) -> None:
    import re

    width, height = size
    filled = first.filling(width, height, ["   Output  ---> "] * 60, " box.thanos", "#101010", "", "#303030", "#ffffff")
    places = [tuple(map(int, place)) for place in re.findall(r"\x1b\[(\d+);(\d+)H", filled)]
    assert all(row < height and column == 1 for row, column in places)
    assert {row for row, _ in places[1:-1]} <= set(range(3, height - 1))
    drawn = first.frame(width, height, "#101010", "#202020", "#303030", "#ffffff")
    rows = re.split(r"\x1b\[(\d+);1H", drawn)
    texts = {int(rows[i]): re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", rows[i + 1]) for i in range(1, len(rows) - 1, 2)}
    texts.pop(1) if not texts[1] else None
    assert {row: len(text) for row, text in texts.items() if row not in (1, height)} == dict.fromkeys(
        range(2, height), width
    )
    assert len(texts[height]) == width - 1
