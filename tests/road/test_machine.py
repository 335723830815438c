"""One booted ThanOS, looked at from inside and outside."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from road import NTP_AHEAD, THANOS, Road
from waiting import LIMIT, eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

SERVICES = {"getty", "rngd", "ntp", "dhcp", "sshd"}


def test_containerd_runs_every_service(road: Road, box: str) -> None:
    lines = road.guest(box, "ctr", "-n", "services.linuxkit", "task", "ls").splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines[1:]}
    assert states == dict.fromkeys(SERVICES, "RUNNING")


def test_it_has_an_address_by_dhcp(road: Road, box: str) -> None:
    addresses = road.guest(box, "ip", "-4", "addr", "show", "dev", "eth0")
    # QEMU's own DHCP server gives this one first.
    assert "inet 10.0.2.15/24" in addresses
    assert "nameserver 10.0.2.3" in road.guest(box, "cat", "/etc/resolv.conf")


def test_its_clock_follows_the_time_server(road: Road, box: str, time_server: Callable[[], int] | None) -> None:
    if time_server is None:
        pytest.skip("the tests' time server needs port 123 of this host, which is taken or takes root")
    eventually(lambda: time_server() > 0, 300, pause=1)

    def ahead() -> bool:
        return abs(float(road.guest(box, "date", "+%s")) - time.time() - NTP_AHEAD) < 30

    eventually(ahead, 300, pause=1)


def test_entropy_is_fed(road: Road, box: str) -> None:
    assert int(road.guest(box, "cat", "/proc/sys/kernel/random/entropy_avail")) >= 256
    # The generator's device is open: rngd reads from QEMU's, and feeds the kernel.
    assert "virtio" in road.guest(box, "cat", "/sys/class/misc/hw_random/rng_current")
    found = road.guest(box, "sh", "-c", "for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null; done | grep -c hwrng")
    assert int(found) >= 1


def test_the_root_is_read_only(road: Road, box: str) -> None:
    inside = "nsenter -t 1 -m sh -c"
    mounts = road.guest(box, "sh", "-c", f"{inside} 'cat /proc/mounts'")
    root = [line.split() for line in mounts.splitlines() if line.split()[1] == "/"][-1]
    assert "ro" in root[3].split(",")
    said = road.run("exec", box, "--", "sh", "-c", f"{inside} 'touch /nothing'", check=False)
    assert said.returncode != 0
    assert b"Read-only file system" in said.stderr


def test_cgroups_are_version_two(road: Road, box: str) -> None:
    assert road.guest(box, "stat", "-f", "-c", "%T", "/sys/fs/cgroup").strip() in ("cgroup2fs", "UNKNOWN")
    assert "cgroup2" in road.guest(box, "sh", "-c", "nsenter -t 1 -m cat /proc/mounts")


def test_nothing_went_wrong_on_the_console(road: Road, box: str) -> None:
    said = road.out("logs", box)
    assert "Welcome to ThanOS" in said
    assert not re.search(r"(?i)thanos: .*fail|\berror\b|\bBUG:|Oops|Call Trace|not found|can't", said)
    # `dmesg -r` gives each line its level (3 and less are errors); busybox's dmesg knows no filter of its own.
    kernel = road.guest(box, "dmesg", "-r").splitlines()
    assert not [line for line in kernel if re.match(r"<(\d+)>", line) and int(line[1 : line.index(">")]) % 8 <= 3]


def test_the_host_key_was_known_before(road: Road, box: str) -> None:
    directory = road.home / "state/thanos-tui/machines" / box
    known = (directory / "ssh_host_ed25519_key.pub").read_text().split()[1]
    assert f"thanos: ssh host key: ssh-ed25519 {known}" in road.out("logs", box)


def test_another_host_key_is_refused(road: Road, box: str, tmp_path: Path) -> None:
    port = road.machine(box)["ssh_port"]
    wrong = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx1cmUgbm90IGEga2V5IG9mIGFueSBtYWNoaW5lISEh"
    key = road.home / "data/thanos-tui/keys/box/id_ed25519"
    done = road.run("exec", "-i", key, "--host-key", wrong, f"127.0.0.1:{port}", "--", "true", check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"SHA256:" in done.stderr


def test_exec_carries_bytes_and_the_status(road: Road, box: str) -> None:
    data = bytes(range(256)) * 4096
    done = road.run("exec", box, "--", "sh", "-c", "cat; echo told >&2; exit 7", stdin=data, check=False)
    assert (done.returncode, done.stdout) == (7, data)
    assert done.stderr.endswith(b"told\n")


def test_files_go_there_and_come_back(road: Road, box: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    road.run("cp", source, f"{box}:/tmp/there")
    digest = road.guest(box, "sha256sum", "/tmp/there").split()[0]
    assert digest == hashlib.sha256(source.read_bytes()).hexdigest()
    road.run("cp", f"{box}:/tmp/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_the_console_is_the_users_terminal(road: Road, box: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(road.home)
        os.execve(THANOS, [THANOS, "console", box], road.environment)
    said = b""

    def wait_for(pattern: bytes) -> None:
        nonlocal said
        deadline = time.monotonic() + LIMIT
        while not re.search(pattern, said):
            assert time.monotonic() < deadline, said.decode(errors="replace")
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 4096)

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    wait_for(rb"root@box:~# ")
    # The terminal is the guest's now: nothing of ours repaints it any more.
    time.sleep(1)
    assert select.select([terminal], [], [], 0)[0] == [] or b"\x1b[2K" not in os.read(terminal, 4096)
    said = b""
    os.write(terminal, b"stty size\r")
    wait_for(rb"33 101")
    # One process says that it has begun and then sleeps: what interrupts it cannot come between two.
    os.write(terminal, b"sh -c 'echo on-$((1+1)); exec sleep 1000'\r")
    wait_for(rb"on-2")
    os.write(terminal, b"\x03")
    wait_for(rb"\^C[\s\S]*root@box:~# ")
    os.write(terminal, b"echo still-$((40+2)); exit 5\r")
    wait_for(rb"still-42")
    while True:
        try:
            if not os.read(terminal, 4096):
                break
        except OSError:  # the other end is closed
            break
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 5


def test_it_is_listed_and_shows_a_picture(road: Road, box: str, tmp_path: Path) -> None:
    listed = road.machine(box)
    assert listed["state"] == "running"
    assert listed["accelerator"] in ("kvm", "tcg")
    assert listed["accelerator_reason"]
    picture = tmp_path / "screen.png"
    road.run("screenshot", box, "--output", picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_openssh_gets_in_with_the_recorded_key(road: Road, box: str, tmp_path: Path) -> None:
    ssh = Path("/usr/bin/ssh")
    if not ssh.exists():
        pytest.skip("the program ssh (package openssh-client) is not installed")
    known = road.home / "state/thanos-tui/machines" / box / "known_hosts"
    key = road.home / "data/thanos-tui/keys/box/id_ed25519"
    words = [str(ssh), "-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
    words += ["-o", "BatchMode=yes", "-i", str(key), "-p", str(road.machine(box)["ssh_port"]), "root@127.0.0.1"]
    done = subprocess.run([*words, "uname", "-s"], capture_output=True, text=True, timeout=120)
    assert done.stdout == "Linux\n", done.stderr
