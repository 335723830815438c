"""Apps that come with the OS: one profile, and they are there as soon as the machine is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tones
from boxes import Box, booted
from PIL import Image, ImageColor
from waiting import eventually

# A busy host takes its time: its first test waits for the boot.
pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long, pytest.mark.timeout(1500)]

DEMO = "localhost/thanos/demo:base"
TONE = "localhost/thanos/tone:base"
BARS = ("white", "yellow", "cyan", "lime", "magenta", "red", "blue")
SIZE = (800, 600)
OPTIONS = f"""\
  x11.resolution: {SIZE[0]}x{SIZE[1]}
  stark.apps:
    - --no-sound {DEMO} demo 0
    - --no-x11 --memory 64 --cpus 1.5 {TONE} 440 900 50
    - --name brief --no-x11 --no-sound {DEMO} sh -c 'echo no luck today; exit 3'
    - --name stubborn --no-x11 --no-sound --restart on-failure:2 -e MOOD='so  so' {DEMO} sh -c 'echo "$MOOD"; exit 4'
"""


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with booted(tmp_path_factory.mktemp("user"), "kiosk", OPTIONS, patience=600) as box:
        yield box


def inspected(kiosk: Box, name: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    (found,) = json.loads(kiosk.inside(f"docker inspect {name}"))
    return dict(found)


def test_apps_of_the_profile_run_without_anybody(kiosk: Box, tmp_path: Path) -> None:
    running = kiosk.inside("docker ps --format '{{.Names}} {{.Image}}'").splitlines()
    assert sorted(line for line in running if not line.startswith("stubborn")) == [f"demo {DEMO}", f"tone {TONE}"]

    def edges() -> list[tuple[int, tuple[int, ...]]]:
        """Where along a line in the upper half of the screen another colour begins, and which."""
        with Image.open(kiosk.screenshot(tmp_path / "screen.png")) as picture:
            assert picture.size == SIZE
            line = [picture.convert("RGB").getpixel((x, SIZE[1] // 4)) for x in range(SIZE[0])]
        return [(x, colour) for x, colour in enumerate(line) if x == 0 or colour != line[x - 1]]  # type: ignore[misc]

    eventually(lambda: [colour for _, colour in edges()] == [ImageColor.getrgb(name) for name in BARS], tell=edges)
    assert all(abs(x - number * SIZE[0] / len(BARS)) <= 1 for number, (x, _) in enumerate(edges()))

    def heard() -> float:
        """How strong the tone is in a piece of what is played that is nothing else, as emulation leaves gaps."""
        kiosk.user.run("record", kiosk.name, "--seconds", "2", "--output", tmp_path / "heard.wav")
        pieces = list(tones.read(tmp_path / "heard.wav").pieces(0.25))
        clean = [piece for piece in pieces if max(map(piece.strength, (220, 415, 466, 880))) < piece.strength(440) / 10]
        return max((piece.strength(440) for piece in clean), default=0)

    assert eventually(heard) > 0.05


def test_an_app_gets_no_more_than_it_may_have(kiosk: Box) -> None:
    limits = inspected(kiosk, "tone")["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (64 << 20, 1_500_000_000)
    look = "for each in memory.max cpu.max; do read -r limit </sys/fs/cgroup/$each; echo $limit; done"
    assert kiosk.inside(f"docker exec tone sh -c '{look}'").split() == [str(64 << 20), "150000", "100000"]


def test_an_app_that_ends_is_told_of(kiosk: Box) -> None:
    log = eventually(lambda: said if "brief: " in (said := kiosk.sh("cat /var/log/stark.log")) else "")
    assert "brief has ended with status 3; its last words:" in log
    assert "brief: no luck today" in log
    assert kiosk.user.out("app", "logs", "brief") == "no luck today\n"
    (brief,) = [app for app in json.loads(kiosk.user.out("app", "ls", "--json")) if app["name"] == "brief"]
    assert brief["state"] == "exited"


def test_an_app_that_fails_is_tried_again_as_often_as_was_said(kiosk: Box) -> None:
    def state() -> tuple[str, int]:
        found = inspected(kiosk, "stubborn")
        return found["State"]["Status"], found["RestartCount"]

    eventually(lambda: state() == ("exited", 2), tell=state)
    assert kiosk.user.out("app", "logs", "stubborn") == "so  so\n" * 3
