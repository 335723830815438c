"""A build that is asked for again when nothing has changed since: what it said is said again, and that is all.

A build's record holds everything that decided about it: the command line, the environment, this program, and the size,
times and inode number of each file it read or wrote. While all of that is the same, so are the outputs. Looking takes
a few milliseconds; loading what reads a configuration takes many times as long, so nothing of that is imported here.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from thanos_tui.errors import HostError
from thanos_tui.files import assets_dir, cache_dir, replacing, stamp, stark_dir

Stamp = list[int] | None
"""Size, modification and change time (ns), inode number and mode of a file; None where there is none."""

# What shells count and terminals are resized to says nothing about a build.
_INDIFFERENT = ("_", "COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL")

_KEPT = 100  # records; each takes some kilobytes, and every other environment has its own


class Watch:
    """What one build depends on, noted while it goes on, and kept if it is worth repeating.

    Files that are read have to be noted before they are: one that changes in between makes the record useless, not
    wrong.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._record = _record_path(words)
        self._program = _program()
        self._files: dict[str, Stamp] = {}
        self._useful = True

    def note(self, paths: Iterable[Path]) -> None:
        """These files count, as they are now; whether they are there at all does as well."""
        for path in paths:
            self._files.setdefault(str(path.absolute()), _stamp(path))

    def give_up(self) -> None:
        """Keep no record: something is to be done, or said, each time."""
        self._useful = False

    def keep(self, stdout: str, stderr: str, until: float) -> None:
        """Remember what was said. until: when (seconds since the epoch) the build has to be done in any case.

        A cache that cannot be written is no reason to fail: the record only saves time.
        """
        if not self._useful:
            return
        said = {"program": self._program, "files": self._files, "until": until, "stdout": stdout, "stderr": stderr}
        try:
            with replacing(self._record, 0o600) as stream:
                stream.write(json.dumps(said).encode())
            records = sorted(self._record.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            for record in records[:-_KEPT]:
                record.unlink(missing_ok=True)
        except (HostError, OSError):
            return


def answered(words: Sequence[str]) -> bool:
    """Say what the build of this command line said when it was last done, if all of it still holds; whether it did."""
    try:
        said = json.loads(_record_path(words).read_bytes())
        stdout, stderr = str(said["stdout"]), str(said["stderr"])
        if not _holds(said):
            return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    try:
        for stream, text in ((sys.stderr, stderr), (sys.stdout, stdout)):
            stream.write(text)
            stream.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    return True


def _holds(said: Mapping[str, object]) -> bool:
    until, files = said["until"], said["files"]
    if not isinstance(files, dict) or not isinstance(until, (int, float)) or time.time() >= until:
        return False
    return said["program"] == _program() and all(_stamp(Path(path)) == was for path, was in files.items())


def _record_path(words: Sequence[str]) -> Path:
    environment = sorted(item for item in os.environ.items() if item[0] not in _INDIFFERENT)
    terminals = (sys.stdout.isatty(), sys.stderr.isatty())
    facts = json.dumps([list(words), str(Path.cwd()), environment, os.getuid(), terminals])
    return cache_dir() / "again" / f"{hashlib.sha256(facts.encode()).hexdigest()}.json"


def _program() -> str:
    """A hash that is another one after any change of this program, its data, its libraries or its Python."""
    facts: list[object] = [sys.version]
    # Where libraries are installed: putting one in or taking one out changes the directory.
    facts += [_stamp(Path(place)) for place in sys.path]
    left = sorted({str(Path(__file__).parent), str(assets_dir()), str(stark_dir())})
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    left += [entry.path] if entry.name != "__pycache__" else []
                else:
                    status = entry.stat()
                    facts.append((entry.path, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [*stamp(status), status.st_mode]
