"""Commands about apps, which are containers on a machine's Docker: app run, ls, logs, stop, start, rm, load…"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from thanos_tui import appwords
from thanos_tui.commands.console import add_target_options, reach
from thanos_tui.errors import InputError
from thanos_tui.events import LogLine

if TYPE_CHECKING:
    from thanos_tui.apps import AppState, Engine
    from thanos_tui.events import Reporter
    from thanos_tui.wiring import App


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    parser = commands.add_parser(
        "app",
        help="run containers on a machine, with its screen and its sound",
        description="Apps: containers on the Docker of a machine's stark, wired to its screen and its sound.",
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", dest="app_command", required=True)
    _add_run(inner)

    parser = inner.add_parser("ls", help="list apps", description=_ls.__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list")
    parser.set_defaults(events=False)
    _add_machine(parser, _ls)

    parser = commands.add_parser(
        "status", help="how the services of a machine's stark are", description=_status.__doc__
    )
    parser.add_argument("machine", nargs="?", metavar="MACHINE", help="its name, or HOST:PORT with --host-key")
    parser.add_argument("--json", action="store_true", help="a JSON list")
    add_target_options(parser)
    parser.set_defaults(function=_status, events=False)

    parser = inner.add_parser("logs", help="show what an app says", description=_logs.__doc__)
    parser.add_argument("app", nargs="?", metavar="APP", help="its name; without it the only one")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what comes, until the app ends")
    parser.add_argument("--tail", type=int, metavar="N", help="begin with the last N lines")
    _add_machine(parser, _logs)

    for name, help_text, function in (
        ("stop", "end apps", _stop),
        ("start", "start apps that have ended", _start),
        ("restart", "end apps and start them again", _restart),
    ):
        parser = inner.add_parser(name, help=help_text, description=function.__doc__)
        parser.add_argument("apps", nargs="*", metavar="APP", help="by name; without it the only one")
        if function is not _start:
            parser.add_argument(
                "--time", type=int, default=10, metavar="SECONDS", help="how long they may take to end (%(default)s)"
            )
        _add_machine(parser, function)

    parser = inner.add_parser("rm", help="remove apps", description=_remove.__doc__)
    parser.add_argument("apps", nargs="+", metavar="APP")
    parser.add_argument("--force", "-f", action="store_true", help="also those that run")
    _add_machine(parser, _remove)

    parser = inner.add_parser("load", help="give a machine an image", description=_load.__doc__)
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="an archive of `docker save`, an OCI archive or layout, or the name of an image with a recipe",
    )
    parser.add_argument("--json", action="store_true", help="events, and the names at the end, as JSON lines")
    _add_machine(parser, _load)


def _add_run(inner: Any) -> None:
    parser = inner.add_parser(
        "run",
        help="start an app",
        description=_run.__doc__,
        usage="thanos-tui app run [OPTION]… IMAGE [COMMAND…]",
    )
    appwords.add_to(parser)
    parser.add_argument("--detach", "-d", action="store_true", help="let it run in the background")
    parser.add_argument("--rm", action="store_true", help="remove it when it has ended")
    parser.add_argument(
        "--json", action="store_true", help="events, what it says, and the app at the end as JSON lines"
    )
    _add_machine(parser, _run)


def _add_machine(parser: argparse.ArgumentParser, function: Any) -> None:
    parser.add_argument("--machine", metavar="MACHINE", help="its name, or HOST:PORT with --host-key")
    add_target_options(parser)
    parser.set_defaults(function=function)


@contextmanager
def _engine(arguments: argparse.Namespace, reporter: Reporter) -> Iterator[Engine]:
    """The Docker of the machine that was named, once it answers."""
    from thanos_tui import apps

    target = reach(arguments.machine, arguments, reporter)
    with apps.connected(target, reporter, timeout=arguments.timeout) as engine:
        yield engine


def _run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Start a container on a machine, wired to its screen and its sound, and follow what it says until Ctrl-C ends it;
    with --detach it goes on by itself.
    """
    from dataclasses import replace

    from thanos_tui import apps

    app = appwords.app(arguments)
    if app.restart != "no" and not arguments.detach:
        raise InputError("an app that is started again and again cannot be followed", hint="add --detach")
    if arguments.rm and arguments.detach:
        raise InputError("--rm removes an app that is followed to its end", hint="leave out --detach or --rm")
    with _engine(arguments, reporter) as engine:
        app = _wired(app, arguments, engine, reporter)
        app = replace(app, image=apps.bring(engine, app.image, reporter))
        if not app.name:
            app = replace(app, name=apps.free_name(engine, arguments.image))
        if arguments.detach:
            state = apps.run(engine, app)
            _tell(state, arguments.json)
            return 0

        def say(line: str, is_error: bool) -> None:
            if arguments.json:
                reporter.report(LogLine(f"apps/{app.name}", line))
            else:
                print(line, file=sys.stderr if is_error else sys.stdout, flush=True)

        status = apps.attached(engine, app, say, keep=not arguments.rm)
        if arguments.json:
            print(json.dumps({"event": "app", "name": app.name, "image": app.image, "status": status}), flush=True)
        return status


