"""The state of a build from its events: stages, speeds, what is left, and the rows of the tree."""

from __future__ import annotations

import pytest

from thanos_tui.editing.estimate import BuildState, Row
from thanos_tui.events import (
    Artefact,
    Event,
    Item,
    LogLine,
    Progress,
    StepFinished,
    StepPlanned,
    StepStarted,
    Took,
)


def told(*events: tuple[float, Event], learnt: tuple[Took, ...] = ()) -> BuildState:
    state = BuildState(0.0, {one.step: one for one in learnt})
    for now, event in events:
        state = state.after(event, now)
    return state


def row(state: BuildState, path: str, now: float = 0.0) -> Row:
    return next(row for row in state.rows(now) if row.path == path)


def test_a_step_from_its_start_to_its_end() -> None:
    state = told((1.0, StepStarted("segments", "Compress", 100, "bytes")))
    assert row(state, "segments", 3.0).stage == "running"
    assert row(state, "segments", 3.0).seconds == 2.0
    state = state.after(Progress("segments", 50, 100), 2.0)
    assert state.steps["segments"].speed == 50.0
    assert state.steps["segments"].fraction == 0.5
    assert row(state, "segments", 2.0).left == pytest.approx(1.0)
    state = state.after(StepFinished("segments", True, 2.0, "3 made"), 3.0)
    assert (row(state, "segments").stage, row(state, "segments").note) == ("done", "3 made")
    assert state.steps["segments"].fraction == 1.0


def test_a_total_that_comes_later() -> None:
    state = told((0.0, StepStarted("images/a", "A", None, "bytes")), (1.0, Progress("images/a", 10, 40)))
    assert state.steps["images/a"].fraction == 0.25


def test_speed_follows_changes_calmly() -> None:
    state = told((0.0, StepStarted("x", "X", 10_000, "bytes")), (1.0, Progress("x", 100)), (1.1, Progress("x", 900)))
    assert state.steps["x"].speed == 100.0
    state = state.after(Progress("x", 1100), 2.0)
    assert 100 < state.steps["x"].speed < 1000


def test_what_runs_side_by_side_has_rows_of_its_own() -> None:
    state = told(
        (0.0, StepStarted("images/packages", "Download 2 packages", 300, "bytes")),
        (0.0, Item("images/packages", "bash 5", 0, 100)),
        (0.0, Item("images/packages", "dash 1", 10, 200)),
        (1.0, Item("images/packages", "bash 5", 50, 100)),
    )
    rows = state.rows(1.0)
    assert [(one.depth, one.title, one.last) for one in rows] == [
        (0, "Images", False),
        (1, "Download 2 packages", True),
        (2, "bash 5", False),
        (2, "dash 1", True),
    ]
    assert (rows[2].speed, rows[2].left, rows[2].unit) == (50.0, 1.0, "bytes")
    state = state.after(Item("images/packages", "bash 5", 100, 100), 2.0)
    assert [one.title for one in state.rows(2.0)] == ["Images", "Download 2 packages", "dash 1"]
    state = state.after(StepFinished("images/packages", True, 2.0), 2.0)
    assert len(state.rows(2.0)) == 2


def test_groups_say_how_many_of_their_steps_are_over() -> None:
    state = told((0.0, StepPlanned("images/a", "A")), (0.0, StepPlanned("images/b", "B")))
    assert row(state, "images").stage == "waiting"
    state = state.after(StepStarted("images/a", "A"), 0.0)
    assert row(state, "images").stage == "running"
    state = state.after(StepFinished("images/a", True, 1.0), 1.0)
    assert (row(state, "images").stage, row(state, "images").note) == ("running", "1 of 2")
    state = state.after(StepStarted("images/b", "B"), 1.0).after(StepFinished("images/b", False, 1.0), 2.0)
    assert row(state, "images").stage == "failed"


