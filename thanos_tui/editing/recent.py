"""What there is to open: the profiles used last (``state_dir()/recent.json``), and those to begin one's own from."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from thanos_tui.files import profiles_dir, replacing, state_dir
from thanos_tui.profile import SUFFIX

KEPT = 20


@dataclass(frozen=True)
class Recent:
    """A profile, and when it was opened or saved last."""

    path: Path
    when: datetime


@dataclass(frozen=True)
class Template:
    """A profile to begin one's own from. about: the first sentence of the comment it begins with."""

    path: Path
    name: str
    about: str


def templates() -> list[Template]:
    """The profiles that come with the program, by name; empty where they were left out of it."""
    found = sorted(profiles_dir().glob(f"*{SUFFIX}"))
    return [Template(path, path.name.removesuffix(SUFFIX), _about(path)) for path in found]


def _about(path: Path) -> str:
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""
    comment = re.fullmatch(r"#+ *(.*)", first.strip())
    return comment[1].partition(". ")[0].removesuffix(".") if comment else ""


def _file() -> Path:
    return state_dir() / "recent.json"


def recent() -> list[Recent]:
    """The profiles used last that are still there, the latest first; a damaged list counts as empty."""
    return [item for item in _read() if _is_there(item.path)]


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # behind a directory that is closed to us now
        return False


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
