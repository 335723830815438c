"""How long the road takes: cold, with warm images, the same again, and after one toggle.

    make bench                         (or: python benchmarks/road.py [--runs N] [--profile FILE] [--skip-cold])

Every figure is of a whole command, start-up included, in a cache directory of its own that is thrown away;
``linuxkit.py`` compares with upstream. Goals: the same profile again in at most 0.5 s, one toggle in at most 1.0 s, at
most 200 MiB of memory, a base initrd of at most 45 MB.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Run, median, once, several

TOP = Path(__file__).resolve().parent.parent
THANOS = str(Path(sys.executable).parent / "thanos-tui")


def row(what: str, runs: list[Run], size: int) -> None:
    middle = median(runs)
    walls = f"{min(run.wall for run in runs):.2f}-{max(run.wall for run in runs):.2f}"
    figures = f"{middle.wall:8.2f} {walls:>13} {middle.cpu:8.2f} {middle.peak:8.0f} {size / 1e6:8.1f}"
    print(f"{what:<44} {len(runs):>4} {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of the quick cases (the median is told)")
    parser.add_argument("--profile", type=Path, default=TOP / "benchmarks/base.thanos")
    parser.add_argument("--skip-cold", action="store_true", help="start from the user's own store and packages")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="thanos-bench-") as scratch_name:
        scratch = Path(scratch_name)
        profile = scratch / "bench.thanos"
        shutil.copy(arguments.profile, profile)
        environment = {"XDG_STATE_HOME": str(scratch / "state"), "XDG_DATA_HOME": str(scratch / "data")}
        if not arguments.skip_cold:
            environment["XDG_CACHE_HOME"] = str(scratch / "cache")
        cache = scratch / "cache" if not arguments.skip_cold else Path.home() / ".cache"
        cache /= "thanos-tui"
        output = scratch / "out"
        initrd = output / "bench-initrd.img"
        replay = [THANOS, "--replay", str(profile), "--format", "kernel+initrd", "--output", str(output)]
        replay += ["--name", "bench", "--generate-key"]

        def without_segments() -> None:
            shutil.rmtree(cache / "segments", ignore_errors=True)
            shutil.rmtree(output, ignore_errors=True)

        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
        print(f"{'':<44} {'runs':>4} {'wall s':>8} {'range':>13} {'cpu s':>8} {'MiB':>8} {'MB out':>8}")
        if not arguments.skip_cold:
            row("cold: packages, images, segments, output", [once(replay, environment)], initrd.stat().st_size)
        else:
            once(replay, environment)
        row("warm images, no segments", several(replay, environment, 2, without_segments), initrd.stat().st_size)
        row("the same profile again", several(replay, environment, arguments.runs), initrd.stat().st_size)
        runs = [once([*replay, "--set", f"rngd={'ny'[number % 2]}"], environment) for number in range(arguments.runs)]
        row("after one toggle (rngd off, on, off, …)", runs, initrd.stat().st_size)
        names = [once([*replay, "--set", f"hostname=bench{number}"], environment) for number in range(arguments.runs)]
        row("after a new host name", names, initrd.stat().st_size)


if __name__ == "__main__":
    main()
