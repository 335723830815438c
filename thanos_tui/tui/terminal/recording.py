"""Recording what a terminal shows, as an asciicast of version 2: any asciinema player shows it again.

Only output is recorded: what the user types, passwords among it, is there only if the machine echoes it.
"""

from __future__ import annotations

import codecs
import json
import os
import time
from pathlib import Path

from thanos_tui.errors import HostError


class Recording:
    """A file that grows with what the terminal is fed. Raises HostError where it cannot be written."""

    def __init__(self, path: Path, columns: int, rows: int, title: str) -> None:
        self.path = path
        self._started = time.monotonic()
        # A character may be cut between two pieces of output.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
        except OSError as error:
            raise HostError(f"cannot record to {path}: {error.strerror}") from error
        header = {"version": 2, "width": columns, "height": rows, "timestamp": int(time.time()), "title": title}
        self._write(json.dumps({**header, "env": {"TERM": "xterm-256color"}}))

    def output(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        if text:
            self._event("o", text)

    def resized(self, columns: int, rows: int) -> None:
        self._event("r", f"{columns}x{rows}")

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError as error:
            raise HostError(f"cannot record to {self.path}: {error.strerror}") from error

    def _event(self, kind: str, text: str) -> None:
        self._write(json.dumps([round(time.monotonic() - self._started, 6), kind, text]))

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
        except OSError as error:
            raise HostError(f"cannot record to {self.path}: {error.strerror}") from error
