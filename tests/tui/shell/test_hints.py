"""Hints name the app's own keys where they name commands on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from textual.widgets import Static

from thanos_tui import cli
from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.files import config_dir
from thanos_tui.tui import hints
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keymap import declared


def said(text: str | None) -> str:
    declared()
    return hint(ThanosApp(Document.new()), HostError("no", hint=text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("free some space", "free some space"),
        ("docker save X; `thanos-tui app load FILE.tar`", "docker save X; l (Apps: Load)"),
        ("remove apps (`thanos-tui app rm`), or build", "remove apps (d (Apps: Remove app)), or build"),
        ("stop it first: `thanos-tui stop box`", "stop it first: x (Machine: Stop)"),
        ("`thanos-tui ps` shows those\nstarted here", "4 (Machine) shows those\nstarted here"),
        ("run once without `--offline`", "run once without O (Build: Offline)"),
        # Nothing in the app does the same; or it is not ours, or no command at all.
        ("`thanos-tui exec box -- tail /var/log/stark.log`", "`thanos-tui exec box -- tail /var/log/stark.log`"),
        ("`docker stop box`, `stop`, `--no-such-option`", "`docker stop box`, `stop`, `--no-such-option`"),
        ("outside of the app: thanos-tui console", "outside of the app: thanos-tui console"),
    ],
)
def test_a_command_becomes_the_key_that_does_the_same(text: str | None, shown: str) -> None:
    assert said(text) == shown


def test_the_keys_are_the_users_own() -> None:
    config_dir().mkdir(parents=True)
    (config_dir() / "keys.yaml").write_text("machine.stop: f8\n")
    assert said("stop it: `thanos-tui stop`") == "stop it: F8 (Machine: Stop)"


def test_what_hints_know_is_there() -> None:
    actions = {action.name for action in declared()}
    commands = set(_commands(cli.parser()[0]))
    for words, action in hints._ACTIONS.items():
        assert action in actions
        assert words.startswith("--") or words in commands, words


def _commands(parser: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                found += [name, *(f"{name} {each}" for each in _commands(inner))]
    return found


def test_an_error_above_the_app_names_keys(drive: Callable[..., None]) -> None:
    app = ThanosApp(Document.new())

    async def script(pilot: Any) -> None:
        await app.pane("machine")
        app.tell(HostError("machine box is running", hint="stop it first: `thanos-tui stop box`"))
        await pilot.pause()
        assert "stop it first: x (Machine: Stop)" in str(app.screen.query_one("#hint", Static).content)

    drive(app, script)
