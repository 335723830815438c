"""Ctrl-C and its like: when a signal stops a command, and when it only asks a build to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from thanos_tui.errors import Interrupted, ThanosError
from thanos_tui.events import Reporter

# A closed terminal ends a command as Ctrl-C does, and with it all that it would leave half-done.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3.0  # seconds after which a second signal is no longer a nervous finger


def raise_on_signals() -> None:
    """Let every one of ``SIGNALS`` raise KeyboardInterrupt, as SIGINT does; those that are ignored stay so (nohup)."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def asking(reporter: Reporter) -> Iterator[None]:
    """Within, a signal cancels the reporter's work, which then ends at its next check, where nothing is half-done.

    An exception out of nowhere could strike between making a file or a process and noting that it must go again.
    Who asks again after ``PATIENCE`` insists: that raises KeyboardInterrupt. For the main thread.

    Raises Interrupted after a signal, also in the place of what came of it: programs on the same terminal were stopped
    as well, and failed.
    """
    asked: list[float] = []

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.append(time.monotonic())
        reporter.cancel()
        if asked[-1] - asked[0] > PATIENCE:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield
        reporter.check()
    except ThanosError as error:
        if reporter.cancelled and not isinstance(error, Interrupted):
            raise Interrupted from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
