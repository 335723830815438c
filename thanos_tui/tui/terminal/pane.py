"""The Console pane: terminals in tabs, each with a shell on a machine or its serial port."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input

from thanos_tui.errors import HostError, ThanosError
from thanos_tui.files import data_dir
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane
from thanos_tui.tui.terminal.emulator import make
from thanos_tui.tui.terminal.recording import Recording
from thanos_tui.tui.terminal.serial import SerialSession
from thanos_tui.tui.terminal.session import Session
from thanos_tui.tui.terminal.ssh import SshSession
from thanos_tui.tui.terminal.tabs import Label, Machines, SessionLine
from thanos_tui.tui.terminal.text import visible
from thanos_tui.tui.terminal.widget import TerminalView
from thanos_tui.tui.work import perform
from thanos_tui.words import counted, short

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.worker import Worker

_START = "machines"  # the list of machines among the tabs
_LOOK = 2.0  # seconds between two looks at which machines run
_KINDS: dict[str, type[Session]] = {"ssh": SshSession, "serial": SerialSession}


@dataclass
class Tab:
    """One terminal and its session. name: as the user called it."""

    session: Session
    view: TerminalView
    worker: Worker[None] | None = None
    name: str = ""
    rang: bool = False

    @property
    def title(self) -> str:
        base = self.session.machine + (" (serial)" if self.session.kind == "serial" else "")
        said = visible(self.view.emulator.title).strip()
        return self.name or (f"{base}: {said}" if said else base)


class ConsolePane(Pane):
    """Shells on machines, in tabs."""

    TITLE = "Console"
    HELP = (
        "Log in to machines. A terminal takes every key; Ctrl+] leaves it for the line of tabs above it, where single "
        "keys act: t opens another tab, w closes one, Left and Right choose one, Enter goes back in.\n"
        "Shift+PgUp, Shift+PgDn and the wheel look back; / searches what was said. Select with the mouse to copy "
        "(with Shift where a program uses the mouse itself).\n"
        "The machine's host key is known before the first connection and checked at each. After a reboot the tab "
        "connects again by itself. f hands over your whole terminal, for perfect fidelity."
    )
    DEFAULT_CSS = """
    ConsolePane { height: 1fr; }
    ConsolePane #terminals { height: 1fr; }
    ConsolePane #search { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
    ConsolePane #search.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("console.enter", "enter,i", "enter", "Into the terminal", "Let the keys go to the machine.", show=True),
        key("console.new", "t", "new", "New tab", "List the machines to connect to.", show=True),
        key("console.close", "w", "close", "Close tab", "End this session and close its tab.", show=True),
        key("console.next", "right,l", "step(1)", "Next tab", "Show the tab to the right."),
        key("console.previous", "left,h", "step(-1)", "Previous tab", "Show the tab to the left."),
        key("console.rename", "e", "rename", "Rename tab", "Give this tab a name of your own."),
        key("console.search", "slash", "search", "Search", "Search what this terminal has shown.", show=True),
        key("console.hit-before", "n", "hit(-1)", "Hit before", "Show the place before that has it too."),
        key("console.hit-after", "N", "hit(1)", "Hit after", "Show the next place that has it too."),
        key("console.copy", "y", "copy", "Copy", "Copy what is selected, or all that is in view."),
        key("console.again", "R", "again", "Connect again", "Connect again after a session has ended."),
        key("console.record", "r", "record", "Record", "Record this terminal to an asciicast file, or stop it."),
        key("console.full", "f", "full", "Full screen", "Hand your own terminal to the machine.", show=True),
        key("console.literal", "right_square_bracket", "literal", "Send Ctrl+]", "Send Ctrl+] to the machine."),
        key("console.back", "escape", "back", "Back", "Close the search, or leave the list of machines."),
    ]
    status: reactive[str] = reactive("")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs: dict[str, Tab] = {}
        self._made = 0
        self._full = False

    def compose(self) -> ComposeResult:
        yield SessionLine(id="sessions")
        with ContentSwitcher(initial=_START, id="terminals"):
            yield Machines(id=_START)
        yield Input(placeholder="search backwards", id="search", compact=True)
        yield StateLine(id="state")

    def on_mount(self) -> None:
        self._look_around()
        self.set_interval(_LOOK, self._look_around)
        self._refresh()

    # Which machines there are

    def entered(self) -> None:
        self._look_around()

    def _look_around(self) -> None:
        if self.display and self._current is None:
            self._list_machines()

    @work(exclusive=True, group="console-machines", exit_on_error=False)
    async def _list_machines(self) -> None:
        from thanos_tui import vm

        try:
            machines = await perform(vm.machines)
        except ThanosError as error:
            self.query_one(StateLine).words = error.message
            return
        self.query_one(Machines).show(machines)

    # Tabs

    @property
    def _current(self) -> Tab | None:
        """The tab that is shown; None while the machines are listed."""
        return self._tabs.get(self.query_one("#terminals", ContentSwitcher).current or "")

    def open(self, machine: str, kind: str = "ssh") -> None:
        """Show a terminal on a machine: the tab it has, or a new one. kind: ``ssh`` or ``serial``."""
        for number, tab in self._tabs.items():
            if tab.session.machine == machine and tab.session.kind == kind:
                tab.session.again()
                self._show(number, into=True)
                return
        self._open_new(machine, kind)

    @work(group="console-open", exit_on_error=False)
    async def _open_new(self, machine: str, kind: str) -> None:
        size = self.query_one("#terminals").size
        try:
            # Importing an emulator takes longer than the event loop may stand still.
            emulator = await perform(make, max(20, size.width), max(4, size.height))
        except ThanosError as error:
            self.thanos.tell(error)
            return
        self._made += 1
        number = f"terminal-{self._made}"
        view = TerminalView(emulator, id=number)
        view.way_out = self.query_one(SessionLine)
        tab = self._tabs[number] = Tab(_KINDS[kind](machine, view, self._refresh), view)
        await self.query_one("#terminals", ContentSwitcher).mount(view)
        self._show(number, into=True)
        tab.worker = self.run_worker(tab.session.run(), group=number, exit_on_error=False)

    def _show(self, number: str, *, into: bool = False) -> None:
        """Show a tab, or the list of machines. into: with the focus, unless another pane is shown."""
        self.query_one("#terminals", ContentSwitcher).current = number
        tab = self._tabs.get(number)
        if tab is not None:
            tab.rang = False
        else:
            self._look_around()
        self._refresh()
        if self.display:
            if into:
                self._focus(tab.view if tab else self.query_one(Machines))
            else:
                self._focus(self.query_one(SessionLine if tab else Machines))

    def _refresh(self) -> None:
        """Say anew how the sessions stand."""
        if not self.is_attached:
            return
        line = self.query_one(SessionLine)
        shown = self.query_one("#terminals", ContentSwitcher).current or ""
        labels = [Label(number, tab.title, tab.session.state.phase, tab.rang) for number, tab in self._tabs.items()]
        line.labels = (*labels, *([Label(_START, "new", "")] if shown == _START and labels else ()))
        line.shown = shown
        line.display = bool(labels)
        self.query_one(StateLine).show(self._current)
        open_now = sum(tab.session.state.phase == "connected" for tab in self._tabs.values())
        self.status = counted(open_now, "session") if open_now else ""

    def _focus(self, widget: Widget) -> None:
        """Give the focus at once, not after the keys that were typed already."""
        self.screen.set_focus(widget)

    def focus_first(self) -> None:
        tab = self._current
        (tab.view if tab else self.query_one(Machines)).focus()

    @on(Machines.Open)
    def _machine_chosen(self, message: Machines.Open) -> None:
        if message.kind == "ssh" and any(tab.session.machine == message.machine for tab in self._tabs.values()):
            self._open_new(message.machine, message.kind)  # who asks for a second one gets it
        else:
            self.open(message.machine, message.kind)

    @on(SessionLine.Chosen)
    def _tab_chosen(self, message: SessionLine.Chosen) -> None:
        self._show(message.tab, into=True)

    @on(SessionLine.Scroll)
    def _scroll(self, message: SessionLine.Scroll) -> None:
        tab = self._current
        if tab is None:
            return
        if message.count:
            tab.view.action_scroll_lines(message.count, message.pages)
        elif message.pages:
            tab.view.action_scroll_first()
        else:
            tab.view.action_scroll_last()

    @on(TerminalView.Changed)
    def _view_changed(self, message: TerminalView.Changed) -> None:
        message.stop()
        self._refresh()

    @on(TerminalView.Rang)
    def _rang(self, message: TerminalView.Rang) -> None:
        message.stop()
        for tab in self._tabs.values():
            if tab.view is message.view and tab is not self._current:
                tab.rang = True
        if not self._full:
            self.app.bell()
        self._refresh()

    @on(TerminalView.Copied)
    def _copied(self, message: TerminalView.Copied) -> None:
        message.stop()
        self.thanos.copy(message.text, "the screen" if message.whole else "the selection")

    # Actions

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        if isinstance(self.app.focused, TerminalView):
            return False  # the keys are the machine's
        of_a_tab = ("enter", "close", "rename", "search", "hit", "copy", "again", "record", "full", "literal")
        if action in of_a_tab:
            return self.is_attached and self._current is not None
        if action == "step":
            return bool(self._tabs)
        return True

    def action_enter(self) -> None:
        if (tab := self._current) is not None:
            if tab.session.state.phase == "ended":
                tab.session.again()
            self._focus(tab.view)

    def action_new(self) -> None:
        self._show(_START)

    def action_back(self) -> None:
        search = self.query_one("#search", Input)
        if search.has_class("-open"):
            self._close_search()
        elif self._current is None and self._tabs:
            self._show(next(reversed(self._tabs)))

    def action_step(self, by: int) -> None:
        numbers = list(self._tabs)
        shown = self.query_one("#terminals", ContentSwitcher).current
        place = numbers.index(shown) if shown in numbers else (-1 if by > 0 else len(numbers))
        self._show(numbers[(place + by) % len(numbers)])

    @work(exclusive=True, group="console-close")
    async def action_close(self) -> None:
        number = self.query_one("#terminals", ContentSwitcher).current or ""
        tab = self._tabs.get(number)
        if tab is None:
            return
        if tab.session.state.phase == "connected" and tab.session.kind == "ssh":
            answer = await self.thanos.ask(
                f"Close {tab.title}?", [("close", "Close it"), ("keep", "Keep it")], "What runs in this shell ends."
            )
            if answer != "close":
                return
        self._stop_recording(tab)
        numbers = list(self._tabs)
        place = numbers.index(number)
        del self._tabs[number]
        tab.session.close()
        if tab.worker is not None:
            tab.worker.cancel()
        others = [*numbers[place + 1 :], *reversed(numbers[:place])]
        self._show(others[0] if others else _START)
        await tab.view.remove()

    @work(exclusive=True, group="console-rename")
    async def action_rename(self) -> None:
        from thanos_tui.tui.dialogs import Prompt

        tab = self._current
        if tab is None:
            return
        name = await self.app.push_screen_wait(
            Prompt("Name of this tab", tab.title, explanation="Empty: the machine and what the program calls itself.")
        )
        if name is not None:
            tab.name = visible(name).strip()
            self._refresh()

    def action_copy(self) -> None:
        if (tab := self._current) is not None:
            tab.view.copy()

    def action_again(self) -> None:
        if (tab := self._current) is not None:
            tab.session.again()

    def action_literal(self) -> None:
        if (tab := self._current) is not None:
            tab.view.type(b"\x1d")
            self._focus(tab.view)

    # Searching

    def action_search(self) -> None:
        # In the place of the line below the terminal, whose size must not change: the guest would learn of it.
        search = self.query_one("#search", Input)
        self.query_one(StateLine).display = False
        search.add_class("-open")
        self._focus(search)

    @on(Input.Submitted, "#search")
    def _search(self, message: Input.Submitted) -> None:
        message.stop()
        tab = self._current
        found = tab is not None and tab.view.search(message.value)
        if message.value and not found:
            self.notify(f"nothing said {message.value!r}", severity="warning", timeout=3, markup=False)
            return
        self._close_search(forget=not message.value)

    def _close_search(self, *, forget: bool = False) -> None:
        search = self.query_one("#search", Input)
        search.remove_class("-open")
        self.query_one(StateLine).display = True
        if (tab := self._current) is not None:
            if forget:
                tab.view.search("")
            self._focus(self.query_one(SessionLine))

    def action_hit(self, direction: int) -> None:
        tab = self._current
        if tab is not None and not tab.view.find(direction):
            self.notify("search for something first: /", timeout=3, markup=False)

    # Recording

    def action_record(self) -> None:
        tab = self._current
        if tab is None:
            return
        if tab.view.recording is not None:
            self._stop_recording(tab)
            return
        name = f"{tab.session.machine}-{time.strftime('%Y%m%d-%H%M%S')}.cast"
        emulator = tab.view.emulator
        try:
            recording = Recording(data_dir() / "recordings" / name, emulator.columns, emulator.rows, tab.title)
        except HostError as error:
            self.thanos.tell(error)
            return
        tab.view.record(recording)
        self._refresh()

    def _stop_recording(self, tab: Tab) -> None:
        recording = tab.view.stop_recording()
        if recording is not None:
            self.notify(f"recorded to {short(recording.path)}", markup=False)
            self._refresh()

    # The user's own terminal

    @work(exclusive=True, group="console-full")
    async def action_full(self) -> None:
        tab = self._current
        if tab is None:
            return
        if tab.session.kind == "serial":
            self.notify("the serial port is shown here only; open a shell for full screen", markup=False)
            return
        argv = [sys.executable, "-m", "thanos_tui", "console", tab.session.machine]
        self._full = True
        try:
            # Nothing may draw meanwhile, but the other sessions and a build go on.
            with self.app.batch_update(), self.app.suspend():
                print("Log out to come back to the app; ~. at the start of a line cuts a session that hangs.")
                process = await asyncio.create_subprocess_exec(*argv)
                status = await process.wait()
                if status not in (0, 130):
                    await asyncio.sleep(2)  # time to read why
        except SuspendNotSupported:
            error = HostError(
                "this terminal cannot be handed over", hint=f"in another one: thanos-tui console {tab.session.machine}"
            )
            self.thanos.tell(error)
        finally:
            self._full = False
        self.app.refresh(layout=True)


class StateLine(Widget):
    """How the session that is shown stands, and how far back it is looked at."""

    DEFAULT_CSS = "StateLine { height: 1; background: $surface; color: $text-muted; }"
    words: reactive[str] = reactive("")
    _right: reactive[str] = reactive("")

    def show(self, tab: Tab | None) -> None:
        if tab is None:
            self.words, self._right = "Enter opens a terminal", ""
            return
        symbols = look()
        state = tab.session.state
        self.words = state.words if state.phase != "ended" else f"{state.words}: Enter connects again, w closes the tab"
        right = []
        if tab.view.recording is not None:
            right.append(f"{symbols.running} recording")
        if tab.view.back:
            right.append(f"{symbols.up} {tab.view.back} of {tab.view.emulator.history} lines back")
        right.append("ctrl+] leaves" if tab.view.has_focus else "Enter: into the terminal")
        self._right = f" {symbols.dot} ".join(right)

    def render(self) -> Content:
        room = self.size.width - cell_len(self._right) - 3
        left = Content(f" {self.words}").truncate(max(0, room), ellipsis=True)
        gap = self.size.width - left.cell_length - cell_len(self._right) - 1
        return Content.assemble(left, " " * max(1, gap), self._right)
