"""Segments: made once, the same everywhere, found out when damaged; put together so that a kernel has all of it."""

from __future__ import annotations

import io
import os
import posixpath
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanos_tui.build import blobs, initrd, segments
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError, HostError, Interrupted
from thanos_tui.events import Event, Item, LogLine, Progress, Reporter, StepFinished
from thanos_tui.tree import Member

File = Callable[..., Member]
Parts = Callable[..., Part]


def joined(parts: Sequence[Part], cache: Path, **facts: Any) -> bytes:
    return b"".join(initrd.join(segments.prepare(parts, Reporter(), cache=cache, **facts)).initrd())


def counting(part: Part, calls: list[str]) -> Part:
    def members() -> Iterator[Member]:
        calls.append(part.location)
        return part.members()

    return replace(part, members=members)


# Made once


def test_what_is_in_the_cache_is_not_made_again(part: Parts, a_file: File, tmp_path: Path) -> None:
    calls: list[str] = []
    old = [counting(part([a_file(name, b"x")], location=name), calls) for name in ("a", "b")]
    first = joined(old, tmp_path)
    calls.clear()
    assert joined(old, tmp_path) == first
    assert not calls
    new = counting(part([a_file("c", b"x")], location="c"), calls)
    joined([old[0], new, old[1]], tmp_path)
    assert set(calls) == {"c"}


def test_the_same_part_is_the_same_segment_everywhere(
    part: Parts, a_file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3000) * 300
    one = part([Member("d", "dir"), a_file("d/f", content, mtime=1.5)])
    first = joined([one], tmp_path / "one")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    old = os.umask(0o077)
    try:
        assert joined([replace(one, location="services[7]", source="other")], tmp_path / "two") == first
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()


def test_a_level_has_segments_of_its_own(part: Parts, a_file: File, tmp_path: Path) -> None:
    one = part([a_file("f", b"".join(b"%d " % (n * n) for n in range(99_999)))])
    assert len(joined([one], tmp_path, level=19)) < len(joined([one], tmp_path, level=1))
    with pytest.raises(ValueError, match="level 20"):
        segments.prepare([one], Reporter(), level=20, cache=tmp_path)


def test_segments_are_padded_and_unpack_alone(
    part: Parts, a_file: File, tmp_path: Path, boot: Callable[[bytes], Any]
) -> None:
    parts = [part([a_file(f"f{size}", os.urandom(size))]) for size in (0, 1, 2, 3, 5000, 300_000)]
    for segment in segments.prepare(parts, Reporter(), cache=tmp_path):
        assert segment.blob.size % 4 == 0
        assert list(boot(segment.blob.read()).listing()) == [next(segment.part.members()).name]


def test_boot_files_are_kept_beside(part: Parts, a_file: File, tmp_path: Path, boot: Callable[[bytes], Any]) -> None:
    members = [
        Member("boot", "dir"),
        a_file("boot/kernel", b"K" * 5000),
        a_file("boot/cmdline", b"quiet"),
        a_file("lib"),
    ]
    system = initrd.join(segments.prepare([part(members)], Reporter(), cache=tmp_path))
    assert system.kernel is not None
    assert system.cmdline is not None
    assert system.kernel.read() == b"K" * 5000
    assert system.cmdline.read() == b"quiet"
    assert system.ucode is None
    assert set(boot(b"".join(system.initrd())).listing()) == {"boot", "lib"}


def test_an_empty_command_line_is_none(part: Parts, a_file: File, tmp_path: Path) -> None:
    members = [Member("boot", "dir"), a_file("boot/kernel", b"K"), a_file("boot/cmdline")]
    assert initrd.join(segments.prepare([part(members)], Reporter(), cache=tmp_path)).cmdline is None


def test_microcode_comes_first_and_as_it_is(part: Parts, a_file: File, tmp_path: Path) -> None:
    parts = [part([a_file("f", b"x")]), part([a_file("boot/ucode.cpio", b"070701early")])]
    system = initrd.join(segments.prepare(parts, Reporter(), cache=tmp_path))
    data = b"".join(system.initrd())
    assert data.startswith(b"070701early\0\x28\xb5\x2f\xfd")
    assert (len(data), len(b"".join(system.segments()))) == (system.size, system.segments_size)


