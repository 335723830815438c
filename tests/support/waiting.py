"""Waiting for what threads, messages and other programs bring about: by a clock, and for long on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from textual.pilot import Pilot

LIMIT = 120.0  # seconds

T = TypeVar("T")


def eventually(
    look: Callable[[], T], limit: float = LIMIT, tell: Callable[[], object] = lambda: "", pause: float = 0.02
) -> T:
    """What ``look`` returns, once that is true. tell: what to say where it never is. pause: between looks, in s."""
    deadline = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < deadline, f"it never came to that: {tell()}"
        time.sleep(pause)
    return found


async def until(
    pilot: Pilot[Any], look: Callable[[], object], limit: float = LIMIT, tell: Callable[[], object] = lambda: ""
) -> None:
    """Let the app go on until something is so, and then until it has drawn that. tell: as in :func:`eventually`."""
    deadline = time.monotonic() + limit
    while not look():
        assert time.monotonic() < deadline, f"it never came to that: {tell()}"
        await pilot.pause(0.02)
    await pilot.pause()
