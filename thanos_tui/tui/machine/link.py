"""The connection to a machine's Docker: kept by one thread for as long as it is wanted, and used from others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from thanos_tui.errors import ConsoleError
from thanos_tui.events import Reporter

if TYPE_CHECKING:
    from thanos_tui.apps import Engine, Service
    from thanos_tui.console import Ask, Tunnel
    from thanos_tui.vm import Machine

_SSH_LIMIT = 600.0  # seconds until sshd answers: software emulation on a busy host is slow

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


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
        self._way: Tunnel | None = None
        self._engine: Engine | None = None
        self._users = 0
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether Docker answers, so that it can be used."""
        return self._engine is not None and not self._closed

    @property
    def open(self) -> bool:
        """Whether the machine can be asked something already, though its Docker may not answer yet."""
        return self._way is not None and not self._closed

    def hold(self, tell: Callable[[], None]) -> None:
        """Connect, and keep the connection until it is closed and nobody uses it any more. tell: is called once it is
        open, and again once it is ready.

        Raises what reach_ours(), tunnel() and through() raise; Interrupted if it is closed before it is ready.
        """
        from thanos_tui import apps
        from thanos_tui.console import tunnel
        from thanos_tui.reach import reach_ours

        target = reach_ours(self.machine, _SSH_LIMIT, self._reporter)
        with tunnel(target, apps.SOCKET, ask=self._ask) as way:
            self._way = way
            tell()
            try:
                with apps.through(way, self._reporter) as engine:
                    self.parts = apps.parts(engine)
                    self._engine = engine
                    tell()
                    self._wait(lambda: self._closed and not self._users)
            finally:
                self.close()
                self._wait(lambda: not self._users)

    def _wait(self, so: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(so)

    def using(self) -> AbstractContextManager[Engine]:
        """The engine, for as long as the block takes. Raises ConsoleError where there is none, or no more."""
        return self._using(lambda: self._engine)

    @contextmanager
    def _using(self, find: Callable[[], T | None]) -> Iterator[T]:
        with self._changed:
            found = find()
            if found is None or self._closed:
                raise ConsoleError(f"there is no connection to Docker on {self.machine.name}", hint="try again")
            self._users += 1
        try:
            yield found
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def services(self) -> tuple[Service, ...]:
        """The services of the machine's stark; known before its Docker answers. Raises what services() of the room of
        apps raises, and as using() does; Interrupted if the connection is closed meanwhile.
        """
        from thanos_tui import apps

        with self._using(lambda: self._way) as way:
            return apps.services(way.target, lambda argv: way.run(argv, self._reporter, apps.SERVICES_LIMIT))

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