def test_progress_ends_at_its_total(part: Parts, a_file: File, tmp_path: Path) -> None:
    events: list[Event] = []
    parts = [part([a_file(str(n), os.urandom(n << 18))]) for n in range(1, 8)]
    segments.prepare(parts, Reporter(events.append), cache=tmp_path)
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total == sum(part.size for part in parts)
    assert [event.note for event in events if isinstance(event, StepFinished)] == ["7 of 7 made"]


def test_each_part_tells_how_far_it_is(part: Parts, a_file: File, tmp_path: Path) -> None:
    events: list[Event] = []
    parts = [part([a_file("f", os.urandom(n << 20))], location=f"services[{n}]") for n in (1, 2)]
    segments.prepare(parts, Reporter(events.append), cache=tmp_path)
    items = [event for event in events if isinstance(event, Item)]
    assert {item.name for item in items if item.done == item.total} == {segments.name(part) for part in parts}


def test_sizes_are_those_of_what_boots(part: Parts, a_file: File, tmp_path: Path) -> None:
    kernel = part([Member("boot", "dir"), a_file("boot/kernel", os.urandom(5000)), a_file("boot/cmdline", b"quiet")])
    other = part([a_file("f", os.urandom(9000))], location="services[0]")
    assert segments.sizes([kernel, other], cache=tmp_path) == ()
    system = initrd.join(segments.prepare([kernel, other], Reporter(), cache=tmp_path))
    missing = part([a_file("never made", b"x")])
    sizes = dict(segments.sizes([kernel, missing, other], cache=tmp_path))
    assert list(sizes) == [kernel, other]
    assert sum(sizes.values()) == system.total
    assert sizes[other] > 9000


def test_lost_attributes_are_told_once(part: Parts, a_file: File, tmp_path: Path) -> None:
    pax = {"SCHILY.xattr.security.capability": "x"}
    parts = [part([a_file(name, pax=pax) for name in "ab"], source="ping:1"), part([a_file("c")])]
    for _ in range(2):
        events: list[Event] = []
        segments.prepare(parts, Reporter(events.append), cache=tmp_path)
        told = [event.text for event in events if isinstance(event, LogLine) and event.level == "warning"]
        assert len(told) == 1
        assert told[0].startswith("ping:1: extended attributes")


# Gone wrong


def test_a_damaged_segment_is_found_out(part: Parts, a_file: File, tmp_path: Path) -> None:
    system = initrd.join(segments.prepare([part([a_file("f", os.urandom(5000))])], Reporter(), cache=tmp_path))
    (blob,) = system.pieces
    assert isinstance(blob, blobs.Blob)
    data = bytearray(blob.path.read_bytes())
    data[2000] ^= 1
    blob.path.write_bytes(data)
    with pytest.raises(blobs.Damaged) as caught:
        list(system.initrd())
    assert caught.value.path == blob.path
    blob.path.unlink()
    with pytest.raises(blobs.Damaged):
        list(system.initrd())


