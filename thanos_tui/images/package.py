"""Binary packages as an index, a lock and the cache know them, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


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


@dataclass(frozen=True)
class Origin:
    """Where packages come from, as a profile may state it; empty fields mean what the machine has.

    mirrors: URLs, or lines ``URL SUITE COMPONENT…``. suite: a release's code name. keyring: the file with the keys that
    sign the indices.
    """

    mirrors: tuple[str, ...] = ()
    suite: str = ""
    keyring: Path | None = None
