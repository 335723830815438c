"""The engine ``linuxkit``: upstream's own program makes the outputs, from the same YAML and the same image store.

It is run once for each format, in a process group of its own, into a directory beside the outputs; what it made is
moved into place when it ended well. So a build that is stopped, or fails, leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from thanos_tui import programs
from thanos_tui.errors import BuildError, HostError, InputError, Interrupted
from thanos_tui.events import Artefact, Level, Reporter, Step
from thanos_tui.files import unwritable
from thanos_tui.linuxkit.config import Config, dump
from thanos_tui.settings import BuildSettings

PROGRAM = "linuxkit"
# Made by the program itself; for every other format it runs a container, or a machine.
_ALONE = ("docker", "kernel+initrd", "tar", "tar-kernel-initrd")
_PATIENCE = 10.0  # seconds that a program has to end when it is asked to
_KEPT = 5  # lines of an error
# What the program says when it begins with something: the step's name, and its title.
_STEPS = (
    (re.compile(r"Extract kernel image: "), "kernel", "Extract the kernel"),
    (re.compile(r"Add init containers:"), "init", "Add the init images"),
    (re.compile(r"Add volumes:"), "volumes", "Add the volumes"),
    (re.compile(r"Add onboot containers:"), "onboot", "Add the containers of onboot"),
    (re.compile(r"Add onshutdown containers:"), "onshutdown", "Add the containers of onshutdown"),
    (re.compile(r"Add service containers:"), "services", "Add the services"),
    (re.compile(r"Add files:"), "files", "Add the files"),
    (re.compile(r"Create outputs:"), "outputs", "Write the outputs"),
)
_LEVELS: dict[str, Level] = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}


def check(formats: Sequence[str], config: Config) -> None:
    """Refuse what the program cannot do here, before anything is done.

    Raises HostError where it, or the Docker engine that it needs for a format, is not there, and InputError for a
    format or a volume that it does not have.
    """
    if programs.find(PROGRAM) is None:
        raise HostError(
            f"the program {PROGRAM} is not on PATH",
            hint="get it from github.com/linuxkit/linuxkit/releases, or build with `--engine embedded`, which needs "
            "no other program",
        )
    for format_ in formats:
        if format_ in ("ova", "uki", "vdi"):
            raise InputError(f"linuxkit has no format {format_}", hint="build it with `--engine embedded`")
        if format_ not in _ALONE and programs.find("docker") is None:
            raise HostError(
                f"linuxkit makes the format {format_} in a Docker container, and there is no program docker",
                hint=f"install Docker, or build with `--engine embedded`; without Docker it makes {', '.join(_ALONE)}",
            )
    for volume in config.volumes:
        if volume.format == "docker":
            raise InputError(
                f"linuxkit has no volumes of the format `docker`, as `{volume.name}` is",
                hint="build with `--engine embedded`",
                where=volume.where("format"),
            )


def build(
    config: Config,
    settings: BuildSettings,
    directory: Path,
    reporter: Reporter,
    *,
    store: Path,
    decompress_kernel: bool = False,
    offline: bool = False,
) -> list[Artefact]:
    """Have the program make the formats of ``settings`` in ``directory``, and report every file.

    settings: of them formats, name, architecture and the size of disks count. store: where every image of the config
    is. offline: the program's attempts to reach a network fail.

    Raises what :func:`check` raises, BuildError or HostError with the program's words where it fails, and Interrupted
    where the work was cancelled: the program and all that it started are gone by then.
    """
    check(settings.formats, config)
    name, size_mib = settings.name, settings.size_mib
    program = programs.require(PROGRAM)
    made: dict[Path, str] = {}
    artefacts: list[Artefact] = []
    with _beside(directory) as place:
        yaml = place / f"{name}.yml"
        yaml.touch(0o600)  # it may hold keys and hashes of passwords
        yaml.write_text(dump(config), encoding="utf-8", errors="surrogatepass")
        for format_ in dict.fromkeys(settings.formats):
            out = place / format_
            out.mkdir()
            argv = [program, "build", "--no-sbom", "--cache", store, "--arch", settings.architecture]
            argv += ["--format", format_, "--dir", out, "--name", name]
            argv += ["--size", f"{size_mib}M"] if size_mib else []
            argv += ["--decompress-kernel"] if decompress_kernel else []
            with reporter.step(f"linuxkit/{format_}", f"linuxkit build --format {format_}") as step:
                _run([*map(str, argv), str(yaml)], step, place, offline)
            for path in sorted(out.iterdir()):
                target = directory / path.name
                if target in made:
                    raise InputError(
                        f"linuxkit calls a file of the formats {made[target]} and {format_} {path.name}",
                        hint="build one after the other, into different directories",
                    )
                made[target] = format_
                size, digest = _measured(path, reporter)
                path.replace(target)
                artefacts.append(Artefact(str(target), format_, size, digest))
                reporter.report(artefacts[-1])
    return artefacts


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A directory for unfinished things on the file system of the outputs; it goes, whatever happens."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=f".linuxkit.{os.getpid()}.", suffix=".part", dir=directory)
    except OSError as error:
        raise unwritable(directory, error) from error
    with temporary as place:
        yield Path(place)


def _run(argv: Sequence[str], step: Step, place: Path, offline: bool) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": str(place)}
    if offline:
        # Nobody listens on port 9 (discard) of this machine.
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    try:
        process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise HostError(f"cannot run {argv[0]}: {error.strerror}") from error
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        said = _narrate(lines, step)
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        listener.join(_PATIENCE)
    if status != 0:
        wrong = next((line.removeprefix("Error: ") for line in said if line.startswith("Error: ")), "")
        if "docker " in wrong:
            raise HostError(
                f"linuxkit build failed: {wrong}",
                hint="is the Docker engine running, and may it fetch images? Or build with `--engine embedded`",
            )
        last = None if wrong else "\n  ".join(said[-_KEPT:]) or None
        raise BuildError(f"linuxkit build failed{': ' + wrong if wrong else f' with status {status}'}", hint=last)


def _narrate(lines: queue.SimpleQueue[str | None], step: Step) -> list[str]:
    """Turn lines into events until there are no more; returns them. Raises Interrupted."""
    said: list[str] = []
    with ExitStack() as under_way:
        while True:
            step.reporter.check()
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                return said
            text, level = _parsed(line)
            if not text.strip():
                continue
            said.append(text.strip())
            for pattern, name, title in _STEPS:
                if pattern.match(text):
                    under_way.close()
                    under_way.enter_context(step.reporter.step(f"{step.path}/{name}", title))
                    break
            else:
                step.log(text, level)


def _parsed(line: str) -> tuple[str, Level]:
    """The text of a line, and how much it matters; the program writes logrus' form where it is told how much to say."""
    found = re.match(r'time="[^"]*" level=(\w+) msg="?(.*?)"?$', line)
    if found:
        return found[2], _LEVELS.get(found[1], "warning")
    return line, "error" if line.startswith(("Error:", "FATA", "ERRO")) else "warning" if line[:4] == "WARN" else "info"


def _end(process: subprocess.Popen[str]) -> None:
    """End the program and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            if number == signal.SIGTERM:
                continue  # its children may not have heard
            return


def _measured(path: Path, reporter: Reporter) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            if reporter.cancelled:
                raise Interrupted
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()
