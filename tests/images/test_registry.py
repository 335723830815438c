"""Images from real registries on the loopback address, on good ways and bad ones."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certificates
import pytest
import zstandard
from registries import CONFIG, GZIP, MANIFEST, PASSWORD, USER, Registry, Way, digest, serving, tokens
from registries import _certified as _certified
from registries import guarded as guarded
from registries import plain as plain
from registries import way as way
from registries import way_authority as way_authority

from thanos_tui import cli, tarball
from thanos_tui.build import rootfs, tar
from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError, Interrupted, ThanosError
from thanos_tui.events import Event, Item, Progress, Reporter, StepStarted
from thanos_tui.images import fetch, layouts, registry
from thanos_tui.images.fetch import Sources, bring
from thanos_tui.images.layers import flatten
from thanos_tui.images.lock import Lock
from thanos_tui.images.provide import provide
from thanos_tui.images.store import LAYER, Image, Store
from thanos_tui.linuxkit.config import read
from thanos_tui.tree import Member, content

pytestmark = pytest.mark.network  # docker-registry is a package

OCI_GZIP, OCI_ZSTD = f"{LAYER}+gzip", f"{LAYER}+zstd"
AFile = Callable[..., Member]


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Docker's configuration is the test's own; this writes it."""
    monkeypatch.setattr("thanos_tui.images.transport._PAUSE", 0.01)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def write(value: dict[str, Any]) -> None:
        (tmp_path / "docker").mkdir(exist_ok=True)
        (tmp_path / "docker" / "config.json").write_text(json.dumps(value))

    return write


@pytest.fixture
def layer(a_file: AFile) -> Callable[..., bytes]:
    """The archive of one file, not compressed."""
    return lambda name, data: b"".join(tarball.chunks([a_file(name, data)]))


def files(store: Store, image: Image) -> dict[str, bytes]:
    return {m.name: b"".join(content(m)) for m in flatten(store, image) if m.kind == "file"}


def pull(store: Store, reference: str, arch: str = "amd64", reporter: Reporter | None = None, **how: Any) -> Image:
    sources = Sources(**how)
    return bring({reference: ""}, arch, store, sources, reporter or Reporter())[reference]


def noise(size: int) -> bytes:
    """Bytes that look random and are always the same."""
    blocks = (hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32))
    return b"".join(blocks)


