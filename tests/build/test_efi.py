"""What EFI boots: unified kernel images, disks with a GPT, discs; read by programs that are not ours."""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import programs
from thanos_tui.build import blobs, efi, efi_iso, fat, gpt, uki
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import BuildError, HostError, InputError
from thanos_tui.events import Reporter
from thanos_tui.images import data, tools

MIB = 1 << 20
TIME = 1492533000
MACHINES = {arch: machine for machine, arch in uki.MACHINES.items()}
# What looks at our images, and the packages that bring it.
CHECKERS = {"fsck.fat": "dosfstools", "objcopy": "binutils", "sgdisk": "gdisk"}


def pe(arch: str = "amd64", sections: int = 2, headers: int = 0x400, memory: int = 0x5000, tail: bytes = b"") -> bytes:
    """A PE32+ file with sections of 0x200 bytes; it does nothing."""
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", MACHINES[arch], sections, 99, 77, 5, 240, 0x206)
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<II", optional, 32, 0x200, 0x200)
    struct.pack_into("<III", optional, 56, memory, headers, 0x1234)
    struct.pack_into("<I", optional, 108, 16)
    table = b"".join(
        struct.pack("<8sIIII12xI", b".s%d" % n, 0x180, 0x1000 * (n + 1), 0x200, headers + 0x200 * n, 0x60000020)
        for n in range(sections)
    )
    head = (start.ljust(0x80, b"\0") + coff + bytes(optional) + table).ljust(headers, b"\0")
    return head + b"".join(bytes([65 + n]) * 0x200 for n in range(sections)) + tail


def sections(image: bytes) -> dict[bytes, tuple[int, int, int, int]]:
    """The sections of a PE file: size and place in memory, size and place in the file."""
    (offset,) = struct.unpack_from("<I", image, 0x3C)
    (count,) = struct.unpack_from("<H", image, offset + 6)
    rows = [struct.unpack_from("<8sIIII", image, offset + 24 + 240 + 40 * number) for number in range(count)]
    return {row[0].rstrip(b"\0"): row[1:] for row in rows}


@pytest.fixture
def system(blob: Callable[[str, bytes], blobs.Blob]) -> Callable[..., Bootable]:
    """Makes something to boot: a kernel with these bytes, and a random initrd of this size."""

    def make(kernel: bytes = pe(), initrd: int = 3 * MIB + 1, cmdline: str = "console=ttyS0\n a=b") -> Bootable:
        pieces = (blob("initrd", os.urandom(initrd)), b"\x28\xb5\x2f\xfd")
        return Bootable(blob("kernel", kernel), blob("cmdline", cmdline.encode()), None, pieces, 2 * initrd)

    return make


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts a file in the place of the installed stubs."""

    def put(content: bytes) -> None:
        (tmp_path / "stub").write_bytes(content)
        ours = {arch: data.Source("ours", f"{tmp_path}/stub".lstrip("/")) for arch in MACHINES}
        monkeypatch.setattr(data, "SOURCES", {**data.SOURCES, "efi-stub": ours})

    put(pe())
    return put


@pytest.fixture
def checkers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that look at our images, and the files of packages that these are made from."""
    monkeypatch.setattr(programs, "PACKAGES", {**programs.PACKAGES, **CHECKERS})
    tools.ensure([*CHECKERS, "mmd", "xorriso"], Reporter())
    for arch in MACHINES:
        data.ensure(["efi-stub", "efi-grub"], arch, Reporter())


def run(*argv: str | Path) -> str:
    done = programs.run(list(argv), env={"TZ": "UTC0"})
    return done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("arch", MACHINES)
def test_a_unified_image_is_the_stub_with_sections(
    system: Callable[..., Bootable], stub: Callable[[bytes], None], arch: str
) -> None:
    stub(pe(arch, tail=b"symbols of no use"))
    content = system(pe(arch, memory=0x9000))
    made = uki.image(content)
    image = b"".join(made.chunks())
    assert (made.arch, made.size) == (arch, len(image))
    found = sections(image)
    assert list(found) == [b".s0", b".s1", b".osrel", b".cmdline", b".initrd", b".linux"]
    assert content.kernel
    expected = {
        b".cmdline": b"console=ttyS0 a=b",
        b".initrd": b"".join(content.initrd()),
        b".linux": content.kernel.read(),
    }
    for name, inside in expected.items():
        memory, _, _, place = found[name]
        assert image[place : place + len(inside)] == inside
        assert memory == (0x9000 if name == b".linux" else len(inside)), "a kernel has room to unpack itself"
    assert image[found[b".s0"][3] :][:0x400] == b"A" * 0x200 + b"B" * 0x200
    ends = 0
    for memory, address, size, place in found.values():
        assert address % (0x200 if memory == 0x180 else 4096) == 0
        assert place % 0x200 == size % 0x200 == 0
        assert address >= ends, "sections follow each other in memory"
        ends = address + max(memory, size)
    (offset,) = struct.unpack_from("<I", image, 0x3C)
    size_of_image, _, checksum = struct.unpack_from("<III", image, offset + 24 + 56)
    assert size_of_image >= ends
    assert size_of_image - ends < 4096
    assert struct.unpack_from("<III", image, offset + 8) == (0, 0, 0), "no time, no symbols"
    assert checksum == 0


