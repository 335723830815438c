"""What a directory holds, for choosing a file: read, narrowed by what is typed. Knows nothing of screens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.errors import InputError


@dataclass(frozen=True)
class Entry:
    """A name in a directory. size: in bytes, of a file."""

    name: str
    directory: bool
    size: int = 0


def split(text: str, start: Path) -> tuple[Path, str]:
    """The directory that a typed path leads to from ``start``, and the beginning of a name that is left over."""
    head, slash, fragment = text.rpartition("/")
    if text in ("~", "..", "."):
        head, slash, fragment = text, "/", ""
    place = Path(head + slash)
    if head.startswith("~"):
        try:
            place = place.expanduser()
        except RuntimeError:  # a user that the system does not know
            return start / place, fragment
    # As typed: what ".." means behind a symbolic link is the system's to say.
    return start / place if slash else start, fragment


def read(directory: Path, suffixes: Sequence[str] = (), *, hidden: bool = False) -> list[Entry]:
    """Directories, then files that end as one of ``suffixes`` (none: all), by name. Raises InputError."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not hidden:
                    continue
                # A link in a circle, or one into a directory that may not be entered, is nothing to choose.
                with suppress(OSError):
                    if entry.is_dir():
                        found.append(Entry(entry.name, True))
                    elif entry.is_file() and (not suffixes or entry.name.endswith(tuple(suffixes))):
                        found.append(Entry(entry.name, False, entry.stat().st_size))
    except OSError as error:
        raise InputError(f"cannot read {directory}: {error.strerror}", hint="go up, or type another path") from error
    return sorted(found, key=lambda entry: (not entry.directory, entry.name.casefold(), entry.name))


def narrowed(entries: Sequence[Entry], fragment: str) -> list[Entry]:
    """Those that begin with the fragment, then those that contain it; upper and lower case are the same."""
    wanted = fragment.casefold()
    contain = [entry for entry in entries if wanted in entry.name.casefold()]
    return sorted(contain, key=lambda entry: not entry.name.casefold().startswith(wanted))


def shown(name: str) -> str:
    """A file name fit for the screen: control characters and bytes that are no UTF-8 are replaced."""
    text = os.fsencode(name).decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
