"""The machines of this user: one directory each, what it records, and who may use it.

    state_dir()/machines/NAME/          mode 0700
      lock                              held (OFD lock) while a starter, a supervisor or a QEMU uses the directory
      machine.json                      what was started: Machine's fields, written before QEMU starts
      process.json, exit.json           the supervisor's: who runs; how it ended
      ssh_host_ed25519_key, ….pub       the machine's host key; stays when the machine is started again
      known_hosts                       the same key as OpenSSH wants it, with the forwarded port
      qmp.sock, serial.sock             QEMU's monitor and the serial port
      serial.log, qemu.log              what the guest and QEMU said

Whether a machine runs is asked of the lock, which the kernel frees however a process ends; so no crash leaves a
directory that cannot be used again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from thanos_tui.errors import HostError, InputError, MachineError, nearest
from thanos_tui.files import replacing, state_dir
from thanos_tui.hardware import Peripherals
from thanos_tui.vm.ports import Forward
from thanos_tui.vm.processes import Process
from thanos_tui.vm.qemu import DATA_DISK, HOST_KEY, Accel

State = Literal["starting", "running", "stopped", "crashed"]
SCHEMA = 1
_KEPT = ("lock", HOST_KEY, f"{HOST_KEY}.pub", DATA_DISK)
_FLOCK = "@hhqqi0q"  # struct flock of <fcntl.h>: type, whence, start, length, pid


@dataclass(frozen=True)
class Record:
    """What a machine was started as (machine.json).

    boot: what it boots, as paths and words. argv: QEMU's command line, relative to the directory.
    forwards: ports of this host that lead into it; the first one is sshd's.
    peripherals: screens, sound card and data disk.
    accel, accel_reason: what runs its instructions, and why. host_key: its public SSH host key, one line.
    """

    name: str
    created: str  # ISO 8601, UTC
    boot: dict[str, str]
    memory_mib: int
    cpus: int
    architecture: str
    devices: str
    qemu: str
    accel: Accel
    accel_reason: str
    forwards: tuple[Forward, ...]
    vnc_port: int | None
    host_key: str
    argv: tuple[str, ...]
    peripherals: Peripherals = field(default_factory=Peripherals)


@dataclass(frozen=True)
class Machine:
    """A machine as it was found: ask again with find() to see it change.

    state: `starting` (QEMU is not up yet), `running`, `stopped` (it powered off or was stopped), `crashed` (QEMU or
        its supervisor ended otherwise). note: how it ended, in words.
    pid: QEMU's, while it runs. uptime: seconds, while it runs.
    """

    directory: Path
    record: Record
    state: State
    note: str = ""
    pid: int | None = None
    uptime: float | None = None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def alive(self) -> bool:
        return self.state in ("starting", "running")

    @property
    def ssh_port(self) -> int:
        """The port on this host's loopback address that leads to sshd."""
        return self.record.forwards[0].host

    @property
    def image(self) -> str:
        """The image's path, for people: the kernel or the disk."""
        return self.record.boot.get("kernel") or self.record.boot.get("disk") or ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return {
            "name": self.name,
            "state": self.state,
            "note": self.note,
            "pid": self.pid,
            "uptime": None if self.uptime is None else round(self.uptime, 1),
            "ssh_port": self.ssh_port,
            "forwards": [str(each) for each in self.record.forwards],
            "vnc_port": self.record.vnc_port,
            "accelerator": self.record.accel,
            "accelerator_reason": self.record.accel_reason,
            "image": self.image,
            "memory_mib": self.record.memory_mib,
            "cpus": self.record.cpus,
            "architecture": self.record.architecture,
            "devices": self.record.devices,
            "qemu": self.record.qemu,
            "created": self.record.created,
            "host_key": self.record.host_key,
            "directory": str(self.directory),
        }


def root() -> Path:
    return state_dir() / "machines"


