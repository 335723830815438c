"""YAML 1.2 as LinuxKit reads it: one strict reader and one deterministic writer for every YAML file of this project.

PyYAML only cuts the text into events; what they mean is decided here, because PyYAML follows YAML 1.1 (``yes`` is a
boolean there, ``1:30`` a number) and lets duplicate keys through. What is read:

- ``true``/``True``/``TRUE`` and ``false`` are booleans; ``yes``, ``no``, ``on``, ``off`` are strings;
- ``10``, ``0x1F``, ``0o17``, ``0b101``, ``1_000`` are integers, and so is ``010`` (8), which YAML 1.2 itself would read
  as 10: upstream's reader keeps that meaning for modes;
- dates and ``1:30`` are strings; ``~``, ``null`` and nothing at all are None;
- keys are strings, given once; merge keys (``<<``) and anchors work; other tags than those of the core schema do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from thanos_tui.errors import InputError, Where

Steps = Sequence[str | int]

# Configurations are some ten levels deep; a limit keeps hostile input from exhausting the stack of those who walk it.
DEEPEST = 100
# As upstream's reader: a document may grow by its aliases up to this many values.
MOST_EXPANDED = 400_000

_CORE = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Not as what YAML allows, turned round: a range that long takes ten times as long to compile.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


class _Node:
    """One value of the document, with its place; ``entries`` of a mapping hold (key, value) nodes by key."""

    __slots__ = (
        "column",
        "entries",
        "flow",
        "items",
        "kind",
        "line",
        "merge",
        "open",
        "pairs",
        "scalar",
        "size",
        "text",
    )

    def __init__(self, kind: Literal["scalar", "sequence", "mapping"], event: Any) -> None:
        self.kind = kind
        self.line: int = event.start_mark.line + 1
        self.column: int = event.start_mark.column + 1
        self.text = ""  # a scalar as written, without its quotes
        self.scalar: bool | int | float | str | None = None
        self.merge = False
        self.items: list[_Node] = []
        self.pairs: list[tuple[_Node, _Node]] = []
        self.entries: dict[str, tuple[_Node, _Node]] = {}
        self.size = 1  # values in it once aliases are written out
        self.open = kind != "scalar"
        self.flow: bool = kind != "scalar" and bool(event.flow_style)

    def value(self) -> Any:
        if self.kind == "scalar":
            return self.scalar
        if self.kind == "sequence":
            return [item.value() for item in self.items]
        return {key: value.value() for key, (_, value) in self.entries.items()}


@dataclass(frozen=True)
class Document:
    """What a text says (``value``: None, bool, int, float, str, list, dict) and where it says it."""

    file: str
    value: Any
    _root: _Node | None

    def where(self, path: Steps = (), key: bool = False) -> Where:
        """The place of the value at ``path`` (keys and indices from the root), or of its key.

        Where the path leads nowhere (a missing key), the place of the last value on the way.
        """
        pairs = list(self._follow(path))
        node = pairs[-1][0 if key else 1] if pairs else self._root
        return Where(self.file, node.line, node.column) if node else Where(self.file, 1, 1)

    def written(self, path: Steps = ()) -> str:
        """The scalar at ``path`` as it was written (``0644``, where the value is 420), without quotes."""
        pairs = list(self._follow(path))
        return pairs[-1][1].text if len(pairs) == len(path) and pairs else ""

    def _follow(self, path: Steps) -> Iterator[tuple[_Node, _Node]]:
        """The nodes on the way, each with that of its key, as far as the path leads."""
        node = self._root
        for step in path:
            if node is None:
                return
            if isinstance(step, str) and step in node.entries:
                name, node = node.entries[step]
            elif isinstance(step, int) and step < len(node.items):
                name = node = node.items[step]
            else:
                return
            yield name, node


def read(text: str | bytes, file: str, *, documents: Literal["only", "first"] = "only") -> Document:
    """Read a text; ``file`` is the name that errors give for it.

    documents: whether a second document in the text is refused or, as upstream does, not looked at.
    A text without any document has the value None.

    Raises InputError for everything that is not YAML of the kind described above.
    """
    if isinstance(text, bytes):
        text = _decoded(text, file)
    text = text.removeprefix("\ufeff")
    if bad := _UNREADABLE.search(text):
        line, column = _line_column(text, bad.start())
        raise InputError(
            f"the character U+{ord(bad[0]):04X} does not belong in a YAML file", where=Where(file, line, column)
        )
    composer = _Composer(file)
    try:
        root = composer.compose(yaml.parse(text, Loader=_LOADER), documents)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file, composer.stack) from None
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", where=Where(file, 1, 1)) from None
    return Document(file, root.value() if root else None, root)


def read_file(path: Path, *, documents: Literal["only", "first"] = "only") -> Document:
    """Read the file at ``path``. Raises InputError when it cannot be read or is not YAML."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return read(data, str(path), documents=documents)


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _line_column(data[: error.start].decode("utf-8"), error.start)
        raise InputError(
            f"the byte 0x{data[error.start]:02X} is not UTF-8",
            hint="save the file as UTF-8",
            where=Where(file, line, column),
        ) from None


