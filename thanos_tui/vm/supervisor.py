"""The parent of one QEMU: a script of its own that the vm room starts; nothing imports it.

    supervisor.py LOCK LIFELINE PROGRAM [ARGUMENT…]

It runs in the machine's directory, with LOCK (descriptor of the machine's lock file) and LIFELINE (descriptor of a
socket whose other end the starter holds). It

- starts the program so that it dies with the supervisor, and hands it the lock as well: the lock is free exactly when
  none of the starter, the supervisor and QEMU is left, however they ended;
- writes process.json once QEMU runs and exit.json once it has ended, and with what status;
- writes down in serial.times when the serial log has grown, and to what size: the guest's own lines carry no time
  (vm/timeline.py reads it);
- ends QEMU (SIGTERM, after a grace SIGKILL) on SIGTERM, and when the lifeline closes: however the starter ends, the
  kernel closes its end. A byte on the lifeline means that the machine may outlive the starter from now on.

Why a process and not PR_SET_PDEATHSIG alone: that signal comes when the *thread* that forked ends, and machines are
started from worker threads; setting it between fork and exec is unsafe in a program with threads; and somebody has to
be QEMU's parent to learn its exit status after the starter has gone. Here there is one thread, and only the standard
library, so it starts in some 50 ms and costs less than 10 MB.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE = 3.0  # seconds between SIGTERM and SIGKILL
SERIAL_LOG = "serial.log"
SERIAL_TIMES = "serial.times"
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_IN_MODIFY, _IN_CLOEXEC, _IN_NONBLOCK = 0x2, 0o2000000, 0o4000  # <sys/inotify.h>
_APART = 0.01  # seconds between two looks at a log that grows, which it may do with every letter
_STAMPS = 20_000  # at most: some 500 kB, for a guest that never stops talking


def supervise(lock: int, lifeline: int, argv: list[str]) -> None:
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    try:
        _run(lock, woken, lifeline, argv)
    finally:
        # Before the lifeline, which closes as this process ends: whoever waits for that finds the lock free.
        os.close(lock)


def _run(lock: int, woken: int, lifeline: int, argv: list[str]) -> None:
    libc = ctypes.CDLL(None)
    own = os.getpid()
    serial = _Serial(libc)

    def die_with_supervisor() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != own:  # it was killed before prctl
            os._exit(1)

    try:
        qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=[lock], preexec_fn=die_with_supervisor)
    except OSError as error:
        _write("exit.json", {"status": 127, "why": f"cannot run {argv[0]}: {error.strerror}", "ended": time.time()})
        return
    why = ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = {"qemu": qemu.pid, "supervisor": own}
        _write("process.json", {name: _identity(pid, boot) for name, pid in pids.items()})
        why = _attend(qemu, woken, lifeline, serial)
    finally:
        if qemu.poll() is None:  # e.g. the disk was full
            qemu.kill()
        status = qemu.wait()
        _write("exit.json", {"status": status, "why": why, "ended": time.time()})


class _Serial:
    """Notes when the serial log grows: a line ``TIME SIZE`` each (seconds since 1970, bytes), the first at the start.

    changes: a descriptor that can be read from when the log has changed; -1 where this host has none left. A machine
    runs on where its log cannot be watched, or the disk is full.
    """

    def __init__(self, libc: ctypes.CDLL) -> None:
        self._size = -1
        self._left = _STAMPS
        Path(SERIAL_TIMES).unlink(missing_ok=True)
        Path(SERIAL_LOG).touch()  # QEMU opens this very file, which can be watched from now on
        self.changes = libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
        if self.changes >= 0:
            libc.inotify_add_watch(self.changes, SERIAL_LOG.encode(), _IN_MODIFY)
            self._note(0)

    def look(self) -> bool:
        """Note how far the log has come; False if that need not, or cannot, be done again."""
        time.sleep(_APART)
        try:
            os.read(self.changes, 65536)
            return self._note(Path(SERIAL_LOG).stat().st_size)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _note(self, size: int) -> bool:
        if size != self._size:
            # Opened each time: others add notes of their own (a reset), which must not be written over.
            with Path(SERIAL_TIMES).open("a") as times:
                times.write(f"{time.time():.3f} {size}\n")
            self._size = size
            self._left -= 1
        return self._left > 0


def _attend(qemu: subprocess.Popen[bytes], woken: int, lifeline: int, serial: _Serial) -> str:
    """Wait until QEMU has ended; returns why it was told to, or "" if it ended by itself."""
    poller = select.poll()
    poller.register(woken, select.POLLIN)
    poller.register(lifeline, select.POLLIN)
    if serial.changes >= 0:  # a host may have no more of them left
        poller.register(serial.changes, select.POLLIN)
    why, deadline = "", None
    while qemu.poll() is None:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        for descriptor, _ in poller.poll(wait):
            if descriptor == woken:
                if set(os.read(woken, 512)) & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                    why = why or "it was told to stop"
            elif descriptor == serial.changes:
                if not serial.look():
                    poller.unregister(serial.changes)
            else:
                poller.unregister(lifeline)
                if not os.read(lifeline, 1):
                    why = why or "the program that started it ended"
        if why and deadline is None:
            qemu.terminate()
            deadline = time.monotonic() + GRACE
        elif deadline is not None and time.monotonic() >= deadline:
            qemu.kill()
            qemu.wait()
    return why


def _identity(pid: int, boot: str) -> dict[str, object]:
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return {"pid": pid, "started": int(text[text.rindex(")") + 2 :].split()[19]), "boot": boot}


def _write(name: str, value: dict[str, object]) -> None:
    part = Path(f".{name}.part")
    part.write_text(json.dumps(value) + "\n")
    part.rename(name)


if __name__ == "__main__":
    # Forked once more, it is nobody's child: no zombie waits in a program that starts many machines.
    if os.fork() == 0:
        supervise(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
