"""A Docker engine of the tests' own behind an SSH server of theirs, and an image to give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import Dockerd, serve
from engines import dockerd as dockerd
from engines import probe as probe
from engines import with_probe as with_probe
from servers import InProcess
from servers import home as home
from servers import identity as identity
from servers import openssh as openssh
from servers import server as server

from thanos_tui.apps import Engine, connected
from thanos_tui.apps.engine import SOCKET
from thanos_tui.console import Target
from thanos_tui.events import Reporter


@pytest.fixture
def machine(server: InProcess, dockerd: Dockerd, tmp_path: Path) -> Target:
    """A machine whose Docker is the tests' engine; what else it has lies in ``tmp_path/"machine"``."""
    return serve(server, {SOCKET: dockerd.socket}, tmp_path / "machine")


@pytest.fixture
def engine(machine: Target, with_probe: Dockerd) -> Iterator[Engine]:
    """The tests' engine through SSH, with the image PROBE; containers that a test leaves behind are removed."""
    with connected(machine, Reporter()) as found:
        yield found
    with_probe.clear()
