"""newc archives: read back by GNU cpio, by a reader of our own, and by a model of the kernel's."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui import programs
from thanos_tui.build import cpio
from thanos_tui.errors import BuildError
from thanos_tui.tree import Member

File = Callable[..., Member]
needs_cpio = pytest.mark.skipif(programs.find("cpio") is None, reason="GNU cpio is not installed")

# A name without a slash: anything else that a file may be called, even what is no UTF-8.
STEPS = (
    st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(str.encode), st.binary(max_size=12))
    .map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b"").decode("utf-8", "surrogateescape"))
    .filter(lambda text: text not in ("", ".", ".."))
)
NUMBERS = st.integers(0, 0xFFFF_FFFF)


def archive(members: Iterable[Member]) -> bytes:
    members = list(members)
    seen = cpio.survey(members)
    data = b"".join(cpio.archive(members, seen))
    assert len(data) == seen.size
    assert len(data) % 4 == 0
    return data


@st.composite
def trees(draw: st.DrawFn) -> list[Member]:
    """Members with different names, directories first; links to files that are there."""
    directories = draw(st.lists(STEPS, unique=True, max_size=3))
    members = [Member(name, "dir", draw(st.integers(0, 0o7777)), mtime=draw(NUMBERS)) for name in directories]
    taken = set(directories)
    files: list[str] = []
    for step in draw(st.lists(STEPS, unique=True, max_size=8)):
        name = f"{draw(st.sampled_from(directories))}/{step}" if directories and draw(st.booleans()) else step
        if name in taken:
            continue
        taken.add(name)
        kind = draw(st.sampled_from(["file", "symlink", "char", "block", "fifo", *(["hardlink"] if files else [])]))
        facts: dict[str, Any] = {
            "mode": draw(st.integers(0, 0o7777)),
            "uid": draw(NUMBERS),
            "gid": draw(NUMBERS),
            "mtime": draw(NUMBERS),
        }
        if kind == "file":
            content = draw(st.binary(max_size=40))
            facts |= {"size": len(content), "open": lambda content=content: io.BytesIO(content)}
            files.append(name)
        elif kind == "symlink":
            facts["linkname"] = draw(STEPS)
        elif kind == "hardlink":
            facts["linkname"] = draw(st.sampled_from(files))
        elif kind in ("char", "block"):
            facts["device"] = (draw(st.integers(0, 255)), draw(st.integers(0, 255)))
        members.append(Member(name, kind, **facts))
    return members


@given(members=trees())
def test_what_is_written_is_what_the_kernel_unpacks(
    members: list[Member], boot: Callable[[bytes], Any], read_archives: Callable[[bytes], Any]
) -> None:
    data = archive(members)
    listing = boot(data).listing()
    assert set(listing) == {member.name for member in members}
    by_name = {member.name: member for member in members}
    for member in members:
        found = listing[member.name]
        if member.kind == "hardlink":
            assert found[-1] == listing[member.linkname][-1]
            assert found[5] == by_name[member.linkname].open().read()  # type: ignore[misc]
        elif member.kind == "symlink":
            assert found == ("symlink", member.linkname)
        elif member.kind == "dir":
            assert found == ("dir", member.mode, member.uid, member.gid)
        else:
            assert found[0] == member.kind
            # Names of one file have one mode and owner: those of the name that has the content, as tar leaves them.
            assert found[1:5] == (member.mode, member.uid, member.gid, member.mtime)
            assert found[5] == (member.open().read() if member.open else b"")
            assert found[6] == member.device
    (entries,) = read_archives(data)
    assert [entry.inode for entry in entries if entry.links == 1][:-1] == sorted(
        entry.inode for entry in entries[:-1] if entry.links == 1
    )


@needs_cpio
@given(members=trees())
def test_gnu_cpio_lists_it(members: list[Member]) -> None:
    done = subprocess.run(["cpio", "-t", "--quiet", "--null"], input=archive(members), capture_output=True, check=True)
    assert not done.stderr
    # cpio -t ends lines with newlines whatever it is told, so names with newlines are compared as they come out.
    written = b"".join(member.name.encode("utf-8", "surrogateescape") + b"\n" for member in members)
    assert done.stdout.replace(b"\0", b"\n") == written


@needs_cpio
def test_gnu_cpio_unpacks_it(a_file: File, tmp_path: Path) -> None:
    members = [
        Member("usr", "dir", 0o755, mtime=1_000_000),
        a_file("usr/first", b"content", mode=0o4711, mtime=1_000_001),
        Member("usr/second", "hardlink", 0o4711, linkname="usr/first", mtime=1_000_001),
        Member("usr/link", "symlink", 0o777, linkname="first"),
        Member("pipe", "fifo", 0o640),
        a_file("empty", b""),
    ]
    uid, gid = os.getuid(), os.getgid()
    members = [Member(**{**vars(member), "uid": uid, "gid": gid}) for member in members]
    subprocess.run(
        ["cpio", "-i", "--quiet", "--preserve-modification-time"], input=archive(members), cwd=tmp_path, check=True
    )
    assert (tmp_path / "usr/second").read_bytes() == b"content"
    assert (tmp_path / "usr/first").samefile(tmp_path / "usr/second")
    assert stat.S_IMODE((tmp_path / "usr/first").stat().st_mode) == 0o4711
    assert (tmp_path / "usr/first").stat().st_mtime == 1_000_001
    assert (tmp_path / "usr/link").readlink() == Path("first")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "empty").stat().st_size == 0


def test_the_content_of_linked_files_is_there_once(a_file: File, read_archives: Callable[[bytes], Any]) -> None:
    members = [a_file("a", b"x" * 99), *(Member(name, "hardlink", linkname="a") for name in "bcd"), a_file("e", b"y")]
    entries = read_archives(archive(members))[0][:-1]
    assert [(entry.name, entry.inode, entry.links, len(entry.body)) for entry in entries] == [
        ("a", 1, 4, 99),
        ("b", 1, 4, 0),
        ("c", 1, 4, 0),
        ("d", 1, 4, 0),
        ("e", 5, 1, 1),
    ]


def test_links_to_links_and_to_symlinks(a_file: File, boot: Callable[[bytes], Any]) -> None:
    members = [
        a_file("a", b"x"),
        Member("b", "hardlink", linkname="a"),
        Member("c", "hardlink", linkname="b"),
        Member("s", "symlink", linkname="a"),
        Member("t", "hardlink", linkname="s"),
        Member("n", "char", 0o600, device=(1, 3)),
        Member("m", "hardlink", linkname="n"),
    ]
    listing = boot(archive(members)).listing()
    assert listing["c"][-1] == listing["b"][-1] == "a"
    assert listing["t"] == ("symlink", "a")
    assert listing["m"][:2] == ("char", 0o600)
    assert listing["m"][6] == (1, 3)


def test_large_files_come_in_pieces(a_file: File, boot: Callable[[bytes], Any]) -> None:
    content = os.urandom(5 << 20)
    member = a_file("large", content)
    pieces = list(cpio.archive([member], cpio.survey([member])))
    assert max(map(len, pieces)) < 3 << 20
    assert boot(b"".join(pieces)).get("large").data == content


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("./usr//bin/", "usr/bin"), ("/etc", "etc"), (".", "."), ("./", "."), ("a/./b", "a/b"), (".hidden", ".hidden")],
)
def test_names_come_out_clean(name: str, becomes: str) -> None:
    assert cpio.clean(name) == becomes


def test_a_file_may_be_called_like_the_end(a_file: File, boot: Callable[[bytes], Any]) -> None:
    assert set(boot(archive([a_file("TRAILER!!!", b"x"), a_file("z", b"y")])).listing()) == {"TRAILER!!!", "z"}


def test_times_are_cut_to_what_the_format_holds(a_file: File, read_archives: Callable[[bytes], Any]) -> None:
    members = [a_file(str(mtime), mtime=mtime) for mtime in (1.9, -5, 1 << 40)]
    assert [entry.mtime for entry in read_archives(archive(members))[0][:-1]] == [1, 0, 0xFFFF_FFFF]


def test_boot_files_stay_out(a_file: File, boot: Callable[[bytes], Any]) -> None:
    members = [Member("boot", "dir"), a_file("boot/kernel", b"k"), a_file("boot/x/y", b"z"), a_file("bootx", b"")]
    assert cpio.survey(members).boot == {"boot/kernel": 1, "boot/x/y": 1}
    assert set(boot(archive(members)).listing()) == {"boot", "bootx"}


def test_needed_directories_are_those_that_come_too_late(a_file: File) -> None:
    members = [a_file("a/b/c"), Member("a", "dir"), Member("d", "dir"), a_file("d/e"), a_file("d/f/g")]
    seen = cpio.survey(members)
    assert seen.needs == ("a", "a/b", "d/f")
    assert seen.directories == ("a", "d")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([Member("big", "file", size=1 << 32)], "big has 4096 MiB, and an initrd holds files of less"),
        ([Member("a", "dir", uid=1 << 32)], "a belongs to 4294967296:0"),
        ([Member("n" * 4096, "dir")], "is longer than Linux allows"),
        ([Member("l", "symlink", linkname="t" * 4096)], "target of the symbolic link l"),
        ([Member("l", "symlink", linkname="")], "target of the symbolic link l"),
        ([Member("a/../../b", "dir")], "a/../../b leads out of the root"),
        ([Member("h", "hardlink", linkname="gone")], "h is a hard link to gone, which is not there"),
        ([Member("f", "file"), Member("h", "hardlink", linkname="f"), Member("f", "file")], "f comes twice"),
        ([Member("f", "file"), Member("f/g", "file")], "f/g is in f, which is a file"),
        ([Member("f/g", "file"), Member("f", "file")], "f is a directory, and then a file"),
        ([Member("f", "file"), Member("f", "dir")], "f is a file, and then a directory"),
        ([Member("f", "file", size=1)], "f has a size and no content"),
        ([Member("f", "file", size=9, open=lambda: io.BytesIO(b"short"))], "f is 4 bytes shorter"),
        ([Member("f", "file", size=1, open=lambda: io.BytesIO(b"long"))], "f is longer than the 1 bytes"),
    ],
)
def test_what_an_archive_cannot_hold_is_refused_by_name(members: list[Member], message: str) -> None:
    with pytest.raises(BuildError, match=message.replace("(", r"\(")):
        archive(members)
