"""Commands that talk to a machine over SSH: console, exec, cp."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import InputError

if TYPE_CHECKING:
    from thanos_tui.console import Target
    from thanos_tui.events import Reporter

READY_LIMIT = 600.0  # seconds until sshd answers: software emulation on a busy host is slow


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    parser = commands.add_parser("console", help="log in to a machine", description=_console.__doc__)
    parser.add_argument("machine", nargs="?", metavar="MACHINE", help="its name, or HOST:PORT with --host-key")
    add_target_options(parser)
    parser.set_defaults(function=_console)

    parser = commands.add_parser("exec", help="run a command on a machine", description=_exec.__doc__)
    parser.add_argument("remainder", nargs=argparse.REMAINDER, metavar="[MACHINE] -- COMMAND…")
    add_target_options(parser)
    parser.set_defaults(function=_exec)

    parser = commands.add_parser("cp", help="copy files to and from a machine", description=_copy.__doc__)
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="files, then the destination; MACHINE:PATH is on the machine, :PATH on the only one",
    )
    parser.add_argument("--recursive", "-r", action="store_true", help="directories, with what is in them")
    parser.add_argument("--preserve", "-p", action="store_true", help="keep times and permissions")
    add_target_options(parser)
    parser.set_defaults(function=_copy)


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Options that say how to log in to a machine, for :func:`reach`."""
    parser.add_argument(
        "--identity", "-i", type=Path, action="append", default=[], metavar="FILE", help="a private key to offer first"
    )
    parser.add_argument(
        "--host-key",
        metavar="LINE|FILE",
        help="for a machine started elsewhere: its public host key, as it shows it on its screen",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=READY_LIMIT,
        metavar="SECONDS",
        help="how long to wait until it answers (%(default)s)",
    )


def reach(name: str | None, arguments: argparse.Namespace, reporter: Reporter) -> Target:
    """The target that a name means, once it answers."""
    from thanos_tui import console, vm
    from thanos_tui.reach import reach_ours

    if name and ":" in name:
        target = _elsewhere(name, arguments)
        console.wait_ready(target, arguments.timeout, reporter)
        return target
    return reach_ours(vm.find(name), arguments.timeout, reporter, arguments.identity)


def _elsewhere(name: str, arguments: argparse.Namespace) -> Target:
    """A machine we did not start, by address; its host key is given once and remembered."""
    from thanos_tui import console

    host, _, port = name.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"{name!r} is no address", hint="write HOST:PORT, such as 192.0.2.10:1234")
    host = host.strip("[]")
    known = console.host_key(host, int(port), arguments.host_key)
    return console.Target(host, int(port), known, identities=tuple(arguments.identity))


def _console(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Open a shell on a machine with your own terminal. `~.` at the start of a line cuts a session that hangs."""
    from thanos_tui import console

    return console.shell(reach(arguments.machine, arguments, reporter))


def _exec(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Run a command on a machine; its input, output and exit status are this command's own."""
    from thanos_tui import console

    words: list[str] = arguments.remainder
    machine = None
    if words and words[0] != "--":
        machine, words = words[0], words[1:]
    if words[:1] != ["--"] or len(words) < 2:
        raise InputError("no command to run", hint="write it as `thanos-tui exec [MACHINE] -- COMMAND…`")
    return console.run(reach(machine, arguments, reporter), words[1:])


def _copy(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Copy files to or from a machine, over SFTP."""
    from thanos_tui import console

    *sources, destination = arguments.paths
    name = console.machine_of(sources, destination) or None
    target = reach(name, arguments, reporter)
    console.copy(
        target, sources, destination, recursive=arguments.recursive, preserve=arguments.preserve, reporter=reporter
    )
    return 0
