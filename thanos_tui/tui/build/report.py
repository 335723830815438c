"""What came of a build, as lines: its files, a chart of what takes the space, and what is new since the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from thanos_tui.builds import Build, PartSize
from thanos_tui.linuxkit.diff import Change
from thanos_tui.tui.look import Look
from thanos_tui.tui.styled import Line
from thanos_tui.words import short, size

_NAME = 22  # cells of a component's name at most
_BAR = 72  # cells of the longest bar: longer ones tell no more
_SMALL = 0.003  # components that take less of the whole are counted together
_HASH = 16  # digits of a hash that are shown where there is no room for all


@dataclass(frozen=True)
class File:
    """A file that a build made. format: what it belongs to; sha256: hex, "" where it was not counted just now."""

    path: str
    format: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """Everything that is told after a build; before: the one it follows; changed: in the config since then."""

    build: Build
    files: tuple[File, ...]
    before: Build | None = None
    changed: tuple[Change, ...] | None = None
    lock: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """The lines of a report; files: which file a line is about, by its number."""

    lines: tuple[Line, ...]
    files: Mapping[int, File]


def draw(report: Report, width: int, look: Look) -> Drawn:
    """The report in lines of at most ``width`` cells, but for hashes and values that are long."""
    lines: list[Line] = []
    files: dict[int, File] = {}
    if report.files:
        for file in report.files:
            files[len(lines)] = file
            lines.append(_file_line(file, report.files, width, look))
    if report.build.parts:
        lines += ["", *chart(report.build.parts, report.before.parts if report.before else (), width, look)]
    if report.changed is not None:
        count = f"{len(report.changed)} in the config" if report.changed else "nothing in the config"
        lines += ["", (("Changed since the last build: ", "strong"), (count, "muted"))]
        lines += [line for change in report.changed for line in change_lines(change, width, look)]
    if report.lock:
        lines += ["", (("Changed in the lock: ", "strong"), (f"{len(report.lock)}", "muted"))]
        lines += [f"  {line}" for line in report.lock]
    return Drawn(tuple(lines), files)


def _file_line(file: File, files: Sequence[File], width: int, look: Look) -> Line:
    name = Path(file.path).name
    names = max(cell_len(Path(one.path).name) for one in files)
    formats = max(cell_len(one.format) for one in files)
    left = f"{set_cell_size(name, min(names, 40))}  {size(file.size):>10}  "
    room = width - cell_len(left) - formats - 10
    digest = file.sha256 if room >= len(file.sha256) else file.sha256[:_HASH] + look.ellipsis
    return (
        (left, ""),
        (set_cell_size(file.format, formats), "muted"),
        (f"  sha256 {digest}" if file.sha256 else "", "muted"),
    )


def chart(parts: Sequence[PartSize], before: Sequence[PartSize], width: int, look: Look) -> list[Line]:
    """What takes the space in the image: a bar for each component, the largest first; and what is new of it."""
    total = sum(part.bytes for part in parts)
    sums, old = _by_name(parts), _by_name(before)
    title: list[tuple[str, str]] = [("Size by component: ", "strong"), (f"{size(total)} compressed", "muted")]
    if before:
        change = total - sum(part.bytes for part in before)
        title.append((f", {_delta(change)} since the last build" if change else ", as the last build", _style(change)))
    shown = {name: count for name, count in sums.items() if count >= total * _SMALL}
    rest = {name: count for name, count in sums.items() if name not in shown}
    rows = sorted(shown.items(), key=lambda item: (-item[1], item[0]))
    differences = {name: count - old.get(name, 0) for name, count in sums.items()} if before else {}
    if len(rest) == 1:
        rows += rest.items()
    elif rest:
        label = f"{len(rest)} smaller ones"
        rows.append((label, sum(rest.values())))
        differences[label] = sum(differences.get(name, 0) for name in rest)
    names = min(_NAME, max((cell_len(name) for name, _ in rows), default=0))
    news = max((len(_delta(change)) for change in differences.values() if change), default=0)
    bar = max(4, min(_BAR, width - names - news - 25))
    largest = max((count for _, count in rows), default=1) or 1
    lines: list[Line] = [tuple(title)]
    for name, count in rows:
        change = differences.get(name, 0)
        lines.append(
            (
                (f"{set_cell_size(look.cut(name, names), names)}  {size(count):>10}  ", ""),
                (f"{100 * count / total if total else 0:>4.0f} %  ", "muted"),
                (_bar(count / largest, bar, look), "accent"),
                (f"  {_delta(change)}" if change else "", _style(change)),
            )
        )
    gone = {name: count for name, count in old.items() if name not in sums}
    lines += [
        ((f"{set_cell_size(look.cut(name, names), names)}  ", "muted"), (f"gone: {_delta(-count)}", _style(-count)))
        for name, count in sorted(gone.items(), key=lambda item: -item[1])
    ]
    return lines


def _bar(fraction: float, width: int, look: Look) -> str:
    """A bar on nothing: there is no whole that it fills."""
    drawn = look.bar(fraction, width).rstrip(look.empty)
    return set_cell_size(drawn or look.eighths[1], width)


def _by_name(parts: Sequence[PartSize]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.name] = sums.get(part.name, 0) + part.bytes
    return sums


def _delta(change: int) -> str:
    return f"{'+' if change > 0 else '-'}{size(abs(change))}"


def _style(change: int) -> str:
    return "warning" if change > 0 else "success" if change < 0 else "muted"


def change_lines(change: Change, width: int, look: Look) -> list[Line]:
    """A difference of the config: where, and what was and is there."""
    place = " ".join(change.path)
    if change.kind == "moved":
        return [((f"  {place}  ", ""), ("has another order", "muted"))]
    before, after = _value(change.before), _value(change.after)
    mark, style = {"added": ("+", "success"), "removed": ("-", "error")}.get(change.kind, ("~", "warning"))
    value = f"{before} {look.arrow} {after}" if change.kind == "changed" else after or before
    line = f"{place}{': ' if value else ''}"
    return [((f"  {mark} ", style), (line, ""), (look.cut(value, max(20, width - cell_len(line) - 5)), "muted"))]


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {_value(item)}" if not isinstance(item, (dict, list)) else key for key, item in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value)


def remembered(build: Build) -> Report:
    """What is known of an earlier build: its files as far as they are still there, and its sizes."""
    files = []
    for output in build.outputs:
        path = Path(output)
        if path.exists():
            files.append(File(output, "", path.stat().st_size, ""))
    return Report(build, tuple(files))


def place(report: Report) -> str:
    """The directory of a report's files, as people would type it."""
    return short(Path(report.files[0].path).parent) if report.files else ""
