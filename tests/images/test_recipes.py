"""Recipes: strict reading, what is taken from packages, where it goes, and always the same bytes."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, InputError, Where
from thanos_tui.files import assets_dir
from thanos_tui.images import compose, recipes
from thanos_tui.images.elf import MissingLibrary
from thanos_tui.images.recipes import Selection
from thanos_tui.images.unpacked import Shelf, Tree
from thanos_tui.tree import MTIME, Member

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a recipe (and files beside it) and returns its directory."""

    def make(text: str, name: str = "demo", **beside: str) -> Path:
        directory = tmp_path / "recipes" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "recipe.yml").write_text(text)
        for file, content in beside.items():
            (directory / file).write_text(content)
        return directory

    return make


def select(directory: Path, *features: str, family: str = "debian", arch: str = "amd64") -> Selection:
    return recipes.load(directory).select(features, family, arch)


# Reading


def test_reads_alternatives_and_features(write: Write) -> None:
    directory = write(
        "packages: [one, {debian: two, ubuntu: [three, four]}, {amd64: five}, {debian: {arm64: six}}]\n"
        "config: {cmd: [/a], env: [A=1], workdir: /w, user: '1:2'}\n"
        "label: {net: host, pid: host}\n"
        "features:\n"
        "  more: {packages: [seven], label: {net: new}, config: {entrypoint: [/b]}}\n"
    )
    base = select(directory)
    assert base.packages == ("one", "two", "five")
    assert base.config == {"Cmd": ["/a"], "Env": ["A=1"], "WorkingDir": "/w", "User": "1:2"}
    assert select(directory, family="ubuntu", arch="arm64").packages == ("one", "three", "four")
    assert select(directory, arch="arm64").packages == ("one", "two", "six")
    more = select(directory, "more")
    assert more.packages == ("one", "two", "five", "seven")
    assert more.label == {"net": "new", "pid": "host"}
    assert more.config["Entrypoint"] == ["/b"]
    with pytest.raises(InputError, match=r"has no feature 'other'; it has: more"):
        select(directory, "other")


def test_takes_directories_of_files(write: Write) -> None:
    directory = write("files:\n  - {path: /etc/sv/x, source: sv/x}\n")
    (directory / "sv/x/log").mkdir(parents=True)
    (directory / "sv/x/run").write_text("#!/bin/sh\n")
    (directory / "sv/x/log/config").write_text("n3\n")
    files = {file.path: (file.mode, file.contents) for file in select(directory).files}
    assert files == {"/etc/sv/x/log/config": (0o644, b"n3\n"), "/etc/sv/x/run": (0o755, b"#!/bin/sh\n")}
    write("files:\n  - {path: /etc/sv/x, source: sv/x, mode: '0755'}\n")
    with pytest.raises(InputError, match="'mode' is not known here"):
        recipes.load(directory)


