"""What the user set for the app itself, in ``settings.yaml`` of the configuration directory.

A file that cannot be used never keeps the app from starting: what is wrong in it is said, and the rest of it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thanos_tui import yaml12
from thanos_tui.errors import InputError, ThanosError, nearest
from thanos_tui.files import config_dir, replacing


@dataclass(frozen=True)
class Settings:
    """theme: its name; empty for the one that fits the terminal. ascii: whether to draw with ASCII only; None leaves it
    to the terminal. graphics: how pictures are shown, one of GRAPHICS."""

    theme: str = ""
    ascii: bool | None = None
    graphics: str = "auto"


GRAPHICS = ("auto", "kitty", "sixel", "none")
_KINDS: dict[str, tuple[type, str]] = {
    "theme": (str, "the name of a theme"),
    "ascii": (bool, "true or false"),
    "graphics": (str, "auto, kitty, sixel or none"),
}


def path() -> Path:
    """Where the settings are."""
    return config_dir() / "settings.yaml"


def load() -> tuple[Settings, Sequence[ThanosError]]:
    """The settings, and what is wrong with the file. Raises nothing."""
    try:
        text = path().read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Settings(), ()
    except OSError as error:
        return Settings(), (InputError(f"cannot read {path()}: {error.strerror}"),)
    try:
        document = yaml12.read(text, str(path()))
    except ThanosError as error:
        return Settings(), (error,)
    if document.value is None:
        return Settings(), ()
    if not isinstance(document.value, dict):
        return Settings(), (InputError("settings are written NAME: VALUE, one a line", where=document.where()),)
    problems: list[ThanosError] = []
    found: dict[str, Any] = {}
    for name, value in document.value.items():
        if name not in _KINDS:
            close = nearest(name, _KINDS)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(_KINDS)}"
            problems.append(
                InputError(f"there is no setting {name!r}", hint=hint, where=document.where([name], key=True))
            )
        elif not isinstance(value, _KINDS[name][0]) or (name == "graphics" and value not in GRAPHICS):
            problems.append(InputError(f"{name} takes {_KINDS[name][1]}", where=document.where([name])))
        else:
            found[name] = value
    return Settings(**found), problems


def check_theme(settings: Settings, known: Sequence[str]) -> ThanosError | None:
    """What is wrong with the theme's name, if anything is."""
    if not settings.theme or settings.theme in known:
        return None
    close = nearest(settings.theme, known)
    return InputError(
        f"there is no theme {settings.theme!r}",
        hint=f"did you mean {close}?" if close else "the palette lists them",
        where=str(path()),
    )


def change(**changes: Any) -> None:
    """Change settings in the file. Raises HostError if it cannot be written, InputError where the file is damaged.

    Whoever wrote something in it that we do not understand must not lose it to us.
    """
    settings, problems = load()
    if problems:
        raise InputError(
            "the settings were not saved: their file has a mistake", hint=str(problems[0]), where=str(path())
        )
    settings = replace(settings, **changes)
    values = {name: value for name in _KINDS if (value := getattr(settings, name)) != getattr(Settings(), name)}
    with replacing(path()) as stream:
        stream.write(b"# The app writes this file when a theme is chosen; docs/app.md says what may stand in it.\n")
        stream.write(yaml12.write(values).encode())
