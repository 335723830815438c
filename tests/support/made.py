"""Builds that do what a test wants, in the place of real ones: only their progress and their end are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import LIMIT

from thanos_tui import builds, options
from thanos_tui.builds import Build, PartSize
from thanos_tui.events import Artefact, Reporter
from thanos_tui.profile import Profile
from thanos_tui.replay import Replayed

PARTS = (
    PartSize("kernel", "kernel", "kernel:1", 8_000_000),
    PartSize("services[0]", "sshd", "sshd:1", 2_000_000),
    PartSize("files", "files", "linuxkit.files", 600),
)


@dataclass
class Made:
    """In the place of ``replay.build``: runs a script with the reporter, writes two small files, remembers the build.

    orders: what was asked for. waits, goes: for scripts that stop half-way until the test says so.
    """

    script: Callable[[Reporter], None] = lambda _reporter: None
    parts: tuple[PartSize, ...] = PARTS
    orders: list[dict[str, Any]] = field(default_factory=list)
    waits: threading.Event = field(default_factory=threading.Event)
    goes: threading.Event = field(default_factory=threading.Event)

    def build(self, profile: Profile, output: Path, reporter: Reporter, **how: Any) -> Replayed:
        self.orders.append({"profile": profile, "output": output, **how})
        self.script(reporter)
        config = options.render(profile.resolved, profile.directory, profile.name, make_key=False)
        settings = options.settings(profile.resolved, profile.directory)
        output.mkdir(parents=True, exist_ok=True)
        artefacts = []
        for name, content in (("kernel", b"kernel" * 9), ("initrd.img", b"initrd" * 99)):
            path = output / f"{settings.name}-{name}"
            path.write_bytes(content)
            artefacts.append(Artefact(str(path), "kernel+initrd", len(content), name[0] * 64))
            reporter.report(artefacts[-1])
        path = output.absolute() / f"{settings.name}-kernel"
        made = Build(
            settings.name,
            str(profile.path.absolute()) if profile.path else "",
            (str(path),),
            settings.memory_mib,
            settings.cpus,
            settings.architecture,
            settings.ssh_port,
            None,
            self.parts,
            tuple(reporter.took),
        )
        return Replayed(tuple(artefacts), config, settings, (), builds.remember(made, config))

    def pause(self) -> None:
        """Stop here until ``goes`` is set."""
        self.waits.set()
        assert self.goes.wait(LIMIT)
