"""Replays that boot nothing: users with private caches, runs that are stopped half-way, and runs on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from road import THANOS, Road

from thanos_tui.files import APPLICATION
from thanos_tui.images.store import Store

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Stopped:
    """How a run ended that was sent a signal: its status, its events, and what it said on stderr."""

    status: int
    events: tuple[Event, ...]
    stderr: str


class Cache:
    """A private cache directory (an ``XDG_CACHE_HOME``)."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def path(self) -> Path:
        return self.home / APPLICATION

    def copy(self, home: Path, without: Iterable[str] = ()) -> Cache:
        """A second cache with the same content, but for those parts; it costs no space until one of them changes."""
        left_out = set(without)

        def ignore(directory: str, names: list[str]) -> set[str]:
            return left_out & set(names) if Path(directory) == self.path else set()

        shutil.copytree(self.path, home / APPLICATION, copy_function=link, symlinks=True, ignore=ignore)
        return Cache(home)

    def forget_images(self, *names: str) -> None:
        """Take the images made from these recipes out of the store."""
        store = Store(self.path / "store")
        kept = [each for each in store.references() if each.split("/")[-1].partition(":")[0] not in names]
        assert len(store.references()) - len(kept) == len(names)
        store.prune(kept, grace=-1)

    def forget_segments(self, largest: int) -> None:
        """Delete the segments of up to so many bytes."""
        found = [path for path in self.segments() if path.stat().st_size <= largest]
        assert found
        for path in found:
            path.unlink()

    def segments(self) -> list[Path]:
        return list((self.path / "segments").glob("*.zst"))

    def layer(self, name: str) -> Path:
        """The blob of the layer of the image made from a recipe."""
        store = Store(self.path / "store")
        image = store.get(f"localhost/thanos/{name}:base", "amd64")
        return self.path / "store" / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")

    def partial(self) -> list[Path]:
        """Files that were being written."""
        return [path for path in self.path.rglob("*.part") if path.is_file()]


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def damage(path: Path) -> None:
    """Change one byte in the middle of a file, which afterwards shares nothing with its other names."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def events(text: str) -> list[dict[str, Any]]:
    """The events of a run with ``--json``."""
    return [json.loads(line) for line in text.splitlines()]


def hashes(directory: Path) -> dict[str, str]:
    """The SHA-256 of every file of a directory, hidden ones and all, by its name."""
    found = {}
    for path in sorted(directory.iterdir()):
        with path.open("rb") as stream:
            found[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def stop(
    road: Road, words: Sequence[str | Path], when: Callable[[Event], bool], number: signal.Signals, times: int = 1
) -> Stopped:
    """Run the program with ``--json`` and signal it at the first event for which ``when`` holds.

    SIGINT goes to all of its processes, as it does from a terminal, the others to the program alone.
    """
    process = subprocess.Popen(
        [THANOS, *map(str, words), "--json"],
        env=road.environment,
        cwd=road.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    seen: list[Event] = []
    try:
        for line in process.stdout:
            seen.append(json.loads(line))
            if when(seen[-1]) and times:
                for _ in range(times):
                    _send(process, number)
                times = 0
        said = process.stderr.read()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert not times, f"it ended before it could be stopped:\n{said}"
    return Stopped(process.returncode, tuple(seen), said)


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def working_on(path: Path) -> list[str]:
    """The command lines of processes that name something below ``path``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(path).encode() in (words := entry.read_bytes()):
                found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def on_terminal(road: Road, *words: str | Path, **variables: str) -> tuple[int, str, str]:
    """Run the program with its stderr on a terminal of 100 columns: status, stdout, what the terminal was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    user = replace(road, variables={**road.variables, **variables})
    with open(ours, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor
        process = subprocess.Popen(
            [THANOS, *map(str, words)],
            env=user.environment,
            cwd=user.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b"".join(_until_closed(screen))
        out, _ = process.communicate()
    return process.returncode, out.decode(), shown.decode()


def _until_closed(screen: Any) -> Iterator[bytes]:
    # Linux answers with EIO once nobody has the other side open.
    with contextlib.suppress(OSError):
        while data := screen.read(65536):
            yield data
