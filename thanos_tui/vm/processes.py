"""Processes by pid *and* start time: a pid alone is given to somebody else after its owner has ended."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of this boot. ``started`` is in clock ticks since the kernel started (/proc/PID/stat, field 22)."""

    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return self.boot == boot_id() and start_ticks(self.pid) == self.started

    def uptime(self) -> float:
        """Seconds since it started; only meaningful while it is alive."""
        now = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, now - self.started / os.sysconf("SC_CLK_TCK"))

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False if it has ended.

        Raises PermissionError where it belongs to another user.
        """
        try:
            # The descriptor pins the process: between the check of its start time and the signal it cannot be swapped.
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def boot_id() -> str:
    """A different text after each boot of this host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot; None if it has ended (a zombie counts as ended)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself hold brackets and spaces.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
