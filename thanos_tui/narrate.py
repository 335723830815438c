"""Telling a person or a program what is going on: three listeners for the events of a build.

Narration goes to stderr, so that stdout stays data: plain lines in a pipe, progress bars on a terminal. ``--json``
makes the events themselves the data: one JSON object a line on stdout (the fields are in ``docs/events.md``).
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from thanos_tui.events import Artefact, Event, Listener, LogLine, Progress, StepFinished, StepStarted
from thanos_tui.words import short, size

if TYPE_CHECKING:
    from rich.progress import TaskID


def as_json(event: Event) -> str:
    """One event as a JSON object: its kind under ``event``, then its fields."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()
    return json.dumps({"event": kind, **dataclasses.asdict(event)}, ensure_ascii=False)


def json_lines(stream: TextIO) -> Listener:
    """Every event as a JSON line, flushed at once so that a reader sees it when it happens."""

    def listen(event: Event) -> None:
        stream.write(as_json(event) + "\n")
        stream.flush()

    return listen


def sentence(event: Event, titles: dict[str, str]) -> str | None:
    """The line a person reads for an event, or None for those that only move a bar."""
    match event:
        case StepStarted(step=step, title=title):
            titles[step] = title
        case StepFinished(step=step, ok=True, seconds=seconds, note=note):
            took = f"{seconds:.1f} s" if seconds >= 0.05 else ""
            remark = ", ".join(part for part in (note, took) if part)
            return f"{titles.get(step, step)}{': ' + remark if remark else ''}"
        case StepFinished(step=step, ok=False):
            return f"{titles.get(step, step)}: failed"
        case LogLine(text=text, level=level) if level != "debug":
            return text if level == "info" else f"{level}: {text}"
        case Artefact(path=path, size=count, sha256=digest):
            return f"{short(path)}  {size(count)}  sha256 {digest[:16]}…"
        case _:
            pass
    return None


def plain(stream: TextIO) -> Listener:
    """One line for whatever is finished, noteworthy or made; nothing that moves."""
    titles: dict[str, str] = {}

    def listen(event: Event) -> None:
        line = sentence(event, titles)
        if line is not None:
            stream.write(line + "\n")
            stream.flush()

    return listen


@contextmanager
def bars(stream: TextIO) -> Iterator[Listener]:
    """Progress bars for what is under way, and a line above them for what is done."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(file=stream, highlight=False)
    titles: dict[str, str] = {}
    tasks: dict[str, tuple[Bars, TaskID]] = {}
    text = TextColumn("{task.description}", markup=False)
    in_bytes = Bars(text, BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console)
    in_items = Bars(text, BarColumn(), MofNCompleteColumn(), console=console)
    open_ended = Bars(SpinnerColumn("line"), text, TimeElapsedColumn(), console=console)

    live = Live(
        Group(open_ended, in_items, in_bytes),
        console=console,
        transient=True,
        refresh_per_second=10,
        # On the terminal stdout has to go around the bars; in a file or a pipe it has to stay where it is.
        redirect_stdout=sys.stdout.isatty(),
    )

    def listen(event: Event) -> None:
        match event:
            case StepStarted(step=step, title=title, total=total, unit=unit):
                shown = open_ended if total is None else in_bytes if unit == "bytes" else in_items
                tasks[step] = (shown, shown.add_task(title, total=total))
                live.start()
            case Progress(step=step, done=done, total=total) if step in tasks:
                shown, task = tasks[step]
                shown.update(task, completed=done, total=total)
            case StepFinished(step=step) if step in tasks:
                shown, task = tasks.pop(step)
                shown.remove_task(task)
                if not tasks:
                    # Between steps the terminal is free, for a console above all: bars that repaint would wipe it.
                    live.stop()
            case _:
                pass
        line = sentence(event, titles)
        if line is not None:
            console.print(line, markup=False, soft_wrap=True)

    try:
        yield listen
    finally:
        live.stop()


@contextmanager
def listening(as_data: bool) -> Iterator[Listener]:
    """The listener for this run: JSON lines on stdout, bars on a terminal, plain lines elsewhere."""
    if as_data:
        yield json_lines(sys.stdout)
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with bars(sys.stderr) as listener:
            yield listener
    else:
        yield plain(sys.stderr)


def columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows as aligned columns, two spaces apart; the last column runs free."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()
