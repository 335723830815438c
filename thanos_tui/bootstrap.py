"""Set up a fresh Debian or Ubuntu machine: system packages, then a virtual environment with this project in it.

Run by ``make`` with the machine's own Python before anything is installed, so it uses the standard library only and
imports nothing of this package. It may be run again at any time: what is there already is left alone.

Root (or password-less sudo) installs missing packages with apt, after naming them. Without root it names what to ask
the administrator for and goes on: pip then comes from the distribution's own pip wheel, fetched and verified by apt in
a state directory of its own, and the programs a build needs are fetched when it needs them (see ``docs/set-up.md``).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
VENV = TOP / ".venv"

# What an ordinary user wants on the machine: without these a build fetches and unpacks them into its cache.
SYSTEM = {
    "ca-certificates": "certificates for HTTPS mirrors",
    "mtools": "writes FAT file systems without root (disk formats)",
    "python3-venv": "the virtual environment",
    "qemu-system-x86": "runs the machines",
    "qemu-utils": "qemu-img, for qcow2",
    "syslinux": "makes disk images bootable",
    "syslinux-common": "makes disk images bootable",
}
# What the tests use besides: foreign tools that read what we wrote, and servers for the machines to talk to.
TESTING = {
    "binutils": "reads programs' headers (readelf)",
    "dosfstools": "checks FAT file systems",
    "cpio": "reads initramfs archives back",
    "fdisk": "reads partition tables back",
    "git": "names what changed",
    "gnupg": "signs the tests' own package repository",
    "openssh-client": "a second SSH client",
    "openssh-server": "a second SSH server",
    "shellcheck": "reads our shell scripts",
    "tmux": "a terminal to run the app in",
    "xterm": "a terminal with pictures",
    "xvfb": "a display for it that nobody sees",
    "zstd": "reads segments back",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(argv: Sequence[str], **environment: str) -> None:
    """Run a program with its output on stderr; a failure ends the set-up with its status."""
    say("+ " + " ".join(argv))
    done = subprocess.run(argv, stdout=sys.stderr, env={**os.environ, **environment})
    if done.returncode != 0:
        raise SystemExit(f"set-up: {argv[0]} failed with status {done.returncode}")


def missing(packages: Sequence[str]) -> list[str]:
    """Which of the packages dpkg does not know as installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
    answer = subprocess.run(query, capture_output=True, text=True)
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: dict[str, str]) -> None:
    """Install what is missing, or say what to ask for."""
    if not shutil.which("dpkg-query") or not shutil.which("apt-get"):
        say("set-up: this is no Debian or Ubuntu machine; going on with what is there")
        return
    lacking = missing(list(packages))
    if not lacking:
        return
    say("set-up: these packages are not installed yet:")
    for package in lacking:
        say(f"  {package:<18} {packages[package]}")
    become_root: list[str] = []
    if os.geteuid() != 0:
        become_root = ["sudo", "-n"]
        allowed = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
        if not allowed:
            say("set-up: not root, so please ask for them:")
            say(f"  sudo apt-get install --no-install-recommends {' '.join(lacking)}")
            say("set-up: going on without them; builds fetch the programs they lack into the cache, verified")
            return
    run([*become_root, "apt-get", "-qq", "update"])
    command = ["apt-get", "-qq", "install", "--no-install-recommends", "--yes", *lacking]
    run([*become_root, "env", "DEBIAN_FRONTEND=noninteractive", *command])


def pip_wheel(directory: Path) -> Path:
    """The distribution's pip wheel, fetched by apt into a state directory of its own, without root."""
    state = directory / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    # The machine's own sources and keys stay in force: only the state is ours.
    apt = ["apt-get", "-qq", "-o", f"Dir::State={state}", "-o", f"Dir::State::lists={state / 'lists'}"]
    apt += ["-o", f"Dir::Cache={state / 'cache'}", "-o", "APT::Sandbox::User="]
    run([*apt, "update"])
    say("+ apt-get download python3-pip-whl")
    if subprocess.run([*apt, "download", "python3-pip-whl"], cwd=directory, stdout=sys.stderr).returncode != 0:
        raise SystemExit("set-up: cannot fetch python3-pip-whl; install python3-venv and run make again")
    for package in directory.glob("*.deb"):
        run(["dpkg-deb", "-x", str(package), str(directory)])
    return next(directory.glob("usr/share/python-wheels/pip-*.whl"))


def environment(extras: str) -> None:
    """Make the virtual environment and install the project, editable, with its extras; skipped when up to date."""
    wanted = hashlib.sha256((TOP / "pyproject.toml").read_bytes() + extras.encode()).hexdigest()
    stamp = VENV / f"ready-{extras or 'plain'}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    python = VENV / "bin/python"
    project = f"{TOP}[{extras}]" if extras else str(TOP)
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--editable", project]
    try:
        import ensurepip  # noqa: F401 (Debian ships it in python3-venv)

        if not python.exists():
            run([sys.executable, "-m", "venv", str(VENV)])
        run([str(python), *pip])
    except ImportError:
        if not python.exists():
            run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
        with tempfile.TemporaryDirectory() as scratch:
            wheel = pip_wheel(Path(scratch))
            run([str(python), "-m", "pip", "install", "--quiet", "pip"], PYTHONPATH=str(wheel))
        run([str(python), *pip])
    stamp.write_text(wanted)


def main() -> None:
    """Command line: ``bootstrap.py [--testing]``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--testing", action="store_true", help="also what the tests need")
    arguments = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 (this script runs before anything has checked)
        raise SystemExit(f"set-up: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    install({**SYSTEM, **TESTING} if arguments.testing else SYSTEM)
    environment("fast,pictures,dev" if arguments.testing else "fast,pictures")


if __name__ == "__main__":
    main()
