"""The ELF closure, on files of this machine and on crafted ones."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from thanos_tui.errors import BuildError
from thanos_tui.images import elf
from thanos_tui.images.elf import Elf, Library, closure


def real() -> list[Path]:
    names = ["sh", "ls", "tar", "apt-get", "gpg", "ldd", "python3"]
    found = [Path(path) for name in names if (path := shutil.which(name))]
    libraries = sorted(Path("/usr/lib").glob("*-linux-gnu*/lib*.so.*"))[:40]
    return [Path(sys.executable).resolve(), *found, *libraries]


@pytest.mark.parametrize("path", real(), ids=str)
def test_agrees_with_readelf(path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    with path.open("rb") as stream:
        found = elf.read(stream, str(path))
    if found is None:
        assert path.read_bytes()[:4] != b"\x7fELF"
        return
    said = subprocess.run(["readelf", "-W", "-d", "-l", str(path)], capture_output=True, text=True, check=True).stdout
    assert list(found.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    assert found.interpreter == next(iter(re.findall(r"program interpreter: (.*)\]", said)), "")
    assert list(found.runpath) == [
        part for text in re.findall(r"\(RUNPATH\).*\[(.*)\]", said) for part in text.split(":")
    ]


def test_the_closure_is_what_ldd_says() -> None:
    ldd = shutil.which("ldd")
    if ldd is None:
        pytest.skip("ldd is not installed")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(__import__("platform").machine(), "")

    def look(path: str) -> Library | None:
        try:
            real_path = Path(path).resolve(strict=True)
            with real_path.open("rb") as stream:
                found = elf.read(stream, path)
        except OSError:
            return None
        return Library(path, str(real_path), found) if found else None

    program = shutil.which("apt-get") or "/bin/ls"
    said = subprocess.run([ldd, program], capture_output=True, text=True, check=True).stdout
    expected = {Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", said)}
    assert {Path(path).resolve() for path in closure(program, look, machine, named_by=program)} == expected


def image(needed: list[str], runpath: str = "", rpath: str = "", interpreter: str = "", wide: bool = True) -> bytes:
    """A little-endian ELF file with these dynamic entries and nothing else."""
    strings = b"\0"
    entries: list[tuple[int, int]] = []
    for tag, text in [*((1, name) for name in needed), (29, runpath), (15, rpath)]:
        if text:
            entries.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    head, segment, entry = (64, 56, "<qQ") if wide else (52, 32, "<iI")
    count = 3
    at = head + count * segment
    interp = interpreter.encode() + b"\0" if interpreter else b""
    strings_at = at + len(interp)
    entries += [(5, strings_at), (10, len(strings)), (0, 0)]
    dynamic_at = strings_at + len(strings)
    dynamic = b"".join(struct.pack(entry, *pair) for pair in entries)
    total = dynamic_at + len(dynamic)

    def header(kind: int, offset: int, size: int) -> bytes:
        if wide:
            return struct.pack("<IIQQQQQQ", kind, 4, offset, offset, offset, size, size, 1)
        return struct.pack("<IIIIIIII", kind, offset, offset, offset, size, size, 4, 1)

    headers = header(1, 0, total) + header(2, dynamic_at, len(dynamic))
    headers += header(3, at, len(interp)) if interp else header(0, 0, 0)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        ident += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, head, 0, 0, head, segment, count, 64, 0, 0)
    else:
        ident += struct.pack("<HHIIIIIHHHHHH", 3, 40, 1, 0, head, 0, 0, head, segment, count, 40, 0, 0)
    return ident + headers + interp + strings + dynamic


@pytest.mark.parametrize("wide", [True, False])
def test_reads_both_classes(wide: bool) -> None:
    data = image(["libb.so", "liba.so"], "$ORIGIN/x:/opt", "", "/lib/ld.so", wide)
    found = elf.read(io.BytesIO(data), "x")
    assert found == Elf(
        (2 if wide else 1, 1, 62 if wide else 40), "/lib/ld.so", ("libb.so", "liba.so"), (), ("$ORIGIN/x", "/opt")
    )


def tree(**files: bytes) -> elf.Look:
    def look(path: str) -> Library | None:
        data = files.get(path)
        found = elf.read(io.BytesIO(data), path) if data else None
        return Library(path, path, found) if found else None

    return look


def test_follows_rpath_and_runpath_as_ld_so_does() -> None:
    look = tree(
        **{
            "/opt/bin/tool": image(["liba.so", "libc.so.6"], runpath="$ORIGIN/../lib", interpreter="/lib64/ld.so.2"),
            "/opt/bin/../lib/liba.so": image(["libb.so"]),
            # RUNPATH is not inherited: /opt/lib/libb.so must not be found for liba.
            "/opt/bin/../lib/libb.so": image([]),
            "/usr/lib/x86_64-linux-gnu/libb.so": image([]),
            "/lib/x86_64-linux-gnu/libc.so.6": image([]),
        }
    )
    assert list(closure("/opt/bin/tool", look, "amd64", named_by="tool")) == [
        "/lib64/ld.so.2",
        "/opt/bin/../lib/liba.so",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libb.so",
    ]
    look = tree(
        **{
            "/opt/bin/tool": image(["liba.so"], rpath="/opt/lib"),
            "/opt/lib/liba.so": image(["libb.so"]),
            "/opt/lib/libb.so": image([]),
        }
    )
    assert list(closure("/opt/bin/tool", look, "amd64", named_by="tool")) == ["/opt/lib/liba.so", "/opt/lib/libb.so"]


def test_searches_the_library_path_after_rpath_and_before_runpath() -> None:
    names = ["liba.so", "libb.so"]
    libraries = {f"{place}/{name}": image([]) for place in ("/own", "/by-env") for name in names}
    del libraries["/by-env/libb.so"]
    for tags, first in (({"runpath": "/own"}, "/by-env"), ({"rpath": "/own"}, "/own"), ({}, "/by-env")):
        look = tree(**{"/bin/tool": image(names, **tags), "/lib/libb.so": image([]), **libraries})
        last = "/own" if tags else "/lib"
        found = list(closure("/bin/tool", look, "amd64", named_by="tool", search=["/by-env"]))
        assert found == [f"{first}/liba.so", f"{last}/libb.so"]


def test_passes_over_libraries_of_another_class() -> None:
    look = tree(
        **{
            "/bin/tool": image(["liba.so"]),
            "/lib/x86_64-linux-gnu/liba.so": image([], wide=False),
            "/usr/lib/liba.so": image([]),
        }
    )
    assert list(closure("/bin/tool", look, "amd64", named_by="tool")) == ["/usr/lib/liba.so"]


def test_circles_end() -> None:
    look = tree(
        **{"/bin/t": image(["liba.so"]), "/lib/liba.so": image(["libb.so"]), "/lib/libb.so": image(["liba.so"])}
    )
    assert set(closure("/bin/t", look, "amd64", named_by="t")) == {"/lib/liba.so", "/lib/libb.so"}


def test_names_the_program_and_the_library_that_is_missing() -> None:
    look = tree(**{"/bin/t": image(["liba.so"]), "/lib/liba.so": image(["libgone.so.3"])})
    with pytest.raises(
        elf.MissingLibrary, match=r"/bin/t needs the library libgone\.so\.3.*asked for by /lib/liba\.so"
    ):
        list(closure("/bin/t", look, "amd64", named_by="/bin/t"))


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + bytes(80)])
def test_other_files_are_no_elf_files(data: bytes) -> None:
    assert elf.read(io.BytesIO(data), "x") is None


def test_damaged_files_are_said_to_be() -> None:
    whole = image(["liba.so"], "/opt", "", "/lib/ld.so")
    for end in range(64, len(whole), 7):
        with pytest.raises(BuildError, match="damaged"):
            elf.read(io.BytesIO(whole[:end]), "x")
    for at in range(16, len(whole), 3):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        try:
            elf.read(io.BytesIO(bytes(broken)), "x")
        except BuildError as error:  # a changed byte may also leave a file whole
            assert "damaged" in error.message  # noqa: PT017
