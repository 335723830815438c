"""Whole lives of machines: real QEMU, guests of a few instructions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import eventually

from thanos_tui import keys, programs, vm
from thanos_tui.errors import HostError, InputError, Interrupted, MachineError
from thanos_tui.events import Event, LogLine, Reporter, StepFinished
from thanos_tui.hardware import Peripherals
from thanos_tui.vm import Boot, Forward, Machine, Settings, life, ports
from thanos_tui.vm.registry import processes

Start = Callable[..., Machine]
Image = Callable[..., Boot]
Small = Callable[..., Settings]


def gone(machine: Machine) -> bool:
    """Neither the lock nor a process of the machine is left."""
    return not vm.find(machine.name).alive and not any(each.alive() for each in processes(machine.directory).values())


@pytest.fixture
def qemu_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script in the place of QEMU."""

    def make(script: str) -> Path:
        program = tmp_path / "bin" / "qemu-system-x86_64"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return program

    return make


# --- a good life ---


@pytest.mark.parametrize("devices", ["qemu", "virtualbox"])
def test_start_wait_and_power_off(start: Start, devices: str) -> None:
    machine = start("polite", "Loading\r\nWelcome to Test\r\n", devices=devices)
    assert machine.state == "running"
    assert vm.wait_for_serial(machine, "Welcome to", 120, Reporter()) == "Welcome to Test"
    assert vm.find().record == vm.find(machine.name).record
    events: list[Event] = []
    assert vm.stop(machine, Reporter(events.append)).how == "powered off"
    assert [event.note for event in events if isinstance(event, StepFinished)] == ["powered off"]
    ended = vm.find(machine.name)
    assert (ended.state, ended.note, ended.pid) == ("stopped", "it powered off", None)
    assert vm.stop(machine).how == "was not running"
    assert vm.last_lines(machine) == ["Loading", "Welcome to Test"]
    eventually(lambda: gone(machine))


def test_the_image_stays_bit_identical(image: Image, small: Small) -> None:
    boot = image("writing", "sector 2: ")
    assert boot.disk is not None
    before = hashlib.sha256(boot.disk.read_bytes()).digest(), boot.disk.stat().st_mtime_ns
    boot.disk.chmod(0o444)
    with vm.attached(boot, small()) as one, vm.attached(boot, small()) as two:
        assert (one.name, two.name) == ("tiny", "tiny-2")
        for machine in (one, two):
            vm.wait_for_serial(machine, "sector 2: W", 120, Reporter())
    assert (hashlib.sha256(boot.disk.read_bytes()).digest(), boot.disk.stat().st_mtime_ns) == before


def test_the_host_key_is_private_known_and_kept_until_removal(start: Start) -> None:
    machine = start()
    private = machine.directory / "ssh_host_ed25519_key"
    assert private.stat().st_mode & 0o777 == 0o600
    assert machine.directory.stat().st_mode & 0o777 == 0o700
    assert keys.fingerprint(keys.public_line(private)) == keys.fingerprint(machine.record.host_key)
    kind, key = machine.record.host_key.split()[:2]
    assert (machine.directory / "known_hosts").read_text() == f"[127.0.0.1]:{machine.ssh_port} {kind} {key}\n"
    vm.stop(machine, patience=0)
    again = start()
    assert again.record.host_key == machine.record.host_key
    vm.stop(again, patience=0)
    vm.remove(again.name)
    fresh = start()
    assert fresh.record.host_key != machine.record.host_key


def test_reboot_runs_the_guest_again(start: Start) -> None:
    machine = start("deaf", "Welcome\n")
    vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    position = vm.serial_position(machine)
    with pytest.raises(MachineError, match="did not come up"):
        vm.wait_for_serial(machine, "Welcome", 0.2, Reporter(), since=position)
    vm.reboot(machine)
    assert vm.wait_for_serial(machine, "Welcome", 120, Reporter(), since=position) == "Welcome"
    assert list(vm.logs(machine)).count("Welcome") == 2
    assert vm.find(machine.name).alive


def test_logs_follow_until_the_end(start: Start) -> None:
    machine = start("polite", "one\n\x1b[31mtwo\x1b[0m\x07\nrest")
    got: list[str] = []
    follower = threading.Thread(target=lambda: got.extend(vm.logs(machine, follow=True)))
    follower.start()
    vm.wait_for_serial(machine, "rest", 120, Reporter())
    vm.stop(machine)
    follower.join(30)
    assert got == ["one", "two", "rest"]


