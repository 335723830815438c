"""A running machine with stark, as tests look into it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from road import Road

# How a profile with stark begins; without the drivers for other machines it is built sooner.
PROFILE = """\
thanos: 1
options:
  output.formats: [kernel+initrd]
  kernel.modules.virtualbox: false
  kernel.modules.vmware: false
  kernel.modules.hyperv: false
  sshd.generate-key: true
  stark: true
"""
BUSYBOX = "core/test:1"
# Gives Docker the image BUSYBOX, of what stark's own has: a busybox and its libraries.
IMPORT = rf"""
docker image inspect {BUSYBOX} >/dev/null 2>&1 && exit
libraries=$(LD_TRACE_LOADED_OBJECTS=1 /bin/busybox | sed -n 's|.*[[:space:]]/\([^ ]*\) (.*|\1|p')
cd / && tar -ch bin/busybox bin/sh $libraries | docker import --change 'CMD ["/bin/sh"]' - {BUSYBOX}
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

    def put_arrow_away(self) -> None:
        """Have the pointer in the lower right corner, where its arrow hides nothing that a test looks for."""
        self.user.run("click", "--machine", self.name, "100%", "100%")


@contextmanager
def booted(home: Path, name: str, options: str, *words: str, patience: int = 240) -> Iterator[Box]:
    """A machine of a profile with stark and these lines of options, its services ready within ``patience`` seconds.

    words: for `run`. Raises Failed (of pytest) where it cannot be built, or its services do not get ready.
    """
    user = Road(home)
    profile = home / f"{name}.thanos"
    profile.write_text(PROFILE + options)
    user.run("--replay", profile, "--output", home / "out")
    user.run("run", "--detach", *words, home / "out" / f"{name}-kernel")
    try:
        box = Box(user, name)
        box.inside(f"stark ready --timeout {patience}")
        yield box
    finally:
        user.run("stop", "--all", "--timeout", "0", check=False)


def services(box: Box) -> dict[str, dict[str, Any]]:
    """What `stark status --json` tells, by the services' names."""
    return {each["name"]: each for each in json.loads(box.inside("stark status --json"))}


def unmet(expected: Mapping[str, Sequence[str]], said: Sequence[str]) -> str:
    """What was expected of each answer and is not in it: regular expressions, those with `!` for what must not be."""
    return "\n".join(
        f"{name}: {pattern}\n{answer}"
        for (name, patterns), answer in zip(expected.items(), said, strict=True)
        for pattern in patterns
        if bool(re.search(pattern.removeprefix("!"), answer, re.MULTILINE)) == pattern.startswith("!")
    )


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield (number := number + 1)


_numbers = _count()
