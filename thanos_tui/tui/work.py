"""Work that waits, off the event loop: blocking functions in threads, and their errors back as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from thanos_tui.errors import HostError

P = ParamSpec("P")
R = TypeVar("R")


def at_once(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``function`` returns, run here.

    Raises the ThanosError it raises; an OSError that no room foresaw becomes a HostError, as on the command line.
    """
    try:
        return function(*args, **kwargs)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise HostError(f"{place}{error.strerror or error}") from error


async def perform(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``function`` returns, run in a thread. Raises as :func:`at_once` does."""
    return await asyncio.to_thread(lambda: at_once(function, *args, **kwargs))
