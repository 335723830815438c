"""Disks in other formats, optical discs, images of the root filesystem: foreign programs read them; the bytes stay."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from thanos_tui import programs
from thanos_tui.build import blobs, formats, preflight, rootimage, writers
from thanos_tui.build.initrd import Bootable
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import InputError, ThanosError
from thanos_tui.events import Event, LogLine, Reporter, Step
from thanos_tui.images import data, tools
from thanos_tui.tree import MTIME, Member
from thanos_tui.vm import qemu

pytestmark = pytest.mark.network

File = Callable[..., Member]
MIB = 1 << 20
CONVERTED = {"aws": "raw", "dynamic-vhd": "vpc", "vmdk": "vmdk", "vdi": "vdi"}


@pytest.fixture(scope="session", autouse=True)
def programs_of_formats() -> None:
    """What the formats take, and unsquashfs and fsck.erofs, which come along."""
    wanted = {program for form in formats.load().values() for program in form.needs}
    try:
        tools.ensure(wanted, Reporter())
        data.ensure(["isolinux", "isohybrid", "ldlinux"], "amd64", Reporter())
    except ThanosError as error:
        pytest.skip(f"the programs cannot be had here: {error}")


def run(*argv: str | Path) -> str:
    return programs.run(list(argv), env={"TZ": "UTC0"}).stdout.decode()


@pytest.fixture
def job(tmp_path: Path, blob: Callable[[str, bytes], blobs.Blob]) -> Callable[..., writers.Job]:
    """Makes a job for a format: some MiB to boot, which are the same in every job of a test."""

    pieces = (blob("initrd", os.urandom(2 * MIB)), b"end!")
    system = Bootable(blob("kernel", os.urandom(70_001)), blob("cmdline", b"console=ttyS0"), None, pieces, 4 * MIB)

    def make(form: str, place: str = "out", name: str = "x", size_mib: int | None = None) -> writers.Job:
        (tmp_path / place).mkdir(exist_ok=True)
        paths = formats.get(form).paths(tmp_path / place, name)
        return writers.Job(system, paths, size_mib, 20, Step(Reporter(), "output", None))

    return make


def make(job: writers.Job, form: str) -> Path:
    (path,) = writers.BOOTABLE[form](job)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return path


def assert_boots_from_what_it_should(job: writers.Job, raw: Path) -> None:
    at = f"{raw}@@{2048 * 512}"
    assert programs.run(["mtype", "-i", at, "::kernel"]).stdout == job.system.kernel.read()  # type: ignore[union-attr]
    assert programs.run(["mtype", "-i", at, "::initrd.img"]).stdout == b"".join(job.system.initrd())


@pytest.mark.parametrize(("form", "kind"), CONVERTED.items())
def test_converted_disks(job: Callable[..., writers.Job], tmp_path: Path, form: str, kind: str) -> None:
    path = make(job(form), form)
    if kind in ("vmdk", "vdi"):
        run("qemu-img", "check", "-f", kind, path)
    assert json.loads(run("qemu-img", "info", "--output=json", "-f", kind, path))["virtual-size"] == 20 * MIB
    raw = tmp_path / "raw"
    run("qemu-img", "convert", "-f", kind, "-O", "raw", path, raw)
    assert_boots_from_what_it_should(job(form), raw)
    assert qemu.boot_of(path).format == kind


def test_a_dynamic_vhd_has_its_footer_twice(job: Callable[..., writers.Job]) -> None:
    content = make(job("dynamic-vhd"), "dynamic-vhd").read_bytes()
    assert content[:512] == content[-512:]
    assert content[512:520] == b"cxsparse"
    assert sum(content[:64] + content[68:512]) == ~int.from_bytes(content[64:68], "big") & 0xFFFF_FFFF


def test_names_in_a_vmdk_end_no_line(job: Callable[..., writers.Job]) -> None:
    path = make(job("vmdk", name='a"b\nCID=x'), "vmdk")
    text = path.read_bytes()[512 : 21 * 512].rstrip(b"\0").decode()
    assert 'SPARSE "a_b_CID=x.vmdk"' in text
    assert text.count("CID=") == 3  # its own, its parent's, and the one in its name


def test_google_gets_whole_gibibytes(job: Callable[..., writers.Job], tmp_path: Path) -> None:
    path = make(job("gcp"), "gcp")
    assert path.stat().st_size < 10 * MIB
    with tarfile.open(path) as archive:
        (member,) = archive
        assert (member.name, member.size, member.mtime) == ("disk.raw", 1024 * MIB, MTIME)
        assert member.issparse()
        assert (member.uid, member.mode) == (0, 0o644)
    run("tar", "-xSf", path, "-C", tmp_path)
    assert_boots_from_what_it_should(job("gcp"), tmp_path / "disk.raw")
    other = make(job("gcp", "other", size_mib=1025), "gcp")
    with tarfile.open(other) as archive:
        assert archive.getmember("disk.raw").size == 2048 * MIB


def test_a_machine_to_import(job: Callable[..., writers.Job], tmp_path: Path) -> None:
    path = make(job("ova", name="a&b"), "ova")
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["machine.ovf", "machine.mf", "machine-disk1.vmdk"]
        assert not any(member.pax_headers for member in archive)
        archive.extractall(tmp_path, filter="data")
    for line in (tmp_path / "machine.mf").read_text().splitlines():
        name, value = line.removeprefix("SHA256(").split(")= ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == value
    names = {"o": "http://schemas.dmtf.org/ovf/envelope/1"}
    tree = ElementTree.parse(tmp_path / "machine.ovf")  # noqa: S314
    said = {
        key.rpartition("}")[2]: value for each in tree.iterfind(".//*", names) for key, value in each.attrib.items()
    }
    disk_file = tmp_path / "machine-disk1.vmdk"
    assert said["href"] == disk_file.name
    assert (int(said["size"]), int(said["capacity"])) == (disk_file.stat().st_size, 20 * MIB)
    assert tree.findtext(".//o:Name", namespaces=names) == "a&b"
    run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk_file, tmp_path / "raw")
    assert_boots_from_what_it_should(job("ova"), tmp_path / "raw")


def test_an_optical_disc(job: Callable[..., writers.Job], tmp_path: Path) -> None:
    path = make(job("iso-bios"), "iso-bios")
    said = run("xorriso", "-no_rc", "-indev", path, "-report_el_torito", "plain", "-report_system_area", "plain")
    assert "/isolinux/isolinux.bin" in said
    assert "isohybrid" in said
    run("xorriso", "-no_rc", "-osirrox", "on", "-indev", path, "-extract", "/", tmp_path / "disc")
    assert (tmp_path / "disc/kernel").read_bytes() == job("iso-bios").system.kernel.read()  # type: ignore[union-attr]
    assert (tmp_path / "disc/initrd.img").read_bytes() == b"".join(job("iso-bios").system.initrd())
    assert "APPEND console=ttyS0" in (tmp_path / "disc/isolinux/isolinux.cfg").read_text()
    assert qemu.boot_of(path).medium == "cd"


# Images of the root filesystem


@pytest.fixture
def parts(part: Callable[..., Part], a_file: File) -> tuple[Part, ...]:
    """All that a root filesystem can have in it."""
    root = [
        Member("usr", "dir", 0o755),
        Member("usr/lib", "dir", 0o711, uid=7),
        Member("lib", "symlink", 0o777, linkname="usr/lib"),
        a_file("usr/su", b"su" * 3000, mode=0o4755, uid=100, gid=70_000),
        Member("usr/same", "hardlink", linkname="usr/su"),
        Member("dev/null", "char", 0o666, device=(1, 3)),
        Member("dev/loop0", "block", 0o660, gid=6, device=(7, 0)),
        Member("fifo", "fifo", 0o600),
        a_file("a name with spaces, ünïcode " + "y" * 150, b""),
        a_file("/".join("abcdefghijk"), b"deep"),
        a_file("secret", b"s", mode=0o000),
        Member("closed", "dir", 0o000),
    ]
    return part(root), part([a_file("lib/later", b"behind a link", mtime=1_400_000_000)])


@pytest.fixture
def image(parts: Sequence[Part], tmp_path: Path) -> Callable[..., Path]:
    """Makes an image of the parts, by the form."""

    def write(form: str, place: str = "out", complete: bool = False) -> Path:
        (tmp_path / place).mkdir()
        name = next(name for name, found in writers.ROOTS.items() if found == form)
        paths = formats.get(name).paths(tmp_path / place, "x")
        stage = Bootable(None, None, None, (b"early",), 0)
        root = writers.Root(parts, stage, complete, paths, Step(Reporter(), "output", None))
        assert list(writers.root_image(root, form)) == [paths[0], *([paths[3]] if complete else [])]
        return paths[0]

    return write


def beside(program: str, name: str) -> Path:
    return programs.require(program).with_name(name)


def test_a_squashfs(image: Callable[..., Path]) -> None:
    said = run(beside("mksquashfs", "unsquashfs"), "-lln", image("squashfs"))
    facts = {" ".join(line.split()[5:]): line.split()[:3] for line in said.splitlines()}
    assert facts["squashfs-root/usr/su"] == ["-rwsr-xr-x", "100/70000", "6000"]
    assert facts["squashfs-root/usr/same"] == facts["squashfs-root/usr/su"]
    assert facts["squashfs-root/secret"][0] == "----------"
    assert facts["squashfs-root/closed"][0] == "d---------"
    assert facts["squashfs-root/usr/lib"][:2] == ["drwx--x--x", "7/0"]
    assert "crw-rw-rw- 0/0                   1,  3" in said
    assert "brw-rw---- 0/6                   7,  0" in said
    assert "2014-05-13 16:53 squashfs-root/usr/lib/later" in said
    assert "squashfs-root/lib -> usr/lib" in said


def test_an_erofs(image: Callable[..., Path]) -> None:
    path = image("erofs")
    run(beside("mkfs.erofs", "fsck.erofs"), path)
    dump = beside("mkfs.erofs", "dump.erofs")
    said = run(dump, "--path=/usr/su", path)
    assert "Size: 6000" in said
    assert "Links: 2" in said
    assert "Uid: 100   Gid: 70000" in said
    assert "char dev" in run(dump, "--path=/dev/null", path)
    assert "Uid: 7 " in run(dump, "--path=/usr/lib", path)
    assert "Size: 13" in run(dump, "--path=/usr/lib/later", path)


def test_an_iso(image: Callable[..., Path]) -> None:
    said = run("xorriso", "-no_rc", "-indev", image("iso"), "-find", "/", "-exec", "lsdl", "--")
    facts = {line.rpartition("2017 ")[2].split(" -> ")[0].strip("'"): line.split() for line in said.splitlines()}
    assert [facts["/usr/su"][0], *facts["/usr/su"][2:5]] == ["-rwsr-xr-x", "100", "70000", "6000"]
    assert facts["/dev/null"][0] == "crw-rw-rw-"
    assert facts["/dev/loop0"][4] == "7,0"
    assert facts["/a/b/c/d/e/f/g/h/i/j/k"][4] == "4"
    assert "'/lib' -> 'usr/lib'" in said


def test_attributes_that_an_image_does_not_keep_are_told(
    part: Callable[..., Part], a_file: File, tmp_path: Path
) -> None:
    lost = part([a_file(name, pax={"SCHILY.xattr.security.capability": "x"}) for name in ("ping", "other")])
    (tmp_path / "out").mkdir()
    paths = formats.get("kernel+squashfs").paths(tmp_path / "out", "x")
    events: list[Event] = []
    stage = Bootable(None, None, None, (b"early",), 0)
    writers.root_image(
        writers.Root((lost,), stage, False, paths, Step(Reporter(events.append), "output", None)), "squashfs"
    )
    (told,) = [event.text for event in events if isinstance(event, LogLine)]
    assert told.startswith("ping: extended attributes")
    assert "`tar`" in told


@pytest.mark.parametrize("form", rootimage.FORMS)
def test_images_are_the_same_bytes_twice(
    image: Callable[..., Path], tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image(form).read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    # Inode numbers of another order.
    for number in range(50):
        (tmp_path / f"spare{number}").touch()
    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.05)
    before = os.umask(0o077)
    try:
        assert image(form, "elsewhere").read_bytes() == first
    finally:
        os.umask(before)


def test_a_root_is_booted_by_the_kernel_beside_it(image: Callable[..., Path]) -> None:
    for form, kind in (("squashfs", "squashfs"), ("erofs", "erofs"), ("iso", "iso9660")):
        path = image(form, form, complete=True)
        (path.parent / "x-kernel").write_bytes(b"kernel")
        boot = qemu.boot_of(path)
        assert (boot.root, boot.disk, boot.kernel) == (kind, path, path.parent / "x-kernel")
        assert boot.initrd == path.parent / "x-early.img"
        assert qemu.boot_of(path.parent / "x") == boot


# Names and limits


def test_formats_of_one_name_make_room_for_each_other() -> None:
    def files(*names: str) -> Any:
        return {form.name: form.files for form in formats.together(names)}

    assert files("dynamic-vhd") == {"dynamic-vhd": (".vhd",)}
    assert files("dynamic-vhd", "vhd") == {"dynamic-vhd": ("-dynamic.vhd",), "vhd": (".vhd",)}
    assert files("kernel+iso", "iso-bios")["iso-bios"] == ("-bios.iso",)
    assert files("iso-bios", "iso-efi")["iso-bios"] == (".iso",)


def test_all_formats_together_have_names_of_their_own() -> None:
    seen: list[str] = []
    for form in formats.together(formats.load()):
        seen += [suffix for suffix in form.files if suffix not in formats.SHARED]
    assert len(seen) == len(set(seen))


def test_limits_are_known_before_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2088961 MiB is too large for dynamic-vhd, which goes up to 2088960 MiB"):
        preflight.check(formats.together(["dynamic-vhd"]), tmp_path, "x", "amd64", 2_088_961)
