"""Places in a terminal's text: selecting and finding, on plain lines, without any terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len

# What belongs to a word that a double click takes: letters and digits, and what paths, addresses and options have.
_WORD = frozenset("-_./~:@%+=?&#,")


class Place(NamedTuple):
    """A line, counted from the first there ever was, and a column in cells."""

    line: int
    column: int


@dataclass(frozen=True)
class Selection:
    """From one place to another, in whichever order; the later one is not part of it."""

    start: Place
    end: Place

    def on(self, line: int, width: int) -> tuple[int, int] | None:
        """The columns of a line that are selected; None if none is."""
        first, last = sorted((self.start, self.end))
        if not first.line <= line <= last.line:
            return None
        begin = first.column if line == first.line else 0
        end = last.column if line == last.line else width
        return (begin, end) if end > begin else None


def between(lines: Sequence[str], selection: Selection, first: int) -> str:
    """The selected text. first: which line ``lines`` begin with."""
    start, end = sorted((selection.start, selection.end))
    taken = []
    for number in range(max(start.line, first), min(end.line, first + len(lines) - 1) + 1):
        text = lines[number - first]
        last = end.column if number == end.line else None
        taken.append(columns(text, start.column if number == start.line else 0, last).rstrip(" "))
    return "\n".join(taken)


def columns(text: str, start: int, end: int | None = None) -> str:
    """What stands in the cells from ``start`` to ``end``; a wide character goes with its first cell."""
    if text.isascii():
        return text[start:end]
    place, kept = 0, []
    for character, width in _clusters(text):
        if place >= start and (end is None or place < end):
            kept.append(character)
        place += width
    return "".join(kept)


def hits(text: str, needle: str) -> Iterator[tuple[int, int]]:
    """Where a line has ``needle``, as columns. Capitals count only if ``needle`` has one."""
    if not needle:
        return
    where = text if needle != needle.lower() else text.lower()
    if len(where) != len(text):  # a few capitals become two letters
        where = text
    place = where.find(needle)
    while place >= 0:
        start = cell_len(text[:place])
        yield start, start + cell_len(text[place : place + len(needle)])
        place = where.find(needle, place + len(needle))


def word_selection(text: str, line: int, column: int) -> Selection:
    """The word at a column: what is between blanks and brackets."""
    padded = text.ljust(column + 1)
    starts: list[int] = []
    place = index = 0
    for number, (_, width) in enumerate(clusters := list(_clusters(padded))):
        starts.append(place)
        if place <= column:
            index = number
        place += width
    starts.append(place)

    def belongs(number: int) -> bool:
        character = clusters[number][0]
        return character[0].isalnum() or character in _WORD

    first = last = index
    if belongs(index):
        while first > 0 and belongs(first - 1):
            first -= 1
        while last + 1 < len(clusters) and belongs(last + 1):
            last += 1
    return Selection(Place(line, starts[first]), Place(line, starts[last + 1]))


def line_selection(text: str, line: int) -> Selection:
    return Selection(Place(line, 0), Place(line, cell_len(text)))


def visible(text: str) -> str:
    """A text without anything that a terminal would act on."""
    return "".join(character if character.isprintable() else " " for character in text)


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Characters with what is joined to them, and the cells each takes."""
    pending = ""
    for character in text:
        if pending and cell_len(character) == 0:
            pending += character
            continue
        if pending:
            yield pending, cell_len(pending)
        pending = character
    if pending:
        yield pending, cell_len(pending)
