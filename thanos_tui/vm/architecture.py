"""Which processor an image is for, told from its bytes: for images that no known build has made."""

from __future__ import annotations

import zlib
from pathlib import Path

from thanos_tui.vm.qemu import Boot

# As FAT has the names of build/efi.py's PROGRAMS in its directories: eight letters and three.
_ENTRIES = {b"BOOTX64 EFI": "amd64", b"BOOTAA64EFI": "arm64"}
_ENTRY = 32
# Directories come after the file system's tables, which have 16 MiB in the largest that are common (64 GiB).
_LOOK = 32 << 20
_CHUNK = 1 << 20
# "El Torito" 1.0, figure 7: where a disc's boot record says which block its boot catalogue is in.
_BLOCK = 2048
_CATALOGUE = 17 * _BLOCK + 0x47
_BOOTABLE = 0x88
# Linux, Documentation/arch/arm64/booting.rst and x86/boot.rst: where a kernel says what it is.
_ARM64, _AMD64 = (0x38, b"ARM\x64"), (0x202, b"HdrS")


def architecture_of(boot: Boot) -> str | None:
    """The architecture (Debian's word) that a kernel, a program of EFI's, or a disk or disc for EFI is for.

    None where that cannot be told: all that a BIOS starts, what cannot be read, and what is for several.
    """
    path = boot.kernel or boot.disk
    if path is None:
        return None
    try:
        if boot.kernel or boot.medium == "program":
            return _program(path)
        return _system_partition(path, boot.medium == "cd")
    except OSError:
        return None  # who opens it next says why


def _program(path: Path) -> str | None:
    from thanos_tui.build import uki

    with path.open("rb") as stream:
        start = stream.read(_CHUNK)
    if start[:2] == b"\x1f\x8b":
        # Kernels for arm64 do not unpack themselves, so some are packed as a whole.
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, _CHUNK)
        except zlib.error:
            return None
    known = uki.architecture_of(start)
    if known:
        return known
    for arch, (offset, magic) in (("arm64", _ARM64), ("amd64", _AMD64)):
        if start[offset : offset + len(magic)] == magic:
            return arch
    return None


def _system_partition(path: Path, disc: bool) -> str | None:
    """By the program that firmware starts. It is looked for among whatever is there, not by walking the file system,
    so that it is found inside disk formats, too: nothing but a directory has such names at such places.
    """
    found: set[str] = set()
    with path.open("rb") as stream:
        if disc:
            stream.seek(_CATALOGUE)
            stream.seek(int.from_bytes(stream.read(4), "little") * _BLOCK)
            catalogue = stream.read(_BLOCK)
            # Figures 2 to 5: entries of 32 bytes, which have the first block of what boots at 8.
            starts = [
                int.from_bytes(catalogue[at + 8 : at + 12], "little") * _BLOCK
                for at in range(_ENTRY, len(catalogue), _ENTRY)
                if catalogue[at] == _BOOTABLE
            ]
        else:
            starts = [0]
        for start in dict.fromkeys(starts):
            stream.seek(start)
            left = _LOOK
            while left > 0 and (chunk := stream.read(_CHUNK)):
                left -= len(chunk)
                found |= {arch for name, arch in _ENTRIES.items() if _is_entry(chunk, name)}
    return found.pop() if len(found) == 1 else None


def _is_entry(chunk: bytes, name: bytes) -> bool:
    at = chunk.find(name)
    while at >= 0:
        if at % _ENTRY == 0:
            return True
        at = chunk.find(name, at + 1)
    return False
