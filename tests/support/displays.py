"""Real terminals on a display that nobody sees: Xvfb, which keeps it in a file."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """What the display shows."""

    width: int
    height: int
    rows: Sequence[bytes]  # blue, green, red and nothing for each pixel

    def at(self, x: int, y: int) -> RGB:
        blue, green, red = self.rows[y][x * 4 : x * 4 + 3]
        return red, green, blue


class Display:
    """A display of 1000 by 700 pixels, and the programs that were started on it."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("Xvfb") is None:
            pytest.skip("Xvfb is not installed")
        self._directory = directory
        self._programs: list[subprocess.Popen[bytes]] = []
        (directory / "frames").mkdir()
        reading, writing = os.pipe()
        screen = ["-screen", "0", "1000x700x24", "-fbdir", str(directory / "frames"), "-nolisten", "tcp", "-nocursor"]
        self._start(["Xvfb", "-displayfd", str(writing), *screen], {}, pass_fds=(writing,))
        os.close(writing)
        with os.fdopen(reading) as stream:
            self.name = f":{stream.readline().strip()}"
        if self.name == ":":
            pytest.skip("Xvfb does not start here")

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program on it."""
        return self._start(argv, {"DISPLAY": self.name, "LIBGL_ALWAYS_SOFTWARE": "1", **environment})

    def _start(
        self, argv: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        with (self._directory / f"{Path(argv[0]).name}.log").open("wb") as log:
            program = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"HOME": str(self._directory), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
                pass_fds=pass_fds,
                start_new_session=True,
            )
        self._programs.append(program)
        return program

    def said(self, name: str) -> str:
        """What a program had to say."""
        return (self._directory / f"{name}.log").read_text(errors="replace")

    def picture(self) -> Picture:
        """What it shows now. The file is an X window dump: numbers, a name and colours before the pixels."""
        data = (self._directory / "frames/Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
        start = size + colours * 12
        return Picture(width, height, [data[start + y * stride : start + (y + 1) * stride] for y in range(height)])

    def until(self, condition: Callable[[Picture], object], limit: float = 60) -> Picture:
        """Wait until it shows what it should; returns that."""
        deadline = time.monotonic() + limit
        while not condition(picture := self.picture()):
            assert time.monotonic() < deadline, f"it was not shown in time: {self._directory}"
            time.sleep(0.1)
        return picture

    def end(self) -> None:
        """End everything on it, then itself."""
        for program in reversed(self._programs):
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGTERM)
                try:
                    program.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(program.pid, signal.SIGKILL)
                    program.wait()
