"""How faithful an emulator is: real programs' output is shown by it and by tmux, and the cells are compared.

`tests/tui/terminal/streams/` holds recordings (asciicast, gzip) of real programs on a terminal of 80 columns and 24
rows, and what tmux 3.3a showed after each (`capture-pane -p -e`). ``compare()`` feeds one to an emulator; ``speed()``
measures megabytes per second. As a program: ``python fidelity.py`` prints both for every emulator that is installed,
``record NAME KEYS COMMAND…`` makes a recording, ``expect`` asks the installed tmux anew.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from thanos_tui.tui.terminal.emulator import PLAIN, REVERSE, STRIKE, UNDERLINE, Emulator, Pen, Row, backends, make
from thanos_tui.tui.terminal.text import columns

STREAMS = Path(__file__).parent.parent / "tui" / "terminal" / "streams"
COLUMNS, ROWS = 80, 24


@dataclass(frozen=True)
class Score:
    """Rows and cells of a screen that are as tmux shows them. ``drawn``: cells with their colours and attributes."""

    name: str
    rows: int
    characters: int
    drawn: int

    @property
    def text(self) -> str:
        cells = COLUMNS * ROWS
        return (
            f"{self.name:12} rows {self.rows:2}/{ROWS}  characters {self.characters / cells:7.2%}  "
            f"with colours {self.drawn / cells:7.2%}"
        )


def names() -> list[str]:
    return sorted(path.name.removesuffix(".cast.gz") for path in STREAMS.glob("*.cast.gz"))


def output(name: str) -> bytes:
    """All that a recorded program wrote."""
    with gzip.open(STREAMS / f"{name}.cast.gz", "rt", encoding="utf-8") as stream:
        next(stream)
        return "".join(event[2] for event in map(json.loads, stream) if event[1] == "o").encode()


def expected(name: str) -> list[str]:
    """The rows as tmux shows them, with escape sequences for colours and attributes."""
    return gzip.decompress((STREAMS / f"{name}.tmux.gz").read_bytes()).decode().split("\n")[:ROWS]


def compare(name: str, backend: str, slice_size: int = 4096) -> Score:
    """How much of a recording's last screen an emulator shows as tmux does."""
    emulator = make(COLUMNS, ROWS, backend=backend)
    data = output(name)
    for start in range(0, len(data), slice_size):
        emulator.feed(data[start : start + slice_size])
    rows = characters = drawn = 0
    pen = PLAIN  # tmux lets one row's last pen draw on in the next
    for number, reference in enumerate(expected(name)):
        wanted, pen = _reference(reference, pen)
        shown = cells(emulator.row(number))
        same = sum(one[0] == other[0] for one, other in zip(shown, wanted, strict=True))
        rows += same == COLUMNS
        characters += same
        # Blanks at the end of a row tmux does not tell, even if they have a background.
        told = COLUMNS - sum(1 for _ in takewhile(lambda cell: cell == (" ", PLAIN), reversed(wanted)))
        drawn += sum(_seen(*one) == _seen(*other) for one, other in zip(shown[:told], wanted[:told], strict=True))
        drawn += sum(one[0] == " " for one in shown[told:])
    return Score(name, rows, characters, drawn)


def _seen(text: str, pen: Pen) -> tuple[str, Pen]:
    """A cell as it looks: nobody sees the foreground of a blank one."""
    if text == " " and not pen.attributes & (REVERSE | UNDERLINE | STRIKE):
        return text, Pen(background=pen.background)
    return text, pen


def cells(row: Row) -> list[tuple[str, Pen]]:
    """A row cell by cell; the second cell of a wide character is empty."""
    found: list[tuple[str, Pen]] = []
    for text, pen in row:
        place = 0
        width = len(text) if text.isascii() else _width(text)
        while place < width:
            found.append((columns(text, place, place + 1), pen))
            place += 1
    return (found + [(" ", PLAIN)] * COLUMNS)[:COLUMNS]


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


# Reading tmux's own few sequences needs no terminal: this keeps the reference apart from what is measured.
_SGR = re.compile(r"\x1b\[([0-9;:]*)m|\x1b[()][0AB]|\x0e|\x0f|\x1b\]8;[^\x1b]*\x1b\\")
_ATTRIBUTES = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 7: 5, 8: 6, 9: 7}
_OFF = {22: (0, 1), 23: (2,), 24: (3,), 25: (4,), 27: (5,), 28: (6,), 29: (7,)}


