"""A whole machine in one file: an OVF package (DMTF DSP0243 1.1) as one archive, for VirtualBox and VMware to import.

It holds the description of the machine (``assets/linuxkit/machine.ovf``), a manifest with hashes, and the disk, in this
order, which the specification asks for.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from thanos_tui import tarball
from thanos_tui.files import assets_dir
from thanos_tui.tree import Member

_OVF, _DISK = "machine.ovf", "machine-disk1.vmdk"
_PROCESSORS = 2


def chunks(name: str, disk: Path, capacity: int, memory_mib: int, time: int) -> Iterator[bytes]:
    """The bytes of the archive.

    name: of the machine. disk: a streamOptimized VMDK. capacity: bytes of the disk that it stands for. memory_mib: of
    the machine. time: of all files, seconds since 1970.
    """
    size = disk.stat().st_size
    described = description(name, size, capacity, memory_mib)
    with disk.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    manifest = f"SHA256({_OVF})= {hashlib.sha256(described).hexdigest()}\nSHA256({_DISK})= {digest}\n"
    yield from tarball.chunks(
        (
            Member(_OVF, "file", mtime=time, size=len(described), open=lambda: io.BytesIO(described)),
            Member("machine.mf", "file", mtime=time, size=len(manifest), open=lambda: io.BytesIO(manifest.encode())),
            Member(_DISK, "file", mtime=time, size=size, open=lambda: disk.open("rb")),
        )
    )


def description(name: str, size: int, capacity: int, memory_mib: int) -> bytes:
    """The OVF descriptor of a machine; size: bytes of its VMDK, the rest as for :func:`chunks`."""
    template = Template((assets_dir() / "linuxkit" / "machine.ovf").read_text(encoding="utf-8"))
    # What XML cannot hold in any way, and no name should.
    shown = "".join(letter if letter.isprintable() else "_" for letter in name)
    return template.substitute(
        name=escape(shown),
        disk=_DISK,
        bytes=size,
        capacity=capacity,
        memory=memory_mib,
        processors=_PROCESSORS,
    ).encode()
