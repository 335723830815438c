"""A machine's life: start (detached, or attached to this program), stop, reboot, wait."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from thanos_tui import programs
from thanos_tui.errors import HostError, InputError, MachineError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import replacing
from thanos_tui.vm import accel, ports, qemu, timeline
from thanos_tui.vm.ports import ADDRESS, Forward
from thanos_tui.vm.qemu import DATA_DISK, EFI_FILES, HOST_KEY, SSH_PORT, VARIABLES, VNC_PORT, Boot, Settings
from thanos_tui.vm.qmp import monitor
from thanos_tui.vm.registry import Machine, Record, abandon, claim, ending, find, machines, processes, write_record

_START_LIMIT = 60.0  # seconds until QEMU's monitor answers; a busy host is slow, a sound one needs a tenth of one
_ATTEMPTS = 10  # with ports that were free when chosen
_POLL = 0.05
_PREFERRED = SSH_PORT
_QUIT_LIMIT = 5.0  # seconds for QEMU to end after `quit`
_TERM_LIMIT = 8.0  # seconds for the supervisor to end QEMU: its own grace, and some
_KILL_LIMIT = 5.0  # seconds for the kernel to end what was killed
_RESEND = 5.0  # seconds between presses of the power button: a guest that still boots misses the first
_SUPERVISOR = Path(__file__).with_name("supervisor.py")

# What QEMU says when it does not start, and what to do about it.
_ADVICE = (
    ("Cannot allocate memory", "this host has too little memory left: give the machine less (--memory)"),
    ("cannot set up guest memory", "this host has too little memory left: give the machine less (--memory)"),
    ("Could not find option rom", "QEMU's firmware files are missing: apt-get install qemu-system-data seabios"),
    ("could not load PC BIOS", "QEMU's firmware files are missing: apt-get install seabios"),
    ("invalid accelerator", "this QEMU was built without it: let the accelerator be chosen (auto)"),
    ("initrd is too large", "the machine has too little memory for this image: give it more (--memory)"),
    ("does not fit in FAT16", "QEMU cannot offer so large a program to UEFI: boot the format raw-efi instead"),
    ("No space left on device", "free some space on the disk of the temporary directory (TMPDIR)"),
)

How = Literal["powered off", "quit", "killed", "was not running"]


@dataclass(frozen=True)
class Stopped:
    """How a machine was brought down, and how long that took in seconds."""

    how: How
    seconds: float


def bring_qemu(boot: Boot, settings: Settings, reporter: Reporter) -> None:
    """Have the QEMU and the firmware that these need: from the distribution's packages where this host lacks them.

    Raises HostError.
    """
    from thanos_tui.images import data, tools

    tools.ensure([qemu.PROGRAMS[settings.architecture]], reporter)
    if qemu.firmware(boot, settings) == "efi":
        data.ensure(["firmware", "firmware-variables"], settings.architecture, reporter)


def start(boot: Boot, settings: Settings | None = None, reporter: Reporter | None = None) -> Machine:
    """Start a machine that outlives this program, and return it once QEMU runs.

    Raises InputError for what cannot be booted, HostError for what this host lacks (QEMU, a port, space), MachineError
    where QEMU does not start. Nothing keeps running then, and the directory can be used again.
    """
    machine, lifeline = _start(boot, settings or Settings(), reporter or Reporter())
    with lifeline:
        lifeline.send(b"d")  # the supervisor need not end with us from now on
    return machine


@contextmanager
def attached(boot: Boot, settings: Settings | None = None, reporter: Reporter | None = None) -> Iterator[Machine]:
    """A machine that does not outlive the block, nor this program however it ends; otherwise as start()."""
    machine, lifeline = _start(boot, settings or Settings(), reporter or Reporter())
    with lifeline:
        try:
            yield machine
        finally:
            _end(lifeline)


def stop(machine: Machine, reporter: Reporter | None = None, patience: float = 30.0) -> Stopped:
    """Bring a machine down: the power button (ACPI) for ``patience`` seconds, then QEMU's `quit`, then signals.

    With ``patience`` 0 the guest is not asked. Each stage is reported. Raises MachineError if nothing helps.
    """
    reporter = reporter or Reporter()
    started = time.monotonic()
    with reporter.step(f"machine/{machine.name}/stop", f"Stopping {machine.name}") as step:
        how: How
        if ending(machine.directory):
            how = "was not running"
        elif patience > 0 and _press_power(machine, step, patience):
            how = "powered off"
        elif _quit(machine, step):
            how = "quit"
        else:
            _kill(machine, step)
            how = "killed"
        step.note = how
    return Stopped(how, time.monotonic() - started)


def reboot(machine: Machine) -> None:
    """Reset a machine, as its reset button would; what its guest wrote to a disk image since its start stays."""
    with monitor(machine.directory) as qmp:
        qmp.execute("system_reset")
    timeline.note_reset(machine)


def wait(machine: Machine, timeout: float | None = None, reporter: Reporter | None = None) -> bool:
    """Wait until a machine has ended; False if it still runs after ``timeout`` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while ending(machine.directory) is None:
        if deadline is not None and time.monotonic() >= deadline:
            return False
        if reporter:
            reporter.check()
        time.sleep(_POLL)
    return True