def _reference(line: str, pen: Pen) -> tuple[list[tuple[str, Pen]], Pen]:
    runs: list[tuple[str, Pen]] = []
    place, graphics = 0, False
    for found in [*_SGR.finditer(line), None]:
        end = found.start() if found else len(line)
        text = line[place:end]
        if text:
            runs.append((text.translate(_GRAPHICS) if graphics else text, pen))
        if found is None:
            break
        place = found.end()
        if found[0] in ("\x0e", "\x1b(0"):
            graphics = True
        elif found[0] in ("\x0f", "\x1b(B"):
            graphics = False
        elif found[1] is not None:
            pen = _sgr(pen, [int(part or 0) for part in re.split("[;:]", found[1])])
    return cells(tuple(runs)), pen


_GRAPHICS = str.maketrans("lqkxmjtuvwn~a", "┌─┐│└┘├┤┴┬┼·▒")


def _sgr(pen: Pen, codes: Sequence[int]) -> Pen:
    fore, back, bits = pen
    remaining = iter(codes)
    for code in remaining:
        if code == 0:
            fore, back, bits = PLAIN
        elif code in _ATTRIBUTES:
            bits |= 1 << _ATTRIBUTES[code]
        elif code in _OFF:
            for bit in _OFF[code]:
                bits &= ~(1 << bit)
        elif code in (38, 48):
            if next(remaining) == 5:
                colour = next(remaining)
            else:
                colour = (1 << 24) + (next(remaining) << 16) + (next(remaining) << 8) + next(remaining)
            fore, back = (colour, back) if code == 38 else (fore, colour)
        elif code in (39, 49):
            fore, back = (-1, back) if code == 39 else (fore, -1)
        else:
            for base, first, ground in ((30, 0, 0), (40, 0, 1), (90, 8, 0), (100, 8, 1)):
                if base <= code < base + 8:
                    colour = code - base + first
                    fore, back = (colour, back) if ground == 0 else (fore, colour)
    return Pen(fore, back, bits)


def speed(name: str, backend: str, megabytes: float = 2.0, slice_size: int = 8192) -> float:
    """Megabytes per second at which an emulator takes a recording, over and over, in the widget's slices."""
    data = output(name)
    data *= max(1, int(megabytes * 1e6 / len(data)))
    emulator = make(COLUMNS, ROWS, backend=backend)
    started = time.perf_counter()
    _feed(emulator, data, slice_size)
    return len(data) / 1e6 / (time.perf_counter() - started)


def _feed(emulator: Emulator, data: bytes, slice_size: int) -> None:
    for start in range(0, len(data), slice_size):
        emulator.feed(data[start : start + slice_size])


# Making recordings and references


def record(name: str, keys: str, argv: Sequence[str]) -> None:
    """Run a program on a terminal, type ``keys`` (escapes as in Python, half a second before each ``|``), keep what it
    wrote until then. It is killed in the middle of what it shows, so that there is a screen to compare."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS), LC_ALL="C.UTF-8")
        time.sleep(0.2)  # until the size is set
        os.execvp(argv[0], list(argv))
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    started = time.monotonic()
    events: list[list[object]] = []

    def take(seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            readable, _, _ = select.select([master], [], [], left)
            try:
                data = os.read(master, 65536) if readable else b""
            except OSError:
                return
            if data:
                events.append([round(time.monotonic() - started, 3), "o", data.decode("utf-8", "replace")])

    take(1.5)
    for piece in keys.split("|"):
        os.write(master, piece.encode().decode("unicode_escape").encode("latin-1"))
        take(0.6)
    os.kill(pid, 9)
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": " ".join(map(os.path.basename, argv[:1]))}
    lines = "\n".join(json.dumps(each) for each in [header, *events]) + "\n"
    (STREAMS / f"{name}.cast.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


def expect(name: str) -> None:
    """Have tmux show a recording, and keep what it shows."""
    with tempfile.TemporaryDirectory() as directory:
        stream, done, socket = Path(directory, "stream"), Path(directory, "done"), Path(directory, "socket")
        stream.write_bytes(output(name))
        tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        shown = f"stty raw -echo; cat {stream}; touch {done}; sleep 60"
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        options = ["set", "-g", "status", "off", ";", "set", "-g", "default-terminal", "xterm-256color", ";"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run([*tmux, *options, "new-session", "-d", *size, shown], check=True, env=environment)
        try:
            while not done.exists():
                time.sleep(0.1)
            time.sleep(0.5)
            capture = [*tmux, "capture-pane", "-p", "-e", "-N"]
            rows = subprocess.run(capture, check=True, capture_output=True, env=environment).stdout
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
    (STREAMS / f"{name}.tmux.gz").write_bytes(gzip.compress(rows, mtime=0))


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["record"]:
        record(arguments[1], arguments[2], arguments[3:])
        expect(arguments[1])
    elif arguments[:1] == ["expect"]:
        for name in names():
            expect(name)
    else:
        for backend in backends():
            print(backend)
            for name in names():
                print(f"  {compare(name, backend).text}  {speed(name, backend):6.1f} MB/s")


if __name__ == "__main__":
    main(sys.argv[1:])
