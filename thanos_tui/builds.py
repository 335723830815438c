"""What was built last, and from what: so that ``run`` finds the image, and the console the key that opens it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.events import Artefact, Took
from thanos_tui.files import replacing, state_dir
from thanos_tui.hardware import Peripherals

if TYPE_CHECKING:
    from thanos_tui.linuxkit.config import Config
    from thanos_tui.settings import BuildSettings
    from thanos_tui.vm import Settings

KEPT = 100  # builds remembered; a record is a few kilobytes


@dataclass(frozen=True)
class PartSize:
    """What a component takes in the image.

    location: where in the config it stands (``services[2]``, ``kernel``). name: what it is called there. source: the
    full name of its image, or LinuxKit's word for parts that come from none (``linuxkit.files``).
    bytes: compressed, as they are in the initrd; of the kernel also the kernel itself. Containers with one image
    share its files: they count for the first of them.
    """

    location: str
    name: str
    source: str
    bytes: int


@dataclass(frozen=True)
class Build:
    """One finished build.

    name: what its files begin with. profile: the profile's path, or "" for LinuxKit YAML.
    outputs: absolute paths of the files that can be booted, the profile's first format first.
    memory_mib, cpus, architecture, peripherals: of the machine that runs it. ssh_port: where its SSH server listens.
    identity: the private key that logs in, if the profile has one of its own.
    parts: what its components take; empty where that is not known. steps: how long its steps took when they were last
    done, which may have been in an earlier build. config: the file below ``state_dir()/configs`` with its YAML.
    """

    name: str
    profile: str
    outputs: tuple[str, ...]
    memory_mib: int
    cpus: int
    architecture: str
    ssh_port: int | None
    identity: str | None
    parts: tuple[PartSize, ...] = ()
    steps: tuple[Took, ...] = ()
    config: str = ""
    peripherals: Peripherals = field(default_factory=Peripherals)


def finished(
    settings: BuildSettings,
    artefacts: Iterable[Artefact],
    parts: tuple[PartSize, ...],
    steps: Iterable[Took],
    *,
    profile: str = "",
    identity: str | None = None,
) -> Build:
    """The build that ``settings`` asked for and that made these files; the rest as :class:`Build` has it."""
    return Build(
        name=settings.name,
        profile=profile,
        outputs=_starting(artefacts),
        memory_mib=settings.memory_mib,
        cpus=settings.cpus,
        architecture=settings.architecture,
        ssh_port=settings.ssh_port,
        identity=identity,
        parts=parts,
        steps=tuple(steps),
        peripherals=Peripherals(
            resolution=None if settings.resolution in (None, "auto") else settings.resolution,
            outputs=settings.outputs or 1,
            sound=None if settings.sound in (None, "none") else settings.sound,
            disk_mib=settings.disk_mib,
        ),
    )


def _starting(artefacts: Iterable[Artefact]) -> tuple[str, ...]:
    """The files a machine can start from, one for each format, in the order they were built."""
    from thanos_tui.build import formats

    found: dict[str, str] = {}
    for artefact in artefacts:
        if formats.get(artefact.format).bootable != "none":
            found.setdefault(artefact.format, str(Path(artefact.path).absolute()))
    return tuple(found.values())


def record_path() -> Path:
    """The file that remembers them."""
    return state_dir() / "builds.json"


def builds() -> list[Build]:
    """The builds remembered, the latest first; a damaged record counts as none, as it only saves typing."""
    try:
        entries: list[dict[str, Any]] = json.loads(record_path().read_bytes())
        return [_read(entry) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _read(entry: dict[str, Any]) -> Build:
    # Records of earlier versions say less.
    parsed = {
        "outputs": tuple(entry["outputs"]),
        "parts": tuple(PartSize(**part) for part in entry.get("parts", ())),
        "steps": tuple(Took(**step) for step in entry.get("steps", ())),
        "peripherals": Peripherals(**entry.get("peripherals", {})),
    }
    return Build(**{**entry, **parsed})


def remember(build: Build, config: Config | None = None) -> Build:
    """Put a build first, with the config it was made from, and return it as it is remembered.

    Older ones keep the outputs that it has not written anew, and are forgotten without any. Raises HostError.
    """
    if config is not None:
        from thanos_tui.linuxkit.config import dump

        data = dump(config).encode()
        build = replace(build, config=f"{hashlib.sha256(data).hexdigest()[:32]}.yml")
        path = _configs() / build.config
        if not path.exists():
            # Configs hold secrets: keys, hashes of passwords.
            with replacing(path, 0o600) as stream:
                stream.write(data)
    known = builds()
    before = previous(build.profile, build.outputs, known)
    if before is not None:
        # What was done already took no time now, and will when it has to be done again.
        done = {step.step: step for step in (*before.steps, *build.steps)}
        build = replace(build, steps=tuple(done.values()))
    kept = [replace(each, outputs=tuple(o for o in each.outputs if o not in build.outputs)) for each in known]
    others = [each for each in kept if each.outputs]
    now = [build, *others][:KEPT]
    if now != known:
        with replacing(record_path(), 0o600) as stream:
            stream.write(json.dumps([asdict(each) for each in now], indent=1).encode())
        _prune({each.config for each in now})
    return build


def _configs() -> Path:
    return state_dir() / "configs"


def _prune(used: set[str]) -> None:
    for path in _configs().glob("*.yml"):
        if path.name not in used:
            path.unlink(missing_ok=True)


def config_of(build: Build) -> Config | None:
    """The config that a build was made from; None if that was not remembered, or is damaged."""
    from thanos_tui.errors import InputError
    from thanos_tui.linuxkit.config import read

    path = _configs() / build.config
    try:
        return read(path.read_bytes(), str(path)) if build.config else None
    except (OSError, InputError):
        return None


def previous(profile: str, outputs: Iterable[str], known: Sequence[Build] | None = None) -> Build | None:
    """The last build of a profile (its absolute path; "" for none), or else of any of these files."""
    known = builds() if known is None else known
    paths = set(outputs)
    same = (each for each in known if profile and each.profile == profile)
    return next(same, None) or next((each for each in known if paths.intersection(each.outputs)), None)


def sizes() -> Mapping[str, int]:
    """What images take in what boots, compressed, in bytes, by their full names: from the latest builds that know."""
    found: dict[str, int] = {}
    for build in reversed(builds()):
        sums: dict[str, int] = {}
        for part in build.parts:
            sums[part.source] = sums.get(part.source, 0) + part.bytes
        found.update(sums)
    return found


def took() -> Mapping[str, Took]:
    """How long each step took when it was done last, by its path."""
    return {step.step: step for build in reversed(builds()) for step in build.steps}


def built_as(output: Path, known: Sequence[Build] | None = None) -> Build | None:
    """The build that made an output file."""
    path = str(output.absolute())
    return next((each for each in (builds() if known is None else known) if path in each.outputs), None)


def bootable() -> list[str]:
    """The files that builds have made and that are still there, the latest first."""
    return [output for build in builds() for output in build.outputs if Path(output).exists()]


def settings_for(build: Build) -> Settings:
    """The machine that a build asks for."""
    from thanos_tui.vm import Settings

    settings = Settings(
        memory_mib=build.memory_mib,
        cpus=build.cpus,
        architecture=build.architecture,
        peripherals=build.peripherals,
    )
    return replace(settings, guest_ssh_port=build.ssh_port) if build.ssh_port else settings
