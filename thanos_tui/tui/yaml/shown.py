"""What the YAML pane has to show, and how it looks: made in threads, whole, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from thanos_tui import options
from thanos_tui.editing import compare
from thanos_tui.editing.compare import Comparison, Fold, Side, Source
from thanos_tui.errors import ThanosError
from thanos_tui.files import replacing
from thanos_tui.linuxkit import config, diff
from thanos_tui.linuxkit.diff import Line
from thanos_tui.options import Resolved
from thanos_tui.options.render import Memo
from thanos_tui.options.sources import Names, nearest
from thanos_tui.tui.look import Look
from thanos_tui.tui.yaml import drawing
from thanos_tui.tui.yaml.drawing import Pairs, View


@dataclass(frozen=True)
class Subject:
    """The profile at one moment, as rendering takes it.

    rendered, written: what was made of it last, so that only what has changed is made anew.
    """

    resolved: Resolved
    directory: Path
    name: str
    rendered: Memo
    written: diff.Memo


@dataclass(frozen=True)
class Shown:
    """The profile's config, and what it is compared with, if anything.

    lines: the config's YAML. title: what the other side is called.
    trouble: why there is no other side although one was asked for.
    """

    side: Side
    lines: tuple[Line, ...]
    title: str = ""
    other: Side | None = None
    comparison: Comparison | None = None
    trouble: ThanosError | None = None

    def line(self, place: int) -> Line | None:
        """A row's line, of the profile's side where it has one; without a comparison, the line of that number."""
        if self.comparison is None:
            return self.lines[place]
        row = self.comparison.rows[place]
        if row.after is not None:
            return self.comparison.after[row.after]
        return None if row.before is None else self.comparison.before[row.before]

    def options_at(self, place: int) -> Names:
        """The options to go to from a row: the nearest, or those that somebody has changed."""
        if self.comparison is not None and self.other is not None:
            return compare.at_rows(self.comparison, [place], self.other, self.side)
        names = compare.at_line(self.lines[place], self.side)
        return nearest(self.side.resolved, names) if self.side.resolved else names

    def comes_from(self, name: str) -> Callable[[int], bool]:
        """Whether a row comes from an option, whatever other options it comes from, too."""

        def of(side: Side | None, lines: tuple[Line, ...], number: int | None) -> bool:
            return side is not None and number is not None and name in compare.at_line(lines[number], side)

        def has(place: int) -> bool:
            if self.comparison is None:
                return of(self.side, self.lines, place)
            row = self.comparison.rows[place]
            return of(self.side, self.comparison.after, row.after) or (
                not row.same and of(self.other, self.comparison.before, row.before)
            )

        return has

    def text(self, name: str) -> str:
        """The YAML, or the difference in unified format, to be copied. ``name``: of the profile's side."""
        if self.other is not None:
            lines = diff.unified(self.other.config, self.side.config, (self.title, name))
        else:
            lines = [line.text for line in self.lines]
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Wish:
    """How something is to be shown.

    width: columns for two sides next to each other; 0: one below the other. unfolded: rows at which open folds begin;
    None: all are open. leap: put the cursor on the first difference; else, on the line most like ``line``, near ``at``.
    option: mark the lines that come from it, and put the cursor there.
    """

    width: int = 0
    unfolded: frozenset[int] | None = frozenset()
    leap: bool = False
    line: Line | None = None
    at: int = 0
    option: str = ""


@dataclass(frozen=True)
class Picture:
    """What is on the screen.

    lines: the view's, some of them marked. unfolded: as in the wish, and where the option is. cursor: the line it goes
    to; None: it stays where it is. found: whether there is a line of the option.
    """

    shown: Shown
    view: View
    lines: tuple[Pairs, ...]
    unfolded: frozenset[int] | None
    cursor: int | None = None
    found: bool = False


def picture(shown: Shown, wish: Wish, look: Look) -> Picture:
    """Show something as it is wished for."""
    comes_from = shown.comes_from(wish.option) if wish.option else None
    view = _view(shown, wish, look)
    if comes_from is not None and wish.unfolded is not None:
        folds = [place for place in view.places if isinstance(place, Fold) and any(map(comes_from, place.rows))]
        if folds:
            wish = replace(wish, unfolded=wish.unfolded | {fold.rows.start for fold in folds})
            view = _view(shown, wish, look)
    if comes_from is not None:
        lines, numbers = drawing.marked(view, comes_from)
        return Picture(shown, view, lines, wish.unfolded, numbers[0] if numbers else None, bool(numbers))
    if wish.leap and view.hunks:
        cursor: int | None = view.hunks[0]
    else:
        cursor = _most_alike(shown, view, wish.line, wish.at) if wish.line else None
    return Picture(shown, view, view.lines, wish.unfolded, cursor)


def _view(shown: Shown, wish: Wish, look: Look) -> View:
    if shown.comparison is None:
        return drawing.whole(shown.lines)
    if wish.width:
        return drawing.side_by_side(shown.comparison, look, wish.width, wish.unfolded)
    return drawing.unified(shown.comparison, look, wish.unfolded)


def _most_alike(shown: Shown, view: View, wanted: Line, at: int) -> int | None:
    """Where a line is that says the same in the same entry, the nearest if there are several."""
    found: list[int] = []
    for number, place in enumerate(view.places):
        line = shown.line(place) if isinstance(place, int) else None
        if line is not None and line.text == wanted.text and line.entry == wanted.entry:
            found.append(number)
    return min(found, key=lambda number: abs(number - at)) if found else None


def renewed(subject: Subject, source: Source | None, wish: Wish, look: Look) -> Picture:
    """Render, compare and show. Raises ThanosError where the profile itself cannot be rendered."""
    return picture(prepare(subject, source), wish, look)


def prepare(subject: Subject, source: Source | None) -> Shown:
    """Render and compare. Raises ThanosError where the profile itself cannot be rendered."""
    side = compare.side(subject.resolved, subject.directory, subject.name, subject.rendered)
    if source is None:
        return Shown(side, diff.lines(side.config, memo=subject.written))
    try:
        other = source.load()
    except ThanosError as error:
        return Shown(side, diff.lines(side.config, memo=subject.written), trouble=error)
    comparison = compare.compare(other.config, side.config, subject.written)
    return Shown(side, comparison.after, source.title, other, comparison)


def holds_secrets(subject: Subject) -> bool:
    """Whether the YAML has something in it that is not shown. Raises ThanosError."""
    made = options.preview(subject.resolved, subject.directory, subject.name)
    return diff.shown(made) != config.dump(made)


def write(subject: Subject, path: Path) -> None:
    """Write the YAML for linuxkit to build, as `thanos-tui render` does: with secrets, for its owner alone then.

    Raises ThanosError.
    """
    made = options.render(subject.resolved, subject.directory, subject.name)
    text = config.dump(made)
    with replacing(path, 0o600 if diff.shown(made) != text else 0o644) as stream:
        stream.write(text.encode())
