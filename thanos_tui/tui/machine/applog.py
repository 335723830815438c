"""The log of an app, as it grows."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from textual import work

from thanos_tui.errors import ThanosError
from thanos_tui.tui.lines import Lines
from thanos_tui.tui.look import look
from thanos_tui.tui.work import perform

if TYPE_CHECKING:
    from thanos_tui.apps import AppState
    from thanos_tui.apps.containers import Log
    from thanos_tui.tui.machine.link import Link

_EVERY = 0.1  # seconds between two looks at what a thread has read
_LAST = 5000  # lines to begin with: of an app's 2 MB of log, the newest matter


class AppLog(Lines):
    """What an app says on its stdout and stderr; read while it is seen, and for as long as it runs."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._app: AppState | None = None  # the one that is shown, as it was when its log was read
        self._link: Link | None = None  # over which it was read
        self._reading: _Reading | None = None

    def watch_app(self, link: Link | None, app: AppState | None) -> None:
        """Show this app's log from now on. No connection: nobody sees it, so read no more."""
        if app is None or self._app is None or app.id != self._app.id:
            self.clear()
        elif self._link is link and (self._reading is not None or not self._may_go_on(app)):
            return
        self._app = app
        if self._reading is not None:
            self._reading.end()
            self._reading = None
        self._link = link
        if link is not None and app is not None:
            self._reading = _Reading()
            self._read(link, app, self._reading)

    def _may_go_on(self, app: AppState) -> bool:
        """Whether there may be more in the log than was read: the app was looked at again since, and runs."""
        return app is not self._app and app.state in ("running", "restarting")

    def on_unmount(self) -> None:
        if self._reading is not None:
            self._reading.end()

    @work(group="log", exit_on_error=False)
    async def _read(self, link: Link, app: AppState, reading: _Reading) -> None:
        thread = asyncio.ensure_future(perform(reading.read, link, app.id))
        fresh = True
        while self._reading is reading and (not thread.done() or reading.lines):
            await asyncio.wait({thread}, timeout=_EVERY)
            fresh = self._take(reading, fresh)
        try:
            await thread
        except ThanosError as error:
            if self._reading is reading:
                self.replace([(error.message, "warning")])
        else:
            # One that was only made when it was looked at may have begun before its log was asked for.
            ran = app.state == "running" or (app.state == "created" and not fresh)
            if self._reading is reading and ran:
                if fresh:
                    self.clear()
                self.append((f"{look().dash} {app.name} has ended", "muted"))
        if self._reading is reading:
            self._reading = None

    def _take(self, reading: _Reading, fresh: bool) -> bool:
        """Show what was read since the last time; the first of it in the place of what is shown. Whether that waits."""
        lines = []
        while reading.lines:
            lines.append(reading.lines.popleft())
        if not lines:
            return fresh
        if fresh:
            self.replace(lines)
        else:
            self.extend(lines)
        return False


class _Reading:
    """One reading of a log by a thread. lines: what it has read and nobody has taken yet."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        self._log: Log | None = None
        self._ended = False

    def read(self, link: Link, app: str) -> None:
        """Read until the app ends, or nobody wants it any more. Raises ThanosError."""
        from thanos_tui import apps

        with link.using() as engine:
            self._log = apps.follow(engine, app, on=True, tail=_LAST)
            if not self._ended:
                self.lines.extend(self._log)
            self._log.close()

    def end(self) -> None:
        """Read no more; from any thread."""
        self._ended = True
        if self._log is not None:
            self._log.close()
