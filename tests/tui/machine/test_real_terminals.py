"""The view of a machine's screen in xterm and kitty on a display of their own: what is really seen."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from displays import RGB, Display, Picture

# Bars of eight colours; below them lines of black and white, finer than a half block. A file "next" exchanges the bars,
# "dialog", "notice" and "suspend" are what they say, as long as they are there.
PROGRAM = """
import sys, time
from pathlib import Path
from textual.app import App
from textual.screen import ModalScreen
from textual.widgets import Static
from thanos_tui import vm
from thanos_tui.tui import graphics
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.machine import screen
from watching import Stub

here = Path(sys.argv[1])
BARS = [bytes(255 * (number >> bit & 1) for bit in range(3)) for number in (7, 3, 6, 2, 5, 1, 4, 0)]

def picture(_):
    bars = BARS[::-1] if (here / "next").exists() else BARS
    lines = [bytes(640 * 3) if y % 8 < 4 else b"\\xff" * 640 * 3 for y in range(120)]
    return vm.Picture(640, 480, b"".join([b"".join(bar * 80 for bar in bars)] * 360 + lines))

vm.picture = picture
screen.font_of = lambda _: None

class Modal(ModalScreen):
    CSS = "Modal { align: center middle; } #box { width: 30; height: 5; background: #ffff00; }"
    def compose(self):
        yield Static(id="box")

class Show(App):
    CSS = "Screen { overflow: hidden; } ScreenView { height: 1fr; } Static { height: 1; background: #00ffff; }"
    def compose(self):
        yield Static("top")
        yield screen.ScreenView()
        yield Static("bottom")
    def on_mount(self):
        self.query_one(screen.ScreenView).watch_machine(Stub())
        self.set_interval(0.1, self.obey)
    def obey(self):
        if (here / "dialog").exists() != (len(self.screen_stack) > 1):
            self.push_screen(Modal()) if (here / "dialog").exists() else self.pop_screen()
        if (here / "notice").exists() != bool(len(self._notifications)):
            self.notify("a notice", timeout=600) if (here / "notice").exists() else self.clear_notifications()
        if (here / "suspend").exists():
            with self.suspend():
                while (here / "suspend").exists():
                    time.sleep(0.1)
        (here / "kind").write_text(graphics.graphics())

