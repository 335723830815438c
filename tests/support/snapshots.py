"""Pictures of the app (the SVG that it makes of its own screen), compared with the ones that were looked at and kept.

    SNAPSHOTS=accept pytest tests/tui/snapshots         keeps the new pictures; then look at what changed in them

pytest-textual-snapshot does the same with more comfort, and holds pytest below version 9.
"""

from __future__ import annotations

import difflib
import html
import os
import re
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

KEPT = Path(__file__).parents[1] / "tui" / "snapshots"
_ID = re.compile(r"terminal-[0-9]+-")
_TEXT = re.compile(r'<text [^>]*\by="([0-9.]+)"[^>]*>([^<]*)</text>')


def compare(app: App[Any], name: str, scratch: Path) -> None:
    """Fail unless the app's screen looks as in the picture ``name``; the new picture is left in ``scratch`` then."""
    # Each picture's identifiers are made from its content: without them a change shows where it is.
    picture = _ID.sub("terminal-", app.export_screenshot(title="ThanOS")) + "\n"
    kept = KEPT / f"{name}.svg"
    if os.environ.get("SNAPSHOTS") == "accept":
        kept.write_text(picture)
        return
    if not kept.exists():
        pytest.fail(f"there is no {kept}: SNAPSHOTS=accept keeps one")
    before = kept.read_text()
    if picture == before:
        return
    new = scratch / kept.name
    new.write_text(picture)
    difference = "\n".join(difflib.unified_diff(_lines(before), _lines(picture), "kept", "now", lineterm="", n=1))
    pytest.fail(
        f"{name} looks different, see {new}\n{difference or 'the text is the same: a colour or a style changed'}"
    )


def _lines(picture: str) -> list[str]:
    """The text of a picture, line by line as on the screen."""
    rows: dict[float, str] = {}
    for y, text in _TEXT.findall(picture):
        rows[float(y)] = rows.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return [rows[y].rstrip() for y in sorted(rows)]
