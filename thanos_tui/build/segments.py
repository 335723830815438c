"""Parts of the root filesystem as compressed initramfs archives, made once and kept.

The kernel unpacks any number of archives, each compressed by itself, one after another. So an initrd is the segments of
its parts put end to end, and after a change only the segments of changed parts are made anew. A segment depends on its
part alone; what parts need of each other goes between them (:mod:`thanos_tui.build.initrd`).

Kept in the cache, by the key of the part: ``KEY.json``, what is in it (:class:`cpio.Survey`); ``KEY-SETTINGS.zst``, the
segment; ``KEY-kernel`` and so on, its files below ``boot/``, which no initrd has.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui.build import blobs, cpio
from thanos_tui.errors import BuildError, Interrupted
from thanos_tui.events import Reporter, Step
from thanos_tui.files import cache_dir, replacing, require_space
from thanos_tui.tree import Member, content

if TYPE_CHECKING:
    import zstandard

    from thanos_tui.build.rootfs import Part

# Raise it when the bytes of a segment change for the same part: segments made before then no longer count.
_LAYOUT = 3
LEVEL = 12
"""How hard to compress, as zstd counts. Measured in docs/formats.md: 19 takes nine times as long for a ninth less."""
FAST = 2
"""For who waits: a seventh of the time of LEVEL, for a fifth more."""
LEVELS = range(1, 20)
# Who asks for less wants it fast; looking for what is far back takes longer than all else does there.
_FIRST_LONG = 6
# The window is how far back a match may be. 64 MiB finds what Go programs of one component have in common (a quarter of
# containerd, ctr and shim); the kernel takes up to 128 MiB, and needs as much memory as the window while unpacking.
_WINDOW = 26
# One compressor with a long window takes about 85 MiB, two would not stay within the 200 MiB that a build may use.
_LARGE = 16 << 20
# Programs and libraries do not compress better than to a sixth: where there is less space than that, it cannot do.
_BEST_RATIO = 6
# A cache of segments is worth keeping, but not without end.
_KEEP = 4 << 30


@dataclass(frozen=True)
class Segment:
    """A part, ready to be put into an initrd. boot: its files below ``boot/``, by name."""

    part: Part
    survey: cpio.Survey
    blob: blobs.Blob
    boot: Mapping[str, blobs.Blob]


def settings(level: int) -> str:
    """What the bytes of a segment depend on besides its part: our layout, the level, and zstd's version."""
    import zstandard

    return f"{_LAYOUT}-{level}-{'.'.join(map(str, zstandard.ZSTD_VERSION))}"


