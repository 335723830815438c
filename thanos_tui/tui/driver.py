"""Textual's driver, for terminals that show what they do not understand, and for a screen that is there already."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from thanos_tui.tui import first
from thanos_tui.tui.look import look

# Questions and modes of newer terminals. ECMA-48 terminals before them did not expect "$" and ">" in a sequence, and
# some print what follows.
_NEWER = ("\x1b[?2026$p", "\x1b[?2048$p", "\x1b[<u")


class ThanosDriver(LinuxDriver):
    """Leaves out what this terminal would stumble over, and keeps the first frame until the app's own is drawn."""

    def write(self, data: str) -> None:
        # The first frame stands on the alternate screen: asking for that again would clear it.
        if data == first.ALTERNATE and first.taken_over():
            return
        if look().old and (data in _NEWER or data.startswith("\x1b[>")):
            return
        super().write(data)
