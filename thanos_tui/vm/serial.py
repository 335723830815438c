"""What the guest says on its serial port: reading and following it, waiting for a text, telling why a boot failed."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from thanos_tui.errors import HostError, MachineError
from thanos_tui.events import Reporter
from thanos_tui.vm.qemu import SERIAL_LOG, SERIAL_SOCKET
from thanos_tui.vm.qmp import connect, monitor
from thanos_tui.vm.registry import Machine, ending

_POLL = 0.05  # seconds between looks at the log
_LAST = 20  # lines that an error shows

# Terminal escapes and control characters: a guest's output must not act on the user's terminal.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PANIC = re.compile(r"Kernel panic - not syncing: ?(.*?)(?: ]---)?$")
_INCOMPLETE = "Initramfs unpacking failed"
# Signs in the kernel's output, and what to do about them; the first that fits counts.
_SIGNS = (
    (
        r"failed: write error|initramfs \(write error\)|initrd too large|[Oo]ut of memory|deadlocked on memory",
        "the machine has too little memory for this image: give it more (--memory)",
    ),
    (rf"{_INCOMPLETE}|junk (with)?in compressed archive", "the initrd is damaged: build it again"),
    (r"Unable to mount root fs|No working init found", "the initrd is missing or incomplete: build it again"),
)


class Log:
    """A machine's serial log, read as it grows."""

    def __init__(self, directory: Path, offset: int = 0) -> None:
        self._path = directory / SERIAL_LOG
        self._offset = offset
        self._rest = b""

    def read(self) -> list[str]:
        """The lines that have been completed since the last call."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HostError(f"cannot read {self._path}: {error.strerror}") from error
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [clean(line) for line in lines]

    @property
    def unfinished(self) -> str:
        """The line that has begun: a prompt has no end."""
        return clean(self._rest)


def clean(line: bytes) -> str:
    """A line for people: no escapes, no control characters."""
    return _CONTROL.sub("", line.decode(errors="replace")).rstrip()


def logs(machine: Machine, follow: bool = False, reporter: Reporter | None = None) -> Iterator[str]:
    """The lines of the serial log; with ``follow`` also those to come, until the machine ends.

    Raises Interrupted when the reporter is cancelled.
    """
    log = Log(machine.directory)
    while True:
        # Asked before reading: what it said just before its end is then still read.
        over = not follow or ending(machine.directory) is not None
        yield from log.read()
        if over:
            break
        if reporter:
            reporter.check()
        time.sleep(_POLL)
    if log.unfinished:
        yield log.unfinished


def last_lines(machine: Machine, count: int = _LAST) -> list[str]:
    """The last lines of the serial log that are not empty."""
    return [line for line in logs(machine) if line.strip()][-count:]


def serial_position(machine: Machine) -> int:
    """How far the serial log has come, in bytes: what wait_for_serial() takes to look at later lines only."""
    try:
        return (machine.directory / SERIAL_LOG).stat().st_size
    except FileNotFoundError:
        return 0


def serial_since(machine: Machine, position: int) -> bytes:
    """What the guest said after a position (see serial_position), as it said it: with its escape sequences."""
    try:
        with (machine.directory / SERIAL_LOG).open("rb") as stream:
            stream.seek(position)
            return stream.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise HostError(f"cannot read {machine.directory / SERIAL_LOG}: {error.strerror}") from error


def wait_for_serial(
    machine: Machine, pattern: str | re.Pattern[str], timeout: float, reporter: Reporter, since: int = 0
) -> str:
    """Wait until a line of the serial log matches, and return it. A plain string is looked for as it is.

    Lines from before the call count, but for those before the position ``since`` (see serial_position).
    The lines are reported as they come, in a step of their own.

    Raises MachineError, showing the last lines and what they hint at, when the kernel panics, the machine ends or
    ``timeout`` seconds are over; Interrupted when the reporter is cancelled.
    """
    wanted = re.compile(re.escape(pattern)) if isinstance(pattern, str) else pattern
    deadline = time.monotonic() + timeout
    log = Log(machine.directory, since)
    with reporter.step(f"machine/{machine.name}/boot", f"Waiting for {machine.name}") as step:
        while True:
            ended = ending(machine.directory)
            for line in log.read():
                step.log(line, "debug")
                if wanted.search(line):
                    return line
                panic = _PANIC.search(line)
                if panic:
                    # The reason for it is printed before, a trace after; wait for neither.
                    raise _failure(machine, f"the kernel of {machine.name} panicked: {panic[1] or 'no reason given'}")
            if wanted.search(log.unfinished):
                return log.unfinished
            if ended:
                raise _failure(machine, f"machine {machine.name} ended while booting: {ended[1]}")
            if time.monotonic() >= deadline:
                status = _status(machine)
                raise _failure(
                    machine,
                    f"machine {machine.name} did not come up within {timeout:.0f} s"
                    + (f" (QEMU says: {status})" if status not in ("", "running") else ""),
                )
            reporter.check()
            time.sleep(_POLL)


def check_up(machine: Machine) -> None:
    """Raises MachineError, showing the last lines and what they hint at, for a machine that will never answer: it has
    ended, its kernel has panicked and stays so, or its root filesystem has not been unpacked to the end.
    """
    ended = ending(machine.directory)
    try:
        said = (machine.directory / SERIAL_LOG).read_bytes()
    except FileNotFoundError:
        said = b""
    # A kernel that starts again after a panic has more to say.
    panic = _PANIC.search(clean(said.rstrip().rpartition(b"\n")[2]))
    if ended:
        raise _failure(machine, f"machine {machine.name} does not run: {ended[1]}")
    if panic:
        raise _failure(machine, f"the kernel of {machine.name} panicked: {panic[1] or 'no reason given'}")
    if _INCOMPLETE.encode() in said:
        raise _failure(machine, f"machine {machine.name} lacks a part of its root filesystem")


def open_serial(machine: Machine, timeout: float = 5.0) -> socket.socket:
    """The machine's serial port as a connected socket; one program at a time has it. The log goes on meanwhile.

    Raises MachineError where the machine does not run.
    """
    try:
        return connect(machine.directory, SERIAL_SOCKET, timeout)
    except OSError as error:
        raise MachineError(f"cannot reach the serial port of {machine.name}: {error.strerror or error}") from error


def _failure(machine: Machine, message: str) -> MachineError:
    lines = list(logs(machine))
    advice = next((advice for sign, advice in _SIGNS if any(re.search(sign, line) for line in lines)), "")
    # A panic is followed by its call trace; what led to it stands before.
    panics = [number for number, line in enumerate(lines) if _PANIC.search(line)]
    shown = [line for line in lines[: panics[0] + 1 if panics else None] if line.strip()][-_LAST:]
    said = "its last lines:\n    " + "\n    ".join(shown) if shown else "it said nothing on its serial port"
    return MachineError(message, hint=f"{advice}\n  {said}" if advice else said)


def _status(machine: Machine) -> str:
    try:
        with monitor(machine.directory) as qmp:
            return str(qmp.execute("query-status").get("status", ""))
    except MachineError:
        return ""