def test_reads_files(write: Write) -> None:
    directory = write(
        'files:\n  - {path: /a, contents: "x", mode: "0600", uid: 3, gid: 4}\n  - {path: /b, source: beside}\n'
        "  - {path: /c, symlink: a}\n  - {path: /d/e, directory: true, mode: 1777}\n",
        beside="text",
    )
    a, b, c, d = select(directory).files
    assert (a.contents, a.mode, a.uid, a.gid) == (b"x", 0o600, 3, 4)
    assert (b.contents, b.mode) == (b"text", 0o644)
    assert c.symlink == "a"
    assert (d.contents, d.symlink, d.mode) == (None, None, 0o1777)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("pakages: [x]\n", 1, 1, "'pakages' is not known"),
        ("summary: x\nsummary: y\n", 2, 1, "summary"),
        ("packages: x\n", 1, 11, "a list is wanted"),
        ("packages: [1]\n", 1, 12, "a text is wanted"),
        ("packages: [{fedora: x}]\n", 1, 13, "'fedora' is not known"),
        ("programs: [bin/sh]\n", 1, 11, "not an absolute path"),
        ("layout: flat\n", 1, 9, "'merged' or 'split'"),
        ("files:\n  - {path: /a}\n", 2, 5, "exactly one of"),
        ("files:\n  - {path: /a, contents: x, symlink: y}\n", 2, 5, "exactly one of"),
        ("files:\n  - {path: a, contents: x}\n", 2, 12, "not a plain absolute path"),
        ("files:\n  - {path: /a/../b, contents: x}\n", 2, 12, "not a plain absolute path"),
        ("files:\n  - {path: /a, contents: x, mode: rw}\n", 2, 35, "octal"),
        ('files:\n  - {path: /a, contents: x, mode: "0999"}\n', 2, 35, "octal"),
        ("files:\n  - {path: /a, contents: x, uid: root}\n", 2, 34, "uid is a number"),
        ("files:\n  - {path: /a, source: gone}\n", 2, 24, "cannot read gone"),
        ("files:\n  - {path: /a, source: ../x}\n", 2, 24, "not beside the recipe"),
        ("files:\n  - {contents: x}\n", 2, 5, "path is missing"),
        ("features: {A: {}}\n", 1, 12, "cannot be a feature's name"),
        ("features: {all: {}}\n", 1, 12, "cannot be a feature's name"),
        ("features: {x: {layout: split}}\n", 1, 16, "'layout' is not known"),
        ("kernel: {}\n", 1, 9, "needs a package"),
        ("config: {command: [x]}\n", 1, 10, "'command' is not known"),
        ("config: {cmd: x}\n", 1, 15, "a list is wanted"),
        ("[a]\n", 1, 1, "a mapping"),
        ("", 1, 1, "a mapping"),
    ],
)
def test_refuses_with_the_place(write: Write, text: str, line: int, column: int, message: str) -> None:
    directory = write(text)
    with pytest.raises(InputError) as caught:
        select(directory)
    assert message in caught.value.message
    assert caught.value.where == Where(str(directory / "recipe.yml"), line, column)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("localhost/thanos/sshd:base", ("sshd", ())),
        ("localhost/thanos/kernel:hyperv-qemu", ("kernel", ("hyperv", "qemu"))),
        ("localhost/other/sshd:base", None),
        ("redis", None),
    ],
)
def test_splits_references(reference: str, expected: tuple[str, tuple[str, ...]] | None) -> None:
    assert recipes.split(reference) == expected


@pytest.mark.parametrize("tag", ["", ":", ":qemu-hyperv", ":a-a", ":A", ":base-x-"])
def test_refuses_tags_that_are_none(tag: str) -> None:
    with pytest.raises(InputError, match="the tag of a recipe's image"):
        recipes.split(f"localhost/thanos/kernel{tag}")


@pytest.mark.parametrize(
    "path", sorted((assets_dir() / "linuxkit" / "recipes").glob("*/recipe.yml")), ids=lambda p: p.parent.name
)
def test_every_recipe_of_the_program_can_be_read(path: Path) -> None:
    recipe = recipes.load(path.parent)
    for family in ("debian", "ubuntu"):
        for arch in ("amd64", "arm64"):
            recipe.select(recipe.feature_names(), family, arch)


# Taking


def program(*needed: str, interpreter: str = "/lib64/ld.so.2") -> bytes:
    """A small ELF program that needs these libraries."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    at, entries = 1, []
    for name in needed:
        entries.append((1, at))
        at += len(name) + 1
    interp = interpreter.encode() + b"\0" if interpreter else b""
    base = 64 + 3 * 56
    strings_at = base + len(interp)
    entries += [(5, strings_at), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *pair) for pair in entries)
    dynamic_at = strings_at + len(strings)
    total = dynamic_at + len(dynamic)

    def header(kind: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, 4, offset, offset, offset, size, size, 1)

    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    ident += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0)
    headers = header(1, 0, total) + header(2, dynamic_at, len(dynamic))
    headers += header(3, base, len(interp)) if interp else header(0, 0, 0)
    return ident + headers + interp + strings + dynamic


# A release whose packages still have things outside of /usr, and one that has moved them.
OLD = {
    "bin/tool": program("libz.so.1", "libc.so.6"),
    "sbin/admin": "../bin/tool",
    "usr/bin/script": b"#!/bin/sh\n",
    "usr/bin/linked": "/etc/alternatives/linked",
    "lib": None,
    "lib/x86_64-linux-gnu": None,
    "lib/x86_64-linux-gnu/libc.so.6": program(interpreter=""),
    "lib/x86_64-linux-gnu/libz.so.1": "../../usr/lib/x86_64-linux-gnu/libz.so.1.2",
    "usr/lib/x86_64-linux-gnu/libz.so.1.2": program("libc.so.6", interpreter=""),
    "lib/x86_64-linux-gnu/ld-2.so": program(interpreter=""),
    "lib64/ld.so.2": "/lib/x86_64-linux-gnu/ld-2.so",
    "usr/lib/x86_64-linux-gnu/libnss_x.so.2": program("libc.so.6", interpreter=""),
    "usr/share/data/a.txt": b"a",
    "usr/share/data/deep/b.txt": b"b",
    "usr/share/data/deep/README.md": b"readme",
    "etc/conf.d": None,
    "etc/conf.d/x.conf": b"x",
}
NEW: dict[str, Any] = {}
for _name, _content in OLD.items():
    _top = _name.partition("/")[0]
    NEW[f"usr/{_name}" if _top in ("bin", "sbin", "lib", "lib64") else _name] = _content
NEW["usr/lib/x86_64-linux-gnu/libz.so.1"] = "libz.so.1.2"
NEW["usr/lib64/ld.so.2"] = "../lib/x86_64-linux-gnu/ld-2.so"
NEW["bin"] = "usr/bin"
NEW["lib"] = "usr/lib"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debs: Any) -> Any:
    """Makes a tree of one package with these entries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shelves: list[Shelf] = []

    def make(*packages: Mapping[str, Any]) -> Tree:
        shelf = Shelf()
        shelves.append(shelf)
        paths = []
        for number, entries in enumerate(packages):
            paths.append(tmp_path / f"{number}-{len(shelves)}.deb")
            paths[-1].write_bytes(debs.make_deb(entries, ".gz"))
        return Tree(shelf.members(path, path.name) for path in paths)

    yield make
    for shelf in shelves:
        shelf.close()


