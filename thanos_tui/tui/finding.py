"""What is searched for in many lines, and where it was found; a part of the lines at a time. Draws nothing.

Lines are counted from the first one there ever was, so that numbers stay when the oldest are dropped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from thanos_tui.tui.styled import Line, plain_all

_AT_ONCE = 500  # lines that are looked through before others have their turn


@dataclass
class Search:
    """A search for ``query`` in whatever case; "" for none.

    origin: the line from which on the first match is wanted. hits: lines that match, in order. hit: the current one.
    seen: how far the lines have been looked through.
    """

    query: str = ""
    origin: int = 0
    hits: list[int] = field(default_factory=list)
    hit: int | None = None
    seen: int = 0

    def begin(self, query: str, first: int) -> None:
        """Search for something else; ``first`` is the oldest line there is."""
        self.query, self.hits, self.hit, self.seen = query, [], None, first

    def look(self, lines: Sequence[Line], first: int) -> Iterator[int | None]:
        """Look through what was not looked through yet; gives the line to go to, once it is known, and None else."""
        query = self.query.lower()
        # What comes later is marked, but does not take the view away.
        jumped = self.hit is not None or self.seen > first
        while (done := max(0, self.seen - first)) < len(lines):
            texts = plain_all(list(lines[done : done + _AT_ONCE]))
            self.hits += [first + done + index for index, text in enumerate(texts) if query in text.lower()]
            self.seen = first + done + len(texts)
            if not jumped and self.hits and self.hits[-1] >= self.origin:
                jumped = True
                yield self.go(bisect_left(self.hits, self.origin))
            else:
                yield None
        if not jumped and self.hits:
            yield self.go(0)

    def go(self, position: int) -> int:
        """Make one of the hits the current one, and return its line; after the last comes the first."""
        self.hit = self.hits[position % len(self.hits)]
        return self.hit

    def step(self, by: int) -> int | None:
        """The line of the next hit (1) or of the one before (-1); None if there is none at all."""
        if not self.hits:
            return None
        here = self.origin if self.hit is None else self.hit
        return self.go(bisect_left(self.hits, here + 1) if by > 0 else bisect_left(self.hits, here) - 1)

    def drop(self, first: int) -> None:
        """Forget lines before ``first``: they are gone."""
        del self.hits[: bisect_left(self.hits, first)]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the text of a line matches."""
        if self.query:
            for found in re.finditer(re.escape(self.query), text, re.IGNORECASE):
                yield found.span()

    def told(self) -> str:
        """How it stands: ``3 of 17``, ``17 found``, ``not found``."""
        if not self.query:
            return ""
        if self.hit is not None:
            return f"{bisect_left(self.hits, self.hit) + 1:,} of {len(self.hits):,}"
        return f"{len(self.hits):,} found" if self.hits else "not found"
