"""What only ours does, measured in the app itself without a terminal, in a process of its own: inside.py WHAT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.widget import Widget

SIZE = (120, 40)
LOG = 200_000  # lines
SLICE = 8192  # bytes for an emulator at once, as the console does it
BATCH = 500  # lines that arrive at once
RATE = 50_000  # lines a second
HOUR = 3600 * 50  # lines in an hour: 50 a second, as a build has at its busiest


class Host(App[None]):
    """An app with one widget."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


@asynccontextmanager
async def lag() -> AsyncIterator[list[float]]:
    """How much too late, in milliseconds, the event loop comes back to somebody who sleeps a millisecond."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - asked - 0.001) * 1000)

    task = asyncio.create_task(watch())
    try:
        yield late
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def lines(count: int) -> Iterator[str]:
    """A build's log: a hundred characters a line, every tenth coloured."""
    for number in range(count):
        colour = ("\x1b[32m", "\x1b[0m") if number % 10 == 0 else ("", "")
        text = (
            f"{number:>8} Unpacking libexample{number % 977}-dev:amd64 (1.{number % 31}-2+deb12u1) over the one before"
        )
        yield f"{colour[0]}{text:<100}{colour[1]}"


async def log() -> dict[str, float]:
    """A log that is shown and follows its end: lines a second as fast as it takes them, and how late the event loop is
    while a sixtieth of 50,000 lines comes sixty times a second."""
    from thanos_tui.tui.lines import Lines

    widget = Lines()
    made = list(lines(LOG))
    async with Host(widget).run_test(size=SIZE) as pilot:
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        for start in range(0, LOG, BATCH):
            widget.extend(made[start : start + BATCH])
            await asyncio.sleep(0)
        last = f"{LOG - 1:>8} "
        while not any(last in strip.text for strip in pilot.app.screen._compositor.render_strips()):
            await asyncio.sleep(0.001)
        took = time.perf_counter() - began
        async with lag() as late:
            for start in range(0, RATE * 3, RATE // 60):
                widget.extend(made[start : start + RATE // 60])
                await asyncio.sleep(1 / 60)
    late.sort()
    return {"lines per second": LOG / took, "lag": late[len(late) * 99 // 100], "most": late[-1]}


def resident() -> float:
    """The resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def memory() -> dict[str, float]:
    """What an hour's log adds to the memory: all of its lines as they come, in a hundredth of the time."""
    from thanos_tui.tui.lines import Lines

    widget = Lines()
    async with Host(widget).run_test(size=SIZE):
        await asyncio.sleep(0.3)
        before = resident()
        for number, line in enumerate(lines(HOUR)):
            widget.append(line)
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        return {"before": before, "after": resident(), "lines": HOUR}


async def console(backend: str) -> dict[str, object]:
    """What an emulator takes in of a coloured listing, in MB a second, and how many of the rows and cells that tmux
    shows at the end of recorded streams it shows, too."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
    import fidelity

    from thanos_tui.tui.terminal import emulator

    data = listing(5_000_000)
    screen = emulator.make(*SIZE, backend=backend)
    began = time.perf_counter()
    for start in range(0, len(data), SLICE):
        screen.feed(data[start : start + SLICE])
    speed = len(data) / (time.perf_counter() - began) / 1e6
    scores = [fidelity.compare(name, backend) for name in fidelity.names()]
    cells = len(scores) * fidelity.COLUMNS * fidelity.ROWS
    return {
        "MB per second": speed,
        "rows": 100 * sum(score.rows for score in scores) / (len(scores) * fidelity.ROWS),
        "cells": 100 * sum(score.drawn for score in scores) / cells,
        "streams": fidelity.names(),
        "python": platform.python_version(),
    }


def listing(size: int) -> bytes:
    """A coloured listing of /usr as a terminal gets it, of so many bytes."""
    argv = ["ls", "-lR", "--color=always", "/usr"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"TERM": "xterm"})
    assert process.stdout is not None
    data = process.stdout.read(size)
    process.kill()
    process.communicate()
    return (data * (size // max(1, len(data)) + 1))[:size].replace(b"\n", b"\r\n")


async def backends() -> dict[str, object]:
    """The emulators that this Python has."""
    from thanos_tui.tui.terminal import emulator

    return {"names": emulator.backends()}


MEASURES: dict[str, Callable[..., Any]] = {"log": log, "memory": memory, "console": console, "backends": backends}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(MEASURES[sys.argv[1]](*sys.argv[2:]))))
