"""The build pane: starts builds, shows how far they are and what came of them, and goes on to booting it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from thanos_tui.editing.estimate import BuildState
from thanos_tui.errors import HostError, InputError, Interrupted, ThanosError
from thanos_tui.events import Event, Reporter
from thanos_tui.tui import faults
from thanos_tui.tui.build import drawing, report
from thanos_tui.tui.build.work import Order, Outcome, build, last_build
from thanos_tui.tui.hints import hint
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane
from thanos_tui.tui.styled import Line
from thanos_tui.tui.work import perform
from thanos_tui.words import counted, duration, short

if TYPE_CHECKING:
    from textual.timer import Timer

    from thanos_tui.builds import Build
    from thanos_tui.tui.build.report import File, Report

_TICK = 1 / 30  # seconds between two looks at the events that threads have left
_DRAIN = 0.008  # seconds that taking in events may last before other things have their turn
_AT_ONCE = 500  # events taken in as one
_REDRAW = 0.1  # seconds between two pictures of the tree, and two frames of its spinners
_NOTES = 0.25  # seconds between two texts of the status line


@dataclass
class _Run:
    """A build under way, or the last one. events: what threads reported and nobody has looked at yet."""

    order: Order
    reporter: Reporter
    events: deque[Event]
    state: BuildState
    revision: int


class Head(Static):
    """How things stand: a line about the build, and one about what it is built from."""

    DEFAULT_CSS = """
    Head { height: 2; padding: 0 1; background: $boost; }
    """


class BuildPane(Pane):
    """Builds the document, and shows the steps, the log and the outcome."""

    TITLE = "Build"
    HELP = (
        "Builds the profile as it stands, saved or not, exactly as `thanos-tui --replay` does. You can go on "
        "configuring meanwhile: a build goes by what the profile said when it began.\n"
        "\n"
        "Above are the steps of the build, below its log; Tab goes from one to the other, `z` gives one of them all "
        "the room. `x` stops a build, `r` tries again after it failed: what was finished by then is kept.\n"
        "\n"
        "Afterwards the files are listed, with what takes the space in them and what is new since the last build; `d` "
        "shows the steps again. `m` boots the file under the cursor, `t` logs in to a machine that runs it, `v` shows "
        "it in the file manager, `p` and `h` copy its path and its SHA-256.\n"
        "\n"
        "`O` builds without the network, `U` renews the lock, `D` chooses where the files go."
    )
    DEFAULT_CSS = """
    BuildPane #trouble { height: auto; max-height: 8; padding: 0 1; display: none; }
    BuildPane #trouble.-shown { display: block; }
    BuildPane #top { height: 3fr; }
    BuildPane #log { height: 2fr; }
    BuildPane.-report #top { height: 3fr; }
    BuildPane.-report #log { height: 1fr; }
    BuildPane #title { height: 1; padding: 0 1; background: $boost; color: $text-muted; }
    BuildPane.-top #log, BuildPane.-top #title { display: none; }
    BuildPane.-log #top { display: none; }
    BuildPane #report { display: none; }
    BuildPane.-report #report { display: block; }
    BuildPane.-report #steps { display: none; }
    BuildPane #steps, BuildPane #report { background: $background; }
    BuildPane Lines { padding: 0 1; scrollbar-size: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("build.start", "b", "start", "Build", "Build the profile as it stands now.", show=True),
        key("build.cancel", "x", "cancel", "Stop", "Stop the build; what is finished is kept.", show=True),
        key("build.retry", "r", "retry", "Retry", "Go on from the step that failed.", show=True),
        key("build.boot", "m", "boot", "Boot", "Boot the file under the cursor in a machine.", show=True),
        key("build.console", "t", "console", "Console", "Log in to a machine that runs what was built.", show=True),
        key("build.details", "d", "details", "Steps", "Show the steps, or what came of them.", show=True),
        key("build.reveal", "v", "reveal", "Reveal", "Show the files where they are."),
        key("build.copy-path", "p", "copy_path", "Copy path", "Copy the path of the file under the cursor."),
        key("build.copy-hash", "h", "copy_hash", "Copy SHA-256", "Copy the hash of the file under the cursor."),
        key("build.zoom", "z", "zoom", "Zoom", "Give the steps all the room, then the log, then both some."),
        key(
            "build.offline", "O", "toggle_offline", "Offline", "Build from the cache, without the network, or with it."
        ),
        key("build.update", "U", "toggle_update", "Renew lock", "Take the newest packages instead of the locked ones."),
        key("build.directory", "D", "directory", "Directory", "Choose where the files go."),
    ]

    status: reactive[str] = reactive("")
    """A few words for the app's status line; "" while nothing is built."""
    offline: reactive[bool] = reactive(False)
    renewing: reactive[bool] = reactive(False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run: _Run | None = None
        self._report: Report | None = None
        self._files: dict[int, File] = {}
        self._error: ThanosError | None = None
        self._log_titles: dict[str, str] = {}
        self._timer: Timer | None = None
        self._frame = 0
        self._redrawn = self._noted = 0.0
        self._output: Path | None = None

    def compose(self) -> ComposeResult:
        yield Head(id="head")
        yield Static(id="trouble")
        with Vertical(id="top"):
            yield Lines(id="steps", follow=False)
            yield Lines(id="report", follow=False, cursor=True)
        yield Static(Content("Log"), id="title")
        yield Lines(id="log", wrap=False)

    def on_mount(self) -> None:
        self._timer = self.set_interval(_TICK, self._tick, pause=True)
        self._redraw()
        self._recall()

    def on_unmount(self) -> None:
        # The app is closed: a build that nobody watches would go on without being able to tell of it.
        if self._run is not None and self.building:
            self._run.reporter.cancel()

    def on_resize(self) -> None:
        self._draw_report()
        self._redraw()

    def focus_first(self) -> None:
        # At once: by the time of the next message the report may be shown in the place of the steps.
        self.screen.set_focus(self.query_one("#report" if self.has_class("-report") else "#steps"))

    def document_changed(self) -> None:
        self._redraw_head()

    @property
    def building(self) -> bool:
        """Whether a build is under way."""
        return self._run is not None and self._run.state.outcome == "running"

    @property
    def under_way(self) -> str:
        return "the build" if self.building else ""

    @property
    def last(self) -> Build | None:
        """The build whose outcome is shown."""
        return self._report.build if self._report else None

    # Building

    def start(self) -> None:
        """Build the document as it stands now."""
        if self.building:
            self.notify("A build is under way; x stops it.", severity="warning", markup=False)
            return
        self._begin()

    def action_start(self) -> None:
        self.start()

    def action_retry(self) -> None:
        if not self.building:
            self._begin(again=True)

    @work(exclusive=True, group="build", exit_on_error=False)
    async def _begin(self, again: bool = False) -> None:
        from thanos_tui import builds, replay

        document = self.thanos.document
        keyless = replay.lacks_key(document.resolved) and not document["sshd.generate-key"].value
        if keyless and not await self._have_key():
            return
        learnt = await perform(builds.took)
        order = Order(document.profile(), self._output or self.thanos.output, self.offline, self.renewing)
        events: deque[Event] = deque()
        now = time.monotonic()
        state = BuildState(now, learnt)
        if again and self._run is not None and self._run.order.profile == order.profile:
            state = self._run.state.again(now)
        run = self._run = _Run(order, Reporter(events.append), events, state, document.revision)
        self._error = None
        self._log_titles.clear()
        self.remove_class("-report")
        self.query_one("#log", Lines).clear()
        if not self.query_one("#log").has_focus:
            self.query_one("#steps").focus()
        if self._timer is not None:
            self._timer.resume()
        self._turn()
        try:
            outcome = await perform(build, order, run.reporter)
        except Interrupted:
            self._end(run, None)
        except ThanosError as error:
            self._end(run, error)
        except Exception as error:
            # Not the user's fault, and not the end of the app: what is known of it goes where it can be read.
            try:
                hint = f"details are in {short(await perform(faults.note, error))}"
            except HostError as unwritten:
                hint = unwritten.message
            self._end(run, ThanosError(f"the build ended on a fault of its own ({type(error).__name__})", hint=hint))
        else:
            self._end(run, None, outcome)

    async def _have_key(self) -> bool:
        """Ask for a key pair where nobody could log in otherwise; False if the build is not wanted then."""
        answer = await self.thanos.ask(
            "You have no public SSH key: how is one to log in?",
            [("make", "Make a key pair for this profile"), ("without", "Build without one"), ("no", "Do not build")],
            "The pair is kept with this profile's data; the console finds it by itself.",
        )
        if answer == "make":
            try:
                self.thanos.document.set("sshd.generate-key", True)
            except InputError as error:
                self.thanos.tell(error)
                return False
        return answer in ("make", "without")

    def _end(self, run: _Run, error: ThanosError | None, outcome: Outcome | None = None) -> None:
        """Take in how a build ended: with an outcome, with an error, or by the user's wish."""
        self._drain(run, whole=True)
        run.state = run.state.finish("done" if outcome else "failed" if error else "stopped", time.monotonic())
        self._error = error
        if self._timer is not None:
            self._timer.pause()
        log = self.query_one("#log", Lines)
        if outcome is not None:
            self._show_outcome(outcome)
        elif error is not None:
            lines: list[Line] = [(f"{look().cross} {text}", "error") for text in str(error).splitlines()[:1]]
            log.extend([*lines, *(("  " + text.strip(), "") for text in hint(self.app, error).splitlines())])
        else:
            log.append((f"{look().warning} stopped", "warning"))
        self._tell_elsewhere(error, outcome)
        self._turn()

    def _tell_elsewhere(self, error: ThanosError | None, outcome: Outcome | None) -> None:
        """Who is looking at another pane hears of it there."""
        if self.thanos.shown == self.id:
            return
        if error is not None:
            self.notify(f"The build failed: {error.message}", severity="error", markup=False)
        elif outcome is not None:
            self.notify(f"{outcome.replayed.build.name} is built.", markup=False)

    def _show_outcome(self, outcome: Outcome) -> None:
        replayed = outcome.replayed
        files = tuple(
            report.File(str(Path(one.path).absolute()), one.format, one.size, one.sha256) for one in replayed.artefacts
        )
        self._show_report(report.Report(replayed.build, files, outcome.before, outcome.changed, replayed.changes))

    def _show_report(self, found: Report) -> None:
        """Show a report in the place of the steps; the focus, if it was there, goes with it."""
        self._report = found
        self._draw_report()
        at_steps = self.screen.focused is self.query_one("#steps")
        self.add_class("-report")
        if at_steps:
            self.focus_first()

    @work(exclusive=True, group="recall", exit_on_error=False)
    async def _recall(self) -> None:
        """Show what is known of the last build of this profile, before there is another one."""
        document = self.thanos.document

        def known() -> Report | None:
            before = last_build(Order(document.profile(), self._output or self.thanos.output, False, False))
            return report.remembered(before) if before else None

        found = await perform(known)
        if found is not None and self._run is None:
            self._show_report(found)
            self._turn()

    # What threads report

    def _tick(self) -> None:
        run = self._run
        if run is None:
            return
        self._drain(run)
        now = time.monotonic()
        if now - self._redrawn >= _REDRAW:
            self._redrawn = now
            self._frame += 1
            self._redraw()

    def _drain(self, run: _Run, whole: bool = False) -> None:
        """Take in what was reported since the last time, at once; all of it, or what time there is for."""
        log, shown = self.query_one("#log", Lines), look()
        until = time.monotonic() + _DRAIN
        while run.events and (whole or time.monotonic() < until):
            taken = [run.events.popleft() for _ in range(min(len(run.events), _AT_ONCE))]
            run.state = run.state.after_all(taken, time.monotonic())
            log.extend([line for event in taken for line in drawing.log_lines(event, self._log_titles, shown)])

    # Drawing

    def _redraw(self) -> None:
        now = time.monotonic()
        if self._run is not None and self.is_mounted:
            steps = self.query_one("#steps", Lines)
            width = max(20, steps.scrollable_content_region.width)
            rows = self._run.state.rows(now)
            steps.replace(drawing.tree(rows, width, look(), self._frame))
            if self.building:
                running = [number for number, row in enumerate(rows) if row.stage == "running"]
                if running and not steps.has_focus:
                    steps.go_to(running[-1])
        self._redraw_head()

    def _redraw_head(self) -> None:
        if not self.is_mounted:
            return
        now = time.monotonic()
        first, second = self._head(now)
        self.query_one("#head", Head).update(Content("\n").join([first, second]), layout=False)
        if not self.building:
            self.status = ""
        elif self._run is not None and now - self._noted >= _NOTES:
            self._noted = now
            self.status = f"building {drawing.progress(self._run.state, now)}"

    def _turn(self) -> None:
        """Take in that a build began or ended: which keys do something, and whether there is trouble to tell."""
        trouble = self.query_one("#trouble", Static)
        trouble.set_class(self._error is not None, "-shown")
        if self._error is not None:
            trouble.update(self._told(self._error))
        self.refresh_bindings()
        self._redraw()

    def _head(self, now: float) -> tuple[Content, Content]:
        run, shown = self._run, look()
        document = self.thanos.document
        order = run.order if run else None
        output = short((order.output if order and self.building else self._output or self.thanos.output).absolute())
        formats = ", ".join((order or Order(document.profile(), Path(), False, False)).formats)
        how = [word for word, on in (("offline", self.offline), ("renewing the lock", self.renewing)) if on]
        about = f" {shown.dot} ".join([formats, f"in {output or '.'}", *how])
        second = Content(about).stylize("$text-muted")
        if run is None:
            last = " (the last build is shown)" if self._report else ""
            return Content.assemble(
                ("Nothing is being built", "bold"), (f"{last}; b builds {document.name}", "")
            ), second
        name = run.order.profile.name
        state = run.state
        stale = self._stale(run)
        if stale and state.outcome in ("running", "done"):
            note = "changed since it began: b builds again" if not self.building else "changed since this build began"
            second = Content.assemble(second, (f"  {shown.dot} {note}", "$text-warning"))
        if self.building:
            fraction = state.fraction(now)
            bar = shown.bar(fraction, 20) + "  " if fraction is not None else ""
            stopping = "  stopping" + shown.ellipsis if run.reporter.cancelled else ""
            return (
                Content.assemble(
                    (f"{drawing.symbol('running', shown, self._frame)} ", "$text-accent"),
                    (f"Building {name}  ", "bold"),
                    (bar, "$text-accent"),
                    drawing.progress(state, now),
                    (stopping, "$text-warning"),
                ),
                second,
            )
        took = duration(state.elapsed(now))
        if state.outcome == "done":
            warned = f", {counted(state.warnings, 'warning')}" if state.warnings else ""
            first = Content.assemble((f"{shown.tick} Built {name}", "$text-success bold"), f"  in {took}{warned}")
        elif state.outcome == "stopped":
            first = Content.assemble(
                (f"{shown.warning} Stopped", "$text-warning bold"), f"  after {took}; r goes on, what is done is kept"
            )
        else:
            first = Content.assemble(
                (f"{shown.cross} The build of {name} failed", "$text-error bold"), f"  after {took}"
            )
        return first, second

    def _told(self, error: ThanosError) -> Content:
        """An error in words: what, where, what to do, and the key that goes on."""
        where = f"{error.where}: " if error.where else ""
        todo = f"\n{hint(self.app, error)}" if error.hint else ""
        return Content.assemble((f"{where}{error.message}", "$text-error"), todo, ("\nr tries again", "$text-muted"))

    def _stale(self, run: _Run) -> bool:
        document = self.thanos.document
        same = document.revision == run.revision or document.current.assignments == run.order.profile.assignments
        return not same or document.path != run.order.profile.path

    def _draw_report(self) -> None:
        if self._report is None or not self.is_mounted:
            return
        lines = self.query_one("#report", Lines)
        drawn = report.draw(self._report, max(40, self.size.width - 4), look())
        self._files = dict(drawn.files)
        lines.replace(drawn.lines)
        if lines.cursor_line not in self._files and self._files:
            lines.go_to(min(self._files))

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "cancel":
                return self.building
            case "start" | "directory":
                return not self.building
            case "retry":
                return self._run is not None and self._run.state.outcome in ("failed", "stopped")
            case "boot" | "console" | "reveal" | "copy_path":
                return self._report is not None and bool(self._report.files) and not self.building
            case "copy_hash":
                chosen = self._chosen()
                return chosen is not None and bool(chosen.sha256)
            case "details":
                return self._report is not None and self._run is not None and not self.building
        return super().check_action(action, parameters)

    def action_cancel(self) -> None:
        if self._run is not None and self.building:
            self._run.reporter.cancel()
            self._redraw_head()

    def action_details(self) -> None:
        self.toggle_class("-report")
        self.focus_first()

    def action_zoom(self) -> None:
        if self.has_class("-top"):
            self.remove_class("-top")
            self.add_class("-log")
            self.query_one("#log").focus()
        elif self.has_class("-log"):
            self.remove_class("-log")
            self.focus_first()
        else:
            self.add_class("-top")
            self.focus_first()

    def action_toggle_offline(self) -> None:
        self.offline = not self.offline
        self.renewing = self.renewing and not self.offline
        self._redraw_head()

    def action_toggle_update(self) -> None:
        self.renewing = not self.renewing
        self.offline = self.offline and not self.renewing
        self._redraw_head()

    @work(exclusive=True, group="directory", exit_on_error=False)
    async def action_directory(self) -> None:
        from thanos_tui.tui.dialogs import Prompt

        now = short((self._output or self.thanos.output).absolute())
        given = await self.app.push_screen_wait(Prompt("Where are the files to go?", now))
        if given is not None:
            self._output = Path(given or ".").expanduser()
            self._redraw_head()

    def _chosen(self) -> File | None:
        """The file under the cursor, or the first one."""
        if self._report is None or not self._report.files or not self.is_mounted:
            return None
        line = self.query_one("#report", Lines).cursor_line
        return self._files.get(-1 if line is None else line) or self._report.files[0]

    def _bootable(self) -> str | None:
        """What a machine can start from: of the format of the file under the cursor, or else the first."""
        chosen = self._chosen()
        if self._report is None or chosen is None:
            return None
        same = {one.path for one in self._report.files if one.format == chosen.format}
        outputs = self._report.build.outputs
        return next((output for output in outputs if output in same), outputs[0] if outputs else None)

    @work(exclusive=True, group="boot", exit_on_error=False)
    async def action_boot(self) -> None:
        output = self._bootable()
        if output is None or self._report is None:
            self.notify("None of these files can be booted.", severity="warning", markup=False)
            return
        await self.thanos.boot(self._report.build, output)

    @work(exclusive=True, group="console", exit_on_error=False)
    async def action_console(self) -> None:
        from thanos_tui import vm

        if self._report is None:
            return
        outputs = set(self._report.build.outputs)
        running = [machine.name for machine in await perform(vm.machines) if machine.alive and machine.image in outputs]
        if running:
            await self.thanos.open_console(running[0])
        else:
            self.notify("No machine runs this; m boots it.", markup=False)

    @work(exclusive=True, group="reveal", exit_on_error=False)
    async def action_reveal(self) -> None:
        import os

        from thanos_tui import programs

        chosen = self._chosen()
        if chosen is None:
            return
        directory = str(Path(chosen.path).parent)
        desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if desktop and programs.find("xdg-open"):
            try:
                await perform(programs.run, ["xdg-open", directory], timeout=20)
            except ThanosError as error:
                self.thanos.tell(error)
            return
        self.thanos.copy(directory, f"the directory {short(directory) or '.'}")

    def action_copy_path(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.thanos.copy(chosen.path, f"the path of {Path(chosen.path).name}")

    def action_copy_hash(self) -> None:
        if (chosen := self._chosen()) is not None and chosen.sha256:
            self.thanos.copy(chosen.sha256, f"the SHA-256 of {Path(chosen.path).name}")
