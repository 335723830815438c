"""Archives of images: what is taken for one, what is not, and that nothing gets through that was not checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from archives import INDEX, Made, layer, sha256, spread, tar, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thanos_tui.build import ocivolume
from thanos_tui.errors import InputError, IntegrityError, ThanosError
from thanos_tui.events import Reporter
from thanos_tui.images import archives
from thanos_tui.images.archives import Source
from thanos_tui.images.manifests import Loadable, loadable, manifest
from thanos_tui.images.store import LAYER, Store

NAME = "localhost/thanos/made:base"


def checked(source: Source, arch: str = "amd64") -> tuple[Loadable, ...]:
    with Reporter().step("check", "check", source.size, "bytes") as step:
        return loadable(archives.read(source, step), arch)


def made_anew(source: Source) -> dict[str, bytes]:
    """The files of the archive that Docker is given."""
    data = b"".join(archives.made_anew(source, *manifest(checked(source))))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def expected(image: Made) -> dict[str, bytes]:
    """What Docker is to be given of an image: its layers without compression, its configuration, and a manifest."""
    layers = {f"{sha256(each)[7:]}.tar": each for each in image.layers}
    config = f"{sha256(image.configuration)[7:]}.json"
    entry = {"Config": config, "RepoTags": image.names, "Layers": list(layers)}
    return {**layers, config: image.configuration, "manifest.json": json.dumps([entry]).encode()}


def test_an_archive_of_docker_save(tmp_path: Path) -> None:
    image = Made()
    source = archives.archive(write(tmp_path / "a.tar", image.saved()))
    assert [(each.names, each.digest) for each in checked(source)] == [((NAME,), sha256(image.configuration))]
    assert made_anew(source) == expected(image)


@pytest.mark.parametrize("nested", [False, True])
def test_an_oci_archive_and_an_oci_layout(tmp_path: Path, nested: bool) -> None:
    image = Made()
    files = image.laid_out(nested)
    for source in (
        archives.archive(write(tmp_path / "a.tar", files)),
        archives.archive(write(tmp_path / "a.tar.gz", files, zipped=True)),
        archives.layout(spread(tmp_path / "layout", files)),
    ):
        assert made_anew(source) == expected(image)


def test_an_archive_that_is_both_is_taken_for_what_docker_calls_it(tmp_path: Path) -> None:
    # docker save from version 25 on: an OCI layout with a manifest.json that names its blobs.
    image = Made()
    files = image.laid_out()
    blobs = [f"blobs/sha256/{sha256(each)[7:]}" for each in image.layers]
    config = f"blobs/sha256/{sha256(image.configuration)[7:]}"
    entry = {"Config": config, "RepoTags": ["example.org/other:1"], "Layers": blobs}
    source = archives.archive(write(tmp_path / "a.tar", {**files, "manifest.json": json.dumps([entry]).encode()}))
    assert [each.names for each in checked(source)] == [("example.org/other:1",)]
    assert set(made_anew(source)) == set(expected(image))


def test_layers_that_are_zipped_stay_so_and_zstd_is_undone(tmp_path: Path) -> None:
    # Docker reads gzip by itself, zstd only from version 23 on.
    zipped = Made(pack=lambda data: gzip.compress(data, mtime=0))
    files = made_anew(archives.archive(write(tmp_path / "a.tar", zipped.laid_out())))
    assert files[f"{sha256(zipped.layers[0])[7:]}.tar"] == gzip.compress(zipped.layers[0], mtime=0)
    packed = Made(pack=zstandard.compress)
    assert made_anew(archives.archive(write(tmp_path / "b.tar", packed.laid_out()))) == expected(packed)


def test_one_layer_twice_is_sent_once(tmp_path: Path) -> None:
    # As older versions of Docker save it: the second is a link to the first.
    same = layer(etc_motd=b"twice")
    image = Made(layers=[same, same])
    files = image.saved()
    entry = json.loads(files["manifest.json"])[0]
    entry["Layers"][1] = "second/layer.tar"
    data = tar(
        {**files, "manifest.json": json.dumps([entry]).encode()}, {"second/layer.tar": f"../{entry['Layers'][0]}"}
    )
    (tmp_path / "a.tar").write_bytes(data)
    sent = made_anew(archives.archive(tmp_path / "a.tar"))
    assert sorted(sent) == sorted(
        [f"{sha256(same)[7:]}.tar", f"{sha256(image.configuration)[7:]}.json", "manifest.json"]
    )
    assert json.loads(sent["manifest.json"])[0]["Layers"] == [f"{sha256(same)[7:]}.tar"] * 2


def test_an_image_of_the_store(store: Store, tmp_path: Path) -> None:
    image = Made()
    blobs = [store.put_blob([each], LAYER) for each in image.layers]
    kept = store.add_image(NAME, "amd64", {"Cmd": ["/bin/sh"]}, blobs)
    source = ocivolume.source(store, NAME, "amd64")
    assert checked(source)[0].names == (NAME,)
    sent = made_anew(source)
    assert [sent[f"{layer.digest[7:]}.tar"] for layer in kept.layers] == image.layers


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ([], ()),
        (["latest"], ()),
        (["redis:7"], ("redis:7",)),
        (["example.org:5000/team/tool"], ("example.org:5000/team/tool:latest",)),
        ([f"example.org/tool@sha256:{'0' * 64}"], ()),
        ([f"example.org/tool:2@sha256:{'0' * 64}"], ("example.org/tool:2",)),
    ],
)
def test_what_an_image_is_called(tmp_path: Path, names: list[str], known: tuple[str, ...]) -> None:
    source = archives.archive(write(tmp_path / "a.tar", Made(names=names).laid_out()))
    assert checked(source)[0].names == known


def test_of_several_images_those_that_fit_are_taken(tmp_path: Path) -> None:
    one, two = Made(), Made(arch="arm64", names=["example.org/arm:1"])
    both = json.loads(one.saved()["manifest.json"]) + json.loads(two.saved()["manifest.json"])
    files = {**one.saved(), **two.saved(), "manifest.json": json.dumps(both).encode()}
    assert [image.names for image in checked(archives.archive(write(tmp_path / "a.tar", files)))] == [(NAME,)]


@pytest.mark.parametrize(
    "files", [Made(arch="arm64").saved(), Made(arch="arm64").laid_out(), Made(arch="arm64").laid_out(True)]
)
def test_an_image_for_another_architecture(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(InputError) as caught:
        checked(archives.archive(write(tmp_path / "a.tar", files)))
    assert "arm64" in caught.value.message
    assert "the machine is linux/amd64" in caught.value.message
    assert "--platform linux/amd64" in str(caught.value.hint)


def of(**files: bytes) -> dict[str, bytes]:
    return {name.replace("_", "."): data for name, data in files.items()}


def changed(files: dict[str, bytes], name: str, **entry: object) -> dict[str, bytes]:
    """The files with something else in the first entry of a manifest."""
    described = json.loads(files[name])
    (described if isinstance(described, list) else described["manifests"])[0].update(entry)
    return {**files, name: json.dumps(described).encode()}


def with_layer(data: bytes) -> dict[str, bytes]:
    return Made(layers=[data]).saved()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (of(readme_txt=b"hello"), "it has neither manifest.json nor index.json"),
        (of(manifest_json=b"[]"), "manifest.json in it does not describe one"),
        (of(manifest_json=b"[1]"), "what describes it is not as it should be"),
        (of(manifest_json=b"[" * 100_000), "manifest.json in it does not describe one"),
        (of(manifest_json=b'[{"Config": 1}]'), "manifest.json in it does not describe one"),
        (of(manifest_json=b'[{"Config": "a.json", "Layers": []}]'), "a.json is not in it"),
        (of(index_json=b"{"), "index.json in it does not describe one"),
        (of(index_json=b'{"manifests": 1}'), "index.json in it does not describe one"),
        (of(index_json=b'{"manifests": []}'), "holds an image for nothing"),
        (changed(Made().laid_out(), "index.json", digest="md5:0"), "'md5:0' is not a sha256 digest"),
        (changed(Made().laid_out(), "index.json", digest="sha256:../../x"), "is not a sha256 digest"),
        (changed(Made().laid_out(), "index.json", digest=f"sha256:{'0' * 64}"), "is not in it"),
        (changed(Made().saved(), "manifest.json", Config="../../etc/passwd"), "leads out of the archive"),
        (changed(Made().saved(), "manifest.json", Config="/etc/passwd"), "leads out of the archive"),
        (changed(Made().saved(), "manifest.json", Layers=["../x/layer.tar"]), "leads out of the archive"),
        (changed(Made().saved(), "manifest.json", Layers=["missing.tar"]), "missing.tar is not in it"),
        (changed(Made().saved(), "manifest.json", Layers=[]), "its layers are not those of its configuration"),
        (changed(Made().saved(), "manifest.json", RepoTags=["--x y"]), "is not the name of an image"),
        (Made(config={"rootfs": None}).saved(), "its layers are not those of its configuration"),
        (with_layer(b"no archive"), "this is not a tar archive"),
        (with_layer(layer(bin_sh=b"x" * 5000)[:3000]), "the archive is cut off"),
        (with_layer(tar({"../../etc/passwd": b""})), "leads out of the tree"),
        (with_layer(tar({"/etc/passwd": b""})), "leads out of the tree"),
        ({"../manifest.json": b"[]"}, "leads out of the tree"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(archives.archive(write(tmp_path / "a.tar", files)))


def swapped(files: dict[str, bytes], old: bytes, new: bytes) -> dict[str, bytes]:
    return {name: data.replace(old, new) for name, data in files.items()}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (swapped(Made().saved(), b"hello\n", b"hallo\n"), "layer 2 of localhost/thanos/made:base is damaged"),
        (swapped(Made().laid_out(), b"hello\n", b"hallo\n"), "does not have the hash in its name"),
        (swapped(Made().saved(), b'["/bin/sh"]', b'["/bin/ls"]'), "does not have the hash in its name"),
        (swapped(Made().laid_out(), b'["/bin/sh"]', b'["/bin/ls"]'), "does not have the hash in its name"),
    ],
)
def test_what_was_changed_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        checked(archives.archive(write(tmp_path / "a.tar", files)))


def test_a_link_that_leads_out_or_round_in_circles_is_refused(tmp_path: Path) -> None:
    files = changed(Made().saved(), "manifest.json", Layers=["a", "b"])
    for links, message in (({"a": "/etc/passwd"}, "leads out"), ({"a": "b", "b": "a"}, "too many links")):
        (tmp_path / "a.tar").write_bytes(tar(files, links))
        with pytest.raises(InputError, match=message):
            checked(archives.archive(tmp_path / "a.tar"))


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    # Which of them counts is a matter of taste, and what was checked might not be what is used.
    files = Made().saved()
    twice = tar({"manifest.json": b"[]"})[:1024] + tar(files)
    (tmp_path / "a.tar").write_bytes(twice)
    with pytest.raises(InputError, match=r"holds manifest\.json twice"):
        checked(archives.archive(tmp_path / "a.tar"))


def test_an_index_of_indexes_without_end_is_refused(tmp_path: Path) -> None:
    files = Made().laid_out()
    inner = files["index.json"]
    for _ in range(9):
        files[f"blobs/sha256/{sha256(inner)[7:]}"] = inner
        entry = {"mediaType": INDEX, "digest": sha256(inner), "size": len(inner)}
        inner = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    with pytest.raises(InputError, match="does not describe one"):
        checked(archives.archive(write(tmp_path / "a.tar", {**files, "index.json": inner})))


def test_a_layer_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        archives._Hashing.__init__, "__kwdefaults__", {**archives._Hashing.__init__.__kwdefaults__, "most": 1 << 20}
    )
    bomb = Made(layers=[layer(zeros=bytes(8 << 20))], pack=gzip.compress)
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        checked(archives.archive(write(tmp_path / "a.tar", bomb.laid_out())))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.tar: No such file"):
        archives.archive(tmp_path / "nowhere.tar")
    with pytest.raises(InputError, match="is no OCI image layout"):
        archives.layout(tmp_path)


def test_links_in_a_layout_are_not_followed(tmp_path: Path) -> None:
    image = Made()
    files = image.laid_out()
    place = spread(tmp_path / "layout", files)
    blob = next(place / name for name, data in files.items() if data == image.layers[0])
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is not in it"):
        checked(archives.layout(place))


@pytest.mark.parametrize("after", ["replaced", "emptied", "cut"])
def test_what_changes_after_it_was_checked_is_not_sent(tmp_path: Path, after: str) -> None:
    image = Made()
    path = write(tmp_path / "a.tar", image.saved())
    source = archives.archive(path)
    what = manifest(checked(source))
    data = path.read_bytes()
    path.write_bytes({"replaced": data.replace(b"hello\n", b"hallo\n"), "emptied": tar({}), "cut": data[:1000]}[after])
    with pytest.raises(ThanosError):
        b"".join(archives.made_anew(source, *what))


SAVED = tar(Made().saved())
LAID_OUT = tar(Made(pack=lambda data: gzip.compress(data, mtime=0)).laid_out(True))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([SAVED, LAID_OUT]), st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_damaged_archive_is_refused_or_gives_what_it_always_gave(
    tmp_path: Path, whole: bytes, end: int, position: int, flip: int
) -> None:
    data = bytearray(whole[: end % (2 * len(whole))])
    if data:
        data[position % len(data)] ^= flip
    (tmp_path / "a.tar").write_bytes(data)
    source = archives.archive(tmp_path / "a.tar")
    try:
        files = made_anew(source)
    except ThanosError:
        return
    for name, content in files.items():
        if name != "manifest.json":
            plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            assert hashlib.sha256(plain).hexdigest() == name.partition(".")[0]
