"""The command line: arguments in, a command chosen, its outcome as an exit status (``docs/exit-codes.md``)."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence

from thanos_tui import __version__, interrupts
from thanos_tui.commands import app, apps, builds, cache, console, dropin, hands, machines, profiles, why
from thanos_tui.errors import HostError, Interrupted, ThanosError
from thanos_tui.events import Reporter
from thanos_tui.narrate import listening

_EPILOG = """\
The road: a profile renders to LinuxKit YAML, its images are made or found, assembled and written as files to boot.

  thanos-tui profiles/thanos.thanos                 configure it, build it and boot it, all on one screen
  thanos-tui --replay profiles/thanos.thanos        build it, headless
  thanos-tui --replay PROFILE --run                 build it, boot it and open a console
  thanos-tui run --detach out/thanos.vhd            boot an image in the background
  thanos-tui console                                log in to the machine that runs
  thanos-tui app run localhost/thanos/demo:base     run a container on it, with its screen and its sound
  thanos-tui options ntp.servers                    what an option means, and its value
"""


def parser() -> tuple[argparse.ArgumentParser, Sequence[str]]:
    """The parser of the whole command line, and the names of the commands."""
    main_parser = argparse.ArgumentParser(
        prog="thanos-tui",
        description="Configure, build, boot and connect to ThanOS: an immutable, in-memory OS made of containers.",
        usage="thanos-tui [PROFILE] [--set OPTION=VALUE] [--output DIR] [--serve [PORT]]\n"
        "       thanos-tui --replay PROFILE [OPTION]…\n"
        "       thanos-tui COMMAND [ARGUMENT]…",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    main_parser.add_argument("--version", action="version", version=f"thanos-tui {__version__}")
    builds.add_replay(main_parser)
    commands = main_parser.add_subparsers(title="commands", prog="thanos-tui", metavar="COMMAND", dest="command")
    for room in (app, profiles, dropin, why, machines, hands, console, apps, cache):
        room.add(commands)
    return main_parser, tuple(commands.choices)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit status; errors are told on stderr, never as a traceback."""
    main_parser, commands = parser()
    words = sys.argv[1:] if argv is None else argv
    arguments = main_parser.parse_args(["tui", *words] if app.means_app(words, commands) else words)
    arguments.command_line = tuple(words)
    if arguments.command is not None and arguments.replay is not None:
        main_parser.error("--replay stands alone: leave out the command")
    interrupts.raise_on_signals()
    as_data = bool(getattr(arguments, "json", False))
    try:
        return _perform(arguments, as_data)
    except ThanosError as error:
        tell(error, as_data)
        return error.exit_code
    except KeyboardInterrupt:
        tell(Interrupted(), as_data)
        return Interrupted.exit_code
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # What no stage foresaw but the system says in words: a file that vanished, a disk that failed.
        place = f"{error.filename}: " if error.filename else ""
        tell(HostError(f"{place}{error.strerror or error}"), as_data)
        return HostError.exit_code


def _perform(arguments: argparse.Namespace, as_data: bool) -> int:
    if getattr(arguments, "own_screen", False):
        status: int = arguments.function(arguments, Reporter())
        return status
    # Commands that talk through the terminal themselves must not share it with bars that repaint.
    events = as_data and getattr(arguments, "events", True)
    with listening(events) as listener:
        reporter = Reporter(listener)
        try:
            status = arguments.function(arguments, reporter)
        except KeyboardInterrupt:
            reporter.cancel()
            raise
    return status


def tell(error: ThanosError, as_data: bool) -> None:
    """Say what went wrong: on stderr for people, as the last JSON line for programs."""
    if as_data:
        where = None if error.where is None else str(error.where)
        failed = {"event": "failed", "message": error.message, "hint": error.hint, "where": where}
        print(json.dumps({**failed, "status": error.exit_code}), flush=True)
    print(f"thanos-tui: {error}", file=sys.stderr)


def entry() -> None:
    """The ``thanos-tui`` program."""
    # Output may hold characters that the locale cannot: better an escape than a traceback.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # Before the command has begun, or a second time while it ends.
        tell(Interrupted(), as_data=False)
        sys.exit(Interrupted.exit_code)
