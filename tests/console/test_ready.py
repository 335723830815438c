"""Waiting for a machine that boots."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from waiting import LIMIT

from thanos_tui.console import Target, wait_ready
from thanos_tui.errors import ConsoleError, Interrupted, MachineError
from thanos_tui.events import Event, LogLine, Reporter, StepFinished

ANY_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC1WNaibhXExpKCeMOlN7xSgNJvsMD7eo5T+qlbYLlu"


@pytest.fixture
def listener(port: int) -> Iterator[Callable[..., Target]]:
    """Serves each connection with a function; nobody listens before ``after`` is set."""
    stopped = threading.Event()
    threads: list[threading.Thread] = []

    def start(serve: Callable[[socket.socket], None], after: threading.Event | None = None) -> Target:
        def accept() -> None:
            if after is not None:
                after.wait(LIMIT)
            with socket.create_server(("127.0.0.1", port)) as listening:
                ready.set()
                listening.settimeout(0.05)
                while not stopped.is_set():
                    try:
                        connection, _ = listening.accept()
                    except TimeoutError:
                        continue
                    open_connections.append(connection)
                    serve(connection)

        ready = threading.Event()
        threads.append(threading.Thread(target=accept))
        threads[-1].start()
        if after is None:
            ready.wait()
        return Target("127.0.0.1", port, ANY_KEY, name="m1")

    open_connections: list[socket.socket] = []
    yield start
    stopped.set()
    for thread in threads:
        thread.join()
    for connection in open_connections:
        connection.close()


def greet(connection: socket.socket) -> None:
    connection.sendall(b"Some notice\r\nSSH-2.0-OpenSSH_9.2p1\r\n")


def test_a_machine_that_listens_only_later(listener):
    events: list[Event] = []
    refused = threading.Event()

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, LogLine):
            refused.set()

    wait_ready(listener(greet, after=refused), LIMIT, Reporter(listen))
    assert [event.text for event in events if isinstance(event, LogLine)] == ["connection refused"]
    assert [event.note for event in events if isinstance(event, StepFinished)] == ["OpenSSH_9.2p1"]


def test_connections_that_are_closed_at_once_are_tried_again(listener):
    count = 0

    def serve(connection: socket.socket) -> None:
        nonlocal count
        count += 1
        if count > 2:
            greet(connection)
        else:
            connection.close()

    wait_ready(listener(serve), LIMIT, Reporter())
    assert count == 3


def test_an_open_port_is_no_answer(listener):
    with pytest.raises(ConsoleError, match=r"within 1 s: the port is open, but nobody speaks SSH") as caught:
        wait_ready(listener(lambda _: None), 1, Reporter())
    assert "thanos-tui logs m1" in str(caught.value.hint)


def test_something_else_on_the_port_is_shown_harmlessly(listener):
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"\x1b]0;owned\x07HTTP/1.1 400\r\n")
        connection.shutdown(socket.SHUT_WR)

    with pytest.raises(ConsoleError, match="not with SSH") as caught:
        wait_ready(listener(serve), 0.6, Reporter())
    assert "\x1b" not in str(caught.value)


def test_nobody_listens(port):
    with pytest.raises(ConsoleError, match="did not answer over SSH within 1 s: connection refused"):
        wait_ready(Target("127.0.0.1", port, ANY_KEY), 0.6, Reporter())


def test_a_host_that_is_not_there():
    with pytest.raises(ConsoleError, match=r"cannot find the host no-such-host\.invalid"):
        wait_ready(Target("no-such-host.invalid", 22, ANY_KEY), 30, Reporter())


def test_a_machine_that_dies_is_not_waited_for(listener):
    looks = iter([True, True, True])
    with pytest.raises(MachineError, match=r"m1 .* stopped before"):
        wait_ready(listener(lambda _: None), 600, Reporter(), lambda: next(looks, False))


def test_the_user_can_stop_waiting(listener):
    reporter = Reporter()
    threading.Timer(0.4, reporter.cancel).start()
    with pytest.raises(Interrupted):
        wait_ready(listener(lambda _: None), 600, reporter)
