"""Layers laid over one another: what is left, in which order, and what is refused."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thanos_tui import tarball
from thanos_tui.errors import BuildError, IntegrityError
from thanos_tui.images import layers
from thanos_tui.images.layers import Limits
from thanos_tui.images.store import Image, Store
from thanos_tui.tree import Kind, Member

AddImage = Callable[..., Image]
AFile = Callable[..., Member]
PACKINGS = ["", "+gzip", "+gzip, two members", "+zstd", "+zstd, two frames"]


def d(name: str, mode: int = 0o755) -> Member:
    return Member(name, "dir", mode=mode)


def link(name: str, target: str) -> Member:
    return Member(name, "symlink", linkname=target)


def hard(name: str, target: str) -> Member:
    return Member(name, "hardlink", linkname=target)


def flat(store: Store, image: Image) -> dict[str, object]:
    """What is at each name: the content of a file, where a link leads (hard ones with =), the mode of a directory."""
    found: dict[str, object] = {}
    for member in layers.flatten(store, image):
        assert member.name not in found
        above = member.name.rpartition("/")[0]
        assert not above or isinstance(found[above], int), "a directory comes before what it holds"
        if member.kind == "file":
            assert member.open is not None
            found[member.name] = member.open().read()
        elif member.kind == "hardlink":
            assert member.linkname in found
            found[member.name] = f"={member.linkname}"
        else:
            found[member.name] = member.linkname if member.kind == "symlink" else member.mode
    return found


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_is_read(store: Store, add_image: AddImage, a_file: AFile, packing: str) -> None:
    image = add_image("tool", [d("a"), a_file("a/b", b"x" * 5000), link("l", "a/b")], packing=packing)
    assert flat(store, image) == {"a": 0o755, "a/b": b"x" * 5000, "l": "a/b"}


def test_upper_layers_replace(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image(
        "tool",
        [d("a"), a_file("a/file", b"1"), d("a/dir"), a_file("a/dir/inner"), a_file("a/other", b"o")],
        [d("a", 0o700), a_file("a/file", b"2"), link("a/dir", "/etc")],
    )
    assert flat(store, image) == {"a": 0o700, "a/file": b"2", "a/dir": "/etc", "a/other": b"o"}


def test_whiteouts(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image(
        "tool",
        [d("a"), a_file("a/gone"), d("a/old"), a_file("a/old/x"), a_file("a/kept", b"k"), a_file("gone")],
        [a_file("a/.wh.gone"), a_file("a/.wh.old"), a_file(".wh.gone"), a_file("a/.wh.never"), a_file("no/.wh.no")],
        [a_file("a/old/new", b"n")],
    )
    assert flat(store, image) == {"a": 0o755, "a/kept": b"k", "a/old": 0o755, "a/old/new": b"n"}


@pytest.mark.parametrize("last", [False, True])
def test_opaque_directories_lose_only_what_lower_layers_brought(
    store: Store, add_image: AddImage, a_file: AFile, last: bool
) -> None:
    own = [d("a"), a_file("a/own", b"o"), d("a/sub"), a_file("a/sub/own", b"s")]
    mark = [a_file("a/.wh..wh..opq")]
    image = add_image(
        "tool",
        [d("a"), a_file("a/low"), d("a/sub"), a_file("a/sub/low"), d("a/deep"), a_file("a/deep/low")],
        own + mark if last else mark + own,
    )
    assert flat(store, image) == {"a": 0o755, "a/own": b"o", "a/sub": 0o755, "a/sub/own": b"s"}


@pytest.mark.parametrize("last", [False, True])
def test_a_whiteout_spares_its_own_layer(store: Store, add_image: AddImage, a_file: AFile, last: bool) -> None:
    own, mark = [a_file("x", b"new")], [a_file(".wh.x")]
    image = add_image("tool", [a_file("x", b"old")], own + mark if last else mark + own)
    assert flat(store, image) == {"x": b"new"}


def test_of_one_name_in_a_layer_the_last_counts(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"first"), a_file("a", b"last"), link("b", "x"), a_file("b", b"file")])
    assert flat(store, image) == {"a": b"last", "b": b"file"}


def test_a_hard_link_keeps_the_content_when_its_target_goes(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image(
        "tool",
        [a_file("tool", b"code", mode=0o755), hard("alias", "tool"), hard("third", "alias")],
        [a_file(".wh.tool")],
    )
    assert flat(store, image) == {"alias": b"code", "third": "=alias"}
    (alias, _) = layers.flatten(store, image)
    assert alias.mode == 0o755


def test_a_hard_link_holds_what_its_target_was(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"old"), hard("b", "a")], [a_file("a", b"new")])
    assert flat(store, image) == {"b": b"old", "a": b"new"}


def test_a_hard_link_may_lead_into_a_lower_layer(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"low")], [d("up"), hard("up/b", "a")])
    assert flat(store, image) == {"a": b"low", "up": 0o755, "up/b": "=a"}


def test_second_names_of_links_and_devices_are_copies(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image(
        "tool",
        [link("a", "x"), hard("b", "a"), Member("null", "char", device=(1, 3)), hard("zero", "null"), hard("c", "b")],
        [a_file(".wh.a"), a_file(".wh.null")],
    )
    seen = {member.name: (member.kind, member.linkname, member.device) for member in layers.flatten(store, image)}
    assert seen == {"b": ("symlink", "x", (0, 0)), "c": ("symlink", "x", (0, 0)), "zero": ("char", "", (1, 3))}


def test_links_in_a_path_are_followed_inside_the_root(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image(
        "tool",
        [d("usr"), d("usr/lib"), link("lib", "usr/lib"), link("out", "../../../etc"), link("abs", "/usr")],
        [a_file("lib/a", b"1"), a_file("out/passwd", b"2"), a_file("abs/b", b"3"), d("lib/sub")],
    )
    assert flat(store, image) == {
        "usr": 0o755,
        "usr/lib": 0o755,
        "lib": "usr/lib",
        "out": "../../../etc",
        "abs": "/usr",
        "usr/lib/a": b"1",
        "etc": 0o755,
        "etc/passwd": b"2",
        "usr/b": b"3",
        "usr/lib/sub": 0o755,
    }


def test_directories_that_no_layer_describes_are_made_up(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a/b/c", b"x"), a_file("gone/b/c")], [a_file("gone/b/.wh.c")])
    assert flat(store, image) == {"a": 0o755, "a/b": 0o755, "a/b/c": b"x", "gone": 0o755, "gone/b": 0o755}


def test_a_directory_described_above_is_there_in_time(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a/file", b"x")], [d("a", 0o711)])
    assert flat(store, image) == {"a": 0o711, "a/file": b"x"}


def test_the_root_comes_first(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("./a"), Member("./", "dir", mode=0o750, uid=6)])
    root, _ = layers.flatten(store, image)
    assert (root.name, root.mode, root.uid) == (".", 0o750, 6)


def test_names_can_be_left_out(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"x"), hard("b", "a"), d("dev"), a_file("dev/null")])
    seen = [(member.name, member.kind) for member in layers.flatten(store, image, without={"a", "dev"})]
    assert seen == [("b", "file"), ("dev/null", "file")]


def test_selected_files_come_with_their_content(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("vmlinuz", b"k"), hard("kernel", "vmlinuz"), d("boot"), a_file("boot/x", b"b")])
    seen = {}
    for member in layers.select(store, image, {"kernel", "boot/x", "boot", "absent"}):
        assert member.open is not None
        seen[member.name] = member.open().read()
    assert seen == {"kernel": b"k", "boot/x": b"b"}


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ([Member("../../etc/passwd", "symlink", linkname="x")], "'../../etc/passwd' leads out of the tree"),
        ([Member("/etc/passwd", "symlink", linkname="x")], "'/etc/passwd' leads out of the tree"),
        ([hard("a", "../../../etc/shadow")], "leads out of the tree"),
        ([hard("a", "nowhere")], "a is a hard link to nowhere, which is not there"),
        ([d("x"), hard("a", "x")], "a is a hard link to x, which is not there"),
        ([link("a", "b"), link("b", "a"), hard("a/x", "b")], "too many symbolic links"),
        ([Member("a", "fifo"), Member("a/b", "fifo")], "a cannot be a directory"),
    ],
)
def test_hostile_layers_are_refused_by_name(
    store: Store, add_image: AddImage, tree: list[Member], problem: str
) -> None:
    image = add_image("team/tool:1", [d("fine")], tree)
    with pytest.raises(BuildError) as caught:
        list(layers.flatten(store, image))
    assert problem in caught.value.message
    assert "layer 2 " in caught.value.message
    assert image.layers[1].digest in caught.value.message
    assert "docker.io/team/tool:1" in caught.value.message


def test_a_deep_path_is_no_crash(store: Store, add_image: AddImage, a_file: AFile) -> None:
    path = "/".join("d" * 1500)
    image = add_image("tool", [a_file(f"{path}/x", b"deep")], [a_file(".wh.d"), a_file("y")])
    assert flat(store, image) == {"y": b""}


@pytest.mark.parametrize("data", [b"not a tar" * 100, b"\x1f\x8bnonsense", b"\x28\xb5\x2f\xfdnonsense"])
def test_a_layer_that_is_no_archive(store: Store, add_image: AddImage, data: bytes) -> None:
    with pytest.raises(BuildError, match="layer 1"):
        list(layers.flatten(store, add_image("tool", data)))


def test_a_layer_that_is_cut_off(store: Store, add_image: AddImage, a_file: AFile) -> None:
    whole = gzip.compress(b"".join(tarball.chunks([a_file("a", bytes(range(256)) * 40)])))
    with pytest.raises(BuildError, match="layer 1"):
        list(layers.flatten(store, add_image("tool", whole[: len(whole) // 2])))


def test_nothing_of_a_damaged_layer_is_given_out(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("a", b"fine")], [a_file("b", b"good")])
    path = store.path / "blobs" / "sha256" / image.layers[1].digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"good", b"evil"))
    with pytest.raises(IntegrityError, match="damaged"):
        next(layers.flatten(store, image))


def test_bombs_are_bounded(store: Store, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("tool", [a_file("zeros", bytes(200_000)), *[a_file(f"f{n}") for n in range(50)]], packing="+gzip")
    with pytest.raises(BuildError, match="more than"):
        next(layers.flatten(store, image, Limits(size=100_000)))
    with pytest.raises(BuildError, match="more than 20 members"):
        next(layers.flatten(store, image, Limits(members=20)))
    # Directories that are only implied count, too.
    deep = add_image("deep", [a_file("/".join("d" * 50))])
    with pytest.raises(BuildError, match="more than 20 members"):
        next(layers.flatten(store, deep, Limits(members=20)))


def test_bombs_that_make_no_files_are_bounded(store: Store, add_image: AddImage, a_file: AFile) -> None:
    for number, member in enumerate((a_file(".wh.gone"), a_file("a"), d("."), hard("a", "a"))):
        image = add_image(f"bomb:{number}", [a_file("a"), *[member] * 50])
        with pytest.raises(BuildError, match="more than 20 members"):
            list(layers.flatten(store, image, Limits(members=20)))
    image = add_image("bomb:end", b"".join(tarball.chunks([a_file("a")])) + bytes(3 << 20), packing="+gzip")
    with pytest.raises(BuildError, match="goes on for more than 2 MiB behind its end"):
        list(layers.flatten(store, image, Limits(size=2 << 20)))


@pytest.mark.parametrize(
    ("name", "kind", "device", "belongs"),
    [
        ("dev/sda", "block", (8, 0), True),
        ("var/chroot/dev/null", "char", (1, 3), True),
        ("usr/lib/tty", "char", (5, 0), True),
        ("usr/sda", "block", (8, 0), False),
        ("usr/mem", "char", (1, 1), False),
        ("device", "block", (1, 3), False),
        ("usr/whiteout", "char", (0, 0), False),
    ],
)
def test_devices_where_none_belong(
    store: Store, add_image: AddImage, name: str, kind: Kind, device: tuple[int, int], belongs: bool
) -> None:
    image = add_image("devices:1", [Member(name, kind, device=device)])
    if belongs:
        assert name in flat(store, image)
    else:
        with pytest.raises(BuildError, match=rf"{name} is a device \({kind} "):
            flat(store, image)


def test_links_do_not_bring_devices_elsewhere(store: Store, add_image: AddImage) -> None:
    mem = Member("dev/mem", "char", device=(1, 1))
    for layer in ([d("usr"), link("dev", "usr"), mem], [mem, hard("usr/mem", "dev/mem")]):
        with pytest.raises(BuildError, match="usr/mem is a device"):
            flat(store, add_image("devices:2", layer))


def test_memory_does_not_grow_with_the_files(store: Store, add_image: AddImage) -> None:
    def chunks() -> Iterator[Member]:
        yield Member("big", "file", size=48 << 20, open=lambda: io.BytesIO(bytes(48 << 20)))

    image = add_image("tool", chunks(), packing="+zstd")
    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in tarball.chunks(layers.flatten(store, image)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 48 << 20
    assert peak < 16 << 20


def test_a_survey_is_kept(store: Store, add_image: AddImage, a_file: AFile, tmp_path: Path) -> None:
    tree = [a_file("kernel", b"12345"), link("lib", "usr/lib"), d("usr"), d("usr/lib"), hard("vmlinuz", "kernel")]
    image = add_image("tool", tree)
    survey = layers.survey(store, image, tmp_path / "s")
    assert survey.size == 5
    assert survey.members == 5
    assert survey.top == {
        "kernel": ("file", 5, ""),
        "lib": ("symlink", 0, "usr/lib"),
        "usr": ("dir", 0, ""),
        "vmlinuz": ("file", 5, ""),
    }
    (store.path / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")).unlink()
    assert layers.survey(store, image, tmp_path / "s") == survey


@pytest.mark.parametrize("text", ["", "{}", '{"top": 3}', '{"top": {"a": 1}, "size": 1, "members": 1}', "[]"])
def test_a_damaged_survey_is_made_again(
    store: Store, add_image: AddImage, a_file: AFile, tmp_path: Path, text: str
) -> None:
    image = add_image("tool", [a_file("a", b"x")])
    survey = layers.survey(store, image, tmp_path)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(text)
    assert layers.survey(store, image, tmp_path) == survey


def test_a_content_key_is_that_of_the_layers(add_image: AddImage, a_file: AFile) -> None:
    one = add_image("one", [a_file("a")], Cmd=["a"])
    other = add_image("other", [a_file("a")], Cmd=["b"])
    different = add_image("different", [a_file("b")])
    assert layers.content_key(one) == layers.content_key(other)
    assert layers.content_key(one) != layers.content_key(different)
