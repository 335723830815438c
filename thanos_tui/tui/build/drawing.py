"""What the build pane shows, as lines: the tree of steps, the log, the head. Pure: from values to lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from thanos_tui.editing.estimate import BuildState, Row, Stage
from thanos_tui.events import Event, LogLine, StepFinished, StepStarted
from thanos_tui.narrate import sentence
from thanos_tui.tui.look import Look
from thanos_tui.tui.styled import Line
from thanos_tui.words import duration, size

_STYLES: dict[Stage, str] = {
    "waiting": "muted",
    "running": "accent",
    "done": "success",
    "cached": "success",
    "failed": "error",
    "stopped": "warning",
}
_LEVELS = {"debug": "muted", "warning": "warning", "error": "error"}
_BAR = 16  # cells, where there is room
_TITLE = 24  # cells that a title has at least, before columns go


def symbol(stage: Stage, look: Look, frame: int) -> str:
    """One cell for a stage; what runs turns with ``frame``."""
    if stage == "running":
        return look.spinner[frame % len(look.spinner)]
    return {
        "waiting": look.waiting,
        "done": look.tick,
        "cached": look.tick,
        "failed": look.cross,
        "stopped": look.warning,
    }[stage]


def tree(rows: Sequence[Row], width: int, look: Look, frame: int) -> list[Line]:
    """The steps as a tree, each line ``width`` cells wide."""
    return [_tree_line(row, width, look, frame, _branches(rows, index, look)) for index, row in enumerate(rows)]


def _branches(rows: Sequence[Row], index: int, look: Look) -> str:
    """The lines of the tree before a row."""
    row = rows[index]
    if row.depth == 0:
        return ""
    drawn = look.last if row.last else look.branch
    # Items stand below a step, which may be the last of its own group or not.
    for depth in range(row.depth - 1, 0, -1):
        above = next(one for one in reversed(rows[:index]) if one.depth == depth)
        drawn = (look.gap if above.last else look.through) + drawn
    return drawn


def _tree_line(row: Row, width: int, look: Look, frame: int, branches: str) -> Line:
    style = _STYLES[row.stage]
    mark = f"{branches}{symbol(row.stage, look, frame)} "
    columns = _columns(row, look)
    # The least needed goes first where it is narrow: speed, then the amount, then the bar.
    for dropped in ((), (2,), (2, 1), (2, 1, 0), (2, 1, 0, 3)):
        shown = [text for number, text in enumerate(columns) if number not in dropped and text]
        right = "  ".join(shown)
        room = width - cell_len(mark) - cell_len(right) - 2
        if room >= min(_TITLE, cell_len(row.title)) or len(dropped) == len(columns):
            break
    title = set_cell_size(look.cut(row.title, max(0, room)), max(0, room))
    strong = "strong" if row.depth == 0 and row.stage == "running" else "muted" if row.stage == "waiting" else ""
    return ((branches, "muted"), (mark[len(branches) :], style), (f"{title}  ", strong), (right, _right_style(row)))


def _right_style(row: Row) -> str:
    return "accent" if row.stage == "running" and row.fraction is not None else "muted"


def _columns(row: Row, look: Look) -> list[str]:
    """Bar, amount, speed, and time: of a row that runs; the note and the time of one that is over."""
    if row.stage == "running":
        bar = look.bar(row.fraction, _BAR) if row.fraction is not None and (row.total or row.note) else ""
        amount = row.note
        if row.total and row.unit == "bytes":
            amount = f"{size(row.done)} of {size(row.total)}"
        elif row.total:
            amount = f"{row.done} of {row.total}"
        elif row.unit == "bytes" and row.done:
            amount = size(row.done)
        speed = f"{size(row.speed)}/s" if row.unit == "bytes" and row.speed else ""
        time = f"{duration(row.left)} left" if row.left is not None else duration(row.seconds) if row.seconds else ""
        # As wide in every row, so that they stand below each other.
        return [bar, f"{amount:>20}" if bar else amount, f"{speed:>10}" if bar else speed, f"{time:>12}"]
    if row.stage == "waiting":
        return ["", "", "", ""]
    time = f"{duration(row.seconds) if row.seconds >= 0.05 else '':>12}"
    note = {"failed": "failed", "stopped": "stopped", "cached": "already done"}.get(row.stage, row.note)
    return ["", note, "", time]


def log_lines(event: Event, titles: dict[str, str], look: Look) -> list[Line]:
    """What the log says of an event, a line each."""
    if isinstance(event, LogLine):
        style = _LEVELS.get(event.level, "")
        prefix = f"{event.level}: " if event.level in ("warning", "error") else ""
        return [(line, style) if style else line for line in f"{prefix}{event.text}".splitlines()]
    if isinstance(event, StepStarted):
        titles[event.step] = event.title
        return [(f"{look.closed} {event.title}", "muted")]
    text = sentence(event, titles)
    style = ""
    if isinstance(event, StepFinished):
        mark = look.tick if event.ok else look.cross
        text, style = f"{mark} {text}", "success" if event.ok else "error"
    return [(line, style) if style else line for line in text.splitlines()] if text else []


def share(fraction: float) -> str:
    """``43 %``: never 100 before the end."""
    return f"{min(99, int(fraction * 100))} %" if fraction < 1 else "100 %"


def progress(state: BuildState, now: float) -> str:
    """How far a build is, in a few words: ``43 %, 12 s left``, or for how long it has run where nobody knows."""
    fraction, left = state.fraction(now), state.left(now)
    if fraction is None or left is None:
        return duration(state.elapsed(now))
    return f"{share(fraction)} {duration(left)} left"
