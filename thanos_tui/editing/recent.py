"""The profiles used last (``state_dir()/recent.json``), for the list to open one from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from thanos_tui.files import replacing, state_dir

KEPT = 20


@dataclass(frozen=True)
class Recent:
    """A profile, and when it was opened or saved last."""

    path: Path
    when: datetime


def _file() -> Path:
    return state_dir() / "recent.json"


def recent() -> list[Recent]:
    """The profiles used last that are still there, the latest first; a damaged list counts as empty."""
    return [item for item in _read() if item.path.is_file()]


def remember(path: Path) -> None:
    """Put a profile first. Raises HostError where that cannot be written."""
    path = path.absolute()
    # What is not there now may be on a disk that is not connected now.
    items = [Recent(path, datetime.now(UTC)), *(item for item in _read() if item.path != path)]
    with replacing(_file(), 0o600) as stream:
        entries = [{"path": str(item.path), "when": item.when.isoformat(timespec="seconds")} for item in items[:KEPT]]
        stream.write(json.dumps(entries, indent=1).encode())


def _read() -> list[Recent]:
    try:
        entries = json.loads(_file().read_bytes())
        return [Recent(Path(entry["path"]), datetime.fromisoformat(entry["when"])) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return []
