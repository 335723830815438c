"""Whether this terminal shows pictures, by kitty's graphics protocol; and how they get to it.

Nothing is asked of the terminal: an answer would arrive among the keys, and many never answer.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.look import Look, look

if TYPE_CHECKING:
    from textual.app import App

Graphics = Literal["none", "kitty", "kitty-in-tmux"]

_TERMS = ("xterm-kitty", "xterm-ghostty")
# What runs a terminal of its own inside of another one, whose variables are inherited.
_INSIDE = ("TMUX", "STY", "ZELLIJ", "NVIM", "VIM_TERMINAL", "INSIDE_EMACS")
# What other terminals set: one that was started from kitty has inherited KITTY_WINDOW_ID.
_OTHERS = ("TERM_PROGRAM", "VTE_VERSION", "KONSOLE_VERSION", "XTERM_VERSION", "ALACRITTY_WINDOW_ID", "WT_SESSION")


def decide(environment: Mapping[str, str], symbols: Look, setting: str = "auto") -> Graphics:
    """What the terminal of an environment takes. setting: one of settings.GRAPHICS.

    Without Unicode or all colours there is nothing, whatever the user says: cells name their picture by a character and
    its colour. tmux hands on what is wrapped for it, but only if its user allows it; so there it has to be asked for.
    """
    if setting == "none" or symbols.ascii or symbols.colours < 2**24:
        return "none"
    if setting == "kitty":
        return "kitty-in-tmux" if "TMUX" in environment else "kitty"
    terminal = environment.get("TERM", "")
    if any(variable in environment for variable in _INSIDE) or terminal.startswith(("screen", "tmux")):
        return "none"
    if terminal in _TERMS or environment.get("TERM_PROGRAM") == "ghostty":
        return "kitty"
    return "kitty" if "KITTY_WINDOW_ID" in environment and not any(name in environment for name in _OTHERS) else "none"


_current: Graphics | None = None


def graphics() -> Graphics:
    """What this process's terminal takes; decided once."""
    return settle("auto") if _current is None else _current


def settle(setting: str) -> Graphics:
    """Decide by this process's environment, its look and the settings, and return it."""
    global _current
    _current = decide(os.environ, look(), setting)
    return _current


def cell_shape() -> float:
    """How many times as high as wide a cell is: by the kernel, which terminals tell their size; 2 if they do not."""
    try:
        size = fcntl.ioctl(sys.__stdin__ or 0, termios.TIOCGWINSZ, b"\0" * 8)
    except (OSError, ValueError):
        return 2.0
    rows, columns, width, height = struct.unpack("HHHH", size)
    if not (rows and columns and width and height):
        return 2.0
    shape: float = (height / rows) / (width / columns)
    return min(4.0, max(1.0, shape))


def send(app: App[Any], data: str, farewell: str) -> None:
    """Write ``data``, in one piece and in order with what Textual writes: between two frames, never inside of one.

    farewell: what takes it away again; written when the terminal is given back, however that comes.

    Textual has no public way to write to the terminal; its own bell and clipboard use the driver, too.
    """
    driver = app._driver
    if driver is None:
        return
    if isinstance(driver, ThanosDriver):
        driver.farewell = farewell
    if data:
        driver.write(data)


def is_behind(app: App[Any]) -> bool:
    """Whether the terminal has yet to take what was written before, so that more would only pile up."""
    driver = app._driver
    return isinstance(driver, ThanosDriver) and driver.is_behind
