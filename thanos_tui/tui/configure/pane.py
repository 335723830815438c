"""The Configure pane: the menu, the details of the option under the cursor, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.signal import Signal

from thanos_tui.editing.document import Document
from thanos_tui.editing.rows import Marks, Memo, Path, Row, View, breadcrumb, marks, menu_at, names_in, rows
from thanos_tui.errors import InputError, ThanosError
from thanos_tui.options.expressions import Value
from thanos_tui.tui.configure.about import About
from thanos_tui.tui.configure.crumbs import Crumbs
from thanos_tui.tui.configure.menu import MenuList
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import look
from thanos_tui.tui.pane import Pane

if TYPE_CHECKING:
    from textual.binding import BindingType

    from thanos_tui.editing.search import Index
    from thanos_tui.options import Assignments
    from thanos_tui.tui.configure.search import Kept

_NOTHING_SET = "Nothing here can be set now: what is hidden can be shown."
_NOTHING_DIFFERS = "Nothing here differs from its default or from what is saved."
_WIDE = 100  # columns from which the details stand beside the menu


class ConfigurePane(Pane):
    """Menus of options as in menuconfig, with the details of the one under the cursor."""

    ID: ClassVar[str] = "configure"
    TITLE: ClassVar[str] = "Configure"
    HELP: ClassVar[str] = (
        "The options of the OS, in menus, as in `make menuconfig`.\n"
        "[*] on, [ ] off, -*- forced on by another option, (value) anything else, ---> a menu, ---- an empty one.\n"
        "Before a row: what is not saved yet, what differs from its default, warnings and problems.\n"
        "What cannot be set now is hidden; `a` shows it, and `w` says why and what would allow it."
    )
    DEFAULT_CSS = """
    ConfigurePane #configure-body { layout: horizontal; height: 1fr; }
    ConfigurePane About { width: 45%; height: 100%; border-left: vkey $panel; }
    ConfigurePane.-narrow #configure-body { layout: vertical; }
    ConfigurePane.-narrow MenuList { min-height: 4; }
    ConfigurePane.-narrow About { width: 100%; height: 45%; max-height: 16; border: none; border-top: hkey $panel; }
    ConfigurePane.-ascii About { border-left: none; }
    ConfigurePane.-ascii.-narrow About { border-top: ascii $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("configure.enter", "enter,l,right", "enter", "Enter", "Go into the menu, or set the option.", show=True),
        key("configure.toggle", "space", "enter", "Toggle", "Switch a bool; edit anything else.", show=True),
        key("configure.back", "left,h", "back", "Back", "Go to the menu above."),
        key("configure.escape", "escape", "escape", "Back", "Go back to the search's results, or to the menu above."),
        key("configure.on", "y", "switch(True)", "On", "Switch the option on."),
        key("configure.off", "n", "switch(False)", "Off", "Switch the option off."),
        key("configure.search", "slash", "search", "Search", "Find options, and set them right there.", show=True),
        key("configure.why", "w", "why", "Why not?", "Say why it is hidden or locked, and mend that.", show=True),
        key("configure.hidden", "a,z", "hidden", "Hidden", "Show or hide what cannot be set now.", show=True),
        key("configure.changed", "c", "changed", "Changed", "Show only what differs, from all menus below.", show=True),
        key("configure.unset", "backspace,x", "unset", "Unset", "Give the option its default."),
        key("configure.reset", "r", "reset", "Reset", "Take the option, or the whole menu, back to what is saved."),
        key("configure.reset-all", "R", "reset_all", "Reset all", "Take everything back to what is saved."),
        key("configure.yaml", "Y", "show_yaml", "In the YAML", "Show what the option says in the YAML."),
        key("configure.info", "i", "info", "Details", "Show all about the option on the whole screen."),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.path: Path = ()
        self.view = View()
        self._places: dict[Path, int] = {}  # the screen row of the cursor in the menus above
        self._memo: Memo = {}
        self._marks: tuple[int, int, Marks] | None = None
        self._seen: Document | None = None
        self._said: Assignments = {}
        self._changing = self._stale = False
        self._results: Kept | None = None  # of the search that led here
        self._index: Index | None = None
        self.changed: Signal[Document] = Signal(self, "changed")

    def compose(self) -> ComposeResult:
        self.set_class(self.app.size.width < _WIDE, "-narrow")
        self.set_class(look().ascii, "-ascii")
        yield Crumbs()
        with Container(id="configure-body"):
            yield MenuList(self._moved, id="menu")
            yield About(id="detail")

    def on_mount(self) -> None:
        self._begin()

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width < _WIDE, "-narrow")

    def focus_first(self) -> None:
        self.menu.focus()

    @property
    def document(self) -> Document:
        """The document under edit."""
        return self.thanos.document

    @property
    def menu(self) -> MenuList:
        """The rows with the cursor."""
        return self.query_one("#menu", MenuList)

    # The document

    def entered(self) -> None:
        if self._stale:
            self._stale = False
            self.document_changed()

    def document_changed(self) -> None:
        document = self.document
        if not self.display:
            self._stale = True
            return
        if document is not self._seen:
            self._begin()
            return
        said, self._said = self._said, document.current.assignments
        self._refresh()
        self.changed.publish(document)
        if self._changing:
            return
        # Undone, redone, or changed elsewhere: the cursor goes where it happened, if that is one place.
        names = [
            name
            for name in document.catalogue.options
            if (said[name].value if name in said else None) != (self._said[name].value if name in self._said else None)
        ]
        here = {row.name for row in self.menu.rows}
        if names and len(names) < len(document.catalogue.options) // 2:
            self.go_to(next((name for name in names if name in here), names[0]))

    def _begin(self) -> None:
        document = self.document
        self._seen, self._said = document, document.current.assignments
        self._results = None
        self._memo.clear()
        self._marks = None
        self._go((), None, 0)

    @contextmanager
    def _own_change(self) -> Iterator[None]:
        """While the pane itself changes the document: the cursor stays where it is."""
        self._changing = True
        try:
            yield
        finally:
            self._changing = False

    def change(self, name: str, value: Value) -> bool:
        """Give an option a value; where that cannot be, say why and what would allow it. Whether it has it now."""
        document = self.document
        state = document[name]
        if not state.active or (state.locked and value is False):
            self.explain(name, value)
            return False
        try:
            with self._own_change():
                document.set(name, value)
        except InputError as error:
            self.explain(name, value, error)
            return False
        if state.option.warning and value and not state.value:
            self.notify(state.option.warning, title=state.option.prompt, severity="warning", markup=False)
        return True

    @work(group="configure-dialog")
    async def explain(self, name: str, value: Value = None, error: InputError | None = None) -> None:
        """Say why an option cannot be set, or not to a value, and make the changes that allow it if they are wanted."""
        from thanos_tui.tui.configure.whynot import WhyNot

        changes = await self.app.push_screen_wait(WhyNot(self.document, name, value, error))
        if changes:
            self._apply(changes, f"what {name} needs")

    def _apply(self, changes: Mapping[str, Value], what: str) -> None:
        try:
            with self._own_change():
                self.document.apply(changes, what)
        except ThanosError as error:
            self.thanos.tell(error)
            return
        missing = [problem for problem in self.document.resolved.problems if problem.missing]
        if missing:
            hint = f": {missing[0].hint}" if missing[0].hint else ""
            self.notify(f"{missing[0].message}{hint}", severity="warning", markup=False)

    # What is shown

    @property
    def index(self) -> Index:
        """The catalogue, made ready for searching when that is first wanted."""
        from thanos_tui.editing.search import make_index

        catalogue = self.document.catalogue
        if self._index is None or self._index.catalogue is not catalogue:
            self._index = make_index(catalogue)
        return self._index

    def marked(self) -> Marks:
        """What is to be marked in the document's present state."""
        document = self.document
        now = (id(document), document.revision)
        if self._marks is None or self._marks[:2] != now:
            self._marks = (*now, marks(document))
        return self._marks[2]

    def _rows(self, path: Path) -> tuple[Row, ...]:
        self.menu.empty = _NOTHING_DIFFERS if self.view.changed else _NOTHING_SET
        return rows(self.document, self.marked(), path, self.view, self._memo)

    def _refresh(self) -> None:
        """The same menu again, in the document's present state; the cursor stays on its row and its place."""
        row = self.menu.row
        self.menu.show(self._rows(self.path), row.key if row else None)
        self._say_where()

    def _go(self, path: Path, cursor: tuple[str, ...] | None, screen_row: int | None) -> None:
        self.path = path
        made = self._rows(path)
        first = made[0].key if made and cursor is None else cursor
        self.menu.show(made, first, screen_row)
        self._say_where()

    def _say_where(self) -> None:
        crumbs = self.query_one(Crumbs)
        crumbs.path = self.path
        notes = ["changed only"] if self.view.changed else []
        notes += ["hidden shown"] if self.view.hidden else []
        notes += ["Esc: results"] if self._results is not None else []
        crumbs.note = f" {look().dot} ".join(notes)

    def go_to(self, name: str) -> None:
        """Put the cursor on an option, in its menu; one that is hidden is shown with the others."""
        option = self.document.catalogue.options[name]
        here = self.path == option.menu and not self.view.changed
        if here and any(row.name == name for row in self.menu.rows):
            self._go(self.path, (name,), None)
            return
        shown = {row.name for row in rows(self.document, self.marked(), option.menu, View(hidden=self.view.hidden))}
        self.view = View(hidden=self.view.hidden or name not in shown)
        self._places.clear()
        self._go(option.menu, (name,), self.menu.size.height // 3)

    def _moved(self) -> None:
        self.query_one(About).tell(self.document, self.menu.row, self.path)

    # Keys and mouse

    @on(MenuList.Clicked)
    def _clicked(self, message: MenuList.Clicked) -> None:
        if message.on_symbol or message.again:
            self.action_enter()

    @on(Crumbs.Chosen)
    def _crumb_chosen(self, message: Crumbs.Chosen) -> None:
        while self.path != message.path:
            self.action_back()

    def action_enter(self) -> None:
        row = self.menu.row
        if row is None:
            return
        if row.kind == "option":
            self.edit(row)
        elif row.symbol == "----":
            self.notify("Nothing in there can be set now; w says why.", timeout=3, markup=False)
        else:
            self._places[self.path] = self.menu.screen_row
            self._go(row.menu, None, 0)

    def edit(self, row: Row) -> None:
        """Switch a bool; open the editor of anything else."""
        state = self.document[row.name]
        if state.option.type == "bool":
            self.change(row.name, not state.value)
        elif not state.active:
            self.explain(row.name)
        else:
            self.edit_value(row.name)

    @work(group="configure-dialog")
    async def edit_value(self, name: str) -> None:
        """Ask for another value of an option, and give it that."""
        from thanos_tui.tui.configure import editors

        value = await editors.ask(self.app, self.document, name)
        if value is not None and value != self.document[name].value:
            self.change(name, value)

    def action_back(self) -> None:
        if not self.path:
            if not self.view.changed:
                raise SkipAction
            self.action_changed()
            return
        self._results = None
        above = self.path[:-1]
        self._go(above, ("", *self.path), self._places.pop(above, None))

    async def action_escape(self) -> None:
        if self._results is not None:
            await self.action_search()
        else:
            self.action_back()

    def action_switch(self, on: bool) -> None:
        if self.menu.row is not None:
            self.switch(self.menu.row, on)

    def switch(self, row: Row, on: bool) -> None:
        """Switch a bool on or off."""
        if not row.name or self.document[row.name].option.type != "bool":
            self.app.bell()
        elif self.document[row.name].value is not on or (on and not row.active):
            self.change(row.name, on)

    async def action_search(self) -> None:
        from thanos_tui.tui.configure.search import Search

        kept, self._results = self._results, None
        # Awaited here, not in a worker: what is typed right behind the key is meant for the search.
        await self.app.push_screen(Search(self, kept), self._found)

    def _found(self, found: tuple[str, Kept] | None) -> None:
        if found is not None:
            name, self._results = found
            self.go_to(name)
        self._say_where()

    def action_why(self) -> None:
        if self.menu.row is not None:
            self.why(self.menu.row)

    def why(self, row: Row) -> None:
        """Say why what is in this row cannot be set, and what would allow it."""
        name = row.name or self._behind(row.menu)
        state = self.document[name] if name else None
        if state is not None and state.locked:
            self.explain(name, False)
        elif state is not None and (not state.active or row.problem):
            self.explain(name)
        else:
            self.notify(f"Nothing stands in the way of {row.name or row.title}.", timeout=3, markup=False)

    def _behind(self, path: Path) -> str:
        """The option of a menu that hangs on the least, if none of the menu is active; else nothing."""
        names = names_in(self.document.catalogue, path)
        if not names or any(self.document[name].active for name in names):
            return ""
        menu = menu_at(self.document.catalogue, path)
        return min(names, key=lambda name: menu is None or self.document[name].option.depends != menu.depends)

    def action_hidden(self) -> None:
        self.view = View(hidden=not self.view.hidden, changed=False)
        self._refresh()

    def action_changed(self) -> None:
        self.view = View(hidden=self.view.hidden, changed=not self.view.changed)
        self._refresh()

    def action_unset(self) -> None:
        if self.menu.row is not None:
            self.unset(self.menu.row)

    def unset(self, row: Row) -> None:
        """Give the option in this row its default."""
        if not row.name:
            self.app.bell()
        elif row.name not in self.document.current.assignments:
            self.notify(f"{row.name} has its default already.", timeout=2, markup=False)
        else:
            self._unset((row.name,))

    def _unset(self, names: Iterable[str]) -> None:
        try:
            with self._own_change():
                self.document.unset(names)
        except ThanosError as error:
            self.thanos.tell(error)

    def _revert(self, names: Iterable[str]) -> None:
        try:
            with self._own_change():
                self.document.revert(names)
        except ThanosError as error:
            self.thanos.tell(error)

    def action_reset(self) -> None:
        row = self.menu.row
        if row is None:
            return
        if row.kind == "menu":
            self._reset(f"Reset the menu {breadcrumb(row.menu)}?", names_in(self.document.catalogue, row.menu))
        elif row.unsaved:
            self._revert((row.name,))
        else:
            self.action_unset()

    def action_reset_all(self) -> None:
        self._reset("Reset all options?", tuple(self.document.catalogue.options))

    @work(group="configure-dialog")
    async def _reset(self, question: str, names: tuple[str, ...]) -> None:
        """Ask what to go back to, where there is a choice, and go there in one step."""
        document = self.document
        unsaved = [name for name in names if name in document.unsaved()]
        said = [name for name in names if name in document.current.assignments]
        if not unsaved and not said:
            self.notify("Everything there has its default already.", timeout=2, markup=False)
            return
        choices = [("saved", f"As saved ({len(unsaved)} to change)")] if unsaved and document.path else []
        choices += [("default", f"Defaults ({len(said)} to change)")] if said else []
        answer = await self.thanos.ask(question, [*choices, ("", "Leave it")])
        if answer == "saved":
            self._revert(unsaved)
        elif answer == "default":
            self._unset(said)

    async def action_show_yaml(self) -> None:
        row = self.menu.row
        if row is not None and row.kind != "menu":
            await self.thanos.show_in_yaml(row.name)

    @work(group="configure-dialog")
    async def action_info(self) -> None:
        from thanos_tui.tui.configure.detail import AllDetails

        await self.app.push_screen_wait(AllDetails(self.query_one(About).paragraphs))
