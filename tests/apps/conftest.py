"""A Docker engine of the tests' own behind an SSH server of theirs, and an image to give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import PROBE, Dockerd, running, serve
from servers import InProcess
from servers import home as home
from servers import identity as identity
from servers import openssh as openssh
from servers import server as server

from thanos_tui.apps import Engine, archives, connected
from thanos_tui.apps.engine import SOCKET
from thanos_tui.apps.manifests import loadable, manifest
from thanos_tui.console import Target
from thanos_tui.errors import ThanosError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_dir
from thanos_tui.images import provide
from thanos_tui.images.store import Store


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with the image PROBE: a shell, made by a recipe, whose command runs until it is asked to end."""
    store = Store(cache_dir() / "store")
    try:
        provide.provide([PROBE], "amd64", store, None, Reporter(), directories=[Path(__file__).parent / "recipes"])
    except ThanosError as error:
        pytest.skip(f"the image for tests cannot be made here: {error}")
    source = archives.stored(store, PROBE, "amd64")
    with Reporter().step("check", "check") as step:
        images = loadable(archives.read(source, step), "amd64")
    path = tmp_path_factory.mktemp("probe") / "probe.tar"
    path.write_bytes(b"".join(archives.made_anew(source, *manifest(images))))
    return path


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    with running(tmp_path_factory.mktemp("docker"), 512) as engine:
        yield engine


@pytest.fixture(scope="session")
def with_probe(dockerd: Dockerd, probe: Path) -> Dockerd:
    """The engine, with the image PROBE."""
    dockerd.cli("load", "--input", str(probe))
    return dockerd


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
