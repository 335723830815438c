"""The form for starting a machine: what it boots is known, how it is made can be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from thanos_tui.errors import InputError, ThanosError
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.vm import Settings, parse_forward

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.vm import Forward, Machine


@dataclass(frozen=True)
class Field:
    """A line of the form. read: what the text means for the settings; raises InputError."""

    name: str
    title: str
    hint: str
    show: Callable[[Settings], str]
    read: Callable[[Settings, str], Settings]


def _number(text: str, what: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise InputError(f"{what} is a number from {least} to {most}")
    return int(text)


def _forwards(text: str) -> tuple[Forward, ...]:
    return tuple(parse_forward(word) for word in text.replace(",", " ").split())


FIELDS = (
    Field(
        "name",
        "Name",
        "taken from the image",
        lambda settings: settings.name or "",
        lambda settings, text: replace(settings, name=text or None),
    ),
    Field(
        "memory",
        "Memory",
        "MiB",
        lambda settings: str(settings.memory_mib),
        lambda settings, text: replace(settings, memory_mib=_number(text, "the memory in MiB", 16, 1 << 24)),
    ),
    Field(
        "cpus",
        "Processors",
        "",
        lambda settings: str(settings.cpus),
        lambda settings, text: replace(settings, cpus=_number(text, "the number of processors", 1, 255)),
    ),
    Field(
        "ssh",
        "SSH port",
        "1234, or the next free one",
        lambda settings: "" if settings.ssh_port is None else str(settings.ssh_port),
        lambda settings, text: replace(settings, ssh_port=_number(text, "a port", 1, 65535) if text else None),
    ),
    Field(
        "ports",
        "More ports",
        "HOST:GUEST, such as 8080:80 5353:53/udp",
        lambda settings: " ".join(map(str, settings.publish)),
        lambda settings, text: replace(settings, publish=_forwards(text)),
    ),
)


def settings_of(machine: Machine) -> Settings:
    """The settings that a machine was started with, to start it again."""
    record = machine.record
    ssh, *more = record.forwards
    return Settings(
        name=record.name,
        memory_mib=record.memory_mib,
        cpus=record.cpus,
        architecture=record.architecture,
        devices=record.devices,
        guest_ssh_port=ssh.guest,
        publish=tuple(more),
        peripherals=record.peripherals,
        vnc_port=record.vnc_port,
    )


class StartForm(Dialog[Settings]):
    """How a machine is made; Enter starts it, Esc does not."""

    DEFAULT_CSS = """
    StartForm .row { height: 1; }
    StartForm Label { width: 13; color: $text-muted; }
    StartForm Input { width: 1fr; }
    StartForm #verdict { height: auto; min-height: 1; color: $text-error; }
    StartForm #buttons { height: 1; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("form.next", "down", "app.focus_next", "Next", "Go to the next field."),
        key("form.previous", "up", "app.focus_previous", "Previous", "Go to the field before."),
        key("form.start", "ctrl+s", "start", "Start", "Start the machine."),
    ]
    AUTO_FOCUS = "#memory"

    def __init__(self, image: Path, settings: Settings) -> None:
        super().__init__()
        self._image, self._settings = image, settings

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(f"Start {self._image.name}"), id="question")
            yield Static(Content(str(self._image.parent)), id="explanation")
            for field in FIELDS:
                with Horizontal(classes="row"):
                    yield Label(field.title, markup=False)
                    yield Input(field.show(self._settings), placeholder=field.hint, id=field.name, compact=True)
            yield Static(id="verdict", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Start", id="start", compact=True, variant="primary")
                yield Button("Cancel", id="cancel", compact=True)

    def _read(self) -> Settings:
        settings = self._settings
        for field in FIELDS:
            settings = field.read(settings, self.query_one(f"#{field.name}", Input).value.strip())
        return settings

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._verdict()

    def _verdict(self) -> Settings | None:
        said = self.query_one("#verdict", Static)
        try:
            settings = self._read()
        except ThanosError as error:
            said.update(f"{look().cross} {error.message}" + (f": {error.hint}" if error.hint else ""))
            return None
        said.update("")
        return settings

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        settings = self._verdict()
        if settings is None:
            self.app.bell()
        else:
            self.dismiss(settings)

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)
