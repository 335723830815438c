"""The output formats, one function for each: what goes into which file."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from thanos_tui import programs, tarball
from thanos_tui.build import disk, efi, efi_iso, uki, vhd
from thanos_tui.build import tar as tar_format
from thanos_tui.build.blobs import Blob
from thanos_tui.build.initrd import Bootable
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError
from thanos_tui.events import Step
from thanos_tui.files import replacing, replacing_by_name, require_space
from thanos_tui.tree import MTIME, Member

_MIB = 1 << 20

Written = Mapping[Path, str]
"""The files that a format wrote, with their SHA-256 (hex)."""


@dataclass(frozen=True)
class Job:
    """A format to write. size_mib: of a disk; what was asked for, or None. usual_mib: what it is if that is enough."""

    system: Bootable
    paths: Sequence[Path]
    size_mib: int | None
    usual_mib: int
    step: Step

    def disk_mib(self) -> int:
        """The size of the disk."""
        disk.check(self.system, self.size_mib)
        return self.size_mib or max(self.usual_mib, disk.smallest_mib(self.system))

    def write_disk(self, image: Path, size_mib: int) -> None:
        """Make a raw disk image in an empty file."""
        disk.write(image, self.system, size_mib, MTIME, self.step.advance)


def tar(parts: Sequence[Part], path: Path, step: Step) -> Written:
    """The root filesystem as it is; nothing here boots it."""
    require_space(path.parent, sum(part.size for part in parts), path.name)
    with replacing(path) as stream:
        hashing = _Hashing(stream)
        tar_format.write(parts, cast(BinaryIO, hashing), step)
    return {path: hashing.sha256()}


def kernel_initrd(job: Job) -> Written:
    """Kernel, initrd and command line. One that there is nothing for is not written, as upstream has it."""
    system, written = job.system, {}
    require_space(job.paths[0].parent, system.total, "kernel and initrd")
    with ExitStack() as stack:
        # All are replaced at the end, together: a kernel does not go with the modules of another one.
        for path, chunks in zip(
            job.paths, (_chunks(system.kernel), system.initrd(), _chunks(system.cmdline)), strict=True
        ):
            if chunks is None:
                # One from an earlier build would be taken for this one's.
                stack.callback(path.unlink, missing_ok=True)
            else:
                written[path] = _copy(chunks, stack.enter_context(replacing(path)), job.step.advance)
    return written


def tar_kernel_initrd(job: Job) -> Written:
    """The same in one archive, with upstream's names; microcode has a file of its own there."""
    system, (path,) = job.system, job.paths
    require_space(path.parent, system.total, path.name)
    ucode = system.ucode
    files: dict[str, tuple[int, Callable[[], Iterator[bytes]]] | None] = {
        "kernel": (system.kernel.size, system.kernel.chunks) if system.kernel else None,
        "initrd.img": (system.segments_size, system.segments),
        "cmdline": (system.cmdline.size, system.cmdline.chunks) if system.cmdline else None,
        "ucode.cpio": (ucode.size, ucode.chunks) if ucode else None,
    }
    members = (
        Member(name, "file", 0o644, mtime=MTIME, size=file[0], open=_opener(file[1]))
        for name, file in files.items()
        if file
    )
    with replacing(path) as stream:
        return {path: _copy(tarball.chunks(members), stream, job.step.advance)}


def raw_bios(job: Job) -> Written:
    """A disk as small as its content allows; a size that was asked for is for other formats, as upstream has it."""
    (path,) = job.paths
    disk.check(job.system)
    with replacing_by_name(path) as image:
        job.write_disk(image, disk.smallest_mib(job.system))
        return {path: _digest(image, job.step)}


def vhd_fixed(job: Job) -> Written:
    """A raw disk with a VHD's footer after it."""
    (path,) = job.paths
    size_mib = job.disk_mib()
    with replacing_by_name(path) as image:
        job.write_disk(image, size_mib)
        with image.open("ab") as stream:
            stream.write(vhd.footer(size_mib * _MIB, job.system.identity[8:24], MTIME))
        return {path: _digest(image, job.step)}


def qcow2_bios(job: Job) -> Written:
    """A raw disk, converted; the options are given in full, so that another version of QEMU does not choose others."""
    size_mib = job.disk_mib()
    return _qcow2(job, lambda raw: job.write_disk(raw, size_mib))


def unified(job: Job) -> Written:
    """One EFI program: firmware starts it as it is, from wherever it is put."""
    (path,) = job.paths
    image = uki.image(job.system)
    require_space(path.parent, image.size, path.name)
    with replacing(path) as stream:
        return {path: _copy(image.chunks(), stream, job.step.advance)}


def raw_efi(job: Job) -> Written:
    """A disk as small as its content allows, as raw_bios()."""
    (path,) = job.paths
    efi.check(job.system)
    with replacing_by_name(path) as image:
        efi.write(image, job.system, efi.smallest_mib(job.system), MTIME, job.step.advance)
        return {path: _digest(image, job.step)}


