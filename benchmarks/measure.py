"""Measuring whole commands: wall and CPU seconds, and the largest process's peak memory, as the kernel counts them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One finished command: seconds on the clock, seconds of CPU (children included), peak resident memory in MiB."""

    wall: float
    cpu: float
    peak: float


def once(argv: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end; a failure ends the benchmark, with what the command said."""
    started = time.monotonic()
    process = subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(argv)} failed:\n{said}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def several(
    argv: Sequence[str], environment: Mapping[str, str], runs: int, before: Callable[[], None] = lambda: None
) -> list[Run]:
    """Run a command ``runs`` times, each after ``before`` has prepared the ground (not measured)."""
    results = []
    for _ in range(runs):
        before()
        results.append(once(argv, environment))
    return results


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.peak for run in runs),
    )
