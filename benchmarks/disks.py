"""How fast disk images are written, beside how fast the disk below them is.

    make bench                         (or: python benchmarks/disks.py [--runs N] [--profile FILE])

Each format's step "Write …" is measured from its begin to its end: the content's hash and the flush to the disk belong
to it. A plain file of as many bytes as the image has on the disk, written from its begin to its end and flushed, takes
turns with it. Everything that goes into the images is in the cache before. Goal: half of the disk's speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
THANOS = str(Path(sys.executable).parent / "thanos-tui")
PLAIN = ("raw-bios", "vhd", "dynamic-vhd", "vdi", "qcow2-bios", "iso-bios", "aws", "raw-efi", "qcow2-efi", "iso-efi")
PACKED = ("vmdk", "ova", "gcp")
_MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each format (the median is told)")
    parser.add_argument("--profile", type=Path, default=TOP / "profiles/thanos.thanos")
    parser.add_argument("--directory", type=Path, help="where images are written (default: where temporary files are)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thanos-bench-", dir=arguments.directory) as scratch_name:
        scratch = Path(scratch_name)
        yaml = scratch / "bench.yml"
        environment = {**os.environ, "XDG_STATE_HOME": str(scratch / "state"), "XDG_DATA_HOME": str(scratch / "data")}
        render = [THANOS, "render", str(arguments.profile), "--generate-key", "--output", str(yaml)]
        subprocess.run(render, env=environment, check=True)
        print(f"{'':<14} {'MB':>8} {'s':>7} {'MB/s':>7} {'disk MB/s':>10} {'of it':>7}")
        for form in (*PLAIN, *PACKED):
            written(form, yaml, scratch / "out", environment)  # programs are fetched, segments made
            pairs = []
            for _ in range(arguments.runs):
                size, seconds = written(form, yaml, scratch / "out", environment)
                pairs.append((seconds, sequential(size, scratch / "plain")))
            ours, disk = (statistics.median(figures) for figures in zip(*pairs, strict=True))
            ratio = f"{100 * disk / ours:5.0f} %"
            figures = f"{size / 1e6:8.1f} {ours:7.2f} {size / ours / 1e6:7.0f} {size / disk / 1e6:10.0f}"
            print(f"{form:<14} {figures} {ratio:>7}{'  (compressed)' if form in PACKED else ''}", flush=True)


def written(form: str, yaml: Path, directory: Path, environment: dict[str, str]) -> tuple[int, float]:
    """Write one format anew: the bytes that it takes on the disk, and the seconds of the step."""
    for old in directory.glob("*"):
        old.unlink()
    argv = [THANOS, "build", "--json", "--no-sbom", "--format", form, "--dir", str(directory), "--name", "bench"]
    done = subprocess.run([*argv, str(yaml)], env=environment, stdout=subprocess.PIPE, check=True, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    seconds = sum(
        event["seconds"]
        for event in events
        if event["event"] == "step-finished" and event["step"].startswith("output/")
    )
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir()), seconds


def sequential(size: int, path: Path) -> float:
    """Seconds that a plain file of so many bytes takes to be written and flushed."""
    piece = os.urandom(_MIB)
    path.unlink(missing_ok=True)
    started = time.monotonic()
    with path.open("wb", buffering=0) as stream:
        for _ in range(-(-size // _MIB)):
            stream.write(piece)
        os.fsync(stream.fileno())
    return time.monotonic() - started


if __name__ == "__main__":
    main()
