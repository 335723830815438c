"""Every format that can boot is booted, on QEMU's devices and on VirtualBox's; and powers off cleanly."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from road import Road
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

BOOTS = [
    ("qcow2-bios", "qemu"),
    ("vhd", "virtualbox"),
    # The other two are this one in other wrappings.
    pytest.param("raw-bios", "qemu", marks=pytest.mark.long),
    pytest.param("vhd", "qemu", marks=pytest.mark.long),
    pytest.param("raw-bios", "virtualbox", marks=pytest.mark.long),
    pytest.param("qcow2-bios", "virtualbox", marks=pytest.mark.long),
    pytest.param("kernel+initrd", "virtualbox", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("form", "devices"), BOOTS)
def test_it_boots_and_powers_off(road: Road, boot: Callable[..., str], form: str, devices: str) -> None:
    name = boot(form, f"{form}-{devices}".replace("+", "-"), "--devices", devices)
    try:
        lines = road.guest(name, "ctr", "-n", "services.linuxkit", "task", "ls").splitlines()[1:]
        assert {line.split()[2] for line in lines} == {"RUNNING"}
        driver = road.guest(name, "readlink", "/sys/class/net/eth0/device/driver").strip().rpartition("/")[2]
        assert driver == {"qemu": "virtio_net", "virtualbox": "e1000"}[devices]
        if form != "kernel+initrd":
            disk = road.guest(name, "sh", "-c", "ls /sys/block")
            assert {"qemu": "vda", "virtualbox": "sda"}[devices] in disk.split()
    finally:
        road.run("stop", name)
    log = road.out("logs", name)
    assert re.search(r"reboot: Power down|reboot: System halted", log)
    assert road.machine(name)["state"] == "stopped"


@pytest.mark.long  # two boots, one after the other
def test_it_reboots(road: Road, boot: Callable[..., str]) -> None:
    name = boot("kernel+initrd", "again")
    first = road.guest(name, "cat", "/proc/sys/kernel/random/boot_id")
    road.run("exec", name, "--", "sh", "-c", "nsenter -t 1 -m -p reboot &", check=False)

    def rebooted() -> bool:
        # It may be gone while it is asked, and it may not have begun to go.
        done = road.run("exec", "--timeout", "300", name, "--", "cat", "/proc/sys/kernel/random/boot_id", check=False)
        return done.returncode == 0 and done.stdout.decode() != first

    eventually(rebooted, 400, pause=1)
    road.run("stop", name)
