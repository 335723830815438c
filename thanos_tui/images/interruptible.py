"""Work that waits for others, given up as soon as it is no longer wanted, however long they say nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_POLL = 0.2  # seconds between two looks at whether the work is still wanted
_AHEAD = 4  # items that are kept ready
_PATIENCE = 1.0  # seconds that abandoned work has to end


def interruptible(
    items: Iterable[_T], check: Callable[[], None], abandon: Callable[[], None] | None = None
) -> Iterator[_T]:
    """What ``items`` yields, taken from it in a thread of its own.

    check: raises what is to stop the work. abandon: ends a wait in ``items``; without it the thread stays until the
    wait ends by itself, and keeps no process alive. Raises what ``items`` raises.
    """
    ready: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(_AHEAD)
    unwanted = threading.Event()

    def put(value: tuple[_T] | BaseException | None) -> None:
        while not unwanted.is_set():
            try:
                ready.put(value, timeout=_POLL)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item,))
                if unwanted.is_set():
                    return
            put(None)
        except BaseException as error:  # raised again where the items are wanted
            put(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while True:
            check()
            try:
                value = ready.get(timeout=_POLL)
            except queue.Empty:
                continue
            if value is None:
                return
            if isinstance(value, BaseException):
                raise value
            yield value[0]
    finally:
        unwanted.set()
        if abandon is not None and worker.is_alive():
            abandon()
            worker.join(_PATIENCE)
