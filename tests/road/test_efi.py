"""What UEFI boots, and all that arm64 boots, is booted to a login; and built a second time, it is the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from road import Road

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

UEFI = ("uki", "raw-efi", "qcow2-efi", "iso-efi", "iso-efi-initrd")
# amd64's others are in test_formats.py and test_wrappings.py.
FORMATS = {"amd64": UEFI, "arm64": ("kernel+initrd", *UEFI, "kernel+squashfs", "kernel+erofs", "kernel+iso")}
KERNELS = {"amd64": "x86_64", "arm64": "aarch64"}
BOOTS = [
    *((arch, form, "qemu") for arch, forms in FORMATS.items() for form in forms),
    ("amd64", "raw-efi", "virtualbox"),
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
            words = [word for name in FORMATS[arch] for word in ("--format", name)]
            said = road.out("--replay", path, *words, "--output", where, "--json")
            made: dict[str, Path] = {}
            for event in map(json.loads, said.splitlines()):
                if event["event"] == "artefact":
                    made.setdefault(event["format"], Path(event["path"]))
            assert set(made) == set(FORMATS[arch])
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
        assert ("efi" in firmware) == (form in UEFI)
    finally:
        road.run("stop", "--timeout", "60", name)
    assert "Power down" in road.out("logs", name)


def test_a_disc_boots_from_a_stick(road: Road, built: Builds) -> None:
    stick = road.home / "stick.img"
    shutil.copyfile(built("amd64", "out")["iso-efi"], stick)
    road.run("run", stick, "--detach", "--machine", "stick", "--firmware", "efi")
    assert road.guest("stick", "ls", "/sys/firmware/efi", "/sys/block/vda")
    road.run("stop", "stick")


def test_an_image_that_no_build_is_known_to_have_made_runs_as_what_it_is_for(road: Road, built: Builds) -> None:
    image = road.home / "found-kernel"
    for end in ("kernel", "initrd.img", "cmdline"):
        shutil.copyfile(
            str(built("arm64", "out")["kernel+initrd"]).removesuffix("kernel") + end, road.home / f"found-{end}"
        )
    road.run("run", image, "--detach", "--machine", "found")
    assert road.out("exec", "--timeout", "300", "found", "--", "uname", "-m").strip() == "aarch64"
    road.run("stop", "--timeout", "60", "found")


@pytest.mark.parametrize("arch", KERNELS)
def test_the_second_time_gives_the_same_bytes(built: Builds, arch: str) -> None:
    first, second = built(arch, "out"), built(arch, "again")
    for form in FORMATS[arch]:
        hashes = {hashlib.sha256(made[form].read_bytes()).hexdigest() for made in (first, second)}
        assert len(hashes) == 1, form
