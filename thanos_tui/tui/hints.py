"""Hints as the app says them: where one names a command of ours, the key that does the same takes its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from thanos_tui.errors import ThanosError
from thanos_tui.tui.keymap import loaded, shown

if TYPE_CHECKING:
    from textual.app import App

    from thanos_tui.tui.app import ThanosApp

# What commands are here, by the words that they begin with. Of those that are not named, nothing here does the same.
_ACTIONS = {
    "app run": "apps.run",
    "app load": "apps.load",
    "app start": "apps.start",
    "app stop": "apps.halt",
    "app restart": "apps.restart",
    "app rm": "apps.remove",
    "app ls": "machine.apps",
    "app logs": "machine.apps",
    "run": "machine.boot",
    "stop": "machine.stop",
    "console": "machine.console",
    "logs": "machine.view",
    "ps": "app.go-machine",
    "options": "configure.search",
    "keys": "app.help",
    "--update": "build.update",
    "--offline": "build.offline",
}
_COMMAND = re.compile(r"`(?:thanos-tui (?=[^-])|(?=--))([^`\n]+)`")


def hint(app: App[Any], error: ThanosError) -> str:
    """What to do about an error, in the app; empty where there is nothing to do."""

    def key(command: re.Match[str]) -> str:
        words = command[1].split()
        name = _ACTIONS.get(" ".join(words[:2])) or _ACTIONS.get(words[0]) or ""
        action = loaded().get(name)
        if action is None:
            return command[0]
        keys = cast("ThanosApp", app).keymap.keys.get(name, action.keys)
        part = "" if action.part == "app" else f"{action.part.title()}: "
        return f"{shown(keys[0])} ({part}{action.binding.description})"

    return _COMMAND.sub(key, error.hint or "")
