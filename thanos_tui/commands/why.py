"""``why PATH``: which component, image, layer and package put a file into the system."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import InputError
from thanos_tui.events import Reporter
from thanos_tui.interrupts import asking
from thanos_tui.words import printable, size

if TYPE_CHECKING:
    from thanos_tui.build.origin import Origin
    from thanos_tui.images.package import Package
    from thanos_tui.linuxkit.config import Config


_SHOWN = 4  # packages that are named


def add(commands: Any) -> None:
    """Add the parser of ``why``."""
    parser = commands.add_parser("why", help="tell where a file of the system comes from", description=_why.__doc__)
    parser.add_argument("path", metavar="PATH", help="a path in the system, or inside a container")
    parser.add_argument(
        "of", nargs="*", metavar="PROFILE|FILE.yml", help="a profile or LinuxKit YAML (default: what was built last)"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the image store, in LinuxKit's own format")
    parser.add_argument(
        "--arch", choices=("amd64", "arm64"), help="the processor (default: as built, or this machine's)"
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch the Debian packages that have to be asked and are not in the cache",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each part that puts something there")
    parser.set_defaults(function=_why, events=False)


def _why(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Tell which component, image, layer and Debian package put a file there, and which others it replaced.

    Images are looked up in the store: what was never built has none.
    """
    from thanos_tui.build import origin
    from thanos_tui.files import cache_dir
    from thanos_tui.images import origins
    from thanos_tui.images.store import Store

    with asking(reporter):
        config, arch = _config(arguments)
        found = origin.find(config, Store(arguments.cache or cache_dir() / "store"), arch, arguments.path)
        for one in found:
            made_of = origins.packages(one.image.digest) if one.image else ()
            package, gone = _package(one, made_of, arch, reporter, download=arguments.download)
            facts = _facts(one) | {"package": str(package) if package else None, "missing": list(map(str, gone))}
            if arguments.json:
                print(json.dumps(facts))
                continue
            for line in _lines(one, str(package or ""), bool(made_of), gone):
                print(printable(line))
    return 0


def _package(
    one: Origin, made_of: tuple[Package, ...], arch: str, reporter: Reporter, *, download: bool
) -> tuple[Package | None, tuple[Package, ...]]:
    """The package of ``made_of`` that has the file, and those to be fetched to know more; download: fetch them."""
    from thanos_tui.images import origins

    if not made_of or not one.inside:
        return None, ()
    ask = partial(origins.package_of, one.inside, made_of, reporter, kernel=one.location == "kernel")
    package, gone = ask()
    if package is None and gone and download:
        from thanos_tui.images.apt import Apt
        from thanos_tui.images.download import fetch

        fetch(gone, Apt(arch), reporter)
        return ask()
    return package, gone


def _config(arguments: argparse.Namespace) -> tuple[Config, str]:
    """The config that is asked about, and its architecture. Raises InputError."""
    from thanos_tui import builds
    from thanos_tui.linuxkit.config import read_files
    from thanos_tui.settings import machine_architecture

    if not arguments.of:
        built = next(iter(builds.builds()), None)
        config = builds.config_of(built) if built else None
        if built is None or config is None:
            raise InputError("nothing has been built yet", hint="name a profile or a YAML file: `why PATH FILE`")
        return config, arguments.arch or built.architecture
    if len(arguments.of) == 1 and arguments.of[0].endswith(".thanos"):
        from thanos_tui import options
        from thanos_tui.replay import opened

        given = opened(Path(arguments.of[0]), ())
        settings = options.settings(given.resolved, given.directory)
        return options.render(given.resolved, given.directory, given.name), arguments.arch or settings.architecture
    return read_files(arguments.of), arguments.arch or machine_architecture()


def _facts(one: Origin) -> dict[str, Any]:
    return {
        "path": one.path,
        "component": one.location,
        "name": one.name or None,
        "source": one.source,
        "digest": one.image.digest if one.image else None,
        "layers": list(one.layers),
        "kind": one.member.kind,
        "mode": f"{one.member.mode:04o}",
        "size": one.member.size,
        "link": one.member.linkname or None,
        "replaced": one.replaced,
    }


def _lines(one: Origin, package: str, by_recipe: bool, gone: Sequence[Package]) -> list[str]:
    from thanos_tui.images import recipes

    member = one.member
    what = f"{member.kind} {member.mode:04o} {member.uid}:{member.gid}"
    what += f" {size(member.size)}" if member.kind == "file" else f" to {member.linkname}" if member.linkname else ""
    lines = [f"/{one.path}  {what}{'  (replaced by what follows)' if one.replaced else ''}"]
    component = f"{one.location} {one.name}".rstrip()
    if one.image is None:
        return [*lines, f"  from {component} of the configuration"]
    lines.append(f"  from {component}, image {one.source} {one.image.digest[:19]}")
    if one.layers:
        others = f", over what {', '.join(map(str, one.layers[:-1]))} had there" if one.layers[1:] else ""
        archive = f", in its {one.archive}" if one.archive else ""
        lines.append(f"  layer {one.layers[-1]} of {len(one.image.layers)}{archive}{others}")
    else:
        lines.append("  made by the build, as it is in every container and in the system")
    if package:
        lines.append(f"  Debian package {package}")
    elif by_recipe and gone:
        names = ", ".join(map(str, gone[:_SHOWN])) + (f" and {len(gone) - _SHOWN} more" if gone[_SHOWN:] else "")
        lines.append(f"  its Debian package may be one that is not in the cache: {names}")
        lines.append("  `--download` fetches them and looks inside")
    elif by_recipe and one.layers:
        lines.append("  stated by its recipe, or made from several packages")
    elif one.layers and one.source.startswith(recipes.PREFIX):
        lines.append("  the cache does not know which packages its image was made of; a build of it notes that")
    return lines
