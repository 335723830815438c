"""A Docker engine of the tests' own, an image to give it, and an SSH server that makes a machine of it.

A conftest that wants these fixtures imports them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import docker
import pytest
from servers import InProcess
from waiting import eventually

from thanos_tui.build import ocivolume
from thanos_tui.console import Target
from thanos_tui.errors import ThanosError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_dir
from thanos_tui.images import archives, provide
from thanos_tui.images.manifests import loadable, manifest
from thanos_tui.images.store import Store

# As ctr says it on a machine whose profile has no stark.
NO_STARK = (1, b"", b'ctr: container "stark" in namespace "services.linuxkit": not found\n')
PROBE = "localhost/thanos/probe:base"
_RECIPES = Path(__file__).parents[1] / "apps" / "recipes"

# In a mount namespace of its own, where the engine sees what an app is wired to on a machine, and the disk has a size.
_START = """
set -e
mount -t tmpfs -o size={size}m tmpfs {place}/data
mount -t tmpfs tmpfs /run
mkdir -p /run/stark /run/etc
: > /run/stark/Xauthority
cp -a /etc/. /run/etc
: > /run/etc/asound.conf
mount --bind /run/etc /etc
[ -d /tmp/.X11-unix ] || mkdir -m 1777 /tmp/.X11-unix
exec dockerd --data-root {place}/data --exec-root {place}/exec --host unix://{place}/socket --pidfile {place}/pid \
    --iptables=false --bridge=none
"""


@dataclass(frozen=True)
class Dockerd:
    """An engine that runs here: where it listens, and the process."""

    socket: Path
    process: subprocess.Popen[bytes]

    def cli(self, *words: str) -> str:
        """What Docker's own command line says."""
        done = subprocess.run(["docker", "--host", f"unix://{self.socket}", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inspect(self, name: str) -> Any:
        """What Docker knows of a container."""
        return json.loads(self.cli("container", "inspect", name))[0]

    def clear(self) -> None:
        """Remove every container."""
        for name in self.cli("ps", "--all", "--quiet").split():
            self.cli("rm", "--force", "--volumes", name)


@contextmanager
def running(place: Path, size_mib: int) -> Iterator[Dockerd]:
    """A Docker engine with a disk of so many MiB; skips the test where none can be started."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a Docker engine")
    if not shutil.which("dockerd") or not shutil.which("docker"):
        pytest.skip("there is no Docker engine to test with (apt-get install docker.io)")
    (place / "data").mkdir()
    script = _START.format(place=place, size=size_mib)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=log, stdout=log)
    engine = Dockerd(place / "socket", process)

    def answers() -> bool:
        if process.poll() is not None:
            pytest.skip(f"no Docker engine can be started here: {(place / 'log').read_text()[-500:]}")
        with suppress(docker.errors.DockerException):
            docker.APIClient(f"unix://{engine.socket}", version="auto", timeout=20).close()
            return True
        return False

    try:
        eventually(answers)
        yield engine
    finally:
        process.terminate()
        process.wait()


def serve(
    server: InProcess,
    sockets: dict[str, Path],
    root: Path,
    status: Callable[[], tuple[int, bytes, bytes]] = lambda: NO_STARK,
) -> Target:
    """A machine with stark: the sockets that it has, and its files in the directory ``root``.

    status: how `stark status --json` ends there, and what it prints on stdout and stderr.
    """
    (root / "containers/services/stark").mkdir(parents=True)

    def process(asked: asyncssh.SSHServerProcess[bytes]) -> None:
        assert asked.command is not None
        assert asked.command.startswith("ctr --namespace services.linuxkit task exec ")
        assert asked.command.endswith(" stark stark status --json")
        ended, said, complained = status()
        asked.stdout.write(said)
        asked.stderr.write(complained)
        asked.exit(ended)

    def files(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(root).encode())

    return server.start(process, sockets=sockets, sftp=files)


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with the image PROBE: a shell, made by a recipe, whose command runs until it is asked to end."""
    store = Store(cache_dir() / "store")
    try:
        provide.provide([PROBE], "amd64", store, None, Reporter(), directories=[_RECIPES])
    except ThanosError as error:
        pytest.skip(f"the image for tests cannot be made here: {error}")
    source = ocivolume.source(store, PROBE, "amd64")
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
