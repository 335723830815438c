"""Tunnels: a socket of the machine, brought here without a port, and what happens when either end goes away."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from servers import InProcess, OpenSSH
from waiting import LIMIT, eventually

from thanos_tui.console import tunnel
from thanos_tui.errors import ConsoleError, HostError, Interrupted
from thanos_tui.events import Reporter


class Echo:
    """A socket that gives back what it gets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # the thread that accepts would keep it open
        self.listener.close()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    listening = Echo(tmp_path / "echo")
    yield listening
    listening.close()


def talk(path: Path, data: bytes) -> bytes:
    """Send all of it while reading what comes back, until the other side hangs up.

    Who hangs up before it has read everything is told of as a broken connection, or not, as it happens.
    """
    answer = b""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))

        def send() -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        with suppress(ConnectionResetError):
            while got := client.recv(65536):
                answer += got
        sender.join()
    return answer


def test_bytes_go_through_openssh_both_ways(openssh: OpenSSH, echo: Echo) -> None:
    data = os.urandom(3 << 20)
    with tunnel(openssh.target, str(echo.path)) as way:
        assert way.answers()
        assert talk(way.path, data) == data
        assert talk(way.path, b"again") == b"again"


def test_nobody_else_gets_to_the_socket_and_it_is_gone_afterwards(openssh: OpenSSH, echo: Echo) -> None:
    with tunnel(openssh.target, str(echo.path)) as way:
        assert stat.S_IMODE(way.path.parent.stat().st_mode) == 0o700
        assert way.path.is_socket()
    assert not way.path.parent.exists()


def test_whether_somebody_listens_is_seen_again_and_again(openssh: OpenSSH, tmp_path: Path) -> None:
    with tunnel(openssh.target, str(tmp_path / "late")) as way:
        assert not way.answers()
        assert talk(way.path, b"nobody is there") == b""
        late = Echo(tmp_path / "late")
        assert way.answers()
        assert talk(way.path, b"now") == b"now"
        late.close()
        assert not way.answers()


def test_files_of_the_machine_are_seen(openssh: OpenSSH, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with tunnel(openssh.target, "/nowhere") as way:
        assert way.exists(str(tmp_path / "there"))
        assert not way.exists(str(tmp_path / "not there"))


def test_commands_run_beside_the_socket(openssh: OpenSSH, echo: Echo) -> None:
    with tunnel(openssh.target, str(echo.path)) as way:
        done = way.run(["sh", "-c", 'printf "%s" "$1"; echo oh >&2; exit 3', "-", "a  b"], Reporter(), 60)
        assert (done.status, done.stdout, done.stderr) == (3, b"a  b", b"oh\n")
        assert talk(way.path, b"still") == b"still"
        with pytest.raises(ConsoleError, match="sleep 600 did not end within 1 s"):
            way.run(["sleep", "600"], Reporter(), 1)
        given_up = Reporter()
        threading.Timer(0.3, given_up.cancel).start()
        with pytest.raises(Interrupted):
            way.run(["sleep", "600"], given_up, 600)
        assert talk(way.path, b"still") == b"still"


def test_a_command_whose_connection_is_lost(server: InProcess) -> None:
    with tunnel(server.start(lambda _process: None), "/nowhere") as way:
        threading.Timer(0.3, server.cut).start()
        with pytest.raises(ConsoleError, match="was lost"):
            way.run(["anything"], Reporter(), 600)
        with pytest.raises(ConsoleError, match="was lost"):
            way.run(["anything"], Reporter(), 600)


def test_a_machine_that_forwards_no_sockets_is_named(server: InProcess) -> None:
    with tunnel(server.start(), "/run/docker.sock") as way, pytest.raises(ConsoleError) as caught:
        way.answers()
    assert "does not forward sockets" in caught.value.message
    assert "AllowStreamLocalForwarding" in str(caught.value.hint)


def test_a_machine_without_sftp_says_so(server: InProcess) -> None:
    with tunnel(server.start(), "/nowhere") as way, pytest.raises(ConsoleError, match="cannot see what"):
        way.exists("/etc")


def test_a_connection_that_is_lost_is_noticed(server: InProcess, echo: Echo) -> None:
    target = server.start(sockets={"/echo": echo.path}, sftp=asyncssh.SFTPServer)
    with tunnel(target, "/echo") as way:
        assert not way.lost()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(way.path))
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            server.cut()
            assert client.recv(1) == b""
        assert eventually(way.lost)
        for ask in (way.answers, lambda: way.exists("/")):
            with pytest.raises(ConsoleError, match="was lost"):
                ask()


def test_who_connects_while_the_connection_is_lost_is_hung_up_on(server: InProcess, echo: Echo) -> None:
    """asyncssh's own forwarding keeps some of them waiting: those it accepted at the very moment."""
    target = server.start(sockets={"/echo": echo.path})
    with tunnel(target, "/echo") as way:
        server.cut()
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(LIMIT)
                client.connect(str(way.path))
                with suppress(ConnectionError):
                    client.sendall(b"x")
                    assert client.recv(1) in (b"x", b"")
        assert way.lost()


def test_another_host_key_is_refused(server: InProcess) -> None:
    target = server.start()
    other = replace(target, host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK")
    with pytest.raises(ConsoleError, match="different host key"), tunnel(other, "/run/docker.sock"):
        pytest.fail("it was let in")


def test_a_directory_too_deep_for_a_socket_is_told_of(
    server: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(HostError) as caught, tunnel(server.start(), "/run/docker.sock"):
        pytest.fail("there is a socket")
    assert "TMPDIR" in str(caught.value.hint)
