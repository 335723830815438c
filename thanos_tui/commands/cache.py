"""The command about the cache: what it holds, and removing what nobody used for a while."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thanos_tui.cache import Amount
    from thanos_tui.events import Reporter

_DAYS = 30.0


def add(commands: Any) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser("cache", help="what the cache holds; make room in it", description=_show.__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list: kind, items, bytes")
    parser.set_defaults(function=_show)
    actions = parser.add_subparsers(title="actions", prog="thanos-tui cache", metavar="ACTION")

    parser = actions.add_parser("prune", help="remove what nobody used for a while", description=_prune.__doc__)
    parser.add_argument(
        "--older-than", type=_days, default=_DAYS, metavar="DAYS", help="last used so long ago (%(default)g)"
    )
    parser.add_argument("--dry-run", "-n", action="store_true", help="only say what it would be")
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="a JSON list: kind, items, bytes"
    )
    parser.set_defaults(function=_prune)


def _days(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return float(text)


def _show(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Show what the cache holds: all of it can be made or fetched again."""
    from thanos_tui import cache

    _print(cache.held(), arguments.json)
    return 0


def _prune(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Remove from the cache what no build used for a while, and programs that would not be started any more. Prints
    what was removed. What a build or a machine is using stays.
    """
    from thanos_tui import cache

    _print(cache.prune(arguments.older_than, dry_run=arguments.dry_run), arguments.json)
    return 0


def _print(amounts: Sequence[Amount], as_data: bool) -> None:
    from thanos_tui.narrate import columns
    from thanos_tui.words import size

    if as_data:
        print(json.dumps([asdict(amount) for amount in amounts], indent=2))
        return
    total = ("total", str(sum(amount.items for amount in amounts)), size(sum(amount.bytes for amount in amounts)))
    rows = [(amount.kind, str(amount.items), size(amount.bytes)) for amount in amounts]
    print("\n".join(columns([("WHAT", "ITEMS", "SIZE"), *rows, total])))
