"""The YAML pane: what the profile says to LinuxKit, rendered anew after every change, and what it differs in."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from thanos_tui.editing import compare
from thanos_tui.editing.compare import Fold, Source
from thanos_tui.editing.document import Document
from thanos_tui.errors import ThanosError
from thanos_tui.linuxkit.diff import Line
from thanos_tui.options.sources import why_absent
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane
from thanos_tui.tui.work import perform
from thanos_tui.tui.yaml import drawing, shown
from thanos_tui.tui.yaml.drawing import NARROWEST, View
from thanos_tui.tui.yaml.lines import YamlLines
from thanos_tui.tui.yaml.shown import Shown, Subject

_FILE = "file"


class YamlPane(Pane):
    """The config as YAML, whole or compared with another one; every line leads to the option that it comes from."""

    TITLE = "YAML"
    HELP = (
        "The LinuxKit YAML that the profile stands for, as `thanos-tui render` prints it. It follows every change.\n"
        "\n"
        "`d` shows what differs from the profile as it was saved; `a` chooses what to compare with instead: the "
        "defaults, the last build, another profile or LinuxKit YAML, or what a running machine was built from. `]` and "
        "`[` go from one difference to the next, `v` puts both sides next to each other, `z` shows all equal lines.\n"
        "\n"
        "Enter on a line goes to the option that it comes from; on a difference, to the option that was changed; on a "
        "fold, it opens the fold.\n"
        "\n"
        "Secrets are never shown; equal ones have the same number. Only a file that `e` writes holds them."
    )
    DEFAULT_CSS = """
    YamlPane #head { height: 1; background: $boost; color: $text-muted; padding: 0 1; }
    YamlPane #trouble { height: auto; max-height: 6; padding: 0 1; color: $text-error; display: none; }
    YamlPane #trouble.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("yaml.diff", "d", "diff", "Diff", "Show what differs, or the whole YAML again.", show=True),
        key("yaml.against", "a", "against", "Against", "Choose what to compare with.", show=True),
        key("yaml.side", "v", "side", "Side by side", "Put both sides next to each other, or one below the other."),
        key("yaml.fold", "z", "fold", "Fold", "Show all equal lines, or only those near a difference."),
        key("yaml.next", "right_square_bracket", "hunk(1)", "Next difference", "Go to the next difference."),
        key("yaml.previous", "left_square_bracket", "hunk(-1)", "Previous difference", "Go to the difference before."),
        key("yaml.whole", "escape", "whole", "Whole YAML", "Show the whole YAML again."),
        key("yaml.copy-command", "x", "app.copy_command", "Copy as command", "Copy the command that builds this."),
        key("yaml.write", "e", "write", "Write to a file", "Write the YAML for linuxkit to build, with its secrets."),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._document: Document | None = None
        self._source: Source | None = None  # what to compare with, whether that is shown now or not
        self._comparing = self._beside = self._all = False
        self._unfolded: set[int] = set()
        self._shown: Shown | None = None
        self._view = View((), ())  # what is on the screen
        self._viewed: Shown | None = None  # and what it was drawn from
        self._problem: ThanosError | None = None
        self._leap = False  # a comparison begins: go to its first difference
        self._due = True  # what is shown is not, or not yet, what the document says
        self._wanted = ""  # the option to show as soon as that can be done

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="trouble", markup=False)
        yield YamlLines(self._copied, id="yaml")

    @property
    def _lines(self) -> YamlLines:
        return self.query_one(YamlLines)

    # Following the document

    def document_changed(self) -> None:
        self._due = True
        if self.display:
            self._renew()

    def entered(self) -> None:
        if self._due:
            self._renew()

    def _subject(self) -> Subject:
        document = self.thanos.document
        return Subject(document.resolved, document.directory, document.name)

    def _renew(self) -> None:
        self._due = True
        self._render_anew()

    @work(exclusive=True, group="yaml")
    async def _render_anew(self) -> None:
        """Render, compare and draw; whatever comes meanwhile makes this void."""
        document = self.thanos.document
        if document is not self._document:
            # What was chosen for one profile need not be there for another.
            self._document, self._source, self._comparing = document, None, False
        source = self._source if self._comparing else None
        try:
            self._shown = await perform(shown.prepare, self._subject(), source)
        except ThanosError as error:
            self._problem = error
        else:
            self._problem = None
            self._unfolded.clear()
        self._due = False
        self._draw()

    def _draw(self) -> None:
        """Show what there is, in the view that is chosen."""
        lines, before = self._lines, self._line_at_cursor()
        self._view, self._viewed = self._made_view(), self._shown
        lines.replace(self._view.lines)
        if self._leap and self._view.hunks:
            lines.go_to(self._view.hunks[0])
        elif before is not None:
            self._return_to(before)
        self._leap = False
        lines.set_class(self._problem is not None, "-stale")
        self._tell()
        self._say()
        self.refresh_bindings()
        if self._wanted and self._problem is None:
            self._show_wanted()

    def _made_view(self) -> View:
        if self._shown is None:
            return View((), ())
        comparison = self._shown.comparison
        if comparison is None:
            return drawing.whole(self._shown.lines)
        unfolded = None if self._all else self._unfolded
        if self._beside and self._roomy:
            return drawing.side_by_side(comparison, look(), self._lines.scrollable_content_region.width, unfolded)
        return drawing.unified(comparison, look(), unfolded)

    @property
    def _roomy(self) -> bool:
        return self.size.width >= NARROWEST

    def on_resize(self, _event: Resize) -> None:
        if self._beside and self._shown is not None:
            self.call_after_refresh(self._draw)

    # The cursor stays where it is in the YAML, not on the screen

    def _place_at_cursor(self) -> int | None:
        """The row under the cursor; None on a fold."""
        here = self._lines.cursor_line
        place = self._view.places[here] if here is not None and here < len(self._view.places) else None
        return place if isinstance(place, int) else None

    def _line_at_cursor(self) -> Line | None:
        place = self._place_at_cursor()
        return self._viewed.line(place) if place is not None and self._viewed is not None else None

    def _return_to(self, wanted: Line) -> None:
        if self._viewed is None:
            return
        here = self._lines.cursor_line or 0
        found: list[int] = []
        for number, place in enumerate(self._view.places):
            line = self._viewed.line(place) if isinstance(place, int) else None
            if line is not None and (line.entry, line.text) == (wanted.entry, wanted.text):
                found.append(number)
        if found:
            self._lines.go_to(min(found, key=lambda number: abs(number - here)))

    # What is said above the lines

    def _tell(self) -> None:
        """Say what is wrong, until it is not any more."""
        problem = self._problem or (self._shown.trouble if self._shown else None)
        said = self.query_one("#trouble", Static)
        said.set_class(problem is not None, "-shown")
        if problem is None:
            return
        parts = [f"{look().cross} {problem.message}"]
        if problem.hint:
            parts.append(f"  {problem.hint}")
        if self._problem and self._shown:
            parts.append("  Below is the last YAML that could be made.")
        said.update(Content("\n".join(parts)))

    def _say(self) -> None:
        name = self.thanos.document.name
        if self._shown is None:
            text = f"{name}: there is no YAML yet"
        elif self._shown.comparison is None:
            text = f"{name} {look().dot} {_counted(len(self._shown.lines), 'line')}"
        else:
            hunks = self._shown.comparison.hunks
            found = _counted(len(hunks), "difference") if hunks else "no difference"
            place = self._place_at_cursor()
            number = next((n for n, hunk in enumerate(hunks, 1) if place is not None and place in hunk), None)
            of = f" ({number} of {len(hunks)})" if number and len(hunks) > 1 else ""
            text = f"{self._shown.title} {look().arrow} {name} {look().dot} {found}{of}"
            if self._beside and not self._roomy:
                text += f" {look().dot} side by side needs {NARROWEST} columns"
        self.query_one("#head", Static).update(Content(text))

    @on(Lines.CursorMoved)
    def _cursor_moved(self, event: Lines.CursorMoved) -> None:
        event.stop()
        self._say()

    # Comparing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("whole", "side", "fold", "hunk"):
            return self._comparing
        return super().check_action(action, parameters)

    def action_diff(self) -> None:
        self._comparing = self._leap = not self._comparing
        if self._source is None:
            self._source = compare.always(self.thanos.document)[0]
        self._renew()

    def action_whole(self) -> None:
        self._comparing = False
        self._renew()

    @work(exclusive=True, group="yaml-ask")
    async def action_against(self) -> None:
        """Ask what to compare with, and compare."""
        try:
            found = await perform(compare.sources, self.thanos.document)
        except ThanosError as error:
            self.thanos.tell(error)
            return
        choices = [(source.id, source.title) for source in found]
        choices.append((_FILE, f"another profile, or LinuxKit YAML{look().ellipsis}"))
        answer = await self.thanos.ask("Compare with", choices)
        source = await self._ask_file() if answer == _FILE else next((s for s in found if s.id == answer), None)
        if source is not None:
            self._source, self._comparing, self._leap = source, True, True
            self._renew()

    async def _ask_file(self) -> Source | None:
        from thanos_tui.profile import SUFFIX
        from thanos_tui.tui.choosing import ChooseFile

        asked = ChooseFile("Compare with", self.thanos.document.directory, suffixes=(SUFFIX, ".yml", ".yaml"))
        path = await self.thanos.push_screen_wait(asked)
        return compare.file(path) if path is not None else None

    def action_side(self) -> None:
        if not self._beside and not self._roomy:
            text = f"side by side needs {NARROWEST} columns, and there are {self.size.width}"
            self.notify(text, severity="warning", markup=False)
            return
        self._beside = not self._beside
        self._draw()

    def action_fold(self) -> None:
        self._all = not self._all
        self._unfolded.clear()
        self._draw()

    def action_hunk(self, step: int) -> None:
        starts, here = self._view.hunks, self._lines.cursor_line or 0
        if not starts:
            self.notify("there is no difference", timeout=2)
            return
        # Back from within a difference leads to where that one begins.
        onward = [at for at in starts if at > here] if step > 0 else [at for at in reversed(starts) if at < here]
        self._lines.go_to(onward[0] if onward else starts[0 if step > 0 else -1])

    # To the options and back

    @on(Lines.Picked)
    def _picked(self, event: Lines.Picked) -> None:
        event.stop()
        place = self._view.places[event.index] if event.index < len(self._view.places) else None
        if isinstance(place, Fold):
            self._unfolded.add(place.rows.start)
            self._draw()
        elif place is not None:
            self._go_to_option(place)

    @work(exclusive=True, group="yaml-ask")
    async def _go_to_option(self, place: int) -> None:
        names = self._viewed.options_at(place) if self._viewed else ()
        if not names:
            self.notify("no option has a say in this line: every system has it", markup=False)
            return
        name: str | None = names[0]
        if len(names) > 1:
            known = self.thanos.document.catalogue.options
            name = await self.thanos.ask("Go to", [(each, f"{known[each].prompt}  {each}") for each in names])
        if name is not None:
            await self.thanos.go_to_option(name)

    def show_option(self, name: str) -> None:
        """Go to the lines that come from an option, and mark them; say so where there are none."""
        self._wanted = name
        if not self._due:
            self._draw()

    def _show_wanted(self) -> None:
        name, self._wanted = self._wanted, ""
        if self._shown is None or self._shown.side.resolved is None:
            return
        comes_from = self._shown.comes_from(name)
        self._unfolded.update(
            fold.rows.start for fold in self._view.places if isinstance(fold, Fold) and any(map(comes_from, fold.rows))
        )
        self._view = self._made_view()
        lines, numbers = drawing.marked(self._view, comes_from)
        self._lines.replace(lines)
        if numbers:
            self._lines.go_to(numbers[0])
        else:
            self.notify(why_absent(self._shown.side.resolved, name), markup=False)

    # Copying and writing

    def _copied(self) -> str:
        return self._shown.text(self.thanos.document.name) if self._shown else ""

    @work(exclusive=True, group="yaml-ask")
    async def action_write(self) -> None:
        """Ask where to, and write the YAML there as LinuxKit builds it; secrets only after a word about them."""
        subject = self._subject()
        try:
            if await perform(shown.holds_secrets, subject):
                choices = [("yes", "Write it, with the secrets"), ("no", "Do not write it")]
                why = "The file will hold what is hidden here. Only you will be able to read it; keep it out of git."
                if await self.thanos.ask("This YAML holds secrets", choices, why) != "yes":
                    return
            path = await self._ask_path(subject)
            if path is not None:
                await perform(shown.write, subject, path)
                self.notify(f"written to {path}", markup=False)
        except ThanosError as error:
            self.thanos.tell(error)

    async def _ask_path(self, subject: Subject) -> Path | None:
        from thanos_tui.tui.choosing import ChooseFile

        asked = ChooseFile(
            "Write the YAML to",
            subject.directory,
            suffixes=(".yml", ".yaml"),
            new=True,
            value=f"{subject.name}.yml",
        )
        path = await self.thanos.push_screen_wait(asked)
        if path is not None and await perform(path.exists):
            choices = [("no", "Leave it as it is"), ("yes", "Replace it")]
            if await self.thanos.ask(f"{path.name} is there already", choices) != "yes":
                return None
        return path


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