def _start(boot: Boot, settings: Settings, reporter: Reporter) -> tuple[Machine, socket.socket]:
    """Start a machine that ends when the returned socket is closed."""
    devices = qemu.check(boot, settings)
    boot = replace(boot, firmware=qemu.firmware(boot, settings))
    efi = _firmware(settings.architecture) if boot.firmware == "efi" else None
    program = programs.require(qemu.PROGRAMS[settings.architecture])
    wanted = settings.name or qemu.default_name(boot)
    with reporter.step(f"machine/{wanted}", f"Starting {wanted}") as step:
        chosen = accel.choose(settings)
        step.log(f"{chosen.name.upper()}: {chosen.reason}" + (f"; {chosen.hint}" if chosen.hint else ""))
        _weigh(settings, step)
        # Before the claim, which forgets the machine of that name that ended: a port that is taken must not cost it.
        forwards, vnc_port = _ports(settings)
        directory, lock = claim(wanted, unique=settings.name is None)
        known = (directory / HOST_KEY).exists()
        try:
            _make_disk(directory / DATA_DISK, settings.peripherals.disk_mib, step)
            if efi:
                _prepare_efi(directory, boot, settings.architecture)
            record = Record(
                name=directory.name,
                created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                boot={part: str(value) for part, value in vars(boot).items() if value},
                memory_mib=settings.memory_mib,
                cpus=settings.cpus,
                architecture=settings.architecture,
                devices=settings.devices,
                qemu=accel.version(program),
                accel=chosen.name,
                accel_reason=chosen.reason,
                forwards=(),
                vnc_port=None,
                host_key=_host_key(directory),
                argv=(),
                peripherals=settings.peripherals,
            )
            for _ in range(_ATTEMPTS):
                argv = qemu.command(program, boot, settings, devices, chosen.name, record.name, forwards, vnc_port, efi)
                record = replace(record, forwards=forwards, vnc_port=vnc_port, argv=tuple(argv))
                lifeline = _launch(directory, record, lock, reporter)
                if lifeline:
                    machine = find(record.name)
                    step.note = f"{chosen.name}, ssh on port {machine.ssh_port}"
                    return machine, lifeline
                said = (directory / "qemu.log").read_text(errors="replace").splitlines()
                # Somebody took a port between our look and QEMU's; _ports raises if it was one that was asked for.
                if not _lost_port(said):
                    break
                forwards, vnc_port = _ports(settings)
            raise _not_started(record.name, said)
        except BaseException:
            abandon(directory, whole=not known)
            raise
        finally:
            os.close(lock)