def logged_in(host: str) -> dict[str, Any]:
    return {"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}


def test_an_image_with_layers_of_every_packing(plain: Registry, store: Store, layer: Callable[..., bytes]) -> None:
    top = plain.push(
        "packings/all",
        "1",
        [
            (GZIP, gzip.compress(layer("a", b"gzip"))),
            (OCI_ZSTD, zstandard.compress(layer("b", b"zstd"))),
            (LAYER, layer("c", b"plain")),
            (OCI_GZIP, gzip.compress(layer("d", b"oci"))),
        ],
        config={"Cmd": ["/a"]},
    )
    events: list[Event] = []
    image = pull(store, f"{plain.host}/packings/all:1", reporter=Reporter(events.append))
    assert files(store, image) == {"a": b"gzip", "b": b"zstd", "c": b"plain", "d": b"oci"}
    assert (image.digest, image.config) == (top["digest"], {"Cmd": ["/a"]})
    started = {event.step: event for event in events if isinstance(event, StepStarted)}
    last = [event for event in events if isinstance(event, Progress) and event.step == "images/registry"][-1]
    assert started["images/registry"].unit == "bytes"
    assert last.done == last.total == started["images/registry"].total
    assert len({event.name for event in events if isinstance(event, Item)}) == 5


def test_what_is_there_is_not_downloaded_again(way: Way, way_authority: Path, plain: Registry, store: Store) -> None:
    plain.push("again/one", "1", [(GZIP, gzip.compress(noise(1000)))])
    how: dict[str, Any] = {"certificates": (way_authority,)}
    first = pull(store, f"{way.host}/again/one:1", **how)
    way.seen.clear()
    assert pull(store, f"{way.host}/again/one:1", **how) == first
    assert way.seen == []
    assert pull(store, f"{way.host}/again/one:1", pull=True, **how) == first
    # A manifest on its own has its platform in its configuration, which is small.
    assert len([path for path, _ in way.seen if "/blobs/" in path]) == 1


def test_a_moved_tag_is_seen_by_pull_alone(plain: Registry, store: Store, layer: Callable[..., bytes]) -> None:
    name = f"{plain.host}/moved/tag:1"
    plain.push("moved/tag", "1", [(LAYER, layer("a", b"old"))])
    old = pull(store, name)
    plain.push("moved/tag", "1", [(LAYER, layer("a", b"new"))])
    assert pull(store, name) == old
    new = pull(store, name, pull=True)
    assert files(store, new) == {"a": b"new"}
    # A lock still gets what it names, also into a store that has never seen it.
    for kept in (store, Store(store.path.parent / "other")):
        assert bring({name: old.digest}, "amd64", kept, Sources(), Reporter())[name].digest == old.digest
        assert bring({name: old.digest}, "amd64", kept, Sources(("store",)), Reporter())[name].digest == old.digest


def test_platforms_of_an_index(plain: Registry, store: Store, layer: Callable[..., bytes]) -> None:
    images = {
        f"linux/{arch}": plain.push("many/archs", "", [(LAYER, layer("arch", arch.encode()))], arch.partition("/")[0])
        for arch in ("amd64", "arm64/v8", "arm/v6", "arm/v7")
    }
    images["unknown/unknown"] = images["linux/arm/v7"]
    top = plain.push_list("many/archs", "1", images)
    name = f"{plain.host}/many/archs:1"
    for arch in ("amd64", "arm64"):
        image = pull(store, name, arch)
        assert files(store, image)["arch"].startswith(arch.encode())
    root = store.root(name)
    assert root is not None
    assert root.digest == top["digest"]
    pinned = f"{plain.host}/many/archs@{top['digest']}"
    assert pull(store, pinned).digest == images["linux/amd64"]["digest"]
    with pytest.raises(BuildError, match=r"is not there for linux/riscv64, only for .*linux/amd64.*linux/arm64/v8"):
        pull(store, name, "riscv64")


def two_platforms(plain: Registry, name: str, layer: Callable[..., bytes]) -> dict[str, Any]:
    """An index of images for two platforms, and of something that says something of one of them."""
    images = {
        f"linux/{arch}": plain.push(name, "", [(LAYER, layer("arch", f"{name} {arch}".encode()))], arch)
        for arch in ("arm64", "riscv64")
    }
    statement = [("application/vnd.in-toto+json", f'{{"of": "{name}"}}'.encode())]
    images["unknown/unknown"] = plain.push(name, "", statement, "unknown")
    return plain.push_list(name, "1", images)


@pytest.mark.parametrize("kind", ["registry", "layout", "archive"])
def test_an_image_is_brought_for_the_platforms_that_are_asked_for(
    plain: Registry, tmp_path: Path, layer: Callable[..., bytes], kind: str
) -> None:
    top = two_platforms(plain, "whole/tool", layer)
    name = f"{plain.host}/whole/tool:1"
    order: tuple[str, ...] = ("registry",)
    if kind != "registry":
        given = Store(tmp_path / "given")
        bring({name: ""}, "amd64", given, Sources(order), Reporter(), layouts={name: ()})
        order = (str(given.path),)
    if kind == "archive":
        order = (str(tmp_path / "given.tar"),)
        with tarfile.open(order[0], "w") as out:
            for each in sorted(given.path.rglob("*")):
                out.add(each, each.relative_to(given.path), recursive=False)
    for number, (platforms, archs, blobs) in enumerate(
        [((), ("arm64", "riscv64"), 10), (("linux/riscv64",), ("riscv64",), 4), (("linux/arm64",), ("arm64",), 4)]
    ):
        store = Store(tmp_path / str(number))
        # None of them is for the architecture of the system, which is no reason to refuse it.
        image = bring({name: ""}, "amd64", store, Sources(order), Reporter(), layouts={name: platforms})[name]
        assert image.arch == archs[0]
        assert {arch for arch in ("arm64", "riscv64") if store.find(name, arch)} == set(archs)
        plan = layouts.plan(store, name, platforms)
        assert (plan.root.digest, len(plan.blobs)) == (top["digest"], blobs)
        assert fetch.pinned(image, store, whole=True) == top["digest"]
        # What is there in part is no longer enough when more is asked for.
        with pytest.raises(BuildError, match="linux/s390x"):
            bring({name: ""}, "amd64", store, Sources(order), Reporter(), layouts={name: (*platforms, "linux/s390x")})
        again = bring({name: ""}, "amd64", store, Sources(("store", *order)), Reporter(), layouts={name: ()})[name]
        assert layouts.plan(store, again.reference, ()).root.digest == top["digest"]


def test_a_lock_names_the_index_of_an_image_for_several_platforms(
    plain: Registry, store: Store, tmp_path: Path, layer: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    two_platforms(plain, "locked/tool", layer)
    name = f"{plain.host}/locked/tool:1"
    yaml = f"volumes: [{{name: v, image: '{name}', format: oci, platforms: [linux/arm64, linux/riscv64]}}]"
    config = read(yaml, "test.yml")

    def made(kept: Store, lock: Lock | None) -> tuple[bytes, Lock]:
        given = provide(config.images(), "amd64", kept, lock, Reporter(), layouts=config.layouts("amd64"))
        parts = rootfs.parts(config, kept, "amd64", images=given.images, surveys=tmp_path / "surveys")
        out = io.BytesIO()
        with Reporter().step("tar", "tar") as step:
            tar.write(parts, out, step)
        return out.getvalue(), given.lock

    first, lock = made(store, None)
    plain.push("locked/tool", "1", [(LAYER, layer("arch", b"moved"))])
    assert made(store, lock) == (first, lock)
    assert made(Store(tmp_path / "other"), lock) == (first, lock)
    with pytest.raises(BuildError, match="is for one platform, and wanted for linux/arm64, linux/riscv64"):
        made(Store(tmp_path / "third"), None)


def test_a_single_image_for_another_platform(plain: Registry, store: Store, layer: Callable[..., bytes]) -> None:
    plain.push("one/arch", "1", [(LAYER, layer("a", b""))], "arm64")
    with pytest.raises(BuildError, match="not there for linux/amd64, only for linux/arm64"):
        pull(store, f"{plain.host}/one/arch:1", order=("registry",))
    assert store.references() == {}


# Logging in, and trusting


def test_a_password_and_an_authority(
    plain: Registry,
    guarded: Registry,
    store: Store,
    tmp_path: Path,
    layer: Callable[..., bytes],
    docker_config: Callable[[dict[str, Any]], None],
) -> None:
    plain.push("secret/one", "latest", [(LAYER, layer("a", b"secret"))])
    name = f"{guarded.host}/secret/one"
    how: dict[str, Any] = {"order": ("registry",), "certificates": (guarded.authority,)}
    with pytest.raises(HostError, match=rf"the certificate of {guarded.host} cannot be trusted") as untrusted:
        pull(store, name, order=("registry",))
    assert "certificates" in str(untrusted.value.hint)
    with pytest.raises(HostError, match="it wants a login") as caught:
        pull(store, name, **how)
    assert f"docker login {guarded.host}" in str(caught.value.hint)
    wrong = {"auths": {guarded.host: {"auth": base64.b64encode(b"reader:wrong").decode()}}}
    docker_config(wrong)
    with pytest.raises(HostError, match="its login does not suffice"):
        pull(store, name, **how)
    docker_config({"auths": {guarded.host: {"auth": "no colon"}}})
    with pytest.raises(HostError, match="what docker login has kept"):
        pull(store, name, **how)
    docker_config(logged_in(guarded.host))
    assert files(store, pull(store, name, **how)) == {"a": b"secret"}
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(InputError, match=r"none\.pem holds no certificates"):
        pull(store, name, order=("registry",), certificates=(tmp_path / "none.pem",))


def test_a_credential_helper(
    plain: Registry,
    guarded: Registry,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layer: Callable[..., bytes],
    docker_config: Callable[[dict[str, Any]], None],
) -> None:
    plain.push("secret/two", "latest", [(LAYER, layer("a", b"secret"))])
    answer = json.dumps({"ServerURL": guarded.host, "Username": USER, "Secret": PASSWORD})
    helper = tmp_path / "docker-credential-testing"
    helper.write_text(f"#!/bin/sh\nread -r asked; [ \"$asked\" = {guarded.host} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    docker_config({"credHelpers": {guarded.host: "testing"}})
    how: dict[str, Any] = {"order": ("registry",), "certificates": (guarded.authority,)}
    assert files(store, pull(store, f"{guarded.host}/secret/two", **how)) == {"a": b"secret"}
    docker_config({"credHelpers": {guarded.host: "absent"}})
    with pytest.raises(HostError, match="what docker login has kept"):
        pull(store, f"{guarded.host}/secret/two", **{**how, "pull": True})


def test_tokens(
    plain: Registry,
    store: Store,
    tmp_path: Path,
    layer: Callable[..., bytes],
    docker_config: Callable[[dict[str, Any]], None],
) -> None:
    plain.push("token/one", "1", [(LAYER, layer("a", b"token"))])
    certificates.write(tmp_path)
    with tokens(tmp_path) as (given, auth), serving(tmp_path, plain.storage, tls=True, auth=auth) as served:
        name = f"{served.host}/token/one:1"
        how: dict[str, Any] = {"order": ("registry",), "certificates": (served.authority,)}
        with pytest.raises(HostError, match="it wants a login"):
            pull(store, name, **how)
        docker_config(logged_in(served.host))
        assert files(store, pull(store, name, **how)) == {"a": b"token"}
        docker_config({"auths": {served.host: {"identitytoken": given.refresh}}})
        other = Store(tmp_path / "other")
        assert files(other, pull(other, name, **how)) == {"a": b"token"}
    scopes = {scope for scope, _ in given.asked}
    assert scopes == {"repository:token/one:pull"}
    assert {kind for _, kind in given.asked} == {"none", "password", "refresh"}


# Mirrors


def test_mirrors_come_first_and_the_registry_last(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    plain.push("library/thing", "latest", [(LAYER, layer("a", b"mirrored"))])
    assert files(store, pull(store, "thing", mirrors=(f"docker.io=http://{plain.host}",))) == {"a": b"mirrored"}
    assert store.references().keys() == {"docker.io/library/thing"}
    # One that gives rubbish is passed over, and so is one that nobody answers at.
    way.flip = True
    noisy = plain.push("mirror/big", "1", [(LAYER, layer("a", noise(100_000)))])
    how: dict[str, Any] = {"certificates": (way_authority,), "order": ("registry",)}
    mirrors = ("example.invalid=https://127.0.0.1:1", f"example.invalid={way.url}", f"http://{plain.host}")
    with pytest.raises(IntegrityError, match="gives another configuration"):
        pull(store, "example.invalid/mirror/big:1", mirrors=mirrors, **how)
    mirrors = (f"example.invalid={way.url}", f"example.invalid=http://{plain.host}")
    assert pull(store, "example.invalid/mirror/big:1", mirrors=mirrors, **how).digest == noisy["digest"]


def test_a_mirror_below_a_path(plain: Registry, store: Store, layer: Callable[..., bytes]) -> None:
    plain.push("hub/library/below", "latest", [(LAYER, layer("a", b"below"))])
    image = pull(store, "below", mirrors=(f"http://{plain.host}/hub/",))
    assert files(store, image) == {"a": b"below"}


# Bad ways


def test_what_breaks_off_is_gone_on_with(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    data = layer("a", noise(1_000_000))
    plain.push("broken/off", "1", [(LAYER, data)])
    way.cut = [300_000, 400_000]
    image = pull(store, f"{way.host}/broken/off:1", certificates=(way_authority,))
    assert files(store, image) == {"a": noise(1_000_000)}
    ranges = [asked for path, asked in way.seen if digest(data) in path]
    assert ranges == ["", "bytes=300000-", "bytes=700000-"]


def test_a_registry_that_knows_no_ranges(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    plain.push("no/ranges", "1", [(LAYER, layer("a", noise(1_000_000)))])
    way.cut, way.ranges = [600_000], False
    image = pull(store, f"{way.host}/no/ranges:1", certificates=(way_authority,))
    assert files(store, image) == {"a": noise(1_000_000)}


def test_one_that_breaks_off_always(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    plain.push("always/broken", "1", [(LAYER, layer("a", noise(100_000)))])
    way.cut = [1000] * 5
    with pytest.raises(HostError, match="breaks off again and again"):
        pull(store, f"{way.host}/always/broken:1", certificates=(way_authority,), order=("registry",))
    assert list(store.path.glob(".*.part")) == []
    assert store.references() == {}


def test_flipped_bytes_are_refused(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    entry = plain.push("flipped/bytes", "", [(LAYER, layer("a", noise(1000)))])
    plain.push_list("flipped/bytes", "1", {"linux/amd64": entry})
    way.flip = True
    with pytest.raises(IntegrityError, match="is something else"):
        pull(store, f"{way.host}/flipped/bytes:1", certificates=(way_authority,))
    assert list(store.path.glob(".*.part")) == []
    assert list(store.path.glob("blobs/sha256/*")) == []


def test_a_busy_registry_is_asked_again_and_a_strict_one_is_not(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    plain.push("busy/one", "1", [(LAYER, layer("a", b""))])
    how: dict[str, Any] = {"certificates": (way_authority,), "order": ("registry",)}
    way.refusals = [(503, {}), (429, {"Retry-After": "0"}), (502, {})]
    assert pull(store, f"{way.host}/busy/one:1", **how).arch == "amd64"
    way.seen.clear()
    way.refusals = [(429, {"Retry-After": "3600"})]
    with pytest.raises(HostError, match="too many requests") as caught:
        pull(store, f"{way.host}/busy/one:1", **how)
    assert "3600 s" in str(caught.value.hint)
    assert len(way.seen) == 1


def test_a_slow_one_can_be_interrupted(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    plain.push("slow/one", "1", [(LAYER, layer("a", noise(3_000_000)))])
    way.slow = 0.2
    reporter = Reporter(lambda event: reporter.cancel() if isinstance(event, Item) else None)
    with pytest.raises(Interrupted):
        pull(store, f"{way.host}/slow/one:1", certificates=(way_authority,), reporter=reporter)
    assert list(store.path.glob(".*.part")) == []
    assert store.references() == {}


@pytest.mark.parametrize("silent", ["head", "blob"])
def test_a_cancel_does_not_wait_for_a_server_that_says_nothing(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes], silent: str
) -> None:
    plain.push("silent/one", "1", [(LAYER, layer(str(number), noise(600_000))) for number in range(3)])
    reporter = Reporter()
    way.silent = silent

    def cancel() -> None:
        way.waiting.wait()
        reporter.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Interrupted):
        pull(store, f"{way.host}/silent/one:1", certificates=(way_authority,), reporter=reporter)
    assert not way.went_on
    canceller.join()
    assert list(store.path.glob(".*.part")) == []
    assert store.references() == {}


def test_a_damaged_part_ends_the_others_at_once(
    way: Way, way_authority: Path, plain: Registry, store: Store, layer: Callable[..., bytes]
) -> None:
    large, small = layer("large", noise(600_000)), layer("small", noise(1000))
    plain.push("silent/two", "1", [(LAYER, large), (LAYER, small)])
    way.rewrite[digest(small)] = ("application/octet-stream", bytes(len(small)), {})
    way.silent = digest(large)
    with pytest.raises(IntegrityError):
        pull(store, f"{way.host}/silent/two:1", certificates=(way_authority,))
    assert not way.went_on


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("HOST/no/such:1", "does not have no/such:1"),
        ("no-such-host.invalid/a/b", "no-such-host.invalid is not known"),
        ("127.0.0.1:1/a/b", "cannot be reached: Connection refused"),
    ],
)
def test_what_cannot_be_had_is_said(plain: Registry, store: Store, reference: str, message: str) -> None:
    with pytest.raises(ThanosError, match=message) as caught:
        pull(store, reference.replace("HOST", plain.host), order=("registry",))
    assert caught.value.hint


def test_without_tls_only_where_it_was_said(plain: Registry, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thanos_tui.images.transport._is_loopback", lambda _host: False)
    with pytest.raises(HostError, match="does not speak TLS") as caught:
        pull(store, f"{plain.host}/a/b:1", order=("registry",))
    assert f"{plain.host}=http://{plain.host}" in str(caught.value.hint)


def test_redirects_must_stay_encrypted(way: Way, way_authority: Path, plain: Registry, store: Store) -> None:
    way.refusals = [(307, {"Location": f"http://{plain.host}/v2/"})]
    with pytest.raises(HostError, match="without encryption"):
        pull(store, f"{way.host}/a/b:1", certificates=(way_authority,), order=("registry",))


def test_every_source_says_why_it_has_it_not(plain: Registry, store: Store) -> None:
    with pytest.raises(BuildError, match="is in no source") as caught:
        pull(store, f"{plain.host}/no/such:1", order=("docker", "registry"), pull=True)
    assert "does not have no/such:1" in str(caught.value.hint)
    assert "docker is passed over" in str(caught.value.hint)
    with pytest.raises(HostError, match="offline"):
        bring({"a": ""}, "amd64", store, Sources(("registry",)), Reporter(), offline=True)


# Hostile registries

_HUGE = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": ["x" * (5 << 20)]}).encode()
_EMPTY = {"mediaType": CONFIG, "digest": digest(b"{}"), "size": 2}


def _manifest(**parts: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": _EMPTY, "layers": [], **parts}).encode()


def _layer(**parts: Any) -> bytes:
    return _manifest(layers=[{"mediaType": LAYER, "digest": digest(b""), "size": 1, **parts}])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "that is none"),
        (_HUGE, "larger than 4 MiB"),
        (b'{"schemaVersion": 1}', "first kind"),
        (_manifest(mediaType="application/vnd.cncf.helm"), "is no image of a container"),
        (_manifest(manifests=[]), "is no image of a container"),
        (_manifest(config={**_EMPTY, "mediaType": "application/vnd.wasm"}), "is no image of a container"),
        (_manifest(config={**_EMPTY, "size": 1 << 40}), "bytes"),
        (_manifest(config={**_EMPTY, "size": 1 << 30}), "does not describe an image"),
        (_manifest(config="text"), "does not describe an image"),
        (_manifest(layers=[{}]), "not a sha256 digest"),
        (_manifest(layers=[_EMPTY] * 600), "does not describe an image"),
        (_layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "is no image of a container"),
        (_layer(digest="sha256:../../../../etc/passwd"), "not a sha256 digest"),
        (_layer(digest="sha512:" + "0" * 128), "not a sha256 digest"),
        (_layer(size=-1), "a part of -1 bytes"),
        (_layer(size="1"), "a part of"),
        (_layer(size=1 << 60), "a part of"),
    ],
)
def test_hostile_manifests(way: Way, way_authority: Path, store: Store, body: bytes, message: str) -> None:
    way.rewrite["/manifests/1"] = (MANIFEST, body, {})
    with pytest.raises(ThanosError, match=message):
        pull(store, f"{way.host}/hostile/one:1", certificates=(way_authority,), order=("registry",))
    assert not store.path.exists() or list(store.path.glob("blobs/sha256/*")) == []


def test_an_index_of_indexes_of_indexes(way: Way, way_authority: Path, store: Store) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    body = b"{}"
    for depth in range(6):
        entry = {"mediaType": kind, "digest": digest(body), "size": len(body)}
        body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry], "depth": depth}).encode()
        way.rewrite[f"/manifests/{digest(body)}"] = (kind, body, {})
    way.rewrite["/manifests/1"] = (kind, body, {})
    with pytest.raises(BuildError, match="goes too deep"):
        pull(store, f"{way.host}/hostile/deep:1", certificates=(way_authority,), order=("registry",))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Docker-Content-Digest": digest(b"another")}, "gives another manifest"),
        ({"X-Large": "x" * 100_000}, "cannot be reached"),
        ({f"X-{number}": "x" for number in range(200)}, "cannot be reached"),
    ],
)
def test_hostile_headers(way: Way, way_authority: Path, store: Store, headers: dict[str, str], message: str) -> None:
    way.rewrite["/manifests/1"] = (MANIFEST, _manifest(), headers)
    with pytest.raises(ThanosError, match=message):
        pull(store, f"{way.host}/hostile/headers:1", certificates=(way_authority,), order=("registry",))


