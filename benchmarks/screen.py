"""A program on a real pseudo-terminal: keys typed, what it draws timed, the questions it asks the terminal answered."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence

_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[P_^][^\x1b]*\x1b\\|[()][0-9A-Za-z]|.)"
)
# What programs ask a terminal, and what one answers that draws text and nothing else (xterm's control sequences).
_QUESTIONS = {
    rb"\x1b\[6n": b"\x1b[1;1R",
    rb"\x1b\[0?c": b"\x1b[?62;22c",
    rb"\x1b\[>0?c": b"\x1b[>0;10;1c",
    rb"\x1b\[\?u": b"\x1b[?0u",
    rb"\x1b\[\?2026\$p": b"\x1b[?2026;2$y",
    rb"\x1b\[\?2048\$p": b"\x1b[?2048;0$y",
    rb"\x1b\[14t": b"\x1b[4;640;960t",
    rb"\x1b\[16t": b"\x1b[6;16;8t",
    rb"\x1b\]10;\?": b"\x1b]10;rgb:eeee/eeee/eeee\x1b\\",
    rb"\x1b\]11;\?": b"\x1b]11;rgb:1111/1111/1111\x1b\\",
}
_ANSWERS = tuple(_QUESTIONS.values())
_QUESTION = re.compile(b"|".join(b"(%b)" % question for question in _QUESTIONS))
_LONGEST = 16  # bytes; a question that a read has cut in two begins no further from the end

DOWN, UP = b"\x1bOB", b"\x1bOA"


class Screen:
    """A program that has just been started, at ``started``; all times are of ``time.monotonic``.

    first: when its first byte came, None before that.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], directory: str, columns: int = 120, rows: int = 40
    ) -> None:
        self.started = time.monotonic()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, columns * 8, rows * 16))
                os.chdir(directory)
                os.execvpe(argv[0], argv, {**os.environ, **environment, "TERM": "xterm-256color"})  # noqa: S606
            finally:
                os._exit(127)
        self.first: float | None = None
        self._said = bytearray()
        self._answered = 0
        self._ended = False

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def press(self, keys: bytes) -> float:
        """Type keys; returns when."""
        del self._said[:]
        self._answered = 0
        now = time.monotonic()
        os.write(self._terminal, keys)
        return now

    def read(self, seconds: float) -> float | None:
        """Wait for output for so long; returns when some came, None if none did."""
        if self._ended or not select.select([self._terminal], [], [], max(0.0, seconds))[0]:
            return None
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # Linux's way of saying that the program has gone
            data = b""
        now = time.monotonic()
        self._ended = not data
        self._said += data
        self.first = self.first or now
        self._answer()
        return None if self._ended else now

    def _answer(self) -> None:
        for question in _QUESTION.finditer(self._said, self._answered):
            os.write(self._terminal, _ANSWERS[(question.lastindex or 1) - 1])
            self._answered = question.end()
        self._answered = max(self._answered, len(self._said) - _LONGEST)

    def text(self) -> str:
        """What was said since the last key, in the order it was drawn, without the control sequences."""
        return _ESCAPES.sub(b" ", bytes(self._said)).decode(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 20) -> float:
        """When the text ``pattern`` had been drawn; ends the benchmark if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._ended:
            now = self.read(deadline - time.monotonic())
            if now is not None and re.search(pattern, self.text()):
                return now
        sys.exit(f"{pattern!r} was never drawn; the screen got:\n{self.text()[-2000:]}")

    def settle(self, quiet: float, seconds: float = 10) -> float | None:
        """Read until nothing comes for ``quiet`` seconds; returns when the last byte came, None if none did."""
        last: float | None = None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (now := self.read(quiet)) is not None:
            last = now
        return last

    def response(self, keys: bytes, quiet: float, patience: float = 5) -> tuple[float, float] | None:
        """Seconds from a key to the first and to the last byte of what it drew; None where nothing came in time."""
        pressed = self.press(keys)
        first = self.read(patience)
        if first is None:
            return None
        return first - pressed, (self.settle(quiet) or first) - pressed
