"""The small initrd that mounts a root filesystem on a disk: Debian's kernel has the drivers for it as modules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from thanos_tui.build import initrd, segments
from thanos_tui.build.rootfs import Part
from thanos_tui.events import Reporter

# What our init does its part of it with (assets/linuxkit/recipes/init); others do not know how.
_PROGRAMS = frozenset({"init", "sbin/coldplug"})


def stage(parts: Iterable[Part], reporter: Reporter, *, level: int, cache: Path) -> tuple[initrd.Bootable, bool]:
    """The kernel and its command line, with an initrd of the modules and the first init image; and whether that initrd
    can mount a root filesystem.

    Raises what :func:`segments.prepare` does.
    """
    wanted = [part for part in parts if part.location in ("kernel", "init[0]")]
    ready = segments.prepare(wanted, reporter, level=level, cache=cache)
    able = any(segment.survey.others.keys() >= _PROGRAMS for segment in ready)
    return initrd.join(ready), able
