"""YAML and differences as styled lines."""

from __future__ import annotations

import pytest

from thanos_tui.editing.compare import Fold, compare
from thanos_tui.linuxkit import config, diff
from thanos_tui.linuxkit.config import Config
from thanos_tui.linuxkit.diff import Line
from thanos_tui.tui.look import ASCII, UNICODE
from thanos_tui.tui.yaml import drawing
from thanos_tui.tui.yaml.drawing import Pairs, View


def read(text: str) -> Config:
    return config.read(text, "x.yml")


def text(pairs: Pairs) -> str:
    return "".join(part for part, _ in pairs)


def texts(view: View) -> list[str]:
    return [text(line) for line in view.lines]


def styled(line: str, continued: bool = False) -> list[tuple[str, str]]:
    """The parts of a line that have a style, without spaces around them."""
    pairs = drawing.coloured(Line(line, ("a",), ("a",), continued))
    assert text(pairs) == line
    return [(part.strip(), style) for part, style in pairs if part.strip()]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("kernel:", [("kernel", "key"), (":", "mark")]),
        ("  - name: sshd", [("-", "mark"), ("name", "key"), (":", "mark"), ("sshd", "text")]),
        ("    uid: 1_000", [("uid", "key"), (":", "mark"), ("1_000", "number")]),
        ("    readonly: true", [("readonly", "key"), (":", "mark"), ("true", "word")]),
        ("    contents: |", [("contents", "key"), (":", "mark"), ("|", "mark")]),
        ('    mode: "0644"', [("mode", "key"), (":", "mark"), ('"0644"', "text")]),
        ("    binds.add:", [("binds.add", "key"), (":", "mark")]),
        ("      - /etc/x:/etc/x", [("-", "mark"), ("/etc/x:/etc/x", "text")]),
        ('      - "a: b"', [("-", "mark"), ('"a: b"', "text")]),
        ('      "a: b": c', [('"a: b"', "key"), (":", "mark"), ("c", "text")]),
        ("      'it''s': c", [("'it''s'", "key"), (":", "mark"), ("c", "text")]),
        ("      - TOKEN=(secret 3)", [("-", "mark"), ("TOKEN=", "text"), ("(secret 3)", "secret")]),
        ("    contents: (secret 12)", [("contents", "key"), (":", "mark"), ("(secret 12)", "secret")]),
        ("    # why", [("# why", "comment")]),
        ("", []),
    ],
)
def test_yaml_in_the_colours_of_its_parts(line: str, parts: list[tuple[str, str]]) -> None:
    assert styled(line) == parts


def test_a_text_of_several_lines_is_text_whatever_it_looks_like() -> None:
    assert styled("      key: value", continued=True) == [("key: value", "text")]


def test_the_whole_config_line_by_line() -> None:
    lines = diff.lines(read("services: [{name: a, image: x}]\nkernel: {cmdline: quiet}"))
    view = drawing.whole(lines)
    assert texts(view) == [line.text for line in lines]
    assert view.places == tuple(range(len(lines)))


BEFORE = "services: [{name: a, image: 'k:1-2'}, {name: b, image: x}, {name: c, image: x}, {name: d, image: x}]"
AFTER = BEFORE.replace("1-2", "1-3").replace("{name: b, image: x}, ", "")


def test_unified_with_folds_and_the_words_that_differ() -> None:
    found = compare(read(BEFORE), read(AFTER))
    view = drawing.unified(found, UNICODE)
    assert texts(view) == [
        "  services:",
        "    - name: a",
        "-     image: k:1-2",
        "-   - name: b",
        "-     image: x",
        "+     image: k:1-3",
        "    - name: c",
        "      image: x",
        "    - name: d",
        "      image: x",
    ]
    assert view.hunks == (2,)
    assert [part for part in view.lines[2] if part[1].endswith("-part")] == [("2", "removed-part")]
    assert [part for part in view.lines[5] if part[1].endswith("-part")] == [("3", "added-part")]
    assert {style for _, style in view.lines[3]} == {"removed"}


def test_folds_open_one_by_one_or_all() -> None:
    names = ", ".join(f"{{name: s{n}, image: x}}" for n in range(20))
    found = compare(
        read(f"services: [{names}]"), read(f"services: [{names.replace('s10, image: x', 's10, image: y')}]")
    )
    view = drawing.unified(found, ASCII)
    folds = [place for place in view.places if isinstance(place, Fold)]
    assert [len(fold.rows) for fold in folds] == [19, 15]
    assert texts(view)[0] == "> 19 equal lines"
    opened = drawing.unified(found, ASCII, {folds[0].rows.start})
    assert [place for place in opened.places if isinstance(place, Fold)] == [folds[1]]
    assert not any(isinstance(place, Fold) for place in drawing.unified(found, ASCII, None).places)
    assert len(texts(drawing.unified(found, ASCII, None))) == 42


def test_side_by_side_in_the_width_there_is() -> None:
    found = compare(read(BEFORE), read(AFTER))
    view = drawing.side_by_side(found, ASCII, 60)
    assert all(len(line) <= 60 for line in texts(view))
    assert [line.split(" | ")[0].rstrip() for line in texts(view)][:5] == [
        "  services:",
        "    - name: a",
        "-     image: k:1-2",
        "-   - name: b",
        "-     image: x",
    ]
    assert texts(view)[2].split(" | ")[1] == "+     image: k:1-3"
    assert view.hunks == (2,)


def test_what_came_stands_beside_what_is_gone() -> None:
    found = compare(
        read("onboot: [{name: old, image: x}]"), read("onboot: [{name: new, image: w}, {name: z, image: w}]")
    )
    halves = [line.split(" | ") for line in texts(drawing.side_by_side(found, ASCII, 60))]
    assert [(left.strip(), right.strip()) for left, right in halves] == [
        ("onboot:", "onboot:"),
        ("-   - name: old", "+   - name: new"),
        ("-     image: x", "+     image: w"),
        ("", "+   - name: z"),
        ("", "+     image: w"),
    ]


@pytest.mark.parametrize("filling", ["a" * 200, "漢字" * 40, "a\tb" * 30])
def test_long_lines_go_on_below_in_their_half(filling: str) -> None:
    from rich.cells import cell_len

    found = compare(read(f"kernel: {{cmdline: 'x {filling}'}}"), read(f'kernel: {{cmdline: "y {filling}"}}'))
    view = drawing.side_by_side(found, UNICODE, 81)
    assert all(cell_len(line) <= 81 for line in texts(view))
    assert all("\t" not in line for line in texts(view))
    bars = {cell_len(line.split(" │ ")[0]) for line in texts(view)}
    assert bars == {39}
    left = "".join(line.split(" │ ")[0].rstrip()[2:].rstrip() for line in texts(view)[1:])
    assert left.replace(" ", "").startswith("cmdline:")
    assert left.count("a" if "a" in filling else "漢") >= filling.count("a" if "a" in filling else "漢")


def test_marked_lines() -> None:
    view = drawing.whole(diff.lines(read("services: [{name: a, image: x}]")))
    lines, numbers = drawing.marked(view, lambda place: place == 2)
    assert numbers == (2,)
    assert all(style.endswith("marked") for _, style in lines[2])
    assert lines[:2] == view.lines[:2]
