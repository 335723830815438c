"""The output formats, as ``assets/linuxkit/formats.yml`` declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from thanos_tui import yaml12
from thanos_tui.errors import InputError, nearest
from thanos_tui.files import assets_dir


@dataclass(frozen=True)
class Format:
    """One output format; the fields are explained at the top of ``formats.yml``."""

    name: str
    files: tuple[str, ...]
    help: str
    bootable: Literal["kernel", "disk", "none"]
    firmware: Literal["any", "bios", "efi"]
    needs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    size_mib: int | None = None

    def paths(self, directory: Path, name: str) -> tuple[Path, ...]:
        """The files it makes, in ``directory``, for an output called ``name``."""
        return tuple(directory / f"{name}{suffix}" for suffix in self.files)


@cache
def load() -> Mapping[str, Format]:
    """All formats by name, in the order of the file."""
    path = assets_dir() / "linuxkit" / "formats.yml"
    declared = yaml12.read(path.read_text(encoding="utf-8"), str(path)).value
    found = {}
    for entry in declared:
        lists = {key: tuple(entry.get(key, ())) for key in ("files", "needs", "data", "arch")}
        found[entry["name"]] = Format(**{**entry, **lists})
    return found


def get(name: str) -> Format:
    """The format called ``name``; raises InputError with the nearest name, or all of them."""
    formats = load()
    if name not in formats:
        near = nearest(name, formats)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(formats)}"
        raise InputError(f"there is no output format {name}", hint=hint)
    return formats[name]
