"""Whether a profile's file is still what was read from it: by its content, as times can lie in both directions."""

from __future__ import annotations

import hashlib
from pathlib import Path

from thanos_tui import profile


def fingerprint(path: Path | None) -> str:
    """The SHA-256 of a file's content, in hexadecimal; empty where there is no file, or none that can be read."""
    if path is None:
        return ""
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(profile.LARGEST + 1)).hexdigest()
    except (OSError, ValueError):
        return ""
