"""What a Raspberry Pi 3 boots from: U-Boot's images, as U-Boot's own program reads them."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import programs
from thanos_tui.build import blobs, rpi3
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import InputError
from thanos_tui.events import Reporter
from thanos_tui.images import data, tools
from thanos_tui.tree import MTIME

TREE = "boot/dtb/broadcom/bcm2837-rpi-3-b.dtb"
KERNEL = b"\x1f\x8b" + os.urandom(5000)
INITRD = os.urandom(70_001)


@pytest.fixture
def system(
    tmp_path: Path, blob: Callable[[str, bytes], blobs.Blob], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Bootable]:
    """Makes something to boot, for a U-Boot of ours."""
    (tmp_path / "u-boot").write_bytes(b"U-Boot")
    ours = {"arm64": data.Source("ours", f"{tmp_path}/u-boot".lstrip("/"))}
    monkeypatch.setattr(data, "SOURCES", {**data.SOURCES, "u-boot-rpi3": ours})

    def make(kernel: bytes = KERNEL, trees: tuple[str, ...] = (TREE,)) -> Bootable:
        devices = {name: blob(f"tree{number}", b"tree") for number, name in enumerate(trees)}
        line = blob("cmdline", b"quiet a='b c'\n")
        return Bootable(blob("kernel", kernel), line, None, (blob("initrd", INITRD),), 0, devices)

    return make


def contents(system: Bootable) -> dict[str, bytes]:
    found = {}
    for name, (size, chunks) in rpi3.files(system).items():
        found[name] = b"".join(chunks())
        assert len(found[name]) == size
    return found


def test_headers_say_what_follows(system: Callable[..., Bootable]) -> None:
    files = contents(system())
    assert list(files) == sorted(files)
    assert files["dtb/broadcom/bcm2837-rpi-3-b.dtb"] == b"tree"
    assert files["u-boot.bin"] == b"U-Boot"
    wanted = {"boot.scr": (6, 0, 0), "initrd.uimg": (3, 0, 0), "kernel.uimg": (2, 1, 0x200000)}
    for name, (kind, compression, load) in wanted.items():
        header, body = files[name][:64], files[name][64:]
        magic, own, time, size, to, entry, checksum = struct.unpack_from(">IIIIIII", header)
        assert (magic, time, size, to, entry) == (0x27051956, MTIME, len(body), load, load)
        assert checksum == zlib.crc32(body)
        assert own == zlib.crc32(header[:4] + bytes(4) + header[8:])
        assert tuple(header[28:32]) == (5, 22, kind, compression)
    assert files["kernel.uimg"][64:] == KERNEL
    assert files["initrd.uimg"][64:] == INITRD
    script = files["boot.scr"][72:].decode()
    assert script.splitlines()[0] == "setenv bootargs 'quiet a='\\''b c'\\'' console=ttyS1,115200'"


def test_what_a_raspberry_pi_cannot_boot(system: Callable[..., Bootable]) -> None:
    with pytest.raises(InputError, match="without a kernel"):
        rpi3.check(Bootable(None, None, None, (b"x",), 0))
    with pytest.raises(InputError, match="has no device trees"):
        rpi3.check(system(trees=()))
    with pytest.raises(InputError, match="no EFI header"):
        rpi3.check(system(kernel=b"no kernel"))
    whole = system()
    huge = blobs.Blob(Path("x"), (512 << 20) + 1, "00" * 32)
    with pytest.raises(InputError, match="can unpack 512 MiB at most"):
        rpi3.check(Bootable(whole.kernel, None, None, (huge,), 0, whole.device_trees))


@pytest.mark.network
def test_u_boots_own_program_takes_them(
    system: Callable[..., Bootable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "PACKAGES", {**programs.PACKAGES, "mkimage": "u-boot-tools"})
    tools.ensure(["mkimage"], Reporter())
    for name, kind in (("boot.scr", "Script"), ("initrd.uimg", "RAMDisk Image"), ("kernel.uimg", "Kernel Image")):
        path = tmp_path / name
        path.write_bytes(contents(system())[name])
        said = programs.run(["mkimage", "-l", path]).stdout.decode()
        assert f"AArch64 Linux {kind} (" in said
        assert "Corrupt" not in said