def _ports(settings: Settings) -> tuple[tuple[Forward, ...], int | None]:
    """The forwards (sshd's first) and the VNC port: those asked for, checked, and free ones for the rest."""
    asked = list(settings.publish)
    if settings.ssh_port is not None:
        asked.insert(0, Forward(settings.ssh_port, settings.guest_ssh_port))
    for forward in asked:
        _check_port(forward.host, forward.protocol)
    if settings.vnc_port:
        _check_port(settings.vnc_port, "tcp")
    taken = {(each.host, each.protocol) for each in asked}
    if len(taken) < len(asked) or (settings.vnc_port, "tcp") in taken:
        raise InputError("the same port of this host is wanted twice", hint="give each forward a port of its own")
    tcp = {each.host for each in asked if each.protocol == "tcp"} | {settings.vnc_port or 0}
    if settings.ssh_port is None:
        asked.insert(0, Forward(ports.choose(_PREFERRED, tcp), settings.guest_ssh_port))
    vnc_port = settings.vnc_port
    if vnc_port == 0:
        vnc_port = ports.choose(VNC_PORT, tcp | {asked[0].host})
    return tuple(asked), vnc_port


def _check_port(port: int, protocol: ports.Protocol) -> None:
    for machine in machines():
        wanted = [(each.host, each.protocol) for each in machine.record.forwards] + [(machine.record.vnc_port, "tcp")]
        if machine.alive and (port, protocol) in wanted:
            raise HostError(
                f"port {port}/{protocol} is taken by the machine {machine.name}",
                hint=f"choose another port, or stop it: `thanos-tui stop {machine.name}`",
            )
    ports.check_free(port, protocol)


def _weigh(settings: Settings, step: Step) -> None:
    """Warn where the machine may take more memory than the host has left; QEMU takes it as the guest uses it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free_mib = next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), None)
    if free_mib is not None and free_mib < settings.memory_mib:
        step.log(f"the machine may take {settings.memory_mib} MiB; this host has {free_mib} MiB left", "warning")


def _make_disk(path: Path, size_mib: int, step: Step) -> None:
    """Have the data disk of a machine, which takes space only as it is used; it may grow, and never shrinks."""
    if not size_mib:
        return
    try:
        with path.open("ab") as disk:
            if disk.tell() < size_mib << 20:
                disk.truncate(size_mib << 20)
            taken = os.fstat(disk.fileno()).st_blocks * 512
            left_mib = shutil.disk_usage(path.parent).free >> 20
    except OSError as error:
        raise HostError(
            f"cannot make the data disk {path}: {error.strerror}",
            hint="choose a smaller stark.disk, or free some space",
        ) from error
    more_mib = size_mib - (taken >> 20)
    if left_mib < more_mib:
        step.log(f"the data disk may take {more_mib} MiB more; {path.parent} has {left_mib} MiB left", "warning")


def _firmware(architecture: str) -> Path:
    from thanos_tui.images import data

    return data.require("firmware", architecture)


def _prepare_efi(directory: Path, boot: Boot, architecture: str) -> None:
    """Lay out what UEFI writes to, new at each start, and a program that it is to start, where it looks for one."""
    from thanos_tui.build.efi import PROGRAMS
    from thanos_tui.images import data

    variables = data.require("firmware-variables", architecture)
    with replacing(directory / VARIABLES) as stream:
        stream.write(variables.read_bytes())
    if boot.medium == "program" and boot.disk:
        place = directory / EFI_FILES / "EFI" / "BOOT"
        place.mkdir(parents=True, exist_ok=True)
        program = place / PROGRAMS[architecture]
        program.unlink(missing_ok=True)
        program.symlink_to(boot.disk.absolute())


def _host_key(directory: Path) -> str:
    """The public line of the machine's host key, which is made where there is none."""
    from thanos_tui import keys

    private = directory / HOST_KEY
    if not private.exists():
        # A public half alone is left where a starter was killed between the two.
        private.with_name(f"{HOST_KEY}.pub").unlink(missing_ok=True)
        return keys.generate(private, f"thanos-tui machine {directory.name}")
    return keys.public_line(private)


def _write_known_hosts(directory: Path, record: Record) -> None:
    kind, key = record.host_key.split()[:2]
    port = record.forwards[0].host
    with replacing(directory / "known_hosts", 0o600) as stream:
        stream.write(f"[{ADDRESS}]:{port} {kind} {key}\n".encode())


