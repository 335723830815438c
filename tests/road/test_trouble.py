"""Machines that fail, and what is said and left behind; and the smallest profile, from its serial port."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from road import THANOS, Road
from serialports import SerialPort
from waiting import LIMIT, eventually

from thanos_tui import vm
from thanos_tui.files import assets_dir

pytestmark = [pytest.mark.boot, pytest.mark.network]

TOO_LITTLE = "200"  # MiB: the kernel starts, and there is no room for what it unpacks
PASSWORD = "sesame"  # noqa: S105
# `openssl passwd -6` of it.
HASH = "$6$thanos$C/rieC8CUHayhr3nbuHoKFKZkiQzpaPsx2SbJ9vO6EtlOLphNjSap0ctiIGEnKLXvyRwxEEOzdeiIBzxDjuTX."
SETTINGS = (
    "sshd.generate-key=true",
    "network=static",
    "network.addresses=10.0.2.15/24",
    "network.gateways=10.0.2.2",
    "network.dns=10.0.2.3",
    "network.search=example.org",
)


@pytest.fixture(scope="module")
def image(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel of the shipped minimal profile, here with a stated address and a password on the consoles."""
    directory = tmp_path_factory.mktemp("minimal")
    (directory / "hash").write_text(f"{HASH}\n")
    profile = directory / "minimal.thanos"
    profile.write_bytes((assets_dir().parent / "profiles/minimal.thanos").read_bytes())
    words = [word for setting in (*SETTINGS, f"getty.password={directory}/hash") for word in ("--set", setting)]
    road.run("--replay", profile, *words, "--output", directory)
    return directory / "minimal-kernel"


@contextmanager
def _running(road: Road, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program in the background, killed at the end if it still runs."""
    process = subprocess.Popen(
        [THANOS, *map(str, words)],
        env=road.environment,
        cwd=road.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _state(road: Road, name: str) -> dict[str, Any]:
    """What ``ps`` tells of a machine; nothing before there is one."""
    found: list[dict[str, Any]] = json.loads(road.out("ps", "--json"))
    return next((each for each in found if each["name"] == name), {})


def _ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_machine_that_dies_shows_its_last_lines(road: Road, image: Path) -> None:
    words = ("--detach", "--memory", TOO_LITTLE)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        refused = road.run("run", image, "--ssh-port", str(taken), *words, check=False)
        assert refused.returncode == 3
        assert f"port {taken}/tcp" in refused.stderr.decode()
        assert b"taken" in refused.stderr
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 1234))
            holder.listen()
            held = True
        except OSError:
            held = False  # a machine of another test has it, and may leave it at any time
        started = road.run("run", image, "--machine", "doomed", *words)
    port = _state(road, "doomed")["ssh_port"]
    assert not held or port != 1234
    assert f"port {port}" in started.stderr.decode()

    with _running(road, "logs", "--follow", "doomed") as follower:
        for words in (("exec", "doomed", "--", "true"), ("console", "doomed")):
            failed = road.run(*words, check=False)
            assert failed.returncode == 1
            said = failed.stderr.decode()
            assert "panicked: System is deadlocked on memory" in said
            assert "--memory" in said
            assert "] Kernel panic - not syncing" in said
            assert "Call Trace" not in said
        assert "quit" in road.run("stop", "doomed", "--timeout", "0").stderr.decode()
        output, _ = follower.communicate(timeout=LIMIT)
        assert follower.returncode == 0
    assert b"Kernel panic" in output
    assert _state(road, "doomed")["state"] == "stopped"


def test_a_machine_whose_qemu_is_killed_is_not_waited_for(road: Road, image: Path) -> None:
    road.run("run", image, "--detach", "--machine", "shot")
    with _running(road, "exec", "shot", "--", "true") as waiting:
        os.kill(_state(road, "shot")["pid"], signal.SIGKILL)
        _, said = waiting.communicate(timeout=LIMIT)
        assert waiting.returncode == 1
    assert b"machine shot does not run: QEMU was killed by signal 9" in said
    assert _state(road, "shot")["state"] == "crashed"


def test_a_killed_parent_leaves_no_machine(road: Road, image: Path) -> None:
    for _ in range(2):  # the second time in the directory that the first has left
        with _running(road, "run", image, "--machine", "orphan") as parent:
            eventually(lambda: _state(road, "orphan").get("state") == "running", pause=0.2)
            pid = _state(road, "orphan")["pid"]
            parent.kill()
            parent.wait()
        eventually(lambda pid=pid: _ended(pid), pause=0.2)
        eventually(lambda: _state(road, "orphan")["state"] != "running", pause=0.2)
    road.run("rm", "orphan")
    assert _state(road, "orphan") == {}


def test_ctrl_c_ends_an_attached_machine(road: Road, image: Path) -> None:
    with _running(road, "run", image, "--machine", "brief") as parent:
        eventually(lambda: _state(road, "brief").get("state") == "running", pause=0.2)
        pid = _state(road, "brief")["pid"]
        parent.send_signal(signal.SIGINT)
        _, said = parent.communicate(timeout=LIMIT)
    assert parent.returncode == 130
    assert b"Traceback" not in said
    assert _ended(pid)


def test_the_smallest_profile_with_a_stated_address(road: Road, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(road.home / "state"))
    with _running(road, "run", image, "--machine", "minimal") as parent:
        eventually(lambda: _state(road, "minimal").get("state") == "running", pause=0.2)
        assert _state(road, "minimal")["memory_mib"] == 512
        # By SSH, at the address that was stated.
        assert "inet 10.0.2.15/24" in road.guest("minimal", "ip", "-4", "addr", "show", "dev", "eth0")
        assert "default via 10.0.2.2 dev eth0" in road.guest("minimal", "ip", "route")
        resolver = road.guest("minimal", "cat", "/etc/resolv.conf")
        assert resolver.splitlines() == ["search example.org", "nameserver 10.0.2.3"]
        tasks = road.guest("minimal", "ctr", "-n", "services.linuxkit", "task", "ls").splitlines()[1:]
        assert {line.split()[0]: line.split()[2] for line in tasks} == {"getty": "RUNNING", "sshd": "RUNNING"}
        # By the serial port: the password is asked for, a wrong one refused, and the shell is the machine's own.
        terminal = SerialPort(vm.open_serial(vm.find("minimal")))
        terminal.expect(rb"login: ", knock=b"\r")
        for password, answer in (("wrong", rb"incorrect[\s\S]*login: "), (PASSWORD, rb"# ")):
            terminal.type(b"root\r")
            terminal.expect(rb"Password: ")
            time.sleep(5)  # what comes while it turns the echo off is thrown away
            terminal.type(f"{password}\r".encode())
            terminal.expect(answer)
        terminal.type(b"echo sum=$((40+2)) on $(hostname)\r")
        terminal.expect(rb"sum=42 on thanos\r")
        terminal.type(b"poweroff\r")
        output, _ = parent.communicate(timeout=120)
    assert parent.returncode == 0
    assert b"Welcome to ThanOS" in output
    assert b"reboot: Power down" in output
    assert not re.search(rb"thanos: .*fail|not ended within|rror", output)
    assert _state(road, "minimal")["state"] == "stopped"
