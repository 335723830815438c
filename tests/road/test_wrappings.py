"""Disks for other hypervisors and clouds, discs, and root filesystems on a disk: each is booted, as QEMU can."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import Dockerd, running
from road import Road

from thanos_tui import programs

# Each boots for half a minute or more.
pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

ROOTS = {"kernel+squashfs": "squashfs", "kernel+erofs": "erofs", "kernel+iso": "iso9660"}
# What is booted from inside of an archive.
INSIDE = {"gcp": "disk.raw", "ova": "machine-disk1.vmdk", "tar-kernel-initrd": "kernel"}
BOOTS = ("tar-kernel-initrd", "aws", "gcp", "dynamic-vhd", "vmdk", "vdi", "ova", "iso-bios", *ROOTS)
FORMATS = ("vhd", "docker", *BOOTS)


@pytest.fixture(scope="session")
def wrapped(road: Road, profile: Path) -> dict[str, Path]:
    """The shared profile in all of these formats at once, by format: the first file of each."""
    words = [word for name in FORMATS for word in ("--format", name)]
    said = road.out("--replay", profile, *words, "--output", road.home / "wrapped", "--json")
    made: dict[str, Path] = {}
    for event in map(json.loads, said.splitlines()):
        if event["event"] == "artefact":
            made.setdefault(event["format"], Path(event["path"]))
    assert set(made) == set(FORMATS)
    assert len(set(made.values())) == len(FORMATS)
    return made


def unpacked(path: Path, place: Path, name: str) -> Path:
    """What boots, from inside an archive: a kernel with what goes with it, or a raw disk."""
    with tarfile.open(path) as archive:
        archive.extractall(place, filter="data")
    if name == "kernel":
        for each in (name, "initrd.img", "cmdline"):
            (place / each).rename(place / f"x-{each}")
        return place / "x-kernel"
    raw = place / f"{name}.raw"
    form = "vmdk" if name.endswith(".vmdk") else "raw"
    programs.run(["qemu-img", "convert", "-f", form, "-O", "raw", place / name, raw])
    return raw


@pytest.mark.parametrize("form", BOOTS)
def test_it_boots(road: Road, wrapped: dict[str, Path], tmp_path: Path, form: str) -> None:
    image = wrapped[form]
    if form in INSIDE:
        image = unpacked(image, tmp_path, INSIDE[form])
    name = form.replace("+", "-")
    road.run("run", image, "--detach", "--machine", name)
    try:
        assert road.guest(name, "cat", "/proc/sys/kernel/hostname").strip() == "box"
        lines = road.guest(name, "ctr", "-n", "services.linuxkit", "task", "ls").splitlines()[1:]
        assert {line.split()[2] for line in lines} == {"RUNNING"}
        if form in ROOTS:
            assert f" / {ROOTS[form]} ro," in road.guest(name, "sh", "-c", "cat /proc/1/mounts")
    finally:
        road.run("stop", name)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """A Docker engine with room for the image and what it is built from."""
    with running(tmp_path_factory.mktemp("docker"), 1024) as started:
        yield started


def test_docker_builds_an_image_of_it(wrapped: dict[str, Path], engine: Dockerd) -> None:
    command = ["docker", "--host", f"unix://{engine.socket}", "build", "--quiet", "-"]
    with wrapped["docker"].open("rb") as archive:
        # The builder that comes with Docker itself; the other one is a package of its own.
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(command, stdin=archive, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    image = json.loads(engine.cli("image", "inspect", done.stdout.strip()))[0]
    assert image["Config"]["Entrypoint"] == ["/bin/rc.init"]
    container = engine.cli("create", done.stdout.strip()).strip()
    words = ["docker", "--host", f"unix://{engine.socket}", "cp", f"{container}:/usr/bin/service", "-"]
    copied = subprocess.run(words, capture_output=True)
    assert copied.stdout.startswith(b"service\0"), copied.stderr
