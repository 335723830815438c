"""What a build is told beside its config: by a profile's options, or by the command line."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BuildSettings:
    """What a build and the machine that runs its result need to know beside the config.

    formats: names of output formats. name: what the output files' names begin with.
    size_mib: size of disk images; 0 leaves it to the format. compression: zstd's level. architecture: amd64 or arm64.
    mirrors, suite, keyring: of the Debian archives (``images.apt.Origin``); empty for what apt on this machine has.
    memory_mib, cpus: of the machine. ssh_port: where its SSH server listens; None where it has none.
    resolution, outputs: of its screens (`WIDTHxHEIGHT` or `auto`; how many). sound: its sound card's name, or `none`.
    disk_mib: the size of its data disk, 0 for none. None where the image has no use for it.
    engine: what makes the outputs: ``embedded`` (this program) or ``linuxkit`` (upstream's).
    base_image: what stark's image is built on top of, where a Docker engine builds it.
    image_sources, image_mirrors, image_certificates: where other images come from (``images.fetch.Sources``).
    """

    formats: tuple[str, ...]
    name: str
    size_mib: int
    compression: int
    architecture: str
    mirrors: tuple[str, ...]
    suite: str
    keyring: Path | None
    memory_mib: int
    cpus: int
    ssh_port: int | None
    resolution: str | None = None
    outputs: int | None = None
    sound: str | None = None
    disk_mib: int = 0
    base_image: str | None = None
    image_sources: tuple[str, ...] = ("store", "registry")
    image_mirrors: tuple[str, ...] = ()
    image_certificates: tuple[str, ...] = ()
    engine: str = "embedded"


def machine_architecture() -> str:
    """The architecture of this machine by Debian's name; amd64 for one that no image can be made for."""
    return {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "amd64")
