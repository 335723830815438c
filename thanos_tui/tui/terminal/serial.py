"""A machine's serial port in a terminal tab; it works without a network and while the machine boots."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from thanos_tui.tui.terminal.session import PAUSE, Session
from thanos_tui.tui.work import perform

_BEFORE = 1 << 16  # bytes shown of what was said before
_CHUNK = 1 << 14


class SerialSession(Session):
    """A machine's serial port, which one program at a time can have (see Session)."""

    kind = "serial"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._writer: asyncio.StreamWriter | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def _connect(self) -> str:
        from thanos_tui import vm

        self.become("connecting", f"opening the serial port of {self.machine}")
        machine = await perform(vm.find, self.machine)
        port = await perform(vm.open_serial, machine)
        port.setblocking(False)
        reader, self._writer = await asyncio.open_unix_connection(sock=port)
        try:
            position = await perform(vm.serial_position, machine)
            said = await perform(vm.serial_since, machine, max(0, position - _BEFORE))
            # From a line's beginning, or a sequence cut in two would show.
            self.view.feed(said[said.find(b"\n") + 1 :] if len(said) >= _BEFORE else said, replayed=True)
            self.become("connected", f"serial port of {self.machine}; one program at a time can have it")
            with suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    self.view.feed(data)
                    if self.view.backlog > PAUSE:
                        self._room.clear()
                        await self._room.wait()
            self.view.calm()
            return f"{self.machine} has ended"
        finally:
            writer, self._writer = self._writer, None
            writer.close()

    def _send(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """A serial port knows no size."""

    def close(self) -> None:
        """Nothing waits in a thread."""

    def drained(self) -> None:
        self._room.set()
