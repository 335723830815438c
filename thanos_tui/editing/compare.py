"""What a profile under edit can be compared with, and the comparison: lines side by side, hunks, and their causes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, repeat
from pathlib import Path
from typing import NamedTuple

from thanos_tui import builds, options, profile
from thanos_tui.editing.document import Document
from thanos_tui.errors import InputError
from thanos_tui.linuxkit import config, diff
from thanos_tui.linuxkit.config import Config
from thanos_tui.linuxkit.diff import Line
from thanos_tui.options import Resolved
from thanos_tui.options.render import Memo
from thanos_tui.options.sources import Names, Sources, causes, nearest, possible, trace

CONTEXT = 3  # equal lines shown around a difference when the rest is folded
_ALIKE = 0.5  # of two lines' words in common, from which on one is the other one changed
_MOST_PAIRS = 2_500  # comparisons of lines within one block; a larger one is shown as removed and added
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    resolved: the options that the config was made from; None for YAML that no options stand behind. directory, name: of
    their profile.
    """

    config: Config
    resolved: Resolved | None = None
    directory: Path = Path()
    name: str = ""

    @cached_property
    def sources(self) -> Sources | None:
        """The options behind each value, looked for when they are first asked for. Raises as ``trace`` does."""
        return trace(self.resolved, self.directory, self.name, self.config) if self.resolved else None


@dataclass(frozen=True)
class Source:
    """Something to compare with.

    load: reads it as it is now; raises ThanosError, and may take as long as a disk does. own: it is the document in
    another state, of which only what differs is rendered when it is loaded again.
    """

    id: str
    title: str
    load: Callable[[], Side]
    own: bool = False


def side(resolved: Resolved, directory: Path, name: str, memo: Memo | None = None) -> Side:
    """A profile's config and what it comes from. ``memo``: as for ``render``. Writes nothing. Raises ThanosError."""
    return Side(options.preview(resolved, directory, name, memo), resolved, directory, name)


def sources(document: Document) -> list[Source]:
    """What there is to compare a document with, but for files. Raises HostError where machines cannot be listed."""
    return [*always(document), *_built(document), *_running()]


def always(document: Document) -> list[Source]:
    """What every document can be compared with: the defaults, and its file if it has one."""

    def defaults() -> Side:
        plain = options.resolve(document.catalogue, {}, document.facts)
        return side(plain, document.directory, document.name, document.rendered)

    def saved() -> Side:
        return side(document.on_disk, document.directory, document.name, document.rendered)

    found = [Source("defaults", "the defaults", defaults, own=True)]
    if document.path is not None:
        found.insert(0, Source("saved", f"{document.path.name} as saved", saved, own=True))
    return found


def file(path: Path) -> Source:
    """Another profile, or a LinuxKit YAML file."""

    def load() -> Side:
        if path.suffix != profile.SUFFIX:
            return Side(config.read_files([path]))
        given = profile.load(path)
        return side(given.resolved, given.directory, given.name)

    return Source(f"file {path.absolute()}", path.name, load)


def _built(document: Document) -> Iterator[Source]:
    def last() -> builds.Build | None:
        path = str(document.path.absolute()) if document.path else ""
        name = document["output.name"].value
        return next((each for each in builds.builds() if each.profile == path and (path or each.name == name)), None)

    def load() -> Side:
        build = last()
        if build is None:
            raise InputError("this profile has not been built yet", hint="build it, then compare")
        return _of_build(build)

    if last() is not None:
        yield Source("build", "the last build", load)


def _running() -> Iterator[Source]:
    from thanos_tui import vm

    for machine in vm.machines():
        if machine.alive:
            load = _of_machine(machine.name, Path(machine.image))
            yield Source(f"machine {machine.name}", f"the machine {machine.name}", load)


def _of_machine(name: str, image: Path) -> Callable[[], Side]:
    def load() -> Side:
        build = builds.built_as(image)
        if build is None:
            raise InputError(
                f"it is not known what the machine {name} was built from",
                hint=f"its image {image} was not built by thanos-tui here",
            )
        return _of_build(build)

    return load


