"""The app at its machines, which are real and tiny: a boot sector under software emulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sectors import boot_sector

from thanos_tui import programs, vm
from thanos_tui.builds import Build, remember
from thanos_tui.editing.document import Document
from thanos_tui.hardware import Peripherals
from thanos_tui.tui.app import ThanosApp
from thanos_tui.vm import Machine, Settings


@pytest.fixture
def app(home: Path) -> Iterator[ThanosApp]:
    """The app; whatever machine a test leaves is ended."""
    yield ThanosApp(Document.new())
    for machine in vm.machines():
        if machine.alive:
            vm.stop(machine, patience=0)


@pytest.fixture
def image(home: Path) -> Callable[..., Path]:
    """Makes the image of a machine that says a text and then does one of sectors.ENDINGS."""
    if programs.find("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")

    def make(ending: str = "deaf", text: str = "Welcome\n", name: str = "tiny") -> Path:
        path = home / f"{name}-bios.img"
        path.write_bytes(boot_sector(ending, text).ljust(1 << 20, b"\0"))
        return path

    return make


@pytest.fixture
def build(image: Callable[..., Path]) -> Callable[..., Build]:
    """Makes a build that is remembered, of such an image."""

    def make(ending: str = "deaf", text: str = "Welcome\n", name: str = "tiny") -> Build:
        output = image(ending, text, name)
        made = Build(name, "", (str(output),), 32, 1, "amd64", None, None)
        remember(made)
        return made

    return make


@pytest.fixture
def start(image: Callable[..., Path]) -> Callable[..., Machine]:
    """Starts such a machine before the app is there."""

    def begin(
        ending: str = "deaf", text: str = "Welcome\n", name: str = "tiny", *, sound: str | None = None
    ) -> Machine:
        settings = Settings(memory_mib=32, cpus=1, accel="tcg", peripherals=Peripherals(sound=sound))
        return vm.start(vm.boot_of(image(ending, text, name)), settings)

    return begin
