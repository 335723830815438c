"""The output formats, one function for each: what goes into which file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from thanos_tui import programs, tarball
from thanos_tui.build import disk, efi, efi_iso, isobios, merged, ova, rootimage, rpi3, uki, vhd, virtual
from thanos_tui.build.blobs import Blob
from thanos_tui.build.hashed import Hashing, copy, digest, digest_of, opener
from thanos_tui.build.initrd import Bootable
from thanos_tui.build.rootfs import Part
from thanos_tui.events import Step
from thanos_tui.files import replacing, replacing_by_name, require_space
from thanos_tui.tree import MTIME, Member

_MIB = 1 << 20
_GIB_MIB = 1 << 10
# Of the machine in an OVA: what `run` gives a machine, unless it takes more.
_MACHINE_MIB = 2048

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


@dataclass(frozen=True)
class Root:
    """A root filesystem to make an image of.

    stage: its kernel and command line, and an initrd that mounts it. complete: whether that initrd can.
    """

    parts: Sequence[Part]
    stage: Bootable
    complete: bool
    paths: Sequence[Path]
    step: Step


def archive(
    write: Callable[[Sequence[Part], BinaryIO, Step], None], parts: Sequence[Part], path: Path, step: Step
) -> Written:
    """The root filesystem as one archive that ``write`` makes of it; nothing here boots it."""
    require_space(path.parent, sum(part.size for part in parts), path.name)
    with replacing(path) as stream:
        hashing = Hashing(stream)
        write(parts, cast(BinaryIO, hashing), step)
    return {path: hashing.sha256()}


def kernel_initrd(job: Job) -> Written:
    """Kernel, initrd and command line. One that there is nothing for is not written, as upstream has it."""
    system = job.system
    written: dict[Path, str] = {}
    require_space(job.paths[0].parent, system.total, "kernel and initrd")
    with ExitStack() as stack:
        # All are replaced at the end, together: a kernel does not go with the modules of another one.
        kernel, packed, cmdline = job.paths
        written.update(_place(stack, kernel, system.kernel, job.step))
        written[packed] = copy(system.initrd(), stack.enter_context(replacing(packed)), job.step.advance)
        written.update(_place(stack, cmdline, system.cmdline, job.step))
    return written


def root_image(root: Root, form: str) -> Written:
    """The root filesystem as an image, with kernel and command line as above, and the initrd that mounts it.

    form: a key of rootimage.FORMS.
    """
    image, kernel, cmdline, early = root.paths
    total = sum(part.size for part in root.parts)
    # Unpacked beside the output, and packed; no form is larger than what is in it.
    require_space(image.parent, 2 * total, image.name)
    identity = hashlib.sha256("".join(part.key for part in root.parts).encode()).digest()[:16]
    written: dict[Path, str] = {}
    with ExitStack() as stack:
        made = stack.enter_context(replacing_by_name(image))
        tree = _without_attributes(merged.members(root.parts), root.step)
        rootimage.write(tree, made, form, identity, MTIME, root.step.advance)
        written[image] = digest(made, root.step)
        written.update(_place(stack, kernel, root.stage.kernel, root.step))
        written.update(_place(stack, cmdline, root.stage.cmdline, root.step))
        if root.complete:
            # A few MiB: the modules and one program.
            data = b"".join(root.stage.initrd())
            wanted = hashlib.sha256(data).hexdigest()
            if digest_of(early) != wanted:
                stack.enter_context(replacing(early)).write(data)
            written[early] = wanted
        else:
            stack.callback(early.unlink, missing_ok=True)
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
    return _archive(job, path, {name: file for name, file in files.items() if file})


def raw_bios(job: Job) -> Written:
    """A disk as small as its content allows; a size that was asked for is for other formats, as upstream has it."""
    disk.check(job.system)
    return _raw(job, disk.smallest_mib(job.system))


def vhd_fixed(job: Job) -> Written:
    """A raw disk with a VHD's footer after it."""
    size_mib = job.disk_mib()
    return _raw(job, size_mib, vhd.footer(size_mib * _MIB, job.system.identity[8:24], MTIME))


