"""Unsaved changes outlive the app: a crash, a closed terminal, ``kill -9``, a power cut.

    state_dir()/recovery/           mode 0700
      NAME-TOKEN.json               what is unsaved of one document: written again after each change
      NAME-TOKEN.lock               held (flock) by the app whose document it is

The lock is freed by the kernel however its holder ends. So a file whose lock is free was left behind, and one whose
lock is held belongs to another app, even where both have the same profile open.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thanos_tui import options, profile
from thanos_tui.editing.disk import fingerprint
from thanos_tui.editing.document import Document, Snapshot
from thanos_tui.errors import HostError
from thanos_tui.files import replacing, state_dir
from thanos_tui.options import Assignment, OnCommandLine
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import ValueProblem

SCHEMA = 1
PAUSE = 0.2  # seconds between two writes; what is changed meanwhile is written with the next one


@dataclass(frozen=True)
class Left:
    """Unsaved changes of an app that ended without being asked about them.

    file: where they are kept; its lock is ``lock``, held until they are taken or put away. path: the profile's file, or
    None if it never had one; name, directory: the profile's. when: of the last change. base: the fingerprint of the
    file they were made to. values: everything that was set.
    """

    file: Path
    lock: int
    path: Path | None
    name: str
    directory: Path
    when: datetime
    base: str
    values: Mapping[str, Value]

    def release(self) -> None:
        """Leave it for another time."""
        with suppress(OSError):
            os.close(self.lock)

    def discard(self) -> None:
        """Remove it for good."""
        for path in (self.file, _lock_of(self.file)):
            with suppress(OSError):
                path.unlink()
        self.release()

    @property
    def stale(self) -> bool:
        """Whether the profile's file says something else now than when the changes were made."""
        return self.path is not None and fingerprint(self.path) != self.base


