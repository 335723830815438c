"""From a config to files: its images, root filesystem and outputs. Profiles and LinuxKit YAML both come this way.

    config ─▶ images ─▶ parts ─▶ outputs

Nothing of profiles and options is loaded here: a build of YAML starts in half the time without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui.builds import PartSize
from thanos_tui.errors import HostError
from thanos_tui.events import Artefact, Reporter
from thanos_tui.files import cache_in_use
from thanos_tui.linuxkit.config import Config
from thanos_tui.settings import BuildSettings

if TYPE_CHECKING:
    from typing import BinaryIO

    from thanos_tui.build.rootfs import Part
    from thanos_tui.images.fetch import Sources
    from thanos_tui.linuxkit.model import Compat


@dataclass(frozen=True)
class Made:
    """What a config was made into: the files, how the lock changed, and what each component takes of the image."""

    artefacts: tuple[Artefact, ...]
    changes: tuple[str, ...]
    parts: tuple[PartSize, ...]


@cache_in_use()
def make(
    config: Config,
    settings: BuildSettings,
    output: Path,
    reporter: Reporter,
    *,
    lock: Path | None,
    offline: bool = False,
    update: bool = False,
    store: Path | None = None,
    decompress_kernel: bool = False,
    sources: Sources | None = None,
    compat: Compat = "fixed",
    stream: BinaryIO | None = None,
    input_tar: Path | None = None,
) -> Made:
    """Build a config: its images, root filesystem and outputs.

    lock: the file that says which packages and images to use, written where it is missing; None does without.
    store: where images are kept, if not in the cache. sources: where images come from that no recipe makes, if not
    as the settings say. compat: whose way counts where upstream's is not ours.
    stream: where the one format goes that is to be made (of ``outputs.STREAMED``), in the place of ``output``.
    input_tar: an earlier archive of the root filesystem, to take unchanged parts from.
    """
    from thanos_tui.build import formats, inputtar, outputs, rootfs, upstream
    from thanos_tui.files import cache_dir
    from thanos_tui.images import data, docker, fetch, origins, provide, tools
    from thanos_tui.images import lock as locks
    from thanos_tui.images.package import Origin, mark_used
    from thanos_tui.images.store import Damaged, Store

    origin = Origin(settings.mirrors, settings.suite, settings.keyring)
    theirs = settings.engine == "linuxkit"
    if theirs:
        upstream.check(settings.formats, config)
    declared = () if theirs else tuple(map(formats.get, settings.formats))
    needed = [program for form in declared for program in form.needs]
    tools.ensure(needed, reporter, offline=offline)
    taken = [wanted for form in declared for wanted in form.data]
    data.ensure(taken, settings.architecture, reporter, offline=offline, origin=origin)
    kept = Store(store or cache_dir() / "store")
    before = locks.load(lock) if lock else None

    reused = rootfs.Reused()
    if input_tar is not None:
        reused = inputtar.reusable(
            input_tar, config, lambda text: reporter.log(text, "warning"), decompress_kernel=decompress_kernel
        )

    def attempt() -> tuple[Sequence[Artefact], locks.Lock, Sequence[rootfs.Part]]:
        images, used = provide.provide(
            reused.images(config),
            settings.architecture,
            kept,
            before,
            reporter,
            offline=offline,
            update=update,
            origin=origin,
            base=settings.base_image or docker.BASE,
            sources=sources or fetch.configured(settings),
            where=config.where_image,
            layouts=config.layouts(settings.architecture),
        )
        if theirs:
            made = upstream.build(
                config,
                settings,
                output,
                reporter,
                store=kept.path,
                decompress_kernel=decompress_kernel,
                offline=offline,
            )
            return made, used, ()
        parts = rootfs.parts(
            config,
            kept,
            settings.architecture,
            images=images,
            decompress_kernel=decompress_kernel,
            compat=compat,
            reused=reused,
        )
        if stream is not None:
            return [outputs.stream(parts, settings.formats[0], stream, reporter)], used, parts
        artefacts = outputs.build(
            parts,
            settings.formats,
            output,
            settings.name,
            arch=settings.architecture,
            reporter=reporter,
            size_mib=settings.size_mib or None,
            memory_mib=settings.memory_mib,
            level=settings.compression,
        )
        return artefacts, used, parts

    try:
        artefacts, used, parts = attempt()
    except Damaged as damaged:
        if stream is not None:
            raise
        reporter.log(f"{damaged.message}: its image is made again", "warning")
        artefacts, used, parts = attempt()
    if before and not update:
        # What this build does not use stays pinned: a component switched off for once must come back as it was.
        used = locks.Lock({**before.images, **used.images})
    origins.note(used)
    mark_used(package for image in used.images.values() for package in image.packages)
    # Only a build that worked is worth repeating.
    if lock:
        try:
            locks.save(lock, used)
        except HostError as error:
            reporter.log(f"{error.message}; this build is not locked", "warning")
    changes = locks.changes(before, used) if before else ()
    return Made(tuple(artefacts), changes, part_sizes(config, parts, settings.compression))


def part_sizes(config: Config, parts: Sequence[Part], level: int) -> tuple[PartSize, ...]:
    """What each component of a config takes in what boots, as far as it was ever compressed; in the config's order."""
    from thanos_tui.build import segments
    from thanos_tui.images.reference import split

    names = {"kernel": "kernel", "files": "files", "init": "package database"}
    names |= {f"init[{number}]": split(image).name.rpartition("/")[2] for number, image in enumerate(config.init)}
    names |= {f"volume[{number}]": volume.name for number, volume in enumerate(config.volumes)}
    names |= {f"{section}[{number}]": item.name for section, number, item in config.components()}
    found: dict[str, PartSize] = {}
    for part, size in segments.sizes(parts, level=level):
        before = found.get(part.location)
        name = names.get(part.location, part.location)
        found[part.location] = PartSize(part.location, name, part.source, size + (before.bytes if before else 0))
    return tuple(found.values())
