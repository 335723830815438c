"""Kernel images: which modules come along, and depmod's files."""

from __future__ import annotations

import io
import lzma
import platform
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from thanos_tui import tarball
from thanos_tui.errors import BuildError, InputError
from thanos_tui.images import depmod, kernel, recipes
from thanos_tui.images.unpacked import Shelf, Tree


def module(exports: tuple[str, ...] = (), wide: bool = True, **info: str | list[str]) -> bytes:
    """A kernel module with these ``.modinfo`` records and exported symbols."""
    records = [
        f"{key}={text}" for key, texts in info.items() for text in ([texts] if isinstance(texts, str) else texts)
    ]
    about = b"".join(record.encode() + b"\0" for record in records)
    strings, symbols = b"\0", bytes(24 if wide else 16)
    for name in exports:
        entry = len(strings)
        strings += f"__ksymtab_{name}".encode() + b"\0"
        symbols += (
            struct.pack("<IBBHQQ", entry, 0, 0, 0, 0, 0) if wide else struct.pack("<IIIBBH", entry, 0, 0, 0, 0, 0)
        )
    names = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0"
    parts = [(1, 1, about), (10, 2, symbols), (18, 3, strings), (26, 3, names)]
    head = 64 if wide else 52
    body, headers = b"", bytes(64 if wide else 40)
    for name, kind, data in parts:
        at = head + len(body)
        facts = (name, kind, 0, 0, at, len(data), 0, 0, 1, 0)
        headers += struct.pack("<IIQQQQIIQQ" if wide else "<IIIIIIIIII", *facts)
        body += data
    start = head + len(body)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        ident += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, start, 0, 64, 0, 0, 64, 5, 4)
    else:
        ident += struct.pack("<HHIIIIIHHHHHH", 1, 40, 1, 0, 0, start, 0, 52, 0, 0, 40, 5, 4)
    return ident + body + headers


@pytest.mark.parametrize("wide", [True, False])
def test_reads_a_module(wide: bool) -> None:
    data = module(("b_sym", "a_sym"), wide, depends="x-y,z", softdep="pre: crc-a post: b", alias=["pci:1", "pci:2"])
    found = depmod.read(data, "kernel/fs/my-fs.ko")
    assert found.name == "my_fs"
    assert found.depends == ("x_y", "z")
    assert found.wishes == ("crc_a", "b")
    assert found.info["alias"] == ("pci:1", "pci:2")
    assert found.exports == ("a_sym", "b_sym")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"junk" * 100, module()[:100]])
def test_refuses_what_is_no_module(data: bytes) -> None:
    with pytest.raises(BuildError, match=r"kernel/x\.ko is not a kernel module"):
        depmod.read(data, "kernel/x.ko")


def index(data: bytes) -> dict[str, list[tuple[int, str]]]:
    """What libkmod would read from an index."""
    magic, version, root = struct.unpack_from(">III", data)
    assert (magic, version) == (0xB007F457, 0x00020001)
    found: dict[str, list[tuple[int, str]]] = {}

    def text(at: int) -> tuple[str, int]:
        end = data.index(b"\0", at)
        return data[at:end].decode(), end + 1

    def walk(offset: int, key: str) -> None:
        at = offset & 0x0FFFFFFF
        if offset & 0x80000000:
            prefix, at = text(at)
            key += prefix
        if offset & 0x20000000:
            low, high = data[at], data[at + 1]
            at += 2
            for byte in range(low, high + 1):
                child = struct.unpack_from(">I", data, at)[0]
                at += 4
                if child:
                    walk(child, key + chr(byte))
        if offset & 0x40000000:
            count = struct.unpack_from(">I", data, at)[0]
            at += 4
            for _ in range(count):
                priority = struct.unpack_from(">I", data, at)[0]
                value, at = text(at + 4)
                found.setdefault(key, []).append((priority, value))

    walk(root, "")
    return found


