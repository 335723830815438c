"""Running other programs: one wrapper, argv lists only, and errors that say what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.errors import BuildError, HostError

# Which Debian/Ubuntu package brings a program; errors and the set-up name them from here.
PACKAGES: Mapping[str, str] = {
    "apt-get": "apt",
    "depmod": "kmod",
    "gpgv": "gpgv",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mkfs.fat": "dosfstools",
    "qemu-img": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "syslinux": "syslinux",
}


@dataclass(frozen=True)
class Finished:
    """What a program that ended left behind."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


def find(program: str) -> Path | None:
    """Where ``program`` is; the sbin directories count even where an ordinary user's PATH leaves them out."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def require(program: str) -> Path:
    """Where ``program`` is; raises HostError naming the package that has it."""
    found = find(program)
    if found is None:
        package = PACKAGES.get(program, program)
        raise HostError(f"the program {program} is not installed", hint=f"install it: apt-get install {package}")
    return found


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    check: bool = True,
    timeout: float | None = None,
) -> Finished:
    """Run a program to its end and return what it said.

    env: added to this process's environment. With ``check`` a status other than 0 raises BuildError with the last
    lines the program wrote to stderr. Locale is C, so that messages can be read by a program.
    """
    program = require(str(argv[0])) if "/" not in str(argv[0]) else Path(argv[0])
    words = [str(program), *map(str, argv[1:])]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", **(env or {})}
    try:
        done = subprocess.run(words, cwd=cwd, env=environment, input=stdin, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{program.name} did not end within {timeout:.0f} s") from error
    except OSError as error:
        raise HostError(f"cannot run {program}: {error.strerror}") from error
    finished = Finished(tuple(words), done.returncode, done.stdout, done.stderr)
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise BuildError(f"{program.name} failed with status {done.returncode}", hint="\n  ".join(said) or None)
    return finished
