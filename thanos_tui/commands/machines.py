"""Commands about machines: run, ps, stop, logs, rm."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui.errors import InputError

if TYPE_CHECKING:
    from thanos_tui.builds import Build
    from thanos_tui.events import Reporter
    from thanos_tui.replay import Replayed
    from thanos_tui.vm import Boot, Machine, Settings

BOOT_LIMIT = 600.0  # seconds: software emulation on a busy host takes a minute


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    parser = commands.add_parser("run", help="boot an image", description=_run.__doc__)
    parser.add_argument(
        "image",
        nargs="?",
        metavar="IMAGE",
        help="an output file, its name without the ending, or a profile; without it the latest build",
    )
    group = add_machine_options(parser)
    group.add_argument(
        "--arch", choices=("amd64", "arm64"), help="its processor (default: as built, or what the image is for)"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="let it run in the background; `stop` ends it")
    parser.add_argument("--json", action="store_true", help="events, and the machine at the end, as JSON lines")
    parser.set_defaults(function=_run)

    parser = commands.add_parser("ps", help="list machines", description=_ps.__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON list")
    parser.set_defaults(function=_ps)

    parser = commands.add_parser("stop", help="power machines off", description=_stop.__doc__)
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help="by name; without it the only one that runs")
    parser.add_argument("--all", action="store_true", help="every machine that runs")
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="how long it may take to power off (%(default)s)"
    )
    parser.set_defaults(function=_stop)

    parser = commands.add_parser("logs", help="show a machine's serial log", description=_logs.__doc__)
    parser.add_argument("machine", nargs="?", metavar="MACHINE")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what comes, until the machine ends")
    parser.set_defaults(function=_logs)

    parser = commands.add_parser("rm", help="forget a machine that has ended", description=_remove.__doc__)
    parser.add_argument("machines", nargs="+", metavar="MACHINE")
    parser.set_defaults(function=_remove)


def add_machine_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options that say how a machine is made; ``--replay --run`` takes them too. Returns their group in the help."""
    group = parser.add_argument_group("the machine")
    group.add_argument("--machine", metavar="NAME", help="its name (default: from the image)")
    group.add_argument("--memory", type=int, metavar="MIB", help="memory (default: the profile's)")
    group.add_argument("--cpus", type=int, metavar="N", help="processors (default: the profile's)")
    group.add_argument(
        "--ssh-port",
        type=int,
        metavar="PORT",
        help="port of this host that leads to sshd (default: 1234, or a free one)",
    )
    group.add_argument(
        "--publish", action="append", default=[], metavar="HOST:GUEST", help="one more port that leads into the machine"
    )
    group.add_argument(
        "--devices", choices=("qemu", "virtualbox"), default="qemu", help="whose devices it has (%(default)s)"
    )
    group.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="auto takes KVM where it really works (%(default)s)",
    )
    group.add_argument("--firmware", choices=("bios", "efi"), help="what starts it (default: what the image needs)")
    group.add_argument(
        "--vnc", type=int, nargs="?", const=0, metavar="PORT", help="offer the screen by VNC on loopback"
    )
    return group


def settings_from(arguments: argparse.Namespace, build: Build | None) -> Settings:
    """The machine's settings: the command line's, else those of the build."""
    from thanos_tui.builds import settings_for
    from thanos_tui.vm import Settings, parse_forward

    asked = settings_for(build) if build else Settings()
    return replace(
        asked,
        name=arguments.machine,
        memory_mib=arguments.memory or asked.memory_mib,
        cpus=arguments.cpus or asked.cpus,
        devices=arguments.devices,
        accel=arguments.accel,
        firmware=arguments.firmware,
        ssh_port=arguments.ssh_port,
        publish=tuple(parse_forward(text) for text in arguments.publish),
        vnc_port=arguments.vnc,
    )


def _which(image: str | None) -> tuple[Boot, Build | None]:
    """What to boot: an output file, a profile that was built, or the latest build."""
    from thanos_tui.builds import builds, built_as
    from thanos_tui.vm import boot_of

    known = builds()
    if image is not None and not image.endswith(".thanos"):
        boot = boot_of(Path(image).absolute())
        return boot, built_as(boot.files[0], known)
    profile = str(Path(image).absolute()) if image else None
    for build in known:
        if profile in (None, build.profile) and build.outputs:
            return boot_of(Path(build.outputs[0])), build
    if profile:
        raise InputError(
            f"{image} has not been built yet", hint=f"build and boot it: `thanos-tui --replay {image} --run`"
        )
    raise InputError("nothing has been built yet", hint="build a profile: `thanos-tui --replay PROFILE`")


