"""Choosing a file for an option: where to begin, and how the path is written in the profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from thanos_tui.options import Option


def start_of(directory: Path, option: Option, text: str) -> Path:
    """Where to look first: where the present path is, else in ``~/.ssh`` for keys, else beside the profile."""
    written = text.partition("=")[2] if option.format == "extra-file" else text
    if written and not written.startswith("$"):
        try:
            given = directory / Path(written).expanduser()
        except (RuntimeError, ValueError):  # the home of nobody; a NUL
            return directory.absolute()
        if given.parent.is_dir():
            return given.parent
    keys = Path.home() / ".ssh"
    return keys if option.name.endswith(".authorized-keys") and keys.is_dir() else directory.absolute()


def written(directory: Path, option: Option, text: str, chosen: Path) -> str:
    """The chosen path as a profile says it: relative to the profile where it is below it, with ``~`` for the home."""
    chosen = Path(chosen)
    base, home = directory.absolute(), Path.home()
    if chosen.is_relative_to(base):
        path = f"{'./' if option.secret else ''}{chosen.relative_to(base)}"
    elif chosen.is_relative_to(home):
        path = f"~/{chosen.relative_to(home)}"
    else:
        path = str(chosen)
    if option.format != "extra-file":
        return path
    place, equals, _ = text.partition("=")
    return f"{place if equals and place else f'/etc/{chosen.name}'}={path}"


def pick(screen: Screen[Any], directory: Path, option: Option, text: str, put: Callable[[str], None]) -> None:
    """Let the user choose a file; ``put`` gets what is to be written for it, unless they leave it."""
    from thanos_tui.tui.choosing import ChooseFile

    suffixes = (".pub",) if option.name.endswith(".authorized-keys") else ()

    def chosen(path: Path | None) -> None:
        if path is not None:
            put(written(directory, option, text, path))

    screen.app.push_screen(
        ChooseFile(f"{option.prompt}: choose a file", start_of(directory, option, text), suffixes=suffixes), chosen
    )
