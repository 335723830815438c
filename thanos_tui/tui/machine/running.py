"""Running an app on a machine: the form that asks which one, and how it is brought there and started."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input

from thanos_tui.errors import InputError
from thanos_tui.tui.keys import key
from thanos_tui.tui.machine.asking import Choice, Form
from thanos_tui.wiring import App

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.apps import AppState, Engine
    from thanos_tui.events import Reporter

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
"""How archives of images are called."""
_RESTARTS = ("no", "on-failure", "unless-stopped", "always")
_YES, _NO = "yes", "no"


@dataclass(frozen=True)
class Wanted:
    """An app to run. source: the name of its image, or the path of an archive or OCI layout with it.

    name: empty for one after the image. command: empty for the image's own. The rest is as App has it.
    """

    source: str
    name: str = ""
    command: tuple[str, ...] = ()
    restart: str = "no"
    x11: bool = True
    sound: bool = True

    @property
    def is_file(self) -> bool:
        """Whether the source is a file here and not an image's name, which has no such beginnings and ends."""
        return self.source.startswith(("/", "./", "../", "~")) or self.source.endswith(ARCHIVES)

    def app(self, image: str) -> App:
        """The app, of an image as the machine calls it. Raises InputError where something cannot be so."""
        return App(self.name, image, self.command, restart=self.restart, x11=self.x11, sound=self.sound)


def run(engine: Engine, reporter: Reporter, wanted: Wanted) -> AppState:
    """Bring an app's image to the machine, start it, and see for a moment that it runs.

    Raises what load(), bring() and run() of the room of apps raise.
    """
    from thanos_tui import apps

    if wanted.is_file:
        image, *_ = apps.load(engine, wanted.source, reporter)
    else:
        image = apps.bring(engine, wanted.source, reporter)
    reporter.check()
    app = wanted.app(image)
    if not app.name:
        app = replace(app, name=apps.free_name(engine, image))
    with reporter.step("apps/start", f"Starting {app.name}"):
        return apps.run(engine, app)


def load(engine: Engine, reporter: Reporter, path: Path) -> tuple[str, ...]:
    """Give the machine the images of an archive, and return their names. Raises what apps.load() raises."""
    from thanos_tui import apps

    return apps.load(engine, str(path), reporter)


class RunForm(Form[Wanted]):
    """Which app to run, and how.

    machine: its name. wanted: what the form says at first. parts: what the machine has for apps, of x11 and sound.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("form.pick", "ctrl+o,f2", "pick", "Pick a file", "Choose an archive of an image from a list."),
    ]
    START = "Run"
    AUTO_FOCUS = "#source"

    def __init__(self, machine: str, wanted: Wanted, parts: frozenset[str]) -> None:
        super().__init__(f"Run an app on {machine}", "By the name of its image, or an archive of it: Ctrl+O.")
        self._wanted, self._parts = wanted, parts

    def rows(self) -> ComposeResult:
        wanted = self._wanted
        for title, name, value, hint in (
            ("Image", "source", wanted.source, "localhost/thanos/demo:base"),
            ("Command", "command", shlex.join(wanted.command), "the image's own"),
            ("Name", "name", wanted.name, "taken from the image"),
        ):
            yield from self.row(title, Input(value, placeholder=hint, id=name, compact=True, select_on_focus=False))
        yield from self.row("Restart", Choice(_RESTARTS, wanted.restart, "when it ends", id="restart"))
        for title, part, wired in (("Screen", "x11", wanted.x11), ("Sound", "sound", wanted.sound)):
            there = part in self._parts
            note = "" if there else "the machine has none for apps"
            values = (_YES, _NO) if there else (_NO,)
            yield from self.row(title, Choice(values, _YES if wired and there else _NO, note, id=part))

    def read(self) -> Wanted:
        try:
            command = tuple(shlex.split(self.text("command")))
        except ValueError as error:
            raise InputError(f"the command cannot be read: {str(error).lower()}") from error
        wanted = Wanted(
            self.text("source"),
            self.text("name"),
            command,
            self._choice("restart"),
            self._choice("x11") == _YES,
            self._choice("sound") == _YES,
        )
        if not wanted.source:
            raise InputError("say which image, or pick an archive of one", hint="Ctrl+O")
        # How the image of an archive is called is only known once that is read.
        wanted.app("archive" if wanted.is_file else wanted.source)
        return wanted

    def _choice(self, field: str) -> str:
        return self.query_one(f"#{field}", Choice).value

    @on(Choice.Changed)
    def _chosen(self) -> None:
        self.judge()

    @work(exclusive=True, group="pick")
    async def action_pick(self) -> None:
        from thanos_tui.tui.choosing import ChooseFile

        question = "Which archive of an image?"
        path = await self.app.push_screen_wait(ChooseFile(question, Path(), suffixes=ARCHIVES))
        if path is not None:
            self.query_one("#source", Input).value = str(path)