def _of_build(build: builds.Build) -> Side:
    made = builds.config_of(build)
    if made is None:
        raise InputError(f"what {build.name} was built from has not been kept", hint="build again, then compare")
    return Side(made)


# The comparison


class Row(NamedTuple):
    """Two lines that stand side by side, by their numbers; None where there is none on that side.

    A tuple, as thousands are made for each change.
    """

    before: int | None
    after: int | None
    same: bool = False


@dataclass(frozen=True)
class Fold:
    """Rows that are not shown: all of them are the same on both sides."""

    rows: range


@dataclass(frozen=True)
class Comparison:
    """Two configs line by line. hunks: the runs of rows that differ, by the rows' numbers."""

    before: tuple[Line, ...]
    after: tuple[Line, ...]
    rows: tuple[Row, ...]
    hunks: tuple[range, ...]


def compare(before: Config, after: Config, memo: diff.Memo | None = None) -> Comparison:
    """Compare two configs; what is secret in them is numbered, alike where it is equal. ``memo``: as for ``lines``."""
    secrets: dict[str, int] = {}
    memo = {} if memo is None else memo
    old, new = diff.lines(before, secrets, memo), diff.lines(after, secrets, memo)
    rows = aligned(old, new)
    return Comparison(old, new, rows, _hunks(rows))


def aligned(before: Sequence[Line], after: Sequence[Line]) -> tuple[Row, ...]:
    """The lines of two configs side by side.

    Entries of sections are matched by their names first, so that what two of them have in common (a mode, a closing
    line) is never taken for the same line; then the lines within.
    """
    import difflib

    old, new = _entries(before), _entries(after)
    names = [[before[part.start].entry for part in old], [after[part.start].entry for part in new]]
    matcher = difflib.SequenceMatcher(None, names[0], names[1], autojunk=False)
    found: list[Row] = []
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            for old_part, new_part in zip(old[old_start:old_end], new[new_start:new_end], strict=True):
                found += _within(before, after, old_part, new_part)
        else:
            found += [Row(line, None) for part in old[old_start:old_end] for line in part]
            found += [Row(None, line) for part in new[new_start:new_end] for line in part]
    return tuple(found)


def _entries(lines: Sequence[Line]) -> list[range]:
    """The runs of lines that belong to one entry each."""
    starts = [number for number, line in enumerate(lines) if not number or line.entry != lines[number - 1].entry]
    return list(map(range, starts, [*starts[1:], len(lines)]))


def _within(before: Sequence[Line], after: Sequence[Line], old: range, new: range) -> Iterator[Row]:
    """The rows of one entry."""
    import difflib

    texts = [before[n].text for n in old], [after[n].text for n in new]
    if texts[0] == texts[1]:
        yield from map(Row, old, new, repeat(True))
        return
    matcher = difflib.SequenceMatcher(None, *texts, autojunk=len(old) > 1000)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        here, there = old[old_start:old_end], new[new_start:new_end]
        if kind == "equal":
            yield from map(Row, here, there, repeat(True))
        else:
            yield from _paired(before, after, here, there)


def _paired(before: Sequence[Line], after: Sequence[Line], old: range, new: range) -> Iterator[Row]:
    """Rows for lines that all differ: those that are alike stand side by side, in the order they have."""
    start_old, start_new = old.start, new.start
    for one, other in _best_pairs(before, after, old, new):
        yield from (Row(line, None) for line in range(start_old, one))
        yield from (Row(None, line) for line in range(start_new, other))
        yield Row(one, other)
        start_old, start_new = one + 1, other + 1
    yield from (Row(line, None) for line in range(start_old, old.stop))
    yield from (Row(None, line) for line in range(start_new, new.stop))


