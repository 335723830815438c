"""Keys: declared once, changed by the user, listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

from thanos_tui import cli
from thanos_tui.editing.document import Document
from thanos_tui.tui import keymap
from thanos_tui.tui.app import ThanosApp

DOCS = Path(__file__).parents[3] / "docs"


def _write(text: str) -> None:
    keymap.path().parent.mkdir(parents=True, exist_ok=True)
    keymap.path().write_text(text)


def _ours() -> list[type[DOMNode]]:
    keymap.declared()
    found, left = [], [DOMNode]
    while left:
        for subclass in left.pop().__subclasses__():
            left.append(subclass)
            if subclass.__module__.startswith("thanos_tui.tui."):
                found.append(subclass)
    return found


def test_every_binding_of_ours_is_declared_with_a_name_a_title_and_a_sentence() -> None:
    for holder in _ours():
        for binding in vars(holder).get("BINDINGS", ()):
            assert isinstance(binding, Binding), f"{holder}: {binding}"
            assert binding.id, f"{holder}: {binding}"
            assert "." in binding.id
            assert binding.description, binding.id
            assert binding.tooltip.endswith((".", "?")), binding.id


def test_no_two_actions_have_the_same_name() -> None:
    names: dict[str, list[type[DOMNode]]] = {}
    for holder in dict.fromkeys(_ours()):
        for each in keymap.declarations(holder):
            # A widget may declare an action of its base anew, under its name.
            if not any(issubclass(holder, other) for other in names.get(each.name, [])):
                names.setdefault(each.name, []).append(holder)
    assert {name: holders for name, holders in names.items() if len(holders) > 1} == {}


def test_keys_are_keys() -> None:
    for action in keymap.declared():
        assert all(keymap.is_key(key) for key in action.keys), action


def test_the_page_is_current() -> None:
    assert (DOCS / "keys.md").read_text() == keymap.document(), "python -m thanos_tui.tui.keymap > docs/keys.md"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("ctrl+b", "Ctrl+B"),
        ("question_mark", "?"),
        ("slash", "/"),
        ("escape", "Esc"),
        ("space", "Space"),
        ("f5", "F5"),
        ("S", "S"),
        ("s", "s"),
        ("ctrl+right_square_bracket", "Ctrl+]"),
        ("shift+tab", "Shift+Tab"),
        ("+", "+"),
    ],
)
def test_keys_as_people_write_them(key: str, shown: str) -> None:
    assert keymap.shown(key) == shown


def test_without_a_file_nothing_changes() -> None:
    assert keymap.load() == keymap.Keymap()


def test_keys_are_read_as_a_word_or_a_list() -> None:
    _write("# mine\napp.undo: f5\napp.redo: [ctrl+y, K]\napp.help: f10, f2\napp.go-yaml: 9\n")
    given = keymap.load()
    assert not given.problems
    assert given.keys == {
        "app.undo": ("f5",),
        "app.redo": ("ctrl+y", "K"),
        "app.help": ("f10", "f2"),
        "app.go-yaml": ("9",),
    }
    assert not keymap.check(given, keymap.declared())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app.undo: spcae\n", "keys.yaml:1:11: there is no key 'spcae'\n  did you mean space?"),
        ("\napp.undo: [u, ctlr+u]\n", "keys.yaml:2:11: there is no key 'ctlr+u'"),
        ("app.undo: []\n", "keys.yaml:1:11: app.undo takes a key, or a list of them"),
        ("app.undoo: f5\n", "there is no action 'app.undoo'\n  did you mean app.undo?"),
        ("app.undo: s\n", "s is a key of app.undo and of app.save"),
        ("- app.undo\n", "keys.yaml:1:1: keys are written ACTION: KEY, one a line"),
        ("app.undo: f5\napp.undo: f6\n", "keys.yaml:2:1: "),
        ("app.undo: 'f5\n", "keys.yaml:"),
        ("\0", "keys.yaml"),
    ],
)
def test_mistakes_are_said_with_their_place(text: str, said: str) -> None:
    _write(text)
    problems = keymap.check(keymap.load(), keymap.declared())
    assert len(problems) == 1
    assert said in str(problems[0])


def test_a_mistake_leaves_the_rest_in_force() -> None:
    _write("app.undo: nonsense\napp.redo: f5\n")
    assert keymap.load().keys == {"app.redo": ("f5",)}


def test_the_app_follows_the_users_keys(drive) -> None:  # type: ignore[no-untyped-def]
    _write("app.go-yaml: f9\napp.go-build: nonsense\n")
    app = ThanosApp(Document.new())

    async def script(pilot) -> None:  # type: ignore[no-untyped-def]
        await pilot.press("2")
        await pilot.pause()
        assert app.shown == "configure"
        await pilot.press("f9")
        await pilot.pause()
        assert app.shown == "yaml"
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert any("there is no key 'nonsense'" in notice.message for notice in app._notifications)

    drive(app, script)


def test_the_command_lists_the_keys_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    _write("app.undo: f12\n")
    assert cli.main(["keys"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "F12" in rows["app.undo"]
    assert "Ctrl+P" in rows["app.palette"]
    _write("app.undoo: f12\n")
    assert cli.main(["keys"]) == 2
    assert "app.undoo" in capsys.readouterr().err
