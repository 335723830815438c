"""One tree for everything that can go wrong: what is wrong, where, and what to do about it.

The exit codes are part of the interface (see ``docs/exit-codes.md``); scripts rely on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Where:
    """A place in a text: lines and columns count from 1, as editors show them."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ThanosError(Exception):
    """Something a user can cause or mend; shown without a traceback.

    message: one sentence that names the thing in question.
    hint: what to do about it, where there is something to do. Commands of ours stand in it in backticks, whole or from
    their first option on: the app puts the key that does the same in their place.
    where: a place in a file, an option or a component.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, where: Where | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class InputError(ThanosError):
    """The user's profile, YAML, option or argument cannot be used as it is (exit code 2)."""

    exit_code = 2


class HostError(ThanosError):
    """This machine lacks something: a program, disk space, memory, the network, a port (exit code 3)."""

    exit_code = 3


class BuildError(ThanosError):
    """A build stage failed on good input: a package, an image or an output could not be made (exit code 1)."""


class IntegrityError(BuildError):
    """Data is not what its signature or hash says it is."""


class MachineError(ThanosError):
    """A machine did not start, died, or does not answer (exit code 1)."""


class ConsoleError(ThanosError):
    """A session with a machine could not be opened or kept (exit code 1)."""


class AppError(ThanosError):
    """An app on a machine ended as soon as it was started (exit code 125, as Docker has it)."""

    exit_code = 125


class Interrupted(ThanosError):
    """The user stopped the work (exit code 130)."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that was probably meant by ``name``, for hints; None if nothing comes close."""
    import difflib

    folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None
