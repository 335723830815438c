"""The recipes of the base system: that they state what they use, and that their scripts can run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from thanos_tui.images import recipes
from thanos_tui.linuxkit import config

RECIPES = Path(__file__).parents[2] / "assets" / "linuxkit" / "recipes"
NAMES = ["containerd", "dhcp", "getty", "init", "kernel", "ntp", "rngd", "runc", "sshd", "storage", "sysctl"]
SCRIPTS = sorted(
    path for name in NAMES for path in (RECIPES / name).iterdir() if path.read_bytes().startswith(b"#!/bin/sh\n")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_parse_and_can_be_started(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    stated = [file for file in recipes.load(script.parent).base.files if file.contents == script.read_bytes()]
    assert [file.mode for file in stated] == [0o755]


def test_shellcheck_finds_nothing() -> None:
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed")
    # Left out: functions that are called by their name in a variable, `read -t` (busybox has it), and matters of taste.
    left_out = "SC2317,SC3045,SC2154,SC2015,SC2086,SC2012,SC2013"
    found = subprocess.run([shellcheck, "-s", "dash", "-e", left_out, *SCRIPTS], capture_output=True, text=True)
    assert found.stdout == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_file_beside_a_recipe_is_used(name: str) -> None:
    contents = {file.contents for file in recipes.load(RECIPES / name).base.files}
    unused = [
        path.name
        for path in (RECIPES / name).iterdir()
        if path.name != "recipe.yml" and path.read_bytes() not in contents
    ]
    assert unused == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_recipes_hold_for_both_architectures(name: str, arch: str) -> None:
    selection = recipes.load(RECIPES / name).select([], "debian", arch)
    named = [*selection.programs, *selection.libraries, *selection.include, *(file.path for file in selection.files)]
    assert [path for path in named if re.search(r"x86|aarch64|linux-gnu|ld-linux", path)] == []


@pytest.mark.parametrize("name", ["dhcp", "getty", "ntp", "rngd", "sshd", "storage", "sysctl"])
def test_name_and_image_are_enough_for_a_component(name: str) -> None:
    recipe = recipes.load(RECIPES / name)
    assert recipe.base.config["Cmd"]
    assert recipe.base.label["capabilities"]
    settings = "".join(f"    {key}: {value!r}\n" for key, value in recipe.base.label.items())
    text = f"services:\n  - name: {name}\n    image: x\n{settings}"
    # A label is YAML of a component's own keys: what the language refuses there, it would refuse in the image.
    config.read(text, name)


def test_init_has_what_upstream_images_rely_on() -> None:
    files = {
        file.path: file for name in ("init", "runc", "containerd") for file in recipes.load(RECIPES / name).base.files
    }
    service = "/usr/bin/service"
    for path in (
        "/etc/init.d/005-volumes",
        "/etc/init.d/010-onboot",
        "/etc/init.d/020-containerd",
        "/etc/shutdown.d/010-onshutdown",
    ):
        assert files[path].symlink == service
    assert {
        "/init",
        "/bin/rc.init",
        "/bin/rc.shutdown",
        service,
        "/etc/inittab",
        "/sbin/init",
        "/sbin/modprobe",
    } <= set(files)


def test_sshd_asks_for_keys_only() -> None:
    settings = (RECIPES / "sshd" / "sshd_config").read_text().splitlines()
    assert {
        "Port 1234",
        "AuthenticationMethods publickey",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
    } <= set(settings)


@pytest.mark.parametrize("name", ["getty", "init", "sshd"])
def test_no_image_has_a_password(name: str) -> None:
    shadow = next(file for file in recipes.load(RECIPES / name).base.files if file.path == "/etc/shadow")
    assert shadow.mode == 0o600
    assert shadow.contents is not None
    assert {line.split(":")[1] for line in shadow.contents.decode().splitlines()} == {"*"}
