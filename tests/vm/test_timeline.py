"""Timelines from serial logs with the times at which they grew."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest
from waiting import eventually

from thanos_tui import vm
from thanos_tui.vm import Machine, timeline
from thanos_tui.vm.timeline import Stamp, Step, Timeline

QUIET = (
    (11.0, "thanos: onboot 000-sysctl\r\n"),
    (12.5, "thanos: onboot 001-dhcp\r\n"),
    (14.5, "eth0: 10.0.2.15/24 by way of 10.0.2.2\r\n"),
    (21.0, "\r\nroot@thanos:~# \x1b[6nthanos: started in 17 s, 10.0.2.15\r\nWelcome to ThanOS\r\n"),
    (22.0, "thanos: ssh host key: ssh-ed25519 AAAA\r\n"),
)


def heard(said: Sequence[tuple[float, str]], began: float = 1000.0, over: bool = False) -> Timeline:
    """The timeline of a log that grew by these texts at these seconds after power-on."""
    log, stamps = b"", [Stamp(began, 0)]
    for moment, text in said:
        log += text.encode()
        stamps.append(Stamp(began + moment, len(log)))
    return timeline.read(log, stamps, over)


def test_a_quiet_boot_is_told_by_the_lines_of_the_system() -> None:
    told = heard(QUIET)
    assert told.up == 21.0
    assert told.steps == (
        Step("firmware", 0.0, 3.5, rough=True),
        Step("kernel", 3.5, 7.5, rough=True),
        Step("onboot 000-sysctl", 11.0, 1.5),
        Step("onboot 001-dhcp", 12.5, 2.0),
        Step("services", 14.5, 6.5),
        Step("service sshd", 14.5, 7.5),
    )


def test_kernel_messages_tell_exactly_when_the_kernel_began() -> None:
    # The console shows the first ones late; what comes at once counts.
    said = (
        (0.5, "SYSLINUX 6.04 20210613 Copyright (C) 1994-2015 H. Peter Anvin et al\r\n"),
        (4.0, "[    0.000000] Linux version 6.1.0\r\n[    0.500000] tsc: Detected\r\n"),
        (5.0, "[    3.000000] Run /init as init process\r\n"),
        (6.0, "thanos: onboot 000-sysctl\r\n"),
        (6.5, "[    4.600000] device eth0 entered promiscuous mode\r\n"),
        (9.0, "thanos: started in 7 s, no address\r\n"),
        (9.5, "[    7.500000] later words do not count\r\n"),
    )
    assert heard(said).steps == (
        Step("firmware", 0.0, 0.5),
        Step("boot loader", 0.5, pytest.approx(1.4)),  # type: ignore[arg-type]
        Step("kernel", pytest.approx(1.9), pytest.approx(3.1)),  # type: ignore[arg-type]
        Step("init", 5.0, 1.0),
        Step("onboot 000-sysctl", 6.0, 3.0),
    )


def test_a_boot_under_way_ends_in_an_open_step() -> None:
    assert heard(()).steps == (Step("firmware", 0.0, None),)
    assert heard(QUIET[:3]).steps == (
        Step("firmware and kernel", 0.0, 11.0),
        Step("onboot 000-sysctl", 11.0, 1.5),
        Step("onboot 001-dhcp", 12.5, 2.0),
        Step("services", 14.5, None),
    )


def test_a_line_that_is_not_whole_is_not_heard_yet() -> None:
    assert heard([(1.0, "thanos: onboot 000-sysctl")]).steps == (Step("firmware", 0.0, None),)


def test_output_between_two_onboot_containers_is_the_end_of_the_first() -> None:
    said = ((1.0, "thanos: onboot 000-a\n"), (2.0, "words\n"), (5.0, "thanos: onboot 001-b\n"))
    assert heard(said).steps[1:] == (Step("onboot 000-a", 1.0, 1.0), Step("onboot 001-b", 5.0, None))


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("thanos: onboot 001-dhcp failed: exit status 7", "onboot 001-dhcp"),
        ("thanos: service ntp failed: it has ended", "services"),
    ],
)
def test_failures_are_marked_where_they_happened(line: str, broken: str) -> None:
    said = [*QUIET[:3], (15.0, f"{line}\n"), (20.0, "thanos: not everything has started: service ntp\n")]
    told = heard(said)
    assert [step.name for step in told.steps if not step.ok] == [broken]
    assert told.up == 20.0


def test_a_boot_that_never_ended_well_is_broken_where_it_stopped() -> None:
    panic = [*QUIET[:1], (12.0, "[    5.000000] Kernel panic - not syncing: Attempted to kill init!\n")]
    assert [(step.name, step.seconds, step.ok) for step in heard(panic).steps][-1] == ("onboot 000-sysctl", 1.0, False)
    ended = heard(QUIET[:2], over=True)
    assert ended.steps[-1] == Step("onboot 001-dhcp", 12.5, 0.0, ok=False)
    assert not [step for step in heard(QUIET, over=True).steps if not step.ok]


def test_a_restart_by_the_guest_begins_anew() -> None:
    again = [(30.0, "[   30.000000] reboot: Restarting system\n"), (41.0, QUIET[0][1])]
    assert heard([*QUIET, *again]).steps == (
        Step("firmware and kernel", 0.0, 11.0),
        Step("onboot 000-sysctl", 11.0, None),
    )


def test_a_reset_begins_anew_though_the_log_does_not_say_so() -> None:
    log = QUIET[0][1].encode()
    stamps = [Stamp(1000.0, 0), Stamp(1011.0, len(log)), Stamp(1020.0, len(log), reset=True)]
    assert timeline.read(log, stamps).steps == (Step("firmware", 0.0, None),)
    more = log + QUIET[0][1].encode()
    assert timeline.read(more, [*stamps, Stamp(1027.0, len(more))]).steps[0] == Step("firmware and kernel", 0.0, 7.0)


def test_without_times_there_is_no_timeline() -> None:
    assert timeline.read(QUIET[0][1].encode(), []) == Timeline()


def test_what_is_not_a_stamp_is_left_out() -> None:
    text = "12.500 0\n13.000 27 reset\nnonsense\n14.0"
    assert timeline.read_stamps(text) == [Stamp(12.5, 0), Stamp(13.0, 27, reset=True)]


def test_what_is_not_noted_yet_has_the_time_of_the_log(start: Callable[..., Machine]) -> None:
    machine = start("deaf", "thanos: onboot 000-first\n")
    told_by(machine, 2)
    vm.stop(machine, patience=0)
    times = machine.directory / "serial.times"
    first = times.read_text().splitlines()[0]
    times.write_text(f"{first}\n")
    began = timeline.read_stamps(first)[0].time
    os.utime(machine.directory / "serial.log", (began + 7, began + 7))
    assert told_by(machine, 2).steps[0] == Step("firmware and kernel", 0.0, pytest.approx(7.0))  # type: ignore[arg-type]


def test_a_machine_notes_when_its_log_grows(start: Callable[..., Machine]) -> None:
    machine = start("deaf", "thanos: onboot 000-first\n")
    told = told_by(machine, 2)
    firmware, onboot = told.steps
    assert firmware.name == "firmware and kernel"
    assert firmware.seconds is not None
    assert 0 < firmware.seconds <= (vm.find(machine.name).uptime or 0) + 1
    assert (onboot.name, onboot.start, onboot.seconds) == ("onboot 000-first", firmware.seconds, None)

    vm.reboot(machine)
    assert "reset" in (machine.directory / "serial.times").read_text()
    assert told_by(machine, 2).began > told.began
    vm.stop(machine, patience=0)
    assert not timeline.timeline(vm.find(machine.name)).steps[-1].ok


def told_by(machine: Machine, count: int) -> Timeline:
    """Its timeline, once it has so many steps: the guest speaks when it comes to it."""
    eventually(lambda: len(timeline.timeline(machine).steps) == count, tell=lambda: timeline.timeline(machine))
    return timeline.timeline(machine)
