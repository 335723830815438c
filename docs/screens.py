"""The README's pictures, taken by the app itself: a profile is configured, built and booted, and an app is run.

    .venv/bin/python docs/screens.py          writes docs/screens/*.svg; takes some minutes

Everything in them is real. The home directory is an empty one; only the cache of packages and images is this user's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
SIZE = (110, 32)


async def until(pilot: Any, holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds; a picture of anything else would be a lie."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s")
        await pilot.pause(0.25)


def text(app: Any) -> str:
    """What the screen says."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def type_in(pilot: Any, words: str) -> None:
    names = {" ": "space", "-": "minus", ".": "full_stop", "/": "slash", ":": "colon", "|": "vertical_line"}
    for character in words:
        await pilot.press(names.get(character, character))


async def main(directory: Path) -> None:
    from thanos_tui.editing.document import Document
    from thanos_tui.tui.app import ThanosApp

    app = ThanosApp(Document.open(Path("thanos.thanos")), Path("out"))

    def take(name: str) -> None:
        # Nobody's eyes are on whether a cursor blinks just now.
        (directory / f"{name}.svg").write_text(app.export_screenshot(title="thanos-tui", simplify=True))
        print(f"docs/screens/{name}.svg", file=sys.stderr)

    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        await app.go_to_option("ntp.servers")
        await pilot.pause(0.5)
        take("configure")

        await pilot.press("slash")
        await type_in(pilot, "net addr")
        await pilot.pause(0.5)
        take("search")
        await pilot.press("escape")
        await pilot.pause()

        await app.go_to_option("network.gateways")
        await pilot.press("w")
        await pilot.pause(0.7)
        take("why-not")
        await pilot.press("escape")

        app.document.set("hostname", "box")
        app.document.set("ntp.servers", ("ntp.example.org", "192.0.2.7"))
        app.document.set("getty", False)
        await pilot.press("2", "d", "v")
        await pilot.pause(0.7)
        take("diff")
        while app.document.undo():
            pass

        await pilot.press("ctrl+b")
        await pilot.pause(1)
        if "key pair" in text(app):
            await pilot.press("m")
        await until(pilot, lambda: "Built thanos" in text(app), 900, "the build")
        await pilot.pause(0.5)
        take("build")

        await pilot.press("m")
        # Its screen is the X server's; what it says while it starts is in the serial log.
        await until(pilot, lambda: "running" in text(app), 300, "the machine")
        await pilot.press("v")
        await until(pilot, lambda: "Welcome to ThanOS" in text(app), 600, "the end of the boot")
        await pilot.press("t")
        await until(pilot, lambda: "root@thanos" in text(app), 300, "the shell")
        for command in ("uname -sr", "ctr -n services.linuxkit task ls", "free -m"):
            await type_in(pilot, command)
            await pilot.press("enter")
            await pilot.pause(2)
        take("console")
        await pilot.press("ctrl+right_square_bracket", "4")
        await pilot.pause(0.5)
        await pilot.press("v")
        await until(pilot, lambda: "everything has started" in text(app), 300, "the whole boot")
        take("boot")

        await pilot.press("a")
        await until(pilot, lambda: "No app is here yet" in text(app), 600, "Docker")
        await pilot.press("r")
        await pilot.pause(0.5)
        await type_in(pilot, "localhost/thanos/demo:base")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: " dB" in text(app) and "Esc gives up" not in text(app), 900, "the app's sound")
        await until(pilot, lambda: "xorg" in text(app) and "starting" not in text(app), 300, "the services")
        await pilot.pause(6)  # until the note on the start is gone
        take("apps")
        await pilot.press("v")
        await pilot.pause(3)
        take("machine")
        await pilot.press("x")
        await until(pilot, lambda: "powered off" in text(app), 120, "power-off")


if __name__ == "__main__":
    os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, COLORTERM="truecolor", TERM="xterm-256color")
        shutil.copy(TOP / "profiles" / "thanos.thanos", home)
        os.chdir(home)
        asyncio.run(main(TOP / "docs" / "screens"))