def test_writes_what_modprobe_reads() -> None:
    made = [
        depmod.Module(
            "kernel/b.ko",
            {"depends": ("a",), "alias": ("usb:v1-2p*", "pci:[a-f]-x", "devname:b0", "char-major-10-3")},
            (),
        ),
        depmod.Module("kernel/a.ko", {"alias": ("pci:[a-f]-x",), "softdep": ("pre: c",)}, ("one", "only")),
        depmod.Module("kernel/top-most.ko", {"depends": ("b,a",)}, ()),
    ]
    files = depmod.files(
        made,
        ["kernel/top-most.ko", "kernel/b.ko", "kernel/a.ko"],
        ["kernel/in-side.ko"],
        b"in_side.alias=fs-x\0in_side.license=GPL\0",
    )
    assert files["modules.dep"].decode().splitlines() == [
        "kernel/top-most.ko: kernel/b.ko kernel/a.ko",
        "kernel/b.ko: kernel/a.ko",
        "kernel/a.ko:",
    ]
    assert index(files["modules.dep.bin"])["top_most"] == [(0, "kernel/top-most.ko: kernel/b.ko kernel/a.ko")]
    aliases = index(files["modules.alias.bin"])
    assert aliases["pci:[a-f]_x"] == [(1, "b"), (2, "a")]
    assert aliases["usb:v1_2p*"] == [(1, "b")]
    assert b"alias usb:v1-2p* b\n" in files["modules.alias"]
    assert index(files["modules.symbols.bin"]) == {"symbol:one": [(2, "a")], "symbol:only": [(2, "a")]}
    assert index(files["modules.builtin.bin"]) == {"in_side": [(0, "")]}
    assert index(files["modules.builtin.alias.bin"]) == {"fs_x": [(0, "in_side")]}
    assert files["modules.softdep"].decode().endswith("softdep a pre: c\n")
    assert files["modules.devname"].decode().endswith("b b0 c10:3\n")
    assert index(depmod.files([], [], [], b"")["modules.dep.bin"]) == {}


V = "6.9.0-test"
PACK = {".ko": lambda data: data, ".ko.xz": lzma.compress, ".ko.zst": lambda data: zstandard.compress(data)}


def package(suffix: str, base: str) -> dict[str, Any]:
    modules = {
        "fs/overlay": module(),
        "net/nf_tables": module(depends="libcrc32c,nfnetlink"),
        "net/nfnetlink": module(),
        "lib/libcrc32c": module(softdep="pre: crc32c-generic other_missing"),
        "crypto/crc32c-generic": module(weakdep="weak"),
        "crypto/weak": module(depends="inside"),
        "drivers/net/ethernet/one/one": module(),
        "drivers/net/ethernet/two": module(),
        "sound/unused": module(),
        "broken": module(depends="not_there"),
    }
    entries: dict[str, Any] = {
        f"{base}/{V}/kernel/{path}{suffix}": PACK[suffix](data) for path, data in modules.items()
    }
    entries[f"{base}/{V}/modules.order"] = "".join(f"kernel/{path}{suffix}\n" for path in modules).encode()
    entries[f"{base}/{V}/modules.builtin"] = b"kernel/inside.ko\n"
    entries[f"{base}/{V}/modules.builtin.modinfo"] = b"inside.alias=in-alias\0"
    entries[f"boot/vmlinuz-{V}"] = b"the kernel"
    entries[f"boot/config-{V}"] = b"CONFIG"
    return entries


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Shelf() as made:
        yield made


def make(
    shelf: Shelf, tmp_path: Path, debs: Any, entries: dict[str, Any], modules: str, *features: str
) -> dict[str, bytes]:
    """The files of kernel.tar for a recipe with these lists."""
    directory = tmp_path / "kernel"
    directory.mkdir(exist_ok=True)
    (directory / "recipe.yml").write_text(f"kernel:\n  package: linux-image-test\n  modules:\n    {modules}\n")
    path = tmp_path / "kernel.deb"
    path.write_bytes(debs.make_deb(entries, ".gz"))
    selection = recipes.load(directory).select(features, "debian", "amd64")
    assert selection.requested == ("linux-image-test",)
    members = kernel.members(selection, Tree([shelf.members(path, "kernel")]), shelf)
    found = {member.name: member.open().read() for member in members if member.open}
    assert sorted(found) == ["kernel", "kernel.tar"]
    assert found["kernel"] == b"the kernel"
    with tarfile.open(fileobj=io.BytesIO(found["kernel.tar"])) as archive:
        assert all(info.name.startswith("lib") and info.mtime == 1492533000 for info in archive)
        return {i.name: archive.extractfile(i).read() for i in archive if i.isfile()}  # type: ignore[union-attr]


