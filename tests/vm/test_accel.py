"""The choice between KVM and software emulation."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from thanos_tui import programs
from thanos_tui.errors import HostError, InputError
from thanos_tui.vm import accel
from thanos_tui.vm.qemu import Settings

amd64_host = pytest.mark.skipif(platform.machine() != "x86_64", reason="the test program is for x86-64 hosts")


@pytest.fixture
def fake_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QEMU whose behaviour each test writes; it notes its runs (those that are not --version) in `runs`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    behave(directory, "exit 43")
    return directory


def behave(directory: Path, script: str, version: str = "9.9.9") -> None:
    program = directory / "qemu-system-x86_64"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "QEMU emulator version {version}"; exit; fi\n'
        f"echo run >> {directory}/runs\n{script}\n"
    )
    program.chmod(0o755)


def runs(directory: Path) -> int:
    file = directory / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


@amd64_host
def test_kvm_is_taken_when_the_test_program_ran_and_the_answer_is_remembered(fake_qemu: Path, device: Path) -> None:
    assert accel.choose(Settings(), device).name == "kvm"
    assert accel.choose(Settings(), device).name == "kvm"
    assert runs(fake_qemu) == 1


@amd64_host
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'qemu-system-x86_64: error: no such luck' >&2; exit 1", "failed in it: no such luck"),
        ("exit 0", "failed in it"),
        ("exit 45", "failed in it"),
        ("kill -ABRT $$", "failed in it"),
    ],
)
def test_kvm_is_left_when_the_test_program_failed(fake_qemu: Path, device: Path, script: str, reason: str) -> None:
    behave(fake_qemu, script)
    for _ in range(2):
        chosen = accel.choose(Settings(), device)
        assert chosen.name == "tcg"
        assert reason in chosen.reason
    assert runs(fake_qemu) == 1


@amd64_host
def test_kvm_is_left_when_the_test_program_hung(fake_qemu: Path, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "TIME_LIMIT", 0.2)
    behave(fake_qemu, "exec sleep 60")
    chosen = accel.choose(Settings(), device)
    assert chosen.name == "tcg"
    assert "hung" in chosen.reason


@amd64_host
def test_the_answer_is_asked_for_again_after_a_reboot_and_with_another_qemu(
    fake_qemu: Path, device: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accel.choose(Settings(), device)
    monkeypatch.setattr(accel, "boot_id", lambda: "the next boot")
    accel.choose(Settings(), device)
    assert runs(fake_qemu) == 2
    behave(fake_qemu, "exit 43", "10.0.0")
    accel.choose(Settings(), device)
    assert runs(fake_qemu) == 3
    memory = home / "cache" / "thanos-tui" / "kvm.json"
    assert json.loads(memory.read_text())["boot"] == "the next boot"
    memory.write_text("[damaged")
    assert accel.choose(Settings(), device).name == "kvm"
    assert runs(fake_qemu) == 4


@amd64_host
def test_a_cache_that_cannot_be_written_does_no_harm(fake_qemu: Path, device: Path, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "cache").write_text("a file where a directory should be")
    assert accel.choose(Settings(), device).name == "kvm"


@amd64_host
def test_no_kvm_device(fake_qemu: Path, tmp_path: Path) -> None:
    chosen = accel.choose(Settings(), tmp_path / "none")
    assert chosen.name == "tcg"
    assert "does not exist" in chosen.reason
    assert runs(fake_qemu) == 0


@amd64_host
@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_no_permission_names_the_group(fake_qemu: Path, device: Path) -> None:
    device.chmod(0)
    chosen = accel.choose(Settings(), device)
    assert chosen.name == "tcg"
    assert "group kvm" in chosen.hint


@amd64_host
def test_no_permission_names_the_group_even_to_root(
    fake_qemu: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(accel.os, "open", refuse)
    chosen = accel.choose(Settings(), device)
    assert chosen.name == "tcg"
    assert "group kvm" in chosen.hint


@amd64_host
def test_insisting_on_kvm_where_it_does_not_work_is_an_error(fake_qemu: Path, device: Path) -> None:
    behave(fake_qemu, "exit 1")
    with pytest.raises(HostError, match="KVM cannot be used"):
        accel.choose(Settings(accel="kvm"), device)


def test_software_emulation_can_be_asked_for(fake_qemu: Path, device: Path) -> None:
    assert accel.choose(Settings(accel="tcg"), device).name == "tcg"
    assert runs(fake_qemu) == 0


def test_another_architecture_is_emulated(fake_qemu: Path, device: Path) -> None:
    other = "arm64" if platform.machine() == "x86_64" else "amd64"
    assert accel.choose(Settings(architecture=other), device).name == "tcg"


def test_an_unknown_accelerator_is_refused() -> None:
    with pytest.raises(InputError, match="hax"):
        accel.choose(Settings(accel="hax"))  # type: ignore[arg-type]


def test_the_test_program_passes_in_software_emulation() -> None:
    # Not a fake: the very bytes run, so a slip in them would send every user to software emulation unnoticed.
    program = programs.find("qemu-system-x86_64")
    if program is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    assert accel.probe(program, "tcg") == ""


def test_the_test_program_fails_where_cmpxchg16b_does(monkeypatch: pytest.MonkeyPatch) -> None:
    program = programs.find("qemu-system-x86_64")
    if program is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    sector = accel.PROBE_SECTOR.replace(bytes.fromhex("f0480fc70f"), bytes.fromhex("0f0b909090"))  # ud2
    assert sector != accel.PROBE_SECTOR
    monkeypatch.setattr(accel, "PROBE_SECTOR", sector)
    assert "failed" in accel.probe(program, "tcg")
