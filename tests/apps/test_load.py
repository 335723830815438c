"""Images on their way to a real Docker engine: every kind of archive, and what goes wrong on the way."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from archives import Made, layer, sha256, spread, write
from engines import Dockerd, running, serve
from servers import InProcess

from thanos_tui import apps
from thanos_tui.apps import Engine, connected
from thanos_tui.apps.engine import SOCKET
from thanos_tui.console import Target
from thanos_tui.errors import ConsoleError, InputError, IntegrityError, MachineError, ThanosError
from thanos_tui.events import Event, LogLine, Progress, Reporter, StepFinished, StepStarted
from thanos_tui.files import cache_dir
from thanos_tui.images.store import LAYER, Store
from thanos_tui.wiring import App

NAME = "localhost/thanos/made:base"


@pytest.fixture
def bare(machine: Target, dockerd: Dockerd) -> Iterator[Engine]:
    """The tests' engine without the image of these tests."""
    with connected(machine, Reporter()) as found:
        yield found
    dockerd.clear()
    for image in dockerd.cli("images", "--quiet", "--filter", f"reference={NAME}").split():
        dockerd.cli("rmi", "--force", image)


def probe_as_layout(probe: Path, pack: Callable[[bytes], bytes] = lambda data: data) -> dict[str, bytes]:
    """The files of an OCI image layout with the shell of the image PROBE."""
    with tarfile.open(probe) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    shell = next(data for name, data in files.items() if name.endswith(".tar"))
    return Made(layers=[shell, layer(etc_motd=b"hello\n")], pack=pack).laid_out(nested=True)


@pytest.mark.network
@pytest.mark.parametrize("kind", ["saved", "oci", "oci, gzip", "oci, zstd", "zipped", "directory"])
def test_what_is_loaded_runs(bare: Engine, dockerd: Dockerd, probe: Path, tmp_path: Path, kind: str) -> None:
    packs: dict[str, Any] = {"oci, gzip": gzip.compress, "oci, zstd": zstandard.compress}
    files = probe_as_layout(probe, packs.get(kind, lambda data: data))
    path = tmp_path / "image.tar"
    if kind == "saved":
        apps.load(bare, str(write(tmp_path / "first.tar", files)), Reporter())
        dockerd.cli("save", "--output", str(path), NAME)
        dockerd.cli("rmi", NAME)
    elif kind == "directory":
        path = spread(tmp_path / "layout", files)
    else:
        write(path, files, zipped=kind == "zipped")
    assert apps.load(bare, str(path), Reporter()) == (NAME,)
    lines: list[str] = []
    app = App("demo", NAME, ("cat", "/etc/motd"), x11=False, sound=False)
    assert apps.attached(bare, app, lambda line, _: lines.append(line)) == 0
    assert lines == ["hello"]


def test_progress_is_told_in_bytes(bare: Engine, tmp_path: Path) -> None:
    events: list[Event] = []
    image = Made(layers=[layer(data=os.urandom(5 << 20))])
    apps.load(bare, str(write(tmp_path / "image.tar", image.laid_out())), Reporter(events.append))
    steps = {event.step: event for event in events if isinstance(event, StepStarted)}
    assert list(steps) == ["apps/check", "apps/send", "apps/unpack"]
    for step in ("apps/check", "apps/send"):
        assert steps[step].unit == "bytes"
        last = [event for event in events if isinstance(event, Progress) and event.step == step][-1]
        assert last.done == last.total == steps[step].total
    assert steps["apps/send"].total == len(image.layers[0])
    assert all(event.ok for event in events if isinstance(event, StepFinished))


