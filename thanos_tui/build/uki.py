"""Unified kernel images: one EFI program that holds a kernel, its command line and its initrd.

It is systemd's EFI stub with sections added, which the stub looks for by name. What systemd's own ukify does, streamed:
nothing but the stub and the headers is in memory. The layout is that of Microsoft's PE format; section names and their
order are those of the UAPI group's specification of unified kernel images.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from thanos_tui.build.blobs import Blob
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import BuildError, InputError
from thanos_tui.images import data

# Debian's names of the processors that PE headers have numbers for.
MACHINES = {0x8664: "amd64", 0xAA64: "arm64"}
# Addresses in a PE image have 32 bits, and firmware may take them as signed.
LARGEST = 0x7FFF_FFFF
_PAGE = 4096
_HEADER = 40
_READ, _CODE, _DATA = 0x4000_0000, 0x20, 0x40
_PE32_PLUS = 0x20B
# Entry 4 of the data directories: where a signature is, which does not hold for what we make of the stub.
_SIGNATURE = 112 + 4 * 8
# A kernel's COMMAND_LINE_SIZE on both architectures, with the zero at its end.
_CMDLINE = 2047


@dataclass(frozen=True)
class _Section:
    """A section to add: bytes in the file, and in memory."""

    name: bytes
    size: int
    memory: int
    flags: int
    chunks: Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Image:
    """A unified kernel image that is ready to be written: its size in bytes, and what it consists of."""

    arch: str
    size: int
    _head: bytes
    _sections: tuple[_Section, ...]
    _alignment: int

    def chunks(self) -> Iterator[bytes]:
        """The file, in pieces; raises blobs.Damaged as the initrd's pieces do."""
        yield self._head
        for section in self._sections:
            yield from section.chunks()
            yield b"\0" * (-section.size % self._alignment)


@dataclass(frozen=True)
class _Headers:
    """Where things are in a PE file, and what is needed of them."""

    coff: int
    optional: int
    table: int
    machine: int
    sections: int
    alignment: int
    file_alignment: int
    memory: int
    headers: int


def image(system: Bootable) -> Image:
    """What boots ``system``, for the architecture that its kernel is for.

    Raises InputError where there is no kernel, it has no EFI header, or things do not fit; HostError where the stub is
    missing, BuildError where that is damaged.
    """
    check(system)
    assert system.kernel is not None  # noqa: S101 - check() saw to it
    kernel, arch = _kernel(system.kernel)
    path = data.require("efi-stub", arch)
    stub = path.read_bytes()
    found = _headers(stub)
    if found is None or found.machine != kernel.machine:
        raise BuildError(f"{path} is no EFI program for {arch}", hint="install its package anew")
    cmdline = system.command_line.encode()
    sections = [
        _small(
            b".osrel", f"ID=thanos\nNAME=ThanOS\nPRETTY_NAME=ThanOS\nBUILD_ID={system.identity[:8].hex()}\n".encode()
        ),
        *([_small(b".cmdline", cmdline)] if cmdline else []),
        _Section(b".initrd", system.size, system.size, _READ | _DATA, system.initrd),
        # The last one, and as large as the kernel gets: old kernels are started where they are, and unpack themselves.
        _Section(
            b".linux", system.kernel.size, max(system.kernel.size, kernel.memory), _READ | _CODE, system.kernel.chunks
        ),
    ]
    head, size, memory = _join(stub, found, sections, str(path))
    if max(size, memory) > LARGEST:
        raise _too_large(system)
    return Image(arch, size, head, tuple(sections), found.file_alignment)


def architecture(kernel: Blob) -> str:
    """What a kernel is for; raises InputError where EFI cannot start it."""
    return _kernel(kernel)[1]


def architecture_of(start: bytes) -> str | None:
    """What a program of EFI's is for, told from its beginning; None where that is none for a known processor."""
    found = _headers(start)
    return MACHINES.get(found.machine) if found else None


