"""How to reach one of our machines over SSH: what its record and the builds say of keys and ports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thanos_tui.console import Target
    from thanos_tui.events import Reporter
    from thanos_tui.vm import Machine


def target_of(machine: Machine, identities: Sequence[Path]) -> Target:
    """How to reach one of our machines: its recorded host key, and the keys made for profiles, its own one first."""
    from thanos_tui.builds import built_as
    from thanos_tui.console import Target
    from thanos_tui.options import profile_keys

    build = built_as(Path(machine.image))
    # An image that was moved is no longer known by its path: then any of them may be its key.
    made = sorted(profile_keys(), key=lambda path: build is None or str(path) != build.identity)
    return Target(
        "127.0.0.1", machine.ssh_port, machine.record.host_key, identities=(*identities, *made), name=machine.name
    )


def reach_ours(machine: Machine, timeout: float, reporter: Reporter, identities: Sequence[Path] = ()) -> Target:
    """How to reach one of our machines, once its sshd answers.

    Raises ConsoleError if that takes longer than ``timeout`` seconds; MachineError, with the last serial lines, as soon
    as it is plain that the machine never will.
    """
    from thanos_tui import console, vm

    def alive() -> bool:
        vm.check_up(machine)
        return True

    target = target_of(machine, identities)
    console.wait_ready(target, timeout, reporter, alive)
    return target