def test_following_can_be_interrupted(start: Start) -> None:
    reporter = Reporter()
    lines = vm.logs(start("deaf", "one\n"), follow=True, reporter=reporter)
    assert next(lines) == "one"
    reporter.cancel()
    with pytest.raises(Interrupted):
        list(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Kernel panic - not syncing: Oops\n--[ end Kernel panic - not syncing: Oops ]---\n", r"panicked: Oops\n"),
        ("Initramfs unpacking failed: write error\nWelcome\n", "lacks a part"),
        # It starts again by itself.
        ("Kernel panic - not syncing: Oops\nRebooting in 1 seconds..\nWelcome\n", None),
    ],
)
def test_a_machine_that_never_will_answer_is_told_from_one_that_may(start: Start, text: str, told: str | None) -> None:
    machine = start("deaf", text.replace("\n", "\r\n"))
    eventually(lambda: list(vm.logs(machine))[-1:] == [text.splitlines()[-1]])
    if told:
        with pytest.raises(MachineError, match=told):
            vm.check_up(machine)
    else:
        vm.check_up(machine)
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError, match="does not run: it powered off"):
        vm.check_up(machine)


def test_the_serial_port_can_be_had_and_is_logged_all_the_same(start: Start) -> None:
    machine = start("deaf", "Welcome\n")
    vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    with vm.open_serial(machine) as port:
        vm.reboot(machine)
        received = b""
        while b"Welcome" not in received:
            received += port.recv(100)
    eventually(lambda: list(vm.logs(machine)).count("Welcome") == 2)
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError, match="serial port"):
        vm.open_serial(machine)


def test_screenshots_are_pictures(start: Start, tmp_path: Path) -> None:
    machine = start()
    vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    picture = tmp_path / "new" / "screen.png"
    vm.screenshot(machine, picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert not list(machine.directory.glob("*.ppm"))
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError):
        vm.screenshot(machine, picture)
    assert picture.exists()


def test_a_long_state_directory_with_odd_letters(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("long" * 30) / "with, commas = and späces"))
    machine = start("polite")
    vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    vm.screenshot(machine, tmp_path / "screen.png")
    assert vm.stop(machine).how == "powered off"


def test_a_data_disk_stays_with_its_machine_grows_and_goes_with_it(start: Start) -> None:
    machine = start(peripherals=Peripherals(disk_mib=64))
    disk = machine.directory / "data.img"
    assert (disk.stat().st_size, disk.stat().st_blocks) == (64 << 20, 0)
    vm.stop(machine, patience=0)
    with disk.open("r+b") as stream:
        stream.write(b"kept")
    for asked, size in ((128, 128), (64, 128), (0, 128)):
        again = start(peripherals=Peripherals(disk_mib=asked))
        assert (again.directory, disk.stat().st_size, disk.read_bytes()[:4]) == (machine.directory, size << 20, b"kept")
        vm.stop(again, patience=0)
    vm.remove(machine.name)
    assert not disk.exists()


def test_a_data_disk_that_cannot_be_is_refused_or_warned_of(start: Start, image: Image, small: Small) -> None:
    said: list[Event] = []
    free_mib = shutil.disk_usage(start(peripherals=Peripherals(disk_mib=1)).directory).free >> 20
    larger = small(peripherals=Peripherals(disk_mib=free_mib * 2))
    with vm.attached(image(), larger, Reporter(said.append)):
        pass
    assert any("the data disk may take" in event.text for event in said if isinstance(event, LogLine))
    machine = start(name="taken")
    vm.stop(machine, patience=0)
    (machine.directory / "data.img").mkdir()
    with pytest.raises(HostError, match="cannot make the data disk"):
        start(name="taken", peripherals=Peripherals(disk_mib=1))


def test_a_machine_that_is_larger_than_the_host_is_warned_of(start: Start, image: Image, small: Small) -> None:
    said: list[Event] = []
    with pytest.raises(MachineError), vm.attached(image(), small(memory_mib=1 << 30), Reporter(said.append)):
        pass
    assert any("this host has" in event.text for event in said if isinstance(event, LogLine))


def test_the_screen_is_offered_by_vnc(start: Start) -> None:
    machine = start(vnc_port=0)
    port = machine.record.vnc_port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), 10) as viewer:
        assert viewer.recv(4) == b"RFB "


# --- stopping what does not want to ---


def test_a_deaf_guest_is_ended_by_quit(start: Start) -> None:
    machine = start("deaf")
    said: list[Event] = []
    assert vm.stop(machine, Reporter(said.append), patience=0.2).how == "quit"
    texts = [event.text for event in said if isinstance(event, LogLine)]
    assert any("power button" in text for text in texts)
    assert any("did not power off" in text for text in texts)
    assert vm.find(machine.name).state == "stopped"
    eventually(lambda: gone(machine))


