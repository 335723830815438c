"""What goes on a Raspberry Pi's SD card is booted on QEMU's Raspberry Pi 3: by U-Boot, and to a login."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from road import Road
from serialports import SerialPort
from waiting import eventually

from thanos_tui import programs
from thanos_tui.events import Reporter
from thanos_tui.images import tools

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

# By the serial port: QEMU's Pi 3 has no Ethernet, and loses the packets of an adapter on its USB.
OPTIONS = """\
thanos: 1
options:
  hostname: box
  stark: false
  getty.insecure: true
  sshd.generate-key: true
  output.architecture: arm64
"""
TREE = "dtb/broadcom/bcm2837-rpi-3-b.dtb"
CARD_MIB = 256  # QEMU wants a power of two


def unpacked_onto_a_card(archive: Path, place: Path) -> Path:
    """The archive's files in the first partition of an SD card, as its readme says; without the Pi's own first stages,
    whose work QEMU does.
    """
    files = place / "files"
    files.mkdir()
    programs.run(["tar", "-xf", archive, "-C", files])
    card = place / "card.img"
    with card.open("wb") as stream:
        stream.truncate(CARD_MIB << 20)
    programs.run([programs.require("sfdisk"), "-q", card], stdin=b"label: dos\nstart=2048, type=c, bootable\n")
    sectors = (CARD_MIB << 11) - 2048
    programs.run(
        ["mformat", "-i", f"{card}@@1M", "-F", "-T", str(sectors), "-h", "255", "-s", "63", "-H", "2048", "::"]
    )
    programs.run(["mcopy", "-s", "-i", f"{card}@@1M", *files.iterdir(), "::"])
    return card


@pytest.fixture
def pins(road: Road, tmp_path: Path) -> Iterator[SerialPort]:
    """The serial port on the pins of a board that has just been switched on."""
    tools.ensure(["qemu-system-aarch64", "mformat", "mcopy"], Reporter())
    profile = road.home / "pi.thanos"
    profile.write_text(OPTIONS)
    road.run("--replay", profile, "--format", "rpi3", "--output", tmp_path)
    card = unpacked_onto_a_card(tmp_path / "pi.tar", tmp_path)
    words = ["-M", "raspi3b", "-m", "1G", "-nodefaults", "-display", "none", "-monitor", "none"]
    words += ["-kernel", str(tmp_path / "files/u-boot.bin"), "-dtb", str(tmp_path / "files" / TREE)]
    words += ["-drive", f"if=sd,format=raw,file={card}"]
    # The first port is the better one, which a Pi 3 has its Bluetooth on; the pins are the second.
    words += ["-serial", "null", "-serial", "unix:pins,server=on,wait=on"]
    with subprocess.Popen([programs.require("qemu-system-aarch64"), *words], cwd=tmp_path) as process:
        try:
            eventually((tmp_path / "pins").is_socket)
            with socket.socket(socket.AF_UNIX) as port:
                port.connect(str(tmp_path / "pins"))
                yield SerialPort(port)
        finally:
            process.terminate()


def test_u_boot_boots_to_a_login(pins: SerialPort) -> None:
    pins.expect(rb"U-Boot \d{4}")
    pins.expect(rb"## Executing script")
    pins.expect(rb"root@box:~# ", 500, knock=b"\r")
    pins.type(b"hostname; uname -m; cat /proc/device-tree/model; echo\r")
    pins.expect(rb"\nbox\r*\naarch64\r*\nRaspberry Pi 3 Model B")
