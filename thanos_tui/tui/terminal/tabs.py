"""The line of terminal tabs, and the list of machines to open one for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.events import Click

    from thanos_tui.vm import Machine

_LONGEST = 24  # cells of a tab's title


@dataclass(frozen=True)
class Label:
    """A tab on the line. phase: as of its session; rang: its bell rang while it was not shown."""

    id: str
    title: str
    phase: str
    rang: bool = False


class SessionLine(Widget, can_focus=True):
    """The open terminals by title. Here single keys act; Enter goes back into the terminal."""

    DEFAULT_CSS = """
    SessionLine { height: 1; background: $surface; color: $text-muted; }
    SessionLine:focus { background: $boost; }
    SessionLine .session--shown { color: $text; text-style: bold underline; }
    SessionLine .session--cursor { color: $text; text-style: bold reverse; }
    SessionLine .session--ended { color: $text-error; }
    SessionLine .session--waiting { color: $text-warning; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "session--shown", "session--cursor", "session--ended", "session--waiting"
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        key("console.scroll-up", "up,k", "scroll(-1)", "Line up", "Look a line further back."),
        key("console.scroll-down", "down,j", "scroll(1)", "Line down", "Go a line towards the end."),
        key("console.page-up", "pageup,shift+pageup", "scroll(-1, True)", "Page up", "Look a page further back."),
        key("console.page-down", "pagedown,shift+pagedown", "scroll(1, True)", "Page down", "Go a page on."),
        key("console.first", "home,g,shift+home", "scroll_first", "First line", "Look at the oldest line kept."),
        key("console.last", "end,G,shift+end", "scroll_last", "Last line", "Back to where output appears."),
    ]
    labels: reactive[tuple[Label, ...]] = reactive(())
    shown = reactive("")

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    class Scroll(Message):
        """Scroll the terminal that is shown. count 0: to its first line if ``pages``, else to its last."""

        def __init__(self, count: int, pages: bool) -> None:
            super().__init__()
            self.count, self.pages = count, pages

    def _texts(self) -> list[tuple[str, str]]:
        """Mark and title of each tab, cut so that the shown one at least is there."""
        symbols = look()
        marks = {"connecting": symbols.waiting, "connected": symbols.running, "ended": symbols.cross}
        each = max(4, min(_LONGEST, self.size.width // max(1, len(self.labels)) - 5))
        texts = []
        for label in self.labels:
            mark = symbols.warning if label.rang else marks.get(label.phase, symbols.dot)
            texts.append((mark, symbols.cut(label.title, each)))
        return texts

    def render(self) -> Content:
        parts: list[Content] = []
        for label, (mark, title) in zip(self.labels, self._texts(), strict=True):
            text = Content(f" {mark} {title} ")
            if label.phase != "connected":
                name = "session--ended" if label.phase == "ended" else "session--waiting"
                text = text.stylize(self.get_visual_style(name), 1, 1 + len(mark))
            if label.id == self.shown:
                name = "session--cursor" if self.has_focus else "session--shown"
                text = text.stylize(self.get_visual_style(name), 2 + len(mark), len(text))
            parts.append(text)
        return Content("").join(parts)

    def on_click(self, event: Click) -> None:
        place = 0
        for label, (mark, title) in zip(self.labels, self._texts(), strict=True):
            place += cell_len(f" {mark} {title} ")
            if event.x < place:
                self.post_message(self.Chosen(label.id))
                return

    def action_scroll(self, count: int, pages: bool = False) -> None:
        self.post_message(self.Scroll(count, pages))

    def action_scroll_first(self) -> None:
        self.post_message(self.Scroll(0, True))

    def action_scroll_last(self) -> None:
        self.post_message(self.Scroll(0, False))


class Machines(OptionList):
    """What can be connected to: each running machine's shell and its serial port."""

    DEFAULT_CSS = """
    Machines, Machines:focus { height: 1fr; border: none; padding: 1 2; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("machines.down", "j", "cursor_down", "Down", "Go to the next machine."),
        key("machines.up", "k", "cursor_up", "Up", "Go to the machine above."),
    ]

    class Open(Message):
        """A session is wanted. kind: ``ssh`` or ``serial``."""

        def __init__(self, machine: str, kind: str) -> None:
            super().__init__()
            self.machine, self.kind = machine, kind

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._listed: tuple[tuple[str, str], ...] | None = None

    def show(self, machines: Sequence[Machine]) -> None:
        """List these machines, if they are not listed already."""
        alive = [machine for machine in machines if machine.alive]
        stopped = [machine for machine in machines if not machine.alive]
        listed = tuple((machine.name, machine.state) for machine in (*alive, *stopped))
        if listed == self._listed:
            return
        self._listed = listed
        before = self.highlighted
        self.clear_options()
        if not alive:
            hint = "No machine is running. Boot one: build (ctrl+b), then Boot; or start one on the Machine pane (4)."
            self.add_option(Option(Content(hint), disabled=True))
        symbols = look()
        for machine in alive:
            where = f"  shell, by SSH on port {machine.ssh_port}"
            name = Content.assemble((f"{symbols.running} ", "$text-success"), (machine.name, "bold"))
            self.add_option(Option(Content.assemble(name, (where, "$text-muted")), id=f"ssh:{machine.name}"))
            serial = Content.assemble(f"{symbols.last}{machine.name}", ("  serial port", "$text-muted"))
            self.add_option(Option(serial, id=f"serial:{machine.name}"))
        for machine in stopped:
            words = f"  {machine.state}" + (f", {machine.note}" if machine.note else "")
            self.add_option(
                Option(Content.styled(f"{symbols.waiting} {machine.name}{words}", "$text-disabled"), disabled=True)
            )
        if alive:
            self.highlighted = min(before or 0, self.option_count - 1)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        kind, _, machine = (event.option_id or "").partition(":")
        if machine:
            self.post_message(self.Open(machine, kind))
