"""What a Raspberry Pi 3 boots from: files for the FAT file system of an SD card, as LinuxKit's rpi3 has them.

U-Boot reads ``boot.scr``, and that loads kernel, initrd and device tree. Kernel, initrd and script are U-Boot's
"legacy" images: a header of 64 bytes (include/image.h there) before the content. What is not free to pass on, the Pi's
own first stages, has to be added; ``readme.txt`` says what.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from thanos_tui.build import uki
from thanos_tui.build.initrd import Bootable
from thanos_tui.errors import InputError
from thanos_tui.images import data
from thanos_tui.tree import MTIME

File = tuple[int, Callable[[], Iterator[bytes]]]
"""A file's size in bytes, and what gives its content."""

_DEVICE_TREES = "boot/dtb/"
# Types of images and of compression, in U-Boot's numbers.
_KERNEL, _RAMDISK, _SCRIPT = 2, 3, 6
_NONE, _GZIP = 0, 1
_LINUX, _ARM64 = 5, 22
# Where the kernel is put: kernels since 5.10 want a multiple of 2 MiB.
_LOAD = 0x20_0000
# Sizes in a header have 32 bits, and a Pi 3 has 1 GiB, in which the initrd is packed and unpacked.
_LARGEST = 512 << 20

_CONFIG = """\
avoid_warnings=2
arm_64bit=1
enable_uart=1
kernel=u-boot.bin
[pi3]
device_tree=dtb/broadcom/bcm2837-rpi-3-b.dtb
[pi3+]
device_tree=dtb/broadcom/bcm2837-rpi-3-b-plus.dtb
"""

_README = """\
Unpack this archive into the first partition (FAT32) of an SD card, and add the Raspberry Pi's own first stages, which
may not be passed on with it: bootcode.bin, start.elf and fixup.dat. Debian has them in the package raspi-firmware
(section non-free-firmware), in /usr/lib/raspi-firmware.
"""


def check(system: Bootable) -> None:
    """Raise InputError where a Raspberry Pi 3 cannot boot this."""
    if system.kernel is None:
        raise InputError("a Raspberry Pi cannot boot without a kernel", hint="name one, or choose the format tar")
    check_size(system)
    if not any(name.startswith(_DEVICE_TREES) for name in system.device_trees):
        raise InputError(
            "the kernel image has no device trees for a Raspberry Pi 3",
            hint="its archive of modules should have boot/dtb/broadcom/bcm2837-rpi-3-b.dtb in it, as Debian's and "
            "LinuxKit's for arm64 have",
        )
    start = next(system.kernel.chunks(), b"")
    if start[:2] != b"\x1f\x8b" and uki.architecture(system.kernel) != "arm64":
        raise InputError("the kernel is not for arm64, which a Raspberry Pi 3 is")


def check_size(system: Bootable) -> None:
    """Raise InputError where the initrd is too large for a Raspberry Pi 3."""
    if system.size > _LARGEST:
        raise InputError(
            f"the initrd has {system.size >> 20} MiB, and a Raspberry Pi 3 can unpack {_LARGEST >> 20} MiB at most",
            hint="leave components out",
        )


def files(system: Bootable) -> Mapping[str, File]:
    """The files by name. Raises InputError as :func:`check` does, HostError where U-Boot is missing, blobs.Damaged."""
    check(system)
    kernel = system.kernel
    assert kernel is not None  # noqa: S101 - check() saw to it
    packed = next(kernel.chunks(), b"")[:2] == b"\x1f\x8b"
    text = script(system.command_line).encode()
    # A script is a list of lengths that ends with 0, and the texts.
    whole = struct.pack(">II", len(text), 0) + text
    trees = {name: blob for name, blob in sorted(system.device_trees.items()) if name.startswith(_DEVICE_TREES)}
    return {
        "boot.scr": _image(_SCRIPT, _NONE, len(whole), lambda: iter([whole]), 0),
        "config.txt": _plain(_CONFIG.encode()),
        **{f"dtb/{name.removeprefix(_DEVICE_TREES)}": (blob.size, blob.chunks) for name, blob in trees.items()},
        "initrd.uimg": _image(_RAMDISK, _NONE, system.size, system.initrd, 0),
        "kernel.uimg": _image(_KERNEL, _GZIP if packed else _NONE, kernel.size, kernel.chunks, _LOAD),
        "readme.txt": _plain(_README.encode()),
        "u-boot.bin": _plain(data.require("u-boot-rpi3", "arm64").read_bytes()),
    }


def script(cmdline: str) -> str:
    """What U-Boot does: the system's command line, and the console on the Pi's pins (mini UART) as well.

    The addresses leave room for a kernel of 96 MiB, unpacked.
    """
    line = f"{cmdline} console=ttyS1,115200".strip().replace("'", "'\\''")
    load = "fatload ${devtype} ${devnum}:${distro_bootpart}"
    return (
        f"setenv bootargs '{line}'\n"
        f"{load} 0x08000000 kernel.uimg\n"
        f"{load} 0x07e00000 dtb/${{fdtfile}}\n"
        f"{load} 0x10000000 initrd.uimg\n"
        "bootm 0x08000000 0x10000000 0x07e00000\n"
    )


def _image(kind: int, compression: int, size: int, chunks: Callable[[], Iterator[bytes]], load: int) -> File:
    """A legacy image. The content is read twice, as its checksum comes first."""
    checksum = 0
    for chunk in chunks():
        checksum = zlib.crc32(chunk, checksum)

    def header(own: int) -> bytes:
        words = (0x27051956, own, MTIME, size, load, load, checksum)
        return struct.pack(">IIIIIIIBBBB32s", *words, _LINUX, _ARM64, kind, compression, b"ThanOS")

    def pieces() -> Iterator[bytes]:
        yield header(zlib.crc32(header(0)))
        yield from chunks()

    return 64 + size, pieces


def _plain(content: bytes) -> File:
    return len(content), lambda: iter([content])
