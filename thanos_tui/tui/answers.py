"""What a terminal says of itself when it is asked, picked out of what is typed.

All of it is in https://invisible-island.net/xterm/ctlseqs/ctlseqs.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

# XTVERSION; the size of a cell; DA1, which all of them answer.
QUESTIONS = "\x1b[>0q\x1b[16t\x1b[c"
# XTSMGRAPHICS: how many colours and pixels a sixel picture may have. Only for those with sixel: one that does not know
# it might scroll. And the size of a cell again, as fonts change.
LIMITS = "\x1b[?1;1;0S\x1b[?2;4;0S\x1b[16t"

_ANSWER = re.compile(
    r"\x1bP>\|(?P<name>[^\x1b\x07]{0,100})(?:\x1b\\|\x07)"
    r"|\x1b\[\?(?P<device>[\d;]{0,100})c"
    r"|\x1b\[6;(?P<cell>\d{1,9};\d{1,9})t"
    r"|\x1b\[\?(?P<limit>[12];[\d;]{1,100})S",
    re.ASCII,
)
# An answer that is still coming. Two characters alone could be the beginning of a key, and nobody would wait for it.
_BEGUN = re.compile(r"\x1b(?:P>(?:\|[^\x1b\x07]{0,100}\x1b?)?|\[\?[\d;]{0,100}|\[6(?:;\d{0,9}){0,2})\Z", re.ASCII)


@dataclass(frozen=True)
class Answers:
    """What a terminal has said so far.

    name: with its version, as "kitty(0.41.1)". cell: the width and height of one in pixels. sixel: whether it has it;
    colours: how many of them a picture may have; largest: its width and height, None where they have no limit.
    """

    name: str = ""
    cell: tuple[int, int] | None = None
    sixel: bool = False
    colours: int = 256
    largest: tuple[int, int] | None = None


def pick(text: str, known: Answers) -> tuple[str, str, Answers]:
    """What of a text was typed, the beginning of an answer at its end (put it before what comes next), and what is
    known with the answers in it."""
    begun = ""
    if (partly := _BEGUN.search(text)) is not None:
        text, begun = text[: partly.start()], partly[0]
    for answer in _ANSWER.finditer(text):
        known = _with(answer, known)
    return _ANSWER.sub("", text), begun, known


def _with(answer: re.Match[str], known: Answers) -> Answers:
    if answer["name"] is not None:
        return replace(known, name=answer["name"])
    if answer["device"] is not None:
        return replace(known, sixel=4 in _numbers(answer["device"])[1:])
    if answer["cell"] is not None:
        height, width = _numbers(answer["cell"])
        return replace(known, cell=(width, height) if width and height else None)
    # Which of the two it is, and what went wrong: 0 for nothing.
    match _numbers(answer["limit"]):
        case [1, 0, colours]:
            return replace(known, colours=min(256, max(2, colours)))
        case [2, 0, width, height]:
            return replace(known, largest=(width, height))
    return known


def _numbers(text: str) -> list[int]:
    return [int(number or 0) for number in text.split(";")]
