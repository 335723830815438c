"""The format tar: upstream's records, whole or nothing, always the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thanos_tui.build import rootfs, tar
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError
from thanos_tui.events import Event, Progress, Reporter
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import config as language
from thanos_tui.tree import Member

CONFIG = """\
init: [tool]
volumes: [{name: data}]
services: [{name: app, image: tool}]
files: [{path: etc/a, contents: x}, {path: etc/b, contents: y}]
"""


@pytest.fixture
def parts(
    store: Store, add_image: Callable[..., Image], a_file: Callable[..., Member], tmp_path: Path
) -> tuple[Part, ...]:
    add_image("tool", [a_file("bin/" + "n" * 150, b"x" * 700, pax={"SCHILY.xattr.user.a": "b"})])
    config = language.merge([language.read(CONFIG, "test.yml")])
    return rootfs.parts(config, store, "amd64", surveys=tmp_path)


def written(parts: tuple[Part, ...]) -> bytes:
    out = io.BytesIO()
    tar.write(parts, out)
    return out.getvalue()


def test_every_member_has_its_source_and_location(parts: tuple[Part, ...]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(parts))) as archive:
        seen = {
            (info.pax_headers["LINUXKIT.location"], info.pax_headers["LINUXKIT.source"], info.name) for info in archive
        }
        name = "containers/services/app/lower/bin/" + "n" * 150
        assert archive.getmember(name).pax_headers["SCHILY.xattr.user.a"] == "b"
    assert ("services[0]", "docker.io/library/tool", name) in seen
    assert ("init[0]", "docker.io/library/tool", "bin/" + "n" * 150) in seen
    assert ("volume[0]", "empty", "containers/volumes/data/lower") in seen
    assert ("volume[0]", "linuxkit.volumes", "containers/volumes/data/tmp") in seen
    assert ("files[0]", "linuxkit.files", "etc/a") in seen
    assert ("files[1]", "linuxkit.files", "etc/b") in seen


def test_file_capabilities_are_kept_to_the_bit(part: Callable[..., Part], a_file: Callable[..., Member]) -> None:
    # Revision 2 of a capability's record: not text, and with bytes that are no UTF-8.
    raw = bytes.fromhex("010000020020ff8000000000000000000000c3ff")
    member = a_file("bin/ping", b"x", pax={"SCHILY.xattr.security.capability": raw.decode("utf-8", "surrogateescape")})
    with tarfile.open(fileobj=io.BytesIO(written((part([member]),)))) as archive:
        kept = archive.getmember("bin/ping").pax_headers["SCHILY.xattr.security.capability"]
    assert kept.encode("utf-8", "surrogateescape") == raw


def test_the_same_parts_are_the_same_bytes(parts: tuple[Part, ...]) -> None:
    assert written(parts) == written(parts)


def test_progress_counts_the_content(parts: tuple[Part, ...]) -> None:
    events: list[Event] = []
    reporter = Reporter(events.append)
    total = sum(part.size for part in parts)
    with reporter.step("tar", "write", total, "bytes") as step:
        tar.write(parts, io.BytesIO(), step)
    # Beside what images hold there are the few files that every tree gets.
    assert step.done >= total
    assert any(isinstance(event, Progress) for event in events)


def test_a_member_that_breaks_off_is_an_error() -> None:
    def members() -> Iterator[Member]:
        yield Member("a", "file", size=10, open=lambda: io.BytesIO(b"short"))

    with pytest.raises(BuildError, match="a is 5 bytes shorter"):
        written((Part("files", "linuxkit.files", "", 10, members),))
