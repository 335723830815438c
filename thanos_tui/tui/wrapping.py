"""Which rows the lines of a text take where long ones are broken; counted a part at a time. Draws nothing."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from thanos_tui.tui.styled import Line, plain_all, rows_of

_AT_ONCE = 500  # lines that are counted before others have their turn


class Wrapped:
    """The rows of lines, as far as they are counted; those of later lines are taken for one each."""

    def __init__(self) -> None:
        self._ends: array[int] = array("L")  # rows up to the end of each line

    def __len__(self) -> int:
        """How many lines are counted."""
        return len(self._ends)

    @property
    def total(self) -> int:
        """The rows of the lines that are counted."""
        return self._ends[-1] if self._ends else 0

    def of(self, index: int) -> tuple[int, int]:
        """The rows of a line, the last one excluded."""
        if index >= len(self._ends):
            return self.total, self.total + 1
        return self._ends[index - 1] if index else 0, self._ends[index]

    def at(self, row: int) -> tuple[int, int]:
        """The line that has a row, and which of its rows that is; past the end, a line that is not counted."""
        index = bisect_right(self._ends, row)
        return index, row - (self._ends[index - 1] if index else 0)

    def count(self, lines: Sequence[Line], width: int) -> Iterator[None]:
        """Count the rows of lines that were not counted yet, in a view of ``width`` cells."""
        ends, total = self._ends, self.total
        while len(ends) < len(lines):
            for text in plain_all(list(lines[len(ends) : len(ends) + _AT_ONCE])):
                total += rows_of(text, width)
                ends.append(total)
            yield

    def drop(self, count: int) -> int:
        """Forget the first lines; returns how many rows they had."""
        gone = self.of(count - 1)[1] if count <= len(self._ends) else self.total
        self._ends = array("L", (end - gone for end in self._ends[count:]))
        return gone
