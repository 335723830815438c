"""Textual's driver, for terminals that show what they do not understand, and for a screen that is there already."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from thanos_tui.tui import first
from thanos_tui.tui.look import look

# Questions and modes of newer terminals; ECMA-48 terminals before them did not expect "$", ">" and "<" in a sequence,
# and print what follows. So they do with strings such as the shape of the mouse pointer.
_NEWER = ("\x1b[?2026", "\x1b[?2048", "\x1b[>", "\x1b[<", "\x1b]")


class ThanosDriver(LinuxDriver):
    """Leaves out what this terminal would stumble over, and keeps the first frame until the app's own is drawn.

    farewell: what is written before the terminal is given back, at the end and when the app is suspended: it takes away
    what the terminal keeps apart from its cells, such as pictures.
    """

    farewell = ""

    def write(self, data: str) -> None:
        # The first frame stands on the alternate screen: asking for that again would clear it.
        if data == first.ALTERNATE and first.taken_over():
            return
        if look().old and data.startswith(_NEWER):
            return
        super().write(data)

    @property
    def is_behind(self) -> bool:
        """Whether something that was written still waits for the terminal. Of 30 such things, the next one blocks."""
        return self._writer_thread is not None and self._writer_thread._queue.qsize() > 0

    def stop_application_mode(self) -> None:
        if self.farewell:
            self.write(self.farewell)
            self.farewell = ""
        super().stop_application_mode()
