"""The same YAML and images through `thanos-tui build` and through upstream's `linuxkit build`, side by side.

    make bench                         (or: python benchmarks/linuxkit.py [--runs N] [--profile FILE])

Each figure is of a whole command, start-up included; ours and theirs take turns. Images are in the store
before anything is measured, as with `linuxkit cache pull`; store and packages are the user's own, the rest is not.
Goals, against upstream: the first build 4 times faster, the same again 40 times, one toggle 20 times, a sixth of the
memory, outputs no larger.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Run, median, once

from thanos_tui.files import cache_dir

TOP = Path(__file__).resolve().parent.parent
THANOS = str(Path(sys.executable).parent / "thanos-tui")
TOGGLED = "rngd=n"
# The file of each format whose size is told.
LARGEST = {"kernel+initrd": "bench-initrd.img", "tar": "bench.tar"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each case (the median is told)")
    parser.add_argument("--profile", type=Path, default=TOP / "profiles/thanos.thanos")
    arguments = parser.parse_args()
    upstream = shutil.which("linuxkit")
    if upstream is None:
        print("linuxkit is not on PATH: nothing to compare with")
        return

    with tempfile.TemporaryDirectory(prefix="thanos-bench-") as scratch_name:
        scratch = Path(scratch_name)
        yaml, toggled = scratch / "bench.yml", scratch / "toggled.yml"
        environment = {"XDG_STATE_HOME": str(scratch / "state"), "XDG_DATA_HOME": str(scratch / "data")}
        render = [THANOS, "render", str(arguments.profile), "--generate-key"]
        once([*render, "--output", str(yaml)], environment)
        once([*render, "--set", TOGGLED, "--output", str(toggled)], environment)
        # A cache of our own beside the user's images and packages: what is compressed there is not known here.
        cache = scratch / "cache/thanos-tui"
        cache.mkdir(parents=True)
        for name in ("apt", "packages", "recipes", "store", "surveys", "tools"):
            (cache / name).symlink_to(cache_dir() / name)
        environment["XDG_CACHE_HOME"] = str(cache.parent)
        ours, theirs = scratch / "ours", scratch / "theirs"
        theirs.mkdir()

        def run(config: Path, form: str) -> Run:
            argv = [THANOS, "build", "--no-sbom", "--offline", "--format", form, "--dir", str(ours), "--name", "bench"]
            return once([*argv, str(config)], environment)

        def run_upstream(config: Path, form: str) -> Run:
            argv = [upstream, "--cache", str(cache_dir() / "store"), "build", "--no-sbom", "--format", form]
            argv += ["--dir", str(theirs), "--name", "bench", str(config)]
            return once(argv, {"HOME": str(scratch)})

        def nothing_kept() -> None:
            shutil.rmtree(cache / "segments", ignore_errors=True)
            shutil.rmtree(ours, ignore_errors=True)

        def no_output() -> None:
            shutil.rmtree(ours, ignore_errors=True)

        # Every image is made, and the way to all files is warm.
        for form in LARGEST:
            for config in (yaml, toggled):
                run(config, form)
            run_upstream(yaml, form)

        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
        print(f"{'':<58} {'wall s':>8} {'cpu s':>8} {'MiB':>6} {'MB out':>8} {'faster':>8} {'memory':>8}")
        for form in LARGEST:
            cases: list[tuple[str, Callable[[], None], Callable[[int], Path]]] = [
                ("the first build, nothing compressed yet", nothing_kept, lambda _: yaml),
                ("the first build, images known by others", no_output, lambda _: yaml),
                ("the same again", lambda: None, lambda _: yaml),
                ("one toggle (rngd off, on, off, …)", lambda: None, lambda number: (toggled, yaml)[number % 2]),
            ]
            peers = [run_upstream(yaml, form) for _ in range(max(2, arguments.runs // 2))]
            for what, before, config in cases:
                runs = []
                few = 2 if before is nothing_kept else arguments.runs
                for number in range(few):
                    before()
                    runs.append(run(config(number), form))
                peers.append(run_upstream(yaml, form))
                row(f"{form}: {what}", median(runs), ours / LARGEST[form], median(peers))
            row(f"{form}: upstream, every time", median(peers), theirs / LARGEST[form], median(peers))


def row(what: str, run: Run, output: Path, peer: Run) -> None:
    """One line: what it took, and how many times as long and as much memory upstream takes."""
    figures = f"{run.wall:8.2f} {run.cpu:8.2f} {run.peak:6.0f} {output.stat().st_size / 1e6:8.1f}"
    print(f"{what:<58} {figures} {peer.wall / run.wall:7.1f}x {peer.peak / run.peak:7.1f}x", flush=True)


if __name__ == "__main__":
    main()
