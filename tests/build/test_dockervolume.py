"""Volumes that hold an image as Docker keeps it: its files, and what Docker notes down of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.build import rootfs
from thanos_tui.errors import BuildError
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import config as language
from thanos_tui.tree import Member

AddImage = Callable[..., Image]
AFile = Callable[..., Member]
LOWER = "containers/volumes/v/lower"


class Volume:
    """The volume ``v`` of an image in a store, as it comes into the root filesystem for amd64."""

    def __init__(self, store: Store, surveys: Path, image: str) -> None:
        text = f"volumes: [{{name: v, image: '{image}', format: docker, readonly: true}}]"
        self.parts = rootfs.parts(
            language.merge([language.read(text, "test.yml")]), store, "amd64", surveys=surveys, base=surveys
        )
        self.members: dict[str, Member] = {}
        self.contents: dict[str, bytes] = {}
        for member in (member for part in self.parts for member in part.members()):
            above = member.name.rpartition("/")[0]
            assert not above or self.members[above].kind == "dir", f"{member.name} has no directory"
            self.members[member.name] = member
            # Contents can be read in their turn only.
            self.contents[member.name] = member.open().read() if member.open else b""

    def __getitem__(self, name: str) -> Member:
        return self.members[f"{LOWER}/{name}"]

    def __contains__(self, name: str) -> bool:
        return f"{LOWER}/{name}" in self.members

    def text(self, name: str) -> str:
        return self.contents[f"{LOWER}/{name}"].decode()

    @property
    def document(self) -> dict[str, Any]:
        """The image's configuration, found by its ID as Docker finds it."""
        name = self.text("image").strip().replace(":", "/")
        content = self.text(f"store/image/overlay2/imagedb/content/{name}")
        assert name == f"sha256/{hashlib.sha256(content.encode()).hexdigest()}"
        found: dict[str, Any] = json.loads(content)
        return found


@pytest.fixture
def volume(store: Store, tmp_path: Path) -> Callable[[str], Volume]:
    return lambda image: Volume(store, tmp_path / "surveys", image)


def test_an_image_of_one_layer_stays_what_it_is(
    volume: Callable[[str], Volume], store: Store, add_image: AddImage, a_file: AFile
) -> None:
    tree = [a_file("a", b"12"), Member("b", "hardlink", linkname="a"), Member("etc", "dir", mode=0o700)]
    image = add_image("tool:1", tree, Cmd=["/a"])
    made = volume("tool:1")
    assert made.text("image").strip() == store.document(image.digest)["config"]["digest"]
    assert made.text("reference") == "docker.io/library/tool:1\n"
    assert made.document["config"]["Cmd"] == ["/a"]
    assert made["rootfs/b"].linkname == f"{LOWER}/rootfs/a"
    assert made["rootfs/etc"].mode == 0o700
    assert "rootfs/etc/hosts" not in made, "Docker makes its own"


def test_notes_lead_from_the_image_to_its_files(
    volume: Callable[[str], Volume], add_image: AddImage, a_file: AFile
) -> None:
    add_image("tool:1", [a_file("a", b"12")])
    made = volume("tool:1")
    (layer,) = made.document["rootfs"]["diff_ids"]
    notes = f"store/image/overlay2/layerdb/{layer.replace(':', '/')}"
    assert made.text(f"{notes}/diff") == layer
    assert made.text(f"{notes}/size") == "2"
    cache = made.text(f"{notes}/cache-id")
    link = made.text(f"store/overlay2/{cache}/link")
    assert made[f"store/overlay2/l/{link}"].linkname == f"../{cache}/diff"
    assert made[f"store/overlay2/{cache}/diff"].kind == "dir"


def test_layers_become_one(volume: Callable[[str], Volume], add_image: AddImage, a_file: AFile) -> None:
    lower = [a_file("a", b"1"), Member("gone", "dir"), a_file("gone/x")]
    image = add_image("tool:1", lower, [a_file("a", b"2"), a_file(".wh.gone")], Cmd=["/a"])
    made = volume("tool:1")
    assert made.text("rootfs/a") == "2"
    assert "rootfs/gone" not in made
    names = " ".join(layer.diff_id for layer in image.layers)
    assert made.document["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(names.encode()).hexdigest()}"]
    assert made.document["config"]["Cmd"] == ["/a"]
    assert "history" not in made.document


def test_the_part_follows_from_files_name_and_configuration(
    volume: Callable[[str], Volume], add_image: AddImage, a_file: AFile
) -> None:
    seen = []
    for name, content, command in (("a", b"1", "/a"), ("a", b"1", "/a"), ("b", b"1", "/a"), ("a", b"2", "/a")):
        add_image(f"{name}:1", [a_file("a", content)], Cmd=[command])
        seen.append(volume(f"{name}:1").parts[0].key)
    add_image("a:1", [a_file("a", b"1")], Cmd=["/b"])
    seen.append(volume("a:1").parts[0].key)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4


def test_an_image_of_another_architecture_is_refused(
    volume: Callable[[str], Volume], add_image: AddImage, a_file: AFile
) -> None:
    add_image("tool:1", [a_file("a")], arch="arm64")
    with pytest.raises(BuildError, match="arm64") as caught:
        volume("tool:1")
    assert str(caught.value.where).startswith("test.yml:1:")
    assert "tool:1" in caught.value.message
    assert "amd64" in caught.value.message