def _line_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str, unfinished: list[_Node]) -> InputError:
    problem, context = error.problem or "it cannot be parsed", error.context or ""
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    at = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file, 1, 1)
    lines = text.split("\n")
    rest = "\n".join(lines[at.line - 1 :])[at.column - 1 :]
    # At the end of the text, parsers say what they still expect; what helps is where it was opened.
    if not rest.strip() and opened and "quoted scalar" in context:
        at = Where(file, opened.line + 1, opened.column + 1)
        return InputError("not YAML: this quote is never closed", where=at)
    if not rest.strip() and unfinished and unfinished[-1].flow:
        bracket = "[" if unfinished[-1].kind == "sequence" else "{"
        at = Where(file, unfinished[-1].line, unfinished[-1].column)
        return InputError(f"not YAML: this `{bracket}` is never closed", where=at)
    if "nesting depth" in problem:
        # libyaml's own limit, which comes first where it reads ahead: to see whether a bracket begins a key.
        return InputError(f"nested more than {DEEPEST} levels deep", where=at)
    hint = None
    if rest.startswith(("@", "`")):
        hint = f"put a text that starts with {rest[0]} in quotes"
    elif rest.startswith("\t") or "\t" in problem:
        hint = "YAML is indented with spaces, never with tabs"
    elif "mapping values are not allowed" in problem:
        hint = "look at the indentation, and put a text that contains `: ` in quotes"
    return InputError("not YAML: " + ", ".join(filter(None, (context, problem))), hint=hint, where=at)


