"""The driver's writer: a terminal that goes away must not keep the app from ending."""

from __future__ import annotations

import io

from thanos_tui.tui.driver import Writer


class Gone(io.StringIO):
    """A terminal that is closed while something is written to it."""

    def write(self, text: str) -> int:
        raise OSError(5, f"cannot write {text!r}")


def test_what_is_written_to_a_closed_terminal_is_dropped() -> None:
    writer = Writer(Gone())
    writer.start()
    for number in range(100):  # more than the queue holds
        writer.write(f"row {number}")
    writer.stop()
    assert not writer.is_alive()


def test_what_is_written_arrives_in_order() -> None:
    terminal = io.StringIO()
    writer = Writer(terminal)
    writer.start()
    for number in range(100):
        writer.write(f"{number} ")
    writer.stop()
    assert terminal.getvalue().split() == [str(number) for number in range(100)]
