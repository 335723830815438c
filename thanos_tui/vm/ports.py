"""Ports of this host that lead into a machine: reading them from text, finding free ones, naming who has the others."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thanos_tui.errors import HostError, InputError

Protocol = Literal["tcp", "udp"]
ADDRESS = "127.0.0.1"  # nothing of a machine is offered to the network


@dataclass(frozen=True)
class Forward:
    """``host`` on this host's loopback address leads to ``guest`` in the machine."""

    host: int
    guest: int
    protocol: Protocol = "tcp"

    def __str__(self) -> str:
        return f"{self.host}:{self.guest}" + ("/udp" if self.protocol == "udp" else "")


def parse_forward(text: str) -> Forward:
    """Read ``HOST:GUEST``, ``HOST:GUEST/tcp`` or ``HOST:GUEST/udp``. Raises InputError."""
    found = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})(?:/(tcp|udp))?", text.strip())
    if not found or not all(1 <= int(number) <= 65535 for number in found.groups()[:2]):
        raise InputError(
            f"{text!r} is no port forward",
            hint="write HOST:GUEST with ports from 1 to 65535, such as 8080:80 or 5353:53/udp",
        )
    return Forward(int(found[1]), int(found[2]), "udp" if found[3] == "udp" else "tcp")


def check_free(port: int, protocol: Protocol = "tcp") -> None:
    """Raises HostError naming who listens on a port that was asked for, and what to do."""
    error = _bind(port, protocol)
    if error is None:
        return
    if error.errno in (errno.EACCES, errno.EPERM):
        raise HostError(f"you may not listen on port {port}", hint="choose a port of 1024 or above")
    holder = owner(port, protocol)
    raise HostError(
        f"port {port}/{protocol} on {ADDRESS} is taken" + (f" by {holder}" if holder else ""),
        hint="stop that program, or choose another port",
    )


def choose(preferred: int, besides: Collection[int] = ()) -> int:
    """``preferred`` if it is free (TCP), else the next free port above it, else any. ``besides`` are not to be chosen.

    Free now is no promise: QEMU may still lose a race for it, and the caller then asks again.
    """
    for port in range(preferred, min(preferred + 100, 65536)):
        if port not in besides and _bind(port, "tcp") is None:
            return port
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def owner(port: int, protocol: Protocol = "tcp") -> str:
    """The program that listens on a port, as ``NAME (process PID)``; "" where it cannot be seen (other users')."""
    wanted = set()
    for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            listening = fields[3] == "0A" or protocol == "udp"  # TCP_LISTEN of <net/tcp_states.h>
            if listening and int(fields[1].rsplit(":", 1)[1], 16) == port:
                wanted.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        try:
            for descriptor in (process / "fd").iterdir():
                # readlink, as the target is no path
                if os.readlink(descriptor) in wanted:  # noqa: PTH115
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return ""


def _bind(port: int, protocol: Protocol) -> OSError | None:
    with socket.socket(type=socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as probe:
        if protocol == "tcp":
            # QEMU sets it too: connections that linger after a program has ended do not keep its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            return error
    return None
