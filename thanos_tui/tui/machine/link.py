"""The connection to a machine's Docker: kept by one thread for as long as it is wanted, and used from others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from thanos_tui.errors import ConsoleError
from thanos_tui.events import Reporter

if TYPE_CHECKING:
    from thanos_tui.apps import Engine
    from thanos_tui.console import Ask
    from thanos_tui.vm import Machine

_SSH_LIMIT = 600.0  # seconds until sshd answers: software emulation on a busy host is slow

P = ParamSpec("P")
R = TypeVar("R")


class Link:
    """A machine's Docker. Its methods wait; all but :meth:`close` are for threads that may.

    reporter: is told of the waiting for the machine. ask: how to ask for the passphrase of a key.
    """

    def __init__(self, machine: Machine, reporter: Reporter, ask: Ask) -> None:
        self.machine = machine
        self.parts: frozenset[str] = frozenset()
        """What of ``x11`` and ``sound`` the machine has for apps; known once it is ready."""
        self._reporter, self._ask = reporter, ask
        self._changed = threading.Condition()
        self._engine: Engine | None = None
        self._users = 0
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether Docker answers, so that it can be used."""
        return self._engine is not None and not self._closed

    def hold(self, tell: Callable[[], None]) -> None:
        """Connect, and keep the connection until it is closed and nobody uses it any more. tell: is called once ready.

        Raises what reach_ours() and connected() raise; Interrupted if it is closed before it is ready.
        """
        from thanos_tui import apps
        from thanos_tui.reach import reach_ours

        target = reach_ours(self.machine, _SSH_LIMIT, self._reporter)
        with apps.connected(target, self._reporter, ask=self._ask) as engine:
            self.parts = apps.parts(engine)
            with self._changed:
                self._engine = engine
            tell()
            with self._changed:
                self._changed.wait_for(lambda: self._closed and not self._users)
                self._engine = None

    @contextmanager
    def using(self) -> Iterator[Engine]:
        """The engine, for as long as the block takes. Raises ConsoleError where there is none, or no more."""
        with self._changed:
            engine = self._engine
            if engine is None or self._closed:
                raise ConsoleError(f"there is no connection to Docker on {self.machine.name}", hint="try again")
            self._users += 1
        try:
            yield engine
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def use(self, function: Callable[Concatenate[Engine, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a function of the room of apps returns for this engine. Raises what it raises, and as using() does."""
        with self.using() as engine:
            return function(engine, *args, **kwargs)

    def close(self) -> None:
        """Let nobody begin to use it any more; it ends when those who do are done. Does not wait for that."""
        self._reporter.cancel()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