class Keeper:
    """Keeps the unsaved changes of one document on disk, from a thread of its own.

    base: the fingerprint of the document's file as it was read or written last; for whoever does that to set.
    problem: why the last write failed.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.base = fingerprint(document.path)
        self.problem: HostError | None = None
        self._file: Path | None = None
        self._lock: int | None = None
        self._wanted: tuple[Snapshot, bool] | None = None
        self._wake = threading.Condition()
        self._writing = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def changed(self) -> None:
        """The document has another state: to be called after each change. Returns at once."""
        with self._wake:
            if self._closed:
                return
            dirty = self.document.dirty
            self._wanted = (self.document.current, dirty)
            if self._thread is None and dirty:
                # A daemon: an app that ends in a hurry does not wait for it, and has flush() for what is due.
                self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)
                self._thread.start()
            self._wake.notify()

    def flush(self) -> None:
        """Write what is due now, on this thread: the app is about to end."""
        with self._wake:
            wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._write(*wanted)

    def close(self) -> None:
        """Stop keeping. What is unsaved stays on disk, to be offered at the next start."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self.flush()
        with self._writing:
            if self._lock is not None:
                if self._file is not None and not self._file.exists():
                    _lock_of(self._file).unlink(missing_ok=True)
                os.close(self._lock)
                self._lock = None

    def discard(self) -> None:
        """Stop keeping, and forget what is unsaved: it was saved, or is not wanted."""
        with self._wake:
            self._wanted = None
        with self._writing:
            self._remove()
        self.close()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._wanted is None and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                wanted, self._wanted = self._wanted, None
            if wanted is not None:
                self._write(*wanted)
            time.sleep(PAUSE)

    def _write(self, snapshot: Snapshot, dirty: bool) -> None:
        with self._writing:
            try:
                if not dirty:
                    self._remove()
                    return
                if self._file is None:
                    self._file, self._lock = _claim(self.document.name)
                with replacing(self._file, 0o600) as stream:
                    stream.write(json.dumps(_said(self.document, snapshot, self.base), indent=1).encode())
                self.problem = None
            except HostError as error:
                self.problem = error
            except OSError as error:
                self.problem = HostError(f"cannot keep unsaved changes in {root()}: {error.strerror}")

    def _remove(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()


def root() -> Path:
    """Where unsaved changes are kept."""
    return state_dir() / "recovery"


def left_behind(path: Path | None) -> list[Left]:
    """What apps that ended left unsaved of the profile in this file (None: of those without one), the latest first.

    Each is locked until it is discarded or released, so that no two apps offer the same. Files that cannot be read as
    what they should be are passed over.
    """
    wanted = path.absolute() if path else None
    found: list[Left] = []
    for file in sorted(root().glob("*.json")):
        said = _read(file)
        if said is None or said["path"] != wanted:
            continue
        lock = _lock(file)
        if lock is None:
            continue
        # Again: whoever had the lock until now may have written or removed it.
        said = _read(file)
        if said is None or said["path"] != wanted:
            os.close(lock)
            continue
        found.append(Left(file=file, lock=lock, **said))
    return sorted(found, key=lambda left: left.when, reverse=True)


def restored(left: Left) -> tuple[Document, tuple[str, ...]]:
    """A document with the changes in it, unsaved, and the options whose values cannot be used any more.

    Those are gone from the catalogue, or their values do not fit there now. Where the profile's file is gone, the
    document has none. Raises InputError where the file cannot be read.
    """
    there = left.path is not None and left.path.exists()
    document = Document.open(left.path) if left.path and there else Document.new(directory=left.directory)
    assignments: dict[str, Assignment] = {}
    lost: list[str] = []
    for name, value in left.values.items():
        try:
            assignments[name] = document.assignment(name, value)
        except (KeyError, ValueProblem):
            lost.append(name)
    while True:
        resolved = options.resolve(document.catalogue, assignments, document.facts)
        bad = [p.option for p in resolved.problems if not (p.inactive or p.missing) and p.option in assignments]
        if not bad:
            break
        lost += bad
        assignments = {name: given for name, given in assignments.items() if name not in bad}
    given = replace(document.profile(), assignments=assignments, resolved=resolved)
    return Document(given, document.saved), tuple(lost)


def difference(left: Left, catalogue: options.Catalogue | None = None) -> tuple[tuple[str, Value, Value], ...]:
    """What the changes are: (option, its value in the file, its unsaved value); None for one that is not set.

    Raises InputError where the profile's file cannot be read.
    """
    there = left.path is not None and left.path.exists()
    saved = profile.load(left.path, catalogue).assignments if left.path and there else {}
    before = {name: given.value for name, given in saved.items()}
    names = dict.fromkeys((*before, *left.values))
    return tuple(
        (name, before.get(name), left.values.get(name)) for name in names if before.get(name) != left.values.get(name)
    )


def _said(document: Document, snapshot: Snapshot, base: str) -> dict[str, Any]:
    # What came from the command line is not of the profile; whoever gave it there can give it again.
    values = {
        n: given.value for n, given in snapshot.assignments.items() if not isinstance(given.origin, OnCommandLine)
    }
    return {
        "schema": SCHEMA,
        "path": str(document.path.absolute()) if document.path else "",
        "name": document.name,
        "directory": str(document.directory.absolute()),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": base,
        "values": {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
    }


def _read(file: Path) -> dict[str, Any] | None:
    """The fields of :class:`Left` that a file states; None where it is none of ours."""
    try:
        said = json.loads(file.read_bytes())
        if said["schema"] != SCHEMA:
            return None
        values = {str(n): tuple(map(str, v)) if isinstance(v, list) else v for n, v in said["values"].items()}
        return {
            "path": Path(said["path"]) if said["path"] else None,
            "name": str(said["name"]),
            "directory": Path(said["directory"]),
            "when": datetime.fromisoformat(said["when"]),
            "base": str(said["base"]),
            "values": values,
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _claim(name: str) -> tuple[Path, int]:
    """A file of our own for a document of this name, and its lock. Raises OSError."""
    root().mkdir(mode=0o700, parents=True, exist_ok=True)
    file = root() / f"{options.plain_name(name)}-{secrets.token_hex(4)}.json"
    lock = os.open(_lock_of(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file, lock


def _lock(file: Path) -> int | None:
    """The lock of a file that was left behind, taken; None where its owner lives."""
    try:
        lock = os.open(_lock_of(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _lock_of(file: Path) -> Path:
    return file.with_suffix(".lock")
