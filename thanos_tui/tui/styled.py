"""Lines as they come from programs, made fit for a screen: escape codes become styles, control characters harmless."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rich.cells import cell_len, chop_cells
from rich.style import Style

Line = str | tuple[str, str] | tuple[tuple[str, str], ...]
"""A line of text: with ANSI codes in it; or as a text and the name of its style; or as several of those."""

# ECMA-48, 5.4 and 5.6: control sequences; strings (OSC, DCS, APC, PM, SOS) up to their terminator; other escapes.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_UNWANTED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # control characters but the tab
_TAB = 8
_NONE = Style()


def plain(line: Line) -> str:
    """The text of a line: no codes, no control characters, tabs as spaces."""
    if isinstance(line, tuple):
        return "".join(_harmless(text) for text, _ in pairs(line))
    return _harmless(line)


def plain_all(lines: list[Line]) -> list[str]:
    """The texts of many lines, several times faster than one by one."""
    if all(type(line) is str for line in lines):
        text = "\n".join(lines)  # type: ignore[arg-type]
        if "\x1b" in text:
            text = _SEQUENCE.sub("", text)
        if text.replace("\n", "").replace("\t", "").isprintable():
            found = text.expandtabs(_TAB).split("\n")
            if len(found) == len(lines):
                return found
    return [plain(line) for line in lines]


def pairs(line: tuple[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The texts of a line with the names of their styles."""
    match line:
        case (str(text), str(name)):
            return ((text, name),)
        case _:
            return tuple(pair for pair in line if isinstance(pair, tuple))


def styled(line: Line, style_of: Callable[[str], Style]) -> list[tuple[str, Style]]:
    """A line in pieces of one style each; ``style_of`` knows those that have a name. The text is that of :func:`plain`.

    A colour ends with its line: what is shown of a log must not depend on lines that are not.
    """
    if isinstance(line, tuple):
        return [(_harmless(text), style_of(name) if name else _NONE) for text, name in pairs(line)]
    if "\x1b" not in line and "\x9b" not in line:
        return [(_harmless(line), _NONE)]
    pieces: list[tuple[str, Style]] = []
    style, column = _NONE, 0
    # Text and the parameters of colour codes by turns; every other sequence is taken out first.
    coded = _SEQUENCE.sub(lambda found: f"\x1b[{found[1]}m" if found[2] == "m" else "", line)
    for number, part in enumerate(re.split(r"\x1b\[([0-9:;]*)m", _last_written(coded))):
        if number % 2:
            style = _coloured(style, part)
        elif part:
            # Tabs count from the beginning of the line.
            text = (" " * (column % _TAB) + _UNWANTED.sub("", part)).expandtabs(_TAB)[column % _TAB :]
            pieces.append((text, style))
            column += len(text)
    return pieces


@lru_cache(1024)
def _coloured(before: Style, codes: str) -> Style:
    """A style after a colour code (ECMA-48, 8.3.117, SGR)."""
    from rich.ansi import AnsiDecoder

    decoder = AnsiDecoder()
    decoder.style = before
    decoder.decode_line(f"\x1b[{codes}m")
    return decoder.style


def breaks(text: str, width: int) -> list[int]:
    """Where a text is cut to fit into so many cells: the offsets at which its second and later rows begin."""
    if len(text) * 2 <= width or width < 1:
        return []
    if text.isascii():
        return list(range(width, len(text), width))
    if cell_len(text) <= width:
        return []
    found, offset = [], 0
    for row in chop_cells(text, max(width, 2))[:-1]:
        offset += len(row)
        found.append(offset)
    return found


def rows_of(text: str, width: int) -> int:
    """How many rows a text takes where it is cut to fit into so many cells."""
    return max(1, -(-len(text) // width)) if text.isascii() and width > 0 else len(breaks(text, width)) + 1


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    return _UNWANTED.sub("", _last_written(_SEQUENCE.sub("", text))).expandtabs(_TAB)


def _last_written(text: str) -> str:
    """What a carriage return leaves to be seen: programs that draw progress write a line over and over."""
    return text.rstrip("\r\n").rpartition("\r")[2] if "\r" in text else text