def check(system: Bootable) -> None:
    """Raise InputError where no unified kernel image can hold and boot this, before anything is written."""
    if system.kernel is None:
        raise InputError("an EFI image cannot boot without a kernel", hint="name one, or choose the format tar")
    if system.size + system.kernel.size > LARGEST:
        raise _too_large(system)
    length = len(system.command_line.encode())
    if length > _CMDLINE:
        raise InputError(f"the kernel's command line has {length} bytes, and a kernel takes {_CMDLINE}")


def _kernel(kernel: Blob) -> tuple[_Headers, str]:
    start = next(kernel.chunks(), b"")
    found, arch = _headers(start), architecture_of(start)
    if found is None or arch is None:
        raise InputError(
            "the kernel cannot be started by EFI: it has no EFI header for a known processor",
            hint="use a kernel that was built with CONFIG_EFI_STUB, not decompressed; or choose another format",
        )
    return found, arch


def _too_large(system: Bootable) -> InputError:
    return InputError(
        f"the initrd has {system.size >> 20} MiB, and an EFI image may have less than 2048 MiB",
        hint="choose the format kernel+initrd, or leave components out",
    )


def _small(name: bytes, content: bytes) -> _Section:
    return _Section(name, len(content), len(content), _READ | _DATA, lambda: [content])


def _headers(start: bytes) -> _Headers | None:
    """The headers of a PE32+ file; None where it is none. start: the file's beginning, with all headers."""
    try:
        if start[:2] != b"MZ":
            return None
        (pe,) = struct.unpack_from("<I", start, 0x3C)
        optional = pe + 24
        machine, sections = struct.unpack_from("<HH", start, pe + 4)
        (size,) = struct.unpack_from("<H", start, pe + 20)
        if start[pe : pe + 4] != b"PE\0\0" or struct.unpack_from("<H", start, optional) != (_PE32_PLUS,):
            return None
        alignment, file_alignment = struct.unpack_from("<II", start, optional + 32)
        memory, headers = struct.unpack_from("<II", start, optional + 56)
    except struct.error:
        return None
    return _Headers(
        pe + 4, optional, optional + size, machine, sections, alignment, max(file_alignment, 1), memory, headers
    )


def _join(stub: bytes, found: _Headers, added: list[_Section], path: str) -> tuple[bytes, int, int]:
    """The stub with the headers for more sections, the whole file's size, and what it takes in memory."""
    end = found.table + found.sections * _HEADER
    if end + len(added) * _HEADER > found.headers:
        raise BuildError(f"the EFI stub {path} has no room for {len(added)} more sections")
    offset = address = found.headers
    for number in range(found.sections):
        memory, start, size, place = struct.unpack_from("<IIII", stub, found.table + number * _HEADER + 8)
        address, offset = max(address, start + max(memory, size)), max(offset, place + size)
    if offset > len(stub):
        raise BuildError(f"the EFI stub {path} is cut off")
    # What comes after the last section (symbols, a signature) is left out; the pointers to it are below.
    head = bytearray(stub[:offset])
    head += b"\0" * (-len(head) % found.file_alignment)
    offset, table, total = len(head), bytearray(), 0
    for section in added:
        # Firmware that protects memory does so page by page.
        address = _up(address, max(found.alignment, _PAGE))
        room = _up(section.size, found.file_alignment)
        table += struct.pack("<8sIIII12xI", section.name, section.memory, address, room, offset, section.flags)
        address, offset, total = address + max(section.memory, room), offset + room, total + room
    memory = _up(address, max(found.alignment, _PAGE))
    if offset > LARGEST or memory > LARGEST:
        return bytes(head), offset, memory
    head[end : end + len(table)] = table
    struct.pack_into("<H", head, found.coff + 2, found.sections + len(added))
    # No time, no symbols; a checksum of 0 stands for none, as in what ukify makes: firmware does not look at it.
    struct.pack_into("<III", head, found.coff + 4, 0, 0, 0)
    (initialised,) = struct.unpack_from("<I", head, found.optional + 8)
    struct.pack_into("<I", head, found.optional + 8, initialised + total)
    struct.pack_into("<I", head, found.optional + 56, memory)
    struct.pack_into("<I", head, found.optional + 64, 0)
    struct.pack_into("<II", head, found.optional + _SIGNATURE, 0, 0)
    return bytes(head), offset, memory


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