class _Composer:
    """Builds nodes from events, without recursion: how deep a text is nested is for its author to choose."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, _Node] = {}
        self.aliases = False
        self.stack: list[_Node] = []  # the collections that are not complete yet

    def error(self, message: str, node: _Node, hint: str | None = None) -> InputError:
        return InputError(message, hint=hint, where=Where(self.file, node.line, node.column))

    def compose(self, events: Iterator[Any], documents: str) -> _Node | None:
        root: _Node | None = None
        stack = self.stack
        keys: list[_Node | None] = []  # the key that waits for its value, for each open collection
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise self.error("a second document begins here; the file may hold one", _Node("scalar", event))
            if isinstance(event, yaml.DocumentEndEvent) and documents == "first":
                break
            if isinstance(event, yaml.CollectionEndEvent):
                node = stack.pop()
                keys.pop()
                self.close(node)
            elif isinstance(event, yaml.NodeEvent):
                node = self.node(event)
                if node.open and not isinstance(event, yaml.AliasEvent):
                    if len(stack) == DEEPEST:
                        raise self.error(f"nested more than {DEEPEST} levels deep", node)
                    stack.append(node)
                    keys.append(None)
                    continue
            else:
                continue
            if not stack:
                root = node
            elif stack[-1].kind == "sequence":
                stack[-1].items.append(node)
            elif (key := keys[-1]) is None:
                keys[-1] = node
            else:
                stack[-1].pairs.append((key, node))
                keys[-1] = None
        return root

    def node(self, event: Any) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            self.aliases = True
            found = self.anchors.get(str(event.anchor))
            if found is None:
                raise self.error(f"there is no anchor `&{event.anchor}` before this", _Node("scalar", event))
            if found.open:
                raise self.error(f"the anchor `&{event.anchor}` contains itself", _Node("scalar", event))
            return found
        if isinstance(event, yaml.ScalarEvent):
            node = _Node("scalar", event)
            node.text = event.value
            node.scalar = self.scalar(event, node)
            node.merge = event.value == "<<" and (
                event.tag == _CORE + "merge" or (event.tag is None and event.implicit[0])
            )
        else:
            kind: Literal["sequence", "mapping"] = (
                "sequence" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
            )
            node = _Node(kind, event)
            if event.tag not in (None, "!", _CORE + ("seq" if kind == "sequence" else "map")):
                raise self.error(f"the tag `{_short(event.tag)}` is not known here", node)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def scalar(self, event: Any, node: _Node) -> bool | int | float | str | None:
        text: str = event.value
        if event.tag is None:
            return resolve(text) if event.implicit[0] else text
        if event.tag in ("!", _CORE + "str"):
            return text
        value = resolve(text)
        kinds: dict[str, type | tuple[type, ...]] = {
            "null": type(None),
            "bool": bool,
            "int": int,
            "float": (int, float),
            "merge": str,
        }
        expected = kinds.get(event.tag.removeprefix(_CORE), ())
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            if expected == ():
                raise self.error(f"the tag `{_short(event.tag)}` is not known here", node)
            raise self.error(f"`{text}` is not what its tag `{_short(event.tag)}` says", node)
        return value

    def close(self, node: _Node) -> None:
        """Check a collection that is complete, write its merge keys out, and count what is in it."""
        node.open = False
        for key, value in node.pairs:
            name = key.scalar
            if not isinstance(name, str):
                shown = "a list or a mapping" if key.kind != "scalar" else f"`{'null' if name is None else key.text}`"
                raise self.error(f"the key is {shown}; a key must be a string", key, "put it in quotes")
            if name in node.entries:
                first = node.entries[name][0]
                place = f"the first one is in line {first.line}, column {first.column}"
                raise self.error(f"the key `{name}` is given twice", key, place)
            node.entries[name] = (key, value)
        if "<<" in node.entries and node.entries["<<"][0].merge:
            _, source = node.entries.pop("<<")
            for mapping in source.items if source.kind == "sequence" else [source]:
                if mapping.kind != "mapping":
                    raise self.error("`<<` wants a mapping, or a list of mappings", source)
                for name, entry in mapping.entries.items():
                    node.entries.setdefault(name, entry)
        node.pairs.clear()
        node.size += sum(item.size for item in node.items)
        node.size += sum(1 + value.size for _, value in node.entries.values())
        if self.aliases and node.size > MOST_EXPANDED:
            raise self.error(f"the aliases in here stand for more than {MOST_EXPANDED} values", node)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def resolve(text: str) -> bool | int | float | str | None:
    """What a plain (unquoted) scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain) and len(plain) <= 70:
        number = _integer(plain)
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(plain):
        real = float(plain)
        if abs(real) != float("inf"):
            return real
    return text


def _integer(plain: str) -> int:
    digits = plain.lstrip("+-")
    if digits[:1] == "0" and digits[1:].isdigit():
        digits = "0o" + digits[1:]
    number = int(digits, 0)
    return -number if plain.startswith("-") else number


# What a plain scalar cannot hold or should not show: controls, odd spaces, line separators, halves of characters.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_ESCAPES = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write(value: Any) -> str:
    """A text that :func:`read`, and every reader of YAML 1.1 or 1.2, takes for ``value``; always the same one.

    value: None, bool, int, float, str, and mappings (with strings for keys) and sequences of them, in their order.
    Raises InputError for a string that cannot be written as UTF-8.
    """
    return "\n".join(line for line, _ in _written(value, 0, ())) + "\n"


