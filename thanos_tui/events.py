"""What a running build, machine or console reports, and to whom.

Stages never print. They report through a :class:`Reporter`; whoever listens (progress bars, plain lines, JSON lines,
the app) draws the events. Listeners are called from worker threads, one event at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from thanos_tui.errors import Interrupted

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True)
class StepPlanned:
    """A piece of work is going to come, as far as one can know by now."""

    step: str
    title: str


@dataclass(frozen=True)
class StepStarted:
    """A piece of work begins. ``step`` is its path (``images/sshd``), ``total`` its size in ``unit`` if known."""

    step: str
    title: str
    total: int | None = None
    unit: Literal["bytes", "items", ""] = ""


@dataclass(frozen=True)
class Progress:
    """A step has come this far; ``total`` replaces the one given at its start."""

    step: str
    done: int
    total: int | None = None


@dataclass(frozen=True)
class Item:
    """One of the things that a step does side by side (a download, a component) has come so far.

    done, total: in the unit of the step. It is over once ``done`` is ``total``, or with the step.
    """

    step: str
    name: str
    done: int
    total: int


@dataclass(frozen=True)
class LogLine:
    """A line of narration that belongs to a step (or to none: ``""``)."""

    step: str
    text: str
    level: Level = "info"


@dataclass(frozen=True)
class StepFinished:
    """A step ended, well or not, after so many seconds. ``note`` says how (``cached``, ``12 packages``)."""

    step: str
    ok: bool
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Artefact:
    """An output file stands complete at ``path`` (size in bytes, hash in hex)."""

    path: str
    format: str
    size: int
    sha256: str


Event = StepPlanned | StepStarted | Progress | Item | LogLine | StepFinished | Artefact
Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener for callers that do not care."""


@dataclass(frozen=True)
class Took:
    """How long a step took that ended well, and how much it did in its unit (0 where nothing is counted)."""

    step: str
    seconds: float
    amount: int


@dataclass
class Step:
    """A step under way; its methods may be called from any thread."""

    reporter: Reporter
    path: str
    total: int | None
    done: int = 0
    note: str = ""
    _shown: float = 0.0
    _items: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, amount: int) -> None:
        """Report ``amount`` more units done. Raises Interrupted once the work is cancelled.

        Totals are estimates now and then: what goes beyond is not shown.
        """
        self.reporter.check()
        with self._lock:
            before = self.done
            self.done += amount if self.total is None else max(0, min(amount, self.total - self.done))
            now = time.monotonic()
            # Ten updates a second are as many as an eye wants; the last one always goes out.
            if self.done == before or (now - self._shown < 0.1 and self.done != self.total):
                return
            self._shown = now
        self.reporter.report(Progress(self.path, self.done, self.total))

    def item(self, name: str, done: int, total: int) -> None:
        """Report how far one of the things has come that are done side by side; :meth:`advance` counts them all."""
        with self._lock:
            now = time.monotonic()
            if now - self._items.get(name, 0.0) < 0.1 and done < total:
                return
            self._items[name] = now
        self.reporter.report(Item(self.path, name, done, total))

    def complete(self) -> None:
        """Report that all of it is done, if any of it was reported: a bar that ends well ends at its end."""
        with self._lock:
            if self.total is None or self.done in (0, self.total):
                return
            self.done = self.total
        self.reporter.report(Progress(self.path, self.done, self.total))

    def log(self, text: str, level: Level = "info") -> None:
        self.reporter.report(LogLine(self.path, text, level))


class Reporter:
    """Carries events to one listener, and the wish to stop the other way."""

    def __init__(self, listener: Listener = ignore) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self.took: list[Took] = []
        """The steps that have ended well so far."""

    def heard_by(self, listener: Listener) -> Reporter:
        """A reporter for the same work with another listener: who cancels one cancels both."""
        other = Reporter(listener)
        other._cancelled = self._cancelled
        other.took = self.took
        return other

    def report(self, event: Event) -> None:
        with self._lock:
            self._listener(event)

    def log(self, text: str, level: Level = "info") -> None:
        self.report(LogLine("", text, level))

    def cancel(self) -> None:
        """Ask every stage to stop at its next check."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the work to stop."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise Interrupted if the work was cancelled; long loops call this."""
        if self._cancelled.is_set():
            raise Interrupted

    @contextmanager
    def step(
        self, path: str, title: str, total: int | None = None, unit: Literal["bytes", "items", ""] = ""
    ) -> Iterator[Step]:
        """Report the start and the end of a step around the work done inside."""
        self.check()
        step = Step(self, path, total)
        self.report(StepStarted(path, title, total, unit))
        started = time.monotonic()
        ok = False
        try:
            yield step
            step.complete()
            ok = True
        finally:
            seconds = time.monotonic() - started
            if ok:
                self.took.append(Took(path, seconds, step.done))
            self.report(StepFinished(path, ok, seconds, step.note))
