"""Where files come from: the part, the layers and the Debian package, and what was replaced."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import cli, tarball
from thanos_tui.build import origin
from thanos_tui.errors import BuildError
from thanos_tui.events import Reporter
from thanos_tui.images import lock, origins
from thanos_tui.images.package import Package, cached
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import config as language
from thanos_tui.tree import Member

AddImage = Callable[..., Image]
AFile = Callable[..., Member]

YAML = """\
init: ["one:1", "two:1"]
services:
  - {name: first, image: "app:1"}
  - {name: second, image: "app:1"}
files: [{path: etc/motd, contents: mine}]
"""


@pytest.fixture(autouse=True)
def images(add_image: AddImage, a_file: AFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    add_image("one:1", [a_file("etc/motd", b"one"), a_file("bin/tool", b"old"), a_file("etc/hosts", b"its own")])
    add_image("two:1", [a_file("etc/motd", b"two")], [a_file("bin/tool", b"")], [a_file("bin/tool", b"newest")])
    add_image("app:1", [a_file("usr/bin/app", b"1"), a_file("usr/bin/other")], [a_file("usr/bin/.wh.app")])


def found(store: Store, path: str) -> list[tuple[str, str, tuple[int, ...], bool]]:
    config = language.merge([language.read(YAML, "test.yml")])
    return [(one.path, one.location, one.layers, one.replaced) for one in origin.find(config, store, "amd64", path)]


def test_the_last_part_counts_and_the_others_are_told(store: Store) -> None:
    assert found(store, "/etc/motd") == [
        ("etc/motd", "init[0]", (1,), True),
        ("etc/motd", "init[1]", (1,), True),
        ("etc/motd", "files[0]", (), False),
    ]
    assert found(store, "bin/tool") == [("bin/tool", "init[0]", (1,), True), ("bin/tool", "init[1]", (2, 3), False)]


def test_what_the_build_itself_writes_is_of_no_layer(store: Store) -> None:
    assert found(store, "/etc/hosts")[0] == ("etc/hosts", "init[0]", (), True)


def test_containers_with_one_image_share_its_files(store: Store) -> None:
    shared = [("containers/services/first/lower/usr/bin/other", "services[0]", (1,), False)]
    assert found(store, "usr/bin/other") == shared
    assert found(store, "/containers/services/first/lower/usr/bin/other") == shared
    assert found(store, "/containers/services/second/rootfs/usr/bin/other") == shared


@pytest.mark.parametrize("path", ["/usr/bin/app", "/nowhere", "/", "/containers/services/first/lower/usr/bin/app"])
def test_nothing_is_said_to_be_nothing(store: Store, path: str) -> None:
    with pytest.raises(BuildError, match="nothing puts"):
        found(store, path)


def deb(*members: Member) -> bytes:
    """A Debian package that holds these."""
    data = b"".join(tarball.chunks(members))
    parts = [(b"debian-binary", b"2.0\n"), (b"data.tar", data)]
    return b"!<arch>\n" + b"".join(
        b"%-16s%-12d%-6d%-6d%-8s%-10d`\n%b%b" % (name, 0, 0, 0, b"100644", len(body), body, b"\n" * (len(body) % 2))
        for name, body in parts
    )


def test_the_debian_package_is_told(
    store: Store, add_image: AddImage, a_file: AFile, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = add_image("made:1", [a_file("usr/bin/vi", b"vi"), a_file("etc/stated")])
    tiny = Package("vim-tiny", "2:9.0", "amd64", "ab" * 32, 1, "pool/v.deb")
    gone = Package("gone", "1", "amd64", "cd" * 32, 1, "pool/g.deb")
    cached(tiny).parent.mkdir(parents=True)
    cached(tiny).write_bytes(deb(a_file("bin/vi", b"vi")))
    made = lock.LockedImage(image.digest, "ef" * 32, "debian", ("vim-tiny",), (gone, tiny))
    origins.note(lock.Lock({("made:1", "amd64"): made}))
    assert origins.package_of("usr/bin/vi", origins.packages(image.digest), Reporter()) == (tiny, 0)
    assert origins.package_of("etc/stated", origins.packages(image.digest), Reporter()) == (None, 1)
    yaml = tmp_path / "made.yml"
    yaml.write_text('services: [{name: editor, image: "made:1"}]')
    words = ["why", "/usr/bin/vi", str(yaml), "--cache", str(store.path), "--arch", "amd64"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "from services[0] editor, image docker.io/library/made:1 sha256:" in told
    assert "Debian package vim-tiny 2:9.0\n" in told
    assert cli.main([*words, "--json"]) == 0
    assert json.load(io.StringIO(capsys.readouterr().out))["package"] == "vim-tiny 2:9.0"


def test_without_a_build_there_is_nothing_to_ask_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["why", "/etc/motd"]) == 2
    assert "nothing has been built yet" in capsys.readouterr().err
