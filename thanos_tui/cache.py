"""What the cache holds, and removing what was not used for a while (docs/set-up.md).

Everything in it can be made again. Times of modification say when something was used last: whoever uses a thing renews
them. Programs are the exception: they are of use as long as they would be the ones to start.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import programs, vm
from thanos_tui.errors import HostError
from thanos_tui.files import CACHE_LOCK, cache_dir, unwritable
from thanos_tui.images.store import Store

_LEAST = 3600.0  # seconds: what was used in the last hour always stays

KINDS = {
    "indices": "apt",
    "packages": "packages",
    "images": "store",
    "segments": "segments",
    "programs": "tools",
}
"""What the cache holds by the directory that it is in; what else is there is small, and stays."""


@dataclass(frozen=True)
class Amount:
    """So much of one kind. items: indices of sources, packages, images, segments of components, sets of programs."""

    kind: str
    items: int
    bytes: int


@dataclass(frozen=True)
class _Item:
    """What is removed whole. used: when it was used last, in seconds since the epoch."""

    paths: tuple[Path, ...]
    used: float


def held() -> tuple[Amount, ...]:
    """What the cache holds, by kind."""
    counts = {kind: len(list(find())) for kind, find in _FINDERS.items()}
    counts["images"] = len(_store().references())
    return tuple(Amount(kind, counts[kind], _size(cache_dir() / place)) for kind, place in KINDS.items())


def prune(days: float, *, dry_run: bool = False) -> tuple[Amount, ...]:
    """Remove what was not used for so many days, and return what that was. dry_run: only say what it would be.

    What was used within the last hour stays, and so do the programs of machines that run. Raises HostError while a
    build uses the cache.
    """
    before = time.time() - max(days * 86400, _LEAST)
    removed = []
    with nullcontext() if dry_run else _alone():
        for kind, find in _FINDERS.items():
            unused = [item for item in find() if item.used < before]
            size = sum(_size(path) for item in unused for path in item.paths)
            if not dry_run:
                for item in unused:
                    _remove(item)
            removed.append(Amount(kind, len(unused), size))
        used = _store().last_used()
        keep = [name for name, when in used.items() if when >= before]
        freed = _store().prune(keep, _LEAST, dry_run=dry_run)
        removed.append(Amount("images", len(used) - len(keep), freed))
    return tuple(sorted(removed, key=lambda amount: list(KINDS).index(amount.kind)))


def _indices() -> Iterator[_Item]:
    # Its lock is opened for writing by everyone who solves with it.
    for place in _inside("indices", "*"):
        yield _Item((place,), _used(place / "lock"))


def _packages() -> Iterator[_Item]:
    for path in (*_inside("packages", "??/*"), *_inside("packages", "partial/*")):
        yield _Item((path,), _used(path))


def _segments() -> Iterator[_Item]:
    # Several files make up one: what is in it, itself, and the kernel from it.
    files: dict[str, list[Path]] = {}
    for path in _inside("segments", "*"):
        files.setdefault(path.name.partition("-")[0], []).append(path)
    for paths in files.values():
        yield _Item(tuple(paths), max(map(_used, paths)))


def _programs() -> Iterator[_Item]:
    argvs = [machine.record.argv for machine in vm.machines() if machine.alive]
    for place in _inside("programs", "*"):
        names = [path.name for path in place.glob("bin/*")]
        started = any(found.is_relative_to(place) for name in names if (found := programs.find(name)))
        running = any(str(place) in word for argv in argvs for word in argv)
        # One without programs is what an installation left that was killed.
        yield _Item((place,), time.time() if started or running else 0.0 if names else _used(place))


_FINDERS = {"indices": _indices, "packages": _packages, "segments": _segments, "programs": _programs}


def _inside(kind: str, pattern: str) -> list[Path]:
    return sorted((cache_dir() / KINDS[kind]).glob(pattern))


def _store() -> Store:
    return Store(cache_dir() / KINDS["images"])


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the cache while nobody uses it (``files.cache_in_use``). Raises HostError if somebody does."""
    path = cache_dir() / CACHE_LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError("a build is using the cache", hint="try again when it has ended") from None
        yield


def _remove(item: _Item) -> None:
    for path in item.paths:
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(Path(error.filename or path), error) from error


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    """Bytes of a file, or of all below a directory; links count for nothing."""
    total = 0
    for each in (path, *path.rglob("*")):
        with suppress(OSError):
            total += each.stat().st_size if each.is_file() and not each.is_symlink() else 0
    return total
