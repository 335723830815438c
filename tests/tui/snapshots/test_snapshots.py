"""How the app looks: every pane and dialog with one fixed profile, at three sizes and in two themes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from snapshots import compare
from textual.pilot import Pilot
from textual.widgets import Input

from thanos_tui.builds import Build, PartSize, remember
from thanos_tui.editing.document import Document
from thanos_tui.errors import HostError
from thanos_tui.tui import settings
from thanos_tui.tui.app import ThanosApp

PROFILE = """\
thanos: 1
options:
  hostname: box
  network: static
  network.addresses: [192.0.2.10/24]
  output.architecture: amd64
  output.formats: [kernel+initrd, vhd]
"""
SIZES = ((80, 24), (120, 40), (200, 60))
THEMES = ("thanos-dark", "thanos-light")

SIZES_OF = {"containerd": 21_400_000, "kernel": 12_600_000, "sshd": 6_500_000, "runc": 4_200_000, "getty": 1_000_000}

Scene = Callable[[Pilot[int]], Awaitable[None]]


def app_of(pilot: Pilot[int]) -> ThanosApp:
    assert isinstance(pilot.app, ThanosApp)
    return pilot.app


def change(pilot: Pilot[int]) -> None:
    app_of(pilot).document.apply({"rngd": False, "network.gateways": ("192.0.2.1",)}, "some changes")


async def configure(pilot: Pilot[int]) -> None:
    change(pilot)
    (await app_of(pilot).show("configure")).go_to("network.addresses")


async def yaml(pilot: Pilot[int]) -> None:
    await pilot.press("2")


async def diff(pilot: Pilot[int]) -> None:
    change(pilot)
    await pilot.press("2", "d")


async def build(pilot: Pilot[int]) -> None:
    # What is known of the last build of this profile.
    kernel = Path("box-kernel").absolute()
    kernel.write_bytes(bytes(8_200_000))
    parts = tuple(PartSize(name, name, f"localhost/thanos/{name}:base", size) for name, size in SIZES_OF.items())
    remember(Build("box", str(Path("box.thanos").absolute()), (str(kernel),), 1024, 2, "amd64", 1234, None, parts))
    await pilot.press("3")


async def machine(pilot: Pilot[int]) -> None:
    await pilot.press("4")


async def console(pilot: Pilot[int]) -> None:
    await pilot.press("5")


async def edit_number(pilot: Pilot[int]) -> None:
    (await app_of(pilot).show("configure")).go_to("machine.memory")
    await pilot.press("enter")


async def edit_list(pilot: Pilot[int]) -> None:
    (await app_of(pilot).show("configure")).go_to("network.addresses")
    await pilot.press("enter")


async def edit_choice(pilot: Pilot[int]) -> None:
    (await app_of(pilot).show("configure")).go_to("network")
    await pilot.press("enter")


async def why_not(pilot: Pilot[int]) -> None:
    app_of(pilot).document.set("containerd", False)
    await pilot.press("a")
    (await app_of(pilot).show("configure")).go_to("ntp.servers")
    await pilot.press("w")


async def search(pilot: Pilot[int]) -> None:
    await pilot.press("slash", *"serv")


async def help_(pilot: Pilot[int]) -> None:
    await pilot.press("question_mark")


async def palette(pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+p", *"diff")


async def error(pilot: Pilot[int]) -> None:
    problem = HostError("cannot write out/thanos.vhd: No space left on device", hint="free some space on that disk")
    app_of(pilot).tell(problem)


async def leave(pilot: Pilot[int]) -> None:
    change(pilot)
    await pilot.press("q")


PANES: dict[str, Scene] = {
    "configure": configure,
    "yaml": yaml,
    "diff": diff,
    "build": build,
    "machine": machine,
    "console": console,
}
DIALOGS: dict[str, Scene] = {
    "edit-number": edit_number,
    "edit-list": edit_list,
    "edit-choice": edit_choice,
    "why-not": why_not,
    "search": search,
    "help": help_,
    "palette": palette,
    "error": error,
    "leave": leave,
}
# Dialogs have a size of their own: the smallest terminal is where one could fail to fit.
CASES = [(name, size, theme) for name in PANES for size in SIZES for theme in THEMES]
CASES += [(name, SIZES[0], theme) for name in DIALOGS for theme in THEMES]


async def settled(pilot: Pilot[int]) -> None:
    """Return when the screen has stayed the same for a while: threads and timers have drawn what they had to."""
    before, same = "", 0
    while same < 4:
        await asyncio.sleep(0.1)
        await pilot.pause()
        now = pilot.app.export_screenshot()
        same = same + 1 if now == before else 0
        before = now


@pytest.mark.parametrize(("name", "size", "theme"), CASES, ids=lambda value: str(value).replace(", ", "x"))
def test_it_looks_as_it_did(
    name: str, size: tuple[int, int], theme: str, drive: Callable[..., None], tmp_path: Path, monkeypatch: Any
) -> None:
    for variable, value in (("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("COLORTERM", "truecolor")):
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(Input, "cursor_blink", False)
    profile = Path("box.thanos")
    profile.write_text(PROFILE)
    settings.change(theme=theme)
    app = ThanosApp(Document.open(profile))

    async def script(pilot: Pilot[int]) -> None:
        pilot.app.animation_level = "none"
        await {**PANES, **DIALOGS}[name](pilot)
        await settled(pilot)
        compare(app, f"{name}-{size[0]}x{size[1]}-{theme.removeprefix('thanos-')}", tmp_path)

    drive(app, script, size=size)
