"""What is left of an archive of the root filesystem when it is unpacked, each name in one line of text."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "dir",
    tarfile.FIFOTYPE: "fifo",
}


def unpacked(path: Path) -> dict[str, str]:
    """The type, mode, owner, time, device and content (or target) of what an archive leaves behind, by its name."""
    found: dict[str, str] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.islnk():
                found[member.name] = found[member.linkname]
                continue
            content = archive.extractfile(member) if member.isfile() else None
            last = hashlib.sha256(content.read()).hexdigest()[:16] if content else member.linkname or "-"
            device = f" {member.devmajor} {member.devminor}" if member.isdev() and not member.isfifo() else ""
            mode = "-" if member.issym() else f"{member.mode:04o}"
            owner = f"{member.uid} {member.gid} {int(member.mtime)}"
            found[member.name] = f"{KINDS[member.type]} {mode} {owner} {last}{device}"
    return found
