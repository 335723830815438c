"""What a change would do, told before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui.builds import Build, PartSize, remember
from thanos_tui.editing.document import Document
from thanos_tui.editing.effects import difference, effect, effects
from thanos_tui.errors import InputError
from thanos_tui.linuxkit import config


@pytest.fixture
def document(tmp_path: Path) -> Document:
    return Document.new(directory=tmp_path)


def built(output: Path, **sizes: int) -> None:
    """Remember a build whose images took so much."""
    parts = tuple(
        PartSize(f"services[{n}]", name, f"localhost/thanos/{name}", sizes[name]) for n, name in enumerate(sizes)
    )
    parts = tuple(PartSize(p.location, p.name, p.source + ":base", p.bytes) for p in parts)
    remember(Build("box", "", (str(output),), 512, 1, "amd64", None, None, parts))


def test_the_yaml_and_the_size(document: Document, tmp_path: Path) -> None:
    before = document.current
    built(tmp_path / "a", rngd=1000, getty=300)
    off = effect(document, "rngd", False)
    assert [(change.path, change.kind) for change in off.yaml] == [(("services", "rngd"), "removed")]
    assert off.bytes == -1000
    assert document.current is before  # nothing was done
    document.set("rngd", False)
    assert effect(document, "rngd", True).bytes == 1000
    assert effect(document, "rngd", None).bytes == 1000
    assert effects(document, {"rngd": True, "getty": False}).bytes == 700


def test_sizes_never_seen_are_unknown(document: Document) -> None:
    off = effect(document, "rngd", False)
    assert off.bytes is None
    assert off.yaml


def test_a_change_of_a_file_costs_nothing_to_speak_of(document: Document) -> None:
    changed = effect(document, "hostname", "box")
    assert [change.path for change in changed.yaml] == [("files", "etc/hostname", "contents")]
    assert changed.bytes == 0


def test_what_cannot_stand_has_no_effect(document: Document) -> None:
    document.set("sshd", False)
    assert effect(document, "sshd.port", 22).yaml == ()
    assert effect(document, "ntp", True).yaml == ()


def test_values_that_are_missing_are_said(document: Document) -> None:
    with pytest.raises(InputError, match=r"network\.addresses must not be empty"):
        effect(document, "network", "static")


def test_images_count_once_by_their_full_names() -> None:
    before = config.read("kernel: {image: a/k}\ninit: [a/b, 'a/c:1']\n", "before")
    after = config.read(
        "kernel: {image: a/k}\ninit: [docker.io/a/b]\nservices:\n  - {name: x, image: d}\n  - {name: y, image: d}\n",
        "after",
    )
    known = {"docker.io/a/c:1": 5, "docker.io/library/d": 7}
    assert difference(before, after, known) == 2
    assert difference(before, after, {"docker.io/a/c:1": 5}) is None
    assert difference(before, before, {}) == 0
