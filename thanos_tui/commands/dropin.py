"""``build FILE.yml…``: what ``linuxkit build`` does, with its own flags, and without Docker."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from thanos_tui import again, builds, programs
from thanos_tui.commands.builds import add_engine, engine, print_paths, printed_paths, with_theirs
from thanos_tui.errors import HostError, InputError
from thanos_tui.events import Artefact, Event, LogLine, Reporter
from thanos_tui.interrupts import asking

if TYPE_CHECKING:
    from thanos_tui.images.fetch import Sources
    from thanos_tui.linuxkit.config import Config
    from thanos_tui.make import Made
    from thanos_tui.settings import BuildSettings

# What linuxkit calls the outputs of a configuration that has no name: its program's first name.
_NAMELESS = "moby"


def add(commands: Any) -> None:
    """Add the parser of ``build``. Flags that linuxkit has keep its names, meanings and defaults."""
    parser = commands.add_parser("build", help="build LinuxKit YAML", description=_build.__doc__, allow_abbrev=False)
    parser.add_argument(
        "files", nargs="+", metavar="FILE.yml", help="LinuxKit YAML, merged in this order; - is stdin, or a URL"
    )
    made = parser.add_argument_group("what is made")
    made.add_argument(
        "--format", "-f", action="append", default=[], metavar="F[,F]", help="output formats (default: kernel+initrd)"
    )
    made.add_argument("--dir", type=Path, metavar="DIR", help="where the outputs go (default: here)")
    made.add_argument("--name", default="", metavar="N", help="what their names begin with (default: the last file's)")
    made.add_argument("--o", "-o", metavar="FILE", help="the file of a format that is one archive; - is stdout")
    made.add_argument(
        "--size", default="", metavar="SIZE", help="size of disk images, such as 1024M or 2G; a number alone means GiB"
    )
    made.add_argument("--arch", choices=("amd64", "arm64"), help="the processor to build for (default: this machine's)")
    _switch(made, "decompress-kernel", "store the kernel uncompressed")
    made.add_argument(
        "--compression",
        type=int,
        choices=range(1, 20),
        metavar="LEVEL",
        help="how hard to compress what boots, as zstd counts: 1 to 19 (default: 2, which is fast; profiles have 12)",
    )
    add_engine(made)
    _switch(made, "dry-run", "build nothing: print the YAML that all files together stand for")
    made.add_argument(
        "--compat",
        choices=("fixed", "upstream"),
        default="fixed",
        help="'upstream' repeats what linuxkit gets wrong (docs/linuxkit-compat.md)",
    )
    images = parser.add_argument_group("where images come from")
    images.add_argument(
        "--cache", type=Path, metavar="DIR", help="the image store, in linuxkit's own format (or $LINUXKIT_CACHE)"
    )
    _switch(images, "pull", "ask registries for every image again")
    _switch(images, "docker", "ask a Docker engine first")
    images.add_argument(
        "--input-tar", type=Path, metavar="FILE", help="take what did not change from an earlier output of format tar"
    )
    images.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="[REGISTRY=]URL",
        help="ask this registry first; may be repeated (or $LINUXKIT_MIRROR)",
    )
    images.add_argument(
        "--cert-file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="trust the authorities in this file (PEM), too; may be repeated",
    )
    images.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    sbom = parser.add_argument_group("accepted for linuxkit's sake: no list of software (SBOM) is made")
    _switch(sbom, "no-sbom", "make none")
    _switch(sbom, "sbom-current-time", "what time it would bear")
    sbom.add_argument("--sbom-output", metavar="NAME", help="what it would be called")
    told = parser.add_argument_group("what is told")
    _switch(told, "quiet", "only warnings and errors", "-q")
    told.add_argument(
        "--verbose", "-v", type=int, choices=range(4), default=1, metavar="N", help="0 to 3: less or more than 1"
    )
    told.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(function=_build)


def _switch(group: Any, name: str, meaning: str, *short: str) -> None:
    """A switch as Go's programs take it: ``--pull``, and ``--pull=false`` as well."""
    attribute = name.replace("-", "_")
    group.add_argument(f"--{name}", *short, action="store_true", help=meaning)
    group.add_argument(f"--{name}=true", dest=attribute, action="store_true", help=argparse.SUPPRESS)
    group.add_argument(f"--{name}=false", dest=attribute, action="store_false", help=argparse.SUPPRESS)


