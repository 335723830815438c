"""The app: what ``thanos-tui [PROFILE]`` does where no command is named."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import HostError, InputError
from thanos_tui.tui import first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thanos_tui.editing.document import Document

_REPLAY = "without one, build headless: thanos-tui --replay PROFILE"
DEFECT = 70  # EX_SOFTWARE of sysexits.h


def add(commands: Any) -> None:
    """Add the parser of the app."""
    parser = commands.add_parser(
        "tui", help="configure, build and boot on the screen; the word may be left out", description=_app.__doc__
    )
    parser.add_argument("profile", nargs="?", type=Path, metavar="PROFILE", help="the profile to open")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="change an option first; may be repeated"
    )
    parser.add_argument(
        "--output", "-o", type=Path, default=Path(), metavar="DIR", help="where builds put their files (default: here)"
    )
    parser.add_argument(
        "--serve", nargs="?", type=int, const=0, metavar="PORT", help="show the app in a browser on this machine"
    )
    parser.set_defaults(function=_app, own_screen=True)

    parser = commands.add_parser("keys", help="the keys of the app", description=_keys.__doc__)
    parser.set_defaults(function=_keys)


def means_app(words: Sequence[str], commands: Sequence[str]) -> bool:
    """Whether a command line without the word ``tui`` means the app: a profile, options of the app, or nothing.

    What could be a command that was mistyped is left to the parser, which knows them all.
    """
    if any(word in ("--replay", "--help", "-h", "--version") or word.startswith("--replay=") for word in words):
        return False
    if any(word in commands for word in words):
        return False
    return not words or words[0].startswith("-") or "." in words[0] or "/" in words[0] or Path(words[0]).exists()


def _app(arguments: argparse.Namespace, _reporter: object) -> int:
    """Configure a profile, see its YAML, build, boot it and log in, all on one screen."""
    if arguments.serve is not None:
        from thanos_tui.tui.serve import serve

        _document(arguments.profile, arguments.set)  # what is wrong with it is better said here than in a browser
        return serve(arguments.serve, arguments.profile, arguments.set, arguments.output)
    # What is loaded at the start stays: to look through it for garbage again and again takes a quarter of the time.
    # Once the screen is there, the app switches the collector on again.
    gc.disable()
    try:
        check_terminal()
        document = _document(arguments.profile, arguments.set)
        _show_first_menu(document)
        import asyncio

        from thanos_tui.tui.app import ThanosApp

        app = ThanosApp(document, arguments.output)
        # Not App.run, which before Python 3.14 leaves all as it is where a signal comes before the app listens to it.
        asyncio.run(app.run_async(mouse=not _is_old()))
    finally:
        gc.enable()
        first.restore()
        _let_go_of_closed_terminal()
    if app.crash is not None:
        print(f"thanos-tui: {app.crash}", file=sys.stderr)
        return DEFECT
    return app.return_value or 0


def _let_go_of_closed_terminal() -> None:
    # What is still to be written to a terminal that was closed would make Python end with a status of its own.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _document(path: Path | None, settings: Sequence[str]) -> Document:
    from thanos_tui.editing.document import Document

    return Document.open(path, settings) if path else Document.new(settings=settings)


def _show_first_menu(document: Document) -> None:
    from thanos_tui.editing.rows import marks, rows

    menus = rows(document, marks(document))
    first.fill([f"   {row.title}  {row.symbol} " for row in menus], f" {document.path.name if document.path else ''}")


def _is_old() -> bool:
    from thanos_tui.tui.look import look

    return look().old


def check_terminal() -> None:
    """Raise InputError where there is no terminal that the app can be drawn on."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return  # a program draws for us: a browser's terminal
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise InputError("the app needs a terminal, and this is none", hint=_REPLAY)
    terminal = os.environ.get("TERM", "")
    if terminal in ("", "dumb", "unknown"):
        said = f"TERM is {terminal!r}" if terminal else "TERM is not set"
        raise InputError(f"the app needs a terminal that can move its cursor, and {said}", hint=_REPLAY)
    width, height = _size()
    if width == 0 or height == 0:
        hint = f"say its size: stty rows 24 columns 80; {_REPLAY}"
        raise InputError("this terminal says that it has no rows or columns", hint=hint)


def _size() -> tuple[int, int]:
    """Columns and rows, as Textual finds them: from the environment, or the terminal."""
    try:
        actual = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        actual = os.terminal_size((0, 0))
    asked = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    width, height = (int(text) if text.isdecimal() and int(text) else None for text in asked)
    return (actual.columns if width is None else width, actual.lines if height is None else height)


def _keys(_arguments: argparse.Namespace, _reporter: object) -> int:
    """List the app's actions and their keys, those of keys.yaml included (docs/app.md), and what is wrong with it."""
    try:
        from thanos_tui.tui import keymap
    except ModuleNotFoundError as error:
        raise HostError(f"the app is not installed completely: {error}") from error
    from thanos_tui.narrate import columns

    given = keymap.load()
    table = [("ACTION", "KEYS", "WHAT IT DOES")]
    table += [(name, keys, help_text) for name, keys, _, help_text in keymap.rows(given)]
    print("\n".join(columns(list(table))))
    problems = keymap.check(given, keymap.declared())
    for problem in problems:
        print(f"thanos-tui: {problem}", file=sys.stderr)
    return InputError.exit_code if problems else 0
