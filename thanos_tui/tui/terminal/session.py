"""What every session of a terminal tab has in common: its state, what was typed at it, and how it ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from thanos_tui.errors import Interrupted, ThanosError
from thanos_tui.tui.hints import hint
from thanos_tui.tui.terminal.widget import TerminalView

Phase = Literal["connecting", "connected", "ended"]

PAUSE = 1 << 16  # bytes not yet drawn from which on no more are asked for
AGAIN = "press Enter to connect again"


@dataclass(frozen=True)
class State:
    """How a session stands, and a few words on it for the line below the terminal."""

    phase: Phase
    words: str


class Session(ABC):
    """One end of a terminal tab; runs until it is closed, over as many connections as it takes.

    changed: called on the event loop after each change of ``state``.
    """

    kind = ""

    def __init__(self, machine: str, view: TerminalView, changed: Callable[[], None]) -> None:
        self.machine = machine
        self.view = view
        self.state = State("connecting", "")
        self._changed = changed
        self._again = asyncio.Event()
        view.far = self

    async def run(self) -> None:
        """Connect, and connect again whenever the user asks for it; ends by being cancelled."""
        while True:
            self._again.clear()
            try:
                words = await self._connect()
                self.view.say(f"[{words}; {AGAIN}]")
            except Interrupted:
                words = "stopped"
            except ThanosError as error:
                words = error.message
                lines = (f"  {line}" for line in hint(self.view.app, error).splitlines())
                self.view.say("\n".join([f"[{error.message}]", *lines, f"[{AGAIN}]"]))
            self.become("ended", words)
            await self._again.wait()

    @abstractmethod
    async def _connect(self) -> str:
        """Hold one connection to its end, and say how it ended. Raises ThanosError."""

    def become(self, phase: Phase, words: str) -> None:
        if (phase, words) != (self.state.phase, self.state.words):
            self.state = State(phase, words)
            self._changed()

    def again(self) -> None:
        """Connect again, if the session has ended."""
        if self.state.phase == "ended":
            self._again.set()

    def send(self, data: bytes) -> None:
        if self.state.phase == "connected":
            self._send(data)
        elif b"\r" in data:
            self.again()

    @abstractmethod
    def _send(self, data: bytes) -> None: ...

    @abstractmethod
    def resize(self, columns: int, rows: int) -> None: ...

    @abstractmethod
    def drained(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Give up what is being waited for in a thread; run() is cancelled by its owner."""
