"""Reaching a machine's Docker: waited for, missed, lost, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from engines import Dockerd, running, serve
from servers import InProcess

from thanos_tui import apps
from thanos_tui.apps import connected
from thanos_tui.apps.engine import SOCKET
from thanos_tui.console import Target
from thanos_tui.errors import ConsoleError, InputError, MachineError, ThanosError
from thanos_tui.events import Event, Reporter, StepFinished, StepStarted


def test_a_machine_without_stark(server: InProcess, tmp_path: Path) -> None:
    machine = serve(server, {}, tmp_path / "machine")
    shutil.rmtree(tmp_path / "machine/containers/services/stark")
    with pytest.raises(InputError) as caught, connected(machine, Reporter()):
        pytest.fail("it has no Docker")
    assert caught.value.message.endswith("runs no Docker: it was built without stark")
    assert "stark=y" in str(caught.value.hint)


def test_docker_that_comes_late_is_waited_for(server: InProcess, dockerd: Dockerd, tmp_path: Path) -> None:
    sockets: dict[str, Path] = {}
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, StepStarted):
            sockets[SOCKET] = dockerd.socket

    with connected(serve(server, sockets, tmp_path / "machine"), Reporter(listen)) as engine:
        assert engine.arch == "amd64"
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert [(event.step, event.ok) for event in finished] == [("apps/ready", True)]


def test_docker_that_does_not_come_is_given_up(server: InProcess, tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError) as caught,
        connected(serve(server, {}, tmp_path / "machine"), Reporter(), timeout=0.1),
    ):
        pytest.fail("it has no Docker")
    assert "did not answer within 0 s" in caught.value.message
    assert "/var/log/stark.log" in str(caught.value.hint)


def test_waiting_can_be_cancelled(server: InProcess, tmp_path: Path) -> None:
    reporter = Reporter(lambda event: reporter.cancel() if isinstance(event, StepStarted) else None)
    with pytest.raises(ThanosError, match="interrupted"), connected(serve(server, {}, tmp_path / "machine"), reporter):
        pytest.fail("it has no Docker")


def test_the_connection_is_lost(machine: Target, server: InProcess) -> None:
    with connected(machine, Reporter()) as engine:
        server.cut()
        with pytest.raises(ConsoleError, match=r"the connection to m1 .* was lost"):
            apps.apps(engine)


def test_docker_ends(server: InProcess, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running(tmp_path_factory.mktemp("ending"), 16) as ending,
        connected(serve(server, {SOCKET: ending.socket}, tmp_path / "machine"), Reporter()) as engine,
    ):
        assert apps.apps(engine) == ()
        ending.process.terminate()
        ending.process.wait()
        with pytest.raises(MachineError, match=r"Docker on m1 .* ended in the middle"):
            apps.apps(engine)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", MachineError, "Docker's disk on m1"),
        (
            "driver failed programming external connectivity on endpoint demo (0f): "
            "Bind for 127.0.0.1:80 failed: port is already allocated",
            InputError,
            "something listens on 127.0.0.1:80 of m1",
        ),
        (
            "Error starting userland proxy: listen tcp4 127.0.0.1:22: bind: address already in use",
            InputError,
            "something listens on 127.0.0.1:22 of m1",
        ),
        (
            'OCI runtime create failed: runc create failed: exec: "/etc/passwd": permission denied: unknown',
            InputError,
            "the image has no program '/etc/passwd' that could be run",
        ),
        ("something new\x1b[2J", MachineError, r"refuses: something new\\x1b\[2J"),
    ],
)
def test_what_docker_refuses(machine: Target, said: str, kind: type[ThanosError], message: str) -> None:
    with connected(machine, Reporter()) as engine:
        refused = engine.refused(said, 500)
    assert type(refused) is kind
    with pytest.raises(kind, match=message):
        raise refused
