"""Dialogs, by keyboard and mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.widgets import Input, OptionList, Static

from thanos_tui.errors import HostError, Where
from thanos_tui.tui.dialogs import Choices, ChooseFile, Confirm, Prompt, Tell, letters

SIZES = [(80, 24), (40, 10), (20, 6)]


class Host(App[None]):
    """An app that shows one dialog and keeps what it answers."""

    def __init__(self, dialog: Any) -> None:
        super().__init__()
        self.dialog = dialog
        self.answers: list[Any] = []
        self.copied: list[str] = []

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self.answers.append)

    def copy(self, text: str, _what: str) -> None:
        self.copied.append(text)


def _answer(drive, dialog: Any, *keys: str, size: tuple[int, int] = (80, 24)) -> list[Any]:  # type: ignore[no-untyped-def]
    app = Host(dialog)

    async def script(pilot: Any) -> None:
        for key in keys:
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()

    drive(app, script, size=size)
    return app.answers


def _choices() -> Choices:
    return Choices("Save?", [("save", "Save"), ("lose", "Do not save"), ("stay", "Stay")], "Two options were changed.")


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], "save"),
        (["down", "enter"], "lose"),
        (["d"], "lose"),
        (["D"], "lose"),
        (["t"], "stay"),
        (["escape"], None),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_choosing(drive, keys: list[str], answer: str | None, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    assert _answer(drive, _choices(), *keys, size=size) == [answer]


def test_choosing_by_mouse(drive) -> None:  # type: ignore[no-untyped-def]
    app = Host(_choices())

    async def script(pilot: Any) -> None:
        await pilot.click(OptionList, offset=(5, 1))

    drive(app, script)
    assert app.answers == ["lose"]


def test_letters_are_the_titles_own() -> None:
    assert letters(["Save", "Save as", "Stay", "…", "s"]) == ["s", "a", "t", "", ""]


def test_confirming(drive) -> None:  # type: ignore[no-untyped-def]
    assert _answer(drive, Confirm("Sure?"), "y") == ["yes"]
    assert _answer(drive, Confirm("Sure?"), "n") == ["no"]


def test_telling_says_all_of_an_error(drive) -> None:  # type: ignore[no-untyped-def]
    error = HostError("no space [b]left[/b]", hint="free some", where=Where("a.thanos", 3, 4))
    app = Host(Tell(error))

    async def script(pilot: Any) -> None:
        shown = [str(static.render()) for static in app.screen.query(Static)]
        assert any("no space [b]left[/b]" in text for text in shown)
        assert any("a.thanos:3:4" in text for text in shown)
        assert any("free some" in text for text in shown)
        await pilot.press("c")
        await pilot.click("#copy")
        await pilot.press("right", "enter")

    drive(app, script)
    assert app.copied == [str(error)] * 2
    assert app.answers == [None]


def _no_blanks(text: str) -> str | None:
    return "no blanks" if " " in text else None


def test_a_prompt_takes_only_what_fits(drive) -> None:  # type: ignore[no-untyped-def]
    app = Host(Prompt("Name", "b x", check=_no_blanks))

    async def script(pilot: Any) -> None:
        verdict = app.screen.query_one("#verdict", Static)
        assert not verdict.has_class("-bad")  # nobody has typed it
        await pilot.press("enter")
        assert verdict.has_class("-bad")
        assert app.answers == []
        await pilot.press("backspace", "backspace")
        await pilot.pause()
        assert not verdict.has_class("-bad")
        await pilot.press("enter")

    drive(app, script)
    assert app.answers == ["b"]


def test_a_prompt_completes(drive) -> None:  # type: ignore[no-untyped-def]
    names = ["alpha", "beta"]
    assert _answer(drive, Prompt("Name", complete=lambda _: names), "b", "e", "right", "enter") == ["beta"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    for name in ("a.thanos", "b.thanos", "notes.txt", ".hidden.thanos", "deep/c.thanos"):
        (root / name).write_text("thanos: 1\n")
    return root


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["a", "enter"], "a.thanos"),
        (["down", "down", "enter"], "a.thanos"),
        (["d", "enter", "c", "enter"], "deep/c.thanos"),
        (["d", "tab", "c", "tab", "enter"], "deep/c.thanos"),
        ([*"notes.txt", "enter"], "notes.txt"),
        ([*"deep/../b", "enter"], "deep/../b.thanos"),
        (["full_stop", "h", "enter"], ".hidden.thanos"),
        (["alt+h", "down", "down", "enter"], ".hidden.thanos"),
        (["ctrl+up", *"tree/b", "enter"], "b.thanos"),
        (["escape"], None),
    ],
)
def test_choosing_a_file(drive, tree: Path, keys: list[str], answer: str | None) -> None:  # type: ignore[no-untyped-def]
    given = _answer(drive, ChooseFile("Open", tree, suffixes=[".thanos"]), *keys)
    assert given == [None if answer is None else tree / answer]


def test_a_file_that_is_not_there_is_refused(drive, tree: Path) -> None:  # type: ignore[no-untyped-def]
    app = Host(ChooseFile("Open", tree))

    async def script(pilot: Any) -> None:
        await pilot.press(*"nothing", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "no such file" in str(app.screen.query_one("#verdict", Static).render())

    drive(app, script)
    assert app.answers == []


def test_a_new_file_gets_a_name(drive, tree: Path) -> None:  # type: ignore[no-untyped-def]
    dialog = ChooseFile("Save as", tree, new=True, value="x", check=lambda p: "taken" if p.exists() else None)
    assert _answer(drive, dialog, "y", "enter") == [tree / "xy"]
    dialog = ChooseFile("Save as", tree, new=True, value="a.thanos", check=lambda p: "taken" if p.exists() else None)
    assert _answer(drive, dialog, "enter") == []
    dialog = ChooseFile("Save as", tree, new=True, value="no/where")
    assert _answer(drive, dialog, "enter") == []
    assert sorted(path.name for path in tree.iterdir()) == [
        ".hidden.thanos",
        "a.thanos",
        "b.thanos",
        "deep",
        "notes.txt",
    ]


def test_a_directory_that_cannot_be_read_is_no_end(drive, tree: Path) -> None:  # type: ignore[no-untyped-def]
    app = Host(ChooseFile("Open", tree))

    async def script(pilot: Any) -> None:
        await pilot.press(*"gone/")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "cannot read" in str(app.screen.query_one("#verdict", Static).render())
        app.screen.query_one(Input).value = "b"
        await app.workers.wait_for_complete()
        await pilot.pause()
        await pilot.press("enter")
        await app.workers.wait_for_complete()

    drive(app, script)
    assert app.answers == [tree / "b.thanos"]
