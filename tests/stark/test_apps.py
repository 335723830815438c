"""Apps on a machine with stark, by the commands that users have: brought, wired, listened to, ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import Box
from PIL import Image, ImageColor
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

DEMO = "localhost/thanos/demo:base"
BARS = ["white", "yellow", "cyan", "lime", "magenta", "red", "blue"]

App = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def app(stark: Box) -> Iterator[App]:
    """Runs `thanos-tui app …`; apps that a test leaves behind are removed."""

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return stark.user.run("app", *words, check=check)

    yield run
    names = [each["name"] for each in listed(run)]
    if names:
        run("rm", "--force", *names)


def listed(app: App) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(app("ls", "--json").stdout)
    return found


def colours(stark: Box, path: Path) -> list[tuple[int, ...]]:
    """The colours along a line in the upper half of the screen, each once, from left to right."""
    with Image.open(stark.screenshot(path / "screen.png")) as picture:
        line = [picture.convert("RGB").getpixel((x, picture.height // 4)) for x in range(picture.width)]
    return [colour for x, colour in enumerate(line) if x == 0 or colour != line[x - 1]]  # type: ignore[misc]


def test_an_app_made_by_its_recipe_is_brought_and_draws(app: App, stark: Box, tmp_path: Path) -> None:
    assert app("run", "--detach", DEMO).stdout == b"demo\n"
    (state,) = listed(app)
    assert (state["name"], state["image"], state["state"]) == ("demo", DEMO, "running")
    expected = [ImageColor.getrgb(name) for name in BARS]
    stark.put_arrow_away()
    eventually(lambda: colours(stark, tmp_path) == expected, tell=lambda: colours(stark, tmp_path))
    app("stop")
    assert listed(app)[0]["state"] == "exited"
    app("rm", "demo")
    assert listed(app) == []
    loaded = app("load", DEMO)
    assert loaded.stdout == f"{DEMO}\n".encode()
    assert b"has it already" in loaded.stderr


def test_an_app_may_use_what_it_is_wired_to_and_is_confined(app: App) -> None:
    script = (
        'for each in /run/stark/Xauthority /dev/snd/controlC0 /etc/asound.conf; do [ -r $each ] && echo "$each"; done'
    )
    confined = "read -r profile </proc/self/attr/current; echo $profile"
    done = app("run", "--rm", DEMO, "sh", "-c", f"{script}; echo $DISPLAY; {confined}; exit 9", check=False)
    assert done.returncode == 9
    assert done.stdout.decode().splitlines() == [
        "/run/stark/Xauthority",
        "/dev/snd/controlC0",
        "/etc/asound.conf",
        ":0",
        "docker-default (enforce)",
    ]


def test_an_app_that_ends_at_once_shows_what_it_said(app: App) -> None:
    failed = app("run", "--detach", "--name", "bad", DEMO, "sh", "-c", "echo no display; exit 3", check=False)
    assert failed.returncode == 125
    assert b"the app bad ended at once with status 3\n  no display\n" in failed.stderr
    assert app("logs", "bad").stdout == b"no display\n"


def test_an_image_that_is_nowhere(app: App) -> None:
    failed = app("run", "nosuch.example.org/image:1", check=False)
    assert failed.returncode == 1
    assert b"cannot be fetched" in failed.stderr
    assert b"thanos-tui app load FILE.tar" in failed.stderr
