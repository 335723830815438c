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
    assert origins.package_of("usr/bin/vi", origins.packages(image.digest), Reporter()) == (tiny, ())
    assert origins.package_of("etc/stated", origins.packages(image.digest), Reporter()) == (None, (gone,))
    yaml = tmp_path / "made.yml"
    yaml.write_text('services: [{name: editor, image: "made:1"}]')
    words = ["why", "/usr/bin/vi", str(yaml), "--cache", str(store.path), "--arch", "amd64"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "from services[0] editor, image docker.io/library/made:1 sha256:" in told
    assert "Debian package vim-tiny 2:9.0\n" in told
    assert cli.main([*words, "--json"]) == 0
    assert json.load(io.StringIO(capsys.readouterr().out))["package"] == "vim-tiny 2:9.0"


def test_the_kernel_its_modules_and_its_command_line(
    store: Store, add_image: AddImage, a_file: AFile, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    archive = [a_file("lib/modules/6.1/kernel/loop.ko", b"ko"), a_file("lib/firmware/some.bin", b"fw")]
    inside = [a_file("lib/modules/6.1/modules.dep", b""), a_file("boot/dtb/rpi.dtb", b"tree")]
    image = add_image(
        "localhost/thanos/kernel:1",
        [a_file("kernel", b"elf")],
        [a_file("kernel.tar", b"".join(tarball.chunks(sorted([*archive, *inside], key=lambda one: one.name))))],
    )
    linux = Package("linux-image", "6.1", "amd64", "ab" * 32, 1, "pool/l.deb")
    firmware = Package("firmware", "1", "all", "cd" * 32, 1, "pool/f.deb")
    for package, members in (
        (linux, ["boot/vmlinuz-6.1", "lib/modules/6.1/kernel/loop.ko.xz", "usr/lib/linux-image-6.1/rpi.dtb"]),
        (firmware, ["lib/firmware/some.bin"]),
    ):
        cached(package).parent.mkdir(parents=True)
        cached(package).write_bytes(deb(*map(a_file, members)))
    yaml = tmp_path / "box.yml"
    yaml.write_text('kernel: {image: "localhost/thanos/kernel:1", cmdline: quiet}\ninit: ["usr:1"]')
    add_image("usr:1", [Member("lib", "symlink", linkname="usr/lib"), a_file("usr/lib/x")])

    def why(path: str, *words: str) -> str:
        assert cli.main(["why", path, str(yaml), "--cache", str(store.path), "--arch", "amd64", *words]) == 0
        return capsys.readouterr().out

    assert "does not know which packages" in why("/boot/kernel")
    made = lock.LockedImage(image.digest, "ef" * 32, "debian", ("linux-image",), (firmware, linux))
    origins.note(lock.Lock({("localhost/thanos/kernel:1", "amd64"): made}))
    told = why("/boot/kernel")
    assert "from kernel, image localhost/thanos/kernel:1 sha256:" in told
    assert "layer 1 of 2\n" in told
    assert "Debian package linux-image 6.1\n" in told
    # The root has a link for lib, so either name leads there.
    for path in ("/lib/modules/6.1/kernel/loop.ko", "/usr/lib/modules/6.1/kernel/loop.ko", "/boot/dtb/rpi.dtb"):
        assert "layer 2 of 2, in its kernel.tar\n  Debian package linux-image 6.1\n" in why(path)
    assert "Debian package firmware 1\n" in why("/lib/firmware/some.bin")
    assert "stated by its recipe, or made from several packages" in why("/lib/modules/6.1/modules.dep")
    assert why("/boot/cmdline").endswith("from kernel of the configuration\n")
    cached(linux).unlink()
    told = why("/boot/kernel")
    assert "layer 1 of 2\n  its Debian package may be one that is not in the cache: linux-image 6.1\n" in told
    assert "--download" in told
    assert json.loads(why("/boot/kernel", "--json"))["missing"] == ["linux-image 6.1"]


def test_without_a_build_there_is_nothing_to_ask_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["why", "/etc/motd"]) == 2
    assert "nothing has been built yet" in capsys.readouterr().err
