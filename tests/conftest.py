"""What the tests of several rooms share: small images, and the programs that this machine lacks."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from thanos_tui import programs, tarball
from thanos_tui.errors import ThanosError
from thanos_tui.events import Reporter
from thanos_tui.images import tools
from thanos_tui.images.store import LAYER, Image, Store
from thanos_tui.tree import Member

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "+gzip": lambda data: gzip.compress(data, mtime=0),
    "+gzip, two members": lambda data: gzip.compress(data[:700], mtime=0) + gzip.compress(data[700:], mtime=0),
    "+zstd": lambda data: zstandard.compress(data),
    "+zstd, two frames": lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
}


def pytest_configure() -> None:
    """Have signals mean what they usually mean: a shell's background job ignores some, and what tests start would."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before xdist, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a fixture, when tests are spread over processes: a file, or all that boots stark."""
    stark = Path(__file__).parent / "stark"
    for item in items:
        group = stark if item.path.is_relative_to(stark) else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(stark.parent))))


@pytest.fixture(scope="session", autouse=True)
def fetched_programs() -> None:
    """Have QEMU and the like, in the user's cache where they are not installed, for tests in whatever home.

    Without root they come from the distribution's packages, as in a build; where that fails, tests say what they lack.
    """
    with suppress(ThanosError):
        tools.ensure(["mcopy", "mformat", "qemu-img", "qemu-system-x86_64", "syslinux"], Reporter())
    for place in programs.tools_dir().glob("[!.]*/bin"):
        os.environ["PATH"] += f":{place}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def a_file() -> Callable[..., Member]:
    """Makes a file member: ``a_file(name, content, mode=…)``."""

    def make(name: str, content: bytes = b"", **facts: Any) -> Member:
        return Member(name, "file", size=len(content), open=lambda: io.BytesIO(content), **facts)

    return make


@pytest.fixture
def add_image(store: Store) -> Callable[..., Image]:
    """Adds an image made of layers, each a list of members or the bytes of an archive."""

    def add(
        reference: str, *layers: Iterable[Member] | bytes, arch: str = "amd64", packing: str = "", **config: Any
    ) -> Image:
        blobs = []
        for layer in layers:
            data = layer if isinstance(layer, bytes) else b"".join(tarball.chunks(layer))
            kind = LAYER + packing.partition(",")[0]
            blob = store.put_blob([PACKINGS[packing](data)], kind)
            blobs.append(replace(blob, diff_id=f"sha256:{hashlib.sha256(data).hexdigest()}"))
        return store.add_image(reference, arch, config, blobs)

    return add


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many MiB and returns where; for root only."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted: list[Path] = []

    def make(size_mib: int) -> Path:
        place = tmp_path / f"mount{len(mounted)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", place], capture_output=True)
        if done.returncode != 0:
            pytest.skip("this root may not mount")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a directory such that nobody can write there, root included."""
    mounted: list[Path] = []

    def close(directory: Path) -> None:
        if os.geteuid() != 0:
            directory.chmod(0o555)
            return
        done = subprocess.run(["mount", "--bind", "-o", "ro", directory, directory], capture_output=True)
        if done.returncode != 0:
            pytest.skip("this root may not mount, and permissions do not keep it from writing")
        mounted.append(directory)

    yield close
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)
