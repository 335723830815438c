"""Raw disks in the formats that hypervisors and clouds want, by qemu-img and tar.

qemu-img puts identifiers and times into its headers that differ from run to run. They are replaced by ones that come
from the content, where the formats' specifications say they are: the same content gives the same bytes, and different
disks are different to VirtualBox, which keeps a list of them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from thanos_tui import programs
from thanos_tui.build import vhd
from thanos_tui.errors import BuildError

_SECTOR = 512
# VMware, "Virtual Disk Format 5.0", SparseExtentHeader: where the text is that describes the disk, in sectors.
_VMDK_DESCRIPTOR = 28
# VirtualBox, VDICore.h: the identifiers of the image and of its last change, after a header of version 1.1.
_VDI_IDENTIFIERS = 0x188


def vmdk(raw: Path, image: Path, name: str, identity: bytes, *, stream: bool) -> None:
    """Convert a raw disk to a VMDK that will be called ``name``; stream: compressed, as an OVA wants it.

    identity: 16 bytes that name the disk. Raises HostError without qemu-img, BuildError where it fails.
    """
    # The last layout that every VMware product since 2006 can read, and the SCSI controller that its machines get.
    subformat = "streamOptimized" if stream else "monolithicSparse"
    options = f"subformat={subformat},adapter_type=lsilogic,hwversion=6"
    _convert(raw, image, "vmdk", options, *(["-c"] if stream else []))
    with image.open("r+b") as file:
        file.seek(_VMDK_DESCRIPTOR)
        start, sectors = struct.unpack("<QQ", file.read(16))
        file.seek(start * _SECTOR)
        text = file.read(sectors * _SECTOR).rstrip(b"\0").decode()
        # A description is lines of text: what would end a string or a line in it cannot be in a name.
        shown = "".join("_" if letter == '"' or not letter.isprintable() else letter for letter in name)
        # The temporary file's name, over several lines if it has some.
        extent = re.compile(r'^(RW \d+ SPARSE) ".*"(?=\s+# The Disk Data Base$)', re.MULTILINE | re.DOTALL)
        text = extent.sub(lambda found: f'{found[1]} "{shown}"', text)
        text = re.sub(r"^CID=.*$", f"CID={identity[:4].hex()}", text, count=1, flags=re.MULTILINE)
        text = f'{text.rstrip()}\nddb.uuid.image="{uuid(identity)}"\n'
        described = text.encode()
        if len(described) > sectors * _SECTOR:
            raise BuildError("the description of the VMDK does not fit", hint="give the output a shorter name")
        file.seek(start * _SECTOR)
        file.write(described.ljust(sectors * _SECTOR, b"\0"))


def vdi(raw: Path, image: Path, identity: bytes) -> None:
    """Convert a raw disk to a VDI that grows; identity and errors as for :func:`vmdk`."""
    _convert(raw, image, "vdi", "static=off")
    with image.open("r+b") as file:
        file.seek(_VDI_IDENTIFIERS)
        # Of the last change too: nobody has changed it.
        file.write(uuid(identity).bytes_le * 2)


def dynamic_vhd(raw: Path, image: Path, identity: bytes, time: int) -> None:
    """Convert a raw disk to a VHD that grows; time: seconds since 1970; identity and errors as for :func:`vmdk`."""
    _convert(raw, image, "vpc", "subformat=dynamic,force_size=on")
    footer = vhd.footer(raw.stat().st_size, identity, time, dynamic=True)
    with image.open("r+b") as file:
        # At the end, and a copy of it in front of everything else.
        file.write(footer)
        file.seek(-vhd.SIZE, 2)
        file.write(footer)


def tar_gz(raw: Path, image: Path, name: str, time: int) -> None:
    """Pack a raw disk as the file ``name`` in a compressed archive without its empty parts, as Google's cloud wants it.

    Holes are looked for in the content, as what the file system keeps as holes differs. time: seconds since 1970.
    Raises HostError without GNU tar or gzip, BuildError where they fail.
    """
    settled = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0644", f"--mtime=@{time}"]
    # Kernel and initrd are compressed already: the fastest level leaves nothing on the table.
    packed = ["--force-local", "--use-compress-program=gzip -n -1", f"--file={image}"]
    layout = ["--create", "--format=oldgnu", "--sparse", "--hole-detection=raw", f"--transform=s/.*/{name}/"]
    words = ["tar", *layout, *settled, *packed, f"--directory={raw.parent}", raw.name]
    programs.run(words, env={"TAR_OPTIONS": "", "GZIP": "", "TZ": "UTC0"})


def uuid(identity: bytes) -> UUID:
    """The identifier that 16 bytes stand for, as one that was chosen at random (RFC 9562, version 4)."""
    return UUID(bytes=identity, version=4)


def _convert(raw: Path, image: Path, form: str, options: str, *more: str) -> None:
    words: Sequence[str | Path] = ["qemu-img", "convert", *more, "-f", "raw", "-O", form, "-o", options, raw, image]
    programs.run(words)
