"""What the kernel image gives to the root filesystem: ``boot/`` with the kernel itself, and the modules."""

from __future__ import annotations

import io
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from thanos_tui import tarball
from thanos_tui.errors import BuildError, Where
from thanos_tui.images import layers
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit.config import Compat, Kernel
from thanos_tui.tree import Member

_CHUNK = 1 << 14
# A decompressed kernel has some 60 MB, one with everything built in 300.
_LIMIT = 1 << 30


@dataclass(frozen=True)
class Names:
    """Which files of the kernel image are what; ``""`` for what is not wanted."""

    binary: str
    tar: str
    ucode: str


def names(kernel: Kernel) -> Names:
    """The names a config means, where it does not say: ``kernel`` and ``kernel.tar``, and no microcode."""
    tar = "kernel.tar" if kernel.tar is None else "" if kernel.tar == "none" else kernel.tar
    return Names(kernel.binary or "kernel", tar, kernel.ucode or "")


def boot(
    store: Store, image: Image, kernel: Kernel, decompress: bool, mtime: float, compat: Compat = "fixed"
) -> Iterator[Member]:
    """``boot/cmdline``, ``boot/kernel`` and ``boot/ucode.cpio``; with ``decompress`` the kernel as it runs.

    Raises BuildError where the image lacks a file (with ``compat="upstream"``: other than microcode), or the kernel is
    not compressed in a way that is known.
    """
    wanted = names(kernel)
    roles = {wanted.ucode: "boot/ucode.cpio", wanted.binary: "boot/kernel"}
    roles.pop("", None)
    text = kernel.cmdline.encode()
    yield Member("boot", "dir", mode=0o755, mtime=mtime)
    yield Member("boot/cmdline", "file", mtime=mtime, size=len(text), open=lambda: io.BytesIO(text))
    for member in layers.select(store, image, set(roles)):
        content = _content(member, image)
        made = replace(member, name=roles.pop(member.name), uid=0, gid=0, mtime=mtime, pax={})
        if made.name != "boot/kernel" or not decompress:
            yield made
            continue
        # On disk, because a header that tells the size comes before the content.
        with content() as stream, tempfile.TemporaryFile() as unpacked:
            _decompress(stream, unpacked, f"the kernel `{member.name}` of the image {image.reference}")
            size = unpacked.tell()
            unpacked.seek(0)
            yield replace(made, size=size, open=lambda: unpacked)
    for name, role in roles.items():
        if role == "boot/ucode.cpio" and compat == "upstream":
            continue
        raise _missing(image, name, kernel.where("binary" if role == "boot/kernel" else "ucode"))


def modules(store: Store, image: Image, kernel: Kernel) -> Iterator[Member]:
    """What the archive of modules holds, for the root of the file system; nothing if the config wants none.

    Raises BuildError where it is missing or no archive.
    """
    name = names(kernel).tar
    if not name:
        return
    for member in layers.select(store, image, {name}):
        with _content(member, image)() as stream:
            yield from tarball.members(stream, f"`{name}` of the kernel image {image.reference}")
        return
    raise _missing(image, name, kernel.where("tar"), "say `tar: none` if the kernel needs no modules")


def _content(member: Member, image: Image) -> Callable[[], BinaryIO]:
    if member.open is None:
        link = f" to {member.linkname}" if member.linkname else ""
        raise BuildError(f"`{member.name}` of the kernel image {image.reference} is a {member.kind}{link}, not a file")
    return member.open


def _missing(image: Image, name: str, where: Where | None, hint: str | None = None) -> BuildError:
    return BuildError(f"the kernel image {image.reference} holds no file `{name}`", hint=hint, where=where)


def _decompress(stream: BinaryIO, out: BinaryIO, what: str) -> None:
    """Write the kernel inside a compressed one: a file that is compressed as a whole, or an x86 bzImage.

    The offsets are those of the kernel's Documentation/arch/x86/boot.rst; protocol 2.08 brought payload_offset.
    """
    import zstandard

    head = stream.read(0x250)
    length = _LIMIT
    if head[0x1FE:0x200] == b"\x55\xaa" and head[0x202:0x206] == b"HdrS" and len(head) == 0x250:
        version = int.from_bytes(head[0x206:0x208], "little")
        if version < 0x208:
            raise BuildError(f"{what} is older than the boot protocol that tells where its payload is (2.08)")
        # The boot sector comes before the setup sectors; 0 of these stands for 4.
        start = (1 + (head[0x1F1] or 4)) * 512 + int.from_bytes(head[0x248:0x24C], "little")
        length = int.from_bytes(head[0x24C:0x250], "little")
        left = start - len(head)
        while left > 0 and (skipped := stream.read(min(left, _CHUNK))):
            left -= len(skipped)
        head = stream.read(min(length, _CHUNK))
    unpack = _unpacker(head, what)
    size = 0
    left = length
    data = head
    try:
        while data and left > 0 and not unpack.eof:
            left -= len(data)
            plain = unpack.decompress(data)
            size += len(plain)
            if size > _LIMIT:
                raise BuildError(f"{what} unpacks to more than {_LIMIT >> 20} MiB")
            out.write(plain)
            data = stream.read(min(_CHUNK, max(left, 0)))
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise BuildError(f"{what} is damaged: {error}") from error
    if not unpack.eof:
        raise BuildError(f"{what} is damaged: its compressed part is cut off")


def _unpacker(head: bytes, what: str) -> Any:
    if head[:2] == b"\x1f\x8b":
        return zlib.decompressobj(wbits=31)
    if head[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor()
    if head[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj()
    raise BuildError(f"{what} is not compressed, or in a way that is not known", hint="leave --decompress-kernel out")
