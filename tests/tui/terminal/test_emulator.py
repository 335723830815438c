"""Both emulators say the same of the same output, and of real programs' screens what tmux says."""

from __future__ import annotations

import fidelity
import pytest
from textual.events import Key

from thanos_tui.errors import HostError
from thanos_tui.tui.terminal import emulator as emulators
from thanos_tui.tui.terminal import keys
from thanos_tui.tui.terminal.emulator import (
    BOLD,
    CTRL,
    DEFAULT,
    PLAIN,
    REVERSE,
    RGB,
    SHIFT,
    Colours,
    Emulator,
    Pen,
    backends,
    make,
    text_of,
)


@pytest.fixture(params=["par-term", "bittty"])
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in backends():
        pytest.skip(f"{name} is not installed here")
    return name


@pytest.fixture
def terminal(backend: str) -> Emulator:
    return make(20, 4, backend=backend, scrollback=50)


def rows(terminal: Emulator) -> list[str]:
    return [text_of(terminal.row(number)) for number in range(terminal.rows)]


@pytest.mark.parametrize("name", fidelity.names())
def test_real_programs_look_as_in_tmux(backend: str, name: str) -> None:
    score = fidelity.compare(name, backend)
    assert score.rows == fidelity.ROWS
    # par-term takes white for the default colour.
    least = 0.75 if (backend, name) == ("par-term", "mc") else 0.995
    assert score.drawn >= least * fidelity.ROWS * fidelity.COLUMNS


@pytest.mark.parametrize("name", fidelity.names())
def test_output_may_be_cut_anywhere(backend: str, name: str) -> None:
    assert fidelity.compare(name, backend, slice_size=7) == fidelity.compare(name, backend)


def test_colours_are_symbols_until_they_are_drawn(terminal: Emulator) -> None:
    terminal.feed(b"a\x1b[31mb\x1b[0;1;44mc\x1b[0;38;5;200md\x1b[0;38;2;1;2;3me\x1b[0;7mf\x1b[0m")
    pens = [pen for text, pen in terminal.row(0)][:6]
    assert pens == [
        PLAIN,
        Pen(1, DEFAULT),
        Pen(DEFAULT, 4, BOLD),
        Pen(200, DEFAULT),
        Pen(RGB + 0x010203, DEFAULT),
        Pen(attributes=REVERSE),
    ]
    before = terminal.row(0)
    terminal.recolour(Colours((9, 9, 9), (250, 250, 250), tuple((place, 0, 99) for place in range(16))))
    assert terminal.row(0) == before


def test_wide_and_joined_characters_take_their_cells(terminal: Emulator) -> None:
    terminal.feed("漢e\u0301x".encode())
    assert rows(terminal)[0] == "漢e\u0301x".replace("e\u0301", rows(terminal)[0][1:-1])
    assert terminal.cursor.column == 4
    assert rows(terminal)[0].startswith("漢")
    assert rows(terminal)[0].endswith("x")


def test_lines_that_scroll_away_are_kept(terminal: Emulator) -> None:
    terminal.feed(b"".join(b"\x1b[32mline %d\x1b[m\r\n" % number for number in range(10)))
    assert terminal.history == 7
    assert [text_of(terminal.past(number)) for number in range(7)] == [f"line {number}" for number in range(7)]
    assert terminal.past(0)[0] == ("line 0", Pen(2, DEFAULT))
    assert terminal.texts() == [*(f"line {number}" for number in range(10)), ""]
    terminal.feed(b"more\r\n" * 100)
    assert terminal.history == 50
    assert terminal.forgotten in (57, None)


def test_the_other_screen_has_no_history_and_leaves_the_first_alone(terminal: Emulator) -> None:
    terminal.feed(b"one\r\ntwo\r\n\x1b[?1049h\x1b[H" + b"full\r\n" * 10)
    assert terminal.alternate
    assert terminal.history == 0
    terminal.feed(b"\x1b[?1049l")
    assert not terminal.alternate
    assert rows(terminal)[:2] == ["one", "two"]
    assert terminal.history == 0


def test_only_rows_that_changed_are_told(terminal: Emulator) -> None:
    mark = terminal.generation()
    assert list(terminal.changed(mark)) == []
    terminal.feed(b"\x1b[3;2Hx")
    assert list(terminal.changed(mark)) == [2]
    assert list(terminal.changed(terminal.generation())) == []
    terminal.feed(b"\x1b[4;1H\n")
    assert set(terminal.changed(mark)) == {0, 1, 2, 3}


def test_a_smaller_screen_keeps_the_line_of_the_prompt(terminal: Emulator) -> None:
    terminal.feed(b"one\r\ntwo\r\nthree\r\nprompt>")
    terminal.resize(20, 2)
    assert rows(terminal)[1] == "prompt>"
    assert terminal.cursor[:2] == (7, 1)
    assert "one" in terminal.texts()
    terminal.feed(b"x")
    assert rows(terminal)[1] == "prompt>x"


def test_long_lines_are_broken_anew(terminal: Emulator) -> None:
    terminal.feed(b"a" * 30 + b"\r\n> ")
    terminal.resize(40, 4)
    assert "a" * 30 in rows(terminal)


def test_questions_are_answered_once(terminal: Emulator) -> None:
    terminal.feed(b"\x1b[2;5H\x1b[6n")
    assert terminal.answers() == b"\x1b[2;5R"
    assert terminal.answers() == b""
    terminal.recolour(Colours(background=(0x12, 0x34, 0x56)))
    terminal.feed(b"\x1b]11;?\x07")
    assert b"rgb:1212/3434/5656" in terminal.answers()


