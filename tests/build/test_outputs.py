"""Output formats: the right files, the same bytes everywhere, nothing done twice, nothing half done."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thanos_tui import programs
from thanos_tui.build import blobs, formats, outputs, writers
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError, HostError, InputError, Interrupted
from thanos_tui.events import Artefact, Event, LogLine, Reporter, StepFinished, StepStarted
from thanos_tui.files import replacing
from thanos_tui.tree import Member

File = Callable[..., Member]
Parts = Callable[..., Part]
Build = Callable[..., list[Artefact]]

CMDLINE = b"console=tty0 console=ttyS0,9600\n quiet"
DISKS = ("raw-bios", "vhd", "qcow2-bios")
ALL = ("kernel+initrd", "tar", "docker", "tar-kernel-initrd", *DISKS)
needs_disk_programs = pytest.mark.skipif(
    any(programs.find(name) is None for name in ("mformat", "mcopy", "syslinux", "qemu-img")),
    reason="mtools, syslinux or qemu-utils is not installed",
)


@pytest.fixture
def parts(part: Parts, a_file: File) -> tuple[Part, ...]:
    """A kernel, a root, and a service; 2 MiB, half of which do not compress."""
    kernel = [
        Member("boot", "dir", 0o755),
        a_file("boot/kernel", os.urandom(70_001)),
        a_file("boot/cmdline", CMDLINE),
        a_file("boot/ucode.cpio", b"070701 microcode"),
    ]
    root = [
        Member("bin", "dir", 0o755),
        a_file("bin/sh", os.urandom(1 << 20), mode=0o755),
        a_file("init", b"#!/bin/sh"),
    ]
    return (
        part(kernel, "kernel", "docker.io/library/kernel:1"),
        part(root, "init[0]"),
        part([a_file("containers/services/a/config.json", b"{}" * (1 << 19))], "services[0]"),
    )


@pytest.fixture
def build(parts: tuple[Part, ...], tmp_path: Path) -> Build:
    """Builds ``parts`` as x in the directory ``out``."""

    def make(*names: str, parts: Sequence[Part] = parts, out: Path = tmp_path / "out", **facts: Any) -> list[Artefact]:
        facts.setdefault("cache", tmp_path / "cache")
        return outputs.build(parts, names, out, "x", facts.pop("reporter", Reporter()), **facts)

    return make


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


# What is written


def test_kernel_initrd(build: Build, tmp_path: Path, boot: Callable[[bytes], Any]) -> None:
    artefacts = build("kernel+initrd")
    found = contents(tmp_path / "out")
    assert list(found) == ["x-cmdline", "x-initrd.img", "x-kernel"]
    assert found["x-cmdline"] == CMDLINE
    assert len(found["x-kernel"]) == 70_001
    assert found["x-initrd.img"].startswith(b"070701 microcode\x28\xb5\x2f\xfd")
    assert set(boot(found["x-initrd.img"][16:]).listing()) == {
        *("bin", "bin/sh", "boot", "init", "containers", "containers/services", "containers/services/a"),
        "containers/services/a/config.json",
    }
    assert [Path(artefact.path).name for artefact in artefacts] == ["x-kernel", "x-initrd.img", "x-cmdline"]


def test_no_kernel_and_no_command_line_leave_no_old_ones(
    build: Build, parts: tuple[Part, ...], part: Parts, a_file: File, tmp_path: Path
) -> None:
    build("kernel+initrd")
    assert len(build("kernel+initrd", parts=parts[1:])) == 1
    assert list(contents(tmp_path / "out")) == ["x-initrd.img"]
    # Still right, so nothing is done; a file where there should be none is not right.
    assert len(build("kernel+initrd", parts=parts[1:])) == 1
    (tmp_path / "out" / "x-cmdline").write_text("old")
    build("kernel+initrd", parts=parts[1:])
    assert list(contents(tmp_path / "out")) == ["x-initrd.img"]


def test_an_empty_command_line_is_none(
    build: Build, part: Parts, parts: tuple[Part, ...], a_file: File, tmp_path: Path
) -> None:
    boot = [Member("boot", "dir", 0o755), a_file("boot/cmdline", b""), a_file("boot/kernel", b"kernel")]
    silent = (part(boot, "kernel", "docker.io/library/kernel:1"), *parts[1:])
    build("kernel+initrd")
    made = build("kernel+initrd", "tar-kernel-initrd", parts=silent)
    assert list(contents(tmp_path / "out")) == ["x-initrd.img", "x-initrd.tar", "x-kernel"]
    assert {Path(artefact.path).name for artefact in made} == {"x-initrd.img", "x-initrd.tar", "x-kernel"}
    with tarfile.open(tmp_path / "out" / "x-initrd.tar") as archive:
        assert archive.getnames() == ["kernel", "initrd.img"]


def test_tar_kernel_initrd(build: Build, tmp_path: Path) -> None:
    build("tar-kernel-initrd", "kernel+initrd")
    found = contents(tmp_path / "out")
    with tarfile.open(fileobj=io.BytesIO(found["x-initrd.tar"])) as archive:
        members = {info.name: (info.mode, info.mtime, archive.extractfile(info).read()) for info in archive}  # type: ignore[union-attr]
    assert list(members) == ["kernel", "initrd.img", "cmdline", "ucode.cpio"]
    assert {facts[:2] for facts in members.values()} == {(0o644, 1492533000)}
    assert members["kernel"][2] == found["x-kernel"]
    assert members["cmdline"][2] == CMDLINE
    assert members["ucode.cpio"][2] + members["initrd.img"][2] == found["x-initrd.img"]


def test_tar(build: Build, tmp_path: Path) -> None:
    build("tar")
    with tarfile.open(tmp_path / "out" / "x.tar") as archive:
        assert archive.getmember("boot/kernel").pax_headers["LINUXKIT.location"] == "kernel"


def test_docker(build: Build, tmp_path: Path) -> None:
    build("docker", "tar")
    with tarfile.open(tmp_path / "out" / "x.docker") as archive, tarfile.open(tmp_path / "out" / "x.tar") as plain:
        first, *names = archive.getnames()
        assert names == plain.getnames()
        assert first == "Dockerfile"
        assert b'ENTRYPOINT ["/bin/rc.init"]' in archive.extractfile(first).read()  # type: ignore[union-attr]
    # Docker wants to see an archive in its first block.
    assert (tmp_path / "out" / "x.docker").read_bytes()[156:157] == b"0"


def test_artefacts_say_what_is_there(build: Build, tmp_path: Path) -> None:
    events: list[Event] = []
    artefacts = build(*ALL[:3], reporter=Reporter(events.append))
    assert [event for event in events if isinstance(event, Artefact)] == artefacts
    for artefact in artefacts:
        data = Path(artefact.path).read_bytes()
        assert (artefact.size, artefact.sha256) == (len(data), hashlib.sha256(data).hexdigest())


# The same bytes everywhere


@needs_disk_programs
def test_the_same_parts_are_the_same_bytes_anywhere(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = build(*ALL, size_mib=40)
    away = tmp_path / "a place with spaces, ü and a longer name"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".mtoolsrc").write_text("mtools_lower_case=1\nmtools_no_vfat=1\n")
    for name, value in {"TZ": "America/St_Johns", "LC_ALL": "C", "HOME": str(home), "MTOOLS_NO_VFAT": "1"}.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    old = os.umask(0o027)
    # FAT counts in steps of two seconds.
    time.sleep(2.1)
    try:
        two = build(*ALL, size_mib=40, out=away, cache=tmp_path / "other cache")
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()
    assert [(a.format, a.size, a.sha256) for a in one] == [(a.format, a.size, a.sha256) for a in two]
    assert contents(tmp_path / "out") == contents(away)


@needs_disk_programs
def test_different_content_gives_disks_of_different_identity(
    build: Build, parts: tuple[Part, ...], tmp_path: Path
) -> None:
    build("vhd", size_mib=20)
    first = (tmp_path / "out" / "x.vhd").read_bytes()
    build("vhd", size_mib=20, parts=parts[:2])
    second = (tmp_path / "out" / "x.vhd").read_bytes()
    assert first[440:444] != second[440:444]  # the disk's signature
    assert first[-512 + 68 : -512 + 84] != second[-512 + 68 : -512 + 84]  # the VHD's identifier


# Nothing twice


def test_what_is_right_is_not_written_again(build: Build, tmp_path: Path) -> None:
    first = build(*ALL[:3])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    events: list[Event] = []
    assert build(*ALL[:3], reporter=Reporter(events.append)) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    assert events == first


@pytest.mark.parametrize("how", ["changed", "same size and time", "gone", "other file", "record"])
def test_what_was_touched_is_written_again(build: Build, tmp_path: Path, how: str) -> None:
    first = build("kernel+initrd")
    path = tmp_path / "out" / "x-initrd.img"
    data = path.read_bytes()
    if how == "changed":
        path.write_bytes(data + b"x")
    elif how == "same size and time":
        status = path.stat()
        path.write_bytes(b"x" * len(data))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif how == "gone":
        path.unlink()
    elif how == "other file":
        path.unlink()
        path.write_bytes(b"y" * len(data))
    else:
        (record,) = (tmp_path / "cache" / "outputs").iterdir()
        record.write_text(json.dumps({"identity": 5, "files": []}))
    assert build("kernel+initrd") == first
    assert path.read_bytes() == data


def test_another_part_level_or_name_is_another_output(build: Build, parts: tuple[Part, ...]) -> None:
    first = build("kernel+initrd")
    assert build("kernel+initrd", parts=parts[:2]) != first
    assert build("kernel+initrd", level=3) != first
    assert build("kernel+initrd") == first


# Gone wrong


def test_a_damaged_segment_is_thrown_away_and_made_again(build: Build, tmp_path: Path) -> None:
    first = build("kernel+initrd")
    data = contents(tmp_path / "out")
    largest = max((tmp_path / "cache" / "segments").iterdir(), key=lambda path: path.stat().st_size)
    damaged = bytearray(largest.read_bytes())
    damaged[999] ^= 1
    largest.write_bytes(damaged)
    events: list[Event] = []
    (tmp_path / "out" / "x-initrd.img").unlink()
    assert build("kernel+initrd", reporter=Reporter(events.append)) == first
    assert contents(tmp_path / "out") == data
    told = [event.text for event in events if isinstance(event, LogLine) and event.level == "warning"]
    assert told == [f"{largest} is damaged: it is thrown away and made again"]


@needs_disk_programs
def test_a_damaged_segment_does_not_get_onto_a_disk(build: Build, tmp_path: Path) -> None:
    first = build("raw-bios")
    largest = max((tmp_path / "cache" / "segments").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(b"x" * 999 + largest.read_bytes()[999:])
    (tmp_path / "out" / "x-bios.img").unlink()
    assert build("raw-bios") == first


@pytest.mark.parametrize("format_", ALL)
def test_a_build_that_fails_leaves_what_was_there(
    build: Build, parts: tuple[Part, ...], tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if format_ in DISKS and programs.find("syslinux") is None:
        pytest.skip("syslinux is not installed")
    (tmp_path / "out").mkdir()
    old = {path.name: b"old" for path in formats.get(format_).paths(Path(), "x")}
    for name, data in old.items():
        (tmp_path / "out" / name).write_bytes(data)
    build("tar-kernel-initrd", out=tmp_path / "elsewhere")

    def chunks(_: blobs.Blob) -> Iterator[bytes]:
        yield b"a beginning"
        raise BuildError("and no end")

    monkeypatch.setattr(blobs.Blob, "chunks", chunks)
    broken = Member("f", "file", size=9, open=lambda: io.BytesIO(b"and no end"))
    parts = (*parts, replace(parts[0], members=lambda: iter([broken]))) if format_ in outputs.STREAMED else parts
    with pytest.raises(BuildError):
        build(format_, parts=parts, size_mib=40)
    assert contents(tmp_path / "out") == old


@pytest.mark.parametrize("format_", ["kernel+initrd", "tar", "vhd"])
def test_cancelling_leaves_nothing(build: Build, tmp_path: Path, format_: str) -> None:
    if format_ in DISKS and programs.find("syslinux") is None:
        pytest.skip("syslinux is not installed")

    def listen(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step.startswith("output/"):
            reporter.cancel()

    reporter = Reporter(listen)
    with pytest.raises(Interrupted):
        build(format_, reporter=reporter)
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")


def test_a_killed_build_leaves_no_output_and_its_rest_is_swept_up(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from thanos_tui.files import replacing
with replacing(Path(sys.argv[1])) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "x.vhd"
    done = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".x.vhd.")
    os.utime(left, (0, 0))
    (tmp_path / ".x.vhd2.1.part").write_text("of another file")
    with replacing(path) as stream:
        stream.write(b"whole")
    assert contents(tmp_path) == {".x.vhd2.1.part": b"of another file", "x.vhd": b"whole"}


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Within it, files cannot grow beyond ``size``."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("format_", ALL)
def test_files_that_cannot_grow_are_a_clear_error(
    build: Build, tmp_path: Path, format_: str, part: Parts, a_file: File
) -> None:
    if format_ in DISKS and programs.find("syslinux") is None:
        pytest.skip("syslinux is not installed")
    build("kernel+initrd", out=tmp_path / "elsewhere")  # so that segments are there
    with limited(600_000), pytest.raises(HostError, match=r"cannot write .*x.*: File too large") as caught:
        build(format_, size_mib=40)
    assert "limit" in str(caught.value.hint)
    assert contents(tmp_path / "out") == {}


def test_no_space_is_found_out_before_work_starts(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(HostError, match=r"the segments of components will take 1 MiB, and .* has 0 MiB free"):
        build("kernel+initrd")
    with pytest.raises(HostError, match=r"x\.tar will take 3 MiB"):
        build("tar")
    assert not list(tmp_path.rglob("x*"))


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system takes root")
@needs_disk_programs
@pytest.mark.parametrize("format_", ALL)
def test_a_full_disk(build: Build, tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", out], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        # The look ahead would see it; what is tested is what happens when the space goes while a build runs.
        monkeypatch.setattr("thanos_tui.build.writers.require_space", lambda *_: None)
        with pytest.raises(HostError, match=r"cannot write .*: No space left on device") as caught:
            build(format_)
        assert "free some space" in str(caught.value.hint)
        assert not list(out.iterdir())
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_directory_that_cannot_be_written(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(HostError, match=r"cannot write .*/out: Read-only file system") as caught:
        build("kernel+initrd")
    assert "read-only" in str(caught.value.hint)
    assert not (tmp_path / "cache" / "segments").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(build: Build, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(HostError, match=r"cannot write .*/out: Permission denied"):
        build("kernel+initrd")


def test_a_machine_with_too_little_memory_is_warned_of(build: Build) -> None:
    for _ in range(2):  # The second time, nothing has to be built to know it.
        events: list[Event] = []
        build("kernel+initrd", reporter=Reporter(events.append), memory_mib=64)
        assert [event.text for event in events if isinstance(event, LogLine) and event.level == "warning"] == [
            "a machine with 64 MiB of memory will probably not boot this: it takes about 256 MiB"
        ]
    events = []
    build("kernel+initrd", reporter=Reporter(events.append), memory_mib=256)
    assert not [event for event in events if isinstance(event, LogLine) and event.level == "warning"]


def test_what_cannot_be_is_refused_before_work(build: Build, parts: tuple[Part, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no output format qcow2") as caught:
        build("qcow2")
    assert "qcow2-" in str(caught.value.hint)
    with pytest.raises(InputError, match="raw-bios exists for amd64 only, not for arm64"):
        build("raw-bios", arch="arm64")
    for name in ("", "..", "a/b"):
        with pytest.raises(InputError, match="an output cannot be called"):
            outputs.build(parts, ["tar"], tmp_path, name, Reporter(), cache=tmp_path)
    (tmp_path / "out" / "x.tar").mkdir(parents=True)
    with pytest.raises(InputError, match=r"x\.tar is a directory"):
        build("tar")
    assert not (tmp_path / "cache").exists()


@needs_disk_programs
def test_what_is_compressed_already_can_be_too_much(
    build: Build, parts: tuple[Part, ...], part: Parts, a_file: File, tmp_path: Path
) -> None:
    more = (*parts, part([a_file("more", os.urandom(9999))], "services[1]"))
    build("kernel+initrd")
    kept = {path: path.read_bytes() for path in (tmp_path / "cache" / "segments").glob(f"{parts[1].key}-*.zst")}
    assert len(kept) == 1
    (path,) = kept
    for mib, names, said, remedy in (
        (4096, ["raw-bios"], "holds files of up to 4095 MiB", "choose the format kernel+initrd"),
        (2048, ["tar", "uki"], "may have less than 2048 MiB", "choose the format kernel+initrd"),
        (513, ["rpi3"], "can unpack 512 MiB at most", "leave components out"),
    ):
        with path.open("wb") as stream:  # a hole, and the end that a cached file has
            stream.truncate(mib << 20)
            stream.seek(0, os.SEEK_END)
            stream.write(bytes(32) + (mib << 20).to_bytes(8, "big"))
        events: list[Event] = []
        with pytest.raises(InputError, match=said) as caught:
            build(*names, parts=more, reporter=Reporter(events.append), out=tmp_path / "other")
        assert remedy in str(caught.value.hint)
        assert events == [], "nothing was compressed or written"
    path.write_bytes(kept[path])
    assert build("raw-bios", parts=more, out=tmp_path / "other")


def test_missing_programs_are_named_all_at_once(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda _: None)
    with pytest.raises(HostError, match="not installed: mformat, mcopy, syslinux, qemu-img") as caught:
        build("vhd", "qcow2-bios")
    assert "apt-get install mtools syslinux qemu-utils" in str(caught.value.hint)
    assert build("kernel+initrd")


def test_steps_come_in_order(build: Build) -> None:
    events: list[Event] = []
    build("kernel+initrd", "tar", reporter=Reporter(events.append))
    steps = [(event.step, event.ok) for event in events if isinstance(event, StepFinished)]
    assert steps == [("segments", True), ("output/kernel+initrd", True), ("output/tar", True)]


def test_every_declared_format_has_a_writer() -> None:
    assert set(writers.BOOTABLE) | set(writers.ROOTS) | set(outputs.STREAMED) == set(formats.load())
    assert all(format_.help and format_.files for format_ in formats.load().values())
