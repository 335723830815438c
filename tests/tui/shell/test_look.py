"""What a terminal can show, and bringing down to it what is drawn."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from thanos_tui.tui import look
from thanos_tui.tui.look import ASCII, UNICODE, decide
from thanos_tui.tui.plain import AsciiFilter, MonochromeFilter, to_ascii

MODERN = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "is_ascii"),
    [
        (MODERN, False),
        ({**MODERN, "LANG": "C.UTF-8"}, False),
        ({**MODERN, "LANG": "de_DE.utf8"}, False),
        ({**MODERN, "LANG": "C"}, True),
        ({**MODERN, "LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, True),
        ({**MODERN, "LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({**MODERN, "LANG": "de_DE@euro"}, True),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
        ({"TERM": "vt220", "LANG": "C.UTF-8"}, True),
        ({"TERM": "vte-256color"}, False),
        ({}, True),
        ({"TERM": "vt100", look.VARIABLE: "0"}, False),
        ({**MODERN, look.VARIABLE: "1"}, True),
    ],
)
def test_symbols_follow_locale_and_terminal(environment: dict[str, str], is_ascii: bool) -> None:
    assert decide(environment).ascii is is_ascii


def test_a_locale_that_python_made_up_does_not_count() -> None:
    environment = {**MODERN, "LANG": "C", "LC_CTYPE": "C.UTF-8"}
    assert decide(environment, coerced=True).ascii


def test_settings_come_before_the_terminal_and_the_environment_before_them() -> None:
    assert decide(MODERN, ascii_only=True).ascii
    assert not decide({**MODERN, look.VARIABLE: "0"}, ascii_only=True).ascii


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        (MODERN, 256),
        ({**MODERN, "COLORTERM": "truecolor"}, 2**24),
        ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16),
        ({"TERM": "vt100"}, 0),
        ({"TERM": "xterm-mono"}, 0),
        ({**MODERN, "COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
        ({**MODERN, "NO_COLOR": ""}, 256),
    ],
)
def test_colours_follow_the_terminal(environment: dict[str, str], colours: int) -> None:
    assert decide(environment).colours == colours


@pytest.mark.parametrize("symbols", [UNICODE, ASCII])
def test_every_symbol_is_as_wide_as_is_said(symbols: look.Look) -> None:
    from dataclasses import asdict

    for name, value in asdict(symbols).items():
        if isinstance(value, str) and not name.startswith("border"):
            per_cell = name in ("eighths", "steps", "spinner")
            wide = 2 if name in ("branch", "last", "through", "gap") else 1
            assert all(cell_len(each) == 1 for each in value) if per_cell else cell_len(value) == wide, name
            assert not symbols.ascii or value.isascii(), name


@pytest.mark.parametrize("symbols", [UNICODE, ASCII])
@pytest.mark.parametrize("fraction", [-1, 0, 0.03, 0.5, 0.99, 1, 2])
def test_bars_are_as_wide_as_asked(symbols: look.Look, fraction: float) -> None:
    assert cell_len(symbols.bar(fraction, 13)) == 13
    assert symbols.bar(1, 3) == symbols.full * 3
    assert symbols.bar(0, 3) == symbols.empty * 3


def test_cutting() -> None:
    assert UNICODE.cut("hostname", 8) == "hostname"
    assert UNICODE.cut("hostname", 5) == "host…"
    assert ASCII.cut("hostname", 5) == "host~"
    assert UNICODE.cut("hello there", 7) == "hello…"
    assert UNICODE.cut("日本語", 4) == "日…"
    assert UNICODE.cut("hostname", 0) == ""


def test_ascii_is_as_wide_as_what_it_stands_for() -> None:
    text = "╭─ Grüße ─╮ ✓ 5 → 6… │█▌░│ 漢字 🚀 e\u0301 ⠋ “x”"
    made = to_ascii(text)
    assert made.isascii()
    assert made.isprintable()
    assert cell_len(made) == cell_len(text)
    assert made.startswith("+- Gru?e -+")


def test_the_ascii_filter_keeps_styles() -> None:
    style = Style(bold=True)
    segments = [Segment("plain", style), Segment("│ü", style)]
    assert AsciiFilter().apply(segments, Color(0, 0, 0)) == [Segment("plain", style), Segment("|u", style)]


def test_without_colours_another_ground_is_reversed() -> None:
    rows = [
        Segment("row", Style.parse("#e3e0ec on #1a1824")),
        Segment("cursor", Style.parse("#ffffff on #8b6fd6")),
        Segment("faint", Style.parse("#555555 on #1a1824")),
        Segment("marked", Style.parse("bold reverse #e3e0ec on #1a1824")),
        Segment("bare", None),
    ]
    done = MonochromeFilter(dark=True).apply(rows, Color(0, 0, 0))
    styles = {segment.text: segment.style for segment in done}
    assert all(style is None or (style.color is None and style.bgcolor is None) for style in styles.values())
    assert [text for text, style in styles.items() if style and style.reverse] == ["cursor", "marked"]
    assert [text for text, style in styles.items() if style and style.dim] == ["faint"]
    assert styles["marked"] is not None
    assert styles["marked"].bold
