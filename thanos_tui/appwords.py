"""An app in words: ``[OPTION]… IMAGE [COMMAND…]``, behind ``thanos-tui app run`` and in ``stark.apps`` of a profile."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from thanos_tui.errors import InputError

if TYPE_CHECKING:
    from thanos_tui.wiring import App


def add_to(parser: argparse.ArgumentParser) -> None:
    """Have a parser read an app; :func:`app` makes one of what it has read."""
    parser.add_argument(
        "image", metavar="IMAGE", help="an image that the machine has, one with a recipe, or one of a registry"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND…", help="in place of the image's own")
    parser.add_argument("--name", metavar="NAME", help="its name (default: from the image)")
    parser.add_argument(
        "--env", "-e", action="append", default=[], metavar="NAME=VALUE", help="set a variable; may be repeated"
    )
    parser.add_argument("--user", "-u", default="", metavar="UID[:GID]", help="who it runs as (default: the image's)")
    parser.add_argument(
        "--restart",
        default="no",
        metavar="POLICY",
        help="when it ends: no, always, unless-stopped, on-failure[:TIMES] (%(default)s)",
    )
    parser.add_argument("--memory", "-m", type=int, default=0, metavar="MIB", help="at most so much memory")
    parser.add_argument("--cpus", type=float, default=0.0, metavar="N", help="at most so many processors, such as 0.5")
    parser.add_argument(
        "--volume",
        "-v",
        action="append",
        default=[],
        metavar="SOURCE:TARGET[:ro]",
        help="let it see a named volume, or a path of the machine; may be repeated",
    )
    parser.add_argument(
        "--publish",
        "-p",
        action="append",
        default=[],
        metavar="[ADDRESS:]PORT:INNER",
        help="a port that leads into it, on the machine's loopback unless ADDRESS is given; may be repeated",
    )
    for part, what in (("x11", "the screen"), ("sound", "the sound")):
        parser.add_argument(
            f"--{part}",
            action=argparse.BooleanOptionalAction,
            help=f"wire it to {what} (default: if the machine has it)",
        )


def app(arguments: argparse.Namespace) -> App:
    """The app that a parser has read; wired to the screen and the sound unless that was refused. Raises InputError."""
    from thanos_tui import wiring

    env = {}
    for text in arguments.env:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--env {text} gives {name!r} no value", hint="write it as NAME=VALUE")
        env[name] = value
    return wiring.App(
        name=arguments.name or "",
        image=arguments.image,
        command=tuple(arguments.words),
        env=env,
        restart=arguments.restart,
        memory_mib=arguments.memory,
        cpus=arguments.cpus,
        x11=arguments.x11 is not False,
        sound=arguments.sound is not False,
        user=arguments.user,
        volumes=tuple(map(wiring.volume, arguments.volume)),
        publish=tuple(map(wiring.port, arguments.publish)),
    )


def read(text: str) -> App:
    """The app that one line of text describes, quoted as in a shell. One without a name gets its image's.

    Raises InputError; the message reads after what it is about ("… is no app: …").
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    add_to(parser)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"cannot be read: {str(error).lower()}") from None
    # The OS keeps an app's words in a file, one on each line.
    if any("\n" in word for word in words):
        hint = "put what needs several lines, such as a script, into the image"
        raise InputError("none of its words can hold a line break, not even in quotes", hint=hint)
    described = app(parser.parse_args(words))
    return replace(described, name=described.name or name_of(described.image))


def name_of(image: str) -> str:
    """A name for an app, from its image's."""
    last = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return re.sub(r"[^A-Za-z0-9_.-]", "-", last) if len(last) > 1 else f"app-{last}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)