def shown(members: list[Member]) -> dict[str, str]:
    """Names with what they are: a link's target, ``dir`` or ``file``."""
    return {m.name: f"-> {m.linkname}" if m.kind == "symlink" else m.kind for m in members}


MERGED_TOOL = {
    "bin": "-> usr/bin",
    "lib": "-> usr/lib",
    "lib64": "-> usr/lib64",
    "usr": "dir",
    "usr/bin": "dir",
    "usr/bin/tool": "file",
    "usr/lib": "dir",
    "usr/lib/x86_64-linux-gnu": "dir",
    "usr/lib/x86_64-linux-gnu/ld-2.so": "file",
    "usr/lib/x86_64-linux-gnu/libc.so.6": "file",
    "usr/lib/x86_64-linux-gnu/libz.so.1": "-> libz.so.1.2",
    "usr/lib/x86_64-linux-gnu/libz.so.1.2": "file",
    "usr/lib64": "dir",
}


@pytest.mark.parametrize("path", ["/bin/tool", "/usr/bin/tool"])
def test_a_merged_image_has_the_closure_at_mapped_paths(write: Write, tree: Any, path: str) -> None:
    for entries, loader in ((OLD, "-> /usr/lib/x86_64-linux-gnu/ld-2.so"), (NEW, "-> ../lib/x86_64-linux-gnu/ld-2.so")):
        members = compose.compose(select(write(f"programs: [{path}]\n")), tree(entries), "amd64")
        assert shown(members) == {**MERGED_TOOL, "usr/lib64/ld.so.2": loader}
        assert {member.mtime for member in members} == {MTIME}


def test_a_split_image_keeps_the_packages_paths(write: Write, tree: Any) -> None:
    directory = write("layout: split\nprograms: [/bin/tool]\n")
    assert shown(compose.compose(select(directory), tree(OLD), "amd64")) == {
        "bin": "dir",
        "bin/tool": "file",
        "lib": "dir",
        "lib/x86_64-linux-gnu": "dir",
        "lib/x86_64-linux-gnu/ld-2.so": "file",
        "lib/x86_64-linux-gnu/libc.so.6": "file",
        "lib/x86_64-linux-gnu/libz.so.1": "-> ../../usr/lib/x86_64-linux-gnu/libz.so.1.2",
        "lib64": "dir",
        "lib64/ld.so.2": "-> /lib/x86_64-linux-gnu/ld-2.so",
        "usr": "dir",
        "usr/lib": "dir",
        "usr/lib/x86_64-linux-gnu": "dir",
        "usr/lib/x86_64-linux-gnu/libz.so.1.2": "file",
    }
    new = shown(compose.compose(select(directory), tree(NEW), "amd64"))
    assert new["bin/tool"] == "file", "where the recipe says"
    assert new["lib64/ld.so.2"] == "-> ../usr/lib/x86_64-linux-gnu/ld-2.so", "where programs look for it"
    assert new["usr/lib/x86_64-linux-gnu/libc.so.6"] == "file"


