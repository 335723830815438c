"""What really comes out at a terminal: the view in an app of its own on a pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kitty import COMMAND, Screen

from thanos_tui.tui.machine.kitty import MARKS

# Shows a picture, the next one for each key "n"; "f" one after the other; "d" covers a part, "s" suspends the app.
PROGRAM = """
import random
from dataclasses import dataclass
from pathlib import Path
from textual.app import App
from textual.widgets import Static
from thanos_tui import vm
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.machine import screen

@dataclass
class Stub:
    directory: Path = Path("box")
    pid: int = 1
    alive: bool = True

seed = 0
step = 0

def picture(_):
    global seed
    seed += step
    return vm.Picture(160, 80, random.Random(seed).randbytes(160 * 80 * 3))

vm.picture = picture
screen.font_of = lambda _: None

class Watching(App):
    CSS = "Screen { layers: low high; } #over { layer: high; offset: 37 4; width: 20; height: 3; display: none; }"
    def compose(self):
        yield screen.ScreenView()
        yield Static("covered", id="over")
    def on_mount(self):
        self.query_one(screen.ScreenView).watch_machine(Stub())
    def key_n(self):
        global seed
        seed += 1
    def key_f(self):
        global step
        step = 1
    def key_d(self):
        self.query_one("#over").display = True
    def key_s(self):
        with self.suspend():
            print("suspended", flush=True)
    def key_q(self):
        self.exit()