def test_cut_off_cache_files_are_made_again(part: Parts, a_file: File, tmp_path: Path) -> None:
    one = part([a_file("f", os.urandom(5000)), a_file("boot/kernel", b"kernel")])
    first = joined([one], tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 3
    for path in paths:
        for size in (0, 20, path.stat().st_size // 2, path.stat().st_size - 1):
            os.truncate(path, size)
            assert joined([one], tmp_path) == first
        path.unlink()
        assert joined([one], tmp_path) == first


def test_a_part_that_fails_is_named_and_stops_the_others(part: Parts, a_file: File, tmp_path: Path) -> None:
    def members() -> Iterator[Member]:
        # More than anybody would wait for.
        for number in range(1 << 40):
            yield Member(f"d{number}", "dir")

    endless = replace(part([], key="0" * 64), members=members, size=99)
    broken = part([Member("f", "file", size=9, open=lambda: io.BytesIO(b"x"))], "onboot[0]", "bad:1", key="1" * 64)
    with pytest.raises(BuildError, match="f is 8 bytes shorter") as caught:
        segments.prepare([endless, replace(broken, size=999 << 20)], Reporter(), cache=tmp_path)
    assert caught.value.where == "onboot[0] (bad:1)"
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".json"]


def test_cancelling_leaves_nothing_behind(part: Parts, tmp_path: Path) -> None:
    reporter = Reporter()
    started = threading.Event()

    def members() -> Iterator[Member]:
        for number in range(1 << 40):
            yield Member(f"d{number}", "dir")
            started.set()

    def stop() -> None:
        started.wait()
        reporter.cancel()

    canceller = threading.Thread(target=stop)
    canceller.start()
    with pytest.raises(Interrupted):
        segments.prepare([replace(part([]), members=members)], reporter, cache=tmp_path)
    canceller.join()
    assert not list(tmp_path.iterdir())


def test_a_tree_that_changes_while_it_is_read(part: Parts, a_file: File, tmp_path: Path) -> None:
    readings = iter([[a_file("f", b"1")], [a_file("f", b"1" * 9999)]])
    with pytest.raises(BuildError, match="changed while it was read"):
        segments.prepare([replace(part([]), members=lambda: iter(next(readings)))], Reporter(), cache=tmp_path)


def test_a_cache_that_cannot_be_written(part: Parts, a_file: File, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(HostError, match=r"^cannot write"):
        segments.prepare([part([a_file("f")])], Reporter(), cache=tmp_path / "file")


def test_trimming_keeps_what_was_used_last(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        with blobs.writing(tmp_path / name) as writer:
            writer.write(bytes(960))
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    assert blobs.find(tmp_path / "old") is not None
    blobs.trim(tmp_path, 2000)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


# Put together


def test_missing_directories_come_before_what_is_in_them(
    part: Parts, a_file: File, tmp_path: Path, boot: Callable[[bytes], Any]
) -> None:
    parts = [
        part([a_file("containers/services/a/config.json", b"{}")]),
        part([Member("containers", "dir", 0o700), a_file("containers/services/b/config.json", b"{}")]),
        part([a_file("etc/late"), Member("etc", "dir", 0o711, uid=5)]),
    ]
    listing = boot(joined(parts, tmp_path)).listing()
    assert listing["containers"] == ("dir", 0o700, 0, 0)
    assert listing["containers/services/b"] == ("dir", 0o755, 0, 0)
    assert listing["etc"] == ("dir", 0o711, 5, 0)
    assert {"containers/services/a/config.json", "containers/services/b/config.json", "etc/late"} <= set(listing)


def test_replacing_one_name_of_a_file_leaves_the_others(
    part: Parts, a_file: File, tmp_path: Path, boot: Callable[[bytes], Any]
) -> None:
    names = [a_file("busybox", b"box"), *(Member(name, "hardlink", linkname="busybox") for name in ("sh", "ls"))]
    for replaced in ("busybox", "sh"):
        listing = boot(joined([part(names), part([a_file(replaced, b"other")])], tmp_path)).listing()
        assert {name: listing[name][5] for name in ("busybox", "sh", "ls")} == {
            **dict.fromkeys(("busybox", "sh", "ls"), b"box"),
            replaced: b"other",
        }


def test_a_device_that_comes_again_is_the_later_one(part: Parts, tmp_path: Path, boot: Callable[[bytes], Any]) -> None:
    null, zero = (Member("node", "char", device=(1, minor)) for minor in (3, 5))
    assert boot(joined([part([null]), part([zero])], tmp_path)).get("node").device == (1, 5)


def test_paths_through_links_of_other_parts(
    part: Parts, a_file: File, tmp_path: Path, boot: Callable[[bytes], Any]
) -> None:
    root = part([Member("usr", "dir"), Member("usr/lib", "dir", 0o711), Member("lib", "symlink", linkname="usr/lib")])
    files = boot(joined([root, part([a_file("lib/modules/6.1/a.ko", b"m")])], tmp_path))
    assert files.listing()["lib"] == ("symlink", "usr/lib")
    assert files.listing()["usr/lib"] == ("dir", 0o711, 0, 0)
    assert files.get("usr/lib/modules/6.1/a.ko").data == b"m"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            [Member("usr", "dir"), Member("lib", "symlink", linkname="usr")],
            [Member("lib", "dir"), Member("lib/modules", "dir")],
            r"kernel \(new\) has lib as a directory, which is a symlink in init\[0\] \(old\)",
        ),
        (
            [Member("lib", "dir"), Member("lib/modules", "dir")],
            [Member("lib", "symlink", linkname="usr/lib")],
            r"lib is a symlink in kernel \(new\), and a directory with something in it in init\[0\] \(old\)",
        ),
        (
            [Member("etc", "file")],
            [Member("etc/x", "dir")],
            r"kernel \(new\) has files in etc, which is a file in init\[0\] \(old\)",
        ),
        (
            [Member("x", "file"), Member("etc", "symlink", linkname="x")],
            [Member("etc/x", "dir")],
            r"kernel \(new\) has files in etc, which is a symlink in init\[0\] \(old\)",
        ),
        (
            [Member("etc", "symlink", linkname="x")],
            [Member("x", "file"), Member("etc/x", "file")],
            r"x is a file in kernel \(new\), and a directory with something in it in kernel \(new\)",
        ),
    ],
)
def test_contradictions_are_refused_with_both_names(
    part: Parts, tmp_path: Path, first: list[Member], second: list[Member], message: str
) -> None:
    parts = [part(first, "init[0]", "old"), part(second, "kernel", "new")]
    with pytest.raises(BuildError, match=message):
        joined(parts, tmp_path)


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/a/b"])


