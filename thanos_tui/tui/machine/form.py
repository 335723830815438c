"""The form for starting a machine: what it boots is known, how it is made can be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Input

from thanos_tui.errors import InputError
from thanos_tui.tui.machine.asking import Form
from thanos_tui.vm import Settings, parse_forward

if TYPE_CHECKING:
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
        firmware="efi" if record.boot.get("firmware") == "efi" else None,
    )


class StartForm(Form[Settings]):
    """How a machine is made; Enter starts it, Esc does not."""

    AUTO_FOCUS = "#memory"

    def __init__(self, image: Path, settings: Settings) -> None:
        super().__init__(f"Start {image.name}", str(image.parent))
        self._settings = settings

    def rows(self) -> ComposeResult:
        for field in FIELDS:
            entry = Input(field.show(self._settings), placeholder=field.hint, id=field.name, compact=True)
            yield from self.row(field.title, entry)

    def read(self) -> Settings:
        settings = self._settings
        for field in FIELDS:
            settings = field.read(settings, self.text(field.name))
        return settings
