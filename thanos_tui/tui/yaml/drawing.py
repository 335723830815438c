"""A config, or a comparison of two, as styled lines: pure functions from lines of YAML to what ``tui.lines`` shows.

Styles are named: ``key``, ``text``, ``number``, ``word``, ``mark``, ``comment``, ``secret`` of YAML; ``removed`` and
``added`` lines with the ``removed-part`` and ``added-part`` that make the difference; ``fold``. A name may be two,
joined with ``+``: the later one counts for more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rich.cells import cell_len

from thanos_tui.editing.compare import Comparison, Fold, Row, folded, spans
from thanos_tui.linuxkit.diff import Line
from thanos_tui.tui.look import Look
from thanos_tui.tui.styled import breaks

Pairs = tuple[tuple[str, str], ...]
NARROWEST = 100  # columns from which on two sides have room: most lines of YAML fit into half of it

_SCALAR = re.compile(
    r"""(?P<space>\s*(?:-\ )*)
    (?:(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^"'\s\#](?:[^:]|:(?=\S))*)(?P<colon>:)(?=\ |$)\ ?)?
    (?P<value>.*)""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?|0x[0-9a-fA-F]+|0o[0-7]+|\.inf|\.nan)")
_SECRET = re.compile(r"(\(secret \d+\))")


@dataclass(frozen=True)
class View:
    """What is on the screen.

    places: for each line what it shows: the number of a row (of a line, where nothing is compared), or a fold.
    hunks: the lines at which differences begin.
    """

    lines: tuple[Pairs, ...]
    places: tuple[int | Fold, ...]
    hunks: tuple[int, ...] = ()


def coloured(line: Line) -> Pairs:
    """A line of YAML in the colours of its parts, told by the line alone: it is as ``yaml12.write`` writes it."""
    if line.continued:
        return tuple(_value(line.text, "text"))
    found = _SCALAR.fullmatch(line.text)
    if found is None:
        return ((line.text, "text"),)
    space, name, value = found["space"], found["key"], found["value"]
    if value.startswith("#"):
        return ((space, ""), (value, "comment"))
    parts = [(space, "mark")]  # the dashes of lists
    if name is not None:
        gap = " " if value else ""
        parts += [(name, "key"), (f":{gap}", "mark")]
    return tuple(pair for pair in (*parts, *_value(value, _kind(value))) if pair[0])


def _kind(value: str) -> str:
    if value in ("|", "|-", "|+", "[]", "{}"):
        return "mark"
    if value in ("true", "false", "null"):
        return "word"
    return "number" if _NUMBER.fullmatch(value) else "text"


def _value(text: str, kind: str) -> Iterator[tuple[str, str]]:
    for part in _SECRET.split(text):
        if part:
            yield part, "secret" if _SECRET.fullmatch(part) else kind


def whole(lines: Sequence[Line]) -> View:
    """One config."""
    return View(tuple(_apart(coloured(line)) for line in lines), tuple(range(len(lines))))


def unified(comparison: Comparison, look: Look, unfolded: Collection[int] | None = ()) -> View:
    """One below the other: of each hunk first what is gone, then what came.

    unfolded: rows at which folds begin that are open; None: all are.
    """
    made = _Made()
    for part in _parts(comparison, unfolded):
        if isinstance(part, Fold):
            made.add((_fold(part, look),), part)
        elif isinstance(part, int):
            made.add(_half(comparison, part, 1), part)
        else:
            made.hunks.append(len(made.lines))
            for number in part:
                if comparison.rows[number].before is not None:
                    made.add(_half(comparison, number, 0), number)
            for number in part:
                if comparison.rows[number].after is not None:
                    made.add(_half(comparison, number, 1), number)
    return made.view()


def side_by_side(comparison: Comparison, look: Look, width: int, unfolded: Collection[int] | None = ()) -> View:
    """What was on the left and what is on the right, in ``width`` columns; long lines go on below."""
    made = _Made()
    room = max(10, (width - 3) // 2)
    comparison = replace(comparison, before=_without_tabs(comparison.before), after=_without_tabs(comparison.after))
    for part in _parts(comparison, unfolded):
        if isinstance(part, Fold):
            made.add((_fold(part, look),), part)
            continue
        if not isinstance(part, int):
            made.hunks.append(len(made.lines))
        for left, right in [(part, part)] if isinstance(part, int) else _beside(comparison, part):
            cells = [
                _broken(_half(comparison, number, which), room) if number is not None else [()]
                for which, number in enumerate((left, right))
            ]
            for pieces in zip_longest(*cells, fillvalue=()):
                gap = " " * (room - sum(cell_len(text) for text, _ in pieces[0]))
                line = (*pieces[0], (f"{gap} {look.vertical} ", "mark"), *pieces[1])
                made.add(line, left if right is None else right)  # type: ignore[arg-type] # there is one of them
    return made.view()


def _beside(comparison: Comparison, hunk: range) -> Iterator[tuple[int | None, int | None]]:
    """The rows of a hunk two by two: what is gone stands beside what came in its place, alike or not."""
    gone: list[int] = []
    came: list[int] = []
    for number in hunk:
        row = comparison.rows[number]
        if row.before is not None and row.after is not None:
            yield from zip_longest(gone, came)
            yield number, number
            gone, came = [], []
        else:
            (gone if row.after is None else came).append(number)
    yield from zip_longest(gone, came)


class _Made:
    """A view in the making."""

    def __init__(self) -> None:
        self.lines: list[Pairs] = []
        self.places: list[int | Fold] = []
        self.hunks: list[int] = []

    def add(self, line: Pairs, place: int | Fold) -> None:
        self.lines.append(_apart(line))
        self.places.append(place)

    def view(self) -> View:
        return View(tuple(self.lines), tuple(self.places), tuple(self.hunks))


def _apart(pairs: Pairs) -> Pairs:
    """A line with spaces before words in parts of their own: viewers of SVG drop those that begin a text."""
    made: list[tuple[str, str]] = []
    for text, style in pairs:
        words = text.lstrip(" ")
        gap = text[: len(text) - len(words)]
        made += [(part, style) for part in (gap, words) if part]
    return tuple(made)


def _parts(comparison: Comparison, unfolded: Collection[int] | None) -> Iterator[int | Fold | range]:
    """Equal rows one by one, folds, and hunks whole."""
    hunks = {hunk.start: hunk for hunk in comparison.hunks}
    inside = 0
    for part in range(len(comparison.rows)) if unfolded is None else folded(comparison):
        if isinstance(part, Fold):
            if unfolded is not None and part.rows.start in unfolded:
                yield from part.rows
            else:
                yield part
        elif part in hunks:
            inside = hunks[part].stop
            yield hunks[part]
        elif part >= inside:
            yield part


def _fold(fold: Fold, look: Look) -> tuple[str, str]:
    return f"{look.closed} {len(fold.rows)} equal lines", "fold"


def _half(comparison: Comparison, number: int, which: int) -> Pairs:
    """One side of a row: 0 what was, 1 what is; a sign comes first, for screens without colours."""
    row = comparison.rows[number]
    line = _line(comparison, row, which)
    if line is None:
        return ()
    if row.same:
        return (("  ", ""), *coloured(line))
    sign, style = ("+ ", "added") if which else ("- ", "removed")
    before, after = (_line(comparison, row, side) for side in (0, 1))
    if before is None or after is None:
        return (sign, style), (line.text, style)
    parts: list[tuple[str, str]] = [(sign, style)]
    end = 0
    for start, stop in spans(before.text, after.text)[which]:
        parts += [(line.text[end:start], style), (line.text[start:stop], f"{style}-part")]
        end = stop
    return tuple(pair for pair in (*parts, (line.text[end:], style)) if pair[0])


def _line(comparison: Comparison, row: Row, which: int) -> Line | None:
    lines, number = ((comparison.before, row.before), (comparison.after, row.after))[which]
    return None if number is None else lines[number]


def _without_tabs(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines in characters whose width does not depend on where they stand."""
    return tuple(replace(line, text=line.text.expandtabs(4)) if "\t" in line.text else line for line in lines)


def _broken(half: Pairs, width: int) -> list[Pairs]:
    """One side of a row in pieces of at most ``width`` cells; only the first one has the sign."""
    if not half:
        return [()]
    sign, *rest = half
    cuts = breaks("".join(text for text, _ in rest), width - len(sign[0]))
    pieces: list[list[tuple[str, str]]] = [[sign]]
    position = 0
    for text, style in rest:
        start = 0
        for cut in [cut - position for cut in cuts if position <= cut < position + len(text)]:
            pieces[-1].append((text[start:cut], style))
            pieces.append([(" " * len(sign[0]), "")])
            start = cut
        pieces[-1].append((text[start:], style))
        position += len(text)
    return [tuple(piece) for piece in pieces]


def marked(view: View, chosen: Callable[[int], bool]) -> tuple[tuple[Pairs, ...], tuple[int, ...]]:
    """The lines of a view with those of some rows marked, and which lines they are."""
    numbers = tuple(n for n, place in enumerate(view.places) if isinstance(place, int) and chosen(place))
    found = set(numbers)
    lines = tuple(
        tuple((text, f"{style}+marked" if style else "marked") for text, style in line) if n in found else line
        for n, line in enumerate(view.lines)
    )
    return lines, numbers
