"""The app itself: the tab line, the panes below it, the status line, and what works everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import constants, on, work
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from thanos_tui.editing.document import Document
from thanos_tui.tui import ending, themes, user
from thanos_tui.tui.bars import StatusLine, TabLine
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.keyline import KeyLine
from thanos_tui.tui.keymap import Keymap, shown
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane

if TYPE_CHECKING:
    import asyncio

    from textual.binding import Binding, BindingType
    from textual.command import Provider
    from textual.filter import LineFilter

    from thanos_tui.builds import Build
    from thanos_tui.errors import ThanosError
    from thanos_tui.tui.build.pane import BuildPane
    from thanos_tui.tui.configure.pane import ConfigurePane
    from thanos_tui.tui.machine.pane import MachinePane
    from thanos_tui.tui.terminal.pane import ConsolePane
    from thanos_tui.tui.yaml.pane import YamlPane


@dataclass(frozen=True)
class Room:
    """Where a pane is found: imported only when it is first shown."""

    id: str
    title: str
    module: str
    name: str

    def load(self) -> type[Pane]:
        """The pane's class."""
        loaded: type[Pane] = getattr(importlib.import_module(self.module), self.name)
        return loaded


ROOMS = (
    Room("configure", "Configure", "thanos_tui.tui.configure.pane", "ConfigurePane"),
    Room("yaml", "YAML", "thanos_tui.tui.yaml.pane", "YamlPane"),
    Room("build", "Build", "thanos_tui.tui.build.pane", "BuildPane"),
    Room("machine", "Machine", "thanos_tui.tui.machine.pane", "MachinePane"),
    Room("console", "Console", "thanos_tui.tui.terminal.pane", "ConsolePane"),
)

_THREADS = 32  # what waits for machines waits long, and several of them may


def _commands() -> type[Provider]:
    from thanos_tui.tui.palette import ThanosCommands

    return ThanosCommands


