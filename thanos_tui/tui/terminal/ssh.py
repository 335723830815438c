"""An SSH session in a terminal tab: waits for the machine, logs in, and comes back when it was rebooted.

The connection is the console's own (:func:`thanos_tui.console.connect`): the host key is known before it is made.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import ConsoleError, MachineError, ThanosError
from thanos_tui.events import Event, LogLine, Progress, Reporter, StepStarted
from thanos_tui.reach import reach_ours
from thanos_tui.tui.terminal.session import PAUSE, Session
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    import asyncssh

    from thanos_tui.console import Target
    from thanos_tui.vm import Machine

READY_LIMIT = 600.0  # seconds until sshd answers: software emulation on a busy host is slow
TERM = "xterm-256color"
# RFC 4254 section 8: what the Backspace key sends, and that input is UTF-8.
_MODES = {3: 0x7F, 42: 1}
_WINDOW = 1 << 17  # bytes that may still come after Ctrl-C
_LOOK = 1.0  # seconds between two looks at whether the machine has booted anew
_GOING = 5.0  # seconds for the connection to break after a shell that a signal ended: the machine may be going down
_SHORT = 3.0  # seconds; a session that is lost sooner is no success
_LOSSES = 3  # short sessions, one after another, after which the user is asked


class SshSession(Session):
    """A shell on one of our machines (see Session)."""

    kind = "ssh"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._reporter = Reporter()

    async def _connect(self) -> str:
        losses = 0
        while True:
            target = await self._reach()
            started = asyncio.get_running_loop().time()
            try:
                return await self._converse(target)
            except _Lost as lost:
                self.view.calm()
                self.view.say(f"[{lost}; waiting for {self.machine} to answer again]")
                losses = losses + 1 if asyncio.get_running_loop().time() - started < _SHORT else 0
                if losses >= _LOSSES:
                    raise ConsoleError(f"{self.machine} drops every connection at once", hint=target.log_hint) from None
            finally:
                self._channel = None

    async def _reach(self) -> Target:
        """How to reach the machine, once its sshd answers."""
        from thanos_tui import vm

        loop = asyncio.get_running_loop()

        def listen(event: Event) -> None:
            loop.call_soon_threadsafe(self._heard, event)

        self._reporter = Reporter(listen)
        self.become("connecting", f"looking for {self.machine}")
        machine = await perform(vm.find, self.machine)
        if not machine.alive:
            raise _stopped(machine)
        return await perform(reach_ours, machine, READY_LIMIT, self._reporter)

    def _heard(self, event: Event) -> None:
        """Say how the waiting goes on."""
        if self.state.phase != "connecting":
            return
        if isinstance(event, StepStarted):
            self.become("connecting", event.title)
        elif isinstance(event, Progress):
            self.become("connecting", f"waiting for {self.machine} to answer, {event.done} s")
        elif isinstance(event, LogLine) and event.level != "debug":
            self.view.say(event.text)

    async def _converse(self, target: Target) -> str:
        """One shell, from log-in to its end; says how it ended. Raises _Lost where it did not end by itself."""
        connect, factory = await perform(_load)
        self.become("connecting", f"logging in to {self.machine}")
        said = await perform(_serial_size, self.machine)
        view = self.view
        try:
            async with connect(target, ask=self._ask) as connection:
                size = (view.emulator.columns, view.emulator.rows, 0, 0)
                channel, shell = await connection.create_session(
                    lambda: factory(self),
                    request_pty="force",
                    term_type=TERM,
                    term_size=size,
                    term_modes=_MODES,
                    encoding=None,
                    window=_WINDOW,
                )
                self._channel = channel
                self.become("connected", str(target))
                self.resize(view.emulator.columns, view.emulator.rows)  # it may have changed since it was asked for
                booted = asyncio.ensure_future(self._booted(said))
                try:
                    await asyncio.wait({shell.ended, booted}, return_when=asyncio.FIRST_COMPLETED)
                    if not shell.ended.done():
                        connection.abort()
                        raise _Lost(f"{self.machine} has booted anew")
                finally:
                    booted.cancel()
                if shell.signal:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(connection.wait_closed(), _GOING)
                        raise _Lost(f"the connection to {self.machine} was lost")
                    return f"the shell was ended by SIG{shell.signal}"
                if shell.status is None:
                    raise _Lost(f"the connection to {self.machine} was lost")
                return "the shell has ended" + (f" with status {shell.status}" if shell.status else "")
        except ConsoleError as error:
            if self._channel is None:
                raise
            raise _Lost(error.message) from error

    async def _booted(self, said: int) -> None:
        """Return once the machine says on its serial port that its sshd started again.

        A machine that is reset does not say goodbye, and its connection would only be given up after a minute.
        """
        while True:
            await asyncio.sleep(_LOOK)
            if await perform(_announced_since, self.machine, said):
                return

    async def _ask(self, path: Path) -> str:
        """Ask for a key's passphrase, above the app."""
        from thanos_tui.tui.dialogs import Prompt

        question = f"Passphrase for {path}"
        passphrase = await self.view.app.push_screen_wait(
            Prompt(question, explanation=f"{self.machine} takes this key.", secret=True)
        )
        if passphrase is None:
            raise ConsoleError(f"the key {path} was not unlocked", hint=f"let your ssh-agent hold it: ssh-add {path}")
        return passphrase

    # What the terminal has to say

    def _send(self, data: bytes) -> None:
        if self._channel is not None:
            with suppress(OSError):  # it is being closed
                self._channel.write(data)

    def resize(self, columns: int, rows: int) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.change_terminal_size(columns, rows)

    def drained(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def received(self, data: bytes) -> None:
        self.view.feed(data)
        if self.view.backlog > PAUSE and self._channel is not None:
            self._channel.pause_reading()

    def close(self) -> None:
        self._reporter.cancel()


class _Lost(Exception):
    """The session ended without its shell; the machine may come back."""


def _stopped(machine: Machine) -> ThanosError:
    note = f": {machine.note}" if machine.note else ""
    return MachineError(f"{machine.name} does not run{note}", hint="start it again on the Machine pane")


def _load() -> tuple[Any, Any]:
    """What needs asyncssh, which takes a moment to import: so this is called in a thread."""
    import asyncssh

    from thanos_tui.console import connect

    class Shell(asyncssh.SSHClientSession[bytes]):
        """The remote shell's side of a session."""

        def __init__(self, session: SshSession) -> None:
            self._session = session
            self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.status: int | None = None
            self.signal = ""

        def data_received(self, data: bytes, _datatype: asyncssh.DataType) -> None:
            self._session.received(data)

        def exit_status_received(self, status: int) -> None:
            self.status = status

        def exit_signal_received(self, signal: str, _dumped: bool, _said: str, _language: str) -> None:
            self.signal = signal

        def connection_lost(self, _error: Exception | None) -> None:
            if not self.ended.done():
                self.ended.set_result(None)

    return connect, Shell


def _serial_size(name: str) -> int:
    from thanos_tui import vm

    return vm.serial_position(vm.find(name))


def _announced_since(name: str, position: int) -> bool:
    """Whether the machine's sshd said its host key on the serial port after that position: it does at each boot."""
    from thanos_tui import vm
    from thanos_tui.console import learn

    return learn(vm.serial_since(vm.find(name), position).decode(errors="replace")) is not None
