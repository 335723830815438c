"""How the app ends when nobody pressed ``q``: a signal, a closed terminal, a defect of its own."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from textual.worker import WorkerFailed

from thanos_tui.errors import HostError, Interrupted
from thanos_tui.interrupts import SIGNALS

if TYPE_CHECKING:
    from textual.app import App


def end_on_signals(app: App[Any]) -> None:
    """Let signals end the app as a key would, the screen restored. Those that are ignored stay so (nohup)."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, app.exit, Interrupted.exit_code, Interrupted.exit_code)


def log_crash(error: BaseException) -> str:
    """Write an error that nobody foresaw to the log, and say in a sentence what happened and where to read on."""
    from thanos_tui.tui import faults
    from thanos_tui.words import short

    if isinstance(error, WorkerFailed):
        error = error.error  # what it wraps is what happened
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    try:
        path = faults.note(error)
    except HostError as failure:
        return f"the app failed ({what}), and its log could not be written: {failure.message}"
    return f"the app failed ({what}); please report what {short(path)} says"
