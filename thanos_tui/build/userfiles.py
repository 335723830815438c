"""The section ``files``: what the config itself puts into the root filesystem."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from thanos_tui.build import trees
from thanos_tui.errors import BuildError, InputError
from thanos_tui.images.reference import expand
from thanos_tui.linuxkit import checks
from thanos_tui.linuxkit.config import Config, File
from thanos_tui.linuxkit.metadata import metadata
from thanos_tui.tree import MTIME, Member

_CHUNK = 1 << 20


def members(config: Config, base: Path) -> Iterator[tuple[Member, str]]:
    """The members of the section, each with a hash of its content (hex; ``""`` for what has none).

    Upstream's rule for directories: those above a file are written with its owner and with its mode, made searchable,
    the first time that they occur, even if an image has made them; later files leave them alone.

    base: what relative sources start from. Raises InputError for a source that cannot be read.
    """
    ids = checks.container_ids(config)
    written: set[str] = set()
    for number, item in enumerate(config.files):
        source = _source(item, base)
        if item.source and source is None:
            continue
        path = "/".join(step for step in item.path.split("/") if step not in ("", "."))
        mode = item.permissions
        common = Member(
            path,
            "file",
            mode=mode,
            # Numbers beyond 32 bits get this far only where upstream's wrapping is asked for.
            uid=checks.numeric_id(item.uid, ids, "the owner", item.where("uid")) % 2**32,
            gid=checks.numeric_id(item.gid, ids, "the group", item.where("gid")) % 2**32,
            mtime=MTIME,
            pax={"LINUXKIT.source": "linuxkit.files", "LINUXKIT.location": f"files[{number}]"},
        )
        for parent in trees.way(path.rpartition("/")[0]):
            if parent.name not in written:
                written.add(parent.name)
                yield replace(common, name=parent.name, kind="dir", mode=_searchable(mode)), ""
        written.add(path)
        if item.directory:
            yield replace(common, kind="dir"), ""
        elif item.symlink:
            yield replace(common, kind="symlink", linkname=item.symlink), ""
        elif source is not None:
            size, digest, open_source = _measured(source, item)
            yield replace(common, size=size, open=open_source), digest
        else:
            content = (item.contents or "").encode("utf-8", "surrogatepass")
            if item.metadata:
                content = metadata(config, "json" if item.metadata == "json" else "yaml", expand)
            made = trees.file(path, content)
            yield replace(common, size=made.size, open=made.open), hashlib.sha256(content).hexdigest()


def sources(config: Config, base: Path) -> list[Path]:
    """The files of this machine that the section takes something from, whether they are there or not."""
    return [_place(item, base) for item in config.files if item.source]


def _searchable(mode: int) -> int:
    """Directories can be entered by everyone who may do anything with the file."""
    for who in (0o700, 0o070, 0o007):
        if mode & who:
            mode |= who & 0o111
    return mode


def _source(item: File, base: Path) -> Path | None:
    """The file to take; None where there is none: not a source at all, or an optional one that cannot be read."""
    if not item.source:
        return None
    path = _place(item, base)
    return None if item.optional and not os.access(path, os.R_OK) else path


def _place(item: File, base: Path) -> Path:
    return Path(item.source).expanduser() if item.source.startswith("~/") else base / item.source


def _measured(path: Path, item: File) -> tuple[int, str, Callable[[], BinaryIO]]:
    """The size and the hash of a source, and how to open it again, as long as it stays what it was."""
    digest = hashlib.sha256()
    problem = ""
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            problem = "it is a directory" if stat.S_ISDIR(before.st_mode) else "it is not a regular file"
        else:
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise InputError(
            f"the source `{item.source}` of the file `{item.path}` cannot be read: {problem}",
            where=item.where("source"),
        )

    def reopened() -> BinaryIO:
        stream = path.open("rb")
        after = os.fstat(stream.fileno())
        if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
            stream.close()
            raise BuildError(f"the file {path} was changed during the build", hint="build again")
        return stream

    return before.st_size, digest.hexdigest(), reopened
