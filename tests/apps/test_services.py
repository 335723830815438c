"""The services of stark, as they are asked for over SSH; that stark says them so is for tests/stark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engines import NO_STARK, serve
from servers import InProcess

from thanos_tui import apps, cli, console
from thanos_tui.apps import Service
from thanos_tui.console import Target
from thanos_tui.errors import InputError, MachineError

DOCKER = {"name": "docker", "state": "ready", "pid": 71, "seconds": 125, "restarts": 0, "note": ""}
ALSA = {"name": "alsa", "state": "waiting", "pid": None, "seconds": 3, "restarts": 2, "note": "no sound card"}


def said(*entries: Any) -> tuple[int, bytes, bytes]:
    return 0, json.dumps(entries).encode(), b""


def ask(target: Target) -> tuple[Service, ...]:
    return apps.services(target, lambda argv: console.capture(target, argv, timeout=60))


def test_services_are_as_stark_says(server: InProcess, tmp_path: Path) -> None:
    target = serve(server, {}, tmp_path / "machine", lambda: said(DOCKER, {**ALSA, "note": "a\x1b[2J\n"}))
    docker, alsa = ask(target)
    assert docker == Service("docker", "ready", 71, 125, 0, "")
    assert alsa == Service("alsa", "waiting", None, 3, 2, "a\\x1b[2J\\n")


def test_a_machine_without_stark(server: InProcess, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="built without stark") as caught:
        ask(serve(server, {}, tmp_path / "machine", lambda: NO_STARK))
    assert "stark=y" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((1, b"", b"ctr: cannot exec in a stopped state"), "does not say how its services are: ctr: cannot exec"),
        ((0, b"", b""), "cannot be read"),
        ((0, b"[1]", b""), "cannot be read"),
        ((0, b"7", b""), "cannot be read"),
        ((0, b'[{"name": "docker"}]', b""), "cannot be read"),
        (said({**DOCKER, "seconds": "x"}), "cannot be read"),
    ],
)
def test_a_stark_that_does_not_say_is_told_of(
    server: InProcess, tmp_path: Path, answer: tuple[int, bytes, bytes], message: str
) -> None:
    with pytest.raises(MachineError, match=message):
        ask(serve(server, {}, tmp_path / "machine", lambda: answer))


def test_the_command(server: InProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = serve(server, {}, tmp_path / "machine", lambda: said(DOCKER, ALSA))
    words = [f"{machine.host}:{machine.port}", "--host-key", machine.host_key, "-i", str(machine.identities[0])]
    assert cli.main(["status", *words]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["SERVICE", "STATE", "SINCE", "RESTARTS", "NOTE"],
        ["docker", "ready", "2", "min", "0"],
        ["alsa", "waiting", "3", "s", "2", "no", "sound", "card"],
    ]
    assert cli.main(["status", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out) == [DOCKER, ALSA]
