"""Optical discs that a BIOS boots: ISO 9660 with ISOLINUX, made by xorriso, that boot from a USB stick as well.

Kernel and initrd are files on it, as on our disks. Upstream's holds the unpacked root filesystem, which takes a kernel
that has drivers of CD-ROMs built in, and is read from the disc as long as the machine runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from thanos_tui import programs
from thanos_tui.images import data

# In an MBR: the disk's signature.
_SIGNATURE = 440


def write(image: Path, files: Mapping[str, Path], identity: bytes, time: int) -> None:
    """Make the disc: kernel, initrd and ``isolinux.cfg`` are in ``files``, by the paths they have on it.

    identity: four bytes that name it. time: of everything, seconds since 1970.
    Raises HostError where xorriso or ISOLINUX are not installed, BuildError where xorriso fails.
    """
    loader = {"isolinux/isolinux.bin": "isolinux", "isolinux/ldlinux.c32": "ldlinux"}
    content = {**{name: data.require(wanted, "amd64") for name, wanted in loader.items()}, **files}
    boot = ["-c", "isolinux/boot.cat", "-b", "isolinux/isolinux.bin"]
    boot += ["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    boot += ["-isohybrid-mbr", str(data.require("isohybrid", "amd64"))]
    grafts = [f"/{_escaped(name)}={_escaped(str(path.absolute()))}" for name, path in content.items()]
    # The order of files on a disc would come from their inode numbers, if no other were given.
    for weight, name in enumerate(reversed(content), 1):
        boot += ["--sort-weight", str(weight), f"/{name}"]
    words = command([*boot, "-r", "-graft-points", *grafts], image, time)
    programs.run(words, env={"TZ": "UTC0"})
    with image.open("r+b") as stream:
        stream.seek(_SIGNATURE)
        stream.write(identity)


def command(words: list[str], image: Path, time: int) -> list[str]:
    """The command that makes an ISO 9660 file system of what ``words`` (mkisofs' options) name: xorriso's, with nothing
    in the result that comes from this machine or the time of day but the order of files.
    """
    # Files of 4 GiB and more take level 3; the time that is given is the source of the disc's identifiers, too.
    stamp = datetime.fromtimestamp(time, UTC).strftime("%Y%m%d%H%M%S00")
    settled = ["-iso-level", "3", "-V", "THANOS", f"--modification-date={stamp}", "--set_all_file_dates", stamp]
    return ["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", *settled, "-o", str(image), *words]


def _escaped(path: str) -> str:
    # An equals sign parts the name on the disc from the file's own.
    return path.replace("\\", "\\\\").replace("=", "\\=")
