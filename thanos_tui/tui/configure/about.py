"""The details of the row under a cursor, whatever it is; the effect of changing it follows when it is known."""

from __future__ import annotations

from textual import work
from textual.timer import Timer

from thanos_tui.editing.document import Document
from thanos_tui.editing.rows import Path, Row
from thanos_tui.errors import ThanosError
from thanos_tui.tui.configure import facts
from thanos_tui.tui.configure.detail import Detail
from thanos_tui.tui.work import perform

_EFFECT_AFTER = 0.15  # seconds on an option before its effect is computed


class About(Detail):
    """All there is to know of an option or a menu."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._of: tuple[Document, int, str] | None = None  # the option told of, and the state of which document
        self._effect: tuple[tuple[Document, int, str], list[facts.Paragraph]] | None = None
        self._timer: Timer | None = None

    def tell(self, document: Document, row: Row | None, path: Path = ()) -> None:
        """Tell of what is in this row; without one, of the menu at ``path``."""
        if self._timer is not None:
            self._timer.stop()
        of = (document, document.revision, row.name) if row is not None and row.name else None
        same = of is not None and self._of is not None and of[::2] == self._of[::2]
        self._of = of
        if of is None:
            self.show(facts.of_menu(document, row.menu if row else path))
            return
        if self._effect is None or self._effect[0] != of:
            self._timer = self.set_timer(_EFFECT_AFTER, self._compute)
        self._show(stay=same)

    def _show(self, *, stay: bool) -> None:
        if self._of is not None:
            document, _, name = self._of
            known = self._effect[1] if self._effect is not None and self._effect[0] == self._of else ()
            self.show([*facts.of_option(document, name), *known], stay=stay)

    @work(exclusive=True, exit_on_error=False)
    async def _compute(self) -> None:
        """Render what the option would change, in a thread, and add it to what is shown."""
        from thanos_tui.editing import effects
        from thanos_tui.tui.configure import effect

        of = self._of
        if of is None:
            return
        document, _, name = of
        asked = effect.question(document, name)
        if asked is None:
            return
        try:
            known = effect.answer(document, name, asked, await perform(effects.effect, document, name, asked))
        except ThanosError as error:
            known = effect.refusal(asked, error)
        if self._of == of and document.revision == of[1]:
            self._effect = (of, known)
            self._show(stay=True)
