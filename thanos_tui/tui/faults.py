"""Errors that nobody foresaw: their tracebacks go to a log, so that the screen can do with a sentence."""

from __future__ import annotations

from pathlib import Path

_KEPT = 1 << 20  # bytes of the log, from which on its older half goes


def note(error: BaseException) -> Path:
    """Add the traceback of an error to ``state_dir()/app.log``, and return that path. Raises HostError."""
    import platform
    import traceback
    from datetime import UTC, datetime

    from thanos_tui import __version__
    from thanos_tui.files import replacing, state_dir

    path = state_dir() / "app.log"
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    if len(kept) > _KEPT:
        kept = kept[-_KEPT // 2 :].partition(b"\n")[2]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    head = f"--- {now} thanos-tui {__version__}, Python {platform.python_version()}\n"
    told = head + "".join(traceback.format_exception(error))
    with replacing(path, 0o600) as stream:
        stream.write(kept + told.encode(errors="backslashreplace"))
    return path
