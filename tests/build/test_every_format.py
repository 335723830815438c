"""Every format for every architecture that it has: the same bytes twice, and read by a program that is not ours."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import zstandard

from thanos_tui import programs
from thanos_tui.build import formats, outputs
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import ThanosError
from thanos_tui.events import Artefact, Reporter
from thanos_tui.images import data, tools
from thanos_tui.tree import Member

pytestmark = pytest.mark.network

MACHINES = {"amd64": 0x8664, "arm64": 0xAA64}  # in PE headers
EVERY = [
    (arch, name) for arch in MACHINES for name, form in formats.load().items() if not form.arch or arch in form.arch
]
READERS = {
    "cpio": "cpio",
    "fsck.fat": "dosfstools",
    "mkimage": "u-boot-tools",
    "objdump": "binutils",
    "sfdisk": "fdisk",
    "sgdisk": "gdisk",
}
TREE = "boot/dtb/broadcom/bcm2837-rpi-3-b.dtb"
RANDOM = os.urandom(1 << 20)  # does not compress

Files = Mapping[str, list[Path]]


def kernel(arch: str) -> bytes:
    """What EFI takes for a kernel: the headers of a PE32+ program. It does nothing."""
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", MACHINES[arch], 0, 0, 0, 0, 240, 0x206)
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<II", optional, 32, 0x200, 0x200)
    struct.pack_into("<II", optional, 56, 0x1000, 0x400)
    struct.pack_into("<I", optional, 108, 16)
    return (start.ljust(0x80, b"\0") + coff + bytes(optional)).ljust(0x400, b"\0") + RANDOM[:70_001]


def a_file(name: str, content: bytes, mode: int = 0o644) -> Member:
    return Member(name, "file", mode, size=len(content), open=lambda: io.BytesIO(content))


def parts(arch: str) -> tuple[Part, ...]:
    """A kernel with its device tree, an init that mounts root filesystems as ours does, and a service."""

    def part(location: str, *members: Member) -> Part:
        size = sum(member.size for member in members)
        return Part(location, "docker.io/library/test:1", f"{location}-{arch}", size, lambda: iter(members))

    boot = [Member(name, "dir", 0o755) for name in ("boot", "boot/dtb", "boot/dtb/broadcom")]
    cmdline = a_file("boot/cmdline", b"console=ttyS0 quiet")
    service = a_file("containers/services/a/config.json", b"{}" * 9999)
    return (
        part("kernel", *boot, a_file("boot/kernel", kernel(arch)), cmdline, a_file(TREE, b"tree")),
        part(
            "init[0]",
            a_file("init", b"#!/bin/sh", 0o755),
            Member("sbin", "dir", 0o755),
            a_file("sbin/coldplug", RANDOM, 0o755),
            Member("dev", "dir", 0o755),
            Member("dev/console", "char", 0o600, device=(5, 1)),
        ),
        part("services[0]", service),
    )


@pytest.fixture(scope="module", autouse=True)
def brought() -> Iterator[None]:
    """What the formats are made with, and what looks at them."""
    wanted = {program for form in formats.load().values() for program in form.needs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "PACKAGES", {**programs.PACKAGES, **READERS})
        try:
            tools.ensure([*wanted, *READERS], Reporter())
            for arch in MACHINES:
                needed = {name for form in formats.load().values() for name in form.data if arch in data.SOURCES[name]}
                data.ensure(needed, arch, Reporter())
        except ThanosError as error:
            pytest.skip(f"the programs cannot be had here: {error}")
        yield


def build(arch: str, place: Path) -> list[Artefact]:
    names = [name for its, name in EVERY if its == arch]
    return outputs.build(
        parts(arch), names, place / "out", "x", Reporter(), arch=arch, size_mib=64, cache=place / "cache"
    )


@pytest.fixture(scope="module")
def built(brought: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Artefact]]:
    """All formats of an architecture."""
    known: dict[str, list[Artefact]] = {}

    def get(arch: str) -> list[Artefact]:
        if arch not in known:
            known[arch] = build(arch, tmp_path_factory.mktemp(arch))
        return known[arch]

    return get


def run(*argv: str | Path, stdin: bytes = b"") -> str:
    done = programs.run([programs.require(str(argv[0])), *argv[1:]], env={"TZ": "UTC0"}, stdin=stdin)
    return done.stdout.decode() + done.stderr.decode()


# The readers


def initrd(path: Path, name: str = "containers/services/a/config.json") -> None:
    """Each of its archives, unpacked; between them are zeros up to the next multiple of four."""
    left, names = path.read_bytes(), ""
    while left:
        frame = zstandard.ZstdDecompressor().decompressobj()
        names += run("cpio", "-t", stdin=frame.decompress(left))
        left = frame.unused_data.lstrip(b"\0")
    assert name in names.splitlines()


def fat(disk: Path, place: Path) -> None:
    """The file system in a disk's only partition, from its first MiB on; its checker wants it in a file of its own."""
    alone = place / "partition"
    # Where the partition ends is no matter: the file system says its own size.
    run("dd", f"if={disk}", f"of={alone}", "bs=1M", "skip=1", "conv=sparse", "status=none")
    said = run("fsck.fat", "-n", "-v", alone)
    assert "2 FATs" in said
    assert "differences" not in said.lower()


def bios(disk: Path, place: Path) -> None:
    assert "No errors detected" in run("sfdisk", "--verify", disk)
    fat(disk, place)


def efi(disk: Path, place: Path) -> None:
    assert "No problems found" in run("sgdisk", "-v", disk)
    fat(disk, place)


def raw(path: Path, place: Path, form: str) -> Path:
    """A disk as QEMU converts it, after it has checked what it can check."""
    if form in ("qcow2", "vmdk", "vdi"):
        run("qemu-img", "check", "-f", form, path)
    run("qemu-img", "convert", "-f", form, "-O", "raw", path, place / "raw")
    return place / "raw"


