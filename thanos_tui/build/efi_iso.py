"""ISO images that EFI boots, from an optical disc or, the same bytes, from a USB stick; made with xorriso.

An EFI boots a disc from a FAT file system that the disc's boot catalogue (El Torito) names. It comes after the ISO 9660
file system, and a GPT has it as a system partition, which is what counts on a stick.
"""

from __future__ import annotations

import datetime
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from thanos_tui import programs
from thanos_tui.build import efi, fat, uki
from thanos_tui.build.initrd import Bootable
from thanos_tui.images import data

_README = b"UEFI starts this disc by itself: there is a FAT file system with EFI/BOOT on it, beside this one.\n"


def write_unified(image: Path, system: Bootable, time: int, advance: Callable[[int], None]) -> None:
    """Make a disc whose FAT file system holds one unified kernel image; ``image`` is an empty file.

    time: of all files, seconds since 1970. Raises as :func:`thanos_tui.build.efi.write` does.
    """
    with _beside(image) as new:
        partition = new()
        kernel = uki.image(system)
        program = efi.Program(kernel.arch, kernel.size, fat.told(kernel.chunks(), advance))
        efi.write_partition(partition, program, system.identity, time)
        _write(image, partition, {"readme.txt": _filled(new(), [_README])}, system, time)


def write_separate(image: Path, system: Bootable, time: int, advance: Callable[[int], None]) -> None:
    """Make a disc with ``kernel`` and ``initrd.img`` as files on it, which GRUB loads; otherwise as the other one.

    Anybody can take them from there: network boot servers, and other boot loaders on a stick with many such images.
    """
    efi.check(system)
    with _beside(image) as new:
        assert system.kernel is not None  # noqa: S101 - check() saw to it
        arch = uki.architecture(system.kernel)
        partition = new()
        grub = data.require("efi-grub", arch).read_bytes()
        efi.write_partition(partition, efi.Program(arch, len(grub), [grub]), system.identity, time)
        files = {
            "kernel": _filled(new(), system.kernel.chunks(), advance),
            "initrd.img": _filled(new(), system.initrd(), advance),
            "boot/grub/grub.cfg": _filled(new(), [configuration(system.command_line).encode()]),
            # By this, Debian's GRUB for discs knows the one that it was started from.
            ".disk/info": _filled(new(), [b"ThanOS\n"]),
        }
        _write(image, partition, files, system, time)


def configuration(cmdline: str) -> str:
    """``grub.cfg``: boot at once. A word of ``cmdline`` (one line) may have blanks between double quotes."""
    words = [word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', cmdline)]
    # GRUB puts quotes around words with blanks when it hands them on. In its own quotes, nothing is special but these.
    quoted = ["'" + word.replace("'", "'\\''") + "'" for word in words]
    return f"linux {' '.join(['/kernel', *quoted])}\ninitrd /initrd.img\nboot\n"


def _write(image: Path, partition: Path, files: Mapping[str, Path], system: Bootable, time: int) -> None:
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y%m%d%H%M%S00")
    words = [
        *["-no_rc", "-as", "mkisofs", "-o", str(image), "-V", "THANOS", "-r", "-graft-points"],
        *["--modification-date=" + moment, "--set_all_file_dates", moment],
        *["--gpt_disk_guid", str(uuid.UUID(bytes=system.identity[:16], version=4))],
        *["-partition_offset", "16", "-append_partition", "2", "0xef", str(partition), "-appended_part_as_gpt"],
        *["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"],
        *[f"{name}={_escaped(str(path))}" for name, path in files.items()],
    ]
    programs.run(["xorriso", *words], env={"SOURCE_DATE_EPOCH": str(time), "TZ": "UTC0"})


def _escaped(path: str) -> str:
    """A path behind a graft point, where two characters mean something."""
    return re.sub(r"([\\=])", r"\\\1", path)


@contextmanager
def _beside(image: Path) -> Iterator[Callable[[], Path]]:
    """What makes empty files for a while: beside ``image``, and called like it (``.NAME.PID.….part``), to be swept up
    like it after a kill.
    """
    prefix = re.sub(r"[^.]*\.part$", "", image.name)
    with ExitStack() as stack:

        def new() -> Path:
            descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=image.parent)
            os.close(descriptor)
            path = Path(name)
            stack.callback(path.unlink, missing_ok=True)
            return path

        yield new


def _filled(path: Path, chunks: Iterable[bytes], advance: Callable[[int], None] = lambda _: None) -> Path:
    """The file, with this content; ``advance`` is told of its bytes."""
    with path.open("wb") as stream:
        for chunk in fat.told(chunks, advance):
            stream.write(chunk)
    return path
