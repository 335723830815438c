"""What differs between two configurations, as a unified diff of their YAML and as changes by path; secrets stay hidden.

Equal secrets get the same number (``(secret 1)``), others another one, so that one sees that a secret changed, and
nothing else about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from thanos_tui import yaml12
from thanos_tui.linuxkit import schema
from thanos_tui.linuxkit.model import Config, File

_WORD = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credential)"
_ASSIGNED = re.compile(rf"(?i)({_WORD}[\w.-]{{0,40}}=)(\S+)")
_NAME = re.compile(rf"(?i)[\w.-]{{0,60}}{_WORD}s?")
_USERINFO = re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)")
_PRIVATE = re.compile(r"PRIVATE KEY( BLOCK)?-----|AGE-SECRET-KEY-")
_PUBLIC_LINE = re.compile(r"\s*(#.*)?|.*\b(ssh-(ed25519|rsa)|ecdsa-sha2-\S+|sk-\S+@openssh\.com) AAAA\S+.*")


@dataclass(frozen=True)
class Change:
    """One difference.

    path: where, from the top (``("services", "sshd", "env")``): entries of sections are named by their name or path.
    kind: ``added`` and ``removed`` tell of a key or of an entry of a list, ``moved`` of an order that matters
        (before and after are then the names in their order).
    """

    path: tuple[str, ...]
    kind: Literal["added", "removed", "changed", "moved"]
    before: Any = None
    after: Any = None

    def as_json(self) -> dict[str, Any]:
        """The change as a JSON object."""
        sides = {"before": self.before, "after": self.after}
        return {"path": list(self.path), "kind": self.kind} | {
            side: value for side, value in sides.items() if value is not None
        }


@dataclass(frozen=True)
class Line:
    """One line of a configuration's YAML.

    path: the value that it states, as keys and indices from the top (``("services", 4, "env", 0)``).
    entry: the part of the configuration that it is in, named as in ``Change.path``: a section, or an entry of one.
    continued: it is a further line of the text that a line above it begins.
    """

    text: str
    path: tuple[str | int, ...]
    entry: tuple[str, ...]
    continued: bool = False


def changes(before: Config, after: Config) -> tuple[Change, ...]:
    """Every difference in what two configurations say, in the order of the sections; empty if they are equal."""
    secrets: dict[str, int] = {}
    return tuple(_between((), _hidden(before, secrets), _hidden(after, secrets)))


def unified(before: Config, after: Config, names: tuple[str, str] = ("before", "after"), context: int = 3) -> list[str]:
    """The difference of the two YAML texts in unified format, line by line without line ends; empty if equal."""
    import difflib

    secrets: dict[str, int] = {}
    old, new = (yaml12.write(_hidden(config, secrets)).splitlines() for config in (before, after))
    return list(difflib.unified_diff(old, new, names[0], names[1], n=context, lineterm=""))


def shown(config: Config) -> str:
    """The configuration's YAML for the eye: as ``dump`` writes it, without its secrets."""
    return yaml12.write(_hidden(config, {}))


Memo = dict[tuple[str, str], tuple[object, dict[int, tuple[Line, ...]]]]
"""Entries without secrets as they were written last, by section and name; their lines by their place in the section."""


def lines(config: Config, secrets: dict[str, int] | None = None, memo: Memo | None = None) -> tuple[Line, ...]:
    """The configuration's YAML for the eye, as :func:`shown`, with what each line states.

    secrets: the numbers that secrets have so far; one mapping for two configurations lets their secrets be compared.
    memo: the caller keeps it from one configuration to the next, so that entries which both have are written once.
    """
    secrets = {} if secrets is None else secrets
    memo = {} if memo is None else memo
    contents = _secret_contents(config, secrets)
    found: list[Line] = []
    for section in schema.keys(Config):
        value = getattr(config, section)
        if section in ("kernel", "init"):
            tree = _masked(schema.plain(value), secrets)
            found += _lines(section, tree, (section,)) if tree else ()
            continue
        names = _told_apart(entry.path if isinstance(entry, File) else entry.name for entry in value)
        found += [Line(f"{section}:", (section,), (section,))] if value else []
        for index, (entry, name) in enumerate(zip(value, names, strict=True)):
            number = contents.get(index) if section == "files" else None
            found += _entry_lines(entry, (section, index, name), number, secrets, memo)
    return tuple(found)


