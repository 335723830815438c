"""A user of the program, for tests that take the whole road."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

THANOS = str(Path(sys.executable).parent / "thanos-tui")
NTP_AHEAD = 7200.0  # seconds: how wrong the tests' time server is, so that its time cannot be taken for another's


@dataclass(frozen=True)
class Road:
    """A user of ``thanos-tui`` with state of their own; ``home`` is their home directory.

    cache: in place of the tests' own user's (``XDG_CACHE_HOME``). variables: more of the environment.
    """

    home: Path
    cache: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        cache = self.cache or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        ours = {"HOME": str(self.home), "XDG_CACHE_HOME": str(cache)}
        for variable, place in (("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data")):
            ours[variable] = str(self.home / place)
        return {**os.environ, **ours, **self.variables}

    def run(
        self, *words: str | Path, check: bool = True, stdin: bytes | None = None, timeout: float = 900
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the program to its end; with ``check`` its failure fails the test, with what it said."""
        done = subprocess.run(
            [THANOS, *map(str, words)],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            pytest.fail(f"thanos-tui {' '.join(map(str, words))}: status {done.returncode}\n{done.stderr.decode()}")
        return done

    def out(self, *words: str | Path, **more: object) -> str:
        """What a command prints on stdout."""
        return self.run(*words, **more).stdout.decode()  # type: ignore[arg-type]

    def guest(self, machine: str, *command: str) -> str:
        """What a command prints in a machine."""
        return self.out("exec", machine, "--", *command)

    def machine(self, name: str) -> dict[str, object]:
        """What ``ps`` tells of a machine."""
        found: list[dict[str, object]] = json.loads(self.out("ps", "--json"))
        return next(each for each in found if each["name"] == name)
