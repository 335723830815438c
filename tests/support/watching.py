"""An app that is nothing but the view of a machine's screen, and a machine that is nothing but its picture."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Static

from thanos_tui.tui.machine.screen import ScreenView
from thanos_tui.vm import Machine, Picture


def noise(width: int, height: int, seed: int = 0) -> Picture:
    return Picture(width, height, random.Random(seed).randbytes(width * height * 3))  # noqa: S311


@dataclass
class Stub:
    """A machine, as far as the view needs one."""

    directory: Path = Path("box")
    pid: int = 1
    alive: bool = True


class Watching(App[None]):
    """The view of a machine's screen, which is one picture as long as nobody draws another."""

    CSS = "Modal { align: center middle; background: $background 60%; } #box { width: 20; height: 3; }"

    def compose(self) -> ComposeResult:
        yield ScreenView(id="view")
        yield Static(id="rest")

    def on_mount(self) -> None:
        self.view.watch_machine(cast("Machine", Stub()))

    @property
    def view(self) -> ScreenView:
        return self.screen_stack[0].query_one("#view", ScreenView)


class Modal(ModalScreen[None]):
    def compose(self) -> ComposeResult:
        yield Static("a question", id="box")


async def until(pilot: Any, condition: Callable[[], object], limit: float = 30) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
        await pilot.pause()
