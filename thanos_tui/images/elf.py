"""ELF files: what a program needs in order to start, for any architecture, from its headers alone.

Only the program headers and the dynamic section are read, as the dynamic linker does it (System V ABI, chapter 5, and
ld.so(8)); section headers may be stripped. A general ELF library gives the same facts at many times the cost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from thanos_tui.errors import BuildError

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 14, 15, 29
# Far more than any real file has; keeps a damaged header from asking for gigabytes.
_TABLE_LIMIT = 1 << 24
# What a file offset can be.
_OFFSET_LIMIT = 1 << 63

# Debian's multiarch directories, by its name of the architecture.
TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armel": "arm-linux-gnueabi",
    "armhf": "arm-linux-gnueabihf",
    "i386": "i386-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}


class MissingLibrary(BuildError):
    """A library that a program needs is in no directory the dynamic linker searches."""


@dataclass(frozen=True)
class Elf:
    """What an ELF file says about itself.

    target: (class, byte order, machine); files that are loaded together agree in it.
    interpreter: the dynamic linker's path, ``""`` for libraries and static programs.
    needed, rpath, runpath: as written, ``$ORIGIN`` and all; the paths already split.
    """

    target: tuple[int, int, int]
    interpreter: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]


def read(stream: BinaryIO, name: str) -> Elf | None:
    """The facts of the ELF file in ``stream`` (seekable), or None where it is something else.

    Raises BuildError, which calls the file ``name``, where its tables point outside of it.
    """
    ident = stream.read(64)
    if ident[:4] != b"\x7fELF" or len(ident) < 52 or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        return None
    wide = ident[4] == 2
    order = "<" if ident[5] == 1 else ">"

    def table(offset: int, size: int) -> bytes:
        data = b""
        if offset < _OFFSET_LIMIT and size <= _TABLE_LIMIT:
            stream.seek(offset)
            data = stream.read(size)
        if len(data) != size:
            raise BuildError(f"{name}: the ELF file is damaged (a table lies outside of the file)")
        return data

    try:
        machine = struct.unpack_from(order + "H", ident, 18)[0]
        if wide:
            start, entry, count = (
                struct.unpack_from(order + "Q", ident, 32)[0],
                *struct.unpack_from(order + "HH", ident, 54),
            )
        else:
            start, entry, count = (
                struct.unpack_from(order + "I", ident, 28)[0],
                *struct.unpack_from(order + "HH", ident, 42),
            )
        headers = table(start, entry * count)
        segments = [_segment(headers, index * entry, order, wide) for index in range(count)]
        interpreter = next((table(s.offset, s.size) for s in segments if s.kind == _PT_INTERP), b"")
        dynamic = next((table(s.offset, s.size) for s in segments if s.kind == _PT_DYNAMIC), b"")
        entries = list(struct.iter_unpack(order + ("qQ" if wide else "iI"), dynamic))
    except struct.error as error:
        raise BuildError(f"{name}: the ELF file is damaged ({error})") from error
    values = dict(reversed(entries))  # of a repeated tag the first counts
    strings = b""
    if _DT_STRTAB in values:
        address = values[_DT_STRTAB]
        home = next((s for s in segments if s.kind == _PT_LOAD and s.address <= address < s.address + s.size), None)
        if home is not None:
            strings = table(home.offset + address - home.address, values.get(_DT_STRSZ, 0))

    def text(offset: int) -> str:
        if offset >= len(strings):
            raise BuildError(f"{name}: the ELF file is damaged (a name lies outside of its string table)")
        return strings[offset:].partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def paths(tag: int) -> tuple[str, ...]:
        return tuple(filter(None, text(values[tag]).split(":"))) if tag in values else ()

    return Elf(
        target=(ident[4], ident[5], machine),
        interpreter=interpreter.rstrip(b"\0").decode("utf-8", "surrogateescape"),
        needed=tuple(text(value) for tag, value in entries if tag == _DT_NEEDED),
        rpath=paths(_DT_RPATH),
        runpath=paths(_DT_RUNPATH),
    )


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def _segment(headers: bytes, at: int, order: str, wide: bool) -> _Segment:
    if wide:
        kind, _flags, offset, address, _physical, size = struct.unpack_from(order + "IIQQQQ", headers, at)
    else:
        kind, offset, address, _physical, size = struct.unpack_from(order + "IIIII", headers, at)
    return _Segment(kind, offset, address, size)


@dataclass(frozen=True)
class Library:
    """A file found for a name: where it was found, what links lead to, and its facts."""

    found: str
    path: str
    elf: Elf


Look = Callable[[str], Library | None]


def standard_places(arch: str) -> list[str]:
    """The directories that Debian's dynamic linker searches by itself, for an architecture by Debian's name."""
    triplet = TRIPLETS.get(arch, "")
    both = [f"{base}/{part}".rstrip("/") for part in (triplet, "") for base in ("/lib", "/usr/lib")]
    return [*dict.fromkeys(both), "/lib64", "/usr/lib64"]


def closure(
    path: str, look: Look, arch: str, *, named_by: str, search: Sequence[str] = (), hint: str | None = None
) -> Iterator[str]:
    """Every path that the ELF file at ``path`` needs besides itself: its interpreter and, transitively, its libraries.

    look: gives the file at an absolute path of the tree, links followed, or None. arch: Debian's name.
    search: the directories in the LD_LIBRARY_PATH that it runs with.
    Raises BuildError naming ``named_by`` and the library where one is in no directory that the dynamic linker searches.
    """
    start = look(path)
    if start is None:
        return
    if start.elf.interpreter:
        yield start.elf.interpreter
    triplet = TRIPLETS.get(arch, "")
    standard = standard_places(arch)
    seen: set[str] = {start.path}
    # Each library with the RPATHs of those that loaded it: ld.so goes up that chain as long as there is no RUNPATH.
    queue: list[tuple[Library, tuple[str, ...]]] = [(start, ())]
    while queue:
        library, inherited = queue.pop(0)
        own = tuple(_expanded(entry, library.path, triplet) for entry in library.elf.rpath)
        chain = (*own, *inherited)
        runpath = [_expanded(entry, library.path, triplet) for entry in library.elf.runpath]
        places = [*search, *runpath, *standard] if runpath else [*chain, *search, *standard]
        for name in library.elf.needed:
            found = _find(name, places, library.elf.target, look)
            if found is None:
                by = f" (asked for by {library.path})" if library.path != start.path else ""
                raise MissingLibrary(
                    f"{named_by} needs the library {name}, which no package of the recipe has{by}", hint=hint
                )
            yield found.found
            if found.path not in seen:
                seen.add(found.path)
                queue.append((found, chain))


def _find(name: str, places: list[str], target: tuple[int, int, int], look: Look) -> Library | None:
    for candidate in [name] if "/" in name else [f"{place}/{name}" for place in places]:
        found = look(candidate)
        # A library of another architecture is passed over, as ld.so does it.
        if found is not None and found.elf.target == target:
            return found
    return None


def _expanded(entry: str, path: str, triplet: str) -> str:
    origin = path.rpartition("/")[0]
    for word, value in (("ORIGIN", origin), ("LIB", f"lib/{triplet}"), ("PLATFORM", triplet.partition("-")[0])):
        entry = entry.replace(f"${{{word}}}", value).replace(f"${word}", value)
    return entry
