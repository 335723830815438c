"""What a change would do, before it is made: to the LinuxKit YAML, and to the size of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from thanos_tui import options
from thanos_tui.builds import sizes
from thanos_tui.editing.document import Document
from thanos_tui.images.reference import expand
from thanos_tui.linuxkit.config import Config
from thanos_tui.options import Assignment, Edited
from thanos_tui.options.expressions import Value

if TYPE_CHECKING:
    from thanos_tui.linuxkit.diff import Change


@dataclass(frozen=True)
class Effect:
    """What changes.

    yaml: in the config, with secrets hidden. bytes: how much larger the image gets, compressed; below 0, smaller. Only
    images that join or leave count, by what they took in earlier builds; None where one was never built.
    """

    yaml: tuple[Change, ...]
    bytes: int | None


def effect(document: Document, name: str, value: Value) -> Effect:
    """What giving an option this value (None: its default) would do. See :func:`effects`."""
    return effects(document, {name: value})


def effects(document: Document, changes: Mapping[str, Value]) -> Effect:
    """What several changes together would do; the document stays as it is.

    What cannot stand has no effect. Renders two configs, and reads the files they name: for a thread.

    Raises ThanosError where there is no config before or after: files that cannot be used, values that are missing.
    """
    # difflib, behind it, is not to be loaded for the first paint.
    from thanos_tui.linuxkit import diff

    before, after = document.config(), _config_with(document, changes)
    return Effect(diff.changes(before, after), difference(before, after, sizes()))


def _config_with(document: Document, changes: Mapping[str, Value]) -> Config:
    current = document.current
    assignments = dict(current.assignments)
    for name, value in changes.items():
        assignments.pop(name, None)
        if value is not None:
            assignments[name] = Assignment(value, Edited())
    resolved = options.resolve_after(current.resolved, assignments, changes, current.facts)
    problems = tuple(problem for problem in resolved.problems if problem.missing)
    asked = replace(resolved, problems=problems)
    return options.preview(asked, document.directory, document.name, document.rendered)


def difference(before: Config, after: Config, known: Mapping[str, int]) -> int | None:
    """The bytes by which the image of ``after`` is larger; ``known``: what images take, by their full names."""
    old, new = set(map(expand, before.images())), set(map(expand, after.images()))
    total = 0
    for sign, images in ((1, new - old), (-1, old - new)):
        for image in images:
            taken = known.get(image)
            if taken is None:
                return None
            total += sign * taken
    return total