def aws(job: Job) -> Written:
    """A raw disk of the size that was asked for, or the usual one."""
    return _raw(job, job.disk_mib())


def gcp(job: Job) -> Written:
    """A raw disk in an archive; its size is a multiple of a GiB, as Google's cloud takes no other."""
    size_mib = -(-job.disk_mib() // _GIB_MIB) * _GIB_MIB
    return _converted(job, size_mib, lambda raw, image: virtual.tar_gz(raw, image, "disk.raw", MTIME))


def vhd_dynamic(job: Job) -> Written:
    """A VHD that grows with what is written to it."""
    identity = job.system.identity[8:24]
    return _converted(job, job.disk_mib(), lambda raw, image: virtual.dynamic_vhd(raw, image, identity, MTIME))


def vmdk(job: Job) -> Written:
    """A VMDK that grows, which its users run as it is."""
    (path,), identity = job.paths, job.system.identity[8:24]

    def convert(raw: Path, image: Path) -> None:
        virtual.vmdk(raw, image, path.name, identity, stream=False)

    return _converted(job, job.disk_mib(), convert)


def vdi(job: Job) -> Written:
    """A VDI that grows."""
    return _converted(job, job.disk_mib(), lambda raw, image: virtual.vdi(raw, image, job.system.identity[8:24]))


def machine(job: Job) -> Written:
    """A disk and the description of a machine that boots from it, in one file."""
    from thanos_tui.build import preflight

    (path,), identity, size_mib = job.paths, job.system.identity[8:24], job.disk_mib()
    name = path.name.removesuffix(".ova")
    memory = max(_MACHINE_MIB, preflight.ram_needed_mib(job.system))

    def convert(raw: Path, image: Path) -> None:
        with _beside(path) as packed, image.open("r+b") as stream:
            virtual.vmdk(raw, packed, "machine-disk1.vmdk", identity, stream=True)
            for chunk in ova.chunks(name, packed, size_mib * _MIB, memory, MTIME):
                stream.write(chunk)

    return _converted(job, size_mib, convert)


def iso_bios(job: Job) -> Written:
    """An optical disc with kernel and initrd on it."""
    (path,), system = job.paths, job.system
    disk.check(system)
    require_space(path.parent, 2 * system.total, path.name)
    with ExitStack() as stack:
        image = stack.enter_context(replacing_by_name(path))
        content = {
            "isolinux/isolinux.cfg": [disk.configuration(system.command_line).encode()],
            "kernel": system.kernel.chunks() if system.kernel else [],
            "initrd.img": system.initrd(),
        }
        files = {}
        for name, chunks in content.items():
            files[name] = stack.enter_context(_beside(path))
            with files[name].open("wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
                    job.step.advance(len(chunk))
        isobios.write(image, files, system.identity[:4], MTIME)
        return {path: digest(image, job.step)}


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
        return {path: copy(image.chunks(), stream, job.step.advance)}


def raw_efi(job: Job) -> Written:
    """A disk as small as its content allows, as raw_bios()."""
    (path,) = job.paths
    efi.check(job.system)
    with replacing_by_name(path) as image:
        efi.write(image, job.system, efi.smallest_mib(job.system), MTIME, job.step.advance)
        return {path: digest(image, job.step)}


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


def raspberry(job: Job) -> Written:
    """A tar of what goes on an SD card."""
    (path,) = job.paths
    require_space(path.parent, job.system.total, path.name)
    return _archive(job, path, rpi3.files(job.system))


BOOTABLE: Mapping[str, Callable[[Job], Written]] = {
    "kernel+initrd": kernel_initrd,
    "tar-kernel-initrd": tar_kernel_initrd,
    "raw-bios": raw_bios,
    "vhd": vhd_fixed,
    "qcow2-bios": qcow2_bios,
    "aws": aws,
    "gcp": gcp,
    "dynamic-vhd": vhd_dynamic,
    "vmdk": vmdk,
    "vdi": vdi,
    "ova": machine,
    "iso-bios": iso_bios,
    "uki": unified,
    "raw-efi": raw_efi,
    "qcow2-efi": qcow2_efi,
    "iso-efi": iso_efi,
    "iso-efi-initrd": iso_efi_initrd,
    "rpi3": raspberry,
}
"""What writes each format that has something to boot in it."""

ROOTS: Mapping[str, str] = {"kernel+squashfs": "squashfs", "kernel+erofs": "erofs", "kernel+iso": "iso"}
"""The formats that have the root filesystem as an image, and its form (rootimage.FORMS)."""


def _raw(job: Job, size_mib: int, footer: bytes = b"") -> Written:
    """A raw disk, and what comes after it."""
    (path,) = job.paths
    with replacing_by_name(path) as image:
        job.write_disk(image, size_mib)
        with image.open("ab") as stream:
            stream.write(footer)
        return {path: digest(image, job.step)}


def _converted(job: Job, size_mib: int, convert: Callable[[Path, Path], None]) -> Written:
    """A raw disk, made beside the output, that ``convert`` makes the (empty) output from."""
    (path,) = job.paths
    with replacing_by_name(path) as image, _beside(path) as raw:
        job.write_disk(raw, size_mib)
        convert(raw, image)
        return {path: digest(image, job.step)}


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty file beside an output, for as long as that is made; swept up like the output's own after a kill."""
    prefix = f".{path.name}.{os.getpid()}."
    with tempfile.NamedTemporaryFile(prefix=prefix, suffix=".part", dir=path.parent) as file:
        yield Path(file.name)


def _place(stack: ExitStack, path: Path, blob: Blob | None, step: Step) -> Written:
    """Write a file that several formats share, when ``stack`` is closed, unless it is there already."""
    if blob is None:
        # One from an earlier build would be taken for this one's.
        stack.callback(path.unlink, missing_ok=True)
        return {}
    if digest_of(path) != blob.sha256:
        return {path: copy(blob.chunks(), stack.enter_context(replacing(path)), step.advance)}
    step.advance(blob.size)
    return {path: blob.sha256}


def _without_attributes(tree: Iterable[Member], step: Step) -> Iterator[Member]:
    told = False
    for member in tree:
        if not told and any(key.startswith("SCHILY.xattr.") for key in member.pax):
            told = True
            step.log(
                f"{member.name}: extended attributes (file capabilities, say) are left out of the image; `tar` "
                "keeps them",
                "warning",
            )
        yield member


def _iso(job: Job, write: Callable[[Path, Bootable, int, Callable[[int], None]], None]) -> Written:
    (path,) = job.paths
    # What goes on the disc is written beside it first.
    require_space(path.parent, 2 * job.system.total, path.name)
    with replacing_by_name(path) as image:
        write(image, job.system, MTIME, job.step.advance)
        return {path: digest(image, job.step)}


def _qcow2(job: Job, write: Callable[[Path], None]) -> Written:
    """A raw disk that ``write`` makes in an empty file, converted."""
    (path,) = job.paths
    with replacing_by_name(path) as image, _beside(path) as raw:
        write(raw)
        options = "compat=1.1,cluster_size=65536,refcount_bits=16,lazy_refcounts=off"
        programs.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, raw, image])
        return {path: digest(image, job.step)}


def _archive(job: Job, path: Path, files: Mapping[str, tuple[int, Callable[[], Iterator[bytes]]]]) -> Written:
    """A tar of these files: the size of each, and what gives its content."""
    members = (
        Member(name, "file", 0o644, mtime=MTIME, size=size, open=opener(chunks))
        for name, (size, chunks) in files.items()
    )
    with replacing(path) as stream:
        return {path: copy(tarball.chunks(members), stream, job.step.advance)}
