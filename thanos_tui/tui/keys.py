"""What a key does, said once: the footer, the palette, the help and the user's own keys all read it from here."""

from __future__ import annotations

from textual.binding import Binding


def key(
    name: str, keys: str, action: str, title: str, help: str, *, show: bool = False, priority: bool = False
) -> Binding:
    """The binding of one action.

    name: by which the user binds other keys to it (``configure.toggle``). keys: Textual's names, with commas between
    them. action: of the widget that holds the binding. title: a word or two, for the footer and the palette.
    help: a sentence. show: whether the footer has room for it. priority: before the focused widget's own keys.
    """
    return Binding(keys, action, title, show=show, priority=priority, tooltip=help, id=name)
