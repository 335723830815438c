"""The list of machines."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.message import Message

from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import rows
from thanos_tui.vm import Machine

_ROWS = 6  # at most; more can be scrolled to


class MachineList(Lines):
    """A row for each machine of this user; the one under the cursor is chosen."""

    DEFAULT_CSS = """
    MachineList { height: 1; }
    """

    class Chosen(Message):
        """The user has chosen another machine."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(cursor=True, follow=False, id=id)
        self.machines: tuple[Machine, ...] = ()
        """As they were found last."""
        self.chosen: str | None = None
        """The name of the machine that is chosen; may be set to one that is listed only the next time."""
        self._doing: dict[str, str] = {}

    @property
    def machine(self) -> Machine | None:
        """The machine that is chosen."""
        return next((each for each in self.machines if each.name == self.chosen), None)

    def show(self, machines: Sequence[Machine]) -> None:
        """List these machines from now on; the chosen one stays chosen."""
        self.machines = tuple(machines)
        self._list()

    def say(self, name: str, what: str) -> None:
        """Say what is being done with a machine, in the place of its state; nothing any more where that is empty."""
        if what:
            self._doing[name] = what
        else:
            self._doing.pop(name, None)
        self._list()

    def _list(self) -> None:
        names = [machine.name for machine in self.machines]
        rows.fill(self, rows.listed(self.machines, self._doing, look()))
        self.styles.height = max(1, min(_ROWS, len(names)))
        if self.chosen not in names:
            running = [machine.name for machine in self.machines if machine.alive]
            self.chosen = next(iter(running or names), None)
        if self.chosen is not None and self.cursor_line != names.index(self.chosen):
            self.go_to(names.index(self.chosen))

    @on(Lines.CursorMoved)
    def _moved(self, event: Lines.CursorMoved) -> None:
        if event.index < len(self.machines) and self.machines[event.index].name != self.chosen:
            self.chosen = self.machines[event.index].name
            self.post_message(self.Chosen())