def names(files: dict[str, bytes]) -> list[str]:
    return sorted(name.rpartition("/")[2].removesuffix(".ko") for name in files if name.endswith(".ko"))


@pytest.mark.parametrize(
    ("suffix", "base"), [(".ko", "lib/modules"), (".ko.xz", "usr/lib/modules"), (".ko.zst", "lib/modules")]
)
def test_takes_modules_with_what_they_want(shelf: Shelf, tmp_path: Path, debs: Any, suffix: str, base: str) -> None:
    files = make(shelf, tmp_path, debs, package(suffix, base), 'base: [nf-tables, "gone?", inside]')
    assert names(files) == ["crc32c-generic", "libcrc32c", "nf_tables", "nfnetlink", "weak"]
    assert files[f"lib/modules/{V}/kernel/net/nf_tables.ko"] == module(depends="libcrc32c,nfnetlink")
    depended = files[f"lib/modules/{V}/modules.dep"].decode().splitlines()
    assert depended[0].startswith("kernel/net/nf_tables.ko: ")
    assert files[f"lib/modules/{V}/modules.order"].decode().splitlines()[0] == "kernel/net/nf_tables.ko"


def test_features_and_globs(shelf: Shelf, tmp_path: Path, debs: Any) -> None:
    entries = package(".ko", "lib/modules")
    lists = 'base: [overlay]\n    net: ["drivers/net/ethernet/*"]\n    sound: [unused]'
    assert names(make(shelf, tmp_path, debs, entries, lists)) == ["overlay"]
    assert names(make(shelf, tmp_path, debs, entries, lists, "net")) == ["one", "overlay", "two"]
    del entries[f"lib/modules/{V}/kernel/broken.ko"]
    (tmp_path / "kernel.deb").unlink()
    with Shelf() as other:
        assert len(names(make(other, tmp_path, debs, entries, lists, "all"))) == 9


def test_names_the_list_and_the_module_that_is_unknown(shelf: Shelf, tmp_path: Path, debs: Any) -> None:
    lists = (
        "base: [overlay]\n    qemu:\n      - virtio_net\n      - inside\n      - 'maybe?'\n      - 'drivers/gone/*'\n"
    )
    with pytest.raises(
        InputError, match=rf"'virtio_net' is no module of the kernel {V} .nor is drivers/gone/"
    ) as caught:
        make(shelf, tmp_path, debs, package(".ko", "lib/modules"), lists, "qemu")
    assert str(caught.value.where).endswith("recipe.yml:6:9")
    assert "question mark" in str(caught.value.hint)


def test_a_dependency_must_be_there(shelf: Shelf, tmp_path: Path, debs: Any) -> None:
    with pytest.raises(BuildError, match="broken depends on not_there"):
        make(shelf, tmp_path, debs, package(".ko", "lib/modules"), "base: [broken]")


def test_a_damaged_module_is_named(shelf: Shelf, tmp_path: Path, debs: Any) -> None:
    entries = package(".ko.xz", "lib/modules")
    entries[f"lib/modules/{V}/kernel/fs/overlay.ko.xz"] = b"not xz"
    with pytest.raises(BuildError, match="the module overlay is damaged"):
        make(shelf, tmp_path, debs, entries, "base: [overlay]")


