"""The timeline of a boot: what a machine did after its power-on, read from what it said on its serial port and when.

The lines of the guest carry no time of their own (a kernel booted with `quiet` says nothing at all). So the machine's
supervisor notes in serial.times when the log has grown, and to what size: some 10 ms exact, more where the host is so
busy that the supervisor has to wait. A step lasts until the line that ends it.

What happened before the kernel's clock began to run is told by that clock: by its messages, exactly; with `quiet` by
the whole seconds of ``thanos: started in 12 s``, so half a second more or less (Step.rough).
"""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from thanos_tui.errors import HostError
from thanos_tui.vm.qemu import SERIAL_LOG, SERIAL_TIMES
from thanos_tui.vm.registry import Machine
from thanos_tui.vm.serial import clean

_LONGEST = 4 << 20  # bytes of the log that are looked at: a boot says some kilobytes
_RESET = "reset"

_KERNEL = re.compile(r"\[ *(\d+\.\d{6})\] (.*)")
_ONBOOT = re.compile(r"thanos: onboot (\S+)$")
_FAILED = re.compile(r"thanos: (onboot \S+|service \S+|containerd) failed: ")
_STARTED = re.compile(r"thanos: (?:started(?: in (\d+) s)?, |not everything has started: )")
_HOST_KEY = "thanos: ssh host key: "
_LOADER = re.compile(r"(?:SYS|ISO|EXT|PXE)LINUX \d|.*systemd-boot|.*EFI stub:")
_PANIC = "Kernel panic - not syncing"
_RESTART = "reboot: Restarting system"


