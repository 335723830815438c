"""Both engines over one config: upstream's outputs beside ours, and where the two differ, member by member."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from thanos_tui.build import compare, rootfs, tar, upstream
from thanos_tui.errors import InputError
from thanos_tui.events import Artefact, Reporter
from thanos_tui.files import cache_dir, cache_in_use
from thanos_tui.images.store import Store
from thanos_tui.linuxkit.config import Config
from thanos_tui.settings import BuildSettings

THEIRS = "linuxkit"
"""The directory, in that of our outputs, where upstream's go."""

COMPARED = ("kernel+initrd", "tar", "tar-kernel-initrd")
"""The formats whose members can be laid side by side; what others hold is in these."""


@dataclass(frozen=True)
class Difference:
    """What is unlike in the outputs of a format: at a name, in a sentence.

    listed: the difference is one that docs/linuxkit-compat.md tells of: with ``--compat upstream`` there is none.
    """

    format: str
    name: str
    text: str
    listed: bool

    def __str__(self) -> str:
        return f"{self.format}: {self.name}: {self.text}{' (documented)' if self.listed else ''}"


def check(config: Config, formats: tuple[str, ...], *, to_compare: bool) -> None:
    """Refuse what cannot be done, before anything is. Raises as ``build.upstream.check`` does, and InputError."""
    unlike = [name for name in formats if name not in COMPARED]
    if to_compare and unlike:
        raise InputError(
            f"outputs of the format {unlike[0]} are not compared",
            hint=f"compare {', '.join(COMPARED)}",
            where="--compare",
        )
    upstream.check(formats, config)


@cache_in_use()
def build_theirs(
    config: Config,
    settings: BuildSettings,
    output: Path,
    reporter: Reporter,
    *,
    store: Path | None = None,
    decompress_kernel: bool = False,
    offline: bool = False,
) -> tuple[Artefact, ...]:
    """Have upstream's program make the same formats in a directory of ``output``; our build has provided the images."""
    made = upstream.build(
        config,
        settings,
        output / THEIRS,
        reporter,
        store=store or cache_dir() / "store",
        decompress_kernel=decompress_kernel,
        offline=offline,
    )
    return tuple(made)


@cache_in_use()
def differences(
    config: Config,
    settings: BuildSettings,
    output: Path,
    reporter: Reporter,
    *,
    store: Path | None = None,
    decompress_kernel: bool = False,
) -> tuple[Difference, ...]:
    """Where our outputs in ``output`` and upstream's beside them differ. Raises BuildError where one cannot be read."""
    with reporter.step("compare", "Compare with linuxkit's") as step:
        # Upstream's way, for two questions: which names are hard links, and which differences are known.
        parts = rootfs.parts(
            config,
            Store(store or cache_dir() / "store"),
            settings.architecture,
            decompress_kernel=decompress_kernel,
            compat="upstream",
        )
        with tempfile.NamedTemporaryFile(suffix=".tar") as stream:
            tar.write(parts, cast(BinaryIO, stream), step)
            stream.flush()
            known = compare.tar(Path(stream.name))
        found = [one for name in settings.formats for one in _unlike(name, output, settings.name, known)]
        listed = sum(one.listed for one in found)
        step.note = f"{len(found) - listed} differences, {listed} more that are documented"
    return tuple(found)


def _unlike(format_: str, output: Path, name: str, known: compare.State) -> Iterator[Difference]:
    sides = (output, output / THEIRS)
    if format_ == "tar":
        ours, theirs = (compare.tar(side / f"{name}.tar") for side in sides)
        files: list[dict[str, bytes]] = [{}, {}]
        found = compare.differences(ours, theirs)
    else:
        if format_ == "kernel+initrd":
            pairs = [compare.kernel_initrd(side, name) for side in sides]
        else:
            pairs = [compare.tar_kernel_initrd(side / f"{name}-initrd.tar") for side in sides]
        files = [pair[0] for pair in pairs]
        ours, theirs = (pair[1] for pair in pairs)
        found = compare.differences(ours, theirs, hardlinks=known)
    for part in sorted({*files[0], *files[1]}):
        if files[0].get(part) != files[1].get(part):
            yield Difference(format_, part, "differs, or is missing in one of them", False)
    for at, text in found:
        yield Difference(format_, at, text, known.get(at) == theirs.get(at))
