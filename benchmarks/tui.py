"""How fast the app is, beside its peers: from start to first paint, keys, search, diff, logs, console, memory.

    make bench-tui                     (or: python benchmarks/tui.py [--runs N] [--keys N] [--fast PYTHON])

What a user waits for is measured from outside, on a pseudo-terminal of 120x40: from bytes typed to bytes drawn. Our
program and its peers take turns in the same run, on the same 1,000 options (catalogue.py). What only ours does is
measured in the app itself, without a terminal (inside.py).
"""

from __future__ import annotations

import argparse
import compileall
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import catalogue
import peers
from peers import Program
from screen import DOWN, UP, Screen

from thanos_tui.files import assets_dir

TOP = Path(__file__).resolve().parent.parent
FRAME = 1000 / 60  # milliseconds
QUIET = 0.06  # seconds without output after which a program is taken to have drawn all it had to
PAUSE = 0.35  # seconds without output between two letters of the search
QUERY = "queue"
UNDO, REDO = b"u", b"\x12"
# Into the menu System, its third row switched; then the YAML pane.
CHANGE_AND_DIFF = (DOWN, DOWN, DOWN, b"\r", DOWN, b" ", b"2", b"d")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody\n"


@dataclass
class Times:
    """What was measured of one program, in milliseconds.

    first: the first byte. content: the first menu. ready: the answer to a key typed as soon as that was there.
    cursor: from an arrow key to the first byte that it changed; keys: to the last one, with the help beside the menu.
    search: from a letter to the last byte of its results; what ours says later of the first one's effect is not one.
    diff: from a key to the words that tell of the new diff.
    """

    first: list[float] = field(default_factory=list)
    content: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    cursor: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)
    diff: list[float] = field(default_factory=list)


def start(program: Program, home: Path, times: Times) -> None:
    """Start a program once."""
    with Screen(program.argv, program.environment, str(home)) as screen:
        shown = screen.wait_for(program.shown)
        screen.press(DOWN)
        answered = screen.settle(0.3) or shown
        assert screen.first is not None
        for measured, moment in ((times.first, screen.first), (times.content, shown), (times.ready, answered)):
            measured.append((moment - screen.started) * 1000)


def respond(screen: Screen, keys: bytes, quiet: float, what: str) -> tuple[float, float]:
    """Milliseconds from a key to the first and to the last byte of what it changed."""
    seconds = screen.response(keys, quiet)
    if seconds is None:
        sys.exit(f"{what}: nothing was drawn for {keys!r}; the screen got:\n{screen.text()[-2000:]}")
    return seconds[0] * 1000, seconds[1] * 1000


def use(program: Program, home: Path, times: Times, count: int) -> None:
    """A session: the cursor up and down, then a word in the search, letter by letter."""
    with Screen(program.argv, program.environment, str(home)) as screen:
        screen.wait_for(program.shown)
        screen.settle(0.5)
        taken = [respond(screen, UP if number % 2 else DOWN, QUIET, program.name) for number in range(count + 4)]
        for first, last in taken[4:]:  # the ones before fill caches
            times.cursor.append(first)
            times.keys.append(last)
        respond(screen, b"/", PAUSE, program.name)
        for letter in QUERY:
            times.search.append(respond(screen, letter.encode(), QUIET, program.name)[1])
            screen.settle(PAUSE)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def inside(python: str, *words: str | Path) -> dict[str, Any]:
    """What inside.py measures, under some Python."""
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    argv = [python, str(TOP / "benchmarks" / "inside.py"), *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def processor() -> str:
    """What /proc/cpuinfo calls the processor, and how many there are."""
    models = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().split("\n") if "model name" in line
    ]
    return f"{next(iter(models), platform.machine())}, {os.cpu_count()} cores, Python {platform.python_version()}"


def ours(home: Path, scratch: Path) -> list[Program]:
    """Our program with a profile of its own: with the 1,000 options, and as it ships."""
    larger = scratch / "larger"
    larger.mkdir()
    # The package finds its assets beside it, so a link to it beside other assets is our program with those.
    (larger / "thanos_tui").symlink_to(TOP / "thanos_tui")
    (scratch / "Kconfig").write_text(catalogue.kconfig(catalogue.assets(assets_dir(), larger / "assets")))
    profile = home / "bench.thanos"
    profile.write_text("thanos: 1\noptions:\n  hostname: bench\n")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519.pub").write_text(KEY)
    own = {"HOME": str(home), **{f"XDG_{kind}_HOME": str(home / kind) for kind in ("CACHE", "CONFIG", "DATA", "STATE")}}
    argv = (sys.executable, "-m", "thanos_tui", str(profile))
    return [
        Program("ours", argv, "Output", {**own, "PYTHONPATH": str(larger)}),
        Program("ours as shipped", argv, "Output", {**own, "PYTHONPATH": str(TOP)}),
    ]


