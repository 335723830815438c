"""How far a build has come, and how long it will take: events folded into one frozen state that a pane can draw.

What a step took in earlier builds tells how long it will take now; while it runs, its own speed counts more and more.
Times are seconds of any clock that only goes forward, and always given: nothing here asks for the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

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

Stage = Literal["waiting", "running", "done", "cached", "failed", "stopped"]

_SAMPLE = 0.4  # seconds over which a speed is measured
_CALM = 0.3  # how much a new measurement of a speed counts against those before it
_PRIOR = 2.0  # seconds of its own that a step must have run to be believed as much as earlier builds
# Images are made two at a time (images/provide.py); what comes before them, and all else, is done alone.
_PAIRED = "images/"
_ALONE = ("images/indices", "images/packages")
_GROUPS = {"images": "Images", "output": "Outputs"}


@dataclass(frozen=True)
class ItemState:
    """One of the things that a step does side by side."""

    name: str
    done: int
    total: int
    speed: float = 0.0
    _since: float = 0.0
    _then: int = 0


@dataclass(frozen=True)
class StepState:
    """A step of a build.

    done, total: in its unit; total is None where it is not known. speed: in units a second, 0 before there is one.
    seconds: how long it took, once it ended.
    """

    path: str
    title: str
    stage: Stage = "waiting"
    done: int = 0
    total: int | None = None
    unit: str = ""
    note: str = ""
    started: float = 0.0
    seconds: float = 0.0
    speed: float = 0.0
    items: Mapping[str, ItemState] = field(default_factory=dict)
    _since: float = 0.0
    _then: int = 0

    @property
    def fraction(self) -> float | None:
        """How much of it is done, 0 to 1; None while that cannot be said."""
        if self.stage in ("done", "cached"):
            return 1.0
        return self.done / self.total if self.total and self.stage != "waiting" else None

    def left(self, now: float, before: Took | None) -> float | None:
        """Seconds until it ends; None where neither it nor an earlier build can tell."""
        if self.stage == "waiting":
            return before.seconds if before else None
        if self.stage != "running":
            return 0.0
        elapsed = max(0.0, now - self.started)
        if not self.total:
            return max(0.0, before.seconds - elapsed) if before else None
        known = before.amount / before.seconds if before and before.seconds > 0 else 0.0
        rate = (self.done + known * _PRIOR) / (elapsed + (_PRIOR if known else 0.0)) if elapsed or known else 0.0
        return (self.total - self.done) / rate if rate > 0 else None


@dataclass(frozen=True)
class Row:
    """A line of the tree. step is None for the head of a group; depth counts from 0."""

    depth: int
    title: str
    stage: Stage
    path: str
    fraction: float | None = None
    done: int = 0
    total: int | None = None
    unit: str = ""
    speed: float = 0.0
    left: float | None = None
    seconds: float = 0.0
    note: str = ""
    last: bool = False
    """Whether it is the last one of its group, so that the tree's line ends there."""