@st.composite
def small_trees(draw: st.DrawFn) -> list[Member]:
    """Members that one image could have; what contradictions there are, are those between images."""
    members: list[Member] = []
    for name in draw(st.lists(NAMES, unique=True, max_size=6)):
        if any(name.startswith(f"{other.name}/") and other.kind != "dir" for other in members):
            continue
        files = [member.name for member in members if member.kind == "file"]
        kind = draw(st.sampled_from(["file", "file", "dir", "dir", "symlink", "fifo", *["hardlink"] * bool(files)]))
        if kind != "dir" and any(other.name.startswith(f"{name}/") for other in members):
            kind = "dir"
        content = draw(st.binary(max_size=3))
        target = draw(st.sampled_from({"symlink": ["a", "/b", "a/a", "../a"], "hardlink": files}.get(kind, [""])))
        members.append(
            Member(
                name,
                kind,  # type: ignore[arg-type]
                draw(st.sampled_from([0o644, 0o755])),
                linkname=target,
                size=len(content) if kind == "file" else 0,
                open=(lambda content=content: io.BytesIO(content)) if kind == "file" else None,
            )
        )
    return members


def make_directory(files: Any, path: str, inode: Callable[..., Any], depth: int = 0) -> None:
    """As mkdir -p, which also makes what a dangling link leads to."""
    node = files.get(path)
    if node is not None and node.kind == "symlink" and depth < 9:
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), node.data.decode())).lstrip("/")
        make_directory(files, posixpath.dirname(target), inode, depth + 1)
        make_directory(files, target, inode, depth + 1)
    elif path:
        files.put(path, inode("dir", 0o755))


def unpacked(files: Any, members: Sequence[Member], inode: Callable[..., Any]) -> bool:
    """Take members as an unpacking tar does: each replaces what is in its place. False if that cannot be."""
    for member in members:
        steps = member.name.split("/")
        for count in range(1, len(steps)):
            make_directory(files, "/".join(steps[:count]), inode)
        if member.kind == "dir":
            old = files.get(member.name)
            if old is not None and old.kind != "dir":
                files.remove(member.name)
            files.put(member.name, inode("dir"))
            directory = files.get(member.name)
            if directory is None or directory.kind != "dir":
                return False
            directory.mode = member.mode
            continue
        linked = files.get(member.linkname) if member.kind == "hardlink" else None
        if member.kind == "hardlink" and (linked is None or linked.kind == "dir"):
            return False
        if linked is not None and linked.kind != "file":
            # The kernel links files only; of others there are two.
            linked = replace(linked)
        files.remove(member.name)
        content = member.open().read() if member.open else member.linkname.encode()
        if not files.put(member.name, linked or inode(member.kind, member.mode, data=content)):
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(trees=st.lists(small_trees(), min_size=1, max_size=4))
def test_a_kernel_has_what_an_unpacked_tar_has_or_it_is_refused(
    trees: list[list[Member]],
    part: Parts,
    boot: Callable[[bytes], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cache = tmp_path_factory.getbasetemp() / "shared-segments"
    try:
        files = boot(joined([part(members, location=str(n)) for n, members in enumerate(trees)], cache))
    except BuildError:
        return
    expected = boot(b"")
    inode = type(expected.root)
    for members in trees:
        assert unpacked(expected, members, inode)
    assert files.listing() == expected.listing()


@settings(max_examples=100, deadline=None)
@given(trees=st.lists(small_trees(), min_size=1, max_size=4))
def test_trees_of_directories_and_different_files_are_never_refused(
    trees: list[list[Member]], part: Parts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "shared-segments"
    # Names end with their kind, so nothing is two things.
    plain = [
        [replace(member, name=member.name + ("" if member.kind == "dir" else ".f")) for member in members]
        for members in trees
    ]
    plain = [[member for member in members if not member.kind.endswith("link")] for members in plain]
    joined([part(members, location=str(n)) for n, members in enumerate(plain)], cache)
