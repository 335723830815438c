"""What terminals answer, between keys and cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from thanos_tui.tui.answers import Answers, pick
from thanos_tui.tui.driver import ThanosDriver, _Reader

# As real ones said it.
XTERM = "\x1bP>|XTerm(379)\x1b\\\x1b[?63;1;2;4;6;9;15;16;22;28c\x1b[?1;0;1024S\x1b[?2;0;1000;1000S"
KITTY = "\x1bP>|kitty(0.41.1)\x1b\\\x1b[6;15;7t\x1b[?62;c"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (XTERM, Answers("XTerm(379)", None, True, 256, (1000, 1000))),
        (KITTY, Answers("kitty(0.41.1)", (7, 15), False)),
        ("\x1b[?1;0;16S", Answers(colours=16)),
        ("\x1b[?1;3S\x1b[?2;3S\x1b[?1;0;x", Answers()),  # it may not be told, and what is no answer
        ("\x1b[?4c\x1b[?4;1c", Answers()),  # a VT132
        ("\x1b[6;0;0t", Answers()),
        (f"\x1b[?{'4;' * 49}4c", Answers(sixel=True)),
    ],
)
def test_answers_are_understood(said: str, known: Answers) -> None:
    assert pick(said, Answers())[2] == known


@given(st.lists(st.sampled_from(["a", "é", "\x1b[A", "\x1b[6;5~", "\x1b", "\x1b[?2026;2$y"]), max_size=4), st.data())
def test_what_is_typed_stays_and_answers_may_come_in_pieces(typed: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(typed)))
    said = "".join([*typed[:place], KITTY, *typed[place:]])
    # Two characters of an answer are not held back: they could be keys.
    cuts = [at for at in range(len(said)) if not said[:at].endswith(("\x1b", "\x1b[", "\x1bP"))]
    cut = data.draw(st.sampled_from(cuts))
    first, begun, known = pick(said[:cut], Answers())
    second, rest, known = pick(begun + said[cut:], known)
    assert first + second + rest == "".join(typed)
    assert known.cell == (7, 15)
    assert known.name == "kitty(0.41.1)"


def test_the_app_gets_the_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThanosDriver, "known", Answers())
    reader = _Reader()
    keys = [
        event.key
        for said in ("x", KITTY[:22], KITTY[22:], f"y{XTERM}\x1b[B")
        for event in reader.feed(said)
        if isinstance(event, events.Key)
    ]
    assert keys == ["x", "y", "down"]
    assert ThanosDriver.known.sixel
    assert list(reader.feed("")) == []  # the end is still one
