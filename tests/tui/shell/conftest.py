"""A terminal for whole programs: a pseudo-terminal whose bytes are kept."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT = 60.0  # seconds; the machine may be busy
QUIET = 0.2  # seconds without output after which a program has answered; Textual waits half as long after an Escape


class Terminal:
    """A program on a terminal of its own; ``seen`` is all it has written."""

    def __init__(self, argv: list[str], environment: dict[str, str], size: tuple[int, int], cwd: Path) -> None:
        self.seen = b""
        self._answered = 0  # of it, what was there before the last keys
        self.status: int | None = None
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            try:
                columns, rows = size
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.chdir(cwd)
                os.execve(argv[0], argv, environment)
            finally:
                os._exit(99)

    def read(self, seconds: float) -> bool:
        """Take in what was written; False once the program has closed its end."""
        if not select.select([self.descriptor], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def until(self, words: bytes) -> None:
        """Wait until something was written."""
        end = time.monotonic() + LIMIT
        while words not in self.seen:
            assert self.read(0.1), f"it ended before {words!r}: {self.seen[-2000:]!r}"
            assert time.monotonic() < end, f"no {words!r}: {self.seen[-2000:]!r}"

    def settle(self) -> None:
        """Take in the answer to the last keys, until nothing more comes for a moment.

        For a second at most: not every key is answered, and a cursor that blinks would go on for ever.
        """
        end = time.monotonic() + 1.0
        now = quiet = time.monotonic()
        while now < end and (len(self.seen) == self._answered or now < quiet + QUIET):
            before = len(self.seen)
            self.read(0.05)
            now = time.monotonic()
            if len(self.seen) > before:
                quiet = now

    def press(self, keys: bytes) -> None:
        self._answered = len(self.seen)
        os.write(self.descriptor, keys)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal, as who closes its window does."""
        os.close(self.descriptor)
        self.descriptor = -1

    def ended(self) -> int:
        """Wait for the end and return the exit status."""
        end = time.monotonic() + LIMIT
        while self.status is None:
            if self.descriptor >= 0 and not self.read(0.05):
                self.descriptor = -1
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, f"it does not end: {self.seen[-2000:]!r}"
        while self.descriptor >= 0 and self.read(0.05) and select.select([self.descriptor], [], [], 0.05)[0]:
            pass
        return self.status

    def kill(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


Start = Callable[..., Terminal]


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    """Start ``thanos-tui`` on a terminal: ``start(*arguments, size=(80, 24), TERM="vt100")``."""
    running: list[Terminal] = []

    def run(*arguments: str, size: tuple[int, int] = (80, 24), code: str = "", **variables: str) -> Terminal:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV")}
        environment = {**kept, "HOME": str(home), "TERM": "xterm-256color", **variables}
        program = ["-c", code] if code else ["-m", "thanos_tui"]
        terminal = Terminal([sys.executable, *program, *arguments], environment, size, tmp_path / "work")
        running.append(terminal)
        return terminal

    yield run
    for terminal in running:
        terminal.kill()
        if terminal.descriptor >= 0:
            os.close(terminal.descriptor)
