"""The root filesystem of a config: what is in it, and which parts stay the same when something changes."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from thanos_tui import tarball
from thanos_tui.build import rootfs
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError, InputError, ThanosError
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import config as language
from thanos_tui.tree import Member

AddImage = Callable[..., Image]
AFile = Callable[..., Member]
Parts = Callable[..., tuple[Part, ...]]


@pytest.fixture
def parts(store: Store, tmp_path: Path) -> Parts:
    def make(text: str, **options: Any) -> tuple[Part, ...]:
        config = language.merge([language.read(text, "test.yml")])
        return rootfs.parts(config, store, "amd64", surveys=tmp_path / "surveys", **{"base": tmp_path, **options})

    return make


def d(name: str, mode: int = 0o755) -> Member:
    return Member(name, "dir", mode=mode)


def link(name: str, target: str) -> Member:
    return Member(name, "symlink", linkname=target)


def unpacked(parts: tuple[Part, ...]) -> dict[str, Member]:
    """The last member of each name; checks on the way that directories come before what they hold."""
    found: dict[str, Member] = {}
    for part in parts:
        for member in part.members():
            above = member.name.rpartition("/")[0]
            assert not above or found[above].kind == "dir", f"{member.name} of {part.location} has no directory"
            content = member.open().read() if member.open else b""
            assert len(content) == member.size
            found[member.name] = replace(member, open=lambda content=content: io.BytesIO(content))
    return found


def text(tree: dict[str, Member], name: str) -> str:
    stream = tree[name].open
    assert stream is not None
    return stream().read().decode()


def keys(parts: tuple[Part, ...]) -> list[tuple[str, str]]:
    return [(part.location, part.key) for part in parts]


@pytest.fixture
def shell(add_image: AddImage, a_file: AFile) -> Image:
    tree = [d("bin"), a_file("bin/sh", b"sh", mode=0o755, mtime=5), d("proc", 0o555), a_file("etc/hostname", b"x")]
    return add_image("test/shell:1", tree, Cmd=["/bin/sh"], Env=["PATH=/bin"])


@pytest.fixture
def kernel(add_image: AddImage, a_file: AFile) -> Image:
    modules = b"".join(tarball.chunks([a_file("lib/modules/6.1/a.ko", b"module"), d("lib/modules/6.1/x", 0o700)]))
    tree = [a_file("kernel", b"the kernel", mode=0o755), a_file("kernel.tar", modules), a_file("ucode.cpio", b"u")]
    return add_image("test/kernel:1", tree)


@pytest.mark.usefixtures("shell", "kernel")
def test_parts_come_in_the_order_of_the_archive(parts: Parts) -> None:
    made = parts(
        "kernel: {image: test/kernel:1}\n"
        "init: [test/shell:1]\n"
        "volumes: [{name: data}]\n"
        "onboot: [{name: one, image: test/shell:1}]\n"
        "onshutdown: [{name: two, image: test/shell:1}]\n"
        "services: [{name: three, image: test/shell:1}]\n"
        "files: [{path: etc/motd, contents: hello}]\n"
    )
    where = [part.location for part in made]
    assert where == [
        *("kernel", "kernel", "init[0]", "volume[0]", "volume[0]"),
        # The image is unpacked for the first container only.
        *("onboot[0]", "onboot[0]", "onshutdown[0]", "services[0]", "files"),
    ]
    tree = unpacked(made)
    assert {name for name in tree if "bin/sh" in name} == {"bin/sh", "containers/onboot/000-one/lower/bin/sh"}
    runtime = json.loads(text(tree, "containers/services/three/runtime.json"))
    assert runtime["mounts"][2]["options"][0] == "lowerdir=/containers/onboot/000-one/lower"


@pytest.mark.usefixtures("shell")
def test_an_image_tree_follows_linuxkits_rules(parts: Parts) -> None:
    tree = unpacked(parts("services: [{name: app, image: test/shell:1}]"))
    lower = "containers/services/app/lower"
    assert f"{lower}/etc/hostname" not in tree
    assert text(tree, f"{lower}/etc/hosts").startswith("127.0.0.1       localhost\n")
    assert text(tree, f"{lower}/etc/resolv.conf") == "\n# no resolv.conf configured\n"
    assert tree[f"{lower}/etc/mtab"].linkname == "/proc/mounts"
    assert (tree[f"{lower}/proc"].mode, tree[f"{lower}/proc"].mtime) == (0o755, 1492533000)
    assert tree[f"{lower}/bin/sh"].mtime == 5
    assert json.loads(text(tree, "containers/services/app/config.json"))["process"]["args"] == ["/bin/sh"]
    assert {"containers/services/app/tmp", "containers/services/app/rootfs"} <= set(tree)


@pytest.mark.usefixtures("shell")
def test_a_read_only_container_has_its_image_in_place(parts: Parts) -> None:
    tree = unpacked(
        parts(
            "services:\n"
            "  - {name: app, image: 'test/shell:1', readonly: true}\n"
            "  - {name: two, image: 'test/shell:1', readonly: true}\n"
        )
    )
    assert tree["containers/services/app/rootfs/bin/sh"].size == 2
    assert "containers/services/app/tmp" not in tree
    mounts = json.loads(text(tree, "containers/services/two/runtime.json"))["mounts"]
    assert [mount["source"] for mount in mounts] == ["/containers/services/app/rootfs"]
    assert tree["containers/services/two/rootfs"].kind == "dir"


def test_given_images_count_whatever_their_names_mean_by_now(parts: Parts, add_image: AddImage, a_file: AFile) -> None:
    # Another build with another lock may give the name to its own image at any time.
    first = add_image("app:1", [a_file("version", b"first")])
    before = parts("services: [{name: app, image: 'app:1'}]")
    add_image("app:1", [a_file("version", b"second")])
    given = parts("services: [{name: app, image: 'app:1'}]", images={"app:1": first})
    assert keys(given) == keys(before)
    assert text(unpacked(given), "containers/services/app/lower/version") == "first"
    found = parts("services: [{name: app, image: 'app:1'}]")
    assert text(unpacked(found), "containers/services/app/lower/version") == "second"


def test_hard_links_keep_to_their_container(parts: Parts, add_image: AddImage, a_file: AFile) -> None:
    add_image("tool", [a_file("a", b"x"), Member("b", "hardlink", linkname="a")])
    tree = unpacked(parts("services: [{name: app, image: tool}]"))
    assert tree["containers/services/app/lower/b"].linkname == "containers/services/app/lower/a"


def test_the_root_of_an_image_is_that_of_its_container(parts: Parts, add_image: AddImage) -> None:
    add_image("tool", [Member(".", "dir", mode=0o700, uid=7)])
    tree = unpacked(parts("services: [{name: app, image: tool}]"))
    assert (tree["containers/services/app/lower"].mode, tree["containers/services/app/lower"].uid) == (0o700, 7)


@pytest.mark.usefixtures("kernel")
def test_the_kernel_image_is_filtered(parts: Parts) -> None:
    made = parts("kernel: {image: test/kernel:1, cmdline: 'a  b', ucode: ucode.cpio}")
    assert [part.size for part in made] == [len("the kernel") + 1, made[1].size]
    tree = unpacked(made)
    assert set(tree) == {
        *("boot", "boot/cmdline", "boot/kernel", "boot/ucode.cpio"),
        *("lib", "lib/modules", "lib/modules/6.1", "lib/modules/6.1/a.ko", "lib/modules/6.1/x"),
    }
    assert text(tree, "boot/cmdline") == "a  b"
    assert tree["boot/kernel"].mode == 0o755
    assert set(unpacked(parts("kernel: {image: test/kernel:1, tar: none}"))) == {"boot", "boot/cmdline", "boot/kernel"}


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("fields", "name"),
    [("binary: vmlinux", "vmlinux"), ("tar: other.tar", "other.tar"), ("ucode: amd.cpio", "amd.cpio")],
)
def test_a_missing_kernel_file_is_named(parts: Parts, fields: str, name: str) -> None:
    with pytest.raises(BuildError, match=rf"holds no file `{name}`") as caught:
        unpacked(parts(f"kernel: {{image: test/kernel:1, {fields}}}"))
    assert str(caught.value.where).startswith("test.yml:1:")


def bzimage(payload: bytes) -> bytes:
    """An x86 kernel of boot protocol 2.15: a boot sector, one setup sector, a stub of 64 bytes, the payload."""
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, 0x020F)
    struct.pack_into("<II", setup, 0x248, 64, len(payload))
    return bytes(setup) + b"s" * 64 + payload + b"behind it"


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress,
        lambda plain: bzimage(gzip.compress(plain)),
        lambda plain: bzimage(lzma.compress(plain) + struct.pack("<I", len(plain))),
        lambda plain: bzimage(zstandard.compress(plain)),
    ],
)
def test_kernels_are_decompressed(
    parts: Parts, add_image: AddImage, a_file: AFile, packed: Callable[[bytes], bytes]
) -> None:
    plain = b"\x7fELF" + bytes(range(256)) * 1000
    add_image("kernel", [a_file("kernel", packed(plain))])
    kernel = "kernel: {image: kernel, tar: none}"
    member = unpacked(parts(kernel, decompress_kernel=True))["boot/kernel"]
    assert member.open is not None
    assert member.open().read() == plain
    assert keys(parts(kernel)) != keys(parts(kernel, decompress_kernel=True))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"vmlinux", "not compressed"),
        (gzip.compress(b"x" * 1000)[:-20], "cut off"),
        (bzimage(b"lz4, or so"), "not compressed, or in a way"),
        (bzimage(gzip.compress(os.urandom(50_000)))[:20_000], "cut off"),
        (gzip.compress(b"x")[:10] + b"\xff" * 30, "damaged"),
    ],
    ids=["none", "short", "unknown", "random", "damaged"],  # two of them are others each time
)
def test_kernels_that_cannot_be_decompressed(
    parts: Parts, add_image: AddImage, a_file: AFile, content: bytes, problem: str
) -> None:
    add_image("kernel", [a_file("kernel", content)])
    with pytest.raises(BuildError, match=problem):
        unpacked(parts("kernel: {image: kernel, tar: none}", decompress_kernel=True))


def test_package_lists_of_init_images_are_joined(parts: Parts, add_image: AddImage, a_file: AFile) -> None:
    add_image("one", [a_file("lib/apk/db/installed", b"P:one\n")])
    add_image("two", [a_file("lib/apk/db/installed", b"P:two\n")])
    add_image("none", [a_file("bin/x")])
    tree = unpacked(parts("init: [one, none, two]"))
    assert text(tree, "lib/apk/db/installed") == "P:one\n\n\nP:two\n\n\n"
    assert tree["etc/resolv.conf"].linkname == "/run/resolvconf/resolv.conf"
    assert [part.location for part in parts("init: [one, none]")] == ["init[0]", "init[1]"]


def test_a_merged_usr_init_takes_what_belongs_in_its_links(
    parts: Parts, add_image: AddImage, a_file: AFile, kernel: Image
) -> None:
    links = [link("lib64", "/lib"), link("lib", "usr/lib"), link("bin", "usr/bin"), link("x", "y"), link("y", "x")]
    add_image("merged", [d("usr"), d("usr/lib"), a_file("usr/lib/libc"), *links])
    own = [d("lib"), a_file("lib/own"), d("bin"), a_file("bin/x"), a_file("lib64/ld.so")]
    add_image("split", [*own, Member("bin/y", "hardlink", linkname="bin/x")])
    tree = unpacked(
        parts(
            f"kernel: {{image: '{kernel.reference}'}}\n"
            "init: [merged, split]\n"
            "files: [{path: lib/given, contents: x}, {path: bin, directory: true}]"
        )
    )
    for name in ("lib", "bin", "lib64"):
        assert tree[name].kind == "symlink"
        assert not [path for path in tree if path.startswith(f"{name}/")]
    assert {"usr/lib/modules/6.1/a.ko", "usr/lib/libc", "usr/lib/own", "usr/lib/given", "usr/bin/x"} <= set(tree)
    assert "usr/lib/ld.so" in tree
    assert tree["usr/bin/y"].linkname == "usr/bin/x"


@pytest.mark.usefixtures("shell")
def test_volumes(parts: Parts) -> None:
    tree = unpacked(parts("volumes: [{name: blank}, {name: full, image: 'test/shell:1'}]"))
    for name in ("blank", "full"):
        assert {f"containers/volumes/{name}/{part}" for part in ("lower", "tmp", "merged")} <= set(tree)
    assert tree["containers/volumes/full/lower/bin/sh"].size == 2
    assert tree["containers/volumes/full/lower/etc/resolv.conf"].linkname == "/run/resolvconf/resolv.conf"


def test_a_volume_may_hold_an_image_as_it_is(parts: Parts, add_image: AddImage, a_file: AFile, tmp_path: Path) -> None:
    amd = add_image("tool", [a_file("a", b"amd")])
    arm = add_image("tool", [a_file("a", b"arm")], arch="arm64")
    for platforms, arches in (("", ("amd64", "arm64")), (", platforms: [linux/arm64]", ("arm64",))):
        made = parts(f"volumes: [{{name: v, image: tool, format: oci{platforms}}}]")
        lower = tmp_path / f"out{len(arches)}"
        for name, member in unpacked(made).items():
            path = (
                lower / Path(name).relative_to("containers/volumes/v")
                if name.startswith("containers/volumes/v/")
                else None
            )
            if path is not None and member.kind == "file" and member.open is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.open().read())
        layout = Store(lower / "lower")
        for image in (amd, arm):
            assert (layout.find("tool", image.arch) is not None) == (image.arch in arches)


def test_a_volume_wants_platforms_that_are_there(parts: Parts, add_image: AddImage, a_file: AFile) -> None:
    add_image("tool", [a_file("a")])
    with pytest.raises(BuildError, match=r"docker.io/library/tool is not there for linux/s390x") as caught:
        parts("volumes: [{name: v, image: tool, format: oci, platforms: [linux/s390x]}]")
    assert str(caught.value.where).startswith("test.yml:1:")
    with pytest.raises(BuildError, match="not in the store"):
        parts("volumes: [{name: v, image: absent, format: oci}]")


@pytest.mark.parametrize(
    "text",
    [
        "kernel: {image: absent}",
        "init: [absent]",
        "services: [{name: a, image: absent}]",
        "volumes: [{name: a, image: absent}]",
    ],
)
def test_a_missing_image_is_told_where_it_is_named(parts: Parts, text: str) -> None:
    with pytest.raises(BuildError, match=r"docker.io/library/absent is not in the store") as caught:
        parts(text)
    assert str(caught.value.where).startswith("test.yml:1:")


def test_files_and_their_directories(parts: Parts) -> None:
    tree = unpacked(
        parts(
            "services: []\n"
            "files:\n"
            "  - {path: /etc/app/conf, contents: 'x', uid: 5}\n"
            "  - {path: etc/app/more, contents: '', mode: '0444'}\n"
            "  - {path: srv, directory: true, mode: '0711'}\n"
            "  - {path: srv/link, symlink: ../etc}\n"
        )
    )
    facts = {name: (member.kind, oct(member.mode), member.uid) for name, member in tree.items()}
    assert facts == {
        # The first file's mode and owner, made searchable; the second leaves them alone.
        "etc": ("dir", "0o700", 5),
        "etc/app": ("dir", "0o700", 5),
        "etc/app/conf": ("file", "0o600", 5),
        "etc/app/more": ("file", "0o444", 0),
        "srv": ("dir", "0o711", 0),
        "srv/link": ("symlink", "0o600", 0),
    }


def test_files_from_the_build_machine(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.txt").write_bytes(b"here")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key.pub").write_bytes(b"key")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tree = unpacked(
        parts(
            "files:\n"
            "  - {path: a, source: here.txt}\n"
            "  - {path: b, source: ~/key.pub}\n"
            "  - {path: c, source: absent, optional: true}\n"
        )
    )
    assert (text(tree, "a"), text(tree, "b"), "c" in tree) == ("here", "key", False)


def test_a_source_that_cannot_be_read(parts: Parts, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (("absent", "No such file"), (".", "a directory"), ("pipe", "not a regular file")):
        with pytest.raises(InputError, match=f"`{name}` of the file `a` cannot be read: .*{problem}"):
            parts(f"files: [{{path: a, source: {name}}}]")


def test_a_source_that_changes_during_the_build_is_told(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"before")
    made = parts("files: [{path: a, source: x}]")
    (tmp_path / "x").write_bytes(b"afterwards")
    with pytest.raises(BuildError, match="changed during the build"):
        unpacked(made)


@pytest.mark.usefixtures("shell")
def test_metadata_is_the_merged_config_with_full_names(parts: Parts) -> None:
    tree = unpacked(parts("init: ['test/shell:1']\nfiles: [{path: y, metadata: yaml}, {path: j, metadata: json}]\n"))
    again = language.read(text(tree, "y"), "y")
    assert again.init == ("docker.io/test/shell:1",)
    assert json.loads(text(tree, "j"))["init"] == ["docker.io/test/shell:1"]


BASE = (
    "kernel: {{image: test/kernel:1, cmdline: {cmdline}}}\n"
    "init: [test/shell:1]\n"
    "services: [{{name: app, image: test/shell:1, env: [{env}]}}]\n"
    "files: [{{path: a, source: x}}]\n"
)


@pytest.mark.usefixtures("shell", "kernel")
def test_keys_change_with_what_they_stand_for_and_with_nothing_else(
    parts: Parts, tmp_path: Path, add_image: AddImage, a_file: AFile
) -> None:
    def current(cmdline: str = "quiet", env: str = "A=1", base: Path = tmp_path) -> list[tuple[str, str]]:
        return keys(parts(BASE.format(cmdline=cmdline, env=env), base=base))

    def changed(after: list[tuple[str, str]]) -> list[str]:
        return [new[0] for old, new in zip(before, after, strict=True) if old != new]

    (tmp_path / "x").write_bytes(b"content")
    before = current()
    assert changed(current()) == []
    assert changed(current(cmdline="debug")) == ["kernel"]
    assert changed(current(env="A=2")) == ["services[0]"]
    # The same content in another place, with another time.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_bytes(b"content")
    os.utime(tmp_path / "elsewhere" / "x", (1, 1))
    assert changed(current(base=tmp_path / "elsewhere")) == []
    (tmp_path / "x").write_bytes(b"different")
    assert changed(current()) == ["files"]
    (tmp_path / "x").write_bytes(b"content")
    # Another configuration of the image, the same files.
    tree = [d("bin"), a_file("bin/sh", b"sh", mode=0o755, mtime=5), d("proc", 0o555), a_file("etc/hostname", b"x")]
    add_image("test/shell:1", tree, Cmd=["/bin/other"], Env=["PATH=/bin"])
    assert changed(current()) == ["services[0]"]
    add_image("test/shell:1", [d("bin", 0o700)], Cmd=["/bin/sh"], Env=["PATH=/bin"])
    assert changed(current()) == ["init[0]", "services[0]"]


@pytest.mark.usefixtures("shell")
def test_one_tree_in_two_places_has_two_keys(parts: Parts) -> None:
    (first, *_) = parts("services: [{name: one, image: 'test/shell:1'}]")
    (second, *_) = parts("services: [{name: two, image: 'test/shell:1'}]")
    assert first.key != second.key


def test_errors_of_images_are_ours(parts: Parts, add_image: AddImage) -> None:
    add_image("broken", b"no archive" * 60)
    add_image("label", [d("bin")], Labels={"org.mobyproject.config": "{"})
    for image in ("broken", "label"):
        with pytest.raises(ThanosError):
            parts(f"services: [{{name: a, image: {image}}}]")
