"""What the app's five panes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical

if TYPE_CHECKING:
    from thanos_tui.tui.app import ThanosApp


class Pane(Vertical):
    """One of the app's panes; a tab shows it. It is made when it is first shown, and stays.

    TITLE: on its tab. HELP: what it is for, in some lines of plain text, for its help screen.
    """

    TITLE: ClassVar[str] = ""
    HELP: ClassVar[str] = ""

    @property
    def under_way(self) -> str:
        """What leaving the app would cut short, as ``the build``; "" for nothing."""
        return ""

    @property
    def thanos(self) -> ThanosApp:
        """The app, by its own type."""
        return cast("ThanosApp", self.app)

    def document_changed(self) -> None:
        """The document has another state, or is another document. Called after each change, hidden or not."""

    def entered(self) -> None:
        """The pane is shown now."""

    def left(self) -> None:
        """Another pane is shown now."""

    def focus_first(self) -> None:
        """Give the focus to what the user most likely wants to use."""
        for widget in self.query("*"):
            if widget.focusable:
                widget.focus()
                return
