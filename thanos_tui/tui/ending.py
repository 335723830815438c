"""How the app ends when nobody pressed ``q``: a signal, a closed terminal, a defect of its own."""

from __future__ import annotations

import asyncio
import platform
import signal
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from textual.worker import WorkerFailed

from thanos_tui import __version__
from thanos_tui.errors import Interrupted
from thanos_tui.interrupts import SIGNALS

if TYPE_CHECKING:
    from textual.app import App

_LARGEST = 1 << 20  # bytes of the log, from which on it begins anew


def end_on_signals(app: App[Any]) -> None:
    """Let signals end the app as a key would, the screen restored. Those that are ignored stay so (nohup)."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, app.exit, Interrupted.exit_code, Interrupted.exit_code)


def log_crash(error: BaseException) -> str:
    """Write an error that nobody foresaw to the log, and say in a sentence what happened and where to read on."""
    from thanos_tui.files import state_dir
    from thanos_tui.narrate import short

    path = state_dir() / "app.log"
    if isinstance(error, WorkerFailed):
        error = error.error  # what it wraps is what happened
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "w" if path.exists() and path.stat().st_size > _LARGEST else "a"
        with path.open(mode, encoding="utf-8", errors="backslashreplace") as stream:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            stream.write(f"--- {now} thanos-tui {__version__}, Python {platform.python_version()}\n")
            stream.writelines(traceback.format_exception(error))
    except OSError as failure:
        return f"the app failed ({what}), and its log could not be written: {failure}"
    return f"the app failed ({what}); please report what {short(path)} says"
