"""Choosing a file: a list that follows what is typed, and a line that follows what is chosen in the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.cells import set_cell_size
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from thanos_tui.errors import ThanosError
from thanos_tui.tui import listing
from thanos_tui.tui.dialog import Dialog
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.work import perform
from thanos_tui.words import size

if TYPE_CHECKING:
    from textual.binding import BindingType

_MOST = 500  # rows: nobody reads more, and each keystroke lays them out


class ChooseFile(Dialog[Path]):
    """A path, typed or picked. Nothing is created or changed.

    start: where the list begins. suffixes: which files it shows; a typed path may end otherwise. new: the file need not
    exist, and ``value`` is its name to begin with. check: why a path will not do, or None if it will.
    """

    DEFAULT_CSS = """
    ChooseFile #box { height: 100%; max-height: 24; }
    ChooseFile #place { color: $text-muted; height: 1; }
    ChooseFile OptionList { height: 1fr; margin: 1 0 0 0; }
    ChooseFile #verdict { height: auto; min-height: 1; color: $text-muted; }
    ChooseFile #verdict.-bad { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("files.down", "down", "move(1)", "Down", "Highlight the next entry.", priority=True),
        key("files.up", "up", "move(-1)", "Up", "Highlight the entry before.", priority=True),
        key("files.page-down", "pagedown", "move(10)", "Page down", "Highlight an entry further down.", priority=True),
        key("files.page-up", "pageup", "move(-10)", "Page up", "Highlight an entry further up.", priority=True),
        key("files.complete", "tab", "complete", "Complete", "Take the highlighted name into the line.", priority=True),
        key("files.parent", "ctrl+up,alt+up", "parent", "Parent", "Go to the directory above.", priority=True),
        key("files.hidden", "alt+h", "hidden", "Hidden", "Show or hide names that begin with a dot.", priority=True),
    ]

    def __init__(
        self,
        question: str,
        start: Path,
        *,
        suffixes: Sequence[str] = (),
        new: bool = False,
        value: str = "",
        check: Callable[[Path], str | None] | None = None,
    ) -> None:
        super().__init__()
        self._question, self._suffixes, self._new, self._value = question, tuple(suffixes), new, value
        self._check = check or (lambda _: None)
        self._start = start.absolute()
        self._hidden = False
        self._entries: list[listing.Entry] = []
        self._read: tuple[Path, bool] | None = None
        self._rows: list[listing.Entry] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(self._question), id="question")
            yield Static(id="place", markup=False)
            yield Input(self._value, select_on_focus=False, compact=True)
            yield OptionList(markup=False, compact=True)
            yield Static(id="verdict", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._follow(self._value)

    @property
    def _line(self) -> Input:
        return self.query_one(Input)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._follow(event.value)

    @work(exclusive=True, group="listing")
    async def _follow(self, text: str) -> None:
        """Show what the typed path leads to; the directory is read once, in a thread: it may be far away."""
        directory, fragment = listing.split(text, self._start)
        wanted = (directory, self._hidden or fragment.startswith("."))
        problem = ""
        if wanted != self._read:
            try:
                self._entries = await perform(listing.read, directory, self._suffixes, hidden=wanted[1])
                self._read = wanted
            except ThanosError as error:
                self._entries, self._read, problem = [], None, error.message
        # A new name need not be like any that is there: the list goes on showing all of them.
        found = listing.narrowed(self._entries, "" if self._new else fragment)
        self._show(directory, found, fragment)
        self._say(problem, bad=bool(problem))

    def _show(self, directory: Path, found: Sequence[listing.Entry], fragment: str) -> None:
        self._rows = list(found[:_MOST])
        self.query_one("#place", Static).update(listing.shown(str(directory)))
        options = self.query_one(OptionList)
        width = max(20, self.size.width if self.size.width < 66 else 66) - 18
        rows = [Option(_row(entry, width)) for entry in self._rows]
        if len(found) > _MOST:
            rows.append(Option(f"{look().ellipsis} {len(found) - _MOST} more: type to narrow them down", disabled=True))
        elif not found:
            rows.append(Option("nothing here that fits", disabled=True))
        options.set_options(rows)
        options.highlighted = 0 if self._rows and fragment and not self._new else None

    def _say(self, text: str = "", *, bad: bool = False) -> None:
        verdict = self.query_one("#verdict", Static)
        verdict.set_class(bad, "-bad")
        hidden = "hide" if self._hidden else "show"
        verdict.update(f"{look().cross} {text}" if bad else f"Tab completes {look().dot} Alt+H {hidden}s hidden names")

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._rows:
            now = options.highlighted
            options.highlighted = 0 if now is None else max(0, min(len(self._rows) - 1, now + by))

    def _highlighted(self) -> listing.Entry | None:
        index = self.query_one(OptionList).highlighted
        return self._rows[index] if index is not None and index < len(self._rows) else None

    def action_complete(self) -> None:
        entry = self._highlighted() or (self._rows[0] if self._rows else None)
        if entry is not None:
            self._take(entry)

    def _take(self, entry: listing.Entry) -> None:
        head = self._line.value.rpartition("/")
        self._line.value = f"{head[0]}{head[1]}{entry.name}{'/' if entry.directory else ''}"
        self._line.cursor_position = len(self._line.value)

    def action_parent(self) -> None:
        directory, _ = listing.split(self._line.value, self._start)
        self._line.value = ""
        self._start = directory.parent
        self._follow("")

    def action_hidden(self) -> None:
        self._hidden = not self._hidden
        self._follow(self._line.value)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._open(self._rows[event.option_index])

    def _open(self, entry: listing.Entry) -> None:
        self._take(entry)
        if not entry.directory and not self._new:
            self._answer(self._line.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        entry = self._highlighted()
        if entry is not None:
            self._open(entry)
        elif event.value:
            self._answer(event.value)

    @work(exclusive=True, group="answer")
    async def _answer(self, text: str) -> None:
        directory, fragment = listing.split(text, self._start)
        path = directory / fragment
        if await perform(path.is_dir):
            self._line.value = text if text.endswith("/") else f"{text}/"
            self._line.cursor_position = len(self._line.value)
            return
        reason = await perform(self._reason, path)
        if reason is None:
            self.dismiss(path)
        else:
            self._say(reason, bad=True)
            self.app.bell()

    def _reason(self, path: Path) -> str | None:
        """Why a path cannot be the answer, or None if it can. Runs in a thread."""
        if not self._new and not path.exists():
            return "there is no such file"
        if self._new and not path.parent.is_dir():
            return f"there is no directory {listing.shown(str(path.parent))}"
        return self._check(path)


def _row(entry: listing.Entry, width: int) -> Content:
    name = look().cut(listing.shown(entry.name) + ("/" if entry.directory else ""), width)
    if entry.directory:
        return Content.styled(name, "bold")
    return Content.assemble(set_cell_size(name, width), (f"{size(entry.size):>10}", "$text-muted"))
