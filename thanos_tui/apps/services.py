"""The services of a machine's stark, as stark itself says they are (``stark status``, docs/stark.md)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from thanos_tui.apps.engine import log_hint, without_stark
from thanos_tui.errors import MachineError
from thanos_tui.words import printable

if TYPE_CHECKING:
    from thanos_tui.console import Target
    from thanos_tui.programs import Finished

SERVICES_LIMIT = 60.0  # seconds for all of them to be checked: each may take its time, and so does an emulated machine


@dataclass(frozen=True)
class Service:
    """A service as it was found.

    state: ``ready`` (it does its work), ``starting`` (it runs, and does not do it yet), ``waiting`` (it has ended, and
    is started again soon) or ``stopped``. pid: its process on the machine, None where there is none. seconds: since it
    was started, or since it ended. restarts: how often it ended by itself. note: what it has to say; may be empty.
    """

    name: str
    state: str
    pid: int | None
    seconds: int
    restarts: int
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return asdict(self)


def services(target: Target, run: Callable[[Sequence[str]], Finished]) -> tuple[Service, ...]:
    """The services of the machine's stark, each checked now. run: runs a command on the machine.

    Raises InputError for a machine without stark, MachineError if stark does not say, and what ``run`` raises.
    """
    # No two commands in a container may have one name at a time.
    name = f"status-{secrets.token_hex(6)}"
    enter = ["ctr", "--namespace", "services.linuxkit", "task", "exec", "--exec-id", name, "stark"]
    done = run([*enter, "stark", "status", "--json"])
    if done.status != 0:
        said = printable(done.stderr.strip())
        if "not found" in said:
            raise without_stark(target)
        raise MachineError(f"stark on {target} does not say how its services are: {said}", hint=log_hint(target))
    try:
        return tuple(_service(entry) for entry in json.loads(done.stdout))
    except (ValueError, TypeError, KeyError) as error:
        raise MachineError(
            f"stark on {target} says of its services what cannot be read", hint=log_hint(target)
        ) from error


def _service(entry: dict[str, Any]) -> Service:
    return Service(
        name=printable(str(entry["name"])),
        state=printable(str(entry["state"])),
        pid=None if entry["pid"] is None else int(entry["pid"]),
        seconds=int(entry["seconds"]),
        restarts=int(entry["restarts"]),
        note=printable(str(entry["note"])),
    )
