"""Binary packages as an index, a lock and the cache know them, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from thanos_tui.files import cache_dir


@dataclass(frozen=True)
class Package:
    """One binary package.

    arch: Debian's name, or ``all``. size: of the ``.deb`` in bytes. path: its place inside the archive (``pool/…``).
    uri: where apt would fetch it from; empty when it comes from a lock, and no part of what the package is.
    """

    name: str
    version: str
    arch: str
    sha256: str
    size: int
    path: str
    uri: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def cached(package: Package) -> Path:
    """Where a package is, or will be, in the cache."""
    return cache_dir() / "packages" / _place(package)


def _place(package: Package) -> str:
    return f"{package.sha256[:2]}/{package.sha256}.deb"


def mark_used(packages: Iterable[Package]) -> None:
    """Note that these were used now, where the cache has them: ``cache.prune`` goes by that."""
    directory = cache_dir() / "packages"  # once: these are hundreds
    for package in packages:
        with suppress(OSError):
            os.utime(f"{directory}/{_place(package)}")


@dataclass(frozen=True)
class Origin:
    """Where packages come from, as a profile may state it; empty fields mean what the machine has.

    mirrors: URLs, or lines ``URL SUITE COMPONENT…``. suite: a release's code name. keyring: the file with the keys that
    sign the indices.
    """

    mirrors: tuple[str, ...] = ()
    suite: str = ""
    keyring: Path | None = None
