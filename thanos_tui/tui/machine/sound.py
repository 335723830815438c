"""The sound of a machine: how loud it is, live, and recordings of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input

from thanos_tui.errors import InputError, Interrupted, ThanosError
from thanos_tui.events import Event, Progress, Reporter
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import meter
from thanos_tui.tui.machine.asking import Form
from thanos_tui.tui.machine.meter import Needle
from thanos_tui.tui.work import perform
from thanos_tui.vm import sound
from thanos_tui.words import duration, short

if TYPE_CHECKING:
    from thanos_tui.tui.app import ThanosApp
    from thanos_tui.vm import Machine
    from thanos_tui.vm.sound import Level

_EVERY = 0.1  # seconds of sound for each picture of the meter
_AGAIN = 5.0  # seconds before another try, where there was nothing to listen to
_STILL = (Needle(),) * sound.CHANNELS


@dataclass(frozen=True)
class Recording:
    """What to record: so many seconds, into a file."""

    seconds: float
    path: Path


class RecordForm(Form[Recording]):
    """For how long to record what a machine plays, and where to."""

    START = "Record"
    AUTO_FOCUS = "#seconds"

    def __init__(self, machine: str) -> None:
        super().__init__(f"Record what {machine} plays", "From now on, silence included, as WAV.")
        self._machine = machine

    def rows(self) -> ComposeResult:
        yield from self.row("Seconds", Input("10", id="seconds", compact=True))
        path = short(Path(f"{self._machine}.wav").absolute())
        yield from self.row("File", Input(path, id="file", compact=True, select_on_focus=False))

    def read(self) -> Recording:
        try:
            seconds = float(self.text("seconds"))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= sound.LONGEST:
            raise InputError(f"the seconds are a number above 0 and up to {sound.LONGEST}")
        if not self.text("file"):
            raise InputError("say which file")
        return Recording(seconds, Path(self.text("file")).expanduser().absolute())


class SoundLine(Widget):
    """A level meter of the machine that is seen, if it has a sound card; and how far a recording has come."""

    DEFAULT_CSS = """
    SoundLine { height: 1; background: $panel; color: $text-muted; display: none; }
    SoundLine.-shown { display: block; }
    SoundLine .sound--quiet { color: $text-success; }
    SoundLine .sound--loud { color: $text-warning; }
    SoundLine .sound--full { color: $text-error; }
    SoundLine .sound--rest { color: $text-muted; text-style: dim; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sound--quiet", "sound--loud", "sound--full", "sound--rest"}
    metering: reactive[bool] = reactive(True)
    """Whether the meter is wanted."""
    needles: reactive[tuple[Needle, ...]] = reactive(_STILL)
    _said: reactive[str] = reactive("")  # in the place of the meter

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._machine: Machine | None = None
        self._ending: threading.Event | None = None  # set, it ends the thread that listens
        self._again = 0.0
        self._recording: Reporter | None = None

    def render(self) -> Content:
        if self._said:
            return Content(look().cut(f" {self._said}", self.size.width))
        pieces = meter.line(self.needles, self.size.width, look())
        return Content("").join(
            Content(text).stylize(self.get_visual_style(f"sound--{style}")) if style else Content(text)
            for text, style in pieces
        )

    # Listening

    def watch_machine(self, machine: Machine | None) -> None:
        """Show how loud this machine is from now on; None: nobody sees it, so listen no more."""
        heard = machine if machine is not None and machine.alive and machine.record.peripherals.sound else None
        before, self._machine = self._machine, heard
        if heard is None or before is None or before.directory != heard.directory:
            self._stop_listening()
        idle = self._ending is None and asyncio.get_running_loop().time() >= self._again
        if heard is not None and self.metering and idle:
            self._listen(heard)
        self._show()

    def on_unmount(self) -> None:
        self._stop_listening()
        if self._recording is not None:
            self._recording.cancel()

    def _stop_listening(self) -> None:
        if self._ending is not None:
            self._ending.set()
            self._ending = None
        self.needles, self._again = _STILL, 0.0

    @work(group="listen", exit_on_error=False)
    async def _listen(self, machine: Machine) -> None:
        loop, ending = asyncio.get_running_loop(), threading.Event()
        self._ending = ending

        def tell(levels: tuple[Level, ...]) -> None:
            loop.call_soon_threadsafe(self._move, ending, levels)

        try:
            await perform(_hear, machine, ending, tell)
        except ThanosError:
            # It has no sound at present, which a meter shows best by standing still.
            if self._ending is ending:
                self._stop_listening()
                self._again = loop.time() + _AGAIN

    def _move(self, ending: threading.Event, levels: tuple[Level, ...]) -> None:
        if self._ending is ending:
            heard = levels or (None,) * sound.CHANNELS
            self.needles = tuple(needle.moved(level) for needle, level in zip(self.needles, heard, strict=True))

    def switch(self) -> None:
        """Show the meter, or show it no more."""
        self.metering = not self.metering
        if not self.metering:
            self._stop_listening()
        self.watch_machine(self._machine)

    def _show(self) -> None:
        self.set_class(bool(self._said) or (self._machine is not None and self.metering), "-shown")

    # Recording

    @property
    def under_way(self) -> str:
        """The recording, if there is one."""
        return "the recording" if self._recording is not None else ""

    async def record(self, machine: Machine) -> None:
        """Ask for how long, and record; where that is done already, ask whether to give it up. To be called from a
        worker."""
        app = cast("ThanosApp", self.app)
        if self._recording is not None:
            recording, choices = self._recording, [("no", "Go on"), ("yes", "Give it up")]
            if await app.ask("Give the recording up?", choices, "Nothing of it would be kept.") == "yes":
                recording.cancel()
            return
        if machine.record.peripherals.sound is None:
            self.notify(f"{machine.name} has no sound card: its image was built without one", timeout=4, markup=False)
            return
        wanted = await app.push_screen_wait(RecordForm(machine.name))
        if wanted is None:
            return
        loop = asyncio.get_running_loop()

        def listen(event: Event) -> None:
            loop.call_soon_threadsafe(self._heard, machine.name, wanted, event)

        reporter = self._recording = Reporter(listen)
        try:
            made = await perform(sound.record, machine, wanted.seconds, wanted.path, reporter)
        except Interrupted:
            self.notify("the recording was given up", timeout=3, markup=False)
        except ThanosError as error:
            app.tell(error)
        else:
            loudest = max(meter.decibels(level.peak) for level in made.levels)
            how = f"{loudest:.0f} dB at most" if loudest > meter.FLOOR else "silence"
            self.notify(f"{made.path}\n{duration(made.seconds)}, {how}", title="Recorded", timeout=6, markup=False)
        finally:
            self._recording, self._said = None, ""
            self._show()

    def _heard(self, name: str, wanted: Recording, event: Event) -> None:
        if isinstance(event, Progress) and self._recording is not None:
            done, here = event.done / sound.RATE, look()
            bar = here.bar(done / wanted.seconds, 20)
            self._said = (
                f"{here.running} Recording {name}  {bar}  {done:.0f} of {wanted.seconds:g} s  {wanted.path.name}"
            )
            self._show()


def _hear(machine: Machine, ending: threading.Event, tell: Callable[[tuple[Level, ...]], None]) -> None:
    """Tell how loud a machine is, until the end is wanted. Raises MachineError where there is nothing to listen to."""
    with sound.listening(machine) as tap:
        while not ending.is_set():
            heard = bytearray()
            until = time.monotonic() + _EVERY
            while (left := until - time.monotonic()) > 0:
                heard += tap.read(left)
            tell(sound.levels(bytes(heard)) if heard else ())
