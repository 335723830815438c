"""Disks: read by programs that are not ours; what does not fit is said, or made to fit."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui import programs
from thanos_tui.build import blobs, disk, outputs, preflight, vhd
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import HostError, InputError
from thanos_tui.events import Reporter

MIB = 1 << 20
START = 2048 * 512

pytestmark = pytest.mark.skipif(
    any(programs.find(name) is None for name in ("mformat", "mcopy", "syslinux")),
    reason="mtools or syslinux is not installed",
)


def run(*argv: str | Path) -> str:
    return programs.run(list(argv), env={"TZ": "UTC0"}).stdout.decode()


def tool(name: str) -> Any:
    return pytest.mark.skipif(programs.find(name) is None, reason=f"{name} is not installed")


@pytest.fixture
def system(blob: Callable[[str, bytes], blobs.Blob]) -> Callable[..., Bootable]:
    """Makes something to boot, with random content of these sizes."""

    def make(kernel: int = 100_001, initrd: int = 3 * MIB + 1, cmdline: str = "console=ttyS0") -> Bootable:
        pieces = (blob("initrd", os.urandom(initrd)), b"\x28\xb5\x2f\xfd")
        return Bootable(blob("kernel", os.urandom(kernel)), blob("cmdline", cmdline.encode()), None, pieces, 2 * initrd)

    return make


def written(path: Path, system: Bootable, size_mib: int) -> Path:
    path.touch()
    disk.write(path, system, size_mib, 1492533000, lambda _: None)
    return path


@tool("fsck.fat")
@tool("sfdisk")
@pytest.mark.parametrize(
    ("size_mib", "kind", "cluster"),
    [(16, "FAT16", 2048), (128, "FAT16", 2048), (129, "FAT16", 4096), (512, "FAT16", 8192), (513, "FAT32", 4096)],
)
def test_other_programs_find_all_in_order(
    system: Callable[..., Bootable], tmp_path: Path, size_mib: int, kind: str, cluster: int
) -> None:
    content = system()
    image = written(tmp_path / "disk", content, size_mib)
    assert image.stat().st_size == size_mib * MIB
    (partition,) = json.loads(run("sfdisk", "--json", image))["partitiontable"]["partitions"]
    assert (partition["start"], partition["size"]) == (2048, size_mib * 2048 - 2048)
    assert (partition["bootable"], partition["type"]) == (True, "e" if kind == "FAT16" else "c")
    # fsck.fat wants the file system at the start of a file.
    alone = tmp_path / "partition"
    run("dd", f"if={image}", f"of={alone}", f"bs={START}", "skip=1", "conv=sparse", "status=none")
    said = run("fsck.fat", "-n", "-v", alone)
    assert f"{cluster} bytes per cluster" in said
    assert f"2 FATs, {kind[3:]} bit entries" in said
    assert "differences" not in said.lower()
    at = f"{image}@@{START}"
    assert programs.run(["mtype", "-i", at, "::kernel"]).stdout == content.kernel.read()  # type: ignore[union-attr]
    assert programs.run(["mtype", "-i", at, "::initrd.img"]).stdout == b"".join(content.initrd())
    listing = run("mdir", "-a", "-i", at, "::")
    assert listing.count("2017-04-18  16:30") == 5
    assert "Volume in drive : is THANOS" in listing
    # The BIOS reads the loader's first part by sector numbers that are written into the boot sector.
    assert run("mshowfat", "-i", at, "::ldlinux.sys").count("<") == 1


def test_empty_space_takes_no_space(system: Callable[..., Bootable], tmp_path: Path) -> None:
    image = written(tmp_path / "disk", system(), 1024)
    assert image.stat().st_blocks * 512 < 10 * MIB


@given(
    kernel=st.integers(0, 64 * MIB),
    initrd=st.integers(0, 4 * MIB).map(lambda size: size * 1023),
    extra=st.integers(0, 99),
)
def test_the_smallest_disk_has_room(kernel: int, initrd: int, extra: int) -> None:
    blob = blobs.Blob(Path("kernel"), kernel, "00" * 32)
    content = Bootable(blob, None, None, (blobs.Blob(Path("initrd"), initrd, "00" * 32),), 0)
    smallest = disk.smallest_mib(content)
    disk.check(content, smallest + extra)
    with pytest.raises(InputError, match=f"is too small: what is on it needs {smallest} MiB"):
        disk.check(content, smallest - 1)
    # Little more than the content: a megabyte of rounding, one before the partition, tables and the loader.
    assert smallest <= max(16, (kernel + initrd) * 1.01 / MIB + 4)


@pytest.mark.parametrize("initrd", [13_600_000, 15 * MIB, 126 * MIB])
def test_the_smallest_disk_can_be_written(system: Callable[..., Bootable], tmp_path: Path, initrd: int) -> None:
    content = system(initrd=initrd)
    written(tmp_path / "disk", content, disk.smallest_mib(content))


def test_disks_grow_unless_their_size_was_asked_for(system: Callable[..., Bootable], tmp_path: Path) -> None:
    from thanos_tui.build import writers
    from thanos_tui.events import Step

    content = system(initrd=40 * MIB)
    job = writers.Job(content, [tmp_path / "x"], None, 20, Step(Reporter(), "output", None))
    assert job.disk_mib() == disk.smallest_mib(content) > 40
    assert writers.Job(content, [], None, 100, job.step).disk_mib() == 100
    assert writers.Job(content, [], 50, 100, job.step).disk_mib() == 50
    with pytest.raises(InputError, match="a disk of 30 MiB is too small") as caught:
        writers.Job(content, [], 30, 100, job.step).disk_mib()
    assert "or more" in str(caught.value.hint)


def test_what_no_disk_can_hold(system: Callable[..., Bootable]) -> None:
    huge = blobs.Blob(Path("x"), 4 << 30, "00" * 32)
    content = system(initrd=9)
    with pytest.raises(InputError, match="the initrd has 4096 MiB, and a FAT"):
        disk.check(Bootable(content.kernel, None, None, (huge,), 0))
    with pytest.raises(InputError, match="cannot boot without a kernel"):
        disk.check(Bootable(None, None, None, (b"x",), 0))
    with pytest.raises(InputError, match="too large"):
        disk.check(content, 2 << 20)
    with pytest.raises(InputError, match="2001 bytes, and a disk's may have 2000"):
        disk.check(system(initrd=9, cmdline="x" * 2001))


@pytest.mark.parametrize(
    ("cmdline", "serial"),
    [
        ("console=ttyS0", "SERIAL 0 115200\n"),
        ("quiet console=ttyS1,9600n8 x", "SERIAL 1 9600\n"),
        ("console=tty0", ""),
        ("noconsole=ttyS0", ""),
        ("", ""),
    ],
)
def test_the_loader_speaks_where_the_kernel_will(cmdline: str, serial: str) -> None:
    text = disk.configuration(cmdline)
    assert text.startswith(f"{serial}PROMPT 0\n")
    assert text.endswith(f"  APPEND {cmdline}\n" if cmdline else "  INITRD /initrd.img\n")


def test_command_lines_of_several_lines_become_one(system: Callable[..., Bootable], tmp_path: Path) -> None:
    image = written(tmp_path / "disk", system(cmdline="a=1\n  b=2\n"), 16)
    said = programs.run(["mtype", "-i", f"{image}@@{START}", "::syslinux.cfg"]).stdout
    assert said.endswith(b"  APPEND a=1 b=2\n")


def test_programs_that_fail_are_named(system: Callable[..., Bootable], tmp_path: Path, monkeypatch: Any) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mcopy").write_text("#!/bin/sh\necho no medium found >&2; exit 1\n")
    (tools / "mcopy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(Exception, match="failed with status 1") as caught:
        written(tmp_path / "disk", system(), 16)
    assert "no medium found" in str(caught.value)


def test_a_missing_boot_record_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_bytes", missing)
    with pytest.raises(HostError, match=r"mbr\.bin is not installed") as caught:
        preflight.check_programs([format_ for format_ in _formats() if format_.name == "vhd"])
    assert "syslinux-common" in str(caught.value.hint)


def test_the_boot_record_beside_the_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "lib" / "syslinux" / "mbr"
    place.mkdir(parents=True)
    (place / "mbr.bin").write_bytes(b"own")
    monkeypatch.setattr(programs, "require", lambda _: tmp_path / "bin" / "syslinux")
    assert disk.mbr_code() == b"own"
    (place / "mbr.bin").write_bytes(b"x" * 441)  # would reach into the partition table
    assert disk.mbr_code() != b"x" * 441


def _formats() -> Any:
    from thanos_tui.build import formats

    return formats.load().values()


# VHD


@tool("qemu-img")
@pytest.mark.parametrize("size_mib", [16, 100, 1024, 130_000])
def test_qemu_sees_a_vhd_of_just_the_size(tmp_path: Path, size_mib: int) -> None:
    path = tmp_path / "x.vhd"
    with path.open("wb") as stream:
        stream.truncate(size_mib * MIB)
        stream.seek(size_mib * MIB)
        stream.write(vhd.footer(size_mib * MIB, bytes(range(16)), 1492533000))
    told = json.loads(run("qemu-img", "info", "--output=json", "-f", "vpc", path))
    assert told["virtual-size"] == size_mib * MIB
    converted = tmp_path / "x.raw"
    run("qemu-img", "convert", "-f", "vpc", "-O", "raw", path, converted)
    assert converted.stat().st_size == size_mib * MIB


@given(sectors=st.integers(4 * 17, 1 << 34))
def test_a_geometry_is_never_larger_than_the_disk(sectors: int) -> None:
    cylinders, heads, track = vhd.geometry(sectors)
    assert 0 < cylinders <= 65535
    assert 4 <= heads <= 16
    assert track in (17, 31, 63, 255)
    assert cylinders * heads * track <= sectors
    # Nearly all of it, until numbers run out.
    if sectors < 65535 * 16 * 255:
        assert sectors - cylinders * heads * track < heads * track


def test_the_checksum_covers_all_but_itself() -> None:
    footer = vhd.footer(MIB, b"\xff" * 16, 1492533000)
    assert len(footer) == 512
    (checksum,) = struct.unpack(">I", footer[64:68])
    assert ~sum(footer[:64] + footer[68:]) & 0xFFFFFFFF == checksum
    assert struct.unpack(">I", footer[24:28]) == (1492533000 - 946684800,)


@tool("qemu-img")
def test_qcow2_and_vhd_hold_the_same_disk(part: Any, a_file: Any, tmp_path: Path) -> None:
    parts = [part([a_file("boot/kernel", b"K" * 9999), a_file("init", os.urandom(MIB))])]
    outputs.build(parts, ["vhd", "qcow2-bios"], tmp_path, "x", Reporter(), cache=tmp_path / "cache", size_mib=20)
    assert json.loads(run("qemu-img", "check", "--output=json", tmp_path / "x.qcow2"))["check-errors"] == 0
    same = subprocess.run(
        ["qemu-img", "compare", "-f", "vpc", "-F", "qcow2", tmp_path / "x.vhd", tmp_path / "x.qcow2"],
        capture_output=True,
        check=False,
    )
    assert same.returncode == 0, same.stdout
