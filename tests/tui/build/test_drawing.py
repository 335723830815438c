"""The tree of steps, the log and the chart as lines, wide and narrow, with and without more than ASCII."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from thanos_tui.builds import Build, PartSize
from thanos_tui.editing.estimate import BuildState
from thanos_tui.events import Artefact, Item, LogLine, Progress, StepFinished, StepPlanned, StepStarted, Took
from thanos_tui.linuxkit.diff import Change
from thanos_tui.tui.build import drawing, report
from thanos_tui.tui.look import ASCII, UNICODE, Look
from thanos_tui.tui.styled import Line, plain


def state() -> BuildState:
    events = (
        StepStarted("images/packages", "Download 3 packages", 30_000_000, "bytes"),
        Progress("images/packages", 10_000_000, 30_000_000),
        Item("images/packages", "firefox-esr 128.3.0esr-1", 4_000_000, 20_000_000),
        StepPlanned("images/sshd", "Make the image sshd"),
        StepStarted("tools", "Unpack mtools"),
        StepFinished("tools", True, 1.25, "4 packages"),
    )
    return BuildState(0.0, {"images/sshd": Took("images/sshd", 2.0, 10)}).after_all(events, 2.0)


def text(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


@pytest.mark.parametrize("width", [24, 40, 76, 116, 196])
@pytest.mark.parametrize("look", [UNICODE, ASCII])
def test_the_tree_fits_and_names_every_step(width: int, look: Look) -> None:
    lines = text(drawing.tree(state().rows(2.0), width, look, 3))
    assert all(cell_len(line) <= width for line in lines)
    assert [line for line in lines if "Down" in line]
    if look is ASCII:
        assert all(line.isascii() for line in lines)


def test_a_running_step_has_bar_amount_speed_and_time() -> None:
    moved = state().after(Progress("images/packages", 20_000_000, 30_000_000), 4.0)
    line = next(line for line in text(drawing.tree(moved.rows(4.0), 116, UNICODE, 0)) if "Download" in line)
    assert "20.0 MB of 30.0 MB" in line
    assert "/s" in line
    assert "left" in line
    assert UNICODE.full in line
    narrow = next(line for line in text(drawing.tree(moved.rows(4.0), 50, UNICODE, 0)) if "Download" in line)
    assert "Download 3 packages" in narrow
    assert "left" in narrow
    assert "/s" not in narrow


def test_what_is_over_says_how_and_how_long() -> None:
    lines = text(drawing.tree(state().rows(2.0), 76, UNICODE, 0))
    assert next(line for line in lines if "mtools" in line).split() == [
        "✓",
        "Unpack",
        "mtools",
        "4",
        "packages",
        "1.2",
        "s",
    ]
    failed = state().after(StepFinished("images/packages", False, 3.0), 3.0)
    line = next(line for line in text(drawing.tree(failed.rows(3.0), 76, ASCII, 0)) if "Download" in line)
    assert line.startswith("|-x Download")
    assert "failed" in line


def test_items_hang_below_their_step() -> None:
    lines = text(drawing.tree(state().rows(2.0), 76, UNICODE, 0))
    assert [line[:4] for line in lines[:4]] == ["⠋ Im", "├ ⠋ ", "│ └ ", "└ ○ "]


def test_progress_in_a_few_words() -> None:
    begun = BuildState(0.0, {"tools": Took("tools", 20.0, 0)}).after(StepStarted("tools", "T"), 0.0)
    assert drawing.progress(begun, 5.0) == "25 % 15 s left"
    assert drawing.progress(BuildState(0.0), 5.0) == "5.0 s"
    assert drawing.share(0.999) == "99 %"


def test_the_log_says_what_matters_with_its_style() -> None:
    titles: dict[str, str] = {}
    told = [
        StepStarted("a", "Do [it]"),
        Progress("a", 1, 2),
        LogLine("a", "two\nlines", "warning"),
        LogLine("a", "a detail", "debug"),
        StepFinished("a", True, 2.0, "well"),
        StepFinished("a", False, 2.0),
        Artefact("/x/y", "vhd", 1000, "ab" * 32),
    ]
    lines = [line for event in told for line in drawing.log_lines(event, titles, ASCII)]
    assert lines[:-1] == [
        ("> Do [it]", "muted"),
        ("warning: two", "warning"),
        ("lines", "warning"),
        ("a detail", "muted"),
        ("+ Do [it]: well, 2.0 s", "success"),
        ("x Do [it]: failed", "error"),
    ]
    assert "/x/y" in plain(lines[-1])


# What came of it

PARTS = (
    PartSize("kernel", "kernel", "k:1", 12_000_000),
    PartSize("services[0]", "sshd", "s:1", 6_000_000),
    PartSize("services[1]", "sshd", "s:1", 1_000_000),
    PartSize("onboot[0]", "sysctl", "c:1", 1_000_000),
    PartSize("files", "files", "linuxkit.files", 600),
    PartSize("services[2]", "tiny", "t:1", 400),
)
BUILD = Build("box", "", ("/out/box-kernel",), 512, 1, "amd64", None, None, PARTS)


@pytest.mark.parametrize("look", [UNICODE, ASCII])
def test_the_chart_is_sorted_and_adds_up(look: Look) -> None:
    lines = text(report.chart(PARTS, (), 76, look))
    assert lines[0] == "Size by component: 20.0 MB compressed"
    assert [line.split()[0] for line in lines[1:]] == ["kernel", "sshd", "sysctl", "2"]
    assert [line.split("%")[0].split()[-1] for line in lines[1:]] == ["60", "35", "5", "0"]
    assert lines[-1].startswith("2 smaller ones")
    bars = [line.count(look.full) for line in lines[1:]]
    assert bars[0] > bars[1] > bars[2] > 0
    assert all(cell_len(line) <= 76 for line in lines)
    assert look is UNICODE or all(line.isascii() for line in lines)


def test_the_chart_says_what_is_new_since_the_last_build() -> None:
    before = (*(part for part in PARTS if part.name != "sysctl"), PartSize("onboot[0]", "gone", "g:1", 3_000_000))
    lines = text(report.chart(PARTS, before, 100, ASCII))
    assert "-2.0 MB since the last build" in lines[0]
    assert next(line for line in lines if line.startswith("sysctl")).endswith("+1.0 MB")
    assert "gone: -3.0 MB" in lines[-1]
    assert "as the last build" in text(report.chart(PARTS, PARTS, 100, ASCII))[0]


def test_a_report_tells_files_changes_and_lock() -> None:
    changed = (
        Change(("services", "sshd", "env"), "added", after=["A=1", "B=2"]),
        Change(("kernel", "cmdline"), "changed", "quiet", "loud"),
        Change(("services",), "moved", ["a", "b"], ["b", "a"]),
        Change(("services", "vnc"), "removed", {"image": "vnc:1", "binds": ["/x"]}),
    )
    files = (report.File("/out/box-kernel", "kernel+initrd", 8, "ab" * 32), report.File("/out/x", "vhd", 9, ""))
    drawn = report.draw(report.Report(BUILD, files, BUILD, changed, ("bash 1 > 2",)), 90, ASCII)
    lines = text(list(drawn.lines))
    assert drawn.files == {0: files[0], 1: files[1]}
    assert "box-kernel" in lines[0]
    assert "sha256 abababab" in lines[0]
    assert "sha256" not in lines[1]
    assert "  + services sshd env: A=1, B=2" in lines
    assert "  ~ kernel cmdline: quiet > loud" in lines
    assert "  services  has another order" in lines
    assert "  - services vnc: image vnc:1, binds" in lines
    assert lines[-1] == "  bash 1 > 2"
    wide = report.draw(report.Report(BUILD, files), 200, ASCII)
    assert "ab" * 32 in plain(wide.lines[0])


def test_a_report_without_changes_and_without_sizes() -> None:
    drawn = report.draw(report.Report(replace(BUILD, parts=()), (), BUILD, ()), 76, ASCII)
    assert text(list(drawn.lines)) == ["", "Changed since the last build: nothing in the config"]