def machines() -> tuple[Machine, ...]:
    """Every machine of this user, running or not, by name."""
    try:
        directories = sorted(path for path in root().iterdir() if path.is_dir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HostError(f"cannot read {root()}: {error.strerror}", hint="check its owner and permissions") from error
    found = (_look(directory) for directory in directories)
    return tuple(machine for machine in found if machine)


def find(name: str | None = None) -> Machine:
    """The machine of that name, running or not; without a name the only one that runs.

    Raises InputError for an unknown name or where a name is needed, MachineError where none runs.
    """
    if name is not None:
        machine = _look(root() / name) if _VALID.fullmatch(name) else None
        if machine:
            return machine
        names = [each.name for each in machines()]
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else "there are: " + ", ".join(names) if names else _NONE
        raise InputError(f"there is no machine {name!r}", hint=hint)
    running = [each for each in machines() if each.alive]
    if not running:
        raise MachineError("no machine is running", hint=_NONE)
    if len(running) > 1:
        raise InputError(
            "several machines are running", hint="name one of: " + ", ".join(each.name for each in running)
        )
    return running[0]


_NONE = "start one with: thanos-tui run IMAGE"
_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def remove(name: str) -> None:
    """Delete a machine's directory: its record, logs, host key and data disk.

    Raises MachineError while it runs, InputError where there is none.
    """
    if not _VALID.fullmatch(name) or not (root() / name).is_dir():
        find(name)
    with _alone():
        directory = root() / name
        if held(directory):
            raise MachineError(f"machine {name} is running", hint=f"stop it first: `thanos-tui stop {name}`")
        try:
            shutil.rmtree(directory)
        except OSError as error:
            raise HostError(f"cannot remove {directory}: {error.strerror}") from error


def claim(name: str, unique: bool) -> tuple[Path, int]:
    """A clean directory for a machine and its lock, which the caller closes once QEMU holds it too.

    unique: take ``NAME-2`` and so on where a machine of that name runs; otherwise raise MachineError. The directory of
    a machine that has ended is used again; its host key and its data disk stay. Raises InputError for an impossible
    name and HostError where nothing can be written.
    """
    if not _VALID.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a machine",
            hint="letters, digits, dots, dashes and underscores, 63 at most, beginning with a letter or digit",
        )
    with _alone():
        candidate, number = name, 1
        while True:
            directory = root() / candidate
            try:
                lock = _lock(directory)
                if lock is not None:
                    _clean(directory)
                    return directory, lock
            except OSError as error:
                raise _unwritable(directory, error) from error
            if not unique:
                raise MachineError(
                    f"machine {name} is running already",
                    hint=f"choose another name, or stop it: `thanos-tui stop {name}`",
                )
            number += 1
            candidate = f"{name}-{number}"


def abandon(directory: Path, whole: bool) -> None:
    """Give up a directory that the caller has claimed: it is emptied as claim() does it, or removed as a whole."""
    with _alone():
        if whole:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            _clean(directory)


def write_record(directory: Path, record: Record) -> None:
    """Write machine.json, whole or not at all; HostError where that cannot be done."""
    value = {**asdict(record), "schema": SCHEMA}
    with replacing(directory / "machine.json", 0o600) as stream:
        stream.write(json.dumps(value, indent=2).encode() + b"\n")


def held(directory: Path) -> bool:
    """Whether anybody uses a machine's directory. Asking disturbs nobody: the lock is looked at, not taken."""
    try:
        lock = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(lock)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def processes(directory: Path) -> dict[str, Process]:
    """The processes ``qemu`` and ``supervisor`` as the supervisor wrote them down; empty before that."""
    value = _read(directory / "process.json")
    try:
        return {name: Process(**value[name]) for name in ("qemu", "supervisor")}
    except (KeyError, TypeError):
        return {}


def ending(directory: Path) -> tuple[State, str] | None:
    """How a machine ended, and in words; None while it runs."""
    if held(directory):
        return None
    value = _read(directory / "exit.json")
    status, why = value.get("status"), str(value.get("why", ""))
    if not isinstance(status, int):
        return "crashed", "it and its supervisor were killed, or the host went down"
    if why.startswith("cannot run"):
        return "crashed", why
    if status == 0 or why:
        return "stopped", why or "it powered off"
    if status < 0:
        return "crashed", f"QEMU was killed by signal {-status}"
    return "crashed", f"QEMU failed with status {status}"


def _look(directory: Path) -> Machine | None:
    record = _record(directory)
    if record is None:
        return None
    ended = ending(directory)
    if ended:
        return Machine(directory, record, ended[0], ended[1])
    qemu = processes(directory).get("qemu")
    if qemu is None or not qemu.alive():
        return Machine(directory, record, "starting")
    return Machine(directory, record, "running", "", qemu.pid, qemu.uptime())


def _record(directory: Path) -> Record | None:
    value = _read(directory / "machine.json")
    if value.pop("schema", None) != SCHEMA:
        return None
    try:
        value["forwards"] = tuple(Forward(**each) for each in value["forwards"])
        value["argv"] = tuple(value["argv"])
        value["peripherals"] = Peripherals(**value.get("peripherals", {}))
        return Record(**value)
    except (KeyError, TypeError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _lock(directory: Path) -> int | None:
    """The descriptor of a machine's lock, taken; None where somebody has it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # An "open file description" lock: it lives as long as any process holds a copy of this descriptor.
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _clean(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name in _KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process at a time makes or removes machines' directories; held for moments."""
    try:
        root().mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(root(), error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unwritable(directory: Path, error: OSError) -> HostError:
    return HostError(
        f"cannot keep machines in {directory}: {error.strerror}",
        hint="make it writable and give it space, or name another place in XDG_STATE_HOME",
    )
