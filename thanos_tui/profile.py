"""Profiles: ``.thanos`` files, small YAML that says which options differ from their defaults.

    thanos: 1                # the version of this schema
    options:
      hostname: box
      kernel.modules.physical: true
      ntp.servers:
        - ntp.example.org

Options are named in full, one to a line: as ``thanos-tui options`` prints them, ``--set`` takes them, and as a line of
``git diff`` is understood without the lines around it. Paths in a profile are relative to the profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thanos_tui import files, options, yaml12
from thanos_tui.errors import InputError, Where, nearest
from thanos_tui.options import Assignment, Catalogue, Facts, InProfile, OnCommandLine, Resolved
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import ValueProblem, check, from_text

SCHEMA = 1
SUFFIX = ".thanos"
# A profile with every option set is a few kilobytes; the limit is for paths given by mistake.
LARGEST = 1 << 20


@dataclass(frozen=True)
class Profile:
    """A profile as it was read.

    name: the file's name without ``.thanos``. directory: what its paths are relative to.
    assignments: what it says, with places. resolved: the state of every option.
    """

    path: Path | None
    name: str
    directory: Path
    assignments: Mapping[str, Assignment]
    resolved: Resolved

    @property
    def facts(self) -> Facts:
        return facts(self.name)


def facts(name: str) -> Facts:
    """What default values are taken from, for a profile of this name."""
    return Facts(profile_name=options.plain_name(name))


def load(path: Path, catalogue: Catalogue | None = None) -> Profile:
    """Read a profile. Raises InputError, with file, line and column, for whatever cannot be used as it is."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except FileNotFoundError:
        beside = nearest(path.name, [file.name for file in path.parent.glob(f"*{SUFFIX}")])
        raise InputError(
            f"there is no profile {path}", hint=f"did you mean {path.parent / beside}?" if beside else None
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the profile {path}: {error.strerror}") from None
    except ValueError:
        raise InputError("a path must not hold a NUL character") from None
    if len(data) > LARGEST:
        raise InputError(f"{path} is too large to be a profile")
    return read(data, str(path), path=path, catalogue=catalogue)


def read(text: str | bytes, file: str, *, path: Path | None = None, catalogue: Catalogue | None = None) -> Profile:
    """The profile that a text states; ``file`` is what errors call it. Raises InputError."""
    catalogue = catalogue or options.load()
    assignments = _assignments(yaml12.read(text, file), catalogue)
    name = (path.name.removesuffix(SUFFIX) if path else "") or "thanos"
    directory = path.parent if path else Path()
    resolved = options.resolve(catalogue, assignments, facts(name)).check()
    return Profile(path, name, directory, assignments, resolved)


def _assignments(document: yaml12.Document, catalogue: Catalogue) -> dict[str, Assignment]:
    data = document.value
    if not isinstance(data, dict) or "thanos" not in data:
        raise InputError(
            "this is no ThanOS profile: the version of its schema is missing",
            hint=f"begin the file with the line `thanos: {SCHEMA}`",
            where=document.where(),
        )
    version = data["thanos"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"the schema's version must be a number such as {SCHEMA}", where=document.where(("thanos",)))
    if version > SCHEMA:
        raise InputError(
            f"this profile has schema {version}, and this thanos-tui knows schema {SCHEMA}",
            hint="use a newer thanos-tui",
            where=document.where(("thanos",)),
        )
    for key in data:
        if key not in ("thanos", "options"):
            hint = f"write it below `options:`, as `  {key}: …`" if catalogue.nearest(key) == key else None
            raise InputError(
                f"unknown key {key!r}: a profile has `thanos` and `options`",
                hint=hint,
                where=document.where((key,), key=True),
            )
    given = data.get("options")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError("`options` must be a mapping of options to values", where=document.where(("options",)))
    return {name: _assignment(document, catalogue, name, raw) for name, raw in given.items()}


def _assignment(document: yaml12.Document, catalogue: Catalogue, name: str, raw: Any) -> Assignment:
    where = document.where(("options", name))
    option = catalogue.options.get(name)
    nested = [f"{name}.{key}" for key in raw if f"{name}.{key}" in catalogue.options] if isinstance(raw, dict) else []
    if nested:
        raise InputError(
            f"options are named in full: write {nested[0]} instead of a mapping below {name}",
            where=document.where(("options", name), key=True),
        )
    if option is None:
        raise _unknown(catalogue, name, document.where(("options", name), key=True))
    try:
        return Assignment(check(option, raw), InProfile(where))
    except ValueProblem as problem:
        if problem.element is not None:
            where = document.where(("options", name, problem.element))
        raise InputError(f"{name} {problem.message}", hint=problem.hint, where=where) from None


def _unknown(catalogue: Catalogue, name: str, where: Where | str) -> InputError:
    close = catalogue.nearest(name)
    hint = f"did you mean {close}?" if close else "`thanos-tui options` lists what there is"
    return InputError(f"there is no option {name!r}", hint=hint, where=where)


def override(profile: Profile, settings: Sequence[str], formats: Sequence[str] = (), name: str = "") -> Profile:
    """The profile with values from the command line: ``OPTION=VALUE`` each, ``--format`` and ``--name``.

    They count for more than the profile's. A value in the profile that has no effect any more is passed over, as
    switching a component off on the command line must not need a new profile. Raises InputError for everything else.
    """
    given = [(setting, f"--set {setting}") for setting in settings]
    if formats:
        given.append((f"output.formats={','.join(formats)}", " ".join(f"--format {item}" for item in formats)))
    if name:
        given.append((f"output.name={name}", f"--name {name}"))
    catalogue = profile.resolved.catalogue
    assignments = {**profile.assignments, **dict(_from_argument(catalogue, *item) for item in given)}
    resolved = options.resolve(catalogue, assignments, profile.facts)
    problems = tuple(p for p in resolved.problems if not (p.inactive and isinstance(p.origin, InProfile)))
    resolved = replace(resolved, problems=problems).check()
    return replace(profile, assignments=assignments, resolved=resolved)


def _from_argument(catalogue: Catalogue, text: str, argument: str) -> tuple[str, Assignment]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise InputError(f"a setting is OPTION=VALUE, not {text!r}", where=argument)
    if name not in catalogue.options:
        raise _unknown(catalogue, name, argument)
    option = catalogue.options[name]
    # What might be a secret is not repeated.
    argument = f"--set {name}=…" if option.secret else argument
    try:
        return name, Assignment(from_text(option, value), OnCommandLine(argument))
    except ValueProblem as problem:
        raise InputError(f"{name} {problem.message}", hint=problem.hint, where=argument) from None


def to_text(resolved: Resolved, before: str = "") -> str:
    """The text of a profile that says what ``resolved`` does.

    before: the text that is to be replaced. Its comments stay: those at the top, and those above or beside an option
    that is still there.
    """
    wanted = options.changed(resolved)
    kept = _edited(before, wanted, resolved.catalogue) if before else None
    if kept is not None:
        return kept
    header = re.match(r"(?:[ \t]*(?:#[^\n]*)?\n)*", before.removeprefix("\ufeff"))
    lines = [header.group() if header and "#" in header.group() else "", f"thanos: {SCHEMA}\n"]
    if wanted:
        lines += ["options:\n", *(_entry(name, value, "  ") for name, value in wanted.items())]
    return "".join(lines)


def _edited(before: str, wanted: Mapping[str, Value], catalogue: Catalogue) -> str | None:
    """The old text with only the entries changed that have to be; None where its form does not allow that."""
    try:
        document = yaml12.read(before, "profile")
        old = _assignments(document, catalogue)
    except InputError:
        return None
    lines = before.removeprefix("\ufeff").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if not old or not wanted:
        return before if not old and not wanted else None
    starts = {name: document.where(("options", name), key=True) for name in old}
    columns = {where.column for where in starts.values()}
    first = document.where(("options",), key=True).line
    indent = " " * (columns.pop() - 1)
    if columns or not indent or any(lines[where.line - 1][: len(indent)] != indent for where in starts.values()):
        return None  # {a: 1, b: 2} in one line, anchors and the like: written anew
    chunks: dict[str, list[str]] = {}
    position = first
    for name, following in zip(starts, [*list(starts)[1:], None], strict=True):
        end = starts[following].line - 1 if following else len(lines)
        while end > starts[name].line and re.fullmatch(r"\s*(#.*)?\n", lines[end - 1]):
            end -= 1
        chunks[name] = lines[position:end]
        position = end
    for name in list(chunks):
        if name not in wanted:
            del chunks[name]
        elif wanted[name] != old[name].value:
            comments = [line for line in chunks[name] if re.fullmatch(r"\s*(#.*)?\n", line)]
            above = comments[: _leading(chunks[name])]
            chunks[name] = [*above, _entry(name, wanted[name], indent)]
    order = list(catalogue.options)
    for name in wanted:
        if name not in chunks:
            later = [other for other in chunks if order.index(other) > order.index(name)]
            entries = list(chunks.items())
            place = list(chunks).index(later[0]) if later else len(entries)
            entries.insert(place, (name, [_entry(name, wanted[name], indent)]))
            chunks = dict(entries)
    body = [line for chunk in chunks.values() for line in chunk]
    text = "".join([*lines[:first], *body, *lines[position:]])
    try:
        again = {name: item.value for name, item in _assignments(yaml12.read(text, "profile"), catalogue).items()}
    except InputError:
        return None
    return text if again == dict(wanted) else None


def _leading(chunk: Sequence[str]) -> int:
    return next((n for n, line in enumerate(chunk) if not re.fullmatch(r"\s*(#.*)?\n", line)), len(chunk))


def _entry(name: str, value: Value, indent: str) -> str:
    if isinstance(value, tuple):
        if not value:
            return f"{indent}{name}: []\n"
        return "".join([f"{indent}{name}:\n", *(f"{indent}  - {_scalar(element)}\n" for element in value)])
    return f"{indent}{name}: {_scalar(value)}\n"


def _scalar(value: bool | int | str | None) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = re.fullmatch(r"[A-Za-z0-9/~$._+=@%,-][A-Za-z0-9/~$._+=@%,: -]*", value) and not re.search(
        r"^-|^[,%@]|:( |$)| $| #", value
    )
    return value if plain and yaml12.resolve(value) == value else json.dumps(value, ensure_ascii=False)


def save(path: Path, resolved: Resolved) -> None:
    """Write a profile that says what ``resolved`` does: whole or not at all, keeping the comments of what it replaces.

    Raises HostError where it cannot be written, InputError where the file there is no profile.
    """
    before = ""
    if path.exists():
        before = _read_text(path)
        if before.strip():
            yaml12.read(before, str(path))
    with files.replacing(path) as stream:
        stream.write(to_text(resolved, before).encode())


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the profile {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text and so no profile; it is left as it is") from None