def _build(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Build any LinuxKit YAML, with `linuxkit build`'s own options; no Docker is needed. Prints the outputs' paths."""
    from thanos_tui.linuxkit import config

    settings = _settings(arguments)
    watch = _watch(arguments)
    with asking(reporter):
        read = config.read_files(arguments.files, arguments.compat)
        if arguments.dry_run:
            print(config.dump(read), end="")
            return 0
        return _make(read, settings, arguments, reporter.heard_by(_listener(arguments, reporter, watch)), watch)


def _watch(arguments: argparse.Namespace) -> again.Watch:
    """What is noted of a build for when it is asked for again. Some builds have something to do each time."""
    watch = again.Watch(arguments.command_line)
    watch.note(Path(name) for name in arguments.files)
    elsewhere = any(name == "-" or "://" in name for name in arguments.files)
    if elsewhere or arguments.o or arguments.input_tar or engine(arguments) or arguments.pull or arguments.docker:
        watch.give_up()
    return watch


def _note_inputs(watch: again.Watch, read: Config, settings: BuildSettings, arguments: argparse.Namespace) -> None:
    """Note what decides about a build beside its configuration."""
    from thanos_tui.build import formats, userfiles
    from thanos_tui.files import cache_dir
    from thanos_tui.images import apt, data, docker

    watch.note(userfiles.sources(read, Path()))
    watch.note([(_store(arguments) or cache_dir() / "store") / "index.json", *apt.decided_by()])
    for form in map(formats.get, settings.formats):
        programs_used = map(programs.find, form.needs)
        data_used = (data.find(wanted, settings.architecture) for wanted in form.data)
        watch.note(path for path in (*programs_used, *data_used) if path)
    if any(docker.features(image) is not None for image in read.images()):
        watch.give_up()  # what an engine builds may be another image each time


def _settings(arguments: argparse.Namespace) -> BuildSettings:
    from thanos_tui.build import formats
    from thanos_tui.build.segments import FAST
    from thanos_tui.settings import BuildSettings, machine_architecture

    if arguments.input_tar and arguments.pull:
        raise InputError("what is taken from an archive is not pulled", hint="leave one of them out", where="--pull")
    if arguments.input_tar and engine(arguments):
        raise InputError("this is for this program's own engine", hint="leave --engine out", where="--input-tar")
    names = [name for given in arguments.format for name in given.split(",")]
    names = names or ["tar" if arguments.o else "kernel+initrd"]
    if arguments.o:
        _check_single(arguments, names)
    for name in names:
        formats.get(name)
    return BuildSettings(
        formats=tuple(names),
        name=arguments.name or _name_of(arguments.files[-1]),
        size_mib=_mebibytes(arguments.size),
        compression=arguments.compression or FAST,
        architecture=arguments.arch or machine_architecture(),
        mirrors=(),
        suite="",
        keyring=None,
        memory_mib=2048,  # what `run` gives a machine that says nothing of it
        cpus=2,
        ssh_port=None,
        engine="linuxkit" if engine(arguments) == "linuxkit" else "embedded",
    )


def _check_single(arguments: argparse.Namespace, names: list[str]) -> None:
    """What ``-o`` does not go with. Raises InputError."""
    from thanos_tui.build.outputs import STREAMED

    if len(names) > 1:
        raise InputError("one file cannot hold several formats", hint="use --dir instead", where="-o")
    if names[0] not in STREAMED:
        hint = f"use --dir, or one of {', '.join(STREAMED)}"
        raise InputError(f"the format {names[0]} is not a single archive", hint=hint, where="-o")
    for option in ("name", "dir"):
        if getattr(arguments, option):
            raise InputError(f"-o names the output already; leave out --{option}", where=f"--{option}")
    if engine(arguments):
        raise InputError("-o is for this program's own engine", hint="use --dir", where="--engine")
    if arguments.o == "-" and arguments.json:
        raise InputError("the archive and the events cannot both go to stdout", where="--json")
    if arguments.o == "-" and sys.stdout.isatty():
        raise InputError("an archive is not written to a terminal", hint="redirect stdout, or name a file", where="-o")


def _listener(arguments: argparse.Namespace, reporter: Reporter, watch: again.Watch) -> Callable[[Event], None]:
    """Passes on what the user wants to be told of."""
    quiet = arguments.quiet or arguments.verbose == 0

    def listen(event: Event) -> None:
        if isinstance(event, LogLine) and event.level == "debug" and arguments.verbose > 1:
            event = replace(event, level="info")
        warns = isinstance(event, LogLine) and event.level in ("warning", "error")
        if warns:
            watch.give_up()
        if warns or not quiet:
            reporter.report(event)

    return listen


def _make(
    read: Config, settings: BuildSettings, arguments: argparse.Namespace, reporter: Reporter, watch: again.Watch
) -> int:
    from thanos_tui.make import make

    _note_inputs(watch, read, settings, arguments)

    if arguments.sbom_output or arguments.sbom_current_time:
        reporter.log("no list of software (SBOM) is made: the lock of a profile is one", "warning")
    if engine(arguments) == "both":
        from thanos_tui import engines

        engines.check(read, settings.formats, to_compare=arguments.compare)
    with ExitStack() as stack:
        stream: BinaryIO | None = None
        if arguments.o == "-":
            stream = sys.stdout.buffer
        elif arguments.o:
            from thanos_tui.files import replacing

            stream = stack.enter_context(replacing(Path(arguments.o)))
        made = make(
            read,
            settings,
            arguments.dir or Path(),
            reporter,
            lock=None,
            offline=arguments.offline,
            store=_store(arguments),
            decompress_kernel=arguments.decompress_kernel,
            sources=_sources(arguments),
            compat=arguments.compat,
            stream=stream,
            input_tar=arguments.input_tar,
        )
    if arguments.o and arguments.o != "-":
        made = replace(made, artefacts=tuple(replace(one, path=arguments.o) for one in made.artefacts))
        for artefact in made.artefacts:
            reporter.report(artefact)
    _remember(made, read, settings, reporter)
    if arguments.o != "-" and not arguments.json:
        print_paths(made.artefacts)
    _keep(watch, made.artefacts, arguments)
    if engine(arguments) != "both":
        return 0
    kept = {"store": _store(arguments), "decompress_kernel": arguments.decompress_kernel}
    return with_theirs(read, settings, arguments.dir or Path(), arguments, reporter, **kept)


def _keep(watch: again.Watch, artefacts: Sequence[Artefact], arguments: argparse.Namespace) -> None:
    """Keep what was noted, and what there is to say while none of it changes: that the outputs are there."""
    from thanos_tui.images import apt
    from thanos_tui.narrate import as_json, sentence

    # What `run` takes is the last build: another one in between puts this one first again.
    watch.note([builds.record_path(), *(Path(artefact.path) for artefact in artefacts)])
    until = math.inf if arguments.offline else apt.fresh_until()
    if arguments.json:
        watch.keep("".join(f"{as_json(artefact)}\n" for artefact in artefacts), "", until)
    else:
        told = not arguments.quiet and arguments.verbose > 0
        lines = "".join(f"{sentence(artefact, {})}\n" for artefact in artefacts) if told else ""
        watch.keep("".join(f"{path}\n" for path in printed_paths(artefacts)), lines, until)


def _remember(made: Made, read: Config, settings: BuildSettings, reporter: Reporter) -> None:
    """Let ``run`` and ``why`` know of a build; without it they have to be told what they are to look at."""
    build = builds.finished(settings, made.artefacts, made.parts, reporter.took)
    try:
        builds.remember(build, read)
    except HostError as error:
        # What upstream's program does in a home that nobody may write to, ours does as well.
        reporter.log(f"{error.message}; `thanos-tui run` does not know of this build", "warning")


def _store(arguments: argparse.Namespace) -> Path | None:
    named = os.environ.get("LINUXKIT_CACHE", "")
    return arguments.cache or (Path(named) if named else None)


def _sources(arguments: argparse.Namespace) -> Sources:
    from thanos_tui.images import fetch

    mirrors = arguments.mirror or os.environ.get("LINUXKIT_MIRROR", "").replace(",", " ").split()
    order = (fetch.ENGINE, fetch.STORE, fetch.REGISTRY) if arguments.docker else fetch.DEFAULT.order
    return fetch.Sources(order, tuple(mirrors), tuple(arguments.cert_file), pull=arguments.pull)


def _name_of(file: str) -> str:
    return _NAMELESS if file == "-" else Path(file).name.rsplit(".", 1)[0]


def _mebibytes(text: str) -> int:
    """A size as linuxkit takes it: ``1024M``, ``2G``, or plain GiB. 0 for none given."""
    found = re.fullmatch(r"(\d{1,9})([MG]?)", text)
    if text and not found:
        raise InputError(f"{text!r} is no size", hint="write one such as 1024M or 2G", where="--size")
    return int(found[1]) * (1 if found[2] == "M" else 1024) if found else 0