def test_links_are_followed_and_kept(write: Write, tree: Any) -> None:
    merged = shown(compose.compose(select(write("programs: [/sbin/admin]\n")), tree(OLD), "amd64"))
    assert merged["usr/sbin/admin"] == "-> ../bin/tool"
    assert merged["usr/bin/tool"] == "file"
    moved = shown(compose.compose(select(write("layout: split\nprograms: [/usr/sbin/admin]\n")), tree(OLD), "amd64"))
    assert moved["usr/sbin/admin"] == "-> ../../bin/tool"


def test_libraries_by_name_and_data_by_glob(write: Write, tree: Any) -> None:
    directory = write(
        'libraries: [libnss_x.so.2]\ninclude: ["/usr/share/data/**", "/etc/conf.d/*.conf"]\nexclude: ["**/*.md"]\n'
    )
    found = shown(compose.compose(select(directory), tree(OLD), "amd64"))
    assert found["usr/lib/x86_64-linux-gnu/libc.so.6"] == "file"
    assert [name for name in found if name.startswith(("usr/share/", "etc/"))] == [
        "etc/conf.d",
        "etc/conf.d/x.conf",
        "usr/share/data",
        "usr/share/data/a.txt",
        "usr/share/data/deep",
        "usr/share/data/deep/b.txt",
    ]


def test_a_glob_stays_inside_a_directory(write: Write, tree: Any) -> None:
    found = shown(compose.compose(select(write('include: ["/usr/share/data/*.txt"]\n')), tree(OLD), "amd64"))
    assert "usr/share/data/a.txt" in found
    assert "usr/share/data/deep/b.txt" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("programs: [/usr/bin/gone]\n", "asks for the program /usr/bin/gone"),
        ("programs: [/usr/bin/linked]\n", "asks for the program /usr/bin/linked"),
        ("libraries: [libgone.so]\n", r"asks for the library libgone\.so"),
        ("include: [/usr/gone]\n", "includes /usr/gone, which matches nothing"),
        (
            "include: [/usr/share/data/a.txt]\nfiles: [{path: /usr/share/data/a.txt/b, contents: x}]\n",
            "no directory there",
        ),
    ],
)
def test_says_what_the_packages_do_not_have(write: Write, tree: Any, text: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        compose.compose(select(write(text)), tree(OLD), "amd64")


def test_a_program_glob_may_find_nothing(write: Write, tree: Any) -> None:
    assert compose.compose(select(write('programs: ["/usr/lib/gone-*"]\n')), tree(OLD), "amd64") == []
    found = shown(compose.compose(select(write('programs: ["/bin/t*"]\n')), tree(OLD), "amd64"))
    assert found["usr/bin/tool"] == "file"


def test_a_missing_library_names_the_program(write: Write, tree: Any) -> None:
    entries = {**OLD, "usr/bin/broken": program("libgone.so.1")}
    with pytest.raises(MissingLibrary, match=r"/usr/bin/broken needs the library libgone\.so\.1"):
        compose.compose(select(write("programs: [/usr/bin/broken]\n")), tree(entries), "amd64")


def test_libraries_are_found_where_the_image_has_them_searched(write: Write, tree: Any) -> None:
    entries = {**OLD, "usr/bin/odd": program("libown.so"), "opt/own/libown.so": program("libc.so.6", interpreter="")}
    directory = write("programs: [/usr/bin/odd]\nconfig: {env: ['LD_LIBRARY_PATH=/opt/own:']}\n")
    found = shown(compose.compose(select(directory), tree(entries), "amd64"))
    assert found["opt/own/libown.so"] == found["usr/lib/x86_64-linux-gnu/libc.so.6"] == "file"
    entries["usr/lib/x86_64-linux-gnu/own/libmore.so"] = program("libc.so.6", interpreter="")
    directory = write("libraries: [libmore.so]\nconfig: {env: ['LD_LIBRARY_PATH=/usr/$LIB/own']}\n")
    found = shown(compose.compose(select(directory), tree(entries), "amd64"))
    assert found["usr/lib/x86_64-linux-gnu/own/libmore.so"] == "file"


def test_a_loop_of_links_ends(write: Write, tree: Any) -> None:
    with pytest.raises(BuildError, match="loop"):
        compose.compose(select(write("programs: [/a]\n")), tree({"a": "b", "b": "a"}), "amd64")


def test_stated_files_win_and_have_parents(write: Write, tree: Any) -> None:
    directory = write(
        "programs: [/usr/bin/script]\n"
        'files:\n  - {path: /usr/bin/script, contents: "mine", mode: "0700"}\n'
        '  - {path: /bin/new, symlink: script}\n  - {path: /var/a/b, directory: true, mode: "0700"}\n'
    )
    members = compose.compose(select(directory), tree(OLD), "amd64")
    by_name = {member.name: member for member in members}
    script = by_name["usr/bin/script"]
    assert script.open is not None
    assert (script.open().read(), script.mode) == (b"mine", 0o700)
    assert by_name["usr/bin/new"].linkname == "script"
    assert (by_name["var/a"].mode, by_name["var/a/b"].mode) == (0o755, 0o700)
    names = [member.name for member in members]
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name)


