"""How the services of a machine's stark are, in a few lines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work

from thanos_tui.errors import ThanosError
from thanos_tui.tui.lineview import LineView
from thanos_tui.tui.look import look
from thanos_tui.tui.machine import rows
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from thanos_tui.apps import Service
    from thanos_tui.tui.machine.link import Link

# Seconds between two looks: each lets stark check all of its services, for which an emulated machine works a while.
_SOON, _LATER = 5.0, 30.0
_ROWS = 4  # at most


class ServiceLines(LineView, can_focus=False):
    """Each service of stark: a mark, its name, and what it has to say. Not there while nothing is known of them."""

    DEFAULT_CSS = """
    ServiceLines { height: 1; display: none; }
    ServiceLines.-known { display: block; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(follow=False, id=id)
        self.services: tuple[Service, ...] = ()
        """As they were found last."""
        self._link: Link | None = None
        self._asked: Link | None = None  # who has not answered yet
        self._next = 0.0  # when to ask again, by the loop's clock

    def watch_link(self, link: Link | None) -> None:
        """Show the services of the machine at the other end from now on; None: nobody sees them, or there is none."""
        if link is not self._link:
            if link is None or self._link is None or link.machine.directory != self._link.machine.directory:
                self._show(())
            self._link, self._next = link, 0.0
        due = asyncio.get_running_loop().time() >= self._next
        if link is not None and link.open and self._asked is not link and due:
            self._asked = link
            self._ask(link)

    @work(group="services", exit_on_error=False)
    async def _ask(self, link: Link) -> None:
        try:
            found = await perform(link.services)
        except ThanosError:
            # What is wrong with the machine or its stark is said where its apps would be.
            found = ()
        if self._asked is link:
            self._asked = None
        if self._link is link:
            settled = bool(found) and all(service.state in ("ready", "stopped") for service in found)
            self._next = asyncio.get_running_loop().time() + (_LATER if settled else _SOON)
            self._show(found)

    def on_resize(self) -> None:
        self._show(self.services)

    def _show(self, found: tuple[Service, ...]) -> None:
        self.services = found
        lines = rows.services(found, self.app.size.width, look())[:_ROWS]
        self.set_class(bool(lines), "-known")
        self.styles.height = max(1, len(lines))
        rows.fill(self, lines)
