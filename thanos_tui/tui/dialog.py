"""What every dialog of the app is: a box in the middle of the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.screen import ModalScreen

from thanos_tui.tui.keys import key

if TYPE_CHECKING:
    from textual.binding import BindingType

T = TypeVar("T")


class Dialog(ModalScreen[T | None]):
    """A box in the middle of the screen; Esc puts it away, which answers None."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog:ansi { background: transparent; }
    Dialog #box {
        width: 66; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    Dialog #question { text-style: bold; height: auto; }
    Dialog #explanation { color: $text-muted; height: auto; margin: 0 0 1 0; }
    Dialog Input { background: $boost; padding: 0 1; }
    Dialog OptionList { background: $surface; height: auto; }
    Dialog Button { margin: 0 2 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("dialog.cancel", "escape", "cancel", "Cancel", "Put the question away."),
    ]

    def action_cancel(self) -> None:
        self.dismiss(None)