def busybox(*applets: str) -> bytes:
    table = b"\0".join(name.encode() for name in sorted(["[", "[[", *applets]))
    return program(interpreter="") + b"text\0[\0other\0" + b"\0" + table + b"\0" + b"BusyBox v1.35\0"


APPLETS = [f"applet{number:02}" for number in range(20)] + ["ip", "sh", "tool"]


def test_busybox_applets(write: Write, tree: Any) -> None:
    entries = {**OLD, "bin/busybox": busybox(*APPLETS)}
    some = compose.compose(select(write("busybox: [sh, ip]\n")), tree(entries), "amd64")
    assert {n: k for n, k in shown(some).items() if n.startswith("usr/bin/")} == {
        "usr/bin/busybox": "file",
        "usr/bin/ip": "-> busybox",
        "usr/bin/sh": "-> busybox",
    }
    split = shown(compose.compose(select(write("layout: split\nbusybox: [sh]\n")), tree(entries), "amd64"))
    assert (split["bin/busybox"], split["bin/sh"]) == ("file", "-> busybox")
    every = shown(compose.compose(select(write("busybox: all\nprograms: [/bin/tool]\n")), tree(entries), "amd64"))
    assert {f"usr/bin/{name}" for name in APPLETS} <= set(every)
    assert every["usr/bin/tool"] == "file", "a program wins over the applet of its name"
    assert "busybox-static" in select(write("busybox: all\n")).requested
    assert "busybox" in select(write("busybox: all\nprograms: [/bin/tool]\n")).requested
    with pytest.raises(BuildError, match="applet 'gone'"):
        compose.compose(select(write("busybox: [gone]\n")), tree(entries), "amd64")


def test_two_packages_with_one_path(write: Write, tree: Any) -> None:
    made = tree({"usr/bin/x": b"first"}, {"usr/bin/x": b"second", "usr/bin/y": b"y"})
    members = compose.compose(select(write("programs: [/usr/bin/x, /usr/bin/y]\n")), made, "amd64")
    content = {member.name: member.open().read() for member in members if member.open}
    assert content == {"usr/bin/x": b"first", "usr/bin/y": b"y"}


def test_hard_links_become_files(write: Write, tree: Any) -> None:
    import tarfile

    link = tarfile.TarInfo("./usr/bin/other")
    link.type, link.linkname = tarfile.LNKTYPE, "./usr/bin/script"
    made = tree({"usr/bin/script": b"#!/bin/sh\n", "usr/bin/other": link})
    members = compose.compose(select(write("programs: [/usr/bin/other]\n")), made, "amd64")
    assert {m.name: m.open().read() for m in members if m.open} == {"usr/bin/other": b"#!/bin/sh\n"}


def test_the_label_is_what_linuxkit_reads() -> None:
    from thanos_tui.images import provide

    assert json.loads(provide.label({"net": "host", "binds": ["/a:/b"]})) == {"binds": ["/a:/b"], "net": "host"}


def test_a_shelf_reads_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debs: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    big = bytes(range(256)) * 9000
    path = tmp_path / "x.deb"
    path.write_bytes(debs.make_deb({"big": big, "small": b"small"}))
    with Shelf() as shelf:
        members = {member.name: member for member in shelf.members(path, "x")}
        for _ in range(2):
            for name, content in (("big", big), ("small", b"small")):
                opener = members[name].open
                assert opener is not None
                with opener() as stream:
                    assert stream.read() == content
                    stream.seek(2)
                    assert stream.read(3) == content[2:5]
                    stream.seek(-2, io.SEEK_END)
                    assert stream.read() == content[-2:]
        size, opener = shelf.keep([b"a" * 10, b"b" * 5])
        assert (size, opener().read()) == (15, b"a" * 10 + b"b" * 5)
    assert [p.name for p in (tmp_path / "cache" / "thanos-tui").iterdir()] == []
