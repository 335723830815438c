"""What was built last, and from what: so that ``run`` finds the image, and the console the key that opens it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from thanos_tui.files import replacing, state_dir

KEPT = 100  # builds remembered; a record is a few hundred bytes


@dataclass(frozen=True)
class Build:
    """One finished build.

    name: what its files begin with. profile: the profile's path, or "" for LinuxKit YAML.
    outputs: absolute paths of the files that can be booted, the profile's first format first.
    memory_mib, cpus, architecture: of the machine that runs it. ssh_port: where its SSH server listens.
    identity: the private key that logs in, if the profile has one of its own.
    """

    name: str
    profile: str
    outputs: tuple[str, ...]
    memory_mib: int
    cpus: int
    architecture: str
    ssh_port: int | None
    identity: str | None


def _path() -> Path:
    return state_dir() / "builds.json"


def builds() -> list[Build]:
    """The builds remembered, the latest first; a damaged record counts as none, as it only saves typing."""
    try:
        entries: list[dict[str, Any]] = json.loads(_path().read_bytes())
        return [Build(**{**entry, "outputs": tuple(entry["outputs"])}) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def remember(build: Build) -> None:
    """Put a build first. Older ones keep the outputs that it has not written anew, and are forgotten without any."""
    known = builds()
    kept = [replace(each, outputs=tuple(o for o in each.outputs if o not in build.outputs)) for each in known]
    others = [each for each in kept if each.outputs]
    if [build, *others] == known:
        return
    with replacing(_path(), 0o600) as stream:
        stream.write(json.dumps([asdict(each) for each in [build, *others][:KEPT]], indent=1).encode())


def built_as(output: Path, known: Sequence[Build] | None = None) -> Build | None:
    """The build that made an output file."""
    path = str(output.absolute())
    return next((each for each in (builds() if known is None else known) if path in each.outputs), None)
