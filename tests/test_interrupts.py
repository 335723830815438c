"""Signals: they ask a build to stop, and stop everything else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from thanos_tui import interrupts
from thanos_tui.errors import BuildError, Interrupted
from thanos_tui.events import Reporter
from thanos_tui.interrupts import SIGNALS, asking


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Puts back what the tests set."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks(number: signal.Signals) -> None:
    reporter = Reporter()
    done = []

    def work() -> None:
        _send(number)
        _send(number)
        done.append("what was begun")
        reporter.check()
        done.append("what comes next")

    with pytest.raises(Interrupted), asking(reporter):
        work()
    assert done == ["what was begun"]


def test_work_that_was_finished_is_not_gone_on_with() -> None:
    reporter = Reporter()
    with pytest.raises(Interrupted), asking(reporter):
        _send(signal.SIGINT)


def test_what_fails_after_a_signal_was_interrupted() -> None:
    def fail(*signals: signal.Signals) -> None:
        for number in signals:
            _send(number)
        raise BuildError("a program was stopped")

    with pytest.raises(Interrupted), asking(Reporter()):
        fail(signal.SIGTERM)
    with pytest.raises(BuildError), asking(Reporter()):
        fail()


def test_asking_again_later_insists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)

    def ask_twice() -> None:
        _send(signal.SIGINT)
        _send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), asking(Reporter()):
        ask_twice()


def test_handlers_are_as_before_afterwards() -> None:
    interrupts.raise_on_signals()
    before = [signal.getsignal(number) for number in SIGNALS]
    with asking(Reporter()):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    for number in SIGNALS:
        with pytest.raises(KeyboardInterrupt):
            _send(number)


def test_what_is_ignored_stays_so() -> None:
    # As nohup and shells' background jobs have it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.raise_on_signals()
    reporter = Reporter()
    with asking(reporter):
        _send(signal.SIGHUP)
    _send(signal.SIGHUP)
    assert not reporter.cancelled
