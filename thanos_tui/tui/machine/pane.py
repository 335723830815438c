"""The pane of machines: which there are, what they show and say, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.reactive import reactive
from textual.widgets import Static

from thanos_tui import vm
from thanos_tui.builds import Build, bootable, built_as, settings_for
from thanos_tui.errors import InputError, Interrupted, ThanosError
from thanos_tui.events import Event, LogLine, Reporter, StepStarted
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import rows
from thanos_tui.tui.machine.apps import AppsView
from thanos_tui.tui.machine.list import MachineList
from thanos_tui.tui.machine.screen import ScreenView
from thanos_tui.tui.machine.sound import SoundLine
from thanos_tui.tui.machine.views import Views
from thanos_tui.tui.pane import Pane
from thanos_tui.tui.work import perform
from thanos_tui.vm import Boot, Machine, Settings

if TYPE_CHECKING:
    from textual.binding import BindingType

_EVERY = 1.0  # seconds between two looks at the machines
_HIDDEN = 5  # of these looks, while the pane is hidden, only every so manieth is taken, and only if a machine runs
_OTHER = "another file"
_IMAGES = ("-kernel", ".qcow2", ".vhd", ".raw", ".img", ".iso", ".efi")


class MachinePane(Pane):
    """A list of machines; below it the screen, the serial log, the boot, the details or the apps of the chosen one."""

    TITLE = "Machine"
    HELP = (
        "Machines run what was built. The list shows those of this user, running or not; below it is what the chosen"
        " one shows on its screen, says on its serial port, how it booted, and how it is made and reached.\n"
        "The screen is live: Enter or a click lets your keys and clicks go to the machine, Ctrl+] takes them back. What"
        " is text there is shown as text; m shows it as a picture, + and - come closer and go back.\n\n"
        "Apps are containers on the Docker of a machine that was built with stark: a opens their list, r runs one.\n\n"
        "Of a machine with a sound card, the last line shows how loud it is (M), and W records it.\n\n"
        "Machines go on running when the app ends."
    )
    DEFAULT_CSS = """
    MachinePane #activity { height: 1; color: $text-warning; display: none; }
    MachinePane #activity.-busy { display: block; }
    MachinePane Views { height: 1fr; }
    MachinePane.-grabbed MachineList { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("machine.boot", "b", "boot_other", "Boot", "Boot the last build, or another image.", show=True),
        key("machine.stop", "x", "stop", "Stop", "Press its power button; pressed again: switch it off.", show=True),
        key("machine.reboot", "R", "reboot", "Reset", "Press its reset button."),
        key(
            "machine.remove", "D,delete", "remove", "Remove", "Forget a machine that has ended, with its log and keys."
        ),
        key("machine.console", "t", "console", "Console", "Log in to it.", show=True),
        key("machine.view", "v", "view(1)", "View", "Screen, serial log, boot, details, apps: the next.", show=True),
        key("machine.view-back", "V", "view(-1)", "Previous view", "The view of the machine before this one."),
        key("machine.apps", "a", "apps", "Apps", "Show its apps, and run others.", show=True),
        key("machine.address", "y", "address", "Copy address", "Copy where its SSH server is reached."),
        key("machine.picture", "p", "picture", "Save picture", "Save what its screen shows as PNG."),
        key("machine.meter", "M", "meter", "Sound meter", "Show how loud it is, or do not."),
        key("machine.record", "W", "record", "Record sound", "Write what it plays into a WAV file."),
    ]
    status: reactive[str] = reactive("")
    """The machines that run, for the app's status line."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown = False
        self._ticks = 0
        self._stopping: dict[str, Reporter] = {}

    def compose(self) -> ComposeResult:
        yield MachineList(id="machines")
        yield Static(id="activity", markup=False)
        yield Views(id="views")
        yield SoundLine(id="sound")

    def on_mount(self) -> None:
        self.set_interval(_EVERY, self._tick)
        self._tick()

    @property
    def under_way(self) -> str:
        return self.query_one(AppsView).under_way or self.query_one(SoundLine).under_way

    @property
    def _list(self) -> MachineList:
        return self.query_one(MachineList)

    # Looking at machines

    def entered(self) -> None:
        self._shown = True
        self._look()

    def left(self) -> None:
        self._shown = False
        self._watch()

    def focus_first(self) -> None:
        self._list.focus()

    def _tick(self) -> None:
        self._ticks += 1
        running = any(machine.alive for machine in self._list.machines)
        if self._shown or (running and self._ticks % _HIDDEN == 0):
            self._look()

    @work(exclusive=True, group="look", exit_on_error=False)
    async def _look(self) -> None:
        try:
            found = await perform(vm.machines)
        except ThanosError as error:
            self.query_one(Views).explain(f"{error.message}\n{hint(self.app, error)}")
            return
        before = {machine.name: machine for machine in self._list.machines}
        self._list.show(found)
        self.status = rows.status(found)
        for machine in found:
            was = before.get(machine.name)
            if was and was.alive and not machine.alive and machine.name not in self._stopping:
                await self._ended(machine)
        self._watch()

    @on(MachineList.Chosen)
    def _watch(self) -> None:
        """Let what shows the chosen machine look at it, while that is seen."""
        machine = self._list.machine
        self.query_one(SoundLine).watch_machine(machine if self._shown else None)
        self.query_one(Views).watch_machine(machine, seen=self._shown)

    @on(Lines.Picked, "#machines")
    def _picked(self) -> None:
        machine = self._list.machine
        if machine is not None and machine.alive:
            self.action_console()
        elif machine is not None:
            self._start_again(machine)

    async def _ended(self, machine: Machine) -> None:
        """Say that a machine has ended by itself, with what it said last."""
        lines = (await perform(vm.last_lines, machine, 3)) or ["it said nothing on its serial port"]
        crashed = machine.state == "crashed"
        self.notify(
            "\n".join(lines),
            title=f"{machine.name} has {'crashed' if crashed else 'ended'}: {machine.note}",
            severity="error" if crashed else "warning",
            timeout=15,
            markup=False,
        )
        if machine.name == self._list.chosen and self._shown:
            self.query_one(Views).show("log")

    def action_view(self, by: int) -> None:
        self.query_one(Views).turn(by)

    def action_apps(self) -> None:
        self.query_one(Views).show("apps")
        if self._list.machine is not None:
            self.query_one(AppsView).focus()

    @on(ScreenView.Grabbed)
    def _grabbed(self) -> None:
        self.set_class(self.query_one(ScreenView).grabbed, "-grabbed")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While keys go to the machine, those of the pane are not offered."""
        return not self.has_class("-grabbed")

    @on(ScreenView.Problem)
    def _typing_failed(self, event: ScreenView.Problem) -> None:
        said = f"{event.error.message}\n{hint(self.app, event.error)}".strip()
        self.notify(said, severity="warning", timeout=5, markup=False)

    # Starting

    def boot(self, build: Build, output: str) -> None:
        """Boot a file that a build made, as the build says."""
        self._begin(lambda: vm.boot_of(Path(output)), settings_for(build))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_boot_other(self) -> None:
        from thanos_tui.tui.dialogs import ChooseFile

        known = await perform(bootable)
        choices = [(path, f"{Path(path).name}  {Path(path).parent}") for path in known][:8]
        answer: str | None = _OTHER
        if choices:
            answer = await self.thanos.ask("Boot which image?", [*choices, (_OTHER, "Another file")])
        image = None if answer is None else Path(answer)
        if answer == _OTHER:
            image = await self.app.push_screen_wait(ChooseFile("Boot which image?", Path(), suffixes=_IMAGES))
        if image is not None:
            build = built_as(image)
            await self._ask_and_begin(
                image, settings_for(build) if build else await perform(_settings_of_unknown, image)
            )

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _start_again(self, machine: Machine) -> None:
        from thanos_tui.tui.machine.form import settings_of

        await self._ask_and_begin(Path(machine.image), settings_of(machine))

    async def _ask_and_begin(self, image: Path, settings: Settings) -> None:
        from thanos_tui.tui.machine.form import StartForm

        chosen = await self.app.push_screen_wait(StartForm(image, settings))
        if chosen is not None:
            self._begin(lambda: vm.boot_of(image), chosen)

    @work(group="start", exit_on_error=False)
    async def _begin(self, image: Callable[[], Boot], settings: Settings) -> None:
        def work() -> Machine:
            boot = image()
            reporter = Reporter(self._tell_of)
            vm.bring_qemu(boot, settings, reporter)
            return vm.start(boot, settings, reporter)

        self._activity("Starting a machine")
        try:
            machine = await perform(work)
        except ThanosError as error:
            self.thanos.tell(error)
        else:
            self._list.chosen = machine.name
            self._look()
        finally:
            self._activity("")

    def _tell_of(self, event: Event) -> None:
        """Show what a piece of work reports; called from its thread."""
        text = event.title if isinstance(event, StepStarted) else event.text if isinstance(event, LogLine) else ""
        if text:
            self.app.call_from_thread(self._activity, text)

    def _activity(self, text: str) -> None:
        line = self.query_one("#activity", Static)
        line.update(f" {text}{look().ellipsis}" if text else "")
        line.set_class(bool(text), "-busy")

    # Ending, and the rest

    def action_stop(self) -> None:
        """The power button; once more, and it is switched off."""
        machine = self._alive()
        if machine is None:
            return
        under_way = self._stopping.get(machine.name)
        if under_way is not None:
            under_way.cancel()
            self._stop(machine, 0)
        else:
            self._stop(machine, 30)

    @work(group="stop", exit_on_error=False)
    async def _stop(self, machine: Machine, patience: float) -> None:
        listing = self._list

        def tell(event: Event) -> None:
            if isinstance(event, LogLine):
                self.app.call_from_thread(listing.say, machine.name, f"stopping: {event.text}")

        reporter = self._stopping[machine.name] = Reporter(tell)
        listing.say(machine.name, "stopping")
        try:
            done = await perform(vm.stop, machine, reporter, patience)
            self.notify(f"{machine.name}: {done.how}, {done.seconds:.1f} s", timeout=3, markup=False)
        except Interrupted:
            return  # somebody lost patience: the other call tells how it ended
        except ThanosError as error:
            self.thanos.tell(error)
        finally:
            if self._stopping.get(machine.name) is reporter:
                self._look()
                listing.say(machine.name, "")
        # Not before the list has been looked at again: that it has ended is no surprise.
        self.set_timer(2 * _EVERY, lambda: self._forget_stop(machine.name, reporter))

    def _forget_stop(self, name: str, reporter: Reporter) -> None:
        if self._stopping.get(name) is reporter:
            del self._stopping[name]

    @work(group="act", exit_on_error=False)
    async def action_reboot(self) -> None:
        machine = self._alive()
        if machine is not None:
            await self._try(vm.reboot, machine)
            self.query_one(AppsView).machine_reset()
            self.notify(f"{machine.name} starts again", timeout=2, markup=False)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_remove(self) -> None:
        machine = self._list.machine
        if machine is None:
            return
        if machine.alive:
            self.thanos.tell(InputError(f"machine {machine.name} is running", hint="stop it first: x"))
            return
        answer = await self.thanos.ask(
            f"Remove {machine.name}?",
            [("yes", "Remove it"), ("no", "Keep it")],
            "Its log, its host key and its data disk go with it.",
        )
        if answer == "yes":
            await self._try(vm.remove, machine.name)
            self._look()

    async def _try(self, function: Callable[..., object], *args: object) -> None:
        try:
            await perform(function, *args)
        except ThanosError as error:
            self.thanos.tell(error)

    @work(group="act", exit_on_error=False)
    async def action_console(self) -> None:
        machine = self._alive()
        if machine is not None:
            await self.thanos.open_console(machine.name)

    def action_address(self) -> None:
        machine = self._list.machine
        if machine is not None:
            self.thanos.copy(rows.address(machine), "the address of its SSH server")

    @work(group="act", exit_on_error=False)
    async def action_picture(self) -> None:
        machine = self._alive()
        if machine is None:
            return
        path = Path(f"{machine.name}.png").absolute()
        try:
            await perform(vm.screenshot, machine, path)
        except ThanosError as error:
            self.thanos.tell(error)
        else:
            self.notify(str(path), title="Saved", timeout=5, markup=False)

    def action_meter(self) -> None:
        self.query_one(SoundLine).switch()

    @work(group="record", exit_on_error=False)
    async def action_record(self) -> None:
        machine = self._alive()
        if machine is not None:
            await self.query_one(SoundLine).record(machine)

    def _alive(self) -> Machine | None:
        """The chosen machine; says so where there is none, or it does not run."""
        machine = self._list.machine
        if machine is None or not machine.alive:
            said = "there is no machine" if machine is None else f"{machine.name} does not run; Enter starts it again"
            self.notify(said, timeout=3, markup=False)
            return None
        return machine


def _settings_of_unknown(image: Path) -> Settings:
    """The machine for an image that no known build has made."""
    try:
        return Settings(architecture=vm.architecture_of(vm.boot_of(image)) or Settings.architecture)
    except InputError:
        return Settings()  # starting it says what is wrong with it