def written_lines(value: Any) -> list[tuple[str, tuple[str | int, ...]]]:
    """The lines that :func:`write` writes, each with the path of the value that it states.

    A line that opens a mapping or list has its path; all lines of a text have the text's.
    """
    return _written(value, 0, ())


def _written(value: Any, indent: int, path: tuple[str | int, ...]) -> list[tuple[str, tuple[str | int, ...]]]:
    """The lines of a value that starts on a line of its own."""
    space = " " * indent
    if isinstance(value, Mapping) and value:
        lines = []
        for key, item in value.items():
            inner = (*path, key)
            name = _scalar(key, 0, block=False)[0]
            if len(name) > 1000:  # a key before a colon may have 1024 characters
                lines.append((f"{space}? {name}", inner))
                name = ""
            lines += _after(f"{space}{name}:", item, indent, inner)
        return lines
    if isinstance(value, list | tuple) and value:
        lines = []
        for index, item in enumerate(value):
            (first, inner), *rest = _written(item, indent + 2, (*path, index))
            lines += [(f"{space}- {first[indent + 2 :]}", inner), *rest]
        return lines
    first, *more = _scalar(value, indent or 2)
    return [(space + first, path), *((line, path) for line in more)]


def _after(start: str, item: Any, indent: int, path: tuple[str | int, ...]) -> list[tuple[str, tuple[str | int, ...]]]:
    """The lines of a value that follows its key."""
    if isinstance(item, Mapping | list | tuple) and item:
        return [(start, path), *_written(item, indent + 2, path)]
    first, *rest = _scalar(item, indent + 2)
    return [(f"{start} {first}", path), *((line, path) for line in rest)]


def _scalar(value: Any, indent: int, block: bool = True) -> list[str]:
    """A scalar or an empty collection; further lines (of a block) are indented."""
    if value is None or isinstance(value, bool):
        return ["null" if value is None else "true" if value else "false"]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, float):
        text = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
        return [text if "." in text else text.replace("e", ".0e")]  # YAML 1.1 wants the point
    if not isinstance(value, str):
        return ["{}" if isinstance(value, Mapping) else "[]"]
    if _is_plain(value):
        return [value]
    shown = value.replace("\n", "").replace("\t", "")
    # A block whose first line is indented or empty needs an indentation indicator, which upstream gets wrong.
    if block and "\n" in value and value[0] not in " \t\n" and not _HIDDEN.search(shown):
        body = value.rstrip("\n")
        ending = {0: "-", 1: ""}.get(len(value) - len(body), "+")
        lines = value.removesuffix("\n").split("\n")
        return [f"|{ending}", *(" " * indent + line if line else "" for line in lines)]
    if not _HIDDEN.search(value) and ('"' in value or "\\" in value):
        return ["'" + value.replace("'", "''") + "'"]
    return ['"' + "".join(_escaped(character) for character in value) + '"']


def _is_plain(text: str) -> bool:
    if not text or text != text.strip() or text[0] in "-?:,[]{}#&*!|>'\"%@`=<" or _HIDDEN.search(text):
        return False
    return not (": " in text or " #" in text or text.endswith(":") or text.startswith("...")) and is_text(text)


def is_text(text: str) -> bool:
    """Whether readers of YAML 1.1 and 1.2 alike take a text for a string when it has no quotes."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return (
        text not in ("y", "Y", "n", "N")
        and isinstance(resolve(text), str)
        and not any(pattern.match(text) for _, pattern in resolvers)
    )


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if not _HIDDEN.match(character):
        return character
    if "\ud800" <= character <= "\udfff":
        raise InputError("a text holds bytes that are not UTF-8", hint="look for them with `file` or `iconv`")
    return f"\\x{ord(character):02X}" if ord(character) < 256 else f"\\u{ord(character):04X}"
