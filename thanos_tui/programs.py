"""Running other programs: one wrapper, argv lists only, and errors that say what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.errors import BuildError, HostError
from thanos_tui.files import cache_dir

# Which Debian/Ubuntu package brings a program; errors and the set-up name them from here.
PACKAGES: Mapping[str, str] = {
    "apt-get": "apt",
    "faked-sysv": "fakeroot",
    "fakeroot-sysv": "fakeroot",
    "gzip": "gzip",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mkfs.erofs": "erofs-utils",
    "mksquashfs": "squashfs-tools",
    "mmd": "mtools",
    "qemu-img": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "syslinux": "syslinux",
    "tar": "tar",
    "xorriso": "xorriso",
}


@dataclass(frozen=True)
class Finished:
    """What a program that ended left behind."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


def find(program: str) -> Path | None:
    """Where ``program`` is; the sbin directories count even where an ordinary user's PATH leaves them out.

    Last come the programs that were fetched into the cache (``images.tools``).
    """
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        fetched = sorted(tools_dir().glob("[!.]*/bin"), key=lambda place: place.stat().st_mtime, reverse=True)
        found = shutil.which(program, path=os.pathsep.join(map(str, fetched))) if fetched else None
    return Path(found) if found else None


def tools_dir() -> Path:
    """Where programs are kept that were fetched because the machine lacks them: DIRECTORY/bin/PROGRAM."""
    return cache_dir() / "tools"


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
    words = _words(argv)
    program = Path(words[0])
    try:
        done = subprocess.run(words, cwd=cwd, env=_environment(env), input=stdin, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{program.name} did not end within {timeout:.0f} s") from error
    except OSError as error:
        raise HostError(f"cannot run {program}: {error.strerror}") from error
    finished = Finished(tuple(words), done.returncode, done.stdout, done.stderr)
    if check and done.returncode != 0:
        raise _failed(program, finished)
    return finished


def feed(argv: Sequence[str | Path], chunks: Iterable[bytes], *, env: Mapping[str, str] | None = None) -> None:
    """Run a program and write ``chunks`` to its standard input as they come; env as in :func:`run`.

    If ``chunks`` raises, the program is stopped and the exception goes on. Raises BuildError if the program fails.
    """
    words = _words(argv)
    program = Path(words[0])
    # To a file, because nobody reads a pipe while the program is being fed.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                words, env=_environment(env), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
            )
        except OSError as error:
            raise HostError(f"cannot run {program}: {error.strerror}") from error
        assert process.stdin is not None  # noqa: S101
        try:
            # A program that does not want any more is about to say why.
            with suppress(BrokenPipeError), process.stdin as stdin:
                for chunk in chunks:
                    stdin.write(chunk)
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status != 0:
            said.seek(0)
            raise _failed(program, Finished(tuple(words), status, b"", said.read()))


def _words(argv: Sequence[str | Path]) -> list[str]:
    program = require(str(argv[0])) if "/" not in str(argv[0]) else Path(argv[0])
    return [str(program), *map(str, argv[1:])]


def _environment(added: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", **(added or {})}


def _failed(program: Path, finished: Finished) -> BuildError:
    said = finished.stderr.decode(errors="replace").strip().splitlines()[-5:]
    return BuildError(f"{program.name} failed with status {finished.status}", hint="\n  ".join(said) or None)