def disc(path: Path, *names: str) -> None:
    said = run("xorriso", "-no_rc", "-indev", path, "-find", "/", "-exec", "lsdl", "--")
    for name in names:
        assert f"'/{name}'" in said


def archive(path: Path, *names: str) -> None:
    assert set(names) <= set(run("tar", "-tf", path).splitlines())


def unpacked(path: Path, place: Path, name: str) -> Path:
    run("tar", "-xSf", path, "-C", place)
    return place / name


def raspberry(path: Path, place: Path) -> None:
    archive(path, "config.txt", "u-boot.bin", TREE.removeprefix("boot/"))
    for name, kind in (("boot.scr", "Script"), ("initrd.uimg", "RAMDisk Image"), ("kernel.uimg", "Kernel Image")):
        said = run("mkimage", "-l", unpacked(path, place, name))
        assert f"AArch64 Linux {kind} (" in said
        assert "Corrupt" not in said


def discs_for_efi(path: Path, *names: str) -> None:
    disc(path, *names)
    assert "No problems found" in run("sgdisk", "-v", path)


def program(path: Path) -> None:
    # Debian's knows amd64 only, but the headers are the same.
    image = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<I", image, 0x3C)
    struct.pack_into("<H", image, offset + 4, MACHINES["amd64"])
    copy = path.with_name("program-for-objdump")
    copy.write_bytes(image)
    said = run("objdump", "-h", copy)
    copy.unlink()
    assert [name for name in (".osrel", ".cmdline", ".initrd", ".linux") if name not in said.split()] == []


def rooted(paths: list[Path], read: Callable[[Path], None]) -> None:
    """An image of the root filesystem, and the initrd that mounts it."""
    image, *_, early = paths
    read(image)
    assert early.name == "x-early.img"
    initrd(early, "sbin/coldplug")


def squashfs(image: Path) -> None:
    said = run(programs.require("mksquashfs").with_name("unsquashfs"), "-l", image)
    assert "squashfs-root/containers/services/a/config.json" in said.splitlines()


def erofs(image: Path) -> None:
    # With --extract it unpacks everything, to nowhere.
    run(programs.require("mkfs.erofs").with_name("fsck.erofs"), "--extract", image)


READ: Mapping[str, Callable[[list[Path], Path], None]] = {
    "kernel+initrd": lambda paths, _: initrd(paths[1]),
    "tar": lambda paths, _: archive(paths[0], "boot/kernel", "containers/services/a/config.json"),
    "tar-kernel-initrd": lambda paths, place: initrd(unpacked(paths[0], place, "initrd.img")),
    "docker": lambda paths, _: archive(paths[0], "Dockerfile", "boot/kernel"),
    "raw-bios": lambda paths, place: bios(paths[0], place),
    "aws": lambda paths, place: bios(paths[0], place),
    "gcp": lambda paths, place: bios(unpacked(paths[0], place, "disk.raw"), place),
    "vhd": lambda paths, place: bios(raw(paths[0], place, "vpc"), place),
    "dynamic-vhd": lambda paths, place: bios(raw(paths[0], place, "vpc"), place),
    "qcow2-bios": lambda paths, place: bios(raw(paths[0], place, "qcow2"), place),
    "vmdk": lambda paths, place: bios(raw(paths[0], place, "vmdk"), place),
    "vdi": lambda paths, place: bios(raw(paths[0], place, "vdi"), place),
    "ova": lambda paths, place: bios(raw(unpacked(paths[0], place, "machine-disk1.vmdk"), place, "vmdk"), place),
    "iso-bios": lambda paths, _: disc(paths[0], "kernel", "initrd.img", "isolinux/isolinux.bin"),
    "uki": lambda paths, _: program(paths[0]),
    "raw-efi": lambda paths, place: efi(paths[0], place),
    "qcow2-efi": lambda paths, place: efi(raw(paths[0], place, "qcow2"), place),
    "iso-efi": lambda paths, _: discs_for_efi(paths[0], "readme.txt"),
    "iso-efi-initrd": lambda paths, _: discs_for_efi(paths[0], "kernel", "initrd.img", "boot/grub/grub.cfg"),
    "kernel+squashfs": lambda paths, _: rooted(paths, squashfs),
    "kernel+erofs": lambda paths, _: rooted(paths, erofs),
    "kernel+iso": lambda paths, _: rooted(paths, lambda image: disc(image, "init", "dev/console")),
    "rpi3": lambda paths, place: raspberry(paths[0], place),
}


@pytest.mark.parametrize(("arch", "form"), EVERY)
def test_other_programs_read_it(built: Callable[[str], list[Artefact]], tmp_path: Path, arch: str, form: str) -> None:
    READ[form]([Path(artefact.path) for artefact in built(arch) if artefact.format == form], tmp_path)


@pytest.mark.parametrize("arch", MACHINES)
def test_the_second_time_gives_the_same_bytes(
    built: Callable[[str], list[Artefact]], tmp_path: Path, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = built(arch)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    begun = int(time.time())
    while int(time.time()) <= begun + 1:  # FAT counts in steps of two seconds
        time.sleep(0.1)
    before = os.umask(0o077)
    try:
        second = build(arch, tmp_path)
    finally:
        os.umask(before)
    told = [[(each.format, Path(each.path).name, each.sha256) for each in made] for made in (first, second)]
    assert told[0] == told[1]
    assert {each.format for each in first} == {name for its, name in EVERY if its == arch}
    for artefact in second:
        assert hashlib.sha256(Path(artefact.path).read_bytes()).hexdigest() == artefact.sha256
