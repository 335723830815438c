"""A machine to log in to that is none: its directory is real, its sshd is asyncssh in the app's own event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from records import RECORD
from textual.pilot import Pilot
from waiting import until

from thanos_tui import keys
from thanos_tui.editing.document import Document
from thanos_tui.tui.app import ThanosApp
from thanos_tui.tui.terminal.pane import ConsolePane
from thanos_tui.tui.terminal.tabs import SessionLine
from thanos_tui.tui.terminal.widget import TerminalView
from thanos_tui.vm.ports import Forward
from thanos_tui.vm.registry import claim, write_record


class Guest:
    """The machine ``m1``: runs from its making to :meth:`stop`, answers over SSH from :meth:`listen` to :meth:`drop`.

    Its shell echoes what it gets as hexadecimal digits, but for these lines: ``exit N``, ``kill`` (the shell, by
    SIGTERM), ``say TEXT`` (escapes as in Python), ``flood N`` (so many lines).
    """

    def __init__(self, identity: Path) -> None:
        self.identity = identity
        self.directory, self._lock = claim("m1", unique=False)
        self.host_key = keys.generate(self.directory / "ssh_host_ed25519_key", "")
        self.port = 0
        self.sizes: list[tuple[int, ...]] = []
        self.terms: list[str | None] = []
        self.shells = 0
        self.received = b""
        self._listener: asyncssh.SSHAcceptor | None = None
        self._connections: list[asyncssh.SSHServerConnection] = []
        self.record(1)

    def record(self, port: int, host_key: str = "") -> None:
        self.port = port
        record = replace(
            RECORD, name="m1", boot={"kernel": "/none/kernel"}, forwards=(Forward(port, 22),), vnc_port=None
        )
        write_record(self.directory, replace(record, host_key=host_key or self.host_key))

    async def listen(self) -> None:
        guest = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
                guest._connections.append(connection)

        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port if self.port > 1 else 0,
            server_factory=Server,
            server_host_keys=[str(self.directory / "ssh_host_ed25519_key")],
            authorized_client_keys=asyncssh.import_authorized_keys(keys.public_line(self.identity)),
            process_factory=self._shell,
            encoding=None,
            line_editor=False,
        )
        self.record(self._listener.get_port())

    async def _shell(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.shells += 1
        self.terms.append(process.term_type)
        self.sizes.append(process.term_size[:2])
        process.stdout.write(b"shell %d> " % self.shells)
        line = b""
        while True:
            try:
                data = await process.stdin.read(1 << 12)
            except asyncssh.TerminalSizeChanged as change:
                self.sizes.append((change.width, change.height))
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not data:
                return
            self.received += data
            line += data
            process.stdout.write(b"<%s>" % data.hex().encode())
            if not line.endswith(b"\r"):
                continue
            word, _, rest = line[:-1].decode("latin-1").partition(" ")
            line = b""
            process.stdout.write(b"\r\n")
            if word == "exit":
                process.exit(int(rest or 0))
                return
            if word == "kill":
                process.exit_with_signal("TERM")
                return
            if word == "say":
                process.stdout.write(rest.encode("latin-1").decode("unicode_escape").encode())
            if word == "flood":
                process.stdout.write(b"".join(b"line %d\r\n" % number for number in range(int(rest))))

    async def drop(self) -> None:
        """Go down: no port, no connections."""
        if self._listener is not None:
            self._listener.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        await asyncio.sleep(0)

    def say(self, data: bytes) -> None:
        """Say something on the serial port."""
        with (self.directory / "serial.log").open("ab") as log:
            log.write(data)

    def stop(self) -> None:
        """End, as when it powered off."""
        if self._lock >= 0:
            (self.directory / "exit.json").write_text('{"status": 0, "why": ""}')
            os.close(self._lock)
            self._lock = -1


@pytest.fixture
def guest(home: Path) -> Iterator[Guest]:
    identity = home / ".ssh" / "id_ed25519"
    (home / ".ssh" / "id_ed25519.pub").unlink()
    keys.generate(identity, "the user's")
    machine = Guest(identity)
    yield machine
    machine.stop()


@dataclass
class Console:
    """A script's hands on the console pane of an app."""

    pilot: Pilot[Any]
    pane: ConsolePane
    copied: list[str] = field(default_factory=list)

    @property
    def app(self) -> ThanosApp:
        app = self.pilot.app
        assert isinstance(app, ThanosApp)
        return app

    @property
    def view(self) -> TerminalView:
        tab = self.pane._current
        assert tab is not None
        return tab.view

    @property
    def labels(self) -> list[str]:
        return [label.title for label in self.pane.query_one(SessionLine).labels]

    @property
    def phase(self) -> str:
        tab = self.pane._current
        return tab.session.state.phase if tab else ""

    def text(self) -> str:
        return "\n".join(self.view.emulator.texts())

    async def until(self, condition: Callable[[], object], what: str = "it") -> None:
        await self.pilot.pause()
        await until(self.pilot, condition, tell=lambda: f"{what}; {self.text() if self.pane._current else self.labels}")

    async def shows(self, text: str) -> None:
        await self.until(lambda: self.pane._current and text in self.text(), text)

    async def type(self, text: str) -> None:
        """Type a line, Enter included, and let it arrive."""
        await self.pilot.press(*("space" if character == " " else character for character in text), "enter")

    async def connected(self) -> None:
        await self.until(lambda: self.phase == "connected", "the connection")
        await self.shows(">")


@pytest.fixture
def console(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run ``await script(console)`` in the app with its console pane shown: ``console(script, size=(80, 24))``."""

    def run(script: Callable[[Console], Any], size: tuple[int, int] = (80, 24)) -> None:
        async def main() -> None:
            app = ThanosApp(Document.new())
            async with app.run_test(size=size) as pilot:
                pane = await app.show("console")
                await pilot.pause()
                hands = Console(pilot, pane)
                monkeypatch.setattr(app, "copy", lambda text, _what: hands.copied.append(text))
                await script(hands)

        asyncio.run(main())

    return run