Watching(driver_class=ThanosDriver).run()
"""


class Kitty:
    """A pseudo terminal of 80 by 24 cells of 10 by 20 pixels; it keeps what is written to it."""

    def __init__(self, directory: Path, name: str = "kitty(0.41.1)", **environment: str) -> None:
        self.pid, self._end = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
            kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
            known = {**kept, "TERM": "xterm-kitty", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **environment}
            os.chdir(directory)
            os.execve(sys.executable, [sys.executable, "-c", PROGRAM], known)
        self._bytes = b""
        self._answers = {
            b"\x1b[?2026$p": "\x1b[?2026;2$y",  # frames can be marked: so they are
            b"\x1b[c": f"\x1bP>|{name}\x1b\\\x1b[6;20;10t\x1b[?62;c",
        }

    @property
    def text(self) -> str:
        """What came so far."""
        return self._bytes.decode(errors="ignore")

    def until(self, condition: Callable[[str], object], limit: float = 30) -> str:
        """Read until what came is so; returns it."""
        deadline = time.monotonic() + limit
        while not condition(self.text):
            assert time.monotonic() < deadline, f"it did not come: {self.text[-2000:]!r}"
            if select.select([self._end], [], [], 0.1)[0]:
                try:
                    self._bytes += os.read(self._end, 1 << 16)
                except OSError:  # the program has ended
                    assert condition(self.text), self.text[-2000:]
            for question in [question for question in self._answers if question in self._bytes]:
                self.type(self._answers.pop(question))
        return self.text

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._end)


def sent(text: str) -> Screen:
    screen = Screen()
    screen.feed(text[: text.rfind("\x1b\\") + 2])  # the last command may still be coming
    return screen


def cells(text: str) -> list[tuple[int, int, int]]:
    """The number, row and column that each placeholder names, in the order they were written."""
    found = []
    for style, run in re.findall(r"\x1b\[([0-9;]*)m((?:\U0010eeee[^\x1b\U0010eeee]*)+)(?=\x1b)", text):
        colour = re.search(r"38;2;(\d+);(\d+);(\d+)", style)
        assert colour, style
        red, green, blue = map(int, colour.groups())
        for marks in run.split("\U0010eeee")[1:]:
            assert len(marks) == 2, f"not a row and a column: {marks!r}"
            found.append((red << 16 | green << 8 | blue, MARKS.index(marks[0]), MARKS.index(marks[1])))
    return found


def test_pictures_come_between_frames_and_go_before_the_terminal_is_given_back(tmp_path: Path) -> None:
    terminal = Kitty(tmp_path)
    try:
        text = terminal.until(lambda text: len(cells(text)) >= 80 * 20)
        screen = sent(text)
        (number,) = screen.pictures
        assert screen.pictures[number][2:] == (80, 20)  # cells are twice as high as wide
        assert {(row, column) for _, row, column in cells(text)} == {(y, x) for y in range(20) for x in range(80)}
        assert {each for each, _, _ in cells(text)} == {number}

        # What covers a part leaves the other cells as they are.
        before = len(text)
        terminal.type("d")
        text = terminal.until(lambda text: "covered" in text[before:])
        cut = cells(text[before:])
        assert all(each == number for each, _, _ in cut)
        assert sent(text).sent == 1

        terminal.type("n")
        text = terminal.until(lambda text: sent(text).sent == 2)
        other = next(each for each in sent(text).pictures if each != number)
        text = terminal.until(lambda text: any(each == other for each, _, _ in cells(text)))
        row = [(y, x) for each, y, x in cells(text) if each == other and y == 4]
        assert row == [(4, x) for x in range(80) if not 37 <= x < 57][: len(row)]

        # No command is inside of a frame.
        for frame in re.findall(r"\x1b\[\?2026h(.*?)\x1b\[\?2026l", text, re.DOTALL):
            assert not COMMAND.search(frame)
        assert "\x1b[?2026h" in text

        before = len(text)
        terminal.type("s")
        text = terminal.until(lambda text: "suspended" in text)
        assert not sent(text[: text.index("suspended")]).pictures
        terminal.until(lambda text: sent(text[text.index("suspended") :]).sent == 1)
        terminal.type("q")
        text = terminal.until(lambda text: text.count("\x1b[?1049l") == 2)
        assert not sent(text[: text.rindex("\x1b[?1049l")]).pictures
    finally:
        terminal.end()


@pytest.mark.long  # counts pictures in seconds, which another test's machine stretches
def test_a_slow_terminal_is_not_sent_more_than_it_takes(tmp_path: Path) -> None:
    terminal = Kitty(tmp_path)
    try:
        terminal.until(lambda text: len(cells(text)) >= 80 * 20)
        terminal.type("f")
        time.sleep(4)  # enough for some twenty pictures; the terminal takes none of it
        terminal.type("q")
        text = terminal.until(lambda text: "\x1b[?1049l" in text)
        assert 2 <= sent(text).sent <= 5
        assert not sent(text).pictures
    finally:
        terminal.end()


def test_without_colours_and_elsewhere_nothing_is_sent(tmp_path: Path) -> None:
    plain: tuple[tuple[str, dict[str, str]], ...] = (
        ("kitty(0.41.1)", {"NO_COLOR": "1"}),
        ("kitty(0.41.1)", {"THANOS_TUI_ASCII": "1"}),
        ("kitty(0.26.5)", {}),
        ("tmux 3.5a", {"TMUX": "x"}),
    )
    for name, environment in plain:
        terminal = Kitty(tmp_path, name, **environment)
        try:
            terminal.until(lambda text: re.search(r"▀|[.:=+*#%@-]{10}|(m [^ ]{0,70}){40}", text))
            terminal.type("q")
            text = terminal.until(lambda text: "\x1b[?1049l" in text)
            assert "\x1b_G" not in text
            assert ("\x1b[c" in text) == (not environment or "TMUX" in environment)
            assert "\U0010eeee" not in text
        finally:
            terminal.end()


def test_an_emulator_that_knows_the_protocol_has_the_same_pixels_and_cells(tmp_path: Path) -> None:
    emulators = pytest.importorskip("par_term_emu_core_rust")  # not to be had for every Python
    terminal = Kitty(tmp_path)
    try:
        text = terminal.until(lambda text: len(cells(text)) >= 80 * 20 and text.endswith("\x1b[?2026l"))
    finally:
        terminal.end()
    ((number, (pixels, width, _, _)),) = sent(text).pictures.items()
    emulator = emulators.Terminal(80, 24)
    emulator.process_str(text)
    assert emulator.graphics_count() == 0  # nothing is drawn at the cursor
    for y in range(20):
        row = emulator.get_line_cells(2 + y)
        # In the last column it puts the marks on the cell before, whatever the text; kitty does not.
        assert [cell[0] for cell in row[:78]] == [f"\U0010eeee{MARKS[y]}{MARKS[x]}" for x in range(78)]
        assert {cell[1] for cell in row} == {(number >> 16, number >> 8 & 255, number & 255)}
    # It does not draw by placeholders, but it has the picture, and draws it when told to.
    emulator.process_str(f"\x1b[1;1H\x1b_Ga=p,i={number},q=2\x1b\\")
    (graphic,) = emulator.graphics()
    assert (graphic.width, graphic.height) == (width, 80)
    drawn = b"".join(bytes(graphic.get_pixel(x, y)[:3]) for y in range(80) for x in range(160))
    assert drawn == pixels
