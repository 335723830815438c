"""Stark's recipe: that its image has what it names, and that its scripts can run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from thanos_tui.files import stark_dir
from thanos_tui.images import recipes

STARK = stark_dir()
SCRIPTS = sorted(
    path
    for path in [*STARK.glob("*.sh"), *STARK.glob("sv/**/*")]
    if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
)
LOOPS = {"apps", "storage"}
PARTS = {path.name for path in (STARK / "sv").iterdir()}


def stated() -> dict[str, recipes.File]:
    recipe = recipes.load(STARK)
    return {file.path: file for file in recipe.select(recipe.feature_names(), "debian", "amd64").files}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(STARK)))
def test_scripts_parse_and_are_in_the_image(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    assert [file.mode for file in stated().values() if file.contents == script.read_bytes()] == [0o755]


def test_shellcheck_finds_nothing() -> None:
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed")
    # Left out: settings that are read from files, and matters of taste.
    left_out = "SC1090,SC1091,SC2154,SC2015,SC2012"
    found = subprocess.run([shellcheck, "-s", "dash", "-e", left_out, *SCRIPTS], capture_output=True, text=True)
    assert found.stdout == ""


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_service_has_what_runit_needs(name: str) -> None:
    files = stated()
    run = (files[f"/etc/sv/{name}/run"].contents or b"").decode()
    # What goes to stderr belongs into the log.
    assert re.search(r"^exec 2>&1$", run, re.MULTILINE)
    # The program takes the shell's place, as runsv signals what it started; or the script itself goes on for ever.
    assert re.search(r"\bexec [^2]", run) or name in LOOPS


def test_services_wait_for_services_that_there_are() -> None:
    for name in PARTS:
        for line in (STARK / "sv" / name / "run").read_text().splitlines():
            if line.startswith("stark wait "):
                assert set(line.split()[2:]) <= PARTS, line