@dataclass(frozen=True)
class Stamp:
    """At ``time`` (seconds since 1970) the log had ``size`` bytes. reset: the machine was reset then."""

    time: float
    size: int
    reset: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a boot.

    start: seconds since power-on, or since the last reset. seconds: how long it took; None while it goes on.
    rough: known to half a second only. ok: False where it failed, or the boot ended in it.
    """

    name: str
    start: float
    seconds: float | None = None
    rough: bool = False
    ok: bool = True


@dataclass(frozen=True)
class Timeline:
    """A boot in its steps, in order of their start.

    up: the seconds after which the system said it had started. began: its power-on or reset, in seconds since 1970.
    """

    steps: tuple[Step, ...] = ()
    up: float | None = None
    began: float = 0.0


def timeline(machine: Machine) -> Timeline:
    """The last boot of a machine; empty for one of which no times were noted. Raises HostError."""
    try:
        with (machine.directory / SERIAL_LOG).open("rb") as stream:
            log = stream.read(_LONGEST)
            written = os.fstat(stream.fileno()).st_mtime
        stamps = read_stamps((machine.directory / SERIAL_TIMES).read_text())
    except FileNotFoundError:
        return Timeline()
    except OSError as error:
        raise HostError(f"cannot read {error.filename}: {error.strerror}") from error
    if stamps and stamps[-1].size < len(log):
        # The supervisor has not come to it yet, or watches no longer. The file's clock is some milliseconds coarse.
        stamps.append(Stamp(max(written, stamps[-1].time), len(log)))
    return read(log, stamps, over=not machine.alive)


def note_reset(machine: Machine) -> None:
    """Note that a machine has just been reset: the guest says nothing of it."""
    place = machine.directory / SERIAL_LOG
    try:
        size = place.stat().st_size
        with (machine.directory / SERIAL_TIMES).open("a") as times:
            times.write(f"{time.time():.3f} {size} {_RESET}\n")
    except OSError as error:
        raise HostError(f"cannot note the reset of {machine.name}: {error.strerror}") from error


def read_stamps(text: str) -> list[Stamp]:
    """The stamps in serial.times; a line that is not whole yet is left out."""
    stamps = []
    for line in text.splitlines():
        if found := re.fullmatch(rf"(\d+\.\d+) (\d+)( {_RESET})?", line):
            stamps.append(Stamp(float(found[1]), int(found[2]), found[3] is not None))
    return stamps


def read(log: bytes, stamps: Sequence[Stamp], over: bool = False) -> Timeline:
    """The timeline that a serial log and its stamps tell. over: the machine has ended."""
    if not stamps:
        return Timeline()
    boot = _Boot(stamps[0].time)
    sizes = [stamp.size for stamp in stamps]
    # Where a reset stands in the log: what is said from there on belongs to the next boot.
    resets = [stamp for stamp in stamps if stamp.reset]
    position = 0
    for raw in log.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            break
        position += len(raw)
        while resets and position > resets[0].size:
            boot = _Boot(resets.pop(0).time)
        # The first stamp that knows of this line's end; of a log that was watched no longer, the last.
        number = min(bisect_left(sizes, position), len(stamps) - 1)
        line = clean(raw)
        # Both a prompt and one of our lines may stand on the same line of a console.
        boot.hear(line[max(0, line.find("thanos: ")) :], stamps[number].time)
        if _RESTART in line:
            boot = _Boot(stamps[number].time)
    if resets:
        boot = _Boot(resets[-1].time)
    return boot.result(stamps[-1].time if over else None)


class _Boot:
    """One boot, as its lines come in. Times inside are seconds since it began."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._steps = [Step("firmware", 0.0)]
        self._kernel: float | None = None  # when the kernel's clock began
        self._rough = False
        self._services: float | None = None
        self._key: float | None = None
        self._up: float | None = None
        self._broken: set[str] = set()
        self._panicked = False

    def hear(self, line: str, stamp: float) -> None:
        now = max(0.0, stamp - self._began)
        if _PANIC in line and self._up is None:
            self._panicked = True
            self._end(now)
        elif found := _KERNEL.match(line):
            self._heard_kernel(float(found[1]), found[2], now)
        elif _LOADER.match(line) and self._steps[-1].name == "firmware":
            self._next("boot loader", now)
        elif found := _FAILED.match(line):
            self._broken.add(found[1])
        elif found := _ONBOOT.fullmatch(line):
            self._next(f"onboot {found[1]}", now)
        elif line.startswith(_HOST_KEY):
            self._key = self._key or now
        elif self._up is None and (found := _STARTED.match(line)):
            self._up = now
            if self._kernel is None and found[1]:
                # The clock showed that many seconds, and a part of one.
                self._kernel, self._rough = max(0.0, now - float(found[1]) - 0.5), True
            self._end(now)
        elif line.strip() and self._steps[-1].name.startswith("onboot ") and self._up is None:
            # The console shows what an onboot container says when it has ended. After the last one the services start.
            self._next("services", now)

    def _heard_kernel(self, clock: float, text: str, now: float) -> None:
        if self._up is not None:
            return
        # The console shows the first messages late and all at once: the line that came with the least delay counts.
        origin = max(0.0, now - clock)
        self._kernel = origin if self._kernel is None else min(self._kernel, origin)
        if text.startswith("Run ") and text.endswith(" as init process"):
            self._next("init", now)

    def _next(self, name: str, now: float) -> None:
        if self._steps[-1].name == "services" and name.startswith("onboot "):
            self._steps.pop()  # what spoke was not the last of them
        self._end(now)
        self._steps.append(Step(name, now))

    def _end(self, now: float) -> None:
        last = self._steps[-1]
        if last.seconds is None:
            self._steps[-1] = replace(last, seconds=now - last.start)

    def result(self, over: float | None) -> Timeline:
        """What has been heard. over: when a machine that has ended was last heard of (seconds since 1970)."""
        if over is not None and self._up is None:
            self._end(max(0.0, over - self._began))
        steps = self._with_kernel()
        if self._key is not None and (started := next((s.start for s in steps if s.name == "services"), None)):
            steps.append(Step("service sshd", started, self._key - started))
        steps = [replace(step, ok=False) if self._failed(step) else step for step in steps]
        if self._panicked or (over is not None and self._up is None):
            steps[-1] = replace(steps[-1], ok=False)
        return Timeline(tuple(steps), self._up, self._began)

    def _failed(self, step: Step) -> bool:
        if step.name == "services":
            return any(not name.startswith("onboot ") for name in self._broken)
        return step.name in self._broken

    def _with_kernel(self) -> list[Step]:
        """The steps, with the one divided in which the kernel began."""
        steps = list(self._steps)
        if self._kernel is None:
            # All that is known is when it was over: the first of ours has spoken.
            return [replace(steps[0], name="firmware and kernel") if len(steps) > 1 else steps[0], *steps[1:]]
        for number, step in enumerate(steps):
            end = None if step.seconds is None else step.start + step.seconds
            if step.name in ("firmware", "boot loader") and (end is None or self._kernel <= end):
                before = replace(step, seconds=self._kernel - step.start, rough=self._rough)
                kernel = Step("kernel", self._kernel, None if end is None else end - self._kernel, self._rough)
                steps[number : number + 1] = [before, kernel]
                break
        return steps
