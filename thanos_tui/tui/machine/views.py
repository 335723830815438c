"""What is shown of a machine: one of several views, and above it a line with their names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from thanos_tui.builds import bootable
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import rows
from thanos_tui.tui.machine.apps import AppsView
from thanos_tui.tui.machine.log import SerialLog
from thanos_tui.tui.machine.screen import ScreenView
from thanos_tui.tui.work import perform
from thanos_tui.vm import Machine, timeline

if TYPE_CHECKING:
    from textual.events import Click

    from thanos_tui.tui.app import ThanosApp

VIEWS = {"screen": "Screen", "log": "Serial log", "boot": "Boot", "details": "Details", "apps": "Apps"}


class ViewLine(Widget):
    """The views by name; a click chooses one."""

    DEFAULT_CSS = """
    ViewLine { height: 1; background: $panel; color: $text-muted; }
    ViewLine .view--current { color: $text; text-style: bold underline; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"view--current"}
    current = reactive("screen")
    said: reactive[Content] = reactive(Content(""))

    class Chosen(Message):
        """A view was chosen with the mouse."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def render(self) -> Content:
        current = self.get_visual_style("view--current")
        names = [
            Content(f" {title} ").stylize(current) if view == self.current else Content(f" {title} ")
            for view, title in VIEWS.items()
        ]
        left = Content("").join(names)
        said = self.said.truncate(max(0, self.size.width - left.cell_length - 2), ellipsis=True)
        gap = self.size.width - left.cell_length - said.cell_length - 1
        return Content("").join([left, Content(" " * max(1, gap)), said])

    def on_click(self, event: Click) -> None:
        position = 0
        for view, title in VIEWS.items():
            position += len(title) + 2
            if event.x < position:
                self.post_message(self.Chosen(view))
                return


class Views(Vertical):
    """The views of a machine. The one that is seen looks at the machine, and no other does."""

    DEFAULT_CSS = """
    Views ContentSwitcher, Views ContentSwitcher > * { height: 1fr; }
    Views #none { padding: 1 2; color: $text-muted; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._machine: Machine | None = None
        self._seen = False
        self._values: list[str] = []  # what copying a row of the details gives

    def compose(self) -> ComposeResult:
        yield ViewLine()
        with ContentSwitcher(initial="none"):
            yield Static(id="none", markup=False)
            yield ScreenView(id="screen")
            yield SerialLog(id="log")
            yield Lines(follow=False, id="boot")
            yield Lines(cursor=True, follow=False, id="details")
            yield AppsView(id="apps")

    @property
    def current(self) -> str:
        """Which one is shown: a key of VIEWS."""
        return self.query_one(ViewLine).current

    def watch_machine(self, machine: Machine | None, *, seen: bool) -> None:
        """Show this machine from now on, or that there is none. seen: whether anybody sees it."""
        self._machine, self._seen = machine, seen
        self._look()

    def show(self, view: str) -> None:
        """Show another view: a key of VIEWS. The focus stays in the views, where it was in them."""
        switcher, focused = self.query_one(ContentSwitcher), self.screen.focused
        inside = focused is not None and switcher in focused.ancestors
        self.query_one(ViewLine).current = view
        self._look()
        if inside and self._machine is not None:
            switcher.query_one(f"#{view}").focus()

    def turn(self, by: int) -> None:
        """Show the view that stands so many names behind this one."""
        names = list(VIEWS)
        self.show(names[(names.index(self.current) + by) % len(names)])

    @on(ViewLine.Chosen)
    def _chosen(self, event: ViewLine.Chosen) -> None:
        self.show(event.view)

    def _look(self) -> None:
        machine, view = self._machine, self.current
        seen = machine if self._seen else None
        self.query_one(AppsView).watch_machine(seen, seen=view == "apps")
        self.query_one(ScreenView).watch_machine(seen if view == "screen" else None)
        self.query_one(SerialLog).watch_machine(seen if view == "log" else None)
        if machine is None:
            self.explain("")
            return
        self.query_one(ContentSwitcher).current = view
        if seen and view == "boot":
            self._show_boot(machine)
        if view == "details":
            self._show_details(machine)
        self._summarise()

    def explain(self, problem: str) -> None:
        """Say why no machine is shown: the problem, or else that there is none yet, and how to begin."""
        self.query_one(ContentSwitcher).current = "none"
        self._explain(problem)

    @work(exclusive=True, group="none", exit_on_error=False)
    async def _explain(self, problem: str) -> None:
        if not problem:
            known = await perform(bootable)
            last = f"b boots {Path(known[0]).name}, which was built last." if known else ""
            problem = f"There is no machine yet. {last or 'Build one first: 3, or Ctrl+B.'}"
        self.query_one("#none", Static).update(problem)

    @on(ScreenView.Grabbed)
    def _summarise(self) -> None:
        """Say behind the names what is to be said of the view that is shown."""
        said = Content("")
        if self.current == "screen":
            said = self.query_one(ScreenView).summary()
        elif self.current == "log":
            said = Content(f"{len(self.query_one(SerialLog))} lines")
        elif self.current == "details":
            said = Content("Enter copies a value")
        self.query_one(ViewLine).said = said

    @work(exclusive=True, group="boot", exit_on_error=False)
    async def _show_boot(self, machine: Machine) -> None:
        told = await perform(timeline.timeline, machine)
        view = self.query_one("#boot", Lines)
        now = time.time() - told.began if machine.alive else None
        rows.fill(view, rows.boot(told, now, view.scrollable_content_region.width, look()))

    def _show_details(self, machine: Machine) -> None:
        facts = rows.details(machine)
        self._values = [value for _, value in facts]
        rows.fill(self.query_one("#details", Lines), [row for row, _ in facts])

    @on(Lines.Picked, "#details")
    def _detail_picked(self, event: Lines.Picked) -> None:
        cast("ThanosApp", self.app).copy(self._values[event.index], "the line's value")
