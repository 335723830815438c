"""The root filesystem as one archive, every member with its source and location in the config.

That is the format ``tar``; ``docker`` has a Dockerfile in it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO

from thanos_tui import tarball
from thanos_tui.build import trees
from thanos_tui.build.rootfs import Part
from thanos_tui.events import Step
from thanos_tui.tree import Member

# What upstream writes; `docker build - <NAME.docker` makes an image of the archive.
_DOCKERFILE = b"""
FROM scratch

COPY . ./

ENTRYPOINT ["/bin/rc.init"]
"""


def write(parts: Iterable[Part], stream: BinaryIO, step: Step | None = None) -> None:
    """Write the parts as a pax archive to ``stream``; the same parts always give the same bytes.

    Each member has the records ``LINUXKIT.source`` and ``LINUXKIT.location``, which upstream's ``--input-tar`` reads.
    step: advanced by the bytes of content; the sum of the parts' sizes is its total, near enough.
    Raises what the parts' members raise; what has been written by then is no archive.
    """
    for chunk in tarball.chunks(_labelled(parts, step)):
        stream.write(chunk)


def write_docker(parts: Iterable[Part], stream: BinaryIO, step: Step | None = None) -> None:
    """Write an archive that Docker builds an image from, which starts the system in a container; as :func:`write`.

    Docker looks at the first 512 bytes to tell an archive from a Dockerfile, and takes an extended header there for the
    latter. So the one member without records comes first; upstream has it last, and Docker does not take the archive.
    """
    for chunk in tarball.chunks(chain([trees.file("Dockerfile", _DOCKERFILE)], _labelled(parts, step))):
        stream.write(chunk)


def _labelled(parts: Iterable[Part], step: Step | None) -> Iterator[Member]:
    for part in parts:
        records = {"LINUXKIT.location": part.location, "LINUXKIT.source": part.source}
        for member in part.members():
            yield replace(member, pax={**records, **member.pax})
            if step is not None:
                step.advance(member.size)
