"""Whether this terminal shows pictures, by kitty's graphics protocol or as sixels; and how they get to it.

The terminal is asked what it is (answers.py). One that is silent, or that only others know, shows none.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from thanos_tui.tui import answers
from thanos_tui.tui.answers import Answers
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.look import Look, look

if TYPE_CHECKING:
    from textual.app import App
    from textual.geometry import Region
    from textual.widget import Widget

Graphics = Literal["none", "kitty", "kitty-in-tmux", "sixel"]

_VT340_CELL = (10, 20)  # what terminals whose cells have no pixels go by
_PLACEHOLDERS = (0, 28)  # the version of kitty that brought them


def decide(known: Answers, environment: Mapping[str, str], symbols: Look, setting: str = "auto") -> Graphics:
    """What a terminal takes that has said this of itself. setting: one of settings.GRAPHICS.

    Nothing in ASCII and without colours, whatever the user says. kitty's way needs all colours, as its cells name their
    picture by one. tmux hands on what is wrapped for it, but only if its user allows it; so there it has to be set.
    """
    if setting == "none" or symbols.ascii or not symbols.colour:
        return "none"
    if symbols.colours == 2**24 and (setting == "kitty" or (setting == "auto" and _has_placeholders(known.name))):
        return "kitty-in-tmux" if "TMUX" in environment else "kitty"
    if has_encoder() and (setting == "sixel" or (setting == "auto" and known.sixel)):
        return "sixel"
    return "none"


def _has_placeholders(name: str) -> bool:
    version = re.match(r"kitty\((\d+)\.(\d+)", name)
    return name.startswith("ghostty") or (version is not None and (int(version[1]), int(version[2])) >= _PLACEHOLDERS)


@cache
def has_encoder() -> bool:
    """Whether pictures can be made into sixels: by Pillow, the extra ``pictures``."""
    return find_spec("PIL") is not None


_setting = "auto"


def settle(setting: str) -> None:
    """Go by this setting from now on."""
    global _setting
    _setting = setting


def graphics() -> Graphics:
    """What this process's terminal takes, by all that it has said so far."""
    return decide(ThanosDriver.known, os.environ, look(), _setting)


def limits() -> tuple[int, tuple[int, int] | None]:
    """How many colours a sixel picture may have, and its largest width and height, if there is one."""
    return ThanosDriver.known.colours, ThanosDriver.known.largest


def ask_limits(app: App[Any]) -> None:
    """Ask the terminal for what :func:`limits` and :func:`cell_size` return; both change with its fonts and window."""
    send(app, answers.LIMITS)


def cell_size() -> tuple[int, int]:
    """The width and height of a cell in pixels: by the kernel, which terminals tell their size, else as they answered.

    Less than a pixel too small where the terminal counts its border.
    """
    try:
        size = fcntl.ioctl(sys.__stdin__ or 0, termios.TIOCGWINSZ, b"\0" * 8)
    except (OSError, ValueError):
        size = b"\0" * 8
    rows, columns, width, height = struct.unpack("HHHH", size)
    cell = (width // columns, height // rows) if rows and columns else (0, 0)
    if 0 < cell[0] <= cell[1] <= 4 * cell[0]:  # some tell anything
        return cell
    return ThanosDriver.known.cell or _VT340_CELL


def send(app: App[Any], data: str, farewell: str | None = None) -> None:
    """Write ``data``, in one piece and in order with what Textual writes: between two frames, never inside of one.

    farewell: what takes it away again; written when the terminal is given back, however that comes.

    Textual has no public way to write to the terminal; its own bell and clipboard use the driver, too.
    """
    driver = app._driver
    if driver is None:
        return
    if isinstance(driver, ThanosDriver) and farewell is not None:
        driver.farewell = farewell
    if data:
        driver.write(data)


def is_behind(app: App[Any]) -> bool:
    """Whether the terminal has yet to take what was written before, so that more would only pile up."""
    driver = app._driver
    return isinstance(driver, ThanosDriver) and driver.is_behind


def is_clear(widget: Widget, region: Region) -> bool:
    """Whether all of a region of the terminal shows this widget: no dialog, notice or other widget, not even a part.

    Only Textual's compositor knows: a widget is not told when another one covers it.
    """
    if not widget.screen.is_active:
        return False
    for other, (place, clip) in widget.screen._compositor.visible_widgets.items():  # from the front to the back
        seen = place.intersection(clip)
        if other is widget:
            return seen.contains_region(region)
        if seen.overlaps(region):
            return False
    return False
