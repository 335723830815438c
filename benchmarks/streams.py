"""What programs write to terminals, captured from real ones or made at random, and what tmux makes of it."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import Program
from screen import DOWN, Screen

COLUMNS, ROWS = 80, 24


@dataclass(frozen=True)
class Stream:
    """Bytes for a terminal, and the moments (numbers of bytes) at which a screen is to be looked at."""

    name: str
    data: bytes
    moments: tuple[int, ...]


def listing(size: int) -> bytes:
    """A coloured listing of /usr as a terminal gets it, of about so many bytes."""
    process = subprocess.Popen(
        ["ls", "-lR", "--color=always", "/usr"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"TERM": "xterm"},
    )
    assert process.stdout is not None
    data = process.stdout.read(size)
    process.kill()
    process.communicate()
    data = (data * (size // max(1, len(data)) + 1))[:size]
    return data.replace(b"\n", b"\r\n")


def captured(programs: Sequence[Program], home: Path) -> list[Stream]:
    """Sessions with real programs: the peers, which draw with curses and with Textual, a pager, and a listing."""
    found = []
    for program in programs:
        keys = (DOWN, DOWN, b"\r", b"?", b"q", b"/", b"q", b"u")
        found.append(_session(program.name, program.argv, program, keys, home))
    services = "/etc/services" if Path("/etc/services").exists() else "/etc/passwd"
    for name, argv, keys in (
        ("less", ("less", services), (b" ", b"j", b"j", b"k", b"/tcp\r", b"n", b"G", b"g")),
        ("top", ("top",), (b"c", b"M", b"1")),
        ("vi", ("vi", services), (b"G", b"gg", b"dd", b"p", b"O", b"text", b"\x1b", b"\x06")),
        ("ls", ("ls", "-C", "--color=always", "/usr/bin"), ()),
    ):
        if shutil.which(argv[0]):
            found.append(_session(name, argv, None, keys, home))
    return found


def _session(name: str, argv: Sequence[str], program: Program | None, keys: Sequence[bytes], home: Path) -> Stream:
    environment = dict(program.environment) if program else {"LESSHISTFILE": "-"}
    data, moments = b"", []
    with Screen(argv, environment, str(home), COLUMNS, ROWS) as screen:
        if program:
            screen.wait_for(program.shown)
        screen.settle(0.4, 5)
        for key in (*keys, b""):
            data += screen.said()
            moments.append(len(data))
            screen.press(key)
            screen.settle(0.4, 2)
    return Stream(name, data, tuple(moments))


def mixed(screens: int = 12, seed: int = 7) -> Stream:
    """A harsh mix at random: cursor moves, regions, insertion and deletion, colours, wide characters, both screens."""
    draw = random.Random(seed)  # noqa: S311 - the same every time
    text = "thanos 界面 terminal é ü ñ 日本 box ─│┌ ok"
    actions = (
        lambda: f"\x1b[{draw.randint(1, ROWS)};{draw.randint(1, COLUMNS)}H",
        lambda: f"\x1b[{draw.randint(1, 8)};{draw.randint(12, ROWS)}r",
        lambda: f"\x1b[{draw.randint(1, 5)}{draw.choice('@PLMXABCDST')}",
        lambda: f"\x1b[{draw.randint(0, 2)}{draw.choice('JK')}",
        lambda: f"\x1b[38;2;{draw.randint(0, 255)};{draw.randint(0, 255)};90m",
        lambda: f"\x1b[{draw.choice((0, 1, 4, 7, 31, 42, 93, 104))}m",
        lambda: draw.choice(("\x1bD", "\x1bM", "\x1bE", "\x1b7", "\x1b8", "\r\n", "\t", "\b", "\x1b[?7l", "\x1b[?7h")),
        lambda: draw.choice(("\x1b[?6h", "\x1b[?6l", "\x1b[4h", "\x1b[4l", "\x1b[r", "\x1b]0;title\x07")),
        lambda: draw.choice(("\x1b[?1049h", "\x1b[?1049l")) if draw.random() < 0.1 else "",
        *(lambda: text[(at := draw.randrange(len(text))) : at + draw.randint(1, 30)] for _ in range(6)),
    )
    data, moments = b"", []
    for _ in range(screens):
        data += "".join(draw.choice(actions)() for _ in range(400)).encode()
        moments.append(len(data))
    return Stream("random mix", data, tuple(moments))


def by_tmux(stream: Stream) -> list[list[str]]:
    """The screens that tmux shows at the moments of a stream."""
    shown = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        for number, moment in enumerate(stream.moments):
            # A server that was told to end takes a moment, and its socket's name is free only then.
            tmux = ["tmux", "-S", str(place / f"socket{number}"), "-f", "/dev/null"]
            (place / "data").write_bytes(stream.data[:moment])
            (place / "done").unlink(missing_ok=True)
            script = f"stty raw -echo; cat {place}/data; touch {place}/done; exec sleep 1000"
            size = ["-x", str(COLUMNS), "-y", str(ROWS)]
            words = ["set-option", "-g", "status", "off", ";", "new-session", "-d", *size, "sh", "-c", script]
            subprocess.run([*tmux, "start-server", ";", *words], check=True, capture_output=True)
            while not (place / "done").exists():
                time.sleep(0.02)
            before = None
            while before != (now := _capture(tmux)):
                before = now
                time.sleep(0.1)
            shown.append(now)
            subprocess.run([*tmux, "kill-server"], check=True, capture_output=True)
    return shown


def _capture(tmux: Sequence[str]) -> list[str]:
    done = subprocess.run([*tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True)
    return [line.rstrip() for line in done.stdout.split("\n")[:ROWS]]
