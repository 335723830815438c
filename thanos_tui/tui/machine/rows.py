"""What the pane says of machines, as lines of text: the list, the details and the boot's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from thanos_tui.tui.look import Look
from thanos_tui.words import counted, uptime

if TYPE_CHECKING:
    from thanos_tui.apps import AppState, Service
    from thanos_tui.tui.lineview import LineView
    from thanos_tui.vm import Machine
    from thanos_tui.vm.timeline import Timeline

Row = tuple[tuple[str, str], ...]  # texts, each with the name of a style of tui.lines

_NAME = 22  # cells for the name of a step of a boot
_STATES = {"running": "success", "starting": "accent", "stopped": "muted", "crashed": "error"}
_APP_STATES = {"running": "success", "restarting": "warning", "paused": "warning", "dead": "error"}
_SERVICE_STATES = {"ready": "success", "starting": "accent", "waiting": "warning"}
_BAR = 20  # cells for how far something has come


def status(machines: Sequence[Machine]) -> str:
    """The machines that run, in a few words; nothing where none does."""
    alive = [machine for machine in machines if machine.alive]
    if len(alive) != 1:
        return f"{len(alive)} machines up" if alive else ""
    up = alive[0].uptime
    return f"{alive[0].name}: starting" if up is None else f"{alive[0].name}: up {uptime(up)}"


def listed(machines: Sequence[Machine], doing: dict[str, str], look: Look) -> list[Row]:
    """A row for each machine. doing: what is being done with one, by its name."""
    if not machines:
        return []
    name = min(24, max(len(machine.name) for machine in machines))
    rows: list[Row] = []
    for machine in machines:
        style = _STATES[machine.state]
        mark = {"crashed": look.cross, "stopped": look.waiting}.get(machine.state, look.running)
        head = ((f" {mark} ", style), (look.cut(machine.name, name).ljust(name), "strong"))
        record = machine.record
        if machine.name in doing:
            rows.append((*head, (f"  {doing[machine.name]}", "warning")))
        elif machine.alive:
            up = "" if machine.uptime is None else uptime(machine.uptime)
            made = f"{record.accel}  {record.memory_mib:>5} MiB x{record.cpus}  ssh {machine.ssh_port:<5}"
            more = f" +{len(record.forwards) - 1}" if len(record.forwards) > 1 else ""
            image = (f"  {Path(machine.image).name}", "muted")
            rows.append((*head, (f"  {machine.state:<8} {up:>8}", style), (f"  {made}{more}", ""), image))
        else:
            note = f"  {machine.state:<8}  {machine.note}"
            rows.append((*head, (note, style), (f"  {Path(machine.image).name}", "muted")))
    return rows


def details(machine: Machine) -> list[tuple[Row, str]]:
    """What there is to know about a machine: rows, each with what copying it gives."""
    record = machine.record
    ssh = f"ssh -p {machine.ssh_port} -o UserKnownHostsFile={machine.directory / 'known_hosts'} root@127.0.0.1"
    facts = [("state", f"{machine.state}, {machine.note}" if machine.note else machine.state)]
    if machine.uptime is not None:
        facts[0] = ("state", f"{machine.state}, up {uptime(machine.uptime)}, process {machine.pid}")
    for number, forward in enumerate(record.forwards):
        what = "ssh" if number == 0 else f"{forward.guest}/{forward.protocol}"
        facts.append((what, address(machine, number)))
    if record.vnc_port is not None:
        facts.append(("vnc", f"127.0.0.1:{record.vnc_port}"))
    facts += [
        ("log in", ssh),
        *((part, value) for part, value in record.boot.items() if part != "format"),
        ("memory", f"{record.memory_mib} MiB"),
        ("processors", str(record.cpus)),
        ("accelerator", f"{record.accel}: {record.accel_reason}"),
        ("devices", f"{record.devices} ({record.architecture})"),
        ("QEMU", record.qemu),
        ("started", record.created),
        ("host key", record.host_key),
        ("directory", str(machine.directory)),
    ]
    wide = max(len(name) for name, _ in facts)
    return [(((f" {name:<{wide}}  ", "muted"), (value, "")), value) for name, value in facts]


def address(machine: Machine, number: int = 0) -> str:
    """Where a forwarded port of a machine is reached from this host."""
    return f"127.0.0.1:{machine.record.forwards[number].host}"


def boot(timeline: Timeline, now: float | None, width: int, look: Look) -> list[Row]:
    """A boot as bars, one for each step. now: seconds since power-on, while the machine runs; width: in cells."""
    if not timeline.steps:
        return [((" no times are known of this boot", "muted"),)]
    ends = [step.start + (step.seconds or 0.0) for step in timeline.steps]
    last = timeline.steps[-1]
    whole = max([*ends, now or 0.0]) if last.seconds is None and timeline.up is None else max(ends)
    room = max(8, width - _NAME - 14)
    rows: list[Row] = []
    for step in timeline.steps:
        seconds = (whole - step.start) if step.seconds is None else step.seconds
        left = min(room - 1, int(step.start / whole * room)) if whole else 0
        size = max(1, round(seconds / whole * room)) if whole else 1
        bar = " " * left + look.full * min(size, room - left)
        style = "error" if not step.ok else "accent" if step.seconds is None else "success"
        about = "~" if step.rough else ">" if step.seconds is None else " "
        name = look.cut(step.name, _NAME - 1)
        rows.append(
            (
                (f" {name:<{_NAME}}", "" if step.ok else "error"),
                (f"{bar:<{room}}", style),
                (f"{about}{seconds:6.1f} s", ""),
            )
        )
    rows.append((("", ""),))
    if timeline.up is not None:
        ok = all(step.ok for step in timeline.steps)
        text = "everything has started" if ok else "not everything has started"
        rows.append(((f" {timeline.up:.1f} s after power-on: {text}", "strong" if ok else "error"),))
    elif last.ok:
        rows.append(((" still starting", "accent"),))
    else:
        rows.append(((" it never came up; the serial log says more", "error"),))
    if any(step.rough for step in timeline.steps):
        rows.append(((" ~ give or take half a second", "muted"),))
    return rows


def apps(found: Sequence[AppState], doing: dict[str, str], width: int, look: Look) -> list[Row]:
    """A row for each app, of ``width`` cells at most. doing: what is being done to one, by its name."""
    if not found:
        return []
    name = min(24, max(len(app.name) for app in found))
    status = min(28, max(len(app.status) for app in found))
    rows: list[Row] = []
    for app in found:
        # Docker says how a container ended in its status only: "Exited (1) 2 minutes ago".
        failed = app.state == "exited" and not app.status.startswith("Exited (0)")
        style = "error" if failed else _APP_STATES.get(app.state, "muted")
        mark = look.cross if style == "error" else look.waiting if style == "muted" else look.running
        head = ((f" {mark} ", style), (look.cut(app.name, name).ljust(name), "strong"))
        state = (doing[app.name], "warning") if app.name in doing else (look.cut(app.status, status), style)
        image = look.cut(app.image, max(0, width - name - status - 7))
        rows.append((*head, (f"  {state[0]:<{status}}", state[1]), (f"  {image}", "muted")))
    return rows


def services(found: Sequence[Service], width: int, look: Look) -> list[Row]:
    """How the services are: one behind the other, in as many rows of ``width`` cells as that takes."""
    rows: list[list[tuple[str, str]]] = []
    room = 0
    for service in found:
        style = _SERVICE_STATES.get(service.state, "muted")
        mark = look.waiting if style == "muted" else look.running
        said = "" if service.state == "ready" else f" {service.state} {uptime(service.seconds)}"
        again = f" {look.dash} started again {counted(service.restarts, 'time')}" if service.restarts else ""
        note = f" {look.dash} {service.note}" if service.note else ""
        more = look.cut(f"{said}{again}{note}", max(0, width - cell_len(service.name) - 4))
        needed = cell_len(f" {mark} {service.name}{more} ")
        if needed > room:
            rows.append([])
            room = width
        room -= needed
        rows[-1] += [(f" {mark} ", style), (service.name, ""), (f"{more} ", "muted" if not said else style)]
    return [tuple(row) for row in rows]


def about_app(app: AppState, width: int, look: Look) -> str:
    """The line above the log of an app."""
    facts = [f"Log of {app.name}", *app.ports, app.command]
    return look.cut(f" {f' {look.dot} '.join(fact for fact in facts if fact)}", width)


def work(title: str, done: int, total: int | None, width: int, look: Look) -> str:
    """A line about work that takes its time: with a bar, where it is known how much there is to do."""
    end = "  Esc gives up "
    if total:
        end = f"  {look.bar(done / total, _BAR)} {done / total:4.0%}{end}"
    start = look.cut(f" {title}{look.ellipsis}", max(1, width - len(end)))
    return f"{start}{end}"


def fill(view: LineView, lines: Sequence[Row]) -> None:
    """Let a view show these lines, if it does not already."""
    if [view[number] for number in range(len(view))] != list(lines):
        view.replace(lines)