@pytest.mark.network
def test_agrees_with_the_distributions_depmod(tmp_path: Path) -> None:
    """The real kernel's real modules, and kmod from the same archive run over them."""
    from thanos_tui.events import Reporter
    from thanos_tui.images.apt import Apt
    from thanos_tui.images.compose import compose
    from thanos_tui.images.download import fetch

    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if arch is None or shutil.which("apt-get") is None or shutil.which("tar") is None:
        pytest.skip("needs apt and tar on amd64 or arm64")
    apt = Apt(arch)
    apt.refresh(Reporter())
    meta = f"linux-image-{arch}" if apt.family == "debian" else "linux-image-generic"
    directory = tmp_path / "recipe"
    directory.mkdir()
    (directory / "recipe.yml").write_text(
        f"kernel:\n  package: {meta}\n  modules:\n"
        "    base: [overlay, nf_tables, ext4, btrfs, virtio_net, virtio_blk, bochs, snd_hda_intel, tun, loop, e1000]\n"
    )
    selection = recipes.load(directory).select((), apt.family, arch)
    wanted = [p for p in apt.solve(selection.requested) if p.name.startswith(("linux-image-", "linux-modules-"))]
    with Shelf() as shelf:
        found = fetch(wanted, apt, Reporter())
        members = kernel.members(selection, Tree(shelf.members(path, str(p)) for p, path in found.items()), shelf)
        archive = next(member for member in members if member.name == "kernel.tar")
        assert archive.open is not None
        with archive.open() as stream:
            unpack(stream.read(), tmp_path / "ours")
        # Run the distribution's program, unpacked and with its own libraries.
        (tmp_path / "kmod").mkdir()
        (tmp_path / "kmod" / "recipe.yml").write_text("packages: [kmod]\nprograms: [/bin/kmod]\n")
        tools = recipes.load(tmp_path / "kmod").select((), apt.family, arch)
        found = fetch(
            [p for p in apt.solve(tools.requested) if p.name == "kmod" or p.name.startswith(("lib", "zlib"))],
            apt,
            Reporter(),
        )
        tree = Tree(shelf.members(path, str(p)) for p, path in found.items())
        root = tmp_path / "root"
        unpack(b"".join(tarball.chunks(compose(tools, tree, arch))), root)
    version = next((tmp_path / "ours/lib/modules").iterdir()).name
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs", symlinks=True)
    theirs, ours = (tmp_path / name / "lib/modules" / version for name in ("theirs", "ours"))
    made = {path.name for path in ours.glob("modules.*")} - {"modules.order", "modules.builtin"}
    for name in made:
        (theirs / name).unlink()
    libraries = next(root.glob("usr/lib/*-linux-gnu*"))
    # depmod is one of the names of kmod, which looks at how it was called.
    argv = [next(libraries.glob("ld-linux*")), "--argv0", "depmod", "--library-path", libraries]
    argv += [root / "usr/bin/kmod", "-b", tmp_path / "theirs", version]
    subprocess.run(argv, check=True, capture_output=True)
    for name in sorted(made - {"modules.builtin.alias.bin"}):
        mine, other = (ours / name).read_bytes(), (theirs / name).read_bytes()
        if name in ("modules.dep", "modules.dep.bin"):
            # Any order that has what is needed behind what needs it will do.
            assert _sets(mine, name) == _sets(other, name)
        elif name.endswith(".bin"):
            # Byte for byte with kmod 30; later ones write the same tree in another order.
            assert index(mine) == index(other), name
        else:
            assert sorted(_statements(mine)) == sorted(_statements(other)), name


def unpack(data: bytes, directory: Path) -> None:
    directory.mkdir()
    subprocess.run(["tar", "-x", "-C", directory], input=data, check=True)


def _sets(data: bytes, name: str) -> dict[str, frozenset[str]]:
    lines = (
        [v for values in index(data).values() for _, v in values]
        if name.endswith(".bin")
        else data.decode().splitlines()
    )
    return {line.partition(":")[0]: frozenset(line.partition(":")[2].split()) for line in lines}


def _statements(data: bytes) -> list[str]:
    return [line for line in data.decode().splitlines() if not line.startswith("#")]
