"""Images from files and engines, and sources one after the other."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engines import PROBE, Dockerd
from engines import dockerd as dockerd
from engines import probe as probe
from engines import with_probe as with_probe
from registries import Registry
from registries import plain as plain

from thanos_tui import tarball
from thanos_tui.build import ocivolume
from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError, ThanosError
from thanos_tui.events import Event, Reporter, StepFinished
from thanos_tui.images import archives
from thanos_tui.images.fetch import Sources, bring
from thanos_tui.images.layers import flatten
from thanos_tui.images.manifests import loadable, manifest
from thanos_tui.images.store import Image, Store
from thanos_tui.tree import Member, content

NAME = "example.org/team/tool:1"
AddImage = Callable[..., Image]


def take(store: Store, *order: str, reference: str = NAME, arch: str = "amd64", digest: str = "", **how: Any) -> Image:
    return bring({reference: digest}, arch, store, Sources(order, **how), Reporter())[reference]


def files(store: Store, image: Image) -> dict[str, bytes]:
    return {m.name: b"".join(content(m)) for m in flatten(store, image) if m.kind == "file"}


@pytest.fixture
def layer(a_file: Callable[..., Member]) -> Callable[..., bytes]:
    """The archive of one file, not compressed."""
    return lambda name, data: b"".join(tarball.chunks([a_file(name, data)]))


@pytest.fixture
def target(tmp_path: Path) -> Store:
    """The store that images are brought into; the fixture ``store`` is where they are."""
    return Store(tmp_path / "target")


@pytest.fixture
def image(add_image: AddImage, layer: Callable[..., bytes]) -> Image:
    return add_image(NAME, layer("a", b"content"), layer("b", b"more"))


def packed(store: Store, path: Path) -> Path:
    """The store as an archive, as `skopeo copy oci-archive:` and others make one."""
    with tarfile.open(path, "w") as out:
        for each in sorted(store.path.rglob("*")):
            if each.name != ".lock":
                out.add(each, each.relative_to(store.path), recursive=False)
    return path


def saved(store: Store, path: Path, arch: str = "amd64") -> Path:
    """An image of the store as `docker save` writes it."""
    source = ocivolume.source(store, NAME, arch)
    with Reporter().step("check", "check") as step:
        images = loadable(archives.read(source, step), arch)
    path.write_bytes(b"".join(archives.made_anew(source, *manifest(images))))
    return path


def test_a_layout_is_left_as_it_is(store: Store, image: Image, target: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    taken = take(target, str(store.path))
    assert (taken.digest, files(target, taken)) == (image.digest, {"a": b"content", "b": b"more"})
    assert {path: path.stat().st_mtime_ns for path in store.path.rglob("*")} == before
    blob = store.path / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(IntegrityError, match="is damaged"):
        take(Store(target.path.parent / "third"), str(store.path))
    assert blob.exists()


def test_archives_of_both_kinds(store: Store, image: Image, target: Store, tmp_path: Path) -> None:
    oci = take(target, str(packed(store, tmp_path / "oci.tar")))
    assert (oci.digest, files(target, oci)) == (image.digest, {"a": b"content", "b": b"more"})
    other = Store(tmp_path / "other")
    docker = take(other, str(saved(store, tmp_path / "docker.tar")))
    assert files(other, docker) == {"a": b"content", "b": b"more"}
    assert docker.config == image.config
    assert other.get(NAME, "amd64") == docker


def test_names_are_compared_in_full(store: Store, add_image: AddImage, target: Store, layer: Any) -> None:
    add_image("docker.io/library/redis:latest", layer("a", b""))
    assert take(target, str(store.path), reference="redis").reference == "docker.io/library/redis"
    with pytest.raises(BuildError, match=r"holds other images: docker\.io/library/redis:latest"):
        take(target, str(store.path), reference="redis:7")


def test_sources_are_asked_in_their_order(
    store: Store, image: Image, target: Store, tmp_path: Path, layer: Callable[..., bytes]
) -> None:
    path = str(packed(store, tmp_path / "one.tar"))
    newer = target.add_image(
        NAME, "amd64", {}, [target.put_blob([layer("a", b"newer")], "application/vnd.oci.image.layer.v1.tar")]
    )
    assert take(target, "store", path).digest == newer.digest
    assert take(target, path, "store").digest == image.digest
    assert take(target, "store", path, pull=True).digest == image.digest
    # The lock decides, wherever in the order the right one is.
    target.add_image(NAME, "amd64", newer.config, newer.layers)
    assert take(target, "store", path, digest=image.digest).digest == image.digest
    with pytest.raises(BuildError, match="is in no source") as caught:
        take(target, "store", path, digest="sha256:" + "0" * 64)
    assert str(caught.value.hint).count("and the lock says") == 2


def test_another_architecture_is_told(
    store: Store, add_image: AddImage, target: Store, tmp_path: Path, layer: Any
) -> None:
    add_image(NAME, layer("a", b""), arch="arm64")
    for path in (store.path, packed(store, tmp_path / "oci.tar"), saved(store, tmp_path / "docker.tar", "arm64")):
        with pytest.raises(ThanosError, match="arm64"):
            take(target, str(path))
    assert target.references() == {}


def test_what_is_no_archive(target: Store, tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no archive at all")
    with pytest.raises(InputError):
        take(target, str(tmp_path / "text.tar"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BuildError, match="nothing with a name"):
        take(target, str(tmp_path / "empty"))


def test_a_hostile_archive(target: Store, tmp_path: Path, layer: Callable[..., bytes]) -> None:
    for number, name in enumerate(("../../etc/passwd", "/etc/passwd", "link")):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w") as out:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
            out.addfile(link)
            value = json.dumps([{"Config": name, "RepoTags": [NAME], "Layers": [name]}]).encode()
            entry = tarfile.TarInfo("manifest.json")
            entry.size = len(value)
            out.addfile(entry, io.BytesIO(value))
        with pytest.raises(InputError, match="leads out of the archive"):
            take(target, str(path))


@pytest.mark.network  # the image is made of packages
def test_what_an_engine_holds(
    with_probe: Dockerd, target: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{with_probe.socket}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = take(target, "docker", reference=PROBE)
    assert any(member.kind == "file" for member in flatten(target, image))
    again = take(Store(tmp_path / "again"), "docker", reference=PROBE)
    assert again.digest == image.digest
    with pytest.raises(BuildError, match=r"does not hold example\.org/no/such:1"):
        take(target, "docker", reference="example.org/no/such:1")
    with pytest.raises(BuildError, match=r"for linux/amd64, not for linux/arm64") as caught:
        take(target, "docker", reference=PROBE, arch="arm64")
    assert "docker pull --platform linux/arm64" in str(caught.value.hint)
    with pytest.raises(BuildError, match="Docker cannot pull"):
        take(target, "docker-pull", reference="127.0.0.1:1/no/such:1")


@pytest.mark.network  # docker-registry is a package
def test_what_an_engine_pulls(
    dockerd: Dockerd,
    plain: Registry,
    target: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layer: Callable[..., bytes],
) -> None:
    name, names = f"{plain.host}/pulled/tool:1", [f"{plain.host}/pulled/{arch}:1" for arch in ("amd64", "arm64")]

    def push(data: str) -> None:
        """Put an image for two platforms into the registry; the engine does not hold it afterwards."""
        (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY a /a\nCMD ["/a"]\n')
        images = {}
        for each in names:
            arch = each.rpartition("/")[2].removesuffix(":1")
            (tmp_path / "a").write_text(f"{data} {arch}")
            dockerd.cli("build", "--platform", f"linux/{arch}", "--tag", each, str(tmp_path))
            dockerd.cli("tag", each, name)
            dockerd.cli("push", name)
            images[f"linux/{arch}"] = plain.head("pulled/tool", "1")
            dockerd.cli("rmi", each, name)
        plain.push_list("pulled/tool", "1", images)

    monkeypatch.setenv("DOCKER_HOST", f"unix://{dockerd.socket}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    push("old")
    with pytest.raises(BuildError, match="does not hold"):
        take(target, "docker", reference=name)
    events: list[Event] = []
    image = bring({name: ""}, "amd64", target, Sources(("docker-pull",)), Reporter(events.append))[name]
    assert (files(target, image), image.config["Cmd"]) == ({"a": b"old amd64"}, ["/a"])
    assert [event.step for event in events if isinstance(event, StepFinished)] == [f"images/docker/{name}"]
    # What the engine has by now counts, until another platform is wanted or it is told to pull.
    held = dockerd.cli("image", "inspect", "--format", "{{.Id}}", name).strip()
    push("new")
    dockerd.cli("tag", held, name)
    assert files(target, take(target, "docker-pull", reference=name)) == {"a": b"old amd64"}
    assert files(target, take(target, "docker-pull", reference=name, arch="arm64")) == {"a": b"new arm64"}
    assert files(target, take(target, "docker-pull", reference=name, pull=True)) == {"a": b"new amd64"}
    both = {name: ("linux/amd64", "linux/arm64")}
    bring({name: ""}, "amd64", target, Sources(("docker-pull",), pull=True), Reporter(), layouts=both)
    assert [files(target, target.get(name, arch))["a"] for arch in ("amd64", "arm64")] == [b"new amd64", b"new arm64"]
    with pytest.raises(BuildError, match=r"Docker cannot pull .*/pulled/tool:2"):
        take(target, "docker-pull", reference=f"{plain.host}/pulled/tool:2")


def test_no_engine(target: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with pytest.raises(HostError, match="no Docker engine answers") as caught:
        take(target, "docker")
    assert "leave it out of the sources" in str(caught.value.hint)
