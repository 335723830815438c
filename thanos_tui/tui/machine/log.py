"""The serial log of a machine, as it grows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work

from thanos_tui import vm
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.work import perform
from thanos_tui.vm.serial import Log

if TYPE_CHECKING:
    from textual.worker import Worker

    from thanos_tui.vm import Machine

_EVERY = 0.25  # seconds between two looks at the log


class SerialLog(Lines):
    """What a machine says on its serial port; read while it is seen, to the machine's end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted: str | None = None  # the machine that is to be shown now
        self._shown: tuple[Machine, Log] | None = None  # the one that is shown, as it was when last looked at
        self._reader: Worker[None] | None = None

    def watch_machine(self, machine: Machine | None) -> None:
        """Show this machine's log from now on; None: nobody sees it, so read no more."""
        self._wanted = machine.name if machine else None
        if machine is None:
            return
        reading = self._reader is not None and self._reader.is_running
        if not reading or self._shown is None or other_start(self._shown[0], machine):
            self._reader = self._read(machine)

    @work(exclusive=True, group="log", exit_on_error=False)
    async def _read(self, machine: Machine) -> None:
        known, log = self._shown or (None, None)
        if log is None or known is None or other_start(known, machine):
            self._shown, log = None, Log(machine.directory)
            self.clear()
        elif not known.alive:
            return  # all of it is shown
        while self._wanted == machine.name:
            found = await perform(vm.find, machine.name)
            if other_start(found, machine):
                return
            self.extend(await perform(log.read))
            self._shown = (found, log)
            if not found.alive:
                self._conclude(found, log.unfinished)
                return
            await asyncio.sleep(_EVERY)

    def _conclude(self, machine: Machine, unfinished: str) -> None:
        if unfinished:
            self.append(unfinished)
        style = "error" if machine.state == "crashed" else "warning"
        self.append((f"{look().dash} {machine.name} has {machine.state}: {machine.note}", style))


def other_start(one: Machine, two: Machine) -> bool:
    """Whether these are not the same start of the same machine."""
    return (one.directory, one.record.created, one.record.argv) != (two.directory, two.record.created, two.record.argv)
