"""The command palette: every action of the app, options, profiles and themes, by what they are called.

Actions come from the widgets' own declarations (:func:`thanos_tui.tui.keymap.declared`), also those of panes that were
never shown: choosing one shows its pane first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from thanos_tui.tui.keymap import Declared, declared, shown
from thanos_tui.words import short

if TYPE_CHECKING:
    from thanos_tui.tui.app import ThanosApp

_OPTIONS = 12  # options among the hits; for more of them there is the search of the Configure pane
_TITLE = 36  # cells for what a command is called, so that the keys stand in a column


@dataclass(frozen=True)
class Command:
    """One line of the palette. key: as people write it; empty where there is none."""

    title: str
    help: str
    run: Callable[[], Any]
    key: str = ""

    def display(self, title: Content | None = None) -> Content:
        """Its title with the key behind it."""
        said = Content(self.title) if title is None else title
        gap = " " * max(2, _TITLE - len(self.title))
        return Content.assemble(said, gap, (self.key, "$text-accent")) if self.key else said


class ThanosCommands(Provider):
    """Finds the app's commands."""

    async def startup(self) -> None:
        from thanos_tui.editing.search import make_index

        # The panes that were not shown yet have to be imported, and the profiles looked for.
        app = cast("ThanosApp", self.app)
        actions, files = await asyncio.gather(asyncio.to_thread(declared), asyncio.to_thread(profiles))
        self._index = await asyncio.to_thread(make_index, app.document.catalogue)
        self._commands = [*action_commands(app, actions), *theme_commands(app), *profile_commands(app, files)]

    async def discover(self) -> Hits:
        for command in self._commands:
            # Themes and files would bury the actions; they come up when they are asked for.
            if not command.title.startswith(("Theme: ", "Profile: ")):
                yield DiscoveryHit(command.display(), command.run, text=command.title, help=_plain(command.help))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands:
            score = matcher.match(command.title)
            if score > 0:
                display = command.display(matcher.highlight(command.title))
                yield Hit(score, display, command.run, text=command.title, help=_plain(command.help))
        async for hit in self._options(query):
            yield hit

    async def _options(self, query: str) -> Hits:
        from thanos_tui.editing.search import search

        app = cast("ThanosApp", self.app)
        document = app.document
        resolved = document.current.resolved
        values = {name: resolved[name].value for name in document.catalogue.options}
        found = search(self._index, query, _OPTIONS, values)
        for rank, each in enumerate(found):
            option = document.catalogue.options[each.name]
            command = Command(f"Option: {option.prompt}", each.name, partial(app.go_to_option, each.name))
            # Behind the actions: there are many more options, and a search of their own.
            yield Hit(0.1 - rank / 1000, command.display(), command.run, text=command.title, help=_plain(each.name))


def action_commands(app: ThanosApp, actions: tuple[Declared, ...]) -> Iterator[Command]:
    """The actions of the app and its panes; a dialog's own work in the dialog only."""
    from thanos_tui.tui.app import ROOMS

    titles = {room.id: room.title for room in ROOMS}
    for action in actions:
        if issubclass(action.holder, Screen):
            continue
        keys = app.keymap.keys.get(action.name, action.keys)
        title = action.binding.description
        if action.part in titles:
            title = f"{titles[action.part]}: {title}"
        elif action.name.removeprefix("app.go-") in titles:
            title = f"Go to {title}"
        yield Command(title, action.binding.tooltip, partial(perform, app, action), " ".join(map(shown, keys)))


async def perform(app: ThanosApp, action: Declared) -> None:
    """Do an action as its key would: in its pane, on the widget that has it, with the focus there."""
    from thanos_tui.tui.app import ROOMS

    if isinstance(app, action.holder):
        await app.run_action(action.binding.action, app)
        return
    if action.part in [room.id for room in ROOMS]:
        await app.show(action.part)
    node = _holder(app, action.holder)
    if node is None:
        app.notify(f"{action.binding.description}: there is nothing here that can do this", markup=False)
        return
    if node.focusable:
        node.focus()
    if not await app.run_action(action.binding.action, node):
        app.notify(f"{action.binding.description}: not possible now", markup=False)


def _holder(app: ThanosApp, holder: type[DOMNode]) -> Widget | None:
    """The widget that has the action: the one with the focus or around it, or else the first that is to be seen."""
    focused = app.focused
    around = [node for node in focused.ancestors_with_self if isinstance(node, holder)] if focused else []
    seen = [node for node in app.screen.walk_children(Widget) if isinstance(node, holder) and node.is_on_screen]
    return next((node for node in (*around, *seen) if isinstance(node, Widget)), None)


def theme_commands(app: ThanosApp) -> Iterator[Command]:
    """Each theme; the choice is kept."""
    from thanos_tui.tui.themes import known

    for name in known():
        yield Command(f"Theme: {name}", "Draw the app in this theme, also next time.", partial(app.choose_theme, name))


def profiles() -> tuple[Path, ...]:
    """The profiles used last, newest first."""
    from thanos_tui.editing.recent import recent

    return tuple(item.path for item in recent())


def profile_commands(app: ThanosApp, files: tuple[Path, ...]) -> Iterator[Command]:
    """Each profile used last."""
    for path in files:
        yield Command(f"Profile: {short(path)}", "Open this profile.", partial(app.open_path, path))


def _plain(text: str) -> str:
    # The palette takes markup, or Content, which it leaves as it is: option names and paths are no markup.
    return cast("str", Content(text))