def test_what_the_machine_has_is_not_sent_again_but_named(bare: Engine, dockerd: Dockerd, tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", Made().laid_out())
    apps.load(bare, str(path), Reporter())
    dockerd.cli("tag", NAME, "localhost/thanos/kept:base")
    dockerd.cli("rmi", NAME)
    events: list[Event] = []
    assert apps.load(bare, str(path), Reporter(events.append)) == (NAME,)
    assert not any(isinstance(event, StepStarted) and event.step == "apps/send" for event in events)
    assert any(isinstance(event, LogLine) and "has it already" in event.text for event in events)
    assert NAME in dockerd.cli("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    dockerd.cli("rmi", "localhost/thanos/kept:base")


def _images(dockerd: Dockerd) -> set[str]:
    """Which images Docker has; its list is in no fixed order."""
    return set(dockerd.cli("images", "--all", "--quiet").split())


def test_an_image_without_a_name_is_known_by_its_id(bare: Engine, dockerd: Dockerd, tmp_path: Path) -> None:
    image = Made(names=[])
    names = apps.load(bare, str(write(tmp_path / "image.tar", image.laid_out())), Reporter())
    assert names == (sha256(image.configuration),)
    assert apps.bring(bare, names[0], Reporter()) == names[0]
    dockerd.cli("rmi", names[0])


def test_an_image_of_the_store_is_brought_by_its_name(bare: Engine) -> None:
    store = Store(cache_dir() / "store")
    blobs = [store.put_blob([layer(bin_sh=b"#!")], LAYER)]
    store.add_image(NAME.replace("thanos", "team"), "amd64", {"Cmd": ["/bin/sh"]}, blobs)
    assert apps.bring(bare, "localhost/team/made:base", Reporter()) == "localhost/team/made:base"
    assert apps.load(bare, "localhost/team/made:base", Reporter()) == ("localhost/team/made:base",)


def test_nothing_that_is_wrong_reaches_docker(bare: Engine, dockerd: Dockerd, tmp_path: Path) -> None:
    before = _images(dockerd)
    whole = write(tmp_path / "whole.tar", Made().saved()).read_bytes()
    wrong: dict[str, tuple[bytes, type[ThanosError]]] = {
        "text": (b"no archive at all\n" * 99, InputError),
        "nothing": (b"", InputError),
        "cut": (whole[: len(whole) // 3], InputError),
        "changed": (whole.replace(b"hello\n", b"hallo\n"), IntegrityError),
        "zipped and cut": (gzip.compress(whole)[:-20], InputError),
    }
    for name, (data, kind) in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(kind):
            apps.load(bare, str(tmp_path / name), Reporter())
    with pytest.raises(InputError, match="for linux/arm64, and the machine is linux/amd64"):
        apps.load(bare, str(write(tmp_path / "arm.tar", Made(arch="arm64").saved())), Reporter())
    assert _images(dockerd) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.tar", "cannot read nowhere.tar: No such file"),
        ("./nowhere", "cannot read nowhere: No such file"),
        ("localhost/team/unknown:1", "there is no file localhost/team/unknown:1 here, and no image of that name"),
        ("localhost/thanos/unknown:base", "there is no recipe unknown"),
        ("a b", "'a b' is not the name of an image"),
    ],
)
def test_what_is_not_there_to_be_loaded(bare: Engine, name: str, message: str) -> None:
    with pytest.raises(ThanosError, match=message):
        apps.load(bare, name, Reporter())


def test_an_image_that_is_nowhere(bare: Engine, tmp_path: Path) -> None:
    apps.load(bare, str(write(tmp_path / "image.tar", Made().laid_out())), Reporter())
    with pytest.raises(ThanosError) as caught:
        apps.bring(bare, "localhost/thanos-made:base", Reporter())
    assert "is not on m1" in caught.value.message
    assert "cannot be fetched" in caught.value.message
    assert f"did you mean {NAME}?" in str(caught.value.hint)
    assert "app load" in str(caught.value.hint)


def test_an_image_of_another_architecture_that_the_machine_has(bare: Engine, dockerd: Dockerd, tmp_path: Path) -> None:
    # By other ways than ours: Docker itself takes it, and says only "exec format error" when it is run.
    image = Made(arch="arm64")
    dockerd.cli("load", "--input", str(write(tmp_path / "image.tar", image.saved())))
    with pytest.raises(InputError, match=rf"the image {NAME} is for arm64, and m1 .* is amd64"):
        apps.bring(bare, NAME, Reporter())


def test_the_disk_is_full(server: InProcess, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    image = Made(layers=[layer(data=os.urandom(24 << 20))])
    path = write(tmp_path / "image.tar", image.laid_out())
    with running(tmp_path_factory.mktemp("small"), 16) as small:
        machine = serve(server, {SOCKET: small.socket}, tmp_path / "machine")
        with connected(machine, Reporter()) as engine:
            with pytest.raises(MachineError) as caught:
                apps.load(engine, str(path), Reporter())
            assert "stark.disk" in str(caught.value.hint)
            # Nothing is lost by it: what fits is taken, and Docker answers.
            assert apps.load(engine, str(write(path, Made().laid_out())), Reporter()) == (NAME,)


def test_the_connection_is_lost_on_the_way(bare: Engine, server: InProcess, tmp_path: Path, dockerd: Dockerd) -> None:
    def cut(event: Event) -> None:
        if isinstance(event, Progress) and event.step == "apps/send":
            server.cut()

    path = write(tmp_path / "image.tar", Made(layers=[layer(data=os.urandom(64 << 20))]).laid_out())
    before = _images(dockerd)
    with pytest.raises(ConsoleError, match=r"the connection to m1 .* was lost"):
        apps.load(bare, str(path), Reporter(cut))
    assert _images(dockerd) == before


def test_an_archive_that_changes_on_the_way_is_not_loaded(bare: Engine, tmp_path: Path, dockerd: Dockerd) -> None:
    path = write(tmp_path / "image.tar", Made().laid_out())
    data = path.read_bytes()

    def change(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "apps/send":
            path.write_bytes(data.replace(b"hello\n", b"hallo\n"))

    before = _images(dockerd)
    with pytest.raises(IntegrityError, match="has changed while it was read"):
        apps.load(bare, str(path), Reporter(change))
    assert _images(dockerd) == before
