"""Waiting until a machine that is booting answers over SSH."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from thanos_tui.console.target import Target
from thanos_tui.errors import ConsoleError, MachineError
from thanos_tui.events import Progress, Reporter, Step
from thanos_tui.words import printable

_SLICE = 0.25  # seconds between two looks at the machine and at the user's wish to stop


class _NotYet(Exception):
    """Why the machine does not answer yet."""


def wait_ready(target: Target, timeout: float, reporter: Reporter, alive: Callable[[], bool] | None = None) -> None:
    """Wait until the target sends an SSH banner, for ``timeout`` seconds at most.

    A forwarded port takes connections long before the guest listens, so only the banner counts. Progress is in
    seconds waited.

    alive: whether the machine still runs; asked between attempts.
    Raises ConsoleError when time is up, MachineError when the machine died, Interrupted when the reporter is cancelled.
    """
    started = time.monotonic()

    def look(seconds: float) -> float:
        """Check whether to go on, and say how long may be waited now."""
        reporter.check()
        if alive is not None and not alive():
            raise MachineError(f"{target} stopped before it answered over SSH", hint=target.log_hint)
        return min(seconds, timeout - (time.monotonic() - started))

    # A machine that is up answers within moments: nothing to tell of.
    with suppress(_NotYet, socket.gaierror):
        _banner(target, 0.3, look)
        return

    with reporter.step("console/ready", f"Waiting for {target} to answer") as step:

        def pause(seconds: float) -> float:
            reporter.report(Progress(step.path, int(time.monotonic() - started)))
            return look(seconds)

        _attempts(target, timeout, step, pause)


def _attempts(target: Target, timeout: float, step: Step, pause: Callable[[float], float]) -> None:
    state = ""
    # A user-mode network may drop the first packets to a guest that is not up, so a silent connection is given up
    # for a fresh one; an emulated guest may be slow to greet, so each waits longer than the one before.
    patience = 3.0
    while pause(_SLICE) > 0:
        try:
            step.note = _banner(target, patience, pause)
            return
        except _NotYet as reason:
            if str(reason) != state:
                state = str(reason)
                step.log(state, "debug")
        except socket.gaierror as error:
            raise ConsoleError(f"cannot find the host {target.host}: {error.strerror}") from error
        patience *= 2
        time.sleep(max(0.0, pause(_SLICE)))
    raise ConsoleError(
        f"{target} did not answer over SSH within {timeout:.0f} s: {state or 'nothing was tried'}",
        hint=f"an emulated machine is slow to boot: give it more time; {target.log_hint}",
    )


def _banner(target: Target, patience: float, pause: Callable[[float], float]) -> str:
    """The server's software name. Raises _NotYet with the reason if it does not say it now."""
    ends = time.monotonic() + patience
    try:
        with socket.create_connection((target.host, target.port), timeout=max(0.05, pause(patience))) as connection:
            said = b""
            connection.settimeout(_SLICE)
            while len(said) < 8192:
                try:
                    data = connection.recv(1024)
                except TimeoutError:
                    if pause(_SLICE) <= 0 or time.monotonic() > ends:
                        raise _NotYet("the port is open, but nobody speaks SSH behind it yet") from None
                    continue
                said += data
                # RFC 4253 4.2: other lines may come before the one that starts with SSH-.
                for line in said.split(b"\n")[:-1]:
                    if line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
                        return printable(line.rstrip(b"\r").split(b"-", 2)[2])
                if not data:
                    break
    except socket.gaierror:
        raise
    except TimeoutError:
        raise _NotYet("no answer from the port") from None
    except OSError as error:
        raise _NotYet(f"{(error.strerror or str(error)).lower()}") from None
    if said:
        raise _NotYet(f"the port answers, but not with SSH: {printable(said[:60])!r}")
    raise _NotYet("the connection is closed at once")
