"""The reader of packages: all compressions, and files that lie."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError
from thanos_tui.images import deb
from thanos_tui.tree import Member

ENTRIES: dict[str, Any] = {
    "usr": None,
    "usr/bin": None,
    "usr/bin/tool": b"\x7fELF" + bytes(100_000),
    "usr/bin/alias": "tool",
    "usr/share/" + "deep/" * 60 + "file": b"far down",
    "empty": b"",
}


def read(data: bytes) -> list[tuple[Member, bytes]]:
    return [
        (member, member.open().read() if member.open else b"") for member in deb.members(io.BytesIO(data), "a test")
    ]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_reads_every_compression(debs: Any, suffix: str) -> None:
    found = read(debs.make_deb(ENTRIES, suffix))
    assert [member.name for member, _ in found] == list(ENTRIES)
    by_name = {member.name: (member, content) for member, content in found}
    for name, content in ENTRIES.items():
        member, data = by_name[name]
        kind = "dir" if content is None else "symlink" if isinstance(content, str) else "file"
        assert member.kind == kind
        assert data == (content if isinstance(content, bytes) else b"")
    assert by_name["usr/bin/alias"][0].linkname == "tool"
    assert by_name["usr/bin/tool"][0].mode == 0o755


def test_content_that_is_not_read_is_passed_over(debs: Any) -> None:
    data = debs.make_deb({"a": bytes(3_000_000), "b": b"b"})
    names = [member.name for member in deb.members(io.BytesIO(data), "a test")]
    assert names == ["a", "b"]


def test_reads_several_streams_in_a_row(debs: Any) -> None:
    whole = debs.make_tar(ENTRIES)
    for suffix, pack in ((".xz", lzma.compress), (".gz", gzip.compress)):
        data = debs.ar([("debian-binary", b"2.0\n"), (f"data.tar{suffix}", pack(whole[:5000]) + pack(whole[5000:]))])
        assert [member.name for member, _ in read(data)] == list(ENTRIES)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_says_that_a_package_is_cut_off(debs: Any, suffix: str) -> None:
    data = debs.make_deb(ENTRIES, suffix)
    for end in (len(data) - 100, len(data) * 2 // 3, 100, 10):
        with pytest.raises(BuildError, match="a test"):
            read(data[:end])


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_says_that_a_package_is_damaged(debs: Any, suffix: str) -> None:
    packed = bytearray(debs.PACKERS[suffix](debs.make_tar(ENTRIES)))
    packed[len(packed) // 2] ^= 0xFF
    packed[len(packed) // 2 + 1] ^= 0xFF
    with pytest.raises(BuildError, match="a test"):
        read(debs.ar([("debian-binary", b"2.0\n"), (f"data.tar{suffix}", bytes(packed))]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("debian-binary", b"3.0\n"), ("data.tar", b"")], "format"),
        ([("debian-binary", b"2.0\n")], "no data.tar"),
        ([("debian-binary", b"2.0\n"), ("data.tar.lzma", b"x")], "compressed with lzma"),
        ([("debian-binary", b"2.0\n"), ("data.tar", b"x" * 600)], "not a tar archive"),
    ],
)
def test_refuses_what_is_no_package(debs: Any, parts: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        read(debs.ar(parts))


@pytest.mark.parametrize("data", [b"", b"junk", b"!<arch>\nshort", b"!<arch>\n" + b"x" * 60])
def test_refuses_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(BuildError, match="a test"):
        read(data)


@pytest.mark.parametrize("name", ["../escape", "usr/../../escape", "/absolute"])
def test_refuses_names_that_leave_the_tree(debs: Any, name: str) -> None:
    info = tarfile.TarInfo(name)
    with pytest.raises(BuildError, match="a test"):
        read(debs.make_deb({"x": info}))


def test_a_dictionary_of_gigabytes_is_refused(debs: Any) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29, "preset": 0}]
    packed = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(BuildError, match="damaged"):
        read(debs.ar([("debian-binary", b"2.0\n"), ("data.tar.xz", packed)]))


def test_agrees_with_dpkg(debs: Any, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    path = tmp_path / "x.deb"
    path.write_bytes(debs.make_deb(ENTRIES, ".xz", "Package: x\nVersion: 1\nArchitecture: all\n"))
    plain = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        expected = [name.removeprefix("./") for name in archive.getnames()]
    assert [member.name for member, _ in read(path.read_bytes())] == expected
