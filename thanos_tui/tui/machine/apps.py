"""The view of a machine's apps: which there are, what they say, and what can be done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from thanos_tui import apps
from thanos_tui.errors import InputError, Interrupted, ThanosError
from thanos_tui.events import Event, LogLine, Progress, Reporter, StepStarted
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import rows
from thanos_tui.tui.machine.applog import AppLog
from thanos_tui.tui.machine.link import Link
from thanos_tui.tui.machine.log import other_start
from thanos_tui.tui.machine.running import ARCHIVES, RunForm, Wanted, load, run
from thanos_tui.tui.machine.services import ServiceLines
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.apps import AppState, Engine
    from thanos_tui.tui.app import ThanosApp
    from thanos_tui.tui.dialogs import Prompt
    from thanos_tui.vm import Machine

_AGAIN = 3.0  # seconds before another try, after a connection that failed or was lost
_ALIVE = ("running", "restarting", "paused")
_LIST = 8  # rows of the list at most; more can be scrolled to
_NO_LINK = "there is no connection to Docker"

R = TypeVar("R")


class AppsView(Vertical):
    """A list of the apps on a machine's stark; below it the log of the chosen one.

    There is a connection to the machine's Docker while the apps of a running machine are shown, and after that until
    the pane is left, so that coming back takes no time.
    """

    DEFAULT_CSS = """
    AppsView #app-list { height: 1; }
    AppsView #app-title { height: 1; background: $panel; color: $text-muted; }
    AppsView #app-log { height: 1fr; }
    AppsView #app-work { height: 1; color: $text-warning; display: none; }
    AppsView.-busy #app-work { display: block; }
    AppsView.-none #app-list { height: 1fr; padding: 1 1 0 1; }
    AppsView.-none #app-title, AppsView.-none #app-log { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("apps.run", "r", "run", "Run app", "Run a container with the machine's screen and sound.", show=True),
        key("apps.start", "space", "start", "Start", "Start an app that has ended, as it was run.", show=True),
        key("apps.halt", "h", "halt", "Halt", "Ask the app to end; after ten seconds it is killed.", show=True),
        key("apps.restart", "A", "restart", "Start again", "Ask the app to end, and start it anew."),
        key("apps.remove", "d", "remove", "Remove app", "Remove the app, with its log and what it wrote.", show=True),
        key("apps.load", "l", "load", "Load", "Give the machine's Docker an image from a file.", show=True),
        key("apps.cancel", "escape", "cancel", "Give up", "Give up what is being brought to the machine."),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.apps: tuple[AppState, ...] = ()
        """The apps of the machine, as they were found last."""
        self.chosen: str | None = None
        """The name of the app under the cursor."""
        self._state: str | None = None  # of the app under the cursor, to which the last line is fitted
        self._machine: Machine | None = None  # whose apps they are
        self._seen = False
        self._said = ""  # in the place of apps, while there are none to show
        self._link: Link | None = None
        self._again = 0.0  # when to try to connect again, by the loop's clock
        self._hopeless: Machine | None = None  # there is no use in that
        self._looking: Link | None = None
        self._prompt: Prompt | None = None
        self._doing: dict[str, str] = {}
        self._job: Reporter | None = None
        self.under_way = ""
        """What is being brought to a machine, if anything."""
        self._step, self._progress = "", Progress("", 0)
        self._wanted = Wanted("")  # the app that was run last

    def compose(self) -> ComposeResult:
        yield ServiceLines(id="services")
        yield Lines(cursor=True, follow=False, id="app-list")
        yield Static(id="app-title", markup=False)
        yield AppLog(id="app-log")
        yield Static(id="app-work", markup=False)

    def on_mount(self) -> None:
        self._draw()

    def on_unmount(self) -> None:
        self._disconnect()
        if self._job is not None:
            self._job.cancel()

    def focus(self, scroll_visible: bool = True) -> Self:
        self.query_one("#app-list").focus(scroll_visible)
        return self

    def on_resize(self) -> None:
        self._draw()

    @property
    def _list(self) -> Lines:
        return self.query_one("#app-list", Lines)

    # The connection

    def watch_machine(self, machine: Machine | None, *, seen: bool) -> None:
        """Show this machine's apps from now on, if they are seen. None: the pane is left."""
        self._seen = seen and machine is not None
        if not self._seen:
            self._hopeless = None  # who comes back to it may have done something about it
        if machine is None:
            self._disconnect()
            self._follow()
            return
        if self._machine is None or other_start(self._machine, machine):
            self._disconnect()
            self.apps, self.chosen, self._again = (), None, 0.0
        self._machine = machine
        if not machine.alive:
            self._disconnect()
            self.apps = ()
            self._say(f"{machine.name} does not run.")
        elif self._link is None:
            hopeless = self._hopeless is not None and not other_start(self._hopeless, machine)
            if seen and not hopeless and asyncio.get_running_loop().time() >= self._again:
                self._connect(machine)
        elif seen:
            self.refresh_apps()
        self._follow()

    def machine_reset(self) -> None:
        """The machine starts anew: it does not say goodbye, so its connection would be kept for another minute."""
        self._disconnect()
        self.apps = ()

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._prompt is not None and self._prompt.is_current:
            self._prompt.dismiss(None)

    @work(exclusive=True, group="link", exit_on_error=False)
    async def _connect(self, machine: Machine) -> None:
        loop = asyncio.get_running_loop()

        def listen(event: Event) -> None:
            loop.call_soon_threadsafe(self._waiting, link, event)

        def tell() -> None:
            loop.call_soon_threadsafe(self._follow)
            loop.call_soon_threadsafe(self.refresh_apps)

        async def ask(path: Path) -> str:
            # It is asked for in the connection's own loop.
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ask(machine, path), loop))

        self._say(f"Connecting to Docker on {machine.name}{look().ellipsis}")
        link = self._link = Link(machine, Reporter(listen), ask)
        try:
            await perform(link.hold, tell)
        except Interrupted:
            return
        except ThanosError as error:
            self._lost(link, error)

    def _lost(self, link: Link, error: ThanosError) -> None:
        """A connection failed; where that may be otherwise next time, there is a next time."""
        if self._link is not link:
            return
        self._disconnect()
        self._again = asyncio.get_running_loop().time() + _AGAIN
        self.apps = ()
        if isinstance(error, InputError):
            self._hopeless = link.machine
            self._say(f"{error.message}.\n{hint(self.app, error)}")
        else:
            self._say(f"{error.message}. Trying again{look().ellipsis}\n{hint(self.app, error)}")

    def _waiting(self, link: Link, event: Event) -> None:
        """Say what is waited for before there is a connection."""
        if self._link is not link or link.ready:
            return
        if isinstance(event, StepStarted):
            self._step = event.title
            self._say(f"{event.title}{look().ellipsis}")
        elif isinstance(event, Progress):
            self._say(f"{self._step}, {event.done} s")

    async def _ask(self, machine: Machine, path: Path) -> str:
        """Ask for a key's passphrase, above the app."""
        from thanos_tui.tui.dialogs import Prompt

        explanation = f"{machine.name} takes this key."
        self._prompt = Prompt(f"Passphrase for {path}", explanation=explanation, secret=True)
        passphrase = await self.app.push_screen_wait(self._prompt)
        if passphrase is None:
            # Not a ConsoleError, after which it would be asked for again and again.
            raise InputError(f"the key {path} was not unlocked", hint=f"let your ssh-agent hold it: ssh-add {path}")
        return passphrase

    # What there is

    @work(group="apps", exit_on_error=False)
    async def refresh_apps(self) -> None:
        """Look which apps there are now."""
        link = self._link
        if link is None or not link.ready or self._looking is link:
            return
        self._looking = link
        try:
            found = await perform(link.use, apps.apps)
        except ThanosError as error:
            self._lost(link, error)
            return
        finally:
            if self._looking is link:
                self._looking = None
        if self._link is link:
            self.apps = found
            self._say("No app is here yet. r runs one; l loads an image from a file.")

    def _say(self, text: str) -> None:
        """What to show where there is no app."""
        self._said = text
        self._draw()

    def _draw(self) -> None:
        listing, names = self._list, [app.name for app in self.apps]
        self.set_class(not names, "-none")
        lines: list[rows.Row] = rows.apps(self.apps, self._doing, self.size.width - 1, look())
        if not names:
            lines = [((line, "muted"),) for line in self._said.splitlines()]
        listing.cursor, listing.wrap = bool(names), not names
        rows.fill(listing, lines)
        listing.styles.height = max(1, min(_LIST, self.size.height // 3, len(names))) if names else None
        if names and self.chosen not in names:
            self.chosen = names[min(listing.cursor_line or 0, len(names) - 1)]
        if self.chosen in names and listing.cursor_line != names.index(self.chosen):
            listing.go_to(names.index(self.chosen))
        app = self.app_chosen
        state = app.state if app else None
        if state != self._state:
            self._state = state
            self.refresh_bindings()
        if app is not None:
            self.query_one("#app-title", Static).update(rows.about_app(app, self.size.width, look()))
        self._follow()

    @property
    def app_chosen(self) -> AppState | None:
        """The app under the cursor."""
        return next((app for app in self.apps if app.name == self.chosen), None)

    def _follow(self) -> None:
        """Let what is seen follow the services, and the app that is chosen."""
        link = self._link if self._seen else None
        self.query_one(ServiceLines).watch_link(link)
        self.query_one(AppLog).watch_app(link if link is not None and link.ready else None, self.app_chosen)

    @on(Lines.CursorMoved, "#app-list")
    def _moved(self, event: Lines.CursorMoved) -> None:
        event.stop()
        if event.index < len(self.apps) and self.apps[event.index].name != self.chosen:
            self.chosen = self.apps[event.index].name
            self._draw()

    @on(Lines.Picked, "#app-list")
    def _picked(self, event: Lines.Picked) -> None:
        event.stop()
        self.query_one(AppLog).focus()

    # What can be done

    def action_run(self) -> None:
        link = self._usable()
        if link is not None:
            self._run(link)

    @work(group="job", exit_on_error=False)
    async def _run(self, link: Link) -> None:
        wanted = await self.app.push_screen_wait(RunForm(link.machine.name, self._wanted, link.parts))
        if wanted is None:
            return
        self._wanted = wanted
        state = await self._do(
            link, f"the start of {wanted.source}", lambda engine, reporter: run(engine, reporter, wanted)
        )
        if state is not None:
            self.chosen = state.name
            self.notify(f"{state.name}: {state.status}", title=link.machine.name, timeout=4, markup=False)

    def action_load(self) -> None:
        link = self._usable()
        if link is not None:
            self._load(link)

    @work(group="job", exit_on_error=False)
    async def _load(self, link: Link) -> None:
        from thanos_tui.tui.choosing import ChooseFile

        path = await self.app.push_screen_wait(ChooseFile("Load which archive?", Path(), suffixes=ARCHIVES))
        if path is None:
            return
        names = await self._do(
            link, f"the loading of {path.name}", lambda engine, reporter: load(engine, reporter, path)
        )
        if names is not None:
            self.notify("\n".join(names), title=f"{link.machine.name} has", timeout=5, markup=False)

    async def _do(self, link: Link, what: str, job: Callable[[Engine, Reporter], R]) -> R | None:
        """What a job returns, whose way is shown; None where it fails, which is told. Leaving the pane ends no job."""
        loop = asyncio.get_running_loop()

        def listen(event: Event) -> None:
            loop.call_soon_threadsafe(self._heard, event)

        reporter = self._job = Reporter(listen)
        self.under_way, self._step, self._progress = what, what.capitalize(), Progress("", 0)
        self._draw_work()
        try:
            return await perform(link.use, job, reporter)
        except Interrupted:
            self.notify(f"{what} was given up", timeout=3, markup=False)
        except ThanosError as error:
            self.thanos.tell(error)
        finally:
            self._job, self.under_way = None, ""
            self._draw_work()
            self.refresh_apps()
        return None

    def _heard(self, event: Event) -> None:
        """A job has something to say."""
        if isinstance(event, StepStarted):
            self._step, self._progress = event.title, Progress(event.step, 0, event.total)
        elif isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, LogLine):
            self._step, self._progress = event.text, Progress("", 0)
        self._draw_work()

    def _draw_work(self) -> None:
        self.set_class(self._job is not None, "-busy")
        line = rows.work(self._step, self._progress.done, self._progress.total, self.size.width, look())
        self.query_one("#app-work", Static).update(line)
        self.refresh_bindings()

    def action_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Where nothing is under way, Escape is for whoever is around. The last line has room for one of two."""
        if action == "cancel":
            return self._job is not None
        runs = self.app_chosen is not None and self.app_chosen.state in _ALIVE
        if action == "start":
            return self.app_chosen is not None and not runs
        return action != "halt" or self.app_chosen is None or runs

    def action_start(self) -> None:
        self._act("starting", apps.start)

    def action_halt(self) -> None:
        self._act("ending", apps.stop)

    def action_restart(self) -> None:
        self._act("starting again", apps.restart)

    @work(group="act", exit_on_error=False)
    async def _act(self, doing: str, function: Callable[[Engine, str], object]) -> None:
        app, link = self._app(), self._link
        if link is None:
            self.notify(_NO_LINK, timeout=3, markup=False)
        elif app is not None:
            await self._try(link, app.name, doing, function)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_remove(self) -> None:
        app, link = self._app(), self._link
        if link is None:
            self.notify(_NO_LINK, timeout=3, markup=False)
        if app is None or link is None:
            return
        runs = "It runs, and is killed first. " if app.state in _ALIVE else ""
        choices = [("yes", "Remove it"), ("no", "Keep it")]
        about = f"{runs}Its log and what it wrote go with it; volumes with a name stay."
        if await self.thanos.ask(f"Remove {app.name}?", choices, about) == "yes":
            await self._try(link, app.name, "being removed", lambda engine, name: apps.remove(engine, name, force=True))

    async def _try(self, link: Link, name: str, doing: str, function: Callable[[Engine, str], object]) -> None:
        """Do something to an app, and say so in the list meanwhile."""
        self._doing[name] = doing
        self._draw()
        try:
            await perform(link.use, function, name)
        except ThanosError as error:
            self.thanos.tell(error)
        finally:
            self._doing.pop(name, None)
            self._draw()
            self.refresh_apps()

    def _usable(self) -> Link | None:
        """The connection for another job; says so where there is none, or a job is under way."""
        if self._link is None or not self._link.ready:
            self.notify(_NO_LINK, timeout=3, markup=False)
        elif self._job is not None:
            self.notify(f"{self.under_way} is under way; Esc gives it up", timeout=3, markup=False)
        else:
            return self._link
        return None

    def _app(self) -> AppState | None:
        """The chosen app; says so where there is none, or something is being done to it."""
        app = self.app_chosen
        if app is None:
            self.notify("there is no app", timeout=3, markup=False)
        elif app.name in self._doing:
            self.notify(f"{app.name} is {self._doing[app.name]}", timeout=3, markup=False)
        else:
            return app
        return None

    @property
    def thanos(self) -> ThanosApp:
        """The app, by its own type."""
        return cast("ThanosApp", self.app)
