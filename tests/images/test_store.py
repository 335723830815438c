"""The store: found again as stored, whole or not at all, whoever writes at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError
from thanos_tui.images.store import LAYER, Image, Store
from thanos_tui.tree import Member

AddImage = Callable[..., Image]
AFile = Callable[..., Member]


def blob(store: Store, digest: str) -> Path:
    return store.path / "blobs" / "sha256" / digest.removeprefix("sha256:")


def index(store: Store) -> Any:
    return json.loads((store.path / "index.json").read_bytes())


def write_index(store: Store, value: Any) -> None:
    (store.path / "index.json").write_text(json.dumps(value))


def put_json(store: Store, value: Any, media_type: str) -> dict[str, Any]:
    made = store.put_blob([json.dumps(value).encode()], media_type)
    return {"mediaType": media_type, "digest": made.digest, "size": made.size}


def test_an_image_is_found_as_it_was_added(store: Store, add_image: AddImage, a_file: AFile) -> None:
    added = add_image("team/tool:1", [a_file("a", b"1")], Cmd=["a"], Labels={"x": "y"})
    again = Store(store.path).find("docker.io/team/tool:1", "amd64")
    assert again == added
    assert again.config == {"Cmd": ["a"], "Labels": {"x": "y"}}
    assert store.get("team/tool:1", "amd64") == added


def test_the_directory_is_an_oci_layout_with_linuxkits_names(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"1")])
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = index(store)["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "docker.io/library/tool"
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
    (inner,) = json.loads(blob(store, entry["digest"]).read_bytes())["manifests"]
    assert inner["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = json.loads(blob(store, inner["digest"]).read_bytes())
    assert inner["digest"] == image.digest
    config = json.loads(blob(store, manifest["config"]["digest"]).read_bytes())
    # The layer is not compressed, so its two digests are one.
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_the_same_image_is_the_same_bytes_wherever_it_is_made(tmp_path: Path, store: Store) -> None:
    other = Store(tmp_path / "elsewhere")
    for place, order in ((store, ("a", "b")), (other, ("b", "a"))):
        for name in order:
            layer = place.put_blob([name.encode()], LAYER)
            place.add_image(f"x/{name}:1", "amd64", {"Cmd": [name], "Env": []}, [layer])
    assert (store.path / "index.json").read_bytes() == (other.path / "index.json").read_bytes()


def test_architectures_of_one_name_live_side_by_side(store: Store, add_image: AddImage, a_file: AFile) -> None:
    add_image("tool:1", [a_file("a", b"arm")], arch="arm64")
    add_image("tool:1", [a_file("a", b"old")])
    new = add_image("tool:1", [a_file("a", b"new")])
    assert store.platforms("tool:1") == ("amd64", "arm64")
    assert store.find("tool:1", "amd64") == new
    assert store.find("tool:1", "arm64") is not None
    assert len(index(store)["manifests"]) == 1


def test_a_missing_architecture_is_named(store: Store, add_image: AddImage, a_file: AFile) -> None:
    add_image("team/tool:1", [a_file("a")])
    assert store.find("team/tool:1", "arm64") is None
    with pytest.raises(BuildError, match=r"docker.io/team/tool:1 is not there for arm64, only for amd64"):
        store.get("team/tool:1", "arm64")
    with pytest.raises(BuildError, match=r"docker.io/team/tool:2 is not in the store"):
        store.get("team/tool:2", "amd64")


def test_an_image_without_one_of_its_layers_is_missing(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a")], [a_file("b")])
    blob(store, image.layers[1].digest).unlink()
    assert store.find("tool", "amd64") is None
    with pytest.raises(BuildError, match="only in part"):
        store.get("tool", "amd64")


def test_a_digest_reference_finds_what_it_pins(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("team/tool:1", [a_file("a")])
    digest = store.references()["docker.io/team/tool:1"]
    found = store.find(f"team/tool@{digest}", "amd64")
    assert found is not None
    assert found.digest == image.digest
    assert store.find(f"team/tool:1@{digest}", "amd64") is not None
    assert store.find(f"team/tool:1@sha256:{'0' * 64}", "amd64") is None


def test_a_bare_manifest_counts_for_the_platform_in_its_configuration(
    store: Store, add_image: AddImage, a_file: AFile
) -> None:
    image = add_image("tool", [a_file("a")])
    manifest = blob(store, image.digest)
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": image.digest,
        "size": manifest.stat().st_size,
        "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/bare"},
    }
    write_index(store, {"schemaVersion": 2, "manifests": [entry]})
    assert store.find("bare", "amd64") is not None
    assert store.find("bare", "arm64") is None


def test_an_index_without_platforms_and_with_attestations(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a")])
    size = blob(store, image.digest).stat().st_size
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    statement = put_json(store, {"config": {}, "layers": []}, kind)
    entries = [
        {**statement, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"mediaType": kind, "digest": image.digest, "size": size},
    ]
    listing = {"schemaVersion": 2, "manifests": entries}
    root = put_json(store, listing, "application/vnd.docker.distribution.manifest.list.v2+json")
    names = {"org.opencontainers.image.ref.name": "docker.io/library/odd"}
    write_index(store, {"schemaVersion": 2, "manifests": [{**root, "annotations": names}]})
    found = store.find("odd", "amd64")
    assert found is not None
    assert found.digest == image.digest
    assert store.platforms("odd") == ("amd64",)


def test_a_damaged_blob_is_told_removed_and_mended(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"good")])
    path = blob(store, image.layers[0].digest)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"good", b"evil"))
    with pytest.raises(IntegrityError) as caught, store.open_blob(image.layers[0].digest) as stream:
        stream.read()
    assert str(path) in caught.value.message
    assert "again" in (caught.value.hint or "")
    assert store.find("tool", "amd64") is None
    store.put_blob([whole], LAYER)
    assert store.find("tool", "amd64") == image


def test_a_blob_is_hashed_once_while_its_file_stays_as_it_is(
    store: Store, add_image: AddImage, a_file: AFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = add_image("tool", [a_file("a", b"good")]).layers[0].digest
    path = blob(store, digest)
    whole = path.read_bytes()

    def hashed() -> bool:
        with store.open_blob(digest) as stream:
            assert stream.read() == whole
            return not stream.seekable()

    # One that has just been written could be written to again before the clock ticks.
    monkeypatch.setattr("thanos_tui.images.store._CLOCK_NS", 1 << 62)
    assert [hashed(), hashed()] == [True, True]
    monkeypatch.setattr("thanos_tui.images.store._CLOCK_NS", 0)
    assert [hashed(), hashed()] == [True, False]
    with store.open_blob(digest) as stream:
        stream.read(1)
    path.unlink()
    path.write_bytes(whole)
    assert [hashed(), hashed()] == [True, False]
    path.write_bytes(whole.replace(b"good", b"evil"))
    with pytest.raises(IntegrityError), store.open_blob(digest) as stream:
        stream.read()


def test_putting_a_blob_again_mends_it(store: Store) -> None:
    made = store.put_blob([b"con", b"tent"], LAYER)
    blob(store, made.digest).write_bytes(b"CONTENT")
    assert store.put_blob([b"content"], LAYER) == made
    with store.open_blob(made.digest) as stream:
        assert stream.read() == b"content"


def test_a_blob_that_breaks_off_leaves_nothing(store: Store) -> None:
    def broken() -> Any:
        yield b"half"
        raise ConnectionResetError("the line went dead")

    with pytest.raises(ConnectionResetError):
        store.put_blob(broken(), LAYER)
    left = {path.name for path in store.path.rglob("*") if path.is_file()}
    assert left == {"oci-layout", "index.json", ".lock"}


def test_what_is_not_a_digest_names_no_file(store: Store) -> None:
    with pytest.raises(BuildError, match="not a sha256 digest"):
        store.open_blob("sha256:../../../../etc/passwd")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"oci-layout": '{"imageLayoutVersion": "2.0.0"}'}, InputError, "version 2.0.0"),
        ({"oci-layout": "nonsense"}, IntegrityError, "oci-layout"),
        ({"thesis.tex": ""}, InputError, "thesis.tex"),
    ],
)
def test_foreign_directories_are_refused(
    tmp_path: Path, content: dict[str, str], error: type[Exception], message: str
) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message):
        Store(tmp_path)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a directory"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("text", ["{", "[]", '{"manifests": [{}]}', '{"manifests": {}}'])
def test_a_damaged_index_is_told(store: Store, add_image: AddImage, a_file: AFile, text: str) -> None:
    add_image("tool", [a_file("a")])
    (store.path / "index.json").write_text(text)
    with pytest.raises(IntegrityError, match="index"):
        store.find("tool", "amd64")


def test_a_document_that_is_none_is_told(store: Store) -> None:
    for content in (b"{", b"[]", b"[" * 200_000):
        made = store.put_blob([content], "application/vnd.oci.image.manifest.v1+json")
        with pytest.raises(BuildError, match=r"not JSON|not a JSON object"):
            store.document(made.digest)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"config": 3, "layers": 4},
        {"config": {"digest": "x"}, "layers": [{}]},
        {"config": {"digest": "x", "size": "many"}, "layers": []},
    ],
)
def test_a_manifest_that_is_none_is_told(store: Store, document: Any) -> None:
    entry = put_json(store, document, "application/vnd.oci.image.manifest.v1+json")
    names = {"org.opencontainers.image.ref.name": "docker.io/library/odd"}
    write_index(store, {"schemaVersion": 2, "manifests": [{**entry, "annotations": names}]})
    with pytest.raises(BuildError, match="not a manifest of an image"):
        store.find("odd", "amd64")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_reading_needs_no_right_to_write(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a")])
    store.path.chmod(0o555)
    try:
        assert Store(store.path).find("tool", "amd64") == image
        with pytest.raises(HostError, match="cannot write"):
            store.put_blob([b"x"], LAYER)
    finally:
        store.path.chmod(0o755)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot write"):
        Store(tmp_path / "file" / "store").put_blob([b"x"], LAYER)


def test_many_processes_may_write_at_once(store: Store) -> None:
    program = (
        "import sys, pathlib\n"
        "from thanos_tui.images.store import Store, LAYER\n"
        "store = Store(pathlib.Path(sys.argv[1]))\n"
        "for number in range(5):\n"
        "    layer = store.put_blob([b'shared'], LAYER)\n"
        "    store.add_image(f'team/{sys.argv[2]}-{number}:1', 'amd64', {}, [layer])\n"
        "    store.add_image('team/shared:1', 'arch' + sys.argv[2], {}, [layer])\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(store.path), str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    names = {f"docker.io/team/{process}-{number}:1" for process in range(4) for number in range(5)}
    assert set(store.references()) == names | {"docker.io/team/shared:1"}
    assert store.platforms("team/shared:1") == ("arch0", "arch1", "arch2", "arch3")
    assert not list(store.path.glob(".*.part"))


def test_pruning_keeps_what_is_wanted_and_what_it_needs(store: Store, add_image: AddImage, a_file: AFile) -> None:
    kept = add_image("kept:1", [a_file("a", b"shared")], [a_file("b", b"own")])
    dropped = add_image("dropped:1", [a_file("a", b"shared")], [a_file("c", b"other")])
    (store.path / ".blob.x.part").write_bytes(b"left behind")
    assert store.prune(["kept:1"]) == 0  # all too young to be sure of
    assert blob(store, dropped.layers[1].digest).exists()
    assert store.prune(["kept:1"], grace=-1) > 0
    assert store.find("kept:1", "amd64") == kept
    assert list(store.references()) == ["docker.io/library/kept:1"]
    assert not blob(store, dropped.layers[1].digest).exists()
    assert not (store.path / ".blob.x.part").exists()


def test_blobs_of_killed_processes_are_swept_up(store: Store, add_image: AddImage, a_file: AFile) -> None:
    add_image("localhost/first:1", [a_file("a", b"a")])
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = {
        "old, and its process is gone": (store.path / f".blob.{gone.pid}.a.part", 7200),
        "its process is gone": (store.path / f".blob.{gone.pid}.b.part", 0),
        "old": (store.path / f".blob.{os.getpid()}.c.part", 7200),
    }
    for path, age in left.values():
        path.write_bytes(b"left behind")
        os.utime(path, (0, time.time() - age))
    add_image("localhost/second:1", [a_file("b", b"b")])
    assert [why for why, (path, _) in left.items() if path.exists()] == ["its process is gone", "old"]