def test_more_bytes_than_were_said(way: Way, way_authority: Path, store: Store) -> None:
    small = {"mediaType": LAYER, "digest": digest(b"0" * 10), "size": 10}
    way.rewrite["/manifests/1"] = (MANIFEST, _manifest(layers=[small]), {})
    way.rewrite[f"/blobs/{_EMPTY['digest']}"] = ("", b"{}", {})
    way.rewrite[f"/blobs/{small['digest']}"] = ("", b"0" * 1_000_000, {})
    with pytest.raises(IntegrityError, match="more than the 10 bytes"):
        pull(store, f"{way.host}/hostile/long:1", certificates=(way_authority,))
    assert list(store.path.glob(".*.part")) == []


# The whole way


def test_a_build_of_yaml(
    plain: Registry, tmp_path: Path, layer: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    plain.push("team/base", "1", [(GZIP, gzip.compress(layer("etc/team", b"ours")))])
    (tmp_path / "box.yml").write_text("init: [registry.invalid/team/base:1]\n")
    words = ["build", str(tmp_path / "box.yml"), "--format", "tar", "--dir", str(tmp_path), "--no-sbom"]
    words += ["--cache", str(tmp_path / "cache")]
    assert cli.main([*words, "--mirror", "registry.invalid=http://127.0.0.1:1"]) == 3
    said = capfd.readouterr().err
    assert "the image registry.invalid/team/base:1 is in no source" in said
    assert "the name registry.invalid is not known to the network" in said
    assert "Traceback" not in said
    assert not (tmp_path / "box.tar").exists()
    assert cli.main([*words, "--mirror", f"registry.invalid=http://{plain.host}"]) == 0
    with tarfile.open(tmp_path / "box.tar") as made:
        found = made.extractfile("etc/team")
        assert found is not None
        assert found.read() == b"ours"
    # What was brought needs nobody any more.
    assert cli.main([*words, "--offline"]) == 0


# Words


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("redis", ("docker.io", "library/redis", "latest")),
        ("linuxkit/init:1", ("docker.io", "linuxkit/init", "1")),
        ("a/b/c:2", ("docker.io", "a/b/c", "2")),
        ("localhost:5000/a:1", ("localhost:5000", "a", "1")),
        ("example.com/a/b", ("example.com", "a/b", "latest")),
        (f"example.com/a:1@{digest(b'')}", ("example.com", "a", digest(b""))),
    ],
)
def test_what_a_reference_stands_for(reference: str, expected: tuple[str, str, str]) -> None:
    assert registry.located(reference) == expected


@pytest.mark.parametrize(
    "how",
    [
        {"order": ("regstry",)},
        {"order": ()},
        {"order": ("./nowhere.tar",)},
        {"mirrors": ("docker.io",)},
        {"mirrors": ("docker.io=ftp://x",)},
        {"mirrors": ("=https://x",)},
        {"mirrors": ("https://",)},
        {"certificates": (Path("/nowhere/at/all"),)},
    ],
)
def test_what_is_no_source(how: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Sources(**how)
    if how.get("order") == ("regstry",):
        assert "did you mean registry?" in str(caught.value.hint)


def test_mirrors_are_taken_apart() -> None:
    assert fetch.mirrored("docker.io=https://a.example/x/") == ("docker.io", "https://a.example/x")
    assert fetch.mirrored("http://127.0.0.1:5000") == ("", "http://127.0.0.1:5000")
