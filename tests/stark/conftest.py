"""One machine with stark for all checks of this directory: its boot takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from road import Road

PROFILE = """\
thanos: 1
options:
  hostname: starkbox
  output.formats: [kernel+initrd]
  kernel.modules.virtualbox: false
  kernel.modules.vmware: false
  kernel.modules.hyperv: false
  sshd.generate-key: true
  stark: true
  x11.resolution: 1024x768
"""


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


@pytest.fixture(scope="session")
def stark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine of a profile with stark as it comes, with all its services ready."""
    user = Road(tmp_path_factory.mktemp("user"))
    profile = user.home / "starkbox.thanos"
    profile.write_text(PROFILE)
    user.run("--replay", profile, "--output", user.home / "out")
    user.run("run", "--detach", user.home / "out" / "starkbox-kernel")
    box = Box(user, "starkbox")
    try:
        box.inside("stark ready --timeout 240")
        yield box
    finally:
        user.run("stop", "--all", "--timeout", "0", check=False)
