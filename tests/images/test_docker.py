"""Stark built by a real Docker engine, on top of an image that stands in for Docker's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engines import PROBE, Dockerd
from engines import dockerd as dockerd
from engines import probe as probe
from engines import with_probe as with_probe

from thanos_tui.errors import BuildError, HostError, Interrupted
from thanos_tui.events import Event, LogLine, Reporter
from thanos_tui.files import stark_dir
from thanos_tui.images import docker
from thanos_tui.images.layers import flatten
from thanos_tui.images.lock import Lock, load, save
from thanos_tui.images.provide import provide
from thanos_tui.images.store import Store
from thanos_tui.tree import content

pytestmark = pytest.mark.network  # the stand-in is made of packages

REFERENCE = "localhost/dockerfile/stark:alsa-x11"
BASE = "localhost/standin/dind:1"


@pytest.fixture
def engine(with_probe: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dockerd:
    """An engine that has BASE: a shell, and an `apk` that says what it is asked for."""
    stand_in = (
        "printf '#!/bin/sh\\necho installs \"$@\"\\n' >/bin/apk; chmod 0755 /bin/apk; mkdir -p /etc; touch /etc/group"
    )
    # Another one for each test: else Docker would take over what it has made for one before.
    (tmp_path / "Dockerfile").write_text(f"FROM {PROBE}\nRUN {stand_in}; echo {tmp_path} >/made-for\n")
    with_probe.cli("build", "--tag", BASE, str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{with_probe.socket}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "thanos-tui").mkdir()
    return with_probe


def test_the_image_has_the_same_scripts_as_the_recipes(engine: Dockerd, store: Store) -> None:
    events: list[Event] = []
    image = docker.build(REFERENCE, "amd64", BASE, store, Reporter(events.append))
    assert store.get(REFERENCE, "amd64").digest == image.digest
    assert image.config["Cmd"] == ["/usr/bin/stark"]
    assert not image.config.get("Entrypoint")
    label = json.loads(image.config["Labels"]["org.mobyproject.config"])
    assert "/var/lib/docker:/var/lib/docker" in label["binds"]
    assert not [bind for bind in label["binds"] if "containerd" in bind]

    files: dict[str, tuple[int, bytes]] = {}
    for member in flatten(store, image):
        if member.kind == "file":
            files[member.name] = member.mode, b"".join(content(member))
    assert files["usr/bin/stark"] == (0o755, (stark_dir() / "stark.sh").read_bytes())
    assert files["etc/sv/docker/run"] == (0o755, (stark_dir() / "sv/docker/run").read_bytes())
    assert files["etc/sv/docker/log.config"][0] == 0o644
    assert b"audio:x:29:" in files["etc/group"][1]
    said = [event.text for event in events if isinstance(event, LogLine)]
    (installs,) = [line for line in said if line.startswith("installs")]
    assert {"runit", "netcat-openbsd", "alsa-utils", "xorg-server"} <= set(installs.split())
    assert "x11vnc" not in installs


def test_what_nobody_chose_is_left_out(engine: Dockerd, store: Store) -> None:
    docker.build("localhost/dockerfile/stark:base", "amd64", BASE, store, Reporter())
    found = engine.cli("images", "--quiet", "--filter", "label=org.mobyproject.config").split()[0]
    assert set(engine.cli("run", "--rm", found, "ls", "/etc/sv").split()) == {"apps", "containerd", "docker", "storage"}


def test_a_lock_holds_for_what_is_in_the_store(
    engine: Dockerd, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(lock: Lock | None, kept: Store = store, base: str = BASE, *, update: bool = False) -> Lock:
        found = provide([REFERENCE], "amd64", kept, lock, Reporter(), base=base, update=update)
        assert found.images[REFERENCE].digest == found.lock.images[REFERENCE, "amd64"].digest
        return found.lock

    first = made(None)
    save(tmp_path / "lock", first)
    assert load(tmp_path / "lock") == first
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    assert made(first) == first
    with pytest.raises(BuildError, match="Docker would build another one"):
        made(first, Store(tmp_path / "another"))
    for lock, base, update in ((None, BASE, False), (first, "another:1", False), (first, BASE, True)):
        with pytest.raises(HostError, match="no Docker engine answers"):
            made(lock, base=base, update=update)


@pytest.mark.parametrize(
    ("reference", "base", "message"),
    [
        (REFERENCE, "localhost/nowhere/dind:1", "cannot build stark on top of localhost/nowhere/dind:1"),
        (REFERENCE, "Not A Name", "Docker"),
        ("localhost/dockerfile/stark:blackbox", BASE, "cannot build stark on top of"),
    ],
)
def test_what_cannot_be_built_is_said(engine: Dockerd, store: Store, reference: str, base: str, message: str) -> None:
    with pytest.raises(BuildError, match=message) as caught:
        docker.build(reference, "amd64", base, store, Reporter())
    if "blackbox" in reference:
        assert "stark has no feature blackbox in a Dockerfile" in str(caught.value.hint)
    assert store.find(reference, "amd64") is None


def test_a_build_can_be_interrupted(engine: Dockerd, store: Store) -> None:
    reporter = Reporter(lambda event: reporter.cancel() if isinstance(event, LogLine) else None)
    with pytest.raises(Interrupted):
        docker.build(REFERENCE, "amd64", BASE, store, reporter)
    assert store.find(REFERENCE, "amd64") is None


def test_no_engine_is_said_before_anything_is_done(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with pytest.raises(HostError, match="no Docker engine answers at") as caught:
        docker.build(REFERENCE, "amd64", BASE, store, Reporter())
    assert "stark.source=recipe needs none" in str(caught.value.hint)


def test_the_key_tells_bases_features_and_architectures_apart() -> None:
    keys = {
        docker.key(reference, arch, base)
        for reference in (REFERENCE, "localhost/dockerfile/stark:base")
        for arch in ("amd64", "arm64")
        for base in (BASE, docker.BASE)
    }
    assert len(keys) == 8
    assert docker.key(REFERENCE, "amd64", BASE) == docker.key(REFERENCE, "amd64", BASE)
