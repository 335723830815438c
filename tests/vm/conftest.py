"""Machines for tests: boot sectors of a few instructions, so that a boot under software emulation takes a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thanos_tui import programs, vm
from thanos_tui.vm import Boot, Machine, Settings

# 16-bit code. The text is written to the first serial port, then one of the endings runs.
_PRINT = bytes.fromhex(
    "31c0 8ed8"  # xor ax,ax; mov ds,ax
    "be007d"  # mov si,0x7d00            the text, half-way into the sector
    "baf803"  # mov dx,0x3f8             the serial port
    "ac 84c0 7403 ee ebf8"  # again: lodsb; test al,al; jz done; out dx,al; jmp again
)
ENDINGS = {
    # Waits for the power button (PM1 event register, bit 8) and then powers off (PM1 control, SLP_EN): SeaBIOS puts
    # the ACPI registers of both boards at 0x600.
    "polite": bytes.fromhex(
        "ba0206 b80001 ef"  # mov dx,0x602; mov ax,0x100; out dx,ax    enable the power button
        "ba0006 fb f4 ed f6c401 74f8"  # mov dx,0x600; again: sti; hlt; in ax,dx; test ah,1; jz again
        "ba0406 b80020 ef ebfe"  # mov dx,0x604; mov ax,0x2000; out dx,ax; jmp $
    ),
    "deaf": bytes.fromhex("fb f4 ebfc"),  # again: sti; hlt; jmp again
    # Writes the interrupt table over the second sector by the BIOS, and says W if that worked.
    "writing": bytes.fromhex(
        "31c0 8ec0 b80103 31db"  # xor ax,ax; mov es,ax; mov ax,0x0301; xor bx,bx    write one sector from 0:0
        "b90200 ba8000 cd13 7206"  # mov cx,2; mov dx,0x80; int 0x13; jc failed    first disk, sector 2
        "baf803 b057 ee"  # mov dx,0x3f8; mov al,'W'; out dx,al
        "fb f4 ebfc"  # failed: sti; hlt; jmp failed
    ),
    "off": bytes.fromhex("ba0406 b80020 ef ebfe"),
}


def boot_sector(ending: str, text: str) -> bytes:
    code = (_PRINT + ENDINGS[ending]).ljust(256, b"\0") + text.encode() + b"\0"
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for each test; whatever machine a failed test leaves is ended."""
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / "home" / kind.lower()))
    yield tmp_path / "home"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    for machine in vm.machines():
        if machine.alive:
            vm.stop(machine, patience=0)


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., Boot]:
    """Makes the image of a machine that says a text and then does one of ENDINGS."""

    def make(ending: str = "deaf", text: str = "Welcome\n", name: str = "tiny-bios.img") -> Boot:
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(boot_sector(ending, text).ljust(1 << 20, b"\0"))
        return Boot(disk=path)

    return make


@pytest.fixture
def small() -> Callable[..., Settings]:
    """Makes settings of a machine that costs next to nothing."""

    def make(**settings: object) -> Settings:
        return Settings(**{"memory_mib": 32, "cpus": 1, "accel": "tcg", **settings})  # type: ignore[arg-type]

    return make


@pytest.fixture
def start(image: Callable[..., Boot], small: Callable[..., Settings]) -> Callable[..., Machine]:
    """Starts a machine under software emulation, detached."""
    if programs.find("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")

    def begin(ending: str = "deaf", text: str = "Welcome\n", **settings: object) -> Machine:
        return vm.start(image(ending, text), small(**settings))

    return begin
