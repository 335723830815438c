"""How the dialogs about profiles put things: places, times, and what differs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from thanos_tui.editing.rows import shown
from thanos_tui.options import Catalogue
from thanos_tui.options.expressions import Value
from thanos_tui.tui.look import look
from thanos_tui.words import counted, short

_LINES = 10  # of a list in a dialog
_LONG = 24  # characters of a value
_WIDE = 44  # characters of a path: its end tells more than its beginning


def place(path: Path) -> str:
    """A path as short as it can be said: from here, or from home; of a long one the end."""
    text = short(path)
    if len(text) <= _WIDE:
        return text
    dots = "..." if look().ascii else look().ellipsis  # its ASCII form is a tilde, which here is home
    return dots + text[-_WIDE + len(dots) :]


def ago(when: datetime, now: datetime | None = None) -> str:
    """A moment in the past: how long ago today, by date before."""
    now = now or datetime.now(UTC)
    minutes = int((now - when).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{counted(minutes, 'minute')} ago"
    if minutes < 24 * 60:
        return f"{counted(minutes // 60, 'hour')} ago"
    return f"{when.astimezone():%Y-%m-%d %H:%M}"


def differences(
    catalogue: Catalogue, found: Iterable[tuple[str, Value, Value]], before: str = "", after: str = ""
) -> str:
    """(option, value before, value after), a line each. ``before``, ``after``: what to call the sides, if anything."""
    rows = list(found)
    lines = []
    for name, old, new in islice(rows, _LINES):
        sides = (_side(catalogue, name, old), _side(catalogue, name, new))
        said = f"{before} {sides[0]}, {after} {sides[1]}" if before else f"{sides[0]} {look().arrow} {sides[1]}"
        lines.append(f"{name}: {said}")
    if len(rows) > _LINES:
        lines.append(f"and {len(rows) - _LINES} more")
    return "\n".join(lines)


def _side(catalogue: Catalogue, name: str, value: Value) -> str:
    option = catalogue.options.get(name)
    if value is None:
        return "default" if option else "nothing"
    text = shown(option, value) if option else str(value)
    return look().cut(text.replace("\n", " "), _LONG) or "empty"
