"""Wrapping, cutting and spreading of styled text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from thanos_tui.tui.configure.lines import spread, width_of, wrapped


def texts(rows: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def test_words_are_kept_whole_and_later_rows_indented() -> None:
    assert texts(wrapped([("Needs  ", "label"), ("one two three", "")], 14, 7)) == [
        "Needs  one two",
        "       three",
    ]


def test_a_word_longer_than_a_row_is_broken() -> None:
    assert texts(wrapped([("see /a/very/long/path here", "")], 10)) == ["see", "/a/very/lo", "ng/path", "here"]


@given(
    st.lists(st.tuples(st.text("ab 日ü\n", max_size=30), st.sampled_from(["", "x"])), max_size=5),
    st.integers(4, 30),
    st.integers(0, 2),
)
def test_nothing_is_wider_than_the_row_and_nothing_is_lost(
    pieces: list[tuple[str, str]], width: int, indent: int
) -> None:
    rows = wrapped(pieces, width, indent)
    assert all(cell_len(text.rstrip()) <= width for text in texts(rows))
    letters = "".join(text for text, _ in pieces).replace(" ", "").replace("\n", "")
    assert "".join(texts(rows)).replace(" ", "") == letters


def test_a_paragraph_that_begins_without_an_indent_is_broken_in_its_first_row() -> None:
    assert texts(wrapped([("\n日  a", "")], 4, 2)) == ["", "日", "  a"]


def test_blanks_give_way_to_a_wide_character_behind_them() -> None:
    assert texts(wrapped([("   日", "")], 4)) == ["日"]


def test_the_right_side_gives_way() -> None:
    row = spread([("prompt", "")], [("a note", "note")], 20)
    assert "".join(text for text, _ in row) == "prompt        a note"
    assert "note" not in "".join(text for text, _ in spread([("a long prompt", "")], [("a note", "note")], 16))
    for width in range(1, 30):
        assert width_of(spread([("prompt", "")], [("a note", "note")], width)) == width