def _run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Boot an image in QEMU and wait until it is ready; attached, its serial console follows until Ctrl-C ends it."""
    from thanos_tui import vm

    boot, build = _which(arguments.image)
    settings = settings_from(arguments, build)
    known = build.architecture if build else vm.architecture_of(boot)
    settings = replace(settings, architecture=arguments.arch or known or settings.architecture)
    vm.bring_qemu(boot, settings, reporter)
    if arguments.detach:
        machine = vm.start(boot, settings, reporter)
        _say_how_to_reach(machine, reporter)
        if arguments.json:
            print(json.dumps({"event": "machine", **machine.as_dict()}))
        else:
            print(machine.name)
        return 0
    with vm.attached(boot, settings, reporter) as machine:
        _say_how_to_reach(machine, reporter)
        follow(machine, reporter)
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Complain about machine options that cannot work, before the work that comes first."""
    settings_from(arguments, None)
    if arguments.exec is not None and not arguments.exec.strip():
        raise InputError("there is no command to run", where="--exec")


def run_replayed(done: Replayed, arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Boot what was just built: run one command on it, or open a console; the machine ends with that."""
    from thanos_tui import console, vm
    from thanos_tui.reach import reach_ours

    if not done.build.outputs:
        formats = ", ".join(done.settings.formats)
        raise InputError(f"nothing of {formats} can be booted", hint="add --format kernel+initrd")
    boot = vm.boot_of(Path(done.build.outputs[0]))
    settings = settings_from(arguments, done.build)
    vm.bring_qemu(boot, settings, reporter)
    with vm.attached(boot, settings, reporter) as machine:
        _say_how_to_reach(machine, reporter)
        if arguments.exec is not None:
            status = console.run(reach_ours(machine, BOOT_LIMIT, reporter), ["sh", "-c", arguments.exec])
        elif sys.stdin.isatty() and sys.stdout.isatty():
            status = console.shell(reach_ours(machine, BOOT_LIMIT, reporter))
        else:
            follow(machine, reporter)
            return 0
        vm.stop(machine, reporter)
    return status


def _say_how_to_reach(machine: Machine, reporter: Reporter) -> None:
    reporter.log(
        f"machine {machine.name}: ssh on port {machine.ssh_port} of this host; thanos-tui console {machine.name}"
    )


def follow(machine: Machine, reporter: Reporter) -> None:
    """The serial log on stdout until the machine ends; then its ending, if that was no ordinary one."""
    from thanos_tui import vm
    from thanos_tui.errors import MachineError

    for line in vm.logs(machine, follow=True, reporter=reporter):
        print(line, flush=True)
    ended = vm.find(machine.name)
    if ended.state == "crashed":
        raise MachineError(f"machine {machine.name} crashed: {ended.note}", hint=f"see {machine.directory}/qemu.log")


def _ps(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """List the machines of this user, running or ended."""
    from thanos_tui import vm
    from thanos_tui.narrate import columns

    found = vm.machines()
    if arguments.json:
        print(json.dumps([machine.as_dict() for machine in found], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("NAME", "STATE", "SSH", "ACCEL", "UP", "IMAGE")]
    for machine in found:
        up = "" if machine.uptime is None else _duration(machine.uptime)
        port = str(machine.ssh_port) if machine.alive else ""
        rows.append((machine.name, machine.state, port, machine.record.accel, up, machine.image))
    print("\n".join(columns(rows)))
    return 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _stop(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Press the power button, wait, and use force only where that does not help."""
    from thanos_tui import vm

    if arguments.all:
        machines = [machine for machine in vm.machines() if machine.alive]
    else:
        machines = [vm.find(name) for name in arguments.machines or [None]]
    for machine in machines:
        vm.stop(machine, reporter, patience=arguments.timeout)
    return 0


def _logs(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Show what a machine said on its serial port since its start."""
    from thanos_tui import vm

    for line in vm.logs(_named(arguments.machine), arguments.follow, reporter):
        print(line, flush=True)
    return 0


def _remove(arguments: argparse.Namespace, _reporter: Reporter) -> int:
    """Delete the records, logs, host keys and data disks of machines that do not run."""
    from thanos_tui import vm

    for name in arguments.machines:
        vm.remove(name)
    return 0


def _named(name: str | None) -> Machine:
    """A machine by name; without one the only one that runs, else the one started last."""
    from thanos_tui import vm

    found = vm.machines()
    if name is None and found and not any(machine.alive for machine in found):
        return max(found, key=lambda machine: machine.record.created)
    return vm.find(name)
