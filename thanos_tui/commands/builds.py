"""``--replay PROFILE``: the whole road, headless."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.commands import machines
from thanos_tui.errors import InputError
from thanos_tui.interrupts import asking
from thanos_tui.words import printable, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thanos_tui.events import Artefact, Reporter
    from thanos_tui.linuxkit.config import Config
    from thanos_tui.replay import Replayed
    from thanos_tui.settings import BuildSettings


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
    add_engine(group)
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


def add_engine(parser: Any) -> None:
    """``--engine`` and ``--compare``, for every command that builds."""
    parser.add_argument(
        "--engine",
        choices=("embedded", "linuxkit", "both"),
        help="what makes the outputs: this program, upstream's linuxkit, or both (upstream's go to DIR/linuxkit)",
    )
    parser.add_argument(
        "--compare", action="store_true", help="with both: tell where their outputs differ; status 0 if nowhere"
    )


def engine(arguments: argparse.Namespace) -> str:
    """The engine that is asked for; ``""`` for none. Raises InputError for --compare with one engine."""
    if arguments.compare and arguments.engine not in (None, "both"):
        raise InputError("there is nothing to compare with one engine", hint="say --engine both", where="--compare")
    return "both" if arguments.compare else arguments.engine or ""


def with_theirs(
    config: Config,
    settings: BuildSettings,
    output: Path,
    arguments: argparse.Namespace,
    reporter: Reporter,
    **kept: Any,
) -> int:
    """Build with upstream's program what ours has built, and compare. Differences go to stdout; returns the status."""
    from thanos_tui import engines

    engines.build_theirs(config, settings, output, reporter, offline=arguments.offline, **kept)
    if not arguments.compare:
        return 0
    found = engines.differences(config, settings, output, reporter, **kept)
    for one in found:
        if arguments.json:
            reporter.log(str(one), "info" if one.listed else "warning")
        else:
            print(printable(str(one)))
    return 0 if all(one.listed for one in found) else 1


def _replay(arguments: argparse.Namespace, reporter: Reporter) -> int:
    boots = arguments.run or arguments.exec is not None
    if boots:
        # Said before the work, not after minutes of it.
        machines.check(arguments)
    chosen = engine(arguments)
    settings = [f"output.engine={'linuxkit' if chosen == 'linuxkit' else 'embedded'}"] if chosen else []
    with asking(reporter):
        from thanos_tui.replay import Request, replay

        request = Request(
            profile=arguments.replay,
            output=arguments.output,
            settings=(*arguments.set, *settings),
            formats=tuple(name for given in arguments.format for name in given.split(",")),
            name=arguments.name,
            generate_key=arguments.generate_key,
            offline=arguments.offline,
            update=arguments.update,
        )
        done = replay(request, reporter)
        unlike = (
            with_theirs(done.config, done.settings, arguments.output, arguments, reporter) if chosen == "both" else 0
        )
    if done.changes and not arguments.update:
        # Options that are new in this build brought them; all of it is in the file, for `git diff`.
        reporter.log(f"new or changed entries in the lock: {len(done.changes)}")
    for line in done.changes if arguments.update else ():
        reporter.log(f"lock: {line}")
    if not arguments.json and not boots:
        print_paths(done.artefacts)
        _what_next(done, reporter)
    return machines.run_replayed(done, arguments, reporter) if boots else unlike


def print_paths(artefacts: Sequence[Artefact]) -> None:
    """Say on stdout where outputs are, for programs that read it."""
    for path in printed_paths(artefacts):
        print(path, flush=True)


def printed_paths(artefacts: Sequence[Artefact]) -> list[str]:
    """What :func:`print_paths` prints, a line each: nothing where the narration names them on the same terminal."""
    return [] if sys.stdout.isatty() and sys.stderr.isatty() else [artefact.path for artefact in artefacts]


def _what_next(done: Replayed, reporter: Reporter) -> None:
    if done.build.outputs:
        reporter.log(
            f"next: thanos-tui run {short(done.build.outputs[0])}        (boots it; thanos-tui console logs in)"
        )
    if done.build.identity:
        reporter.log(f"the private key that logs in: {short(done.build.identity)}")