def _wired(app: App, arguments: argparse.Namespace, engine: Engine, reporter: Reporter) -> App:
    """The app with as much of the wiring as is wanted, and as the machine has. Raises InputError."""
    from dataclasses import replace

    from thanos_tui import apps

    wanted = {"x11": arguments.x11, "sound": arguments.sound}
    there = apps.parts(engine) if any(value is not False for value in wanted.values()) else frozenset()
    for part, what in (("x11", "screen"), ("sound", "sound")):
        if wanted[part] is not False and part not in there:
            if wanted[part]:
                option = {"x11": "x11", "sound": "alsa"}[part]
                hint = f"build it with {option}=y, or run the app with --no-{part}"
                raise InputError(f"{engine.target} has no {what} for apps", hint=hint)
            reporter.log(f"{engine.target} has no {what} for apps: {app.image} runs without")
    given = {part for part, value in wanted.items() if value is not False and part in there}
    return replace(app, x11="x11" in given, sound="sound" in given)


def _tell(state: AppState, as_data: bool) -> None:
    print(json.dumps({"event": "app", **state.as_dict()}) if as_data else state.name, flush=True)


def _ls(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """List the apps of a machine, running or ended."""
    from thanos_tui import apps
    from thanos_tui.narrate import columns

    with _engine(arguments, reporter) as engine:
        found = apps.apps(engine)
    if arguments.json:
        print(json.dumps([app.as_dict() for app in found], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("NAME", "STATE", "IMAGE", "PORTS", "COMMAND")]
    rows += [(app.name, app.status, app.image, ", ".join(app.ports), app.command) for app in found]
    print("\n".join(columns(rows)))
    return 0


def _status(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Show the services of a machine's stark: Docker, the X server, sound and what else is switched on. A service is
    ready (its check really connects), starting, waiting (it ended, and is started again soon) or stopped.
    """
    from thanos_tui import apps, console
    from thanos_tui.narrate import columns
    from thanos_tui.words import uptime

    target = reach(arguments.machine, arguments, reporter)
    found = apps.services(target, lambda argv: console.capture(target, argv, timeout=apps.SERVICES_LIMIT))
    if arguments.json:
        print(json.dumps([service.as_dict() for service in found], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("SERVICE", "STATE", "SINCE", "RESTARTS", "NOTE")]
    rows += [(each.name, each.state, uptime(each.seconds), str(each.restarts), each.note) for each in found]
    print("\n".join(columns(rows)))
    return 0


def _logs(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Show what an app has said, on stdout and stderr, since it was started."""
    from thanos_tui import apps

    if arguments.tail is not None and arguments.tail < 0:
        raise InputError(f"--tail {arguments.tail} is no number of lines")
    with _engine(arguments, reporter) as engine:
        app = apps.find(engine, arguments.app)
        for line in apps.follow(engine, app.name, on=arguments.follow, tail=arguments.tail):
            print(line, flush=True)
    return 0


def _each(arguments: argparse.Namespace, reporter: Reporter, act: Callable[[Engine, str], object]) -> int:
    """Do something to each app that was named; without a name to the only one."""
    from thanos_tui import apps

    with _engine(arguments, reporter) as engine:
        for name in arguments.apps or [apps.find(engine).name]:
            act(engine, name)
    return 0


def _stop(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Ask apps to end, and kill those that do not. They stay, with their logs, until they are removed."""
    from thanos_tui import apps

    return _each(arguments, reporter, lambda engine, name: apps.stop(engine, name, arguments.time))


def _start(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Start apps that have ended, as they were run. One that runs is left alone; one that ends at once is told."""
    from thanos_tui import apps

    return _each(arguments, reporter, apps.start)


def _restart(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """End apps, as `app stop` does, and start them again. One that ends at once is told."""
    from thanos_tui import apps

    return _each(arguments, reporter, lambda engine, name: apps.restart(engine, name, arguments.time))


def _remove(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Remove apps that have ended, with their logs and what they wrote; named volumes stay."""
    from thanos_tui import apps

    with _engine(arguments, reporter) as engine:
        for name in arguments.apps:
            apps.remove(engine, name, force=arguments.force)
    return 0


def _load(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Give a machine's Docker an image: from an archive, or by the name of one that has a recipe. All of it is checked
    before any of it is sent; prints the image's name.
    """
    from thanos_tui import apps

    with _engine(arguments, reporter) as engine:
        names = apps.load(engine, arguments.image, reporter)
    if arguments.json:
        print(json.dumps({"event": "images", "names": names}), flush=True)
    else:
        print("\n".join(names))
    return 0
