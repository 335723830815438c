"""Laws of a document: whatever is done to it, nothing invalid stands, and every step goes back exactly."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from thanos_tui import options, profile
from thanos_tui.editing.document import Document, Snapshot
from thanos_tui.errors import ThanosError
from thanos_tui.linuxkit import diff
from thanos_tui.options import OnCommandLine, Option
from thanos_tui.options.expressions import Value

TEXTS = ["", "box", "eth0", "192.0.2.1", "192.0.2.10/24", "a=1", "tty0", "ttyS0", "$PASSWORD", "no such thing", "-"]
CATALOGUE = options.load()
NAMES = st.sampled_from(list(CATALOGUE.options))


def values_for(option: Option) -> st.SearchStrategy[Value]:
    """Values of an option's type; many fit, some do not."""
    texts = st.sampled_from([*(choice.value for choice in option.values), *TEXTS])
    match option.type:
        case "bool":
            return st.booleans()
        case "int":
            bounds = [bound for part in option.ranges for bound in (part.low, part.high, part.high + 1)]
            return st.sampled_from([1, 22, 1234, *bounds])
        case "list":
            return st.lists(texts.filter(bool), max_size=3, unique=True).map(tuple)
        case _:
            return texts


@st.composite
def settings_of(draw: st.DrawFn) -> tuple[str, Value]:
    name = draw(NAMES)
    return name, draw(values_for(CATALOGUE.options[name]))


class Editing(RuleBasedStateMachine):
    """A document, and a plain list of the states it was in to compare with."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.file = Path(self.place.name) / "box.thanos"
        self.told = 0
        self.written: diff.Memo = {}

    def teardown(self) -> None:
        self.place.cleanup()

    @initialize(given=st.lists(settings_of(), max_size=4), with_file=st.booleans())
    def start(self, given: list[tuple[str, Value]], with_file: bool) -> None:
        self.document = Document.new(directory=self.file.parent)
        if with_file:
            for name, value in given:
                self.attempt(partial(self.document.set, name, value))
            while self.document.resolved.problems:
                self.document.undo()
            self.document.save(self.file)
            self.document = Document.open(self.file)
        self.document.listener = self.tell
        self.past: list[Snapshot] = []
        self.future: list[Snapshot] = []

    def tell(self) -> None:
        self.told += 1

    def attempt(self, change: Callable[[], None]) -> bool:
        try:
            change()
        except ThanosError:
            return False
        return True

    def change(self, change: Callable[[], None]) -> None:
        """A change takes place as one step, or not at all."""
        before, revision, told = self.document.current, self.document.revision, self.told
        undoable, redoable = self.document.can_undo, self.document.can_redo
        done = self.attempt(change)
        if self.document.current is before:
            assert (self.document.revision, self.told) == (revision, told)
            assert (self.document.can_undo, self.document.can_redo) == (undoable, redoable)
        else:
            assert done
            assert self.document.revision > revision
            assert self.told == told + 1
            self.past.append(before)
            self.future.clear()

    @rule(setting=settings_of())
    def set(self, setting: tuple[str, Value]) -> None:
        name, value = setting
        before = self.document[name]
        self.change(lambda: self.document.set(name, value))
        after = self.document[name]
        assert after.value in (before.value, value)
        assert after.active == before.active or after.value == value

    @rule(changes=st.lists(settings_of(), max_size=4).map(dict), unset=st.lists(NAMES, max_size=2))
    def apply(self, changes: dict[str, Value], unset: list[str]) -> None:
        wanted = {**changes, **dict.fromkeys(unset)}
        self.change(lambda: self.document.apply(wanted, "several"))

    @rule(names=st.lists(NAMES, max_size=5))
    def unset(self, names: list[str]) -> None:
        self.change(lambda: self.document.unset(names))

    @rule()
    def unset_everything(self) -> None:
        self.change(lambda: self.document.unset(CATALOGUE.options))
        assert self.document.changed() == {}

    @rule(names=st.lists(NAMES, max_size=5))
    def revert(self, names: list[str]) -> None:
        self.change(lambda: self.document.revert(names))

    @rule()
    def undo(self) -> None:
        left = self.document.current
        said = self.document.undo()
        if not self.past:
            assert said is None
            assert self.document.current is left
            return
        assert said is left
        self.future.append(left)
        same(self.document.current, self.past.pop())

    @rule()
    def redo(self) -> None:
        before = self.document.current
        reached = self.document.redo()
        if not self.future:
            assert reached is None
            return
        self.past.append(before)
        same(self.document.current, self.future.pop())

    @precondition(lambda self: not self.document.resolved.problems)
    @rule()
    def save(self) -> None:
        values = dict(self.document.current.resolved.values)
        written = self.document.changed()
        self.document.save(self.file)
        assert not self.document.dirty
        assert profile.load(self.file).resolved.values == self.document.current.resolved.values
        assert self.document.changed() == written
        assert {n: v for n, v in values.items() if n != "output.name"} == {
            n: v for n, v in self.document.current.resolved.values.items() if n != "output.name"
        }

    @precondition(lambda self: self.document.resolved.problems)
    @rule()
    def save_what_is_incomplete(self) -> None:
        before, there = self.document.current, self.file.read_bytes() if self.file.exists() else None
        assert not self.attempt(lambda: self.document.save(self.file))
        assert self.document.current is before
        assert (self.file.read_bytes() if self.file.exists() else None) == there

    @invariant()
    def nothing_invalid_stands(self) -> None:
        document = self.document
        current = document.current
        again = options.resolve(CATALOGUE, current.assignments, document.facts)
        assert again == current.resolved
        # Values without effect are kept, and what another option made necessary can be given later.
        assert all(problem.inactive or problem.missing for problem in current.resolved.problems)
        assert all(problem.missing for problem in document.resolved.problems)
        for name, given in current.assignments.items():
            state = current.resolved[name]
            assert not state.active or state.locked or state.value == given.value

    @invariant()
    def it_is_dirty_if_the_file_would_change(self) -> None:
        document = self.document
        then = options.changed(document.on_disk)
        now = {
            name: value
            for name, value in document.changed().items()
            if not isinstance(document[name].origin, OnCommandLine)
        }
        assert document.dirty is (now != then)
        assert bool(document.unsaved()) is document.dirty

    @invariant()
    def what_is_kept_of_a_rendering_makes_no_difference(self) -> None:
        document = self.document
        try:
            fresh = options.preview(document.resolved, document.directory, document.name)
        except ThanosError as error:
            with pytest.raises(ThanosError, match=re.escape(error.message)):
                document.config()
            return
        assert document.config() == fresh
        assert diff.lines(document.config(), memo=self.written) == diff.lines(fresh)

    @invariant()
    def the_steps_are_there(self) -> None:
        assert self.document.can_undo is bool(self.past)
        assert self.document.can_redo is bool(self.future)


def same(state: Snapshot, other: Snapshot) -> None:
    """Two states say the same of every option but those that are named after the file."""
    assert {n: a.value for n, a in state.assignments.items()} == {n: a.value for n, a in other.assignments.items()}
    for name, value in state.resolved.values.items():
        assert name == "output.name" or value == other.resolved.values[name]


TestEditing = Editing.TestCase
TestEditing.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