def test_what_cannot_be_a_unified_image(system: Callable[..., Bootable], stub: Callable[[bytes], None]) -> None:
    content = system()
    huge = blobs.Blob(Path("x"), 2 << 30, "00" * 32)
    with pytest.raises(InputError, match="has 2048 MiB, and an EFI image may have less than 2048"):
        uki.check(Bootable(content.kernel, None, None, (huge,), 0))
    with pytest.raises(InputError, match="cannot boot without a kernel"):
        uki.check(Bootable(None, None, None, (b"x",), 0))
    with pytest.raises(InputError, match="2048 bytes, and a kernel takes 2047"):
        uki.check(system(cmdline="x" * 2048))
    for kernel in (b"", b"MZ", b"\x1f\x8b" * 999, pe()[:0x90], pe().replace(b"PE\0\0", b"NE\0\0")):
        with pytest.raises(InputError, match="no EFI header"):
            uki.image(system(kernel))
    content = system()
    stub(pe("arm64"))
    with pytest.raises(BuildError, match="is no EFI program for amd64"):
        uki.image(content)
    stub(pe(headers=0x200))
    with pytest.raises(BuildError, match="has no room for 4 more sections"):
        uki.image(content)
    stub(pe()[:0x600])
    with pytest.raises(BuildError, match="is cut off"):
        uki.image(content)


def test_a_stub_that_is_not_there_names_its_package(
    system: Callable[..., Bootable], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"amd64": data.Source("systemd-boot-efi", "nowhere/stub")}
    monkeypatch.setattr(data, "SOURCES", {**data.SOURCES, "efi-stub": ours})
    with pytest.raises(HostError, match="/nowhere/stub is not installed") as caught:
        uki.image(system())
    assert "apt-get install systemd-boot-efi" in str(caught.value.hint)


def test_the_table_is_there_twice_and_protected(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    sectors = 40 * 2048
    image.write_bytes(bytes(sectors * 512))
    gpt.write(image, sectors, bytes(range(32)))
    content = image.read_bytes()
    assert content[446:462] == bytes.fromhex("00000200eeffffff01000000") + struct.pack("<I", sectors - 1)
    for here, other, table in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)):
        header = bytearray(content[here * 512 :][:92])
        entries = content[table * 512 :][: 128 * 128]
        (checksum,) = struct.unpack_from("<I", header, 16)
        header[16:20] = bytes(4)
        assert zlib.crc32(header) == checksum
        assert struct.unpack_from("<QQQQ", header, 24) == (here, other, 34, sectors - 34)
        assert struct.unpack_from("<QIII", header, 72) == (table, 128, 128, zlib.crc32(entries))
    kind, own, first, last = struct.unpack_from("<16s16sQQ", entries)
    assert uuid.UUID(bytes_le=kind) == uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
    assert uuid.UUID(bytes_le=own).version == uuid.UUID(bytes_le=bytes(header[56:72])).version == 4
    assert (first, last - first + 1) == (2048, gpt.partition_sectors(sectors))
    assert last <= sectors - 34


@pytest.mark.parametrize("initrd", [0, 34 * MIB, 200 * MIB, 259 * MIB, 300 * MIB, 1500 * MIB])
def test_the_smallest_disk_has_room_and_no_other(initrd: int) -> None:
    kernel = blobs.Blob(Path("kernel"), 8 * MIB, "00" * 32)
    content = Bootable(kernel, None, None, (blobs.Blob(Path("initrd"), initrd, "00" * 32),), 0)
    smallest = efi.smallest_mib(content)
    efi.check(content, smallest)
    with pytest.raises(InputError, match=f"is too small: what is on it needs {smallest} MiB"):
        efi.check(content, smallest - 1)
    # Tables take two times four bytes for each cluster, and these may have 512 bytes.
    assert smallest <= max(36, (initrd + 8 * MIB) * 1.02 / MIB + 5)
    with pytest.raises(InputError, match="too large"):
        efi.check(content, 2 << 20)


@pytest.mark.parametrize("size_mib", [36, 100, 261, 262, 263, 264, 600, 9000])
def test_a_system_partition_is_a_fat32_of_the_right_kind(size_mib: int) -> None:
    shape = fat.layout(gpt.partition_sectors(size_mib * 2048), fat32=True)
    assert shape.fat32
    clusters = (shape.sectors - 32) // shape.cluster
    # What its tables take is less than this.
    assert clusters - clusters * 8 // 512 // shape.cluster - 2 >= 65525
    assert clusters < 1 << 28


