"""Whom to talk to: an address, a user, the host key to expect and the keys to offer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A machine's SSH server.

    host_key: the public line it must prove to own; a connection to any other key is refused.
    identities: private keys to offer first, then the agent's and those in ``~/.ssh``.
    name: the machine's name where it is one of ours, for messages.
    """

    host: str
    port: int
    host_key: str
    user: str = "root"
    identities: tuple[Path, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name} ({host}:{self.port})" if self.name else f"{host}:{self.port}"

    @property
    def log_hint(self) -> str:
        """Where to look when the machine itself may be the cause."""
        if self.name:
            return f"its serial log may say why: `thanos-tui logs {self.name}`"
        return "look at the machine's screen or serial log"
