"""The headless road: a profile in, its outputs and events out. The app and ``--replay`` both take it.

    profile ─▶ options ─▶ config ─▶ images ─▶ parts ─▶ outputs

Nothing here prints, and nothing imports a terminal library, SSH or Docker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import options, profile
from thanos_tui.builds import Build, finished, remember
from thanos_tui.events import Artefact, Reporter
from thanos_tui.linuxkit.config import Config
from thanos_tui.make import make
from thanos_tui.options import Resolved
from thanos_tui.settings import BuildSettings

GENERATE_KEY = "sshd.generate-key=y"


@dataclass(frozen=True)
class Request:
    """What to replay, and what the command line says beside the profile.

    settings: ``OPTION=VALUE`` each. formats, name: in place of the profile's, if given.
    output: the directory of the outputs. generate_key: give the profile a key pair of its own where the user has no
    public key. offline: take everything from the cache. update: renew the lock.
    """

    profile: Path
    output: Path
    settings: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    name: str = ""
    generate_key: bool = False
    offline: bool = False
    update: bool = False


@dataclass(frozen=True)
class Replayed:
    """What came out: the files, what they were made from, and how the lock changed (one line each)."""

    artefacts: tuple[Artefact, ...]
    config: Config
    settings: BuildSettings
    changes: tuple[str, ...]
    build: Build


def opened(
    path: Path, settings: Sequence[str], formats: Sequence[str] = (), name: str = "", *, generate_key: bool = False
) -> profile.Profile:
    """A profile with the command line's values. Raises InputError for whatever cannot be used."""
    loaded = profile.load(path)
    if generate_key and lacks_key(loaded.resolved):
        settings = [*settings, GENERATE_KEY]
    return profile.override(loaded, settings, formats, name)


def lacks_key(resolved: Resolved) -> bool:
    """Whether nobody could log in for want of a key: the user has none, whose own would open the machine already."""
    return not any(Path.home().glob(".ssh/*.pub")) and resolved["sshd.generate-key"].active


def replay(request: Request, reporter: Reporter) -> Replayed:
    """Build what a profile says. Outputs appear whole or not at all.

    Raises ThanosError of the kind that fits; see the stages.
    """
    given = opened(request.profile, request.settings, request.formats, request.name, generate_key=request.generate_key)
    return build(given, request.output, reporter, offline=request.offline, update=request.update)


def build(
    given: profile.Profile, output: Path, reporter: Reporter, *, offline: bool = False, update: bool = False
) -> Replayed:
    """Build a profile as it stands, saved or not; one that has no file yet has no lock either.

    Raises ThanosError of the kind that fits; see the stages.
    """
    from thanos_tui.images import lock as locks

    for option, warning in given.resolved.warnings():
        reporter.log(f"{option}: {warning}", "warning")
    config = options.render(given.resolved, given.directory, given.name)
    settings = options.settings(given.resolved, given.directory)
    made = make(
        config,
        settings,
        output,
        reporter,
        lock=locks.lock_path(given.path) if given.path else None,
        offline=offline,
        update=update,
    )
    key = options.profile_key(given.name)
    build = finished(
        settings,
        made.artefacts,
        made.parts,
        reporter.took,
        profile=str(given.path.absolute()) if given.path else "",
        identity=str(key) if key.exists() else None,
    )
    return Replayed(made.artefacts, config, settings, made.changes, remember(build, config))
