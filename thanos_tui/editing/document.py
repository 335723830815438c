"""A profile while it is edited: one value after the other, each change a step that can be undone.

Every state is frozen and valid: a change that cannot stand is refused with the reason, and nothing happens. Changes are
cheap (a thousand options resolve in some milliseconds), so nothing is computed by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui import options, profile
from thanos_tui.errors import InputError
from thanos_tui.options import Assignment, Assignments, Catalogue, Edited, Facts, OnCommandLine, Resolved, changed
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import ValueProblem, check, to_text
from thanos_tui.profile import Profile

if TYPE_CHECKING:
    from thanos_tui.linuxkit.config import Config
    from thanos_tui.options.render import Memo

KEPT = 1000  # steps that can be undone; each holds a mapping or two, and shares the rest


@dataclass(frozen=True)
class Snapshot:
    """One state of a document. ``what`` names the change that led to it, and ``names`` the options it was about."""

    assignments: Assignments
    resolved: Resolved
    facts: Facts
    what: str = ""
    names: tuple[str, ...] = ()


def _nobody() -> None:
    """The listener where nobody listens."""


class Document:
    """A profile under edit.

    path: the file it is saved to; None until it has one. name, directory: what its defaults and its relative paths are
    taken from. saved: what the file says; on_disk: the options by that. revision: grows with every change, undone ones
    too. rendered: what rendering need not do again. listener: called after every change, on the thread that made it.
    """

    def __init__(self, given: Profile, saved: Assignments | None = None) -> None:
        self.path = given.path
        self.name = given.name
        self.directory = given.directory
        self.facts: Facts = given.facts
        self.catalogue: Catalogue = given.resolved.catalogue
        self.current = Snapshot(given.assignments, given.resolved, given.facts)
        self.saved: Assignments = given.assignments if saved is None else saved
        self.on_disk: Resolved = options.resolve(self.catalogue, self.saved, self.facts)
        self.revision = 0
        self.rendered: Memo = {}
        self.listener: Callable[[], None] = _nobody
        self._undone: list[Snapshot] = []
        self._done: list[Snapshot] = []
        self._config: tuple[int, Config] | None = None
        self._unsaved: tuple[int, frozenset[str]] | None = None

    @classmethod
    def open(cls, path: Path, settings: Iterable[str] = ()) -> Document:
        """The profile in a file, with the command line's ``OPTION=VALUE`` on top. Raises InputError."""
        loaded = profile.load(path)
        return cls(profile.override(loaded, tuple(settings)), loaded.assignments)

    @classmethod
    def new(cls, template: Path | None = None, directory: Path | None = None, settings: Iterable[str] = ()) -> Document:
        """A profile that has no file yet: the defaults, or what a template says. Raises InputError."""
        blank = profile.read(f"thanos: {profile.SCHEMA}\n", "a new profile")
        given = replace(blank, directory=directory or Path())
        if template is not None:
            said = profile.load(template)
            assignments = {name: Assignment(item.value, Edited()) for name, item in said.assignments.items()}
            given = replace(given, assignments=assignments)
        return cls(profile.override(given, tuple(settings)), {})

    def __getitem__(self, name: str) -> options.State:
        return self.current.resolved[name]

    # Changes

    def set(self, name: str, value: Value) -> None:
        """Give an option a value. Raises InputError where it does not fit or cannot stand; nothing changes then."""
        self.apply({name: value}, f"{name} = {to_text(value) or 'empty'}")

    def unset(self, names: Iterable[str]) -> None:
        """Let options have their defaults again."""
        said = [name for name in names if name in self.current.assignments]
        if said:
            self.apply(dict.fromkeys(said), f"{_listed(said)} unset")

    def revert(self, names: Iterable[str]) -> None:
        """Let options have what the file says again."""
        back = {name: self.saved[name].value if name in self.saved else None for name in names if self._differs(name)}
        if back:
            self.apply(back, f"{_listed(list(back))} as saved")

    def apply(self, changes: Mapping[str, Value | None], what: str) -> None:
        """Several changes as one step; None unsets.

        Raises InputError where a value does not fit its option or cannot stand beside the others; nothing changes then.
        """
        assignments = dict(self.current.assignments)
        for name, value in changes.items():
            if value is None:
                assignments.pop(name, None)
                continue
            try:
                assignments[name] = self.assignment(name, value)
            except ValueProblem as problem:
                raise InputError(f"{name} {problem.message}", hint=problem.hint, where=name) from None
        resolved = options.resolve_after(self.current.resolved, assignments, changes, self.facts)
        self._refuse_new_problems(resolved, changes)
        if assignments != self.current.assignments:
            self._step(Snapshot(assignments, resolved, self.facts, what, tuple(changes)))

    def assignment(self, name: str, value: Value) -> Assignment:
        """A value as it is given to an option here. Raises KeyError without such an option, ValueProblem where the
        value does not fit it."""
        fitting = check(self.catalogue.options[name], list(value) if isinstance(value, tuple) else value)
        return self._as_saved(name, Assignment(fitting, Edited()))

    def _as_saved(self, name: str, given: Assignment) -> Assignment:
        """The file's own assignment where it has the same value, so that the origin is a line of the file."""
        saved = self.saved.get(name)
        return saved if saved is not None and saved.value == given.value else given

    def _refuse_new_problems(self, resolved: Resolved, changes: Mapping[str, Value | None]) -> None:
        before = {(problem.option, problem.message) for problem in self.current.resolved.problems}
        for problem in resolved.problems:
            # What loses its effect because a component is switched off is kept for when it comes back, and what needs
            # a value because of another option gets it after that one: both are shown, and only a build refuses them.
            later = (problem.inactive or problem.missing) and problem.option not in changes
            if not later and (problem.option, problem.message) not in before:
                raise InputError(problem.message, hint=problem.hint, where=problem.option)

    def _step(self, after: Snapshot) -> None:
        self._done.append(self.current)
        del self._done[:-KEPT]
        self._undone.clear()
        self._become(after)

    def _become(self, snapshot: Snapshot) -> None:
        if snapshot.facts != self.facts:
            # Saved under another name since: defaults taken from the name are others now.
            resolved = options.resolve(self.catalogue, snapshot.assignments, self.facts)
            snapshot = replace(snapshot, resolved=resolved, facts=self.facts)
        self.current = snapshot
        self.revision += 1
        self.listener()

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def undo(self) -> Snapshot | None:
        """Take the last step back, and return the state that was left; None if there is none."""
        if not self._done:
            return None
        left = self.current
        self._undone.append(left)
        self._become(self._done.pop())
        return left

    def redo(self) -> Snapshot | None:
        """Take the step that was undone last again, and return the state that is reached; None if there is none."""
        if not self._undone:
            return None
        self._done.append(self.current)
        self._become(self._undone.pop())
        return self.current

    # What it says

    @property
    def resolved(self) -> Resolved:
        """Its options as a build takes them: a value that has no effect now is no problem while editing."""
        resolved = self.current.resolved
        return replace(resolved, problems=tuple(problem for problem in resolved.problems if not problem.inactive))

    def changed(self) -> dict[str, Value]:
        """The values that differ from the defaults: what would be written."""
        return changed(self.current.resolved)

    def unsaved(self) -> frozenset[str]:
        """The options of which the file would say something else after saving; found once for each state.

        Those from the command line do not count: whoever gave them there can give them again.
        """
        revision, kept = self.revision, self._unsaved
        if kept is not None and kept[0] == revision:
            return kept[1]
        now, then = self.changed(), changed(self.on_disk)
        found = frozenset(
            name
            for name in {**now, **then}
            if now.get(name) != then.get(name) and not isinstance(self[name].origin, OnCommandLine)
        )
        self._unsaved = (revision, found)
        return found

    @property
    def dirty(self) -> bool:
        """Whether saving would change what the file says; without a file, whether there is anything to save."""
        return bool(self.unsaved())

    def _differs(self, name: str) -> bool:
        now, then = self.current.assignments.get(name), self.saved.get(name)
        return (now.value if now else None) != (then.value if then else None)

    def profile(self) -> Profile:
        """Itself as the headless road takes it."""
        return Profile(self.path, self.name, self.directory, self.current.assignments, self.resolved)

    def config(self) -> Config:
        """The LinuxKit config, rendered once for each state. Writes nothing. Raises ThanosError."""
        # The revision first: in a thread, the document may change while it is rendered, and what was rendered must not
        # count for the state after that.
        revision, kept = self.revision, self._config
        if kept is not None and kept[0] == revision:
            return kept[1]
        made = options.preview(self.resolved, self.directory, self.name, self.rendered)
        self._config = (revision, made)
        return made

    # The file

    def save(self, path: Path | None = None) -> None:
        """Write it to its file, or to another one that becomes its file. Raises InputError and HostError."""
        target = path or self.path
        if target is None:
            raise InputError("this profile has no file yet", hint="save it under a name")
        # A profile that cannot be read back is not written: what is missing has to be given first.
        self.resolved.check()
        self.file_says(write(target, self.current.resolved))

    def file_says(self, said: Profile) -> None:
        """Its file is this one and says this now: it was written, or somebody else changed it.

        What the document says itself stays, also what the file does not say: a value without effect comes back with its
        component. No step of its own: to a user the state before saving and the one after are the same.
        """
        self.path, self.name, self.directory, self.facts = said.path, said.name, said.directory, said.facts
        self.saved, self.on_disk = said.assignments, said.resolved
        assignments = {name: self._as_saved(name, given) for name, given in self.current.assignments.items()}
        resolved = options.resolve(self.catalogue, assignments, self.facts)
        self._become(replace(self.current, assignments=assignments, resolved=resolved, facts=self.facts))


def write(path: Path, resolved: Resolved) -> Profile:
    """Write a state of a document to a file, and return what the file says then. Raises InputError and HostError.

    Apart from the document, so that it can be done in a thread while the document goes on changing.
    """
    profile.save(path, resolved)
    return profile.load(path, resolved.catalogue)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} options"
