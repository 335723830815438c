"""Runs the machine's scripts on this host: directories moved below a temporary one, programs imitated."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).parents[2] / "assets" / "linuxkit" / "recipes"

# What the scripts touch of a machine; programs in /bin and /usr/bin stay where they are.
_MOVED = re.compile(r"(?<![\w./$}])/(containers|dev(?!/(?:null|std))|etc|hostroot|proc|run|sys|usr/lib/thanos|var)\b")


@dataclass(frozen=True)
class Guest:
    """A machine's directories below ``root``, and what its imitated programs were called with."""

    root: Path

    @property
    def calls(self) -> list[str]:
        """The calls of imitated programs, in order: the program and its arguments, the root left out."""
        log = self.root / "calls"
        return log.read_text().replace(str(self.root), "").splitlines() if log.exists() else []

    def file(self, path: str, contents: str = "") -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(contents)
        return place

    def program(self, name: str, script: str = "") -> None:
        """Put an imitation first on PATH: it notes its call, then does what ``script`` says."""
        note = f'echo "{name} $*" >>"{self.root}/calls"\n'
        self.file(f"stubs/{name}", f"#!/bin/sh\n{note}{script}\n").chmod(0o755)

    def install(self, source: str, path: str) -> Path:
        """Put a recipe's script (``NAME/FILE``) at ``path`` with its directories moved."""
        text = (RECIPES / source).read_text()
        text = _MOVED.sub(lambda match: f"{self.root}/{match[1]}", text)
        text = re.sub(r"^PATH=", f"PATH={self.root}/stubs:", text, flags=re.MULTILINE)
        place = self.file(path, text)
        place.chmod(0o755)
        return place

    def run(
        self, script: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        search = f"{self.root}/stubs:{os.environ['PATH']}:/usr/sbin:/sbin"
        return subprocess.run(
            [script, *arguments],
            env={"PATH": search, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
        )
