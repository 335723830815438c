"""Commands about profiles: render, diff, options."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.commands.builds import add_settings

if TYPE_CHECKING:
    from thanos_tui.events import Reporter
    from thanos_tui.linuxkit.config import Config


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    parser = commands.add_parser("render", help="print a profile's LinuxKit YAML", description=_render.__doc__)
    parser.add_argument("profile", type=Path, metavar="PROFILE")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="write it there instead of stdout")
    add_settings(parser)
    parser.set_defaults(function=_render)

    parser = commands.add_parser("diff", help="compare profiles or LinuxKit YAML", description=_diff.__doc__)
    parser.add_argument("before", type=Path, metavar="A")
    parser.add_argument("after", type=Path, metavar="B")
    parser.add_argument("--json", action="store_true", help="a list of changes: path, kind, before, after")
    parser.set_defaults(function=_diff)

    parser = commands.add_parser("options", help="what can be configured", description=_options.__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="an option, or the beginning of names up to a dot")
    parser.add_argument("--profile", "-p", type=Path, metavar="PROFILE", help="show the values in this profile")
    parser.add_argument("--json", action="store_true", help="everything known of them, as a JSON list")
    add_settings(parser)
    parser.set_defaults(function=_options)


def _render(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Print the LinuxKit YAML that a profile stands for: what `linuxkit build` would take as well."""
    from thanos_tui import options
    from thanos_tui.files import replacing
    from thanos_tui.linuxkit import config
    from thanos_tui.replay import opened

    given = opened(arguments.profile, arguments.set, generate_key=arguments.generate_key)
    text = config.dump(options.render(given.resolved, given.directory, given.name))
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    with replacing(arguments.output) as stream:
        stream.write(text.encode())
    return 0


def _read(path: Path) -> Config:
    """A config from a profile or from LinuxKit YAML; looking at a profile writes nothing."""
    from thanos_tui import options
    from thanos_tui.linuxkit import config
    from thanos_tui.profile import SUFFIX, load

    if path.suffix != SUFFIX:
        return config.read_files([path])
    given = load(path)
    return options.render(given.resolved, given.directory, given.name, make_key=False)


def _diff(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Show what differs between two profiles or LinuxKit YAML files, secrets hidden. Exit status 0 either way."""
    from thanos_tui.linuxkit import diff

    before, after = _read(arguments.before), _read(arguments.after)
    if arguments.json:
        found = [change.as_json() for change in diff.changes(before, after)]
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    colours = _colours()
    for line in diff.unified(before, after, (str(arguments.before), str(arguments.after))):
        start, end = colours.get(line[:2] if line[:2] == "@@" else line[:1], ("", ""))
        print(f"{start}{line}{end}")
    return 0


def _colours() -> dict[str, tuple[str, str]]:
    """Colours by how a line of a diff begins; none in a pipe or with NO_COLOR (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return {}
    reset = "\x1b[0m"
    return {"-": ("\x1b[31m", reset), "+": ("\x1b[32m", reset), "@@": ("\x1b[36m", reset)}


def _options(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """List the options with their values and where each comes from, or tell everything about one."""
    from thanos_tui import options, profile
    from thanos_tui.narrate import columns
    from thanos_tui.options.describe import describe
    from thanos_tui.replay import opened

    if arguments.profile:
        resolved = opened(arguments.profile, arguments.set, generate_key=arguments.generate_key).resolved
    else:
        resolved = profile.override(profile.read("thanos: 1\n", "defaults"), arguments.set).resolved
    found = describe(resolved, arguments.name)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif arguments.name in options.load().options:
        print("\n".join(_in_full(found[0])))
    else:
        rows: list[tuple[str, ...]] = [("OPTION", "VALUE", "FROM", "WHAT IT IS")]
        rows += [(each["name"], _short(each), each["origin"], each["prompt"]) for each in found]
        print("\n".join(columns(rows)))
    return 0


def _short(described: dict[str, Any]) -> str:
    text = "" if not described["active"] else _text(described["value"])
    return text if len(text) <= 32 else text[:31] + "…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "y" if value else "n"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _in_full(described: dict[str, Any]) -> list[str]:
    """Everything about one option, as people read it."""
    unit = f" {described['unit']}" if described.get("unit") else ""
    lines = [f"{described['name']}: {described['prompt']}", f"  in {' > '.join(described['menu'])}", ""]
    lines += [*textwrap.wrap(described["help"], 78, initial_indent="  ", subsequent_indent="  "), ""]
    rows = [
        ("type", described["type"] + (", required" if described.get("required") else "")),
        ("value", f"{_text(described['value'])}{unit}" if described["active"] else "none: the option is not active"),
        ("from", described["origin"]),
        ("default", f"{_text(described['default'])}{unit}"),
    ]
    for choice in described.get("values", []):
        needs = f" (needs {choice['depends_on']})" if choice["depends_on"] else ""
        rows.append(("may be", f"{choice['value']}: {choice['prompt']}{needs}"))
    for limits in described.get("ranges", []):
        rows.append(("range", f"{limits['from']} to {limits['to']}" + (f" if {limits['if']}" if limits["if"] else "")))
    for key, label in (("must_be", "must be"), ("depends_on", "needs"), ("why_not", "why not"), ("warning", "warning")):
        if described.get(key):
            rows.append((label, described[key]))
    if described.get("selects"):
        rows.append(("selects", ", ".join(described["selects"])))
    return lines + [f"  {label:<8} {text}" for label, text in rows]