def _launch(directory: Path, record: Record, lock: int, reporter: Reporter) -> socket.socket | None:
    """Start the supervisor and QEMU: the lifeline once QEMU's monitor answers, None if QEMU ended before that."""
    write_record(directory, record)
    _write_known_hosts(directory, record)
    for name in ("process.json", "exit.json"):
        (directory / name).unlink(missing_ok=True)
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(lock), str(theirs.fileno()), *record.argv]
    try:
        with theirs, (directory / "qemu.log").open("wb") as log:
            # A session of its own: Ctrl-C and a closed terminal reach this program only, which then decides.
            subprocess.run(
                argv,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock, theirs.fileno()),
                start_new_session=True,
                check=True,
            )
        if _await(directory, ours, reporter):
            return ours
    except (OSError, subprocess.CalledProcessError) as error:
        ours.close()
        raise HostError(f"cannot start the supervisor of {record.name}: {error}") from error
    except BaseException:
        _end(ours)
        ours.close()
        raise
    ours.close()
    return None


def _await(directory: Path, lifeline: socket.socket, reporter: Reporter) -> bool:
    """Whether QEMU came up: its monitor answers; False once the supervisor has ended."""
    deadline = time.monotonic() + _START_LIMIT
    lifeline.settimeout(0.02)
    while True:
        try:
            with monitor(directory, timeout=max(1.0, deadline - time.monotonic())):
                if processes(directory):  # written by the supervisor, which may be a moment behind
                    return True
        except MachineError:
            if time.monotonic() >= deadline:
                raise
        with suppress(TimeoutError):  # the supervisor never sends anything: this is the pause, or the end
            if not lifeline.recv(1):
                return False
        reporter.check()


def _end(lifeline: socket.socket) -> None:
    """Let a supervisor end its QEMU, and wait for that."""
    with suppress(OSError):  # it has ended already
        lifeline.shutdown(socket.SHUT_WR)
        lifeline.settimeout(_TERM_LIMIT + _KILL_LIMIT)
        lifeline.recv(1)


def _lost_port(said: Sequence[str]) -> bool:
    text = "\n".join(said)
    return "Could not set up host forwarding rule" in text or "Address already in use" in text


def _not_started(name: str, said: Sequence[str]) -> MachineError:
    text = "\n".join(said)
    advice = next((advice for sign, advice in _ADVICE if sign in text), None)
    shown = "\n  ".join(line for line in said[-5:] if line.strip()) or "QEMU said nothing"
    return MachineError(f"QEMU did not start {name}", hint=f"{advice}\n  {shown}" if advice else shown)


def _press_power(machine: Machine, step: Step, patience: float) -> bool:
    deadline = time.monotonic() + patience
    step.log("pressing its power button (ACPI)")
    while (left := deadline - time.monotonic()) > 0:
        try:
            with monitor(machine.directory) as qmp:
                qmp.execute("system_powerdown")
        except MachineError as error:
            if wait(machine, 1):  # it was just going
                return True
            step.log(error.message, "warning")
            return False
        if wait(machine, min(_RESEND, left), step.reporter):
            return True
    step.log(f"it did not power off within {patience:.0f} s", "warning")
    return False


def _quit(machine: Machine, step: Step) -> bool:
    step.log("ending QEMU (quit)")
    try:
        with monitor(machine.directory) as qmp:
            qmp.execute("quit")
    except MachineError as error:
        step.log(error.message, "warning")
    return wait(machine, _QUIT_LIMIT)


def _kill(machine: Machine, step: Step) -> None:
    """Signals: the supervisor sends SIGTERM and, a little later, SIGKILL; should it hang itself, both are killed."""
    known = processes(machine.directory)
    for who, number, limit in (
        ("supervisor", signal.SIGTERM, _TERM_LIMIT),
        ("qemu", signal.SIGKILL, _KILL_LIMIT),
        ("supervisor", signal.SIGKILL, _KILL_LIMIT),
    ):
        if who not in known:
            continue
        step.log(f"sending {number.name} to its {who} (process {known[who].pid})", "warning")
        try:
            known[who].send(number)
        except OSError as error:  # another user's
            raise MachineError(f"cannot end process {known[who].pid} of {machine.name}: {error.strerror}") from error
        if wait(machine, limit):
            return
    raise MachineError(
        f"machine {machine.name} could not be stopped", hint=f"look into {machine.directory / 'qemu.log'}"
    )
