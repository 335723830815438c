"""A program in a real terminal: tmux on a server of its own, of a fixed size, read as a person would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from waiting import LIMIT


class Terminal:
    """A program that has just been started in a terminal; what it shows stays to be read when it has ended.

    pid: of the program.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], directory: Path, columns: int = 80, rows: int = 24
    ) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("the program tmux is not installed")
        # The path of a socket has to be short, shorter than those of pytest's directories.
        self._place = Path(tempfile.mkdtemp(prefix="thanos-tmux-"))
        self._environment = {**environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        # Programs believe these before they ask the terminal, and pytest-xdist's workers have them: 80 and 24, from
        # readline, which pytest loads and which writes them into the environment.
        for name in ("COLUMNS", "LINES"):
            self._environment.pop(name, None)
        setting = ["set-option", "-g"]
        words = [*setting, "remain-on-exit", "on", ";", *setting, "default-terminal", "tmux-256color", ";"]
        words += ["set-option", "-s", "escape-time", "0", ";", *setting, "status", "off", ";"]
        words += ["new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(directory), *argv]
        self._tmux("-f", "/dev/null", "start-server", ";", *words)
        self.pid = int(self._tell("pane_pid"))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server", check=False)
        shutil.rmtree(self._place)

    def _tmux(self, *words: str, check: bool = True) -> str:
        command = ["tmux", "-S", str(self._place / "socket"), *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def _tell(self, variable: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{variable}}}").strip()

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names for them: ``Down``, ``Enter``, ``C-b``, ``q``; at the pace of a person.

        In Textual a key that is bound to an action comes later than a character that was typed just after it.
        """
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(0.2)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p")

    def line(self) -> str:
        """The line the cursor stands in: that of the field that has the focus, once a key has moved it there."""
        return self.screen().splitlines()[int(self._tell("cursor_y"))]

    def go_down_to(self, words: str, seconds: float = LIMIT) -> None:
        """Press Down until the cursor stands in a line with these words, one key after the other has been seen."""
        deadline = time.monotonic() + seconds
        while words not in self.line():
            before = self._tell("cursor_y")
            self.press("Down")
            while self._tell("cursor_y") == before:
                if time.monotonic() > deadline:
                    pytest.fail(f"the cursor never came to {words!r}; the screen shows:\n{self.screen()}")
                time.sleep(0.1)

    def wait_for(self, pattern: str, seconds: float = LIMIT) -> str:
        """The screen as soon as it shows what the regular expression says."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, screen := self.screen()):
            if time.monotonic() > deadline:
                pytest.fail(f"the screen never showed {pattern!r}; it shows:\n{screen}")
            time.sleep(0.1)
        assert "Traceback" not in screen, screen
        return screen

    def wait_without(self, pattern: str, seconds: float = LIMIT) -> str:
        """The screen as soon as it no longer shows what the regular expression says."""
        deadline = time.monotonic() + seconds
        while re.search(pattern, screen := self.screen()):
            if time.monotonic() > deadline:
                pytest.fail(f"the screen still shows {pattern!r}:\n{screen}")
            time.sleep(0.1)
        return screen

    def status(self, seconds: float = LIMIT) -> int:
        """The exit status of the program, which is about to end."""
        deadline = time.monotonic() + seconds
        while (ended := self._ended()) is None:
            if time.monotonic() > deadline:
                pytest.fail(f"it did not end; the screen shows:\n{self.screen()}")
            time.sleep(0.1)
        return ended

    def _ended(self) -> int | None:
        """The exit status; None while the program runs."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return int(self._tell("pane_dead_status"))
        # tmux 3.3 now and then misses that a child has ended; the status is with the kernel then (proc(5), exit_code).
        return os.waitstatus_to_exitcode(int(fields[-1])) if fields[0] == "Z" else None

    def close(self, seconds: float = LIMIT) -> None:
        """Close the terminal while the program runs, as somebody closes a window; returns when the program is gone."""
        self._tmux("kill-session")
        deadline = time.monotonic() + seconds
        while Path(f"/proc/{self.pid}").exists():
            assert time.monotonic() < deadline, "it lives on without its terminal"
            time.sleep(0.1)