def test_a_hanging_qemu_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = start("deaf")
    assert machine.pid is not None
    os.kill(machine.pid, signal.SIGSTOP)
    monkeypatch.setattr(life, "_QUIT_LIMIT", 0.5)
    monkeypatch.setattr("thanos_tui.vm.life.monitor", lambda directory: vm_monitor(directory, timeout=0.5))
    assert vm.stop(machine, patience=0.2).how == "killed"
    ended = vm.find(machine.name)
    assert (ended.state, ended.note) == ("stopped", "it was told to stop")
    eventually(lambda: gone(machine))


def vm_monitor(directory: Path, timeout: float) -> object:
    from thanos_tui.vm.qmp import monitor

    return monitor(directory, timeout)


def test_a_hanging_supervisor_is_killed_too(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_QUIT_LIMIT", "_TERM_LIMIT"):
        monkeypatch.setattr(life, limit, 0.5)
    machine = start("deaf")
    known = processes(machine.directory)
    known["supervisor"].send(signal.SIGSTOP)
    assert vm.stop(machine, patience=0).how == "killed"
    eventually(lambda: gone(machine))


# --- sudden deaths ---

ATTACH = """
import signal, sys, time
from pathlib import Path
from thanos_tui import vm
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with SIGINT ignored
settings = vm.Settings(memory_mib=32, cpus=1, accel="tcg")
with vm.attached(vm.boot_of(Path(sys.argv[1])), settings) as machine:
    print(machine.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(image: Image) -> Iterator[subprocess.Popen[str]]:
    """A program of its own with a machine attached; its first line is the machine's name."""
    argv = [sys.executable, "-c", ATTACH, str(image().disk)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as program:
        yield program
        program.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_attached_machine_ends_with_its_parent(parent: subprocess.Popen[str], number: signal.Signals) -> None:
    assert parent.stdout is not None
    machine = vm.find(parent.stdout.readline().strip())
    assert machine.state == "running"
    # As a terminal does it: the whole group gets the signal, which must not reach QEMU that way.
    os.killpg(parent.pid, number)
    eventually(lambda: gone(machine))
    ended = vm.find(machine.name)
    assert (ended.state, ended.note) == ("stopped", "the program that started it ended")


def test_a_start_ends_with_its_parent(
    image: Image, small: Small, qemu_like: Callable[[str], Path], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    qemu_like(f"echo $$ > {pid}; exec sleep 600")
    code = ATTACH.replace("vm.attached(", "vm.start(")
    with subprocess.Popen([sys.executable, "-c", code, str(image().disk)]) as program:
        eventually(lambda: pid.exists() and pid.read_text().strip())
        program.kill()
    eventually(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
    eventually(lambda: not any(machine.alive for machine in vm.machines()))


def test_an_attached_machine_outlives_the_thread_that_started_it(image: Image, small: Small) -> None:
    opened = []
    thread = threading.Thread(target=lambda: opened.append(vm.attached(image("polite"), small())))
    thread.start()
    thread.join()
    entered: list[Machine] = []
    thread = threading.Thread(target=lambda: entered.append(opened[0].__enter__()))
    thread.start()
    thread.join()
    vm.wait_for_serial(entered[0], "Welcome", 120, Reporter())
    assert vm.find().alive
    opened[0].__exit__(None, None, None)
    assert not vm.find(entered[0].name).alive
    eventually(lambda: gone(entered[0]))


def test_a_detached_machine_outlives_its_parent(image: Image) -> None:
    code = ATTACH.replace("with vm.attached(", "machine = vm.start(").replace(") as machine:", ")").replace("    ", "")
    code = code.replace("time.sleep(600)", "")
    done = subprocess.run([sys.executable, "-c", code, str(image().disk)], capture_output=True, text=True, check=True)
    machine = vm.find(done.stdout.strip())
    assert machine.state == "running"
    vm.wait_for_serial(machine, "Welcome", 120, Reporter())


@pytest.mark.parametrize("who", ["qemu", "supervisor"])
def test_a_killed_machine_has_crashed_and_can_be_started_again(start: Start, who: str) -> None:
    machine = start("polite")
    processes(machine.directory)[who].send(signal.SIGKILL)
    eventually(lambda: gone(machine))
    ended = vm.find(machine.name)
    assert ended.state == "crashed"
    assert "killed" in ended.note
    again = start("polite", name=machine.name)
    assert (again.name, again.state) == (machine.name, "running")
    assert vm.find().pid == again.pid


def test_both_killed_at_once_leave_a_usable_directory(start: Start) -> None:
    machine = start()
    for who in ("supervisor", "qemu"):
        processes(machine.directory)[who].send(signal.SIGKILL)
    eventually(lambda: gone(machine))
    assert vm.find(machine.name).state == "crashed"
    assert start(name=machine.name).alive


def test_a_pid_that_was_given_away_is_not_killed(start: Start) -> None:
    machine = start()
    processes(machine.directory)["qemu"].send(signal.SIGKILL)
    eventually(lambda: gone(machine))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        record = json.loads((machine.directory / "process.json").read_text())
        for identity in record.values():
            identity["pid"] = stranger.pid
        (machine.directory / "process.json").write_text(json.dumps(record))
        assert vm.find(machine.name).state == "crashed"
        assert vm.stop(machine).how == "was not running"
        assert stranger.poll() is None


# --- boots that fail ---


def test_a_guest_that_ends_while_it_is_waited_for(start: Start) -> None:
    machine = start("off", "line one\nline two\n")
    with pytest.raises(MachineError, match="ended while booting: it powered off") as caught:
        vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    assert "line one\n    line two" in str(caught.value.hint)


def test_a_panic_is_noticed_at_once_and_named(start: Start) -> None:
    text = "VFS: Cannot open root\n[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown(0,0)\n"
    text += "Call Trace:\n"
    machine = start("deaf", text)
    with pytest.raises(MachineError, match="panicked: VFS: Unable to mount root fs") as caught:
        vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    assert "initrd" in str(caught.value.hint)
    assert "Cannot open root" in str(caught.value.hint)
    assert "Call Trace" not in str(caught.value.hint)


def test_too_little_memory_is_recognised(start: Start) -> None:
    machine = start("off", "Initramfs unpacking failed: write error\n/init: not found\n")
    with pytest.raises(MachineError) as caught:
        vm.wait_for_serial(machine, "Welcome", 120, Reporter())
    assert "--memory" in str(caught.value.hint)


def test_waiting_has_a_limit_and_can_be_interrupted(start: Start) -> None:
    machine = start("deaf", "")
    with pytest.raises(MachineError, match=r"did not come up within 0 s.*") as caught:
        vm.wait_for_serial(machine, "Welcome", 0.1, Reporter())
    assert "said nothing" in str(caught.value.hint)
    reporter = Reporter()
    reporter.cancel()
    with pytest.raises(Interrupted):
        vm.wait_for_serial(machine, "Welcome", 120, reporter)


def test_a_text_that_has_no_end_of_line_is_found(start: Start) -> None:
    assert vm.wait_for_serial(start("deaf", "x\nlogin: "), "login:", 120, Reporter()) == "login:"


# --- starts that fail ---


def test_a_missing_qemu_names_the_package(image: Image, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thanos_tui.programs.find", lambda _program: None)
    with pytest.raises(HostError, match="qemu-system-x86_64") as caught:
        vm.start(image(), small())
    assert "qemu-system-x86" in str(caught.value.hint)
    assert vm.machines() == ()


def test_a_broken_image_shows_what_qemu_said(image: Image, small: Small, home: Path) -> None:
    boot = image()
    with pytest.raises(MachineError, match="QEMU did not start tiny") as caught:
        vm.start(Boot(disk=boot.disk, format="qcow2"), small())
    assert "qcow2" in str(caught.value.hint)
    assert vm.machines() == ()
    assert list((home / "state" / "thanos-tui" / "machines").iterdir()) == [
        home / "state" / "thanos-tui" / "machines" / ".lock"
    ]


def test_a_failed_start_keeps_the_host_key_of_an_earlier_machine(start: Start, image: Image, small: Small) -> None:
    machine = start()
    vm.stop(machine, patience=0)
    with pytest.raises(MachineError):
        vm.start(Boot(disk=image().disk, format="qcow2"), small())
    assert start().record.host_key == machine.record.host_key


def test_a_start_can_be_interrupted_and_leaves_nothing(
    image: Image, small: Small, qemu_like: Callable[[str], Path], tmp_path: Path
) -> None:
    qemu_like(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    reporter = Reporter()
    caught: list[BaseException] = []

    def begin() -> None:
        try:
            vm.start(image(), small(), reporter)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    reporter.cancel()
    thread.join(30)
    assert [type(error) for error in caught] == [Interrupted]
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert vm.machines() == ()


def test_a_qemu_that_cannot_be_run_is_told(image: Image, small: Small, qemu_like: Callable[[str], Path]) -> None:
    qemu_like("echo 'no dice' >&2; exit 1")
    with pytest.raises(MachineError, match="did not start") as caught:
        vm.start(image(), small())
    assert caught.value.hint == "no dice"


def test_a_place_that_cannot_be_written_is_named(image: Image, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = image()
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", "/sys")  # not even root may write there
        with pytest.raises(HostError, match="cannot keep machines in /sys/thanos-tui/machines"):
            vm.start(boot, small())


# --- ports ---


def test_a_free_port_is_chosen_when_the_preferred_one_is_taken(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(life, "_PREFERRED", taken)
        machine = start()
        assert machine.ssh_port != taken
        with socket.create_connection(("127.0.0.1", machine.ssh_port), 10):
            pass
    vm.stop(machine, patience=0)
    monkeypatch.setattr(life, "_PREFERRED", machine.ssh_port)
    assert start().ssh_port == machine.ssh_port


def test_a_port_lost_in_a_race_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = ports.choose
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers = [server.getsockname()[1], server.getsockname()[1]]
        monkeypatch.setattr(ports, "choose", lambda *arguments: answers.pop() if answers else choose(*arguments))
        machine = start()
        assert answers == []
        assert machine.ssh_port != server.getsockname()[1]


def test_a_taken_port_that_was_asked_for_is_refused(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for settings in ({"ssh_port": port}, {"publish": (Forward(port, 80),)}, {"vnc_port": port}):
            with pytest.raises(HostError, match=f"port {port}/tcp on 127.0.0.1 is taken by"):
                start(**settings)
    assert vm.machines() == ()


def test_a_taken_port_does_not_cost_the_machine_that_ended(start: Start) -> None:
    machine = start(name="mine")
    vm.stop(machine, patience=0)
    ended = vm.find("mine")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(HostError, match="taken"):
        start(name="mine", ssh_port=server.getsockname()[1])
    assert vm.find("mine") == ended
    assert (ended.directory / "serial.log").exists()


def test_a_port_of_another_machine_is_refused_with_its_name(start: Start) -> None:
    machine = start()
    with pytest.raises(HostError, match=f"taken by the machine {machine.name}") as caught:
        start(ssh_port=machine.ssh_port)
    assert f"stop {machine.name}" in str(caught.value.hint)


def test_the_same_port_twice_is_refused(start: Start) -> None:
    with pytest.raises(InputError, match="twice"):
        start(ssh_port=20001, publish=(Forward(20001, 80),))


def test_published_ports_lead_in(start: Start) -> None:
    tcp, udp = ports.choose(21000), 21999
    machine = start(publish=(Forward(tcp, 80), Forward(udp, 53, "udp")))
    assert {each.guest for each in machine.record.forwards} == {1234, 80, 53}
    with socket.create_connection(("127.0.0.1", tcp), 10):
        pass
    with pytest.raises(HostError, match="taken"):
        ports.check_free(udp, "udp")


def test_two_starts_of_one_name_do_not_clash(image: Image, small: Small) -> None:
    boot = image()
    outcomes: list[object] = []

    def begin() -> None:
        try:
            outcomes.append(vm.start(boot, small(name="only")))
        except MachineError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Machine", "MachineError"]
    assert vm.find("only").state == "running"


# --- another architecture ---

# The text's address into x3, then each of its bytes to the serial port (PL011 of the `virt` board), then sleep.
ARM64 = b"".join(
    word.to_bytes(4, "little")
    for word in (
        0xD2A12001,  # 00 movz x1, #0x900, lsl #16
        0x100000E3,  # 04 adr x3, 0x20
        0x38401462,  # 08 ldrb w2, [x3], #1
        0x34000062,  # 0c cbz w2, 0x18
        0xB9000022,  # 10 str w2, [x1]
        0x17FFFFFD,  # 14 b 0x08
        0xD503207F,  # 18 wfi
        0x17FFFFFF,  # 1c b 0x18
    )
)


def test_an_arm64_kernel_is_run(tmp_path: Path, small: Small) -> None:
    if programs.find("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    kernel = tmp_path / "arm-kernel"
    kernel.write_bytes(ARM64 + b"Welcome\n\0")
    with vm.attached(Boot(kernel=kernel), small(architecture="arm64", memory_mib=128)) as machine:
        assert vm.wait_for_serial(machine, "Welcome", 120, Reporter()) == "Welcome"
        vm.screenshot(machine, tmp_path / "screen.png")
