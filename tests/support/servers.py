"""Servers to talk to over SSH (asyncssh in this process, OpenSSH's sshd on loopback), and a home without keys.

A conftest that wants these fixtures imports them.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from thanos_tui import keys
from thanos_tui.console import Target, wait_ready
from thanos_tui.errors import ThanosError
from thanos_tui.events import Reporter


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: no keys, no agent, no state but the test's own."""
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for variable in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return directory


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    keys.generate(path, "the user's")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


class InProcess:
    """An asyncssh server in a thread of its own."""

    def __init__(self, identity: Path, host_key: Path) -> None:
        self.identity = identity
        self.host_key = host_key
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.listeners: list[asyncssh.SSHAcceptor] = []
        self.connections: list[asyncssh.SSHServerConnection] = []

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def start(
        self,
        process: Any = None,
        sftp: Any = None,
        port: int = 0,
        sockets: Mapping[str, Path] | None = None,
        **options: Any,
    ) -> Target:
        """Serve, and say whom to connect to. sockets: which are there, and where they really are; None allows none."""
        outer = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
                self.connection = connection
                outer.connections.append(connection)

            def unix_connection_requested(self, dest_path: str) -> Any:
                if sockets is None:
                    # As OpenSSH says it with AllowStreamLocalForwarding no.
                    raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
                real = sockets.get(dest_path)
                return self.connection.forward_unix_connection(str(real)) if real else False

        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1",
                port,
                server_factory=Server,
                server_host_keys=[str(self.host_key)],
                authorized_client_keys=asyncssh.import_authorized_keys(keys.public_line(self.identity)),
                process_factory=process,
                sftp_factory=sftp,
                encoding=None,
                **options,
            )

        listener = self.call(listen())
        self.listeners.append(listener)
        return Target(
            "127.0.0.1", listener.get_port(), keys.public_line(self.host_key), identities=(self.identity,), name="m1"
        )

    def cut(self, reset: bool = False) -> None:
        """Drop every connection, as a machine that is killed does; ``reset``: as a network that forgot it does."""
        for connection in self.connections:
            if reset:
                linger = struct.pack("ii", 1, 0)  # closing sends RST then, not FIN (socket(7))
                connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.loop.call_soon_threadsafe(connection.abort)

    def stop(self) -> None:
        async def end() -> None:
            for listener in self.listeners:
                listener.close()
            for connection in self.connections:
                connection.abort()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def server(tmp_path: Path, identity: Path) -> Iterator[InProcess]:
    keys.generate(tmp_path / "host", "")
    serving = InProcess(identity, tmp_path / "host")
    yield serving
    serving.stop()


class OpenSSH:
    """OpenSSH's own server as this user, on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authorized = directory / "authorized_keys"
        self.port = free_port()
        keys.generate(directory / "host", "")
        keys.generate(directory / "login", "")
        # A second kind of key: the client must ask for the one it knows.
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", directory / "host-ecdsa"], check=True)
        self.authorized.write_text(keys.public_line(directory / "login") + "\n")
        (directory / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host-ecdsa\nHostKey {directory}/host\n"
            f"AuthorizedKeysFile {self.authorized}\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel ERROR\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
            "PermitRootLogin prohibit-password\n"
        )
        if b"persourcepenaltyexemptlist" in Path("/usr/sbin/sshd").read_bytes():
            # OpenSSH 9.8 and later: the tests' failed logins must not shut this host out.
            with (directory / "config").open("a") as config:
                config.write("PerSourcePenalties no\n")
        self.log = (directory / "log").open("wb")
        self.process = subprocess.Popen(
            [str(shutil.which("sshd", path="/usr/sbin")), "-D", "-e", "-f", directory / "config"], stderr=self.log
        )
        self.target = Target(
            "127.0.0.1",
            self.port,
            keys.public_line(directory / "host"),
            user=getpass.getuser(),
            identities=(directory / "login",),
            name="m1",
        )

    def descendants(self) -> list[int]:
        """Every process of every session."""
        found: list[int] = []
        pending = [self.process.pid]
        while pending:
            pid = pending.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            found += map(int, children)
            pending += map(int, children)
        return found

    def stop(self) -> None:
        for pid in self.descendants():
            with_signal(pid, 9)
        self.process.kill()
        self.process.wait()
        self.log.close()


def with_signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.fixture(scope="session")
def openssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSSH]:
    if not Path("/usr/sbin/sshd").exists() or not shutil.which("ssh-keygen"):
        pytest.skip("OpenSSH's server is not installed (apt-get install openssh-server)")
    # What the package's service makes at its start, and sshd wants when it runs as root.
    separation = Path("/run/sshd")
    made = os.geteuid() == 0 and not separation.exists()
    if made:
        separation.mkdir(mode=0o755)
    running = OpenSSH(tmp_path_factory.mktemp("sshd"))
    try:
        try:
            wait_ready(running.target, 10, Reporter(), lambda: running.process.poll() is None)
        except ThanosError as error:
            pytest.skip(f"sshd does not run here: {error} {(running.directory / 'log').read_text()}")
        yield running
    finally:
        running.stop()
        if made:
            separation.rmdir()