def test_the_clipboard_is_not_told(terminal: Emulator) -> None:
    terminal.feed(b"\x1b]52;c;?\x07")
    assert terminal.answers() in (b"", b"\x1b]52;c;\x07")


def test_modes(terminal: Emulator) -> None:
    terminal.feed(
        b"\x1b]2;name\x07\x1b[?1h\x1b[?2004h\x1b[?1004h\x1b[?1003h\x1b[?1006h\x1b[?2026h\x1b[4 q\x1b[?25l\x07"
    )
    assert terminal.title == "name"
    assert (terminal.application_cursor, terminal.bracketed_paste, terminal.reports_focus) == (True, True, True)
    assert terminal.mouse == ("move", "sgr")
    assert terminal.held
    assert terminal.cursor[2:] == ("underline", False)
    assert (terminal.rang(), terminal.rang()) == (True, False)
    terminal.feed(b"\x1b[?2026l\x1b[?1003l\x1b[?25h\x1b[6 q")
    assert not terminal.held
    assert terminal.mouse[0] == "off"
    assert terminal.cursor[2:] == ("bar", True)


# As xterm sends them (ctlseqs, "PC-Style Function Keys"; terminfo's xterm-256color).
KEYS = {
    "a": b"a", "A": b"A", "space": b" ", "tilde": b"~", "enter": b"\r", "tab": b"\t", "escape": b"\x1b",
    "backspace": b"\x7f", "ctrl+backspace": b"\x08", "alt+backspace": b"\x1b\x7f", "shift+tab": b"\x1b[Z",
    "up": b"\x1b[A", "shift+up": b"\x1b[1;2A", "ctrl+right": b"\x1b[1;5C", "alt+left": b"\x1b[1;3D",
    "home": b"\x1b[H", "end": b"\x1b[F", "insert": b"\x1b[2~", "delete": b"\x1b[3~", "pageup": b"\x1b[5~",
    "ctrl+pagedown": b"\x1b[6;5~", "f1": b"\x1bOP", "f4": b"\x1bOS", "f5": b"\x1b[15~", "f12": b"\x1b[24~",
    "shift+f1": b"\x1b[1;2P", "ctrl+f5": b"\x1b[15;5~", "f13": b"\x1b[25~", "ctrl+a": b"\x01", "ctrl+c": b"\x03",
    "ctrl+z": b"\x1a", "ctrl+space": b"\x00", "ctrl+at": b"\x00", "ctrl+backslash": b"\x1c",
    "ctrl+right_square_bracket": b"\x1d", "ctrl+circumflex_accent": b"\x1e", "ctrl+underscore": b"\x1f",
    "ctrl+slash": b"\x1f", "alt+x": b"\x1bx", "alt+shift+x": b"\x1bX", "alt+full_stop": b"\x1b.",
    "ctrl+alt+x": b"\x1b\x18", "alt+enter": b"\x1b\r", "shift+enter": b"\r",
}  # fmt: skip
TYPED = {"a": "a", "A": "A", "space": " ", "tilde": "~", "alt+x": "x", "alt+shift+x": "X"}


@pytest.mark.parametrize("key", KEYS)
def test_keys_send_what_xterm_sends(terminal: Emulator, key: str) -> None:
    assert keys.encode(terminal, Key(key, TYPED.get(key))) == KEYS[key]


def test_application_cursor_keys(terminal: Emulator) -> None:
    terminal.feed(b"\x1b[?1h")
    sent = [keys.encode(terminal, Key(key, None)) for key in ("up", "home", "ctrl+up")]
    assert sent == [b"\x1bOA", b"\x1bOH", b"\x1b[1;5A"]


def test_text_of_other_languages_is_typed_as_it_is(terminal: Emulator) -> None:
    assert keys.encode(terminal, Key("ä", "ä")) == "ä".encode()
    assert keys.encode(terminal, Key("漢", "漢")) == "漢".encode()


def test_a_key_with_no_meaning_sends_nothing(terminal: Emulator) -> None:
    assert keys.encode(terminal, Key("ignore", None)) == b""


@pytest.mark.parametrize(
    ("modes", "kind", "button", "sent"),
    [
        (b"", "press", 0, b""),
        (b"\x1b[?1000h", "press", 0, b"\x1b[M #$"),
        (b"\x1b[?1000h", "release", 0, b"\x1b[M##$"),
        (b"\x1b[?1000h", "drag", 0, b""),
        (b"\x1b[?1002h\x1b[?1006h", "drag", 2, b"\x1b[<34;3;4M"),
        (b"\x1b[?1003h\x1b[?1006h", "move", 0, b"\x1b[<35;3;4M"),
        (b"\x1b[?1000h\x1b[?1006h", "release", 1, b"\x1b[<1;3;4m"),
        (b"\x1b[?1000h\x1b[?1006h", "press", 64, b"\x1b[<64;3;4M"),
        (b"\x1b[?1000h\x1b[?1015h", "press", 0, b"\x1b[32;3;4M"),
    ],
)
def test_the_mouse(terminal: Emulator, modes: bytes, kind: str, button: int, sent: bytes) -> None:
    terminal.feed(modes)
    assert keys.encode_mouse(terminal, kind, button, 2, 3, 0) == sent


def test_held_keys_are_told_with_the_mouse(terminal: Emulator) -> None:
    terminal.feed(b"\x1b[?1000h\x1b[?1006h")
    assert keys.encode_mouse(terminal, "press", 0, 0, 0, CTRL | SHIFT) == b"\x1b[<20;1;1M"


def test_without_an_emulator_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulators, "backends", lambda: ())
    with pytest.raises(HostError, match="no terminal emulator") as caught:
        make(80, 24)
    assert "thanos-tui console" in str(caught.value)
