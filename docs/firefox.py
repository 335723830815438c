"""Boots profiles/firefox-kiosk.thanos, has Firefox load a page of this host's, and checks what is seen and heard.

    make demo-firefox                  (or: .venv/bin/python docs/firefox.py [--output DIR])

The page (docs/firefox.html) paints known colours and plays 440 Hz by WebAudio. Kept for the README are the screen,
docs/screens/firefox.png, and a plot of what was recorded, docs/screens/firefox-tone.svg; the time from power-on to the
page is printed. Under software emulation it takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "support"))

import tones  # noqa: E402

THANOS = str(Path(sys.executable).parent / "thanos-tui")
GUEST_VIEW = "10.0.2.2"  # this host, as QEMU's user network shows it to the machine
SIZE = (1280, 800)
TONE = 440
COLOURS = ("#ff004d", "#ffa300", "#00e436", "#29adff")  # of the page's upper half, from left to right
GROUND = "#1d2b53"
PATIENCE = 1200.0  # seconds for the page to come
PIECE = 0.25  # seconds of the recording that are looked at: the best ones
EDGE = 200.0  # Hz to either side of the tone where nothing else may be heard


class Page:
    """A server for the page, and when it was told of what (``time.monotonic``)."""

    def __init__(self) -> None:
        self.content = (TOP / "docs" / "firefox.html").read_bytes()
        self.told: dict[str, float] = {}
        self.news = threading.Condition()

    def tell(self, what: str) -> None:
        with self.news:
            self.told.setdefault(what, time.monotonic())
            self.news.notify_all()

    def wait(self, what: str) -> float:
        """When the page said so; raises SystemExit where it does not."""
        with self.news:
            if not self.news.wait_for(lambda: what in self.told, PATIENCE):
                raise SystemExit(
                    f"after {PATIENCE:.0f} s the page is not {what}, only {', '.join(self.told) or 'away'}"
                )
            return self.told[what]

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address, as the machine sees it."""
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page.tell(self.path.strip("/") or "asked for")
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                if self.path == "/":
                    self.wfile.write(page.content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{GUEST_VIEW}:{server.server_port}/"
        finally:
            server.shutdown()


def thanos(home: Path, *words: str | Path) -> str:
    """What a command prints; its narration goes where ours goes."""
    places = {"XDG_STATE_HOME": str(home / "state"), "XDG_DATA_HOME": str(home / "data")}
    done = subprocess.run(
        [THANOS, *map(str, words)], env={**os.environ, **places}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    if done.returncode != 0:
        raise SystemExit(f"thanos-tui {words[0]} ended with status {done.returncode}")
    return done.stdout.decode()


def check_picture(path: Path) -> None:
    """Raise SystemExit unless the screen shows the page, edge to edge."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.size != SIZE:
        raise SystemExit(f"the screen has {picture.size} pixels, not {SIZE}")
    width, height = SIZE
    wanted = {((2 * number + 1) * width // 8, height // 4): colour for number, colour in enumerate(COLOURS)}
    corners = [(x, y) for x in (1, width - 2) for y in (height // 2 + 2, height - 2)]
    wanted |= {(1, 1): COLOURS[0], (width - 2, 1): COLOURS[-1], **dict.fromkeys(corners, GROUND)}
    for place, colour in wanted.items():
        found = "#{:02x}{:02x}{:02x}".format(*picture.getpixel(place))
        if found != colour:
            raise SystemExit(f"{path}: at {place} it is {found}, not {colour}")


def check_tone(heard: tones.Heard) -> float:
    """How loud the tone is; raises SystemExit unless it is there, and nothing else is."""
    loud = heard.strength(TONE)
    others = max(heard.strength(TONE + away) for away in (-EDGE, -EDGE / 2, EDGE / 2, EDGE))
    if loud < 0.05 or others > loud / 10:
        raise SystemExit(f"{TONE} Hz has the amplitude {loud:.3f}, beside it there is {others:.3f}")
    return loud


def plot(heard: tones.Heard, path: Path) -> None:
    """Write what was heard as an SVG: how it swings, and how strong which frequency is."""
    swing = heard.left[len(heard.left) // 2 :][: heard.rate // 50]
    strengths = [heard.strength(frequency) for frequency in range(100, 1001, 10)]
    panels = (
        ("what the sound card plays: 20 ms", swing, -0.5, 0.5),
        ("how strong each frequency is, 100 to 1000 Hz", strengths, 0.0, max(strengths)),
    )
    drawn = []
    for top, (title, values, low, high) in zip((0, 160), panels, strict=True):
        points = " ".join(
            f"{20 + 680 * number / (len(values) - 1):.1f},{top + 140 - 100 * (value - low) / (high - low):.1f}"
            for number, value in enumerate(values)
        )
        drawn.append(f'<text x="20" y="{top + 26}">{title}</text><polyline points="{points}"/>')
    peak = 20 + 680 * (TONE - 100) / 900
    drawn.append(f'<text x="{peak + 12:.0f}" y="224">{TONE} Hz</text>')
    style = "text{font:14px sans-serif;fill:#fff1e8}polyline{fill:none;stroke:#29adff;stroke-width:2}"
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" width="720" height="320">'
    ground = f'<rect width="720" height="320" fill="{GROUND}"/>'
    path.write_text("\n".join([head, f"<style>{style}</style>", ground, *drawn, "</svg>", ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=TOP / "docs" / "screens", help="where the pictures go")
    output: Path = parser.parse_args().output
    # However this ends, the machine does not go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    page = Page()
    with tempfile.TemporaryDirectory(prefix="thanos-firefox-") as scratch, page.served() as address:
        home = Path(scratch)
        profile = home / "firefox-kiosk.thanos"
        shutil.copy(TOP / "profiles" / "firefox-kiosk.thanos", profile)
        settings = [f"firefox.url={address}", f"x11.resolution={SIZE[0]}x{SIZE[1]}"]
        sets = [word for setting in settings for word in ("--set", setting)]
        build = ("--replay", profile, "--format", "kernel+initrd", "--output", home, "--generate-key", *sets)
        thanos(home, *build)
        started = time.monotonic()
        machine = thanos(home, "run", "--detach", home / "firefox-kiosk-kernel").strip()
        try:
            moments = {what: page.wait(what) - started for what in ("asked for", "painted", "playing")}
            (described,) = json.loads(thanos(home, "ps", "--json"))
            thanos(home, "record", machine, "--seconds", "10", "--output", home / "tone.wav")
            thanos(home, "screenshot", machine, "--output", home / "screen.png")
        except SystemExit:
            # Its last words; what goes wrong here is said on stderr, and the first trouble is the one that counts.
            with suppress(SystemExit):
                print(thanos(home, "app", "logs", "--machine", machine, "firefox"), file=sys.stderr)
            raise
        finally:
            thanos(home, "stop", machine, "--timeout", "0")
        heard = tones.read(home / "tone.wav")
        # A busy host that emulates a processor plays with gaps; a piece without one is enough to tell a tone.
        best = max(heard.pieces(PIECE), key=lambda piece: piece.strength(TONE))
        check_picture(home / "screen.png")
        loud = check_tone(best)
        output.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "screen.png", output / "firefox.png")
        plot(best, output / "firefox-tone.svg")
    print(f"seconds from power-on ({described['accelerator']}): ", end="")
    print(", ".join(f"page {what} {after:.0f}" for what, after in moments.items()))
    print(f"the tone: {TONE} Hz, {20 * math.log10(loud):.0f} dB of full scale")


if __name__ == "__main__":
    main()
