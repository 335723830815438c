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
from thanos_tui.linuxkit import diff
from thanos_tui.options.sources import why_absent
from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane
from thanos_tui.tui.work import at_once, perform
from thanos_tui.tui.yaml import shown
from thanos_tui.tui.yaml.drawing import NARROWEST
from thanos_tui.tui.yaml.lines import YamlLines
from thanos_tui.tui.yaml.shown import Picture, Shown, Subject, Wish
from thanos_tui.words import counted

_FILE = "file"
# Lines of YAML that are rendered in less than 10 ms: all of them, and those of which only what has changed is.
_FEW, _FEW_CHANGED = 100, 2_000


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
        key("yaml.write", "e", "write", "Write to a file", "Write the YAML for linuxkit to build, with its secrets."),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._document: Document | None = None
        self._source: Source | None = None  # what to compare with, whether that is shown now or not
        self._comparing = self._beside = self._all = False
        self._unfolded: set[int] = set()
        self._due = True  # what there is to show is not, or not yet, what the document says
        self._leap = False  # a comparison begins: go to its first difference
        self._option = ""  # the option to show as soon as that can be done
        self._picture: Picture | None = None  # the last one that could be made
        self._written: diff.Memo = {}
        self._problem: ThanosError | None = None

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

    def _renew(self) -> None:
        self._due = True
        self._draw()

    @work(exclusive=True, group="yaml")
    async def _draw(self) -> None:
        """Render and compare if that is due, and draw; a later call makes this one void."""
        if self._due:
            await self._render_anew()
        elif self._picture is not None:
            try:
                self._picture = await perform(shown.picture, self._picture.shown, self._wish(), look())
            except ThanosError as error:  # from looking for the option's lines in files that have gone
                self._problem = error
        picture = self._picture
        self._lines.replace(picture.lines if picture else ())
        self._lines.set_class(self._problem is not None, "-stale")
        if picture is not None:
            if picture.cursor is not None:
                self._lines.go_to(picture.cursor)
            self._unfolded = set(picture.unfolded or ())
            resolved = picture.shown.side.resolved
            if self._option and not picture.found and not self._problem and resolved is not None:
                self.notify(why_absent(resolved, self._option), markup=False)
        self._leap, self._option = False, ""
        self._tell()
        self._say()
        self.refresh_bindings()

    async def _render_anew(self) -> None:
        document = self.thanos.document
        if document is not self._document:
            # What was chosen for one profile need not be there for another, and its YAML has nothing to do with it.
            self._document, self._source, self._comparing, self._picture = document, None, False, None
        revision = document.revision
        source = self._source if self._comparing else None
        self._unfolded.clear()
        wanted = (self._subject(), source, self._wish(), look())
        try:
            # A hop to a thread and back costs a frame or two.
            few = self._is_few(source)
            self._picture = at_once(shown.renewed, *wanted) if few else await perform(shown.renewed, *wanted)
            self._problem = None
        except ThanosError as error:
            self._problem = error
        # While it is hidden, changes do not make a drawing void.
        self._due = document is not self.thanos.document or document.revision != revision

    def _is_few(self, source: Source | None) -> bool:
        """Whether what is to be rendered and compared was there before, and was few lines: that takes milliseconds."""
        last = self._shown
        most = _FEW_CHANGED if source is None or source.own else _FEW
        return last is not None and len(last.lines) <= most and last.title == (source.title if source else "")

    def _subject(self) -> Subject:
        document = self.thanos.document
        return Subject(document.resolved, document.directory, document.name, document.rendered, self._written)

    @property
    def _shown(self) -> Shown | None:
        return self._picture.shown if self._picture else None

    def _wish(self) -> Wish:
        here = self._lines.cursor_line or 0
        place = self._place_at_cursor()
        line = self._picture.shown.line(place) if self._picture is not None and place is not None else None
        width = self._lines.scrollable_content_region.width if self._beside and self._roomy else 0
        unfolded = None if self._all else frozenset(self._unfolded)
        return Wish(width, unfolded, self._leap, line, here, self._option)

    @property
    def _roomy(self) -> bool:
        return self.size.width >= NARROWEST

    def on_resize(self, _event: Resize) -> None:
        if self._beside:
            self.call_after_refresh(self._draw)

    def _place(self, line: int | None) -> int | Fold | None:
        """What a line on the screen shows."""
        places = self._picture.view.places if self._picture else ()
        return places[line] if line is not None and line < len(places) else None

    def _place_at_cursor(self) -> int | None:
        place = self._place(self._lines.cursor_line)
        return place if isinstance(place, int) else None

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
            text = f"{name} {look().dot} {counted(len(self._shown.lines), 'line')}"
        else:
            hunks = self._shown.comparison.hunks
            found = counted(len(hunks), "difference") if hunks else "no difference"
            place = self._place_at_cursor()
            number = next((n for n, hunk in enumerate(hunks, 1) if place is not None and place in hunk), None)
            of = f" ({number} of {len(hunks)})" if number and len(hunks) > 1 else ""
            text = f"{self._shown.title} {look().arrow} {name} {look().dot} {found}{of}"
            if self._beside and not self._roomy:
                text += f" {look().dot} side by side needs {NARROWEST} columns"
        self.query_one("#head", Static).update(Content(text), layout=False)

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
            self._compare_with(source)

    def compare_with_saved(self) -> None:
        """Show the difference from what the profile's file says."""
        self._compare_with(compare.always(self.thanos.document)[0])

    def _compare_with(self, source: Source) -> None:
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
        starts, here = self._picture.view.hunks if self._picture else (), self._lines.cursor_line or 0
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
        place = self._place(event.index)
        if isinstance(place, Fold):
            self._unfolded.add(place.rows.start)
            self._draw()
        elif place is not None:
            self._go_to_option(place)

    @work(exclusive=True, group="yaml-ask")
    async def _go_to_option(self, place: int) -> None:
        try:
            names = self._picture.shown.options_at(place) if self._picture else ()
        except ThanosError as error:
            self.thanos.tell(error)
            return
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
        self._option = name
        self._draw()

    # Copying and writing

    def _copied(self) -> str:
        return self._picture.shown.text(self.thanos.document.name) if self._picture else ""

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
