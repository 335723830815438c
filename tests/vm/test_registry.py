"""Machines' directories: claiming, finding, removing; nothing here starts QEMU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import records

from thanos_tui.errors import HostError, InputError, MachineError
from thanos_tui.vm import registry
from thanos_tui.vm.ports import Forward
from thanos_tui.vm.processes import Process, boot_id, start_ticks

RECORD = replace(
    records.RECORD,
    name="one",
    boot={"disk": "/images/one.vhd", "format": "vpc"},
    forwards=(Forward(2222, 1234), Forward(53, 53, "udp")),
)


def make(name: str, ended: dict[str, object] | None = None) -> Path:
    """A machine's directory as it is left after its end."""
    directory, lock = registry.claim(name, unique=False)
    registry.write_record(directory, replace(RECORD, name=name))
    if ended is not None:
        (directory / "exit.json").write_text(json.dumps(ended))
    os.close(lock)
    return directory


def test_records_come_back_as_they_were_written() -> None:
    directory = make("one", {"status": 0, "why": ""})
    machine = registry.find("one")
    assert machine.record == RECORD
    assert (machine.directory, machine.ssh_port, machine.image) == (directory, 2222, "/images/one.vhd")
    json.dumps(machine.as_dict())


@pytest.mark.parametrize(
    ("ended", "state", "note"),
    [
        ({"status": 0, "why": ""}, "stopped", "powered off"),
        ({"status": -9, "why": "it was told to stop"}, "stopped", "told"),
        ({"status": 1, "why": ""}, "crashed", "status 1"),
        ({"status": -11, "why": ""}, "crashed", "signal 11"),
        ({"status": 127, "why": "cannot run /x: No such file"}, "crashed", "cannot run"),
        ({"status": None}, "crashed", "host went down"),
        (None, "crashed", "host went down"),
    ],
)
def test_how_a_machine_ended_is_told(ended: dict[str, object] | None, state: str, note: str) -> None:
    make("one", ended)
    machine = registry.find("one")
    assert machine.state == state
    assert note in machine.note


def test_while_the_lock_is_held_a_machine_lives() -> None:
    directory, lock = registry.claim("one", unique=False)
    registry.write_record(directory, RECORD)
    assert registry.find("one").state == "starting"
    own = {"pid": os.getpid(), "started": start_ticks(os.getpid()), "boot": boot_id()}
    (directory / "process.json").write_text(json.dumps({"qemu": own, "supervisor": own}))
    machine = registry.find("one")
    assert (machine.state, machine.pid) == ("running", os.getpid())
    assert machine.uptime is not None
    with pytest.raises(MachineError, match="is running"):
        registry.remove("one")
    os.close(lock)
    assert registry.find("one").state == "crashed"


def test_a_lock_lives_on_in_a_child_and_is_freed_by_a_kill() -> None:
    directory, lock = registry.claim("one", unique=False)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    os.close(lock)
    assert registry.held(directory)
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()
    assert not registry.held(directory)


def test_a_name_in_use_is_refused_or_made_unique() -> None:
    _, first = registry.claim("one", unique=False)
    with pytest.raises(MachineError, match="running already"):
        registry.claim("one", unique=False)
    directory, second = registry.claim("one", unique=True)
    assert directory.name == "one-2"
    directory, third = registry.claim("one", unique=True)
    assert directory.name == "one-3"
    for lock in (first, second, third):
        os.close(lock)
    directory, again = registry.claim("one", unique=True)
    assert directory.name == "one"
    os.close(again)


def test_one_of_many_claims_wins() -> None:
    won: list[int] = []
    lost: list[MachineError] = []
    gate = threading.Barrier(8)

    def claim() -> None:
        gate.wait()
        try:
            won.append(registry.claim("one", unique=False)[1])
        except MachineError as error:
            lost.append(error)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lock in won:
        os.close(lock)
    assert (len(won), len(lost)) == (1, 7)


def test_a_directory_is_used_again_and_keeps_only_the_host_key() -> None:
    directory = make("one", {"status": 1, "why": ""})
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "serial.log", ".exit.json.part"):
        (directory / name).write_text(name)
    again, lock = registry.claim("one", unique=False)
    os.close(lock)
    assert again == directory
    assert {path.name for path in again.iterdir()} == {"lock", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 99}', b'{"schema": 1, "name": "one"}', b"\xff"])
def test_a_damaged_record_hides_a_machine_but_not_its_name(damage: bytes) -> None:
    directory = make("one")
    (directory / "machine.json").write_bytes(damage)
    assert registry.machines() == ()
    _, lock = registry.claim("one", unique=False)
    os.close(lock)
    registry.remove("one")
    assert not directory.exists()


def test_finding() -> None:
    with pytest.raises(MachineError, match="no machine is running"):
        registry.find()
    make("stark")
    with pytest.raises(MachineError, match="no machine is running"):
        registry.find()
    with pytest.raises(InputError, match="'strak'") as caught:
        registry.find("strak")
    assert caught.value.hint == "did you mean stark?"
    with pytest.raises(InputError, match="no machine"):
        registry.find("../stark")
    locks = []
    for name in ("a", "b"):
        directory, lock = registry.claim(name, unique=False)
        registry.write_record(directory, replace(RECORD, name=name))
        locks.append(lock)
        if len(locks) == 1:
            assert registry.find().name == "a"
    with pytest.raises(InputError, match="several") as several:
        registry.find()
    assert several.value.hint == "name one of: a, b"
    for lock in locks:
        os.close(lock)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".lock", "a b", "x" * 64, "ä", "a\n"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        registry.claim(name, unique=False)
    with pytest.raises(InputError):
        registry.remove(name)


def test_removing() -> None:
    make("one")
    registry.remove("one")
    assert registry.machines() == ()
    with pytest.raises(InputError, match="no machine 'one'"):
        registry.remove("one")


def test_nothing_started_yet_is_no_error_and_makes_nothing(home: Path) -> None:
    assert registry.machines() == ()
    assert not home.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thanos-tui").write_text("a file where a directory should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(HostError, match="cannot keep machines in") as caught:
        registry.claim("one", unique=False)
    assert "XDG_STATE_HOME" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_place_is_named_and_can_still_be_listed(home: Path) -> None:
    make("one", {"status": 0, "why": ""})
    root = home / "state" / "thanos-tui" / "machines"
    root.chmod(0o500)
    try:
        assert [machine.name for machine in registry.machines()] == ["one"]
        with pytest.raises(HostError, match="cannot keep machines in"):
            registry.claim("two", unique=False)
    finally:
        root.chmod(0o700)


def test_a_pid_that_belongs_to_another_process_now_is_left_alone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        ticks = start_ticks(child.pid)
        assert ticks is not None
        for stranger in (Process(child.pid, ticks - 1, boot_id()), Process(child.pid, ticks, "an earlier boot")):
            assert not stranger.alive()
            assert not stranger.send(signal.SIGKILL)
        assert child.poll() is None
        same = Process(child.pid, ticks, boot_id())
        assert same.alive()
        assert same.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        assert not same.alive()
        assert not same.send(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected
    assert start_ticks(child.pid) is None
    child.wait()