class ThanosApp(App[int], inherit_bindings=False):
    """Configures, builds, boots and connects to ThanOS.

    document: the profile under edit. output: where a build's files go.
    """

    TITLE = "ThanOS"
    COMMANDS: ClassVar[set[Any]] = {_commands}
    CSS = """
    Screen { layout: vertical; }
    #panes { height: 1fr; }
    CommandPalette SearchIcon { display: none; }
    CommandPalette CommandInput { margin-left: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            key(f"app.go-{room.id}", str(number), f"show('{room.id}')", room.title, f"Show the {room.title} pane.")
            for number, room in enumerate(ROOMS, 1)
        ),
        key("app.help", "question_mark,f1", "help", "Help", "Say what this pane is for, and its keys.", show=True),
        key("app.save", "s,ctrl+s", "save", "Save", "Save the profile.", show=True),
        key("app.save-as", "S", "save_as", "Save as", "Save the profile under another name."),
        key("app.open", "o", "open", "Open", "Open another profile, or begin one from a template."),
        key("app.undo", "u", "undo", "Undo", "Take the last change back."),
        key("app.redo", "ctrl+r", "redo", "Redo", "Make the change again that was undone last."),
        key("app.build", "ctrl+b", "build", "Build", "Build what is configured now."),
        key("app.copy-command", "X", "copy_command", "Copy as command", "Copy the command that builds exactly this."),
        key("app.palette", "ctrl+p", "command_palette", "Palette", "Find any action, option, profile or theme."),
        key("app.leave", "ctrl+right_square_bracket", "leave", "Leave", "Leave a terminal or a dialog for the tabs."),
        key("app.quit", "q,ctrl+q,ctrl+c", "leave_app", "Quit", "Leave the app.", show=True),
    ]

    def __init__(self, document: Document, output: Path = Path()) -> None:
        super().__init__(driver_class=None if constants.DRIVER else ThanosDriver)
        self.crash: str | None = None
        self.keymap = Keymap()
        self._wrong = user.prepare(self)
        self.no_color = not look().colour
        self.set_class(look().ascii, "-ascii")
        self.document = document
        self.output = output
        self._focused: dict[str, Widget] = {}
        self._listen()

    def compose(self) -> ComposeResult:
        yield TabLine([(room.id, room.title) for room in ROOMS], id="tabs")
        yield ContentSwitcher(id="panes")
        yield StatusLine(id="status")
        yield KeyLine(id="keys")

    async def on_mount(self) -> None:
        import asyncio

        loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        if not self.is_headless:
            ending.end_on_signals(self)
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="thanos"))
        await self.show("configure")
        self.refresh_status()
        self.call_after_refresh(self._finish)

    @work(exclusive=True, group="finish")
    async def _finish(self) -> None:
        from thanos_tui.tui import profiles

        await user.finish(self, self._wrong)
        await profiles.start(self)

    def on_unmount(self) -> None:
        from thanos_tui.tui import profiles

        profiles.stop(self)

    def get_key_display(self, binding: Binding) -> str:
        # Textual's own names for keys are symbols: arrows, a bent one for Enter.
        return shown(binding.key) if look().ascii else super().get_key_display(binding)

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print a traceback with the values of all variables: long, and secrets among them.
        if self.is_headless:
            super()._handle_exception(error)
            return
        if self.crash is None:
            self.crash = ending.log_crash(error)
        self._close_messages_no_wait()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *themes.filters(look(), self.current_theme.dark)]

    # Panes

    @property
    def shown(self) -> str:
        """The id of the pane that is shown."""
        return self.query_one(ContentSwitcher).current or ROOMS[0].id

    def mounted(self) -> Sequence[Pane]:
        """The panes made so far."""
        return list(self.query_one(ContentSwitcher).query_children(Pane))

    async def pane(self, pane_id: str) -> Any:
        """A pane, made if it was not shown before."""
        switcher = self.query_one(ContentSwitcher)
        for pane in self.mounted():
            if pane.id == pane_id:
                return pane
        room = next(room for room in ROOMS if room.id == pane_id)
        pane = room.load()(id=pane_id)
        pane.display = False
        await switcher.mount(pane)
        if hasattr(pane, "status"):
            self.watch(pane, "status", self.refresh_status, init=False)
        return pane

    async def show(self, pane_id: str, *, focus: bool = True) -> Any:
        """Show a pane and return it; unless ``focus`` is off, the focus goes where it was in it."""
        switcher = self.query_one(ContentSwitcher)
        before = next((pane for pane in self.mounted() if pane.id == switcher.current), None)
        pane = await self.pane(pane_id)
        if before is not None and pane is before:
            if focus and (self.focused is None or before not in self.focused.ancestors):
                self._focus_in(before)
            return pane
        if before is not None and before.id is not None:
            if self.focused is not None and before in self.focused.ancestors:
                self._focused[before.id] = self.focused
            before.left()
        switcher.current = pane_id
        self.query_one(TabLine).current = pane_id
        if focus:
            self._focus_in(pane)
        pane.entered()
        return pane

    def _focus_in(self, pane: Pane) -> None:
        """Give a pane the focus, where it was in it last."""
        last = self._focused.get(pane.id or "")
        if last is not None and last.is_attached and last.focusable:
            last.focus()
        else:
            pane.focus_first()

    async def action_show(self, pane_id: str) -> None:
        await self.show(pane_id)

    @on(TabLine.Chosen)
    async def _tab_chosen(self, message: TabLine.Chosen) -> None:
        await self.show(message.tab, focus=not message.passing)

    def action_leave(self) -> None:
        """The way out of a terminal, which takes every other key."""
        self.query_one(TabLine).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a terminal or a machine's screen takes every key, the footer must not promise the app's own."""
        if getattr(self.focused, "takes_every_key", False) and action != "leave":
            return False
        return super().check_action(action, parameters)

    # The document

    def _listen(self) -> None:
        self.document.listener = self._document_changed

    def replace_document(self, document: Document) -> None:
        """Edit another document from now on."""
        self.document = document
        self._listen()
        self._document_changed()

    def _document_changed(self) -> None:
        for pane in self.mounted():
            pane.document_changed()
        self.refresh_status()
        from thanos_tui.tui import profiles

        profiles.changed(self)

    def refresh_status(self) -> None:
        """Say anew how things stand."""
        states = {pane.id: getattr(pane, "status", "") for pane in self.mounted()}
        self.query_one(StatusLine).show(self.document, states.get("build", ""), states.get("machine", ""))

    def action_undo(self) -> None:
        left = self.document.undo()
        self.notify(f"undone: {left.what}" if left else "nothing to undo", timeout=2, markup=False)

    def action_redo(self) -> None:
        reached = self.document.redo()
        self.notify(f"again: {reached.what}" if reached else "nothing to redo", timeout=2, markup=False)

    @work(exclusive=True, group="profile")
    async def action_save(self) -> None:
        from thanos_tui.tui import profiles

        await profiles.save(self)

    @work(exclusive=True, group="profile")
    async def action_save_as(self) -> None:
        from thanos_tui.tui import profiles

        await profiles.save_as(self)

    @work(exclusive=True, group="profile")
    async def action_open(self) -> None:
        from thanos_tui.tui import profiles

        await profiles.open_profile(self)

    @work(exclusive=True, group="profile")
    async def open_path(self, path: Path) -> None:
        """Open this profile, once nothing can be lost by it."""
        from thanos_tui.tui import profiles

        await profiles.open_path(self, path)

    @work(exclusive=True, group="profile")
    async def action_leave_app(self) -> None:
        from thanos_tui.tui import profiles

        await profiles.leave(self)

    # What panes ask of each other

    @work(exclusive=True, group="build-start")
    async def action_build(self) -> None:
        pane: BuildPane = await self.show("build")
        pane.start()

    async def boot(self, build: Build, output: str) -> None:
        """Boot a file that a build made, where machines are shown."""
        pane: MachinePane = await self.show("machine")
        pane.boot(build, output)

    async def open_console(self, machine: str) -> None:
        """Log in to a machine, in a tab of its own."""
        pane: ConsolePane = await self.show("console")
        pane.open(machine)

    async def go_to_option(self, name: str) -> None:
        """Show an option where it is configured."""
        pane: ConfigurePane = await self.show("configure")
        pane.go_to(name)

    async def show_in_yaml(self, name: str) -> None:
        """Show what an option says in the YAML."""
        pane: YamlPane = await self.show("yaml")
        pane.show_option(name)

    # Telling and asking

    def tell(self, error: ThanosError) -> None:
        """Show what went wrong, with its hint, until it is put away."""
        from thanos_tui.tui.dialogs import Tell

        self.push_screen(Tell(error))

    async def ask(self, question: str, choices: Sequence[tuple[str, str]], explanation: str = "") -> str | None:
        """The choice made; None if the question was put away. ``choices``: (answer, what it says)."""
        from thanos_tui.tui.dialogs import Choices

        return await self.push_screen_wait(Choices(question, choices, explanation))

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard, and say that ``what`` was copied."""
        from thanos_tui.tui import clipboard

        clipboard.copy(self, text, what)

    def action_copy_command(self) -> None:
        from thanos_tui import options

        document = self.document
        path = document.path or Path(f"{document.name}.thanos")
        self.copy(options.as_command(document.resolved, document.on_disk, path), "the command")

    def action_help(self) -> None:
        from thanos_tui.tui.help import Help

        self.push_screen(Help(next(pane for pane in self.mounted() if pane.id == self.shown)))

    async def choose_theme(self, name: str) -> None:
        """Draw in another theme from now on, and the next time."""
        await user.choose_theme(self, name)
