"""The program on terminals of all kinds, byte by byte: what it draws, how it begins and how it ends."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from thanos_tui.tui.first import ALTERNATE

MENU = b"Search"  # among the keys at the bottom: the app is there, not only its first frame
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
BACK = b"\x1b[?1049l"


def _tour(terminal) -> bytes:  # type: ignore[no-untyped-def]
    """What is written while help, palette and a dialog are looked at."""
    terminal.until(MENU)
    for keys in (b"?", b"\x1b", b"\x10", b"\x1b", b"jjj", b"o"):
        terminal.press(keys)
        terminal.settle()
    terminal.signal(signal.SIGTERM)
    assert terminal.ended() == 130
    return bytes(terminal.seen)


@pytest.mark.parametrize(
    "variables",
    [{"TERM": "vt100", "LANG": "C"}, {"TERM": "vt220"}, {"TERM": "linux", "LANG": "C.UTF-8"}, {"LANG": "C"}],
    ids=["vt100", "vt220", "linux", "C locale"],
)
def test_old_terminals_and_locales_get_ascii(start, variables: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    seen = _tour(start(**variables))
    assert seen.isascii()
    if "TERM" in variables:
        # Nothing that a terminal of that age would print: modes with "$", ">" or "<", strings, the mouse.
        assert not re.search(rb"\x1b\[[?<>][0-9;]*[$<>u]|\x1b\]|\x1b\[\?100[0-36]h", seen)
    if variables.get("TERM", "").startswith("vt"):
        assert not COLOUR.search(seen)
        assert b"\x1b[7m" in seen or b";7m" in seen  # the cursor is to be seen all the same


def test_no_color_is_honoured(start) -> None:  # type: ignore[no-untyped-def]
    seen = _tour(start(NO_COLOR="1", COLORTERM="truecolor"))
    assert not COLOUR.search(seen)
    assert re.search(rb"\x1b\[(?:[0-9;]*;)?7m", seen)
    assert not seen.isascii()


def test_a_terminal_of_today_gets_colours_and_symbols(start) -> None:  # type: ignore[no-untyped-def]
    seen = _tour(start(COLORTERM="truecolor"))
    assert b"38;2;" in seen
    assert not seen.isascii()
    assert seen.rstrip().endswith(b"l")
    assert BACK in seen


def test_a_frame_is_there_before_everything_else(start) -> None:  # type: ignore[no-untyped-def]
    terminal = start(COLORTERM="truecolor")
    terminal.until(MENU)
    seen = terminal.seen
    assert seen.startswith(ALTERNATE.encode())
    assert b" 1 Configure " in seen[:400]
    # Asked for again, the alternate screen would be cleared: the frame would flicker.
    assert seen.count(ALTERNATE.encode()) == 1


def test_the_frame_has_the_colours_of_the_theme_used_last(start, home: Path) -> None:  # type: ignore[no-untyped-def]
    (home / ".config" / "thanos-tui").mkdir(parents=True)
    (home / ".config" / "thanos-tui" / "settings.yaml").write_text("theme: thanos-light\n")
    for _ in range(2):
        terminal = start(COLORTERM="truecolor")
        terminal.until(MENU)
        terminal.settle()
        terminal.signal(signal.SIGTERM)
        terminal.ended()
    assert b"48;2;226;220;238m" in terminal.seen[:400]  # the bars of the light theme


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_with_the_screen_restored(start, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    terminal = start()
    terminal.until(MENU)
    terminal.signal(number)
    assert terminal.ended() == 130
    assert BACK in terminal.seen
    assert b"Traceback" not in terminal.seen


def test_a_signal_while_it_is_loaded_restores_the_screen(start) -> None:  # type: ignore[no-untyped-def]
    terminal = start()
    terminal.until(b" 5 Console ")
    terminal.signal(signal.SIGTERM)
    terminal.ended()
    assert BACK in terminal.seen


def test_a_closed_terminal_ends_it(start) -> None:  # type: ignore[no-untyped-def]
    terminal = start()
    terminal.until(MENU)
    terminal.settle()
    terminal.hang_up()
    assert terminal.ended() == 130


@pytest.mark.parametrize(
    ("variables", "size", "words"),
    [
        ({"TERM": "dumb"}, (80, 24), "TERM is 'dumb'"),
        ({"TERM": ""}, (80, 24), "TERM is not set"),
        ({}, (0, 0), "stty rows 24 columns 80"),
    ],
)
def test_a_terminal_that_cannot_do_it(start, variables, size, words: str) -> None:  # type: ignore[no-untyped-def]
    terminal = start(size=size, **variables)
    assert terminal.ended() == 2
    said = terminal.seen.decode()
    assert words in said
    assert "--replay" in said
    assert "\x1b" not in said


def test_a_profile_that_cannot_be_used_is_told_on_the_ordinary_screen(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "work" / "bad.thanos").write_text("thanos: 1\noptions:\n  hostnam: box\n")
    terminal = start("bad.thanos")
    assert terminal.ended() == 2
    assert b"bad.thanos:3:3: there is no option 'hostnam'" in terminal.seen.rpartition(BACK)[2]


def test_a_defect_leaves_a_sentence_and_a_log(start, home: Path) -> None:  # type: ignore[no-untyped-def]
    code = """
import sys
from thanos_tui.tui.app import ThanosApp
async def show(self, pane): raise ZeroDivisionError("seven")
ThanosApp.show = show
from thanos_tui.cli import main
sys.exit(main([]))
"""
    terminal = start(code=code)
    assert terminal.ended() == 70
    said = terminal.seen.rpartition(BACK)[2].decode()
    assert "the app failed (ZeroDivisionError: seven); please report what" in said
    assert "Traceback" not in said
    assert "ZeroDivisionError: seven" in (home / ".local/state/thanos-tui/app.log").read_text()


@pytest.mark.parametrize("size", [(60, 15), (40, 10), (20, 5), (5, 2), (1, 1), (300, 100)])
def test_terminals_of_any_size(start, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    terminal = start(size=size)
    terminal.until(b"\x1b[?2004h")
    terminal.settle()
    for keys in (b"j", b"?", b"\x1b", b"2", b"3", b"\x10", b"\x1b"):
        terminal.press(keys)
        terminal.settle()
    terminal.signal(signal.SIGTERM)
    assert terminal.ended() == 130, terminal.seen[-2000:]
