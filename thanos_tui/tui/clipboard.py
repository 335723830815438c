"""Copying: to the terminal's clipboard, the desktop's, tmux's; and to a file where there is none of them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from thanos_tui.errors import ThanosError
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import App

# A program, and the variable that says whether it has something to talk to.
_PROGRAMS = (
    ("TMUX", ("tmux", "load-buffer", "-w", "-")),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
)


def copy(app: App[int], text: str, what: str) -> None:
    """Put ``text`` on the clipboard and say that ``what`` was copied, or where it is instead.

    The terminal is asked by OSC 52, which many but not all of them follow, and nobody can tell; so the programs that
    reach a clipboard are run as well, where there are any.
    """
    app.run_worker(_copy(app, text, what), exclusive=True, group="clipboard", exit_on_error=False)


async def _copy(app: App[int], text: str, what: str) -> None:
    from thanos_tui.tui.look import look
    from thanos_tui.words import short

    programs = [argv for variable, argv in _PROGRAMS if os.environ.get(variable) and shutil.which(argv[0])]
    try:
        for argv in programs[:1]:
            await perform(_feed, argv, text)
        if look().old and not programs:
            # It would show the sequence, or swallow it.
            path = await perform(_keep, text)
            app.notify(f"this terminal has no clipboard: {what} is in {short(path)}", markup=False)
            return
    except ThanosError as error:
        app.notify(error.message, severity="warning", markup=False)
    app.copy_to_clipboard(text)
    app.notify(f"copied {what}", timeout=3, markup=False)


def _feed(argv: tuple[str, ...], text: str) -> None:
    from thanos_tui.programs import feed

    feed(argv, [text.encode()])


def _keep(text: str) -> Path:
    from thanos_tui.files import replacing, state_dir

    path = state_dir() / "copied.txt"
    with replacing(path, 0o600) as stream:
        stream.write(text.encode())
    return path
