from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from thanos_tui.errors import HostError, InputError
from thanos_tui.vm import ports
from thanos_tui.vm.ports import Forward, parse_forward


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("8080:80", Forward(8080, 80)),
        (" 1:65535 ", Forward(1, 65535)),
        ("8080:80/tcp", Forward(8080, 80)),
        ("53:53/udp", Forward(53, 53, "udp")),
    ],
)
def test_forwards_are_read(text: str, forward: Forward) -> None:
    assert parse_forward(text) == forward
    assert parse_forward(str(forward)) == forward


@pytest.mark.parametrize(
    "text", ["", "80", "80:", ":80", "0:80", "80:65536", "a:b", "80:80/sctp", "1:2:3", "-1:2", "٣:٤"]
)
def test_what_is_no_forward_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no port forward"):
        parse_forward(text)


def test_a_taken_port_is_refused_with_the_name_of_its_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(HostError, match=rf"port {port}/tcp on 127.0.0.1 is taken by .* \(process {os.getpid()}\)"):
        ports.check_free(port)


def test_a_taken_udp_port_is_refused_too() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(HostError, match=f"process {os.getpid()}"):
            ports.check_free(server.getsockname()[1], "udp")


def test_the_preferred_port_is_chosen_else_the_next_one(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    chosen = ports.choose(port)
    assert chosen != port
    ports.check_free(chosen)
    assert ports.choose(chosen) == chosen
    assert ports.choose(chosen, {chosen}) != chosen


def test_a_port_that_a_listener_on_every_address_has_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.raises(HostError, match="taken"):  # noqa: S104
        ports.check_free(server.getsockname()[1])


def test_the_end_of_the_range_is_no_dead_end() -> None:
    with socket.socket() as last:
        try:
            last.bind(("127.0.0.1", 65535))
            last.listen()
        except OSError:
            pytest.skip("port 65535 is in use")
        assert ports.choose(65535) not in (0, 65535)
