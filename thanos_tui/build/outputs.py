"""From parts to output files: every format, and the way past all work for files that are already right.

An output is right if its parts, its format and the programs that wrote it are the same as when it was made, and nobody
has touched the file since. What was made is remembered in the cache (``outputs/``), so a directory of outputs has
nothing in it but outputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from thanos_tui import programs
from thanos_tui.build import formats as declared
from thanos_tui.build import segments, tar
from thanos_tui.build.formats import Format
from thanos_tui.events import Artefact, Reporter, Step, StepPlanned
from thanos_tui.files import cache_dir, replacing, stamp
from thanos_tui.images import data

if TYPE_CHECKING:
    from thanos_tui.build.initrd import Bootable
    from thanos_tui.build.rootfs import Part

# Raise it when a format's bytes change for the same parts.
_LAYOUT = 2


def build(
    parts: Sequence[Part],
    formats: Iterable[str],
    directory: Path,
    name: str,
    reporter: Reporter,
    *,
    arch: str | None = None,
    size_mib: int | None = None,
    memory_mib: int | None = None,
    level: int = segments.LEVEL,
    cache: Path | None = None,
) -> list[Artefact]:
    """Make the files of these formats in ``directory``, each format whole or not at all, and report every file.

    A file that already has the right content stays as it is.

    arch: of the parts, to refuse formats that it does not have. size_mib: the size of disks (vhd, qcow2-bios); without
    it they have the format's own size, or more if that is too small. memory_mib: what a machine will have; a warning
    says if that will not do. level: how hard to compress (segments.LEVELS). cache: where segments are kept, and what is
    known of outputs (``cache_dir()``).

    Raises InputError, HostError, BuildError or Interrupted; formats that were finished by then stay.
    """
    wanted = declared.together(formats)
    work = _Work(tuple(parts), directory.absolute(), name, size_mib, level, cache or cache_dir(), reporter)
    records = {format_: work.unchanged(format_) for format_ in wanted}
    missing = [format_ for format_, record in records.items() if record is None]
    if missing:
        from thanos_tui.build import preflight

        preflight.check(missing, work.directory, name, arch, size_mib)
        preflight.check_room(missing, work.parts, level, work.cache / "segments")
        for format_ in missing:
            reporter.report(StepPlanned(*work.step(format_)))
        for format_ in missing:
            records[format_] = work.make(format_)
    needed = max(record.ram_mib for record in records.values() if record)
    if memory_mib is not None and memory_mib < needed:
        reporter.log(
            f"a machine with {memory_mib} MiB of memory will probably not boot this: it takes about {needed} MiB",
            "warning",
        )
    artefacts = [artefact for format_, record in records.items() if record for artefact in record.artefacts(format_)]
    for artefact in artefacts:
        reporter.report(artefact)
    return artefacts


def stream(parts: Sequence[Part], format_: str, target: BinaryIO, reporter: Reporter) -> Artefact:
    """Write a format of ``STREAMED`` to an open stream as it comes into being; the path of the artefact is ``-``.

    Raises what the parts raise; what has been written by then is no archive.
    """
    counted = _Counted(target)
    total = sum(part.size for part in parts)
    with reporter.step(f"output/{format_}", f"Write {format_}", total, "bytes") as step:
        STREAMED[format_](parts, cast(BinaryIO, counted), step)
        target.flush()
    return Artefact("-", format_, counted.size, counted.digest.hexdigest())


STREAMED: Mapping[str, Callable[[Sequence[Part], BinaryIO, Step], None]] = {
    "tar": tar.write,
    "docker": tar.write_docker,
}
"""The formats that are one archive, which needs nothing but to be written from its begin to its end."""


class _Counted:
    """A stream that is only written to, with the size and the hash of what went through."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._target.write(data)


