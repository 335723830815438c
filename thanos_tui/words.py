"""Numbers, times, paths and what others say, as people read them, in the app as on the command line."""

from __future__ import annotations

from pathlib import Path


def size(count: float) -> str:
    """Bytes as people read them: ``38.2 MB`` (decimal units, as disks and downloads are counted)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def counted(number: int, noun: str) -> str:
    """``1 line``, ``2,500 lines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """How long something took or will take: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def uptime(seconds: float) -> str:
    """For how long something has run, in full minutes after the first, so that it seldom changes: ``3 min``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def short(path: str | Path) -> str:
    """A path as people would type it here: relative to the working directory, or with ``~`` for their home."""
    bases = [(Path.home(), "~/")]
    try:
        bases.insert(0, (Path.cwd(), ""))
        path = Path(path).absolute()
    except FileNotFoundError:  # the working directory is gone
        path = Path(path)
    for base, prefix in bases:
        if path.is_relative_to(base):
            return f"{prefix}{path.relative_to(base)}"
    return str(path)


def printable(text: str | bytes) -> str:
    """Another program's words made safe for the user's terminal: control characters and broken UTF-8 become escapes."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
