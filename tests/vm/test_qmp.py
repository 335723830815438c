"""The monitor's client against servers that misbehave."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thanos_tui.errors import MachineError
from thanos_tui.vm.qmp import connect, monitor

GREETING = (
    b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}, "package": ""}, "capabilities": []}}\r\n'
)
Serve = Callable[[Callable[[socket.socket], None]], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Runs a server for one client behind a path that no socket address could hold."""
    directory = tmp_path / ("a" * 100) / ("long, path" * 10)
    directory.mkdir(parents=True)
    server = socket.socket(socket.AF_UNIX)
    opened = os.open(directory, os.O_PATH)
    server.bind(f"/proc/self/fd/{opened}/qmp.sock")
    os.close(opened)
    server.listen()
    threads = []

    def begin(behave: Callable[[socket.socket], None]) -> Path:
        def run() -> None:
            client, _ = server.accept()
            with client:
                behave(client)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return directory

    yield begin
    server.close()
    for thread in threads:
        thread.join(5)


def answer(client: socket.socket, *replies: bytes) -> None:
    """Greet, accept the capabilities, then give one reply per command, with the command's id for ID."""
    client.sendall(GREETING)
    stream = client.makefile("rb")
    for reply in (b'{"return": {}, "id": ID}\n', *replies):
        identity = json.loads(stream.readline())["id"]
        client.sendall(reply.replace(b"ID", str(identity).encode()))
    stream.read()


def test_answers_are_told_from_events_and_from_older_answers(serve: Serve) -> None:
    event = b'{"event": "RESET", "timestamp": {}}\n{"return": "stale", "id": 1}\n'
    directory = serve(lambda client: answer(client, event + b'{"return": {"status": "running"}, "id": ID}\n'))
    with monitor(directory) as qmp:
        assert qmp.version == (7, 2, 1)
        assert qmp.execute("query-status") == {"status": "running"}


def test_refusals_carry_the_reason(serve: Serve) -> None:
    directory = serve(lambda client: answer(client, b'{"error": {"class": "X", "desc": "not today"}, "id": ID}\n'))
    with monitor(directory) as qmp, pytest.raises(MachineError, match="refused quit: not today"):
        qmp.execute("quit")


def test_silence_ends_with_the_time_limit(serve: Serve) -> None:
    directory = serve(lambda client: answer(client, b""))
    with monitor(directory) as qmp, pytest.raises(MachineError, match="did not answer"):
        qmp.execute("query-status", timeout=0.1)


def test_hanging_up_is_told(serve: Serve) -> None:
    def hang_up(client: socket.socket) -> None:
        client.sendall(GREETING)
        client.recv(4096)

    with pytest.raises(MachineError, match="hung up"), monitor(serve(hang_up)):
        pass


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n", b"[]\n", b'{"QMP": {}}\n', b"\xff\xfe\n"])
def test_what_is_not_qemu_is_recognised(serve: Serve, noise: bytes) -> None:
    with pytest.raises(MachineError, match="not QEMU"), monitor(serve(lambda client: client.sendall(noise))):
        pass


def test_nobody_listening_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no QEMU listens"), monitor(tmp_path):
        pass


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(OSError, match="No such file"):
        connect(tmp_path, "none.sock", 1)
    assert set(Path("/proc/self/fd").iterdir()) == before