def _best_pairs(before: Sequence[Line], after: Sequence[Line], old: range, new: range) -> list[tuple[int, int]]:
    """Pairs of lines, rising on both sides, that are most alike in all."""
    if not old or not new or len(old) * len(new) > _MOST_PAIRS:
        return []
    best: list[list[tuple[float, tuple[tuple[int, int], ...]]]] = [[(0.0, ())] * (len(new) + 1)]
    for line in old:
        row: list[tuple[float, tuple[tuple[int, int], ...]]] = [(0.0, ())]
        for column, other in enumerate(new):
            alike = _likeness(before[line], after[other])
            total, pairs = best[-1][column]
            taken = (total + alike, (*pairs, (line, other))) if alike >= _ALIKE else (0.0, ())
            row.append(max(taken, best[-1][column + 1], row[column], key=lambda choice: choice[0]))
        best.append(row)
    return list(best[-1][-1][1])


def _likeness(one: Line, other: Line) -> float:
    """How much two lines say the same, from 0 to 1; the same key counts for the most."""
    if one.path[2:] == other.path[2:] and isinstance(one.path[-1], str) and not one.continued and not other.continued:
        return 1.0
    import difflib

    return difflib.SequenceMatcher(None, _WORDS.findall(one.text.strip()), _WORDS.findall(other.text.strip())).ratio()


def _hunks(rows: Sequence[Row]) -> tuple[range, ...]:
    runs = ((same, list(run)) for same, run in groupby(range(len(rows)), key=lambda number: rows[number].same))
    return tuple(range(run[0], run[-1] + 1) for same, run in runs if not same)


def spans(before: str, after: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """What differs within two lines, word by word: the stretches of each that the other one does not have."""
    import difflib

    words = _WORDS.findall(before), _WORDS.findall(after)
    starts = [[0], [0]]
    for side_starts, side_words in zip(starts, words, strict=True):
        for word in side_words:
            side_starts.append(side_starts[-1] + len(word))
    found: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        for which, start, end in ((0, old_start, old_end), (1, new_start, new_end)):
            if start < end:
                found[which].append((starts[which][start], starts[which][end]))
    return found


def folded(comparison: Comparison, context: int = CONTEXT) -> Iterator[int | Fold]:
    """The rows to show by their numbers, with folds in place of those far from any hunk."""
    near = [range(hunk.start - context, hunk.stop + context) for hunk in comparison.hunks]
    hidden = _outside(near, len(comparison.rows))
    start = 0
    for fold in hidden:
        yield from range(start, fold.start)
        yield Fold(fold)
        start = fold.stop
    yield from range(start, len(comparison.rows))


def _outside(parts: Iterable[range], end: int) -> Iterator[range]:
    """The gaps between ranges that rise, within ``range(end)``; a gap of one row is as long as the note about it."""
    start = 0
    for part in parts:
        if part.start - start > 1:
            yield range(start, part.start)
        start = max(start, part.stop)
    if end - start > 1:
        yield range(start, end)


# Causes


def at_line(line: Line, given: Side) -> Names:
    """The options that a line of a config comes from; empty where none has a say, or none is known."""
    return given.sources.of(line.path) if given.sources else ()


def at_rows(comparison: Comparison, rows: Iterable[int], before: Side, after: Side) -> Names:
    """The options that made these rows what they are: of differing rows, those that somebody has set otherwise."""
    shown = [comparison.rows[number] for number in rows]
    differing = [row for row in shown if not row.same]
    names: dict[str, None] = {}
    for row in differing or shown:
        if row.after is not None:
            names.update(dict.fromkeys(at_line(comparison.after[row.after], after)))
        if row.before is not None and before.resolved is not None:
            names.update(dict.fromkeys(at_line(comparison.before[row.before], before)))
        elif row.before is not None and row.after is None and after.resolved is not None:
            names.update(dict.fromkeys(possible(after.resolved, comparison.before[row.before].entry)))
    if after.resolved is None:
        return tuple(names)
    if not differing or before.resolved is None:
        return nearest(after.resolved, tuple(names))
    return causes(tuple(names), before.resolved, after.resolved)