@dataclass(frozen=True)
class BuildState:
    """A build as its events tell of it; ``learnt``: what earlier builds took, by step."""

    started: float
    learnt: Mapping[str, Took] = field(default_factory=dict)
    steps: Mapping[str, StepState] = field(default_factory=dict)
    artefacts: tuple[Artefact, ...] = ()
    warnings: int = 0
    ended: float | None = None
    outcome: Stage = "running"

    def after(self, event: Event, now: float) -> BuildState:
        """The state after an event."""
        return self.after_all((event,), now)

    def after_all(self, events: Iterable[Event], now: float) -> BuildState:
        """The state after several events that came at about one time."""
        steps = dict(self.steps)
        artefacts = self.artefacts
        warnings = self.warnings
        for event in events:
            if type(event) is LogLine:
                # By far the most there are: they must not cost more than a look.
                warnings += event.level == "warning"
                continue
            match event:
                case StepPlanned(step=path, title=title):
                    if path not in steps or steps[path].stage != "running":
                        steps[path] = StepState(path, title)
                case StepStarted(step=path, title=title, total=total, unit=unit):
                    steps[path] = StepState(path, title, "running", total=total, unit=unit, started=now, _since=now)
                case Progress(step=path, done=done, total=total) if path in steps:
                    steps[path] = _moved(steps[path], done, total, now)
                case Item(step=path) if path in steps:
                    steps[path] = replace(steps[path], items=_with_item(steps[path].items, event, now))
                case StepFinished(step=path, ok=ok, seconds=seconds, note=note) if path in steps:
                    step = steps[path]
                    speed = step.done / seconds if seconds > 0 and ok else 0.0
                    stage: Stage = "cached" if ok and note == "cached" else "done" if ok else "failed"
                    steps[path] = replace(step, stage=stage, seconds=seconds, note=note, speed=speed, items={})
                case Artefact():
                    artefacts = (*(each for each in artefacts if each.path != event.path), event)
                case _:
                    pass
        return replace(self, steps=steps, artefacts=artefacts, warnings=warnings)

    def finish(self, outcome: Literal["done", "failed", "stopped"], now: float) -> BuildState:
        """The state at the end. What was planned and never begun turned out to be done already, if all went well."""
        steps = dict(self.steps)
        for path, step in self.steps.items():
            if step.stage == "waiting" and outcome == "done":
                steps[path] = replace(step, stage="cached")
            elif outcome == "stopped" and step.stage in ("failed", "running"):
                steps[path] = replace(step, stage="stopped", items={})
        return replace(self, steps=steps, ended=now, outcome=outcome)

    def again(self, now: float) -> BuildState:
        """The state of a build that goes on where this one ended: what was done is there already."""
        done = {path: step for path, step in self.steps.items() if step.stage in ("done", "cached")}
        steps = {path: replace(step, stage="cached", seconds=0.0) for path, step in done.items()}
        return BuildState(now, self.learnt, steps)

    # What to expect

    def left(self, now: float) -> float | None:
        """Seconds until the build ends, as far as its steps are known; None while that cannot be said."""
        if self.outcome != "running":
            return 0.0
        if not any(step.stage in ("running", "waiting") for step in self.steps.values()):
            return None
        alone = paired = longest = 0.0
        for step in self.steps.values():
            seconds = step.left(now, self._before(step))
            if seconds is None:
                return None
            if step.path.startswith(_PAIRED) and step.path not in _ALONE:
                paired += seconds
                longest = max(longest, seconds)
            else:
                alone += seconds
        return alone + max(paired / 2, longest) + self._to_compress()

    def fraction(self, now: float) -> float | None:
        """How much of the time has passed, 0 to 1."""
        if self.outcome == "done":
            return 1.0
        left = self.left(now)
        if left is None:
            return None
        gone = max(0.0, now - self.started)
        return gone / (gone + left) if gone + left > 0 else None

    def elapsed(self, now: float) -> float:
        """Seconds it has taken so far, or took."""
        return max(0.0, (now if self.ended is None else self.ended) - self.started)

    def _before(self, step: StepState) -> Took | None:
        found = self.learnt.get(step.path)
        if found is None and step.path.startswith(_PAIRED) and step.path not in _ALONE:
            # An image that is new here takes about as long as others did.
            others = [one for path, one in self.learnt.items() if path.startswith(_PAIRED) and path not in _ALONE]
            if others:
                seconds = sum(one.seconds for one in others) / len(others)
                return Took(step.path, seconds, sum(one.amount for one in others) // len(others))
        return found

    def _to_compress(self) -> float:
        """Seconds that compressing new images will take: it begins only after the last of them is made."""
        before = self.learnt.get("segments")
        if before is None or before.amount <= 0 or "segments" in self.steps:
            return 0.0
        amount = 0
        for step in self.steps.values():
            if step.path.startswith(_PAIRED) and step.path not in _ALONE:
                learnt = self._before(step)
                amount += step.total or (learnt.amount if learnt else 0)
        return amount * before.seconds / before.amount

    # The tree

    def rows(self, now: float) -> tuple[Row, ...]:
        """The steps as a tree: groups of steps with one head, and below a step what it does side by side."""
        groups: dict[str, list[StepState]] = {}
        for step in self.steps.values():
            head = step.path.partition("/")[0]
            groups.setdefault(head if head in _GROUPS else step.path, []).append(step)
        found: list[Row] = []
        # What has begun comes first: downloads, which nobody plans, are done before what waits for them.
        for steps in groups.values():
            steps.sort(key=_begun)
        for head, steps in sorted(groups.items(), key=lambda group: _begun(group[1][0])):
            if head not in _GROUPS:
                found += self._step_rows(steps[0], 0, False, now)
                continue
            found.append(_head(head, steps))
            for step in steps:
                found += self._step_rows(step, 1, step is steps[-1], now)
        return tuple(found)

    def _step_rows(self, step: StepState, depth: int, last: bool, now: float) -> Iterator[Row]:
        yield Row(
            depth,
            step.title,
            step.stage,
            step.path,
            step.fraction,
            step.done,
            step.total,
            step.unit,
            step.speed,
            step.left(now, self._before(step)) if step.stage == "running" else None,
            step.seconds if step.stage != "running" else max(0.0, now - step.started),
            step.note,
            last,
        )
        items = [item for item in step.items.values() if item.done < item.total]
        for item in items:
            left = (item.total - item.done) / item.speed if item.speed > 0 else None
            yield Row(
                depth + 1,
                item.name,
                "running",
                f"{step.path}/{item.name}",
                item.done / item.total,
                item.done,
                item.total,
                step.unit,
                item.speed,
                left,
                last=item is items[-1],
            )


def _begun(step: StepState) -> tuple[bool, float]:
    return step.started == 0.0 and step.stage in ("waiting", "cached"), step.started


def _head(head: str, steps: list[StepState]) -> Row:
    stages = [step.stage for step in steps]
    over = sum(stage in ("done", "cached") for stage in stages)
    order: tuple[Stage, ...] = ("failed", "stopped", "running")
    stage: Stage = next((stage for stage in order if stage in stages), "waiting" if "waiting" in stages else "done")
    if stage == "waiting" and over:
        stage = "running"
    note = f"{over} of {len(steps)}" if len(steps) > 1 else ""
    return Row(0, _GROUPS[head], stage, head, over / len(steps), note=note)


def _moved(step: StepState, done: int, total: int | None, now: float) -> StepState:
    speed, since, then = _measured(step.speed, step._since, step._then, done, now)
    return replace(step, done=done, total=step.total if total is None else total, speed=speed, _since=since, _then=then)


def _with_item(items: Mapping[str, ItemState], event: Item, now: float) -> Mapping[str, ItemState]:
    if event.done >= event.total:
        return {name: item for name, item in items.items() if name != event.name}
    item = items.get(event.name) or ItemState(event.name, event.done, event.total, 0.0, now, event.done)
    speed, since, then = _measured(item.speed, item._since, item._then, event.done, now)
    return {**items, event.name: replace(item, done=event.done, speed=speed, _since=since, _then=then)}


def _measured(speed: float, since: float, then: int, done: int, now: float) -> tuple[float, float, int]:
    """A speed, and since when and from where the next one is measured."""
    if now - since < _SAMPLE:
        return speed, since, then
    measured = max(0, done - then) / (now - since)
    return (measured if speed == 0 else speed + _CALM * (measured - speed)), now, done