def _entry_lines(
    entry: Any, place: tuple[str, int, str], contents: str | None, secrets: dict[str, int], memo: Memo
) -> tuple[Line, ...]:
    """The lines of one entry. place: its section, its index there, its name. contents: the number in their place."""
    section, index, name = place
    kept, written = memo.get((section, name), (None, {}))
    if kept is not entry:
        plain = schema.plain(entry)
        hidden = _masked(plain if contents is None else {**plain, "contents": contents}, secrets)
        written = {0: tuple(_lines(section, [hidden], (section, name))[1:])}
        if hidden == plain:
            memo[section, name] = entry, written
    if index not in written:
        written[index] = tuple(
            Line(line.text, (section, index, *line.path[2:]), line.entry, line.continued) for line in written[0]
        )
    return written[index]


def _lines(section: str, tree: Any, entry: tuple[str, ...]) -> list[Line]:
    found: list[Line] = []
    for text, path in yaml12.written_lines({section: tree}):
        found.append(Line(text, path, entry, continued=bool(found) and found[-1].path == path))
    return found


def _between(path: tuple[str, ...], before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            inner = (*path, str(key))
            if key not in after:
                yield Change(inner, "removed", before=before[key])
            elif key not in before:
                yield Change(inner, "added", after=after[key])
            else:
                yield from _between(inner, before[key], after[key])
    elif isinstance(before, list) and isinstance(after, list):
        yield from _between_lists(path, before, after)
    else:
        yield Change(path, "changed", before, after)


def _between_lists(path: tuple[str, ...], before: list[Any], after: list[Any]) -> Iterator[Change]:
    old, new = _by_name(before), _by_name(after)
    if old is not None and new is not None:
        yield from _between(path, old, new)
        order = [name for name in old if name in new], [name for name in new if name in old]
        if order[0] != order[1]:
            yield Change(path, "moved", *order)
        return
    import difflib

    texts = [[repr(item) for item in side] for side in (before, after)]
    matcher = difflib.SequenceMatcher(a=texts[0], b=texts[1], autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        for item in before[start:end]:
            yield Change(path, "removed", before=item)
        for item in after[new_start:new_end]:
            yield Change(path, "added", after=item)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Entries of a section by what identifies them; None for other lists. A second one of a name is ``name #2``."""
    names: list[str] = []
    for item in items:
        name = (item.get("name") or item.get("path")) if isinstance(item, dict) else None
        if not isinstance(name, str):
            return None
        names.append(name)
    return dict(zip(_told_apart(names), items, strict=True))


def _told_apart(names: Iterable[str]) -> list[str]:
    """Names of which each is there once: a second one is ``name #2``."""
    found: dict[str, None] = {}
    for name in names:
        key, number = name, 1
        while key in found:
            number += 1
            key = f"{name} #{number}"
        found[key] = None
    return list(found)


def _hidden(config: Config, secrets: dict[str, int]) -> Any:
    """The configuration as mappings and lists, with numbers in place of secrets; ``secrets`` remembers the numbers."""
    tree = schema.plain(config)
    for index, number in _secret_contents(config, secrets).items():
        tree["files"][index]["contents"] = number
    return _masked(tree, secrets)


def _secret_contents(config: Config, secrets: dict[str, int]) -> dict[int, str]:
    """The numbers of what is in secret files, by the files' indices."""
    return {
        index: _number(file.contents, secrets)
        for index, file in enumerate(config.files)
        if file.contents and _is_secret_file(file)
    }


def _is_secret_file(file: File) -> bool:
    # Nobody but its owner may read it: then a diff should not show it either. Public keys are often kept that way.
    closed = not file.permissions & 0o077
    return closed and not all(_PUBLIC_LINE.fullmatch(line) for line in (file.contents or "").splitlines())


def _masked(value: Any, secrets: dict[str, int]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _number(item, secrets) if isinstance(item, str) and _NAME.fullmatch(key) else _masked(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _number(item, secrets)
            if isinstance(item, str) and _follows_option(value, index)
            else _masked(item, secrets)
            for index, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    if _PRIVATE.search(value):
        return _number(value, secrets)
    for pattern in (_ASSIGNED, _USERINFO):
        value = pattern.sub(lambda found: found[1] + _number(found[2], secrets), value)
    return value


def _follows_option(words: Sequence[Any], index: int) -> bool:
    """Whether this word is the value of an option like ``--password`` before it."""
    option = words[index - 1] if index else None
    return isinstance(option, str) and option.startswith("-") and _NAME.fullmatch(option) is not None


def _number(secret: str, secrets: dict[str, int]) -> str:
    return f"(secret {secrets.setdefault(secret, len(secrets) + 1)})"
