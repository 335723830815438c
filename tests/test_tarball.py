"""Archives: read back by Python's tarfile and by our own reader; hostile and damaged ones are refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui import tarball
from thanos_tui.errors import BuildError
from thanos_tui.tree import Member

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}

# Any file name that Linux can have, also one that is no UTF-8; long ones go beyond ustar's fields.
steps = (
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=70)
    .filter(lambda text: text not in (".", ".."))
    .map(lambda text: text + "\udcff" * text.count("!"))
)
names = st.lists(steps, min_size=1, max_size=4).map("/".join)


@st.composite
def members(draw: st.DrawFn) -> Member:
    kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]))
    content = draw(st.binary(max_size=1500)) if kind == "file" else b""
    mtime = draw(st.one_of(st.integers(-(2**31), 2**35), st.floats(0, 2**33).map(lambda time: round(time, 3))))
    return Member(
        name=draw(names),
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32)),
        gid=draw(st.integers(0, 2**32)),
        mtime=mtime,
        linkname=draw(names) if kind in ("symlink", "hardlink") else "",
        size=len(content),
        device=draw(st.tuples(st.integers(0, 4095), st.integers(0, 2**20))) if kind in ("char", "block") else (0, 0),
        pax=draw(st.dictionaries(st.sampled_from(["SCHILY.xattr.user.a", "comment", "X.y"]), st.text(max_size=200))),
        open=(lambda: io.BytesIO(content)) if kind == "file" else None,
    )


def archive(tree: list[Member]) -> bytes:
    return b"".join(tarball.chunks(tree))


def read(data: bytes) -> tuple[list[str], str]:
    """The names in an archive, up to its end or the error that reading it gave."""
    seen = []
    try:
        for member in tarball.members(io.BytesIO(data), "it"):
            content(member)
            seen.append(member.name)
    except BuildError as error:
        return seen, error.message
    return seen, ""


def content(member: Member) -> bytes:
    return member.open().read() if member.open else b""


@given(st.lists(members(), max_size=6))
def test_what_is_written_is_read_back(tree: list[Member]) -> None:
    data = archive(tree)
    seen = [(member, content(member)) for member in tarball.members(io.BytesIO(data), "it")]
    assert len(seen) == len(tree)
    for (got, data), member in zip(seen, tree, strict=True):
        fields = ("name", "kind", "mode", "uid", "gid", "mtime", "linkname", "size", "device")
        assert [getattr(got, field) for field in fields] == [getattr(member, field) for field in fields]
        assert {key: value for key, value in got.pax.items() if key != "mtime"} == member.pax
        assert data == content(member)


@given(st.lists(members(), max_size=6))
def test_tarfile_reads_what_is_written(tree: list[Member]) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(tree)), errors="surrogateescape") as seen:
        infos = list(seen)
        assert len(infos) == len(tree)
        for info, member in zip(infos, tree, strict=True):
            assert info.name == member.name
            assert KINDS[info.type] == member.kind
            assert (info.mode, info.uid, info.gid, info.mtime) == (member.mode, member.uid, member.gid, member.mtime)
            assert info.linkname == member.linkname
            if member.kind == "file":
                stream = seen.extractfile(info)
                assert stream is not None
                assert stream.read() == content(member)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_archives_of_tarfile_are_read(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        info = tarfile.TarInfo("./" + "d" * 90 + "/" + "f" * 90)
        info.size, info.uid = 5, 2_000_000
        made.addfile(info, io.BytesIO(b"hello"))
        link = tarfile.TarInfo("./link")
        link.type, link.linkname = tarfile.LNKTYPE, "./" + "d" * 9 + "/x"
        made.addfile(link)
    first, second = ((member, content(member)) for member in tarball.members(io.BytesIO(out.getvalue()), "it"))
    assert (first[0].name, first[1], first[0].uid) == ("d" * 90 + "/" + "f" * 90, b"hello", 2_000_000)
    assert (second[0].kind, second[0].linkname) == ("hardlink", "d" * 9 + "/x")


@pytest.mark.parametrize("jump", [False, True])
def test_content_that_is_not_asked_for_is_skipped(a_file: Callable[..., Member], jump: bool) -> None:
    data = archive([a_file("a", b"x" * 2000), a_file("b", b"y")])
    seen = []
    for member in tarball.members(io.BytesIO(data), "it", jump=jump):
        seen.append(member.name)
        if member.name == "a":
            assert member.open is not None
            assert member.open().read(10) == b"x" * 10
    assert seen == ["a", "b"]


@given(st.binary(max_size=3000))
def test_noise_is_refused_or_empty(data: bytes) -> None:
    seen, problem = read(data)
    assert not seen
    assert not problem or problem.startswith("it: ")


@given(st.integers(0, 3583), st.integers(0, 255))
def test_a_changed_byte_is_no_crash(position: int, value: int) -> None:
    tree = [
        Member("dir", "dir"),
        Member("dir/" + "n" * 120, "file", size=700, open=lambda: io.BytesIO(b"c" * 700)),
        Member("link", "symlink", linkname="dir"),
    ]
    data = bytearray(archive(tree))
    data[position] = value
    _, problem = read(bytes(data))
    assert not problem or problem.startswith("it: ")


def test_a_damaged_header_in_the_middle_is_not_the_end(a_file: Callable[..., Member]) -> None:
    data = bytearray(archive([a_file("a"), a_file("b")]))
    data[512] ^= 1
    with pytest.raises(BuildError, match="damaged"):
        list(tarball.members(io.BytesIO(bytes(data)), "it"))


@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("length", [100, 600, 1300, 2600])
def test_an_archive_that_is_cut_off_is_refused(a_file: Callable[..., Member], length: int, jump: bool) -> None:
    data = archive([a_file("a", b"x" * 600), a_file("b", b"y" * 600)])[:length]
    with pytest.raises(BuildError, match=r"cut off|not a tar"):
        list(tarball.members(io.BytesIO(data), "it", jump=jump))


def test_a_size_that_no_file_has_is_not_jumped_over(a_file: Callable[..., Member]) -> None:
    header = bytearray(archive([a_file("a", b"x")])[:1024])
    header[124:136] = b"\x80" + (1 << 80).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    with pytest.raises(BuildError, match="cut off"):
        list(tarball.members(io.BytesIO(bytes(header)), "it", jump=True))


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a/.."])
def test_names_that_lead_out_are_refused(a_file: Callable[..., Member], name: str) -> None:
    with pytest.raises(BuildError, match="leads out of the tree") as caught:
        list(tarball.members(io.BytesIO(archive([a_file(name)])), "layer 3"))
    assert repr(name) in caught.value.message
    assert caught.value.message.startswith("layer 3: ")


def header(flag: bytes, size: bytes, name: bytes = b"x") -> bytes:
    """A header with a correct checksum and whatever else."""
    numbers = b"0000644\0" + b"0000000\0" * 2 + size + b"0" * 11 + b"\0"
    made = name.ljust(100, b"\0") + numbers + b" " * 8 + flag
    made = made.ljust(257, b"\0") + b"ustar\00000"
    made = made.ljust(512, b"\0")
    return made[:148] + b"%06o\0 " % sum(made) + made[156:]


@pytest.mark.parametrize(
    ("flag", "size", "problem"),
    [
        (b"x", b"77777777777\0", "extended headers"),
        (b"L", b"77777777777\0", "extended headers"),
        (b"g", b"\x80" + b"\xff" * 11, "extended headers"),
        (b"0", b"\x80" + b"\xff" * 11, "cut off"),
        (b"0", b"\xff" * 12, "negative"),
        (b"0", b"not a number", "no number"),
        (b"S", b"00000000000\0", "sparse"),
        (b"Z", b"00000000000\0", "type b'Z'"),
    ],
)
def test_absurd_headers_are_refused(flag: bytes, size: bytes, problem: str) -> None:
    with pytest.raises(BuildError, match=problem):
        list(tarball.members(io.BytesIO(header(flag, size) + bytes(2048)), "it"))


def test_headers_that_only_pile_up_are_refused() -> None:
    # Each of them is small enough; no member ever comes.
    flood = (header(b"g", b"00001750000\0") + b"1000 a=".ljust(999, b"b") + b"\n" + bytes(24)) * 3000
    with pytest.raises(BuildError):
        list(tarball.members(io.BytesIO(flood), "it"))


@pytest.mark.parametrize("size", [3, 7])
def test_content_of_another_length_than_stated_is_an_error(size: int) -> None:
    member = Member("a", "file", size=size, open=lambda: io.BytesIO(b"12345"))
    with pytest.raises(BuildError, match="a is"):
        archive([member])


def test_nanoseconds_survive(a_file: Callable[..., Member]) -> None:
    exact = "1577836800.123456789"
    (read,) = tarball.members(io.BytesIO(archive([a_file("a", pax={"mtime": exact}, mtime=float(exact))])), "it")
    assert read.pax["mtime"] == exact