@dataclass(frozen=True)
class _Record:
    """The files of a format as they were when they were finished.

    identity: a hash of all that they were made from. files: size, modification and change time (ns), inode number and
    SHA-256 of each by its path. ram_mib: see preflight.ram_needed_mib; 0 for what does not boot.
    """

    identity: str
    files: Mapping[str, tuple[int, int, int, int, str]]
    ram_mib: int

    def holds(self, path: Path) -> bool:
        """Whether the file at ``path`` is still the same, or still missing if there was none."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return str(path) not in self.files
        known = self.files.get(str(path))
        return known is not None and tuple(known[:4]) == stamp(status)

    def artefacts(self, format_: Format) -> list[Artefact]:
        return [Artefact(path, format_.name, facts[0], facts[4]) for path, facts in self.files.items()]


@dataclass
class _Work:
    """One call of :func:`build`."""

    parts: tuple[Part, ...]
    directory: Path
    name: str
    size_mib: int | None
    level: int
    cache: Path
    reporter: Reporter
    _system: Bootable | None = None

    def step(self, format_: Format) -> tuple[str, str]:
        """The step that writes a format's files, and its title."""
        names = (path.name for path in format_.paths(self.directory, self.name))
        return f"output/{format_.name}", f"Write {', '.join(names)}"

    def unchanged(self, format_: Format) -> _Record | None:
        """What is known of a format's files, if that still holds."""
        try:
            kept = json.loads(self._record_path(format_).read_bytes())
            record = _Record(str(kept["identity"]), dict(kept["files"]), int(kept["ram_mib"]))
            if record.identity != self._identity(format_):
                return None
            paths = format_.paths(self.directory, self.name)
            return record if all(record.holds(path) for path in paths) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def make(self, format_: Format) -> _Record:
        """Write the files of a format. A damaged segment is thrown away and made again, once."""
        from thanos_tui.build import blobs

        try:
            return self._make(format_)
        except blobs.Damaged as damaged:
            self.reporter.log(f"{damaged.message}: it is thrown away and made again", "warning")
            damaged.path.unlink(missing_ok=True)
            self._system = None
            return self._make(format_)

    def _make(self, format_: Format) -> _Record:
        from thanos_tui.build import early, preflight, writers

        identity = self._identity(format_)
        paths = format_.paths(self.directory, self.name)
        step, title = self.step(format_)
        total = sum(part.size for part in self.parts)
        if format_.name in STREAMED:
            with self.reporter.step(step, title, total, "bytes") as at_work:
                written = writers.archive(STREAMED[format_.name], self.parts, paths[0], at_work)
            ram = 0
        elif format_.name in writers.ROOTS:
            stage, complete = early.stage(self.parts, self.reporter, level=self.level, cache=self.cache / "segments")
            with self.reporter.step(step, title, total, "bytes") as at_work:
                root = writers.Root(self.parts, stage, complete, paths, at_work)
                written = writers.root_image(root, writers.ROOTS[format_.name])
            ram = preflight.ram_needed_mib(stage)
        else:
            system = self.system()
            with self.reporter.step(step, title, system.total, "bytes") as at_work:
                job = writers.Job(system, paths, self.size_mib, format_.size_mib or 0, at_work)
                written = writers.BOOTABLE[format_.name](job)
            ram = preflight.ram_needed_mib(system)
        files = {str(path): (*stamp(path.stat()), digest) for path, digest in written.items()}
        with replacing(self._record_path(format_)) as stream:
            stream.write(json.dumps({"identity": identity, "files": files, "ram_mib": ram}).encode())
        return _Record(identity, files, ram)

    def system(self) -> Bootable:
        """What is to be booted, from segments that are made if they are missing."""
        if self._system is None:
            from thanos_tui.build import initrd

            ready = segments.prepare(self.parts, self.reporter, level=self.level, cache=self.cache / "segments")
            self._system = initrd.join(ready)
        return self._system

    def _identity(self, format_: Format) -> str:
        facts: list[object] = [_LAYOUT, format_.name, segments.settings(self.level)]
        # Only a tar says where its members come from.
        facts += [
            (part.key, part.location, part.source) if format_.name in STREAMED else part.key for part in self.parts
        ]
        if format_.size_mib:
            facts.append(self.size_mib)
        used = [programs.find(program) for program in format_.needs]
        used += [data.find(wanted, arch) for wanted in format_.data for arch in data.SOURCES[wanted]]
        facts += [stamp(path.stat())[:2] if path else None for path in used]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _record_path(self, format_: Format) -> Path:
        place = json.dumps([str(self.directory), self.name, format_.name])
        return self.cache / "outputs" / f"{hashlib.sha256(place.encode()).hexdigest()}.json"
