"""What UEFI boots is booted to a login, for both architectures; and built a second time, it is the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from road import Road

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

FORMATS = ("kernel+initrd", "uki", "raw-efi", "qcow2-efi", "iso-efi", "iso-efi-initrd")
KERNELS = {"amd64": "x86_64", "arm64": "aarch64"}
BOOTS = [
    *(("amd64", form, "qemu") for form in FORMATS[1:]),
    ("amd64", "raw-efi", "virtualbox"),
    ("arm64", "kernel+initrd", "qemu"),
    *(("arm64", form, "qemu") for form in FORMATS[1:] if form != "qcow2-efi"),
]

Builds = Callable[[str, str], dict[str, Path]]


@pytest.fixture(scope="module")
def built(road: Road) -> Builds:
    """Builds the base system for an architecture in all formats, in a directory: by format, the file to boot."""
    known: dict[str, dict[str, Path]] = {}

    def build(arch: str, directory: str) -> dict[str, Path]:
        where = road.home / f"{directory}-{arch}"
        if str(where) not in known:
            path = road.home / f"efi-{arch}.thanos"
            options = f"  hostname: box\n  stark: false\n  sshd.generate-key: true\n  output.architecture: {arch}\n"
            path.write_text(f"thanos: 1\noptions:\n{options}")
            words = [word for name in FORMATS for word in ("--format", name)]
            said = road.out("--replay", path, *words, "--output", where, "--json")
            made: dict[str, Path] = {}
            for event in map(json.loads, said.splitlines()):
                if event["event"] == "artefact":
                    made.setdefault(event["format"], Path(event["path"]))
            assert set(made) == set(FORMATS)
            known[str(where)] = made
        return known[str(where)]

    return build


@pytest.mark.parametrize(("arch", "form", "devices"), BOOTS)
def test_it_boots_to_a_login_and_powers_off(road: Road, built: Builds, arch: str, form: str, devices: str) -> None:
    name = f"{arch}-{form}-{devices}".replace("+", "-")
    if devices == "virtualbox":
        road.run("run", built(arch, "out")[form], "--detach", "--machine", name, "--devices", devices)
    else:
        road.run("run", built(arch, "out")[form], "--detach", "--machine", name)
    try:
        said = road.out("exec", "--timeout", "300", name, "--", "sh", "-c", "hostname; uname -m; ls /sys/firmware")
        hostname, kernel, *firmware = said.split()
        assert (hostname, kernel) == ("box", KERNELS[arch])
        assert ("efi" in firmware) == (form != "kernel+initrd")
    finally:
        road.run("stop", "--timeout", "60", name)
    assert "Power down" in road.out("logs", name)


def test_a_disc_boots_from_a_stick(road: Road, built: Builds) -> None:
    stick = road.home / "stick.img"
    shutil.copyfile(built("amd64", "out")["iso-efi"], stick)
    road.run("run", stick, "--detach", "--machine", "stick", "--firmware", "efi")
    assert road.guest("stick", "ls", "/sys/firmware/efi", "/sys/block/vda")
    road.run("stop", "stick")


@pytest.mark.parametrize("arch", KERNELS)
def test_the_second_time_gives_the_same_bytes(built: Builds, arch: str) -> None:
    first, second = built(arch, "out"), built(arch, "again")
    for form in FORMATS:
        hashes = {hashlib.sha256(made[form].read_bytes()).hexdigest() for made in (first, second)}
        assert len(hashes) == 1, form
