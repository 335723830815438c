"""Textual's driver, for terminals that show what they do not understand, and for a screen that is there already."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from thanos_tui.tui import first
from thanos_tui.tui.look import look

# Questions and modes of newer terminals; ECMA-48 terminals before them did not expect "$", ">" and "<" in a sequence,
# and print what follows. So they do with strings such as the shape of the mouse pointer.
_NEWER = ("\x1b[?2026", "\x1b[?2048", "\x1b[>", "\x1b[<", "\x1b]")


class ThanosDriver(LinuxDriver):
    """Leaves out what this terminal would stumble over, and keeps the first frame until the app's own is drawn."""

    def write(self, data: str) -> None:
        # The first frame stands on the alternate screen: asking for that again would clear it.
        if data == first.ALTERNATE and first.taken_over():
            return
        if look().old and data.startswith(_NEWER):
            return
        super().write(data)
