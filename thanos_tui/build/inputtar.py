"""``--input-tar``: parts of an earlier archive of the root filesystem in the place of images that did not change.

The archive tells of each member where in the config it comes from and from which image (the PAX records
``LINUXKIT.location`` and ``LINUXKIT.source``), and holds the config itself as a file that ``metadata`` made. A section
that is the same in both configs is taken over as it is, without its images, which need not be there any more.

Upstream compares less and so takes what it should not: here containers that share an image go together, and none is
taken where the numbers that names of containers stand for, or the volumes, are others.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thanos_tui import tarball, yaml12
from thanos_tui.build import trees
from thanos_tui.build.rootfs import Part, Reused
from thanos_tui.errors import BuildError, HostError, InputError
from thanos_tui.images.layers import Limits
from thanos_tui.images.reference import expand
from thanos_tui.linuxkit import checks
from thanos_tui.linuxkit.config import Component, Config, read
from thanos_tui.linuxkit.metadata import metadata
from thanos_tui.tree import Member, content

_SOURCE, _LOCATION = "LINUXKIT.source", "LINUXKIT.location"
# A description that is larger than this describes no system.
_DESCRIPTION = 16 << 20
_LIMITS = Limits()


@dataclass
class _Stretch:
    """The members of one location, which stand together: where the first begins, and what there is of them."""

    start: int
    count: int = 0
    size: int = 0
    whole: bool = True
    sources: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)


def reusable(
    path: Path,
    config: Config,
    warn: Callable[[str], None],
    *,
    decompress_kernel: bool = False,
    limits: Limits = _LIMITS,
) -> Reused:
    """What an earlier archive has for ``config``. ``warn`` is told why there is nothing.

    Raises InputError for an archive that cannot be read, BuildError for one that is damaged, or whose members are not
    where their component is.
    """
    places = [item.path.strip("/") for item in config.files if item.metadata]
    if not places:
        warn(f"nothing of {path} is used: only a system with a `metadata` file of its own can be compared")
        return Reused()
    try:
        stretches, description = _scanned(path, places[-1], limits)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", where="--input-tar") from None
    try:
        before = _described(description, f"{places[-1]} in {path.name}")
    except InputError as error:
        warn(f"nothing of {path} is used: {error.message}")
        return Reused()
    now = _described(metadata(config, "yaml", expand), "the configuration")
    same = _same(before, now)
    if decompress_kernel:
        same.pop("kernel", None)
    taken = {location: stretches[location] for location in same if location in stretches}
    for location, stretch in taken.items():
        _check(path, location, stretch, same[location])
    parts = {location: _part(path, location, stretch) for location, stretch in taken.items()}
    links = {name: target for at, one in taken.items() if at.startswith("init[") for name, target in one.links.items()}
    return Reused(parts, links)


def _scanned(path: Path, place: str, limits: Limits) -> tuple[dict[str, _Stretch], bytes]:
    """The locations of an archive, and the content of the file ``place``. One reading, which hashes what it passes."""
    stretches: dict[str, _Stretch] = {}
    description = b""
    last = ""
    with path.open("rb") as stream:
        end = 0
        for number, member in enumerate(tarball.members(stream, path.name)):
            if number == limits.members:
                raise BuildError(f"{path} has more than {limits.members} members")
            location = member.pax.get(_LOCATION, "")
            here = stretches.setdefault(location, _Stretch(end))
            # One that comes in pieces is not as any build writes it.
            here.whole = here.whole and (location == last or here.count == 0)
            last = location
            here.count += 1
            here.size += member.size
            here.sources.add(member.pax.get(_SOURCE, ""))
            if member.kind == "hardlink" and member.linkname not in here.names:
                raise BuildError(f"{path}: {member.name} is a hard link out of {location or 'nowhere'}")
            here.names.add(member.name)
            if member.kind == "symlink" and "/" not in member.name:
                here.links[member.name] = posixpath.normpath(member.linkname.lstrip("/"))
            here.digest.update(json.dumps(asdict(replace(member, open=None)), sort_keys=True).encode())
            end = stream.tell() + member.size + -member.size % 512
            for data in content(member) if member.size else ():
                here.digest.update(data)
                if member.name == place and len(description) <= _DESCRIPTION:
                    description += data
    return stretches, description


def _described(data: bytes, what: str) -> Config:
    """A config as a ``metadata`` file tells of it. Raises InputError where it cannot be read, or is not there."""
    if not data:
        raise InputError(f"there is no {what}")
    document = yaml12.read(data, what, documents="first").value
    return read(json.dumps(_without_nulls(document)), what)


def _without_nulls(value: Any) -> Any:
    # Upstream's encoder writes null for what is not given, which its own reader refuses.
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _same(before: Config, now: Config) -> dict[str, set[str]]:
    """The locations that are alike in both configs, each with the directories that its members belong in.

    None stands for anywhere.
    """
    found: dict[str, set[str]] = {}
    if before.init == now.init:
        # Links in the root of init images decide where modules go, and one list of packages is made of all.
        found |= {f"init[{number}]": set() for number in range(len(now.init))} | {"init": set()}
        if before.kernel == now.kernel:
            found["kernel"] = set()
    for number, (old, new) in enumerate(zip(before.volumes, now.volumes, strict=False)):
        if old == new:
            found[f"volume[{number}]"] = {new.directory}
    ids = checks.container_ids(now)
    kept = {volume.name: volume.readonly for volume in now.volumes}
    if any(ids.get(name) != number for name, number in checks.container_ids(before).items()) or any(
        kept.get(volume.name) != volume.readonly for volume in before.volumes
    ):
        return found
    groups = [_by_image(config) for config in (before, now)]
    for image, members in groups[1].items():
        if groups[0].get(image) == members:
            for section, number, item in members:
                home = f"containers/{section}/{'' if section == 'services' else f'{number:03d}-'}{item.name}"
                found[f"{section}[{number}]"] = {home}
    return found


def _by_image(config: Config) -> Mapping[str, list[tuple[str, int, Component]]]:
    found: dict[str, list[tuple[str, int, Component]]] = {}
    for entry in config.components():
        found.setdefault(entry[2].image, []).append(entry)
    return found


def _check(path: Path, location: str, stretch: _Stretch, homes: set[str]) -> None:
    """Raise BuildError unless all members are where their component's are."""
    if not stretch.whole:
        raise BuildError(f"{path}: the members of {location} do not stand together, as a build writes them")
    for name in stretch.names if homes else ():
        if not any(name == home or name.startswith(f"{home}/") or home.startswith(f"{name}/") for home in homes):
            raise BuildError(f"{path}: {name} does not belong to {location}, as it says")


def _part(path: Path, location: str, stretch: _Stretch) -> Part:
    status = path.stat()
    seen = (status.st_ino, status.st_size, status.st_mtime_ns)

    def members() -> Iterator[Member]:
        with path.open("rb") as stream:
            status = path.stat()
            if (status.st_ino, status.st_size, status.st_mtime_ns) != seen:
                raise HostError(f"{path} was changed during the build", hint="build again")
            stream.seek(stretch.start)
            for number, member in enumerate(tarball.members(stream, path.name)):
                if number == stretch.count:
                    return
                yield replace(member, pax={key: text for key, text in member.pax.items() if key != _LOCATION})

    source = min(stretch.sources - {"linuxkit.volumes"}, default="linuxkit.volumes")
    key = hashlib.sha256(b"input tar\0" + stretch.digest.digest()).hexdigest()
    # The joined list of packages is the one thing that goes where images have made the directories.
    made = members if location == "init" else lambda: trees.with_parents(members())
    return Part(location, source, key, stretch.size, made)
