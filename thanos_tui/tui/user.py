"""What the user set, taken over by the app: theme, symbols and keys."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from thanos_tui.errors import ThanosError
from thanos_tui.tui import first, graphics, keymap, look, settings, themes
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thanos_tui.tui.app import ThanosApp

# Objects made before cycles among them are looked for. A frame makes thousands, nearly none of them in cycles: with
# Python's 700, looking took a tenth of each frame, and up to 20 ms of some.
_UNCOLLECTED = 20_000


def prepare(app: ThanosApp) -> Sequence[ThanosError]:
    """Take the settings and keys over, before the first paint. Returns what is wrong with the settings."""
    chosen, problems = settings.load()
    themes.register(app)
    here = look.look() if chosen.ascii is None else look.settle(chosen.ascii)
    graphics.settle(chosen.graphics)
    wrong = settings.check_theme(chosen, themes.known())
    app.theme = themes.initial(chosen.theme, here)
    app.keymap = keymap.load()
    app.set_keymap(app.keymap.textual())
    return [*problems, *([wrong] if wrong else [])]


async def finish(app: ThanosApp, problems: Sequence[ThanosError]) -> None:
    """What can wait until the first paint: tell what is wrong with the user's files, and keep the frame's colours."""
    # Switched off while everything was loaded (commands/app.py); what is there now is here to stay.
    gc.freeze()
    gc.set_threshold(_UNCOLLECTED, 20, 20)
    gc.enable()
    found = list(problems)
    if app.keymap.keys or app.keymap.problems:
        # Only those who have keys of their own pay for loading all of the app.
        found += keymap.check(app.keymap, await perform(keymap.declared))
    for problem in found:
        app.notify(str(problem), title="Not used as written", severity="warning", timeout=15, markup=False)
    await perform(first.remember, os.environ, colours(app))


async def choose_theme(app: ThanosApp, name: str) -> None:
    """Draw in another theme from now on, and the next time."""
    app.theme = name
    try:
        await perform(settings.change, theme=name)
        await perform(first.remember, os.environ, colours(app))
    except ThanosError as error:
        app.tell(error)


def colours(app: ThanosApp) -> first.Colours:
    """The colours of the first frame, as the theme has them."""
    here = look.look()
    if here.colours < 2**24 or app.current_theme.ansi:
        return first.PLAIN
    value = app.theme_variables
    return first.Colours(*(value[name] for name in ("background", "panel", "primary", "foreground")))
