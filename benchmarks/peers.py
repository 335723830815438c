"""The menuconfigs that ours is measured against: installed at fixed versions, each in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thanos_tui.files import cache_dir


@dataclass(frozen=True)
class Program:
    """Something with a menu to time.

    argv: what starts it. shown: what its first menu shows, as a regular expression. environment: besides the user's.
    """

    name: str
    argv: tuple[str, ...]
    shown: str
    environment: Mapping[str, str] = field(default_factory=dict)


def installed(kconfig: Path) -> list[Program]:
    """The peers on a Kconfig file, installed into the cache first; those that cannot be are named on stderr."""
    found = []
    for name, package, command in (
        ("esp-idf-kconfig 3.14.0 (Textual)", "esp-idf-kconfig==3.14.0", ("bin/python", "-m", "esp_menuconfig")),
        ("kconfiglib 14.1.0 (curses)", "kconfiglib==14.1.0", ("bin/python", "-m", "menuconfig")),
    ):
        place = cache_dir() / "benchmarks" / package.replace("==", "-")
        try:
            _install(package, place)
        except subprocess.CalledProcessError as error:
            print(f"{package} cannot be installed ({error}): not compared", file=sys.stderr)
            continue
        program, *words = command
        argv = (str(place / program), *words, str(kconfig))
        settings = {"KCONFIG_CONFIG": str(kconfig.with_name(".config")), "MENUCONFIG_STYLE": ""}
        found.append(Program(name, argv, "Output", settings))
    return found


def _install(package: str, place: Path) -> None:
    ready = place / "ready"
    if ready.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    pip = [str(place / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", package]
    subprocess.run(pip, check=True)
    # As an installed program is: its modules compiled.
    subprocess.run([str(place / "bin/python"), "-m", "compileall", "-q", str(place / "lib")], check=False)
    ready.touch()
