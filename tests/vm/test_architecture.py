"""Which processor an image is for, from its bytes: images as they are made here, and what is no such image."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import programs
from thanos_tui.build import efi, fat, gpt
from thanos_tui.events import Reporter
from thanos_tui.images import tools
from thanos_tui.vm import architecture_of
from thanos_tui.vm.qemu import Boot, boot_of

MIB = 1 << 20
TIME = 1492533000
MACHINES = {"amd64": 0x8664, "arm64": 0xAA64}


def program(arch: str) -> bytes:
    """The headers of a program of EFI's, with room for what is at fixed places in a kernel."""
    head = bytearray(b"MZ".ljust(0x1000, b"\0"))
    struct.pack_into("<I", head, 0x3C, 0x400)
    struct.pack_into("<4sHHIIIHHH", head, 0x400, b"PE\0\0", MACHINES[arch], 0, 0, 0, 0, 240, 0, 0x20B)
    return bytes(head)


KERNELS = {
    "amd64": (program("amd64"), b"\0" * 0x202 + b"HdrS" + bytes(99)),
    "arm64": (program("arm64"), b"\0" * 0x38 + b"ARM\x64" + bytes(99), gzip.compress(program("arm64") * 99)),
}


@pytest.mark.parametrize("arch", MACHINES)
def test_a_kernel_says_it(tmp_path: Path, arch: str) -> None:
    for content in KERNELS[arch]:
        (tmp_path / "x-kernel").write_bytes(content)
        (tmp_path / "x-squashfs.img").touch()
        assert architecture_of(boot_of(tmp_path / "x-kernel")) == arch
        assert architecture_of(boot_of(tmp_path / "x-squashfs.img")) == arch


@pytest.mark.parametrize("arch", MACHINES)
def test_a_program_of_efi_says_it(tmp_path: Path, arch: str) -> None:
    (tmp_path / "x-uki.efi").write_bytes(program(arch))
    assert architecture_of(boot_of(tmp_path / "x-uki.efi")) == arch


@pytest.fixture
def disk(tmp_path: Path) -> Callable[..., Path]:
    """Makes a disk with a system partition that has programs for these architectures, and a large file before them."""
    tools.ensure(["mformat", "mmd", "mcopy", "qemu-img", "xorriso"], Reporter())

    def make(*archs: str, size_mib: int = 300) -> Path:
        path = tmp_path / "x-efi.img"
        path.write_bytes(b"")
        with path.open("r+b") as stream:
            stream.truncate(size_mib * MIB)
        gpt.write(path, size_mib * 2048, bytes(32))
        shape = fat.layout(gpt.partition_sectors(size_mib * 2048), fat32=True)
        fat.make(path, gpt.START, shape, b"1234", TIME)
        fat.copy(path, gpt.START, "kernel", [bytes(range(256)) * 4096 * 20], TIME)
        for directory in ("EFI", "EFI/BOOT"):
            fat.make_directory(path, gpt.START, directory, TIME)
        for arch in archs:
            fat.copy(path, gpt.START, f"EFI/BOOT/{efi.PROGRAMS[arch]}", [program(arch)], TIME)
        return path

    return make


@pytest.mark.network
@pytest.mark.parametrize("arch", MACHINES)
def test_a_system_partition_says_it(disk: Callable[..., Path], tmp_path: Path, arch: str) -> None:
    path = disk(arch)
    assert architecture_of(boot_of(path)) == arch
    converted = tmp_path / "x-efi.qcow2"
    programs.run(["qemu-img", "convert", "-O", "qcow2", path, converted])
    assert architecture_of(boot_of(converted)) == arch


@pytest.mark.network
@pytest.mark.parametrize("arch", MACHINES)
def test_a_disc_says_it_by_its_boot_catalogue(disk: Callable[..., Path], tmp_path: Path, arch: str) -> None:
    disk(arch)  # has the programs brought
    partition, large = tmp_path / "partition", tmp_path / "initrd"
    partition.touch()
    content = program(arch)
    efi.write_partition(partition, efi.Program(arch, len(content), [content]), bytes(32), TIME)
    with large.open("wb") as stream:
        stream.truncate(100 * MIB)
    path = tmp_path / "x-efi-initrd.iso"
    words = ["-as", "mkisofs", "-o", path, "-append_partition", "2", "0xef", partition, "-appended_part_as_gpt"]
    words += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", large]
    programs.run(["xorriso", "-no_rc", *words])
    assert architecture_of(boot_of(path)) == arch


@pytest.mark.network
def test_where_it_cannot_be_told(disk: Callable[..., Path], tmp_path: Path) -> None:
    assert architecture_of(boot_of(disk())) is None, "there is nothing to start"
    assert architecture_of(boot_of(disk("amd64", "arm64"))) is None, "it is for both"
    # The name is there, but not where a directory could have it.
    for content in (b"", b"MZ", b"\x1f\x8b damaged", b" BOOTX64 EFI" * 999):
        for name in ("x.raw", "x.iso", "x.efi", "x-kernel"):
            path = tmp_path / name
            path.write_bytes(content)
            assert architecture_of(boot_of(path)) is None, (name, content)
    assert architecture_of(Boot(kernel=tmp_path / "nowhere-kernel")) is None
    assert architecture_of(Boot()) is None
