"""The output formats, as ``assets/linuxkit/formats.yml`` declares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from thanos_tui import yaml12
from thanos_tui.errors import InputError, nearest
from thanos_tui.files import assets_dir

SHARED = ("-kernel", "-cmdline", "-early.img")
"""Files that several formats have, and that are the same in all of them."""


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
    largest_mib: int | None = None
    beside: tuple[str, ...] = ()

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
        lists = {key: tuple(entry.get(key, ())) for key in ("files", "needs", "data", "arch", "beside")}
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


def together(names: Iterable[str]) -> tuple[Format, ...]:
    """The formats of one build, each once, under names of their own: where two have the same file (upstream's
    ``NAME.vhd`` is that of two), the one that has other names for such company takes these.

    Raises InputError as :func:`get` does.
    """
    chosen = [get(name) for name in dict.fromkeys(names)]
    settled = []
    for format_ in chosen:
        taken = {suffix for other in chosen if other is not format_ for suffix in other.files}
        clash = format_.beside and not taken.isdisjoint(set(format_.files) - set(SHARED))
        settled.append(replace(format_, files=format_.beside) if clash else format_)
    return tuple(settled)
