"""A running machine with stark, as tests look into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from road import Road


@dataclass(frozen=True)
class Box:
    """A running machine and its user. Checks leave it as they found it."""

    user: Road
    name: str

    def sh(self, script: str) -> str:
        """What a shell script prints on the machine, where users log in."""
        return self.user.out("exec", self.name, "--", "sh", "-s", stdin=script.encode())

    def inside(self, script: str) -> str:
        """What a shell script prints inside the container of stark."""
        enter = f"ctr -n services.linuxkit task exec --exec-id check-{next(_numbers)} stark sh -s"
        return self.user.out("exec", self.name, "--", "sh", "-c", enter, stdin=script.encode())

    def screenshot(self, path: Path) -> Path:
        """The machine's screen as a PNG file."""
        self.user.run("screenshot", self.name, "--output", path)
        return path


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield (number := number + 1)


_numbers = _count()
