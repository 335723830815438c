"""Commands that build: ``--replay PROFILE`` and ``build FILE.yml…``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.commands import machines
from thanos_tui.errors import InputError
from thanos_tui.interrupts import asking
from thanos_tui.words import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thanos_tui.events import Artefact, Reporter
    from thanos_tui.replay import Replayed


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``--replay``, which is no command but stands for the whole road."""
    group = parser.add_argument_group("build a profile, headless")
    group.add_argument("--replay", type=Path, metavar="PROFILE", help="build what a .thanos profile says")
    group.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="F",
        help="an output format instead of the profile's; may be repeated",
    )
    group.add_argument(
        "--output", "-o", type=Path, default=Path(), metavar="DIR", help="where the outputs go (default: here)"
    )
    group.add_argument(
        "--name", default="", metavar="N", help="what the outputs' names begin with (default: the profile's)"
    )
    add_settings(group)
    group.add_argument("--json", action="store_true", help="events as JSON lines on stdout (docs/events.md)")
    group.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    group.add_argument("--update", action="store_true", help="renew PROFILE.lock from the mirror and say what changed")
    group.add_argument("--run", action="store_true", help="boot the result and open a console; it ends with it")
    group.add_argument(
        "--exec", metavar="CMD", help="boot the result, run a shell command on it, power off; its status is ours"
    )
    machines.add_machine_options(parser)
    parser.set_defaults(function=_replay)


def add_settings(parser: Any) -> None:
    """``--set`` and ``--generate-key``, which every command takes that reads a profile."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="set an option on top of the profile; may be repeated",
    )
    parser.add_argument(
        "--generate-key", action="store_true", help="where you have no public SSH key, make one for this profile"
    )


def add(commands: Any) -> None:
    """Add the parser of ``build``."""
    parser = commands.add_parser("build", help="build LinuxKit YAML", description=_build.__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE.yml", help="LinuxKit YAML, merged in this order; - is stdin")
    parser.add_argument(
        "--format", action="append", default=[], metavar="F[,F]", help="output formats (default: kernel+initrd)"
    )
    parser.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help="where the outputs go (default: here)")
    parser.add_argument(
        "--name", default="", metavar="N", help="what the outputs' names begin with (default: the last file's)"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the image store, in LinuxKit's own cache format")
    parser.add_argument("--size", default="", metavar="MIB", help="size of disk images, such as 1024M or 2G")
    parser.add_argument(
        "--arch", choices=("amd64", "arm64"), help="the processor to build for (default: this machine's)"
    )
    parser.add_argument("--decompress-kernel", action="store_true", help="store the kernel uncompressed")
    parser.add_argument("--no-sbom", action="store_true", help="accepted for LinuxKit's sake: none is made")
    parser.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(function=_build)


def _replay(arguments: argparse.Namespace, reporter: Reporter) -> int:
    boots = arguments.run or arguments.exec is not None
    if boots:
        # Said before the work, not after minutes of it.
        machines.check(arguments)
    with asking(reporter):
        from thanos_tui.replay import Request, replay

        request = Request(
            profile=arguments.replay,
            output=arguments.output,
            settings=tuple(arguments.set),
            formats=tuple(name for given in arguments.format for name in given.split(",")),
            name=arguments.name,
            generate_key=arguments.generate_key,
            offline=arguments.offline,
            update=arguments.update,
        )
        done = replay(request, reporter)
    if done.changes and not arguments.update:
        # Options that are new in this build brought them; all of it is in the file, for `git diff`.
        reporter.log(f"new or changed entries in the lock: {len(done.changes)}")
    for line in done.changes if arguments.update else ():
        reporter.log(f"lock: {line}")
    if not arguments.json and not boots:
        _print_paths(done.artefacts)
        _what_next(done, reporter)
    return machines.run_replayed(done, arguments, reporter) if boots else 0


def _print_paths(artefacts: Sequence[Artefact]) -> None:
    if sys.stdout.isatty() and sys.stderr.isatty():
        return  # the narration on the same terminal has just named them
    for artefact in artefacts:
        print(artefact.path, flush=True)


def _what_next(done: Replayed, reporter: Reporter) -> None:
    if done.build.outputs:
        reporter.log(
            f"next: thanos-tui run {short(done.build.outputs[0])}        (boots it; thanos-tui console logs in)"
        )
    if done.build.identity:
        reporter.log(f"the private key that logs in: {short(done.build.identity)}")


def _build(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Build any LinuxKit YAML, with `linuxkit build`'s own options; no Docker is needed. Prints the outputs' paths."""
    from thanos_tui.build.segments import LEVEL
    from thanos_tui.linuxkit import config
    from thanos_tui.make import make
    from thanos_tui.settings import BuildSettings, machine_architecture

    names = [name for given in arguments.format for name in given.split(",")] or ["kernel+initrd"]
    settings = BuildSettings(
        formats=tuple(names),
        name=arguments.name or _name_of(arguments.files[-1]),
        size_mib=_mebibytes(arguments.size),
        compression=LEVEL,
        architecture=arguments.arch or machine_architecture(),
        mirrors=(),
        suite="",
        keyring=None,
        memory_mib=1024,
        cpus=2,
        ssh_port=None,
    )
    read = config.read_files(arguments.files)
    with asking(reporter):
        made = make(
            read,
            settings,
            arguments.dir,
            reporter,
            lock=None,
            offline=arguments.offline,
            store=arguments.cache,
            decompress_kernel=arguments.decompress_kernel,
        )
    if not arguments.json:
        _print_paths(made.artefacts)
    return 0


def _name_of(file: str) -> str:
    # What linuxkit build calls its outputs; "moby" for standard input is its own tradition.
    return "moby" if file == "-" else Path(file).name.rsplit(".", 1)[0]


def _mebibytes(text: str) -> int:
    """A size as linuxkit takes it: ``1024M``, ``2G``, or plain MiB. 0 for none given."""
    found = re.fullmatch(r"(\d{1,9})([MG]?)", text)
    if text and not found:
        raise InputError(f"{text!r} is no size", hint="write mebibytes, such as 1024M or 2G", where="--size")
    return int(found[1]) * (1024 if found[2] == "G" else 1) if found else 0