Show(driver_class=ThanosDriver).run()
"""
BARS: list[RGB] = [(red, green, blue) for green in (255, 0) for red in (255, 0) for blue in (255, 0)]
BAND, BOX = (0, 255, 255), (255, 255, 0)  # the rows above and below, and the dialog; of the sixteen colours of a VT340


class Window:
    """A terminal that shows it. left, top, right, bottom: where the picture is on the display."""

    def __init__(self, directory: Path, display: Display, kind: str) -> None:
        self._directory, self._display = directory, display
        program = directory / "program.py"
        program.write_text(PROGRAM)
        support = str(Path(__file__).parents[2] / "support")
        self._environment = {"PYTHONPATH": f"{support}:{Path(__file__).parents[3]}", "COLORTERM": "truecolor"}
        self.command = [sys.executable, str(program), str(directory)]
        self.kind = kind

    def open(self, argv: list[str]) -> None:
        """Start the terminal and wait until it shows the picture; skips where it cannot be started."""
        terminal = self._display.start([*argv, *self.command], self._environment)

        def shown(picture: Picture) -> bool:
            if terminal.poll() is not None:
                pytest.skip(f"{argv[0]} does not start here: {self._display.said(Path(argv[0]).name)[-200:]}")
            return self._find(picture) and self.bars(picture) == BARS

        self.show(shown)
        told = self._directory / "kind"
        self.show(lambda _: told.exists() and told.read_text() == self.kind)  # it is being written again and again

    def _find(self, picture: Picture) -> bool:
        """The bands of one colour above and below tell where the terminal is."""
        rows = [y for y in range(picture.height) if close(picture.at(100, y), BAND) and close(picture.at(550, y), BAND)]
        if not rows:
            return False
        columns = [x for x in range(picture.width) if close(picture.at(x, rows[0]), BAND)]
        inner = [y for y in range(rows[0], rows[-1]) if y not in rows]
        if not inner:
            return False
        self.top, self.bottom = inner[0], inner[-1]
        middle = [x for x in range(columns[0], columns[-1]) if max(picture.at(x, self.top + 20)) > 60]
        # The last of the bars is black.
        self.left = middle[0] if middle else 0
        self.right = self.left + (middle[-1] - self.left) * 8 // 7 if middle else 1
        return True

    def show(self, condition: Callable[[Picture], object]) -> Picture:
        return self._display.until(condition)

    def bars(self, picture: Picture, row: float = 0.2) -> list[RGB]:
        """The colours in the middle of each bar, at a fraction of the height."""
        across, y = (self.right - self.left) / 8, int(self.top + (self.bottom - self.top) * row)
        found = [picture.at(int(self.left + (number + 0.5) * across), y) for number in range(8)]
        return [next((bar for bar in BARS if close(bar, colour)), colour) for colour in found]

    def contrast(self, picture: Picture) -> int:
        """How much brighter the white lines are than the black ones, at most 255."""
        x, height = (self.left + self.right) // 2, self.bottom - self.top
        levels = [picture.at(x, y)[1] for y in range(int(self.top + height * 0.8), int(self.top + height * 0.95))]
        return max(levels) - min(levels)

    def tell(self, what: str) -> None:
        (self._directory / what).touch()

    def untell(self, what: str) -> None:
        (self._directory / what).unlink()


def close(one: RGB, other: RGB) -> bool:
    return all(abs(first - second) <= 6 for first, second in zip(one, other, strict=True))


@pytest.fixture
def display(tmp_path: Path) -> Iterator[Display]:
    (tmp_path / "display").mkdir()
    shown = Display(tmp_path / "display")
    yield shown
    shown.end()


def tour(window: Window) -> None:
    """All that may come over a picture, and go again. The picture is whole whenever nothing does."""

    def whole(picture: Picture) -> bool:
        return (
            all(window.bars(picture, row) == BARS for row in (0.05, 0.3, 0.5, 0.7)) and window.contrast(picture) > 150
        )

    window.show(whole)
    middle = (window.left + window.right) // 2, (window.top + window.bottom) // 2
    window.tell("dialog")
    window.show(lambda picture: close(picture.at(*middle), BOX) and BARS[0] not in window.bars(picture))
    window.untell("dialog")
    window.show(whole)

    window.tell("notice")
    x, y = window.right - 20, window.bottom - 10
    window.show(lambda picture: len({picture.at(x, y - above) for above in range(20)}) == 1)  # the lines are covered
    window.untell("notice")
    window.show(whole)

    window.tell("next")
    window.show(lambda picture: window.bars(picture, 0.7) == BARS[::-1])
    window.untell("next")
    window.show(whole)

    window.tell("suspend")
    window.show(lambda picture: len(set(window.bars(picture))) == 1 and not window.contrast(picture))
    window.untell("suspend")
    window.show(whole)


def test_xterm_shows_it_in_sixels(tmp_path: Path, display: Display) -> None:
    if shutil.which("xterm") is None:
        pytest.skip("xterm is not installed")
    window = Window(tmp_path, display, "sixel")
    window.open(["xterm", "-ti", "vt340", "-geometry", "100x36+0+0", "-fn", "fixed", "-e"])
    tour(window)


def test_kitty_shows_it_by_its_own_protocol(tmp_path: Path, display: Display) -> None:
    if shutil.which("kitty") is None:
        pytest.skip("kitty is not installed")
    said = subprocess.run(["kitty", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < (0, 28):
        pytest.skip(f"kitty 0.28 knows placeholders; this is {said.strip()}")
    window = Window(tmp_path, display, "kitty")
    options = ["initial_window_width=100c", "initial_window_height=36c", "font_size=9", "remember_window_size=no"]
    window.open(["kitty", "--config", "NONE", *[word for option in options for word in ("-o", option)]])
    tour(window)