@pytest.mark.network
@pytest.mark.parametrize(
    ("arch", "initrd"),
    [
        ("amd64", 3 * MIB + 1),
        ("arm64", 3 * MIB + 1),
        pytest.param("amd64", 261 * MIB, marks=pytest.mark.long),  # clusters of eight sectors
    ],
)
def test_other_programs_find_a_disk_in_order(
    system: Callable[..., Bootable], tmp_path: Path, checkers: None, arch: str, initrd: int
) -> None:
    content = system(pe(arch), initrd)
    image = tmp_path / "disk"
    image.touch()
    told: list[int] = []
    size = efi.smallest_mib(content)
    efi.write(image, content, size, TIME, told.append)
    assert image.stat().st_size == size * MIB
    assert "No problems found" in run("sgdisk", "-v", image)
    said = run("sgdisk", "-i", "1", image)
    assert "EFI system partition" in said
    at = f"{image}@@{gpt.START * 512}"
    program = programs.run(["mtype", "-i", at, f"::EFI/BOOT/{efi.PROGRAMS[arch]}"]).stdout
    assert program == b"".join(uki.image(content).chunks())
    assert sum(told) == len(program)
    alone = tmp_path / "partition"
    count = gpt.partition_sectors(size * 2048)
    run("dd", f"if={image}", f"of={alone}", "bs=1M", "skip=1", f"count={count // 2048}", "conv=sparse", "status=none")
    checked = run("fsck.fat", "-n", "-v", alone)
    assert "2 FATs, 32 bit entries" in checked
    assert "differences" not in checked.lower()
    assert "2017-04-18" in run("mdir", "-i", at, "::EFI")


@pytest.mark.network
def test_other_programs_take_a_unified_image_apart(
    system: Callable[..., Bootable], tmp_path: Path, checkers: None
) -> None:
    content = system()
    image = tmp_path / "x.efi"
    image.write_bytes(b"".join(uki.image(content).chunks()))
    for name, inside in ((".initrd", b"".join(content.initrd())), (".cmdline", b"console=ttyS0 a=b")):
        out = tmp_path / "section"
        run("objcopy", "-O", "binary", f"--only-section={name}", image, out)
        assert out.read_bytes()[: len(inside)] == inside


@pytest.mark.network
@pytest.mark.parametrize("arch", MACHINES)
def test_other_programs_find_discs_in_order(
    system: Callable[..., Bootable], tmp_path: Path, checkers: None, arch: str
) -> None:
    content = system(pe(arch), cmdline='console=ttyS0 dyndbg="file a.c +p" it\'s=$x')
    assert content.kernel
    for number, write in enumerate((efi_iso.write_unified, efi_iso.write_separate)):
        place = tmp_path / f"with = and \\ {number}"
        place.mkdir()
        image = place / ".x.iso.1.abc.part"
        image.touch()
        write(image, content, TIME, lambda _: None)
        assert list(place.iterdir()) == [image], "nothing is left beside it"
        first = hashlib.sha256(image.read_bytes()).hexdigest()
        write(image, content, TIME, lambda _: None)
        assert hashlib.sha256(image.read_bytes()).hexdigest() == first
        said = run("xorriso", "-no_rc", "-indev", image, "-report_el_torito", "plain", "-report_system_area", "plain")
        assert "UEFI  y   none" in said
        assert "28732ac11ff8d211ba4b00a0c93ec93b" in said, "a stick has a system partition"
        assert "No problems found" in run("sgdisk", "-v", image)
    files = {name: tmp_path / name for name in ("kernel", "initrd.img", "boot/grub/grub.cfg")}
    (tmp_path / "boot/grub").mkdir(parents=True)
    for name, path in files.items():
        path.unlink(missing_ok=True)
        run("xorriso", "-no_rc", "-osirrox", "on", "-indev", image, "-extract", f"/{name}", path)
    assert files["kernel"].read_bytes() == pe(arch)
    assert files["boot/grub/grub.cfg"].read_text().splitlines()[0] == (
        "linux /kernel 'console=ttyS0' 'dyndbg=file a.c +p' 'it'\\''s=$x'"
    )


def test_what_interrupts_leaves_nothing_beside(
    system: Callable[..., Bootable], stub: Callable[[bytes], None], tmp_path: Path
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    image = place / ".x.iso.1.abc.part"
    image.touch()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        efi_iso.write_unified(image, system(), TIME, interrupt)
    assert list(place.iterdir()) == [image]


def test_data_for_other_architectures_is_brought_and_found(tmp_path: Path) -> None:
    assert data.find("efi-stub", "riscv64") is None
    with pytest.raises(HostError, match="no efi-stub for riscv64"):
        data.require("efi-stub", "riscv64")
    data.ensure(["efi-stub"], "riscv64", Reporter())  # there is nothing to bring; who needs it says so