def prepare(
    parts: Iterable[Part], reporter: Reporter, *, level: int = LEVEL, cache: Path | None = None
) -> tuple[Segment, ...]:
    """The segments of ``parts``, in order; those that the cache does not have are made, two at a time.

    Memory stays below 150 MiB, whatever the size of the parts. Raises BuildError for a part that no initrd can hold
    (its location and source are named), HostError where the cache cannot be written, Interrupted.
    """
    parts = tuple(parts)
    if level not in LEVELS:
        raise ValueError(f"level {level} is not in {LEVELS}")
    room = _Room(cache or cache_dir() / "segments", level)
    found = {part.key: segment for part in parts if (segment := room.find(part))}
    missing = {part.key: part for part in parts if part.key not in found}
    if missing:
        total = sum(part.size for part in missing.values())
        require_space(room.directory, total // _BEST_RATIO, "the segments of components")
        with reporter.step("segments", "Compress components", total, "bytes") as step:
            found.update(_make_all(room, missing.values(), step))
            step.note = f"{len(missing)} of {len(found)} made"
        blobs.trim(room.directory, _KEEP)
    made = []
    for part in parts:
        # One segment may serve several parts that only differ in where they come from.
        made.append(replace(found[part.key], part=part))
    for image in {segment.part.source: None for segment in made if segment.survey.attributes}:
        reporter.log(
            f"{image}: extended attributes (file capabilities, say) are lost: an initrd cannot hold them", "warning"
        )
    return tuple(made)


def sizes(parts: Iterable[Part], *, level: int = LEVEL, cache: Path | None = None) -> tuple[tuple[Part, int], ...]:
    """What each part takes in what boots, compressed, in bytes: its segment, and the kernel and microcode from it.

    Parts whose segments were never made (for a tar, say) or are gone from the cache are left out.
    """
    room = _Room(cache or cache_dir() / "segments", level)
    return tuple((part, size) for part in parts if (size := room.size(part)) is not None)


class _Room:
    """Where segments are kept, and how they are made."""

    def __init__(self, directory: Path, level: int) -> None:
        self.directory = directory
        self._level = level
        self._settings = settings(level)

    def takes_memory(self, part: Part) -> bool:
        """Whether no two parts like this can be made at a time."""
        return self._level >= _FIRST_LONG and part.size > _LARGE

    def find(self, part: Part) -> Segment | None:
        """The segment of a part, if all of it is there."""
        survey = self._kept_survey(part)
        blob = blobs.find(self._path(part))
        if survey is None or blob is None:
            return None
        boot = {name: found for name in survey.boot if (found := blobs.find(self._boot_path(part, name)))}
        return Segment(part, survey, blob, boot) if len(boot) == len(survey.boot) else None

    def size(self, part: Part) -> int | None:
        """Bytes of a part's segment and of its files that boot; None if there is no segment."""
        segment = blobs.find(self._path(part))
        if segment is None:
            return None
        boot = (blobs.find(self._boot_path(part, f"boot/{name}")) for name in ("kernel", "cmdline", "ucode.cpio"))
        return segment.size + sum(blob.size for blob in boot if blob)

    def make(self, part: Part, step: Step, check: Callable[[], None]) -> Segment:
        """Make what is missing of a part's segment; ``check`` raises when the work is to stop."""
        try:
            survey = self._kept_survey(part)
            if survey is None:
                survey = cpio.survey(_checked(part.members(), check))
                with replacing(self._survey_path(part)) as stream:
                    stream.write(json.dumps(asdict(survey)).encode())
            with blobs.writing(self._path(part)) as writer:
                self._pack(part, survey, writer, step, check)
        except BuildError as error:
            error.where = error.where or name(part)
            raise
        made = self.find(part)
        if made is None:
            raise BuildError(f"the segments in {self.directory} were deleted while they were made")
        step.log(f"{name(part)}: {survey.size} bytes, {made.blob.size} compressed", "debug")
        return made

    def _pack(
        self, part: Part, survey: cpio.Survey, writer: blobs.Writer, step: Step, check: Callable[[], None]
    ) -> None:
        import zstandard

        left = part.size

        def advance(size: int) -> None:
            # Headers count for a little more than the part's size says; the bar is to end at its end.
            nonlocal left
            check()
            step.advance(min(left, size))
            left -= min(left, size)
            if part.size:
                step.item(name(part), part.size - left, part.size)

        def keeping_boot() -> Iterator[Member]:
            for member in _checked(part.members(), check):
                if member.kind == "file" and member.name in survey.boot:
                    with blobs.writing(self._boot_path(part, member.name)) as kept:
                        for data in content(member) if member.size else ():
                            kept.write(data)
                            advance(len(data))
                yield member

        compressor = zstandard.ZstdCompressor(compression_params=_parameters(self._level, survey.size))
        try:
            packed = compressor.compressobj(size=survey.size)
            for data in cpio.archive(keeping_boot(), survey):
                writer.write(packed.compress(data))
                advance(len(data))
            writer.write(packed.flush())
        except zstandard.ZstdError as error:
            # The length was announced: a tree that changes between the two readings is found out here.
            raise BuildError(f"what is in it changed while it was read ({error})") from error
        writer.write(b"\0" * (-writer.size % 4))
        advance(left)

    def _kept_survey(self, part: Part) -> cpio.Survey | None:
        try:
            kept = json.loads(self._survey_path(part).read_bytes())
            kept["groups"] = {name: tuple(others) for name, others in kept["groups"].items()}
            kept["directories"], kept["needs"] = tuple(kept["directories"]), tuple(kept["needs"])
            return cpio.Survey(**kept)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Not there, or not ours: it can be made again.
            return None

    def _survey_path(self, part: Part) -> Path:
        return self.directory / f"{part.key}-{_LAYOUT}.json"

    def _path(self, part: Part) -> Path:
        return self.directory / f"{part.key}-{self._settings}.zst"

    def _boot_path(self, part: Part, name: str) -> Path:
        # By a hash: what is below boot/ is called whatever an image calls it.
        return self.directory / f"{part.key}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _make_all(room: _Room, parts: Iterable[Part], step: Step) -> dict[str, Segment]:
    """Make the segments of parts by two threads, largest first; only one of them takes what takes much memory."""
    queue = sorted(parts, key=lambda part: -part.size)
    guard = threading.Lock()
    stop = threading.Event()
    made: dict[str, Segment] = {}

    def check() -> None:
        step.reporter.check()
        if stop.is_set():
            raise Interrupted

    def work(large: bool) -> None:
        try:
            while True:
                with guard:
                    part = next((part for part in queue if large or not room.takes_memory(part)), None)
                    if part is None:
                        return
                    queue.remove(part)
                made[part.key] = room.make(part, step, check)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(2, "segments") as pool:
        try:
            workers = [pool.submit(work, True), pool.submit(work, False)]
            wait(workers)
        finally:
            stop.set()
    errors = [error for worker in workers if (error := worker.exception())]
    # Where one failed, the other was interrupted: that is not the news.
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        raise error
    return made


def _checked(members: Iterable[Member], check: Callable[[], None]) -> Iterator[Member]:
    for member in members:
        check()
        yield member


def _parameters(level: int, size: int) -> zstandard.ZstdCompressionParameters:
    import zstandard

    if level < _FIRST_LONG or size <= 256 << 10:
        return zstandard.ZstdCompressionParameters.from_level(level, source_size=size, write_checksum=True)
    # Tables smaller than zstd's own choice, for memory's sake: that costs one per cent at most (docs/formats.md).
    chain, table = (22, 20) if level >= 16 else (22, 22)
    return zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=size,
        window_log=min(_WINDOW, (size - 1).bit_length()),
        chain_log=chain,
        hash_log=table,
        enable_ldm=True,
        write_checksum=True,
    )


def name(part: Part) -> str:
    """What a part is called in messages."""
    return f"{part.location} ({part.source})" if part.source else part.location
