"""Search: what is found, in which order, and what is highlighted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanos_tui.editing.search import Hit, Index, fold, make_index, search, texts
from thanos_tui.options import Facts, load, read_catalogue, resolve

CATALOGUE = """\
menu: Test
items:
  - {option: port, type: int, prompt: Number, help: Nothing., default: 1, range: [0, 65535]}
  - {option: portal, type: bool, prompt: Gate, help: Nothing.}
  - {option: sshd.port, type: int, prompt: Listen, help: Nothing., default: 1234, range: [0, 65535]}
  - {option: support, type: bool, prompt: Help, help: Nothing.}
  - {option: print.on.right, type: bool, prompt: Margin, help: Nothing., default: true}
  - {option: last, type: bool, prompt: Last, help: A port is opened for the 'Ü-Wagen'.}
  - {option: other, type: string, prompt: Other, help: Nothing., default: Größe}
"""


@pytest.fixture(scope="module")
def index() -> Index:
    return make_index(read_catalogue([("test.yml", CATALOGUE)]))


@pytest.fixture(scope="module")
def real() -> Index:
    return make_index(load())


def found(index: Index, query: str, limit: int = 100) -> list[str]:
    values = resolve(index.catalogue, {}, Facts(architecture="amd64")).values
    return [hit.name for hit in search(index, query, limit, values)]


def test_exact_prefix_word_substring_letters_help(index: Index) -> None:
    assert found(index, "port") == ["port", "portal", "sshd.port", "support", "last"]
    assert found(index, "por") == ["port", "portal", "sshd.port", "support", "print.on.right", "last"]
    assert found(index, "port", limit=2) == ["port", "portal"]


def test_letters_have_to_be_seen_as_a_word(index: Index) -> None:
    assert found(index, "por")[4] == "print.on.right"  # the beginnings of its words
    assert found(index, "sprt") == ["support", "sshd.port"]  # close together; the shorter name first
    assert found(index, "hprint") == []


def test_every_word_counts(index: Index, real: Index) -> None:
    assert found(index, "ssh port") == found(index, "port SSH") == ["sshd.port"]
    assert found(index, "ssh nowhere") == []
    assert found(real, "host name")[0] == "hostname"
    assert found(real, "kmq") == ["kernel.modules.qemu"]


def test_values_are_those_of_now(index: Index) -> None:
    assert found(index, "1234") == ["sshd.port"]
    assert search(index, "1234") == []
    assert [hit.name for hit in search(index, "77", values={**dict.fromkeys(index.catalogue.options), "port": 77})] == [
        "port"
    ]


def test_what_can_be_chosen_and_help_are_found(real: Index) -> None:
    assert found(real, "qcow2") == ["output.formats", "output.size"]
    assert found(real, "virtio") == ["kernel.modules.qemu"]


def test_no_word_finds_everything_in_order(real: Index) -> None:
    assert found(real, " ", limit=1000) == list(real.catalogue.options)
    assert found(real, "", limit=3) == list(real.catalogue.options)[:3]


def test_highlights_fit_the_texts_as_shown(index: Index) -> None:
    values = resolve(index.catalogue, {}).values

    def lit(query: str) -> dict[str, list[str]]:
        hit = search(index, query, 1, values)[0]
        said = texts(index.catalogue.options[hit.name], values[hit.name])
        return {field: [said[field][first:end] for first, end in spans] for field, spans in hit.spans.items()}

    assert lit("sshd port") == {"name": ["sshd", "port"]}
    assert lit("d.po sshd.p") == {"name": ["sshd.p"]}
    assert lit("größ") == {"value": ["Größ"]}
    assert lit("ü-w") == {"help": ["Ü-W"]}
    assert lit("por")["name"] == ["por"]


ANY = st.text(max_size=12)


@settings(deadline=None)
@given(ANY)
def test_any_query_is_answered(real: Index, query: str) -> None:
    values = resolve(load(), {}, Facts(architecture="amd64")).values
    hits = search(real, query, 1000, values)
    assert len({hit.name for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        check_spans(hit, query, real)


def check_spans(hit: Hit, query: str, index: Index) -> None:
    said = texts(index.catalogue.options[hit.name], resolve(load(), {}, Facts(architecture="amd64")).values[hit.name])
    letters = set("".join(fold(query).split()))
    assert bool(hit.spans) is bool(letters)
    for field, spans in hit.spans.items():
        assert all(0 <= first < end <= len(said[field]) for first, end in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
        assert set(fold("".join(said[field][first:end] for first, end in spans))) <= letters


@settings(deadline=None)
@given(st.data())
def test_a_piece_of_a_name_finds_the_option(real: Index, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(real.catalogue.options)))
    first = data.draw(st.integers(0, len(name) - 1))
    piece = name[first : data.draw(st.integers(first + 1, len(name)))]
    assert name in found(real, piece.upper(), 1000)
    assert found(real, name)[0] == name


@given(ANY)
def test_folding_keeps_the_length(text: str) -> None:
    assert len(fold(text + "İß")) == len(text) + 2
