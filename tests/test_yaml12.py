"""The YAML reader and writer: what scalars mean, where things are, what is refused, and that writing reads back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from thanos_tui import yaml12
from thanos_tui.errors import InputError, Where


def value(text: str | bytes) -> Any:
    return yaml12.read(text, "x.yml").value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("n", "n"),
        ("true", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("10", 10),
        ("010", 8),
        ("08", 8.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0x10", -16),
        ("+3", 3),
        ("1_0", 10),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("1_000x", "1_000x"),
        ("0x", "0x"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", math.inf),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("=", "="),
        ("<<", "<<"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("! 5", "5"),
        ('"\\u00e9\\x41\\t"', "éA\t"),
    ],
)
def test_scalars_mean_what_upstream_takes_them_for(text: str, meaning: object) -> None:
    assert value(f"k: {text}") == {"k": meaning}
    assert type(value(f"k: {text}")["k"]) is type(meaning)


def test_positions_of_keys_and_values() -> None:
    document = yaml12.read("# comment\nservices:\n  - name: a\n    binds: [x:/x,\n      'y:/y']\n", "f.yml")
    assert document.where(("services",)) == Where("f.yml", 3, 3)
    assert document.where(("services",), key=True) == Where("f.yml", 2, 1)
    assert document.where(("services", 0, "binds", 1)) == Where("f.yml", 5, 7)
    assert document.where(("services", 0, "binds"), key=True) == Where("f.yml", 4, 5)
    # What is not there is shown at the last thing that is.
    assert document.where(("services", 0, "image")) == Where("f.yml", 3, 5)
    assert document.where(("nothing", 7)) == Where("f.yml", 2, 1)
    assert document.written(("services", 0, "name")) == "a"
    assert document.written(("services", 9)) == ""


def test_numbers_keep_how_they_were_written() -> None:
    assert yaml12.read("mode: 0644", "f").written(("mode",)) == "0644"


def test_merge_keys_fill_in_what_is_not_given() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nboth: {<<: [*b, *o], x: 0}\nquoted: {'<<': 1}"
    assert value(text)["both"] == {"x": 0, "y": 2, "z": 4}
    assert value(text)["quoted"] == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "place", "names"),
    [
        ("a: 1\nb: 2\na: 3", "3:1", "`a` is given twice"),
        ("a: {b: 1, 'b': 2}", "1:11", "`b` is given twice"),
        ("1: x", "1:1", "`1`"),
        ("null: x", "1:1", "`null`"),
        ("? [a]\n: b", "1:3", "must be a string"),
        ("a: &x [*x]", "1:8", "`&x` contains itself"),
        ("a: *x", "1:4", "no anchor `&x`"),
        ("a: !mine 1", "1:4", "`!mine`"),
        ("a: !!binary aGk=", "1:4", "`!!binary`"),
        ("a: !!int x", "1:4", "`x`"),
        ("a: !!int true", "1:4", "`true`"),
        ("a: !!map [1]", "1:4", "`!!map`"),
        ("<<: 1", "1:5", "`<<`"),
        ("<<: [1]", "1:5", "`<<`"),
        ("a: [1,\n  2\n", "1:4", "`[` is never closed"),
        ("a: {b: 1", "1:4", "`{` is never closed"),
        ("a: [", "1:4", "`[` is never closed"),
        ("a: [b, {c: [d], e: ", "1:8", "`{` is never closed"),
        ("a: 'b\n\nc: d", "1:4", "quote is never closed"),
        ('a: [ "b', "1:6", "quote is never closed"),
        ("a: @x", "1:4", "quotes"),
        ("\ta: 1", "1:1", "tabs"),
        ("a: b: c", "1:5", "quotes"),
        ("a: x\0y", "1:5", "U+0000"),
        (b"a: 1\nb: \xff", "2:4", "0xFF"),
        ("a: \ud800", "1:4", "U+D800"),
        ("a: 1\n---\nb: 2", "2:1", "second document"),
        ("[" * 500, "1:101", "levels deep"),
        ("- " * 5_000, "1:201", "levels deep"),
    ],
)
def test_what_is_refused_says_where_and_what(text: str | bytes, place: str, names: str) -> None:
    with pytest.raises(InputError) as caught:
        value(text)
    assert str(caught.value.where) == f"x.yml:{place}"
    assert names in str(caught.value)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_no_depth_is_too_much(opening: str) -> None:
    # Where that is told depends on libyaml: later ones have a limit of their own, and read ahead.
    with pytest.raises(InputError, match="levels deep"):
        value(opening * 50_000)


def test_aliases_cannot_blow_a_document_up() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    with pytest.raises(InputError, match="aliases"):
        value(bomb)


def test_many_values_without_aliases_are_fine() -> None:
    assert len(value("[" + "1," * (yaml12.MOST_EXPANDED + 1) + "]")) == yaml12.MOST_EXPANDED + 1


def test_an_alias_keeps_the_place_of_its_anchor() -> None:
    assert yaml12.read("a: &x one\nb: *x", "f").where(("b",)) == Where("f", 1, 4)


def test_a_text_without_a_document_is_none() -> None:
    document = yaml12.read("# nothing here\n", "f")
    assert document.value is None
    assert document.where() == Where("f", 1, 1)


def test_only_the_first_document_where_asked() -> None:
    assert yaml12.read("a: 1\n---\n]broken", "f", documents="first").value == {"a": 1}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert value(b"\xef\xbb\xbfa: 1") == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"missing\.yml"):
        yaml12.read_file(tmp_path / "missing.yml")
    with pytest.raises(InputError):
        yaml12.read_file(tmp_path)
    (tmp_path / "x.yml").write_text("a: 1")
    assert yaml12.read_file(tmp_path / "x.yml").value == {"a": 1}


def test_the_reader_in_python_agrees_with_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {b: [yes, 010, 'q']}\nd: *x\n"
    fast = yaml12.read(text, "f")
    monkeypatch.setattr(yaml12, "_LOADER", yaml.SafeLoader)
    slow = yaml12.read(text, "f")
    assert slow.value == fast.value
    assert slow.where(("a", "b", 1)) == fast.where(("a", "b", 1))
    with pytest.raises(InputError, match="never closed"):
        yaml12.read("a: [1,", "f")


# Pieces that make texts YAML-like enough to reach every corner of the reader.
PIECES = st.one_of(
    st.sampled_from(
        ["a", "b: ", ": ", "- ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<: ", "!!int ", "!t ", ">-", "?"]
    ),
    st.sampled_from(["'", '"', "\\", "#", "@", "%YAML 1.2", "---", "...", "\t", "0o7", "~", "é", "\0", "\x85", "|\n"]),
    st.sampled_from(["\n", "\n  ", "\n    "]),
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join), st.binary(max_size=60)))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    try:
        document = yaml12.read(text, "f")
    except InputError as error:
        place = error.where
    else:
        place = document.where()
        # repr() because not-a-number is not equal to itself.
        assert repr(yaml12.read(yaml12.write(document.value), "f").value) == repr(document.value)
    assert isinstance(place, Where)
    assert place.line >= 1
    assert place.column >= 1


TEXTS = st.one_of(
    st.text(max_size=30),
    st.text("ab \n\t#:-'\"\\|>", max_size=30),
    st.sampled_from(
        ["yes", "No", "y", "1:30", "0o7", "010", "1e3", "2020-01-01", "=", "<<", "-", "?", "...", "---", "@x"]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
@settings(deadline=None, max_examples=300)
def test_what_is_written_reads_back(value: Any) -> None:
    text = yaml12.write(value)
    assert yaml12.read(text, "f").value == value
    assert yaml12.write(yaml12.read(text, "f").value) == text


@given(st.dictionaries(TEXTS, TEXTS | st.integers(-(2**63), 2**63) | st.booleans() | st.none(), max_size=4))
@settings(deadline=None, max_examples=300)
def test_readers_of_yaml_1_1_take_it_the_same_way(value: Any) -> None:
    assert yaml.safe_load(yaml12.write(value)) == value


def test_how_it_is_written() -> None:
    tree = {
        "name": "a b",
        "on": "yes",
        "list": ["-x", 'say "hi"', {"k": [], "m": {}}],
        "text": "one\n two\n",
        "t2": " x\ny",
    }
    assert yaml12.write(tree) == (
        "name: a b\n"
        '"on": "yes"\n'
        "list:\n"
        '  - "-x"\n'
        '  - say "hi"\n'
        "  - k: []\n"
        "    m: {}\n"
        "text: |\n"
        "  one\n"
        "   two\n"
        't2: " x\\ny"\n'
    )


def test_a_very_long_key_can_be_written() -> None:
    tree = {"k" * 3000: {"a": [1]}}
    assert value(yaml12.write(tree)) == tree


def test_halves_of_characters_cannot_be_written() -> None:
    with pytest.raises(InputError, match="UTF-8"):
        yaml12.write({"a": "\udcff"})
