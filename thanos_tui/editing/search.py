"""Finding options: words in their names, prompts, values and help, ranked, with what to highlight.

Every word has to be found somewhere (``ssh port``). A word counts by where and how it is found: as a whole name or
prompt, at its beginning, at the beginning of a word in it, within it, as letters in this order (``kmq`` finds
``kernel.modules.qemu``); then in the value, in what can be chosen, in the menu's title, in the help.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from thanos_tui.options.catalogue import Catalogue, Option
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import to_text

Field = Literal["name", "prompt", "value", "choices", "menu", "help"]
Span = tuple[int, int]

# What a word is worth by the field and by how it is found there: as all of it, at its start, at the start of a word in
# it, anywhere. Letters in order count in names and prompts only: in a long text they are nearly always there.
_WORTH: Mapping[Field, tuple[int, int, int, int]] = {
    "name": (1000, 900, 800, 600),
    "prompt": (990, 890, 790, 590),
    "value": (700, 560, 550, 500),
    "choices": (330, 320, 310, 300),
    "menu": (280, 270, 260, 250),
    "help": (200, 190, 180, 150),
}
_LETTERS: Mapping[Field, int] = {"name": 400, "prompt": 390}
_PHRASE = 50  # for words found side by side, as they were typed


@dataclass(frozen=True)
class Hit:
    """An option that was found.

    score: the higher the better, only to be compared within one search. fields, words: what was searched for what.
    """

    name: str
    score: float
    fields: tuple[tuple[Field, str], ...]
    words: tuple[str, ...]

    @cached_property  # most of what is found is below the edge of the screen
    def spans(self) -> Mapping[Field, tuple[Span, ...]]:
        """What to highlight, by field, as offsets (first, behind the last) into :func:`texts` of the option."""
        return highlights(self.fields, self.words)


@dataclass(frozen=True)
class _Entry:
    """An option's texts that never change, folded; the name and the prompt first.

    whole: all of them. phrase: the name and the prompt. letters: all there are in those two.
    """

    name: str
    fields: tuple[tuple[Field, str], ...]
    whole: str
    phrase: str
    letters: frozenset[str]


@dataclass(frozen=True)
class Index:
    """What of a catalogue is searched, made once."""

    catalogue: Catalogue
    entries: tuple[_Entry, ...]


def make_index(catalogue: Catalogue) -> Index:
    """The index of a catalogue."""
    entries = []
    for option in catalogue.options.values():
        fields = tuple((field, fold(text)) for field, text in texts(option).items() if text)
        phrase = fold(f"{option.name} {option.prompt}")
        whole = "\n".join(text for _, text in fields)
        entries.append(_Entry(option.name, fields, whole, phrase, frozenset(phrase)))
    return Index(catalogue, tuple(entries))


def texts(option: Option, value: Value = None) -> dict[Field, str]:
    """What of an option is searched, as it is shown, by field."""
    return {
        "name": option.name,
        "prompt": option.prompt,
        "value": shown(value),
        "choices": ", ".join(f"{choice.value} ({choice.prompt})" for choice in option.values),
        "menu": ", ".join(option.menu),
        "help": option.help,
    }


def shown(value: Value) -> str:
    """A value as it is searched: what is on or off is no text to look for."""
    return "" if value is None or isinstance(value, bool) else to_text(value)


@lru_cache(maxsize=4096, typed=True)  # at each letter that is typed, all options' values again
def _folded(value: Value) -> str:
    return fold(shown(value))


def search(index: Index, query: str, limit: int = 100, values: Mapping[str, Value] | None = None) -> list[Hit]:
    """The options that fit a query, the best first; those that are as good in the order of the menus.

    values: of the options, as they are now. A query without a word finds everything.
    """
    words = tuple(dict.fromkeys(fold(query).split()))
    phrase = " ".join(fold(query).split()) if len(words) > 1 else ""
    found: list[tuple[float, int, int, str]] = []
    for position, entry in enumerate(index.entries):
        value = _folded(values[entry.name]) if values is not None and words else ""
        score = _score(entry, words, value)
        if score is not None:
            bonus = _PHRASE if phrase and phrase in entry.phrase else 0
            found.append((-score - bonus, len(entry.name) if words else 0, position, value))
    found.sort()
    hits = []
    for score, _, position, value in found[:limit]:
        entry = index.entries[position]
        hits.append(Hit(entry.name, -score, (*entry.fields, ("value", value)), words))
    return hits


def highlights(fields: Iterable[tuple[Field, str]], words: Sequence[str]) -> dict[Field, tuple[Span, ...]]:
    """Where these words are in the texts of an option, all of them folded."""
    found: dict[Field, tuple[Span, ...]] = {}
    anywhere = _any_of(tuple(words))
    for field, text in fields:
        spans = [match.span() for match in anywhere.finditer(text)] if words else []
        if field in _LETTERS:
            spans += [(at, at + 1) for word in words if word not in text for at in _letters(word, text) or ()]
        if spans:
            found[field] = _joined(spans)
    return found


def fold(text: str) -> str:
    """Without the difference of capitals, and as long as before: offsets fit both."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _score(entry: _Entry, words: Sequence[str], value: str) -> float | None:
    """How well an option fits; None if a word is nowhere."""
    total = 0.0
    for word in words:
        best = 0.0
        if word in entry.whole:
            for field, text in entry.fields:
                if word in text and _WORTH[field][0] > best:
                    best = max(best, _found(word, text, _WORTH[field]))
        if value and best < _WORTH["value"][0] and word in value:
            best = max(best, _found(word, value, _WORTH["value"]))
        if best < _LETTERS["prompt"] and entry.letters.issuperset(word):
            for field, text in entry.fields[:2]:
                best = max(best, _in_order(word, text, field))
        if not best:
            return None
        total += best
    return total / max(1, len(words))


