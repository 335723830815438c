"""Machines for tests: boot sectors of a few instructions, so that a boot under software emulation takes a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sectors import boot_sector

from thanos_tui import programs, vm
from thanos_tui.vm import Boot, Machine, Settings


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