def beside_a_diff(program: Program, home: Path, times: Times, count: int) -> None:
    """Take a change back and make it again while its diff is shown: each is a change whose diff is drawn anew."""
    with Screen(program.argv, program.environment, str(home)) as screen:
        screen.wait_for(program.shown)
        for keys in CHANGE_AND_DIFF:
            respond(screen, keys, 0.5, program.name)
        for number in range(count):
            screen.settle(3)  # until the note on what was undone is gone
            keys, shown = (REDO, "[1-9][0-9]* difference") if number % 2 else (UNDO, "no difference")
            pressed = screen.press(keys)
            times.diff.append((screen.wait_for(shown) - pressed) * 1000)
    # It was killed with unsaved changes, which the next start would offer to restore.
    shutil.rmtree(home / "STATE")


def outside(programs: Sequence[Program], home: Path, runs: int, keys: int) -> list[Times]:
    """Everything that is measured from outside; the programs take turns."""
    measured = [Times() for _ in programs]
    for number in range(runs + 1):
        for program, times in zip(programs, measured, strict=True):
            start(program, home, times if number else Times())  # the first start fills the system's caches
    for program, times in zip(programs, measured, strict=True):
        use(program, home, times, keys)
        if program.name.startswith("ours"):
            beside_a_diff(program, home, times, max(4, keys // 4))
    return measured


GOALS: dict[str, tuple[str, float | None]] = {
    "first": ("first byte: a frame of the screen", None),
    "content": ("first menu drawn", 250),
    "ready": ("a key typed at once: answered", None),
    "cursor": ("arrow key: first byte", FRAME + 5),
    "keys": ("arrow key: all, help included", FRAME + 5),
    "search": ("a letter in the search", 20),
    "diff": ("change to updated diff", 30),
}


def report(programs: Sequence[Program], measured: Sequence[Times]) -> None:
    """The table of what was measured from outside; ours, which the goals are for, are the first two."""
    width = max(len(program.name) for program in programs) + 2
    print(f"{'ms: median (95 of 100)':<34}" + "".join(f"{program.name:>{width}}" for program in programs) + "  goal")
    for attribute, (what, goal) in GOALS.items():
        cells = [_cell(getattr(times, attribute)) for times in measured]
        met = ", ".join(_met(getattr(times, attribute), goal) for times in measured[:2]) if goal else ""
        told = f"  {goal:.1f}: {met}" if goal else ""
        print(f"{what:<34}" + "".join(f"{cell:>{width}}" for cell in cells) + told, flush=True)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({percentile(values, 0.95):.1f})" if values else "-"


def _met(values: Sequence[float], goal: float) -> str:
    return "met" if values and statistics.median(values) <= goal else "MISSED"


def report_inside(found: Sequence[tuple[str, float, str, float, bool]]) -> None:
    """A line for each figure: what, how much, its unit, the goal (0 for none), and whether more is better."""
    for what, value, unit, goal, more in found:
        sign, met = (">=", value >= goal) if more else ("<=", value <= goal)
        told = f"  {sign} {goal:,.0f} {'met' if met else 'MISSED'}" if goal else ""
        print(f"{what:<60}{value:>14,.1f} {unit:<8}{told}")


def consoles(pythons: Sequence[str]) -> None:
    """The emulators' speed, and how they draw what tmux draws."""
    for python in pythons:
        for backend in inside(python, "backends")["names"]:
            found = inside(python, "console", backend)
            name = f"console, {backend}, Python {found['python']}"
            report_inside(
                [
                    (name, found["MB per second"], "MB/s", 5 if backend == "par-term" else 0, True),
                    (f"  rows as in tmux ({', '.join(found['streams'])})", found["rows"], "%", 0, True),
                    ("  cells as in tmux, with their colours", found["cells"], "%", 0, True),
                ]
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="starts of each program")
    parser.add_argument("--keys", type=int, default=60, help="keys typed into each program")
    parser.add_argument(
        "--fast", action="append", default=[], metavar="PYTHON", help="another Python to try emulators with"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thanos-bench-") as name:
        scratch, home = Path(name), Path(name, "home")
        home.mkdir()
        # As an installed program is. A checkout may run without writing what it compiles.
        compileall.compile_dir(TOP / "thanos_tui", quiet=2)
        programs = ours(home, scratch)
        compared = peers.installed(scratch / "Kconfig")
        print(f"{processor()}; terminal of 120x40, {arguments.runs} starts, {arguments.keys} keys")
        report([*programs, *compared], outside([*programs, *compared], home, arguments.runs, arguments.keys))
        print()
        log, memory = inside(sys.executable, "log"), inside(sys.executable, "memory")
        report_inside(
            [
                ("log, as fast as it takes lines", log["lines per second"], "lines/s", 50_000, True),
                ("lag of the event loop at 50,000 lines/s, 99 of 100", log["lag"], "ms", 20, False),
                ("lag of the event loop at 50,000 lines/s, the most", log["most"], "ms", 0, False),
                (f"memory before a log of {memory['lines']:,} lines", memory["before"], "MiB", 0, False),
                ("memory after it", memory["after"], "MiB", 0, False),
            ]
        )
        consoles([sys.executable, *arguments.fast])


if __name__ == "__main__":
    main()
