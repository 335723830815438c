"""Textual's driver, for terminals that show what they do not understand, and for a screen that is there already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from thanos_tui.tui import answers, first
from thanos_tui.tui.look import look

# Questions and modes of newer terminals; ECMA-48 terminals before them did not expect "$", ">" and "<" in a sequence,
# and print what follows. So they do with strings such as the shape of the mouse pointer.
_NEWER = ("\x1b[?2026", "\x1b[?2048", "\x1b[>", "\x1b[<", "\x1b]")


class ThanosDriver(LinuxDriver):
    """Asks the terminal what it is, leaves out what it would stumble over, and keeps the first frame until the app's
    own is drawn.

    known: what the terminal, of which a process has one, has said of itself. farewell: what is written before the
    terminal is given back, at the end and when the app is suspended: it takes away what the terminal keeps apart from
    its cells, such as pictures.
    """

    known: ClassVar[answers.Answers] = answers.Answers()
    farewell = ""

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        here = look()
        # Without colours there is no use for the answers. Without the thread there is no terminal, in the background.
        if self._writer_thread is not None and not here.ascii and here.colour:
            self.write(answers.QUESTIONS)

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

    def _sigcont_application(self, *_: object) -> None:
        # It also comes along with SIGHUP. To start again what was not suspended would make a second reader and writer.
        if self._must_signal_resume:
            super()._sigcont_application()

    def stop_application_mode(self) -> None:
        if self.farewell:
            self.write(self.farewell)
            self.farewell = ""
        super().stop_application_mode()


class _Reader(XTermParser):
    """Textual's reader of keys. To it an answer that it did not ask for is so many keys; here it is heard."""

    _begun = ""

    def feed(self, data: str) -> Iterable[Message]:
        if data:  # none is the end
            data, self._begun, ThanosDriver.known = answers.pick(self._begun + data, ThanosDriver.known)
            if not data:
                return ()
        return super().feed(data)


class Writer(WriterThread):
    """Textual's writer, for a terminal that may go away: the rest is dropped then.

    Textual's ends, and whoever writes to it waits for ever once thirty writes have come.
    """

    def run(self) -> None:
        try:
            super().run()
        except OSError:
            while self._queue.get() is not None:
                pass


# The driver makes its reader and its writer by these names, and lets nobody choose other ones.
vars(linux_driver)[XTermParser.__name__] = _Reader
vars(linux_driver)[WriterThread.__name__] = Writer
