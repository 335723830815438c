"""A build as the app runs it: in a thread, with what is worth knowing about the one before. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thanos_tui import builds, options, replay
from thanos_tui.builds import Build
from thanos_tui.events import Reporter
from thanos_tui.linuxkit.config import Config
from thanos_tui.linuxkit.diff import Change, changes
from thanos_tui.profile import Profile
from thanos_tui.replay import Replayed


@dataclass(frozen=True)
class Order:
    """What to build, as the document stood when it was ordered."""

    profile: Profile
    output: Path
    offline: bool
    update: bool

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats it asks for, the first one first."""
        value = self.profile.resolved["output.formats"].value
        return tuple(value) if isinstance(value, tuple) else (str(value),)


@dataclass(frozen=True)
class Outcome:
    """What came of a build. before: the last one of the same profile or files; changed: since then, in the config;
    None where that is not known."""

    replayed: Replayed
    before: Build | None
    changed: tuple[Change, ...] | None


def last_build(order: Order) -> Build | None:
    """The build that this one follows: of the same profile, or of files where its own will be."""
    from thanos_tui.build import formats
    from thanos_tui.errors import ThanosError

    path = order.profile.path
    try:
        settings = options.settings(order.profile.resolved, order.profile.directory)
        directory = order.output.absolute()
        files = [str(file) for name in settings.formats for file in formats.get(name).paths(directory, settings.name)]
    except ThanosError:
        files = []
    return builds.previous(str(path.absolute()) if path else "", files)


def build(order: Order, reporter: Reporter) -> Outcome:
    """Build what was ordered. Raises ThanosError, as ``replay.build`` does."""
    before = last_build(order)
    # Read before the build: remembering it drops what the one before it was made from.
    config: Config | None = builds.config_of(before) if before else None
    replayed = replay.build(order.profile, order.output, reporter, offline=order.offline, update=order.update)
    return Outcome(replayed, before, changes(config, replayed.config) if config is not None else None)