def test_planned_steps_that_never_began_were_done_already() -> None:
    state = told((0.0, StepPlanned("output/vhd", "Write")), (0.0, StepStarted("segments", "Compress")))
    assert state.finish("done", 1.0).steps["output/vhd"].stage == "cached"
    assert state.finish("failed", 1.0).steps["output/vhd"].stage == "waiting"
    stopped = state.after(StepFinished("segments", False, 1.0), 1.0).finish("stopped", 1.0)
    assert stopped.steps["segments"].stage == "stopped"
    assert stopped.elapsed(9.0) == 1.0


def test_a_step_that_is_tried_again_begins_anew() -> None:
    state = told(
        (0.0, StepStarted("segments", "Compress", 100, "bytes")),
        (1.0, Progress("segments", 60)),
        (1.0, StepFinished("segments", False, 1.0)),
        (2.0, StepStarted("segments", "Compress", 40, "bytes")),
    )
    step = state.steps["segments"]
    assert (step.stage, step.done, step.total) == ("running", 0, 40)


def test_artefacts_and_warnings_are_kept() -> None:
    artefact = Artefact("/out/x", "vhd", 10, "ab")
    state = told((0.0, artefact), (0.0, artefact), (0.0, LogLine("", "careful", "warning")), (0.0, LogLine("", "x")))
    assert state.artefacts == (artefact,)
    assert state.warnings == 1


# What is left


def test_nothing_is_promised_where_nothing_is_known() -> None:
    assert told().left(1.0) is None
    assert told((0.0, StepStarted("tools", "Unpack"))).left(1.0) is None
    assert told((0.0, StepStarted("tools", "Unpack"))).fraction(1.0) is None
    stuck = told((0.0, StepStarted("x", "X", 100, "bytes")))
    assert stuck.left(5.0) is None


def test_a_step_without_totals_takes_what_it_took() -> None:
    state = told((0.0, StepStarted("images/indices", "Indices")), learnt=(Took("images/indices", 10.0, 0),))
    assert state.left(4.0) == pytest.approx(6.0)
    assert state.left(40.0) == 0.0
    assert state.fraction(4.0) == pytest.approx(0.4)


def test_earlier_speed_counts_at_first_and_its_own_later() -> None:
    learnt = (Took("segments", 10.0, 1000),)
    state = told((0.0, StepStarted("segments", "Compress", 1000, "bytes")), learnt=learnt)
    assert state.left(0.0) == pytest.approx(10.0)
    state = state.after(Progress("segments", 20), 1.0)
    slower = state.left(1.0)
    assert slower is not None
    assert 12 < slower < 49
    state = state.after(Progress("segments", 400), 20.0)
    later = state.left(20.0)
    assert later is not None
    assert later == pytest.approx(600 / (600 / 22))


def test_planned_images_are_made_two_at_a_time_and_compressed_after() -> None:
    learnt = (Took("images/a", 8.0, 400), Took("images/b", 8.0, 400), Took("segments", 10.0, 1000))
    state = told((0.0, StepPlanned("images/a", "A")), (0.0, StepPlanned("images/b", "B")), learnt=learnt)
    assert state.left(0.0) == pytest.approx(8.0 + 8.0)
    state = state.after(StepPlanned("images/new", "New"), 0.0)
    assert state.left(0.0) == pytest.approx(12.0 + 12.0)
    state = state.after(StepStarted("segments", "Compress", 500, "bytes"), 0.0)
    assert state.left(0.0) == pytest.approx(12.0 + 5.0)


def test_one_long_image_is_not_halved() -> None:
    learnt = (Took("images/big", 20.0, 10), Took("images/small", 2.0, 10))
    state = told((0.0, StepPlanned("images/big", "Big")), (0.0, StepPlanned("images/small", "S")), learnt=learnt)
    assert state.left(0.0) == pytest.approx(20.0)


def test_at_the_end_nothing_is_left() -> None:
    state = told((0.0, StepStarted("x", "X"))).finish("done", 2.0)
    assert state.left(3.0) == 0.0
    assert state.fraction(3.0) == 1.0