def qcow2_efi(job: Job) -> Written:
    """The same disk with a size of its own, converted."""
    efi.check(job.system, job.size_mib)
    size_mib = job.size_mib or max(job.usual_mib, efi.smallest_mib(job.system))
    return _qcow2(job, lambda raw: efi.write(raw, job.system, size_mib, MTIME, job.step.advance))


def iso_efi(job: Job) -> Written:
    """A disc with one EFI program that holds all."""
    return _iso(job, efi_iso.write_unified)


def iso_efi_initrd(job: Job) -> Written:
    """A disc with kernel and initrd as files of their own."""
    return _iso(job, efi_iso.write_separate)


BOOTABLE: Mapping[str, Callable[[Job], Written]] = {
    "kernel+initrd": kernel_initrd,
    "tar-kernel-initrd": tar_kernel_initrd,
    "raw-bios": raw_bios,
    "vhd": vhd_fixed,
    "qcow2-bios": qcow2_bios,
    "uki": unified,
    "raw-efi": raw_efi,
    "qcow2-efi": qcow2_efi,
    "iso-efi": iso_efi,
    "iso-efi-initrd": iso_efi_initrd,
}
"""What writes each format that has something to boot in it."""


def _iso(job: Job, write: Callable[[Path, Bootable, int, Callable[[int], None]], None]) -> Written:
    (path,) = job.paths
    # What goes on the disc is written beside it first.
    require_space(path.parent, 2 * job.system.total, path.name)
    with replacing_by_name(path) as image:
        write(image, job.system, MTIME, job.step.advance)
        return {path: _digest(image, job.step)}


def _qcow2(job: Job, write: Callable[[Path], None]) -> Written:
    """A raw disk that ``write`` makes in an empty file, converted."""
    (path,) = job.paths
    with (
        replacing_by_name(path) as image,
        # Named like the other temporary file, to be swept up like it after a kill.
        tempfile.NamedTemporaryFile(prefix=f".{path.name}.{os.getpid()}.", suffix=".part", dir=path.parent) as raw,
    ):
        write(Path(raw.name))
        options = "compat=1.1,cluster_size=65536,refcount_bits=16,lazy_refcounts=off"
        programs.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, raw.name, image])
        return {path: _digest(image, job.step)}


class _Hashing:
    """A stream to write to, which hashes on the way, in a thread of its own: hashing takes as long as all the rest."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._worker = ThreadPoolExecutor(1, "hashing")
        self._held: list[bytes] = []
        self._size = 0
        self._before: Future[None] | None = None

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _MIB:
            self._hand_over()
        return self._stream.write(data)

    def sha256(self) -> str:
        self._hand_over()
        self._worker.shutdown()
        return self._digest.hexdigest()

    def _hand_over(self) -> None:
        # One batch at a time: a disk that is faster than the hash must not fill the memory.
        if self._before:
            self._before.result()
        self._before = self._worker.submit(self._update, self._held)
        self._held, self._size = [], 0

    def _update(self, batch: Sequence[bytes]) -> None:
        for data in batch:
            self._digest.update(data)


class _Reader(io.RawIOBase):
    """Pieces of bytes as a stream; one read gives what is left of one piece, at most."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return b""
        size = len(self._left) if size < 0 else size
        data, self._left = self._left[:size], self._left[size:]
        return data


def _opener(chunks: Callable[[], Iterator[bytes]]) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, _Reader(chunks()))


def _chunks(blob: Blob | None) -> Iterator[bytes] | None:
    return blob.chunks() if blob else None


def _copy(chunks: Iterable[bytes], stream: BinaryIO, advance: Callable[[int], None]) -> str:
    hashing = _Hashing(stream)
    for chunk in chunks:
        hashing.write(chunk)
        advance(len(chunk))
    return hashing.sha256()


def _digest(image: Path, step: Step) -> str:
    """The SHA-256 of a file. Holes are not read: that would fill the page cache with a gigabyte of zeros."""
    digest = hashlib.sha256()
    zeros = bytes(_MIB)
    buffer = memoryview(bytearray(_MIB))
    with image.open("rb", buffering=0) as stream:
        for hole, size in _extents(stream.fileno()):
            while size:
                step.reporter.check()
                if hole:
                    count = min(size, _MIB)
                    digest.update(zeros[:count])
                else:
                    count = stream.readinto(buffer[: min(size, _MIB)]) or 0
                    digest.update(buffer[:count])
                    if not count:
                        raise BuildError(f"{image} was cut off while it was read")
                size -= count
    return digest.hexdigest()


def _extents(descriptor: int) -> Iterator[tuple[bool, int]]:
    """The holes and the rest of a file, in order: (is a hole, bytes). The file's position is where each begins."""
    position, end = 0, os.fstat(descriptor).st_size
    while position < end:
        try:
            data = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = end
        if data > position:
            yield True, data - position
        position = data
        if position < end:
            hole = os.lseek(descriptor, position, os.SEEK_HOLE)
            os.lseek(descriptor, position, os.SEEK_SET)
            yield False, hole - position
            position = hole