def _found(word: str, text: str, worth: tuple[int, int, int, int]) -> float:
    """What a word is worth that is in a text; the more of the text it is, the more, by less than one."""
    cover = len(word) / (len(text) + 1)
    if word == text:
        return worth[0]
    if text.startswith(word):
        return worth[1] + cover
    at = text.find(word)
    while at >= 0:
        if not text[at - 1].isalnum():
            return worth[2] + cover
        at = text.find(word, at + 1)
    return worth[3] + cover


def _in_order(word: str, text: str, field: Field) -> float:
    if _letters(word, text) is None:
        return 0.0
    return _LETTERS[field] + len(word) / (len(text) + 1)


def _letters(word: str, text: str) -> tuple[int, ...] | None:
    """Where a word's letters are in a text, in their order and as close together as they are anywhere near.

    None also where they are so far apart that nobody would see the word in it: they must be the beginnings of words,
    or no more than a few letters may be between them.
    """
    if len(word) < 2:
        return None
    match = _in_this_order(word).search(text)
    if match is None:
        return None
    # Forwards to where the word ends first, then backwards from there: the shortest piece that ends there.
    places: list[int] = []
    at = match.end()
    for letter in reversed(word):
        at = text.rindex(letter, 0, at)
        places.append(at)
    places.reverse()
    close = places[-1] - places[0] < 2 * len(word)
    runs = [place for place, before in zip(places, [-2, *places], strict=False) if place != before + 1]
    if close or all(place == 0 or not text[place - 1].isalnum() for place in runs):
        return tuple(places)
    return _initials(word, text)


def _initials(word: str, text: str) -> tuple[int, ...] | None:
    """Where a word's letters are if they are pieces of the beginnings of words (``kmq``, ``kermodqe``)."""
    places: list[int] = []
    at = 0
    for letter in word:
        if places and at < len(text) and text[at] == letter:
            places.append(at)
        else:
            while at < len(text) and not (text[at] == letter and (at == 0 or not text[at - 1].isalnum())):
                at += 1
            if at == len(text):
                return None
            places.append(at)
        at += 1
    return tuple(places)


@lru_cache(16)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))


@lru_cache(256)
def _in_this_order(word: str) -> re.Pattern[str]:
    # Each letter is the first of its kind after the one before, so nothing is ever tried twice.
    return re.compile("".join(f"[^{re.escape(letter)}]*{re.escape(letter)}" for letter in word))


def _joined(spans: list[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch made one."""
    joined: list[Span] = []
    for first, end in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return tuple(joined)
