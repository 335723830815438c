"""Copying files to and from a machine over SFTP, with the rules of ``docker cp`` and ``scp``.

The machine is not trusted with this side's file system: a name it lists is one path component or refused, nothing is
written through a symbolic link that the copy made or found below the destination, set-uid bits are not taken over,
and local files appear whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from thanos_tui.console.login import connect
from thanos_tui.console.session import finish
from thanos_tui.console.target import Target
from thanos_tui.errors import ConsoleError, HostError, InputError
from thanos_tui.events import Progress, Reporter, Step
from thanos_tui.files import replacing
from thanos_tui.words import printable

if TYPE_CHECKING:
    import asyncssh

_CHUNK = 1 << 20  # asyncssh splits it into requests that are under way together
_LONGEST_PATH = 4096  # PATH_MAX: stops a machine that invents directories without end


_ROOT = PurePosixPath()


@dataclass(frozen=True)
class _Entry:
    """One thing to copy: its path relative to the source (``_ROOT`` for the source itself), permission bits, access
    and modification time in seconds, and where it leads if it is a link."""

    path: PurePosixPath
    kind: Literal["file", "directory", "link"]
    size: int
    mode: int
    times: tuple[int, int]
    link: str = ""


_SYNTAX = "thanos-tui cp FILE… MACHINE:PATH, or MACHINE:PATH… DIRECTORY; `:PATH` means the only machine"


def machine_of(sources: Sequence[str], destination: str) -> str:
    """The machine named in the arguments of ``cp``: in all sources, or in the destination (``MACHINE:PATH``).

    Empty for ``:PATH``, the only machine. A colon after a slash belongs to a local name (``./a:b``).
    Raises InputError if no side or both name a machine, or if several are named.
    """
    there = [_split(source) for source in sources]
    target = _split(destination)
    if not sources:
        raise InputError("nothing to copy", hint=_SYNTAX)
    if target is not None:
        if any(place is not None for place in there):
            raise InputError("both sides name a machine", hint=f"copy to this side first; {_SYNTAX}")
        return target[0]
    machines = {place[0] for place in there if place is not None}
    if not machines:
        raise InputError("no side names a machine", hint=_SYNTAX)
    if len(machines) > 1 or any(place is None for place in there):
        raise InputError("all sources must be on the same machine", hint=_SYNTAX)
    return machines.pop()


def _split(text: str) -> tuple[str, str] | None:
    machine, colon, path = text.partition(":")
    return (machine, path) if colon and "/" not in machine else None


def copy(
    target: Target,
    sources: Sequence[str],
    destination: str,
    *,
    recursive: bool = False,
    preserve: bool = False,
    reporter: Reporter | None = None,
) -> None:
    """Copy files between here and a machine; the arguments are as machine_of() reads them.

    Into a directory that exists, a source keeps its name; else a single source gets the destination's. A source
    directory ending in ``/.`` gives its contents. Links named as a source are followed, links inside a tree are
    copied as links. A relative remote path starts at the user's home directory.

    recursive: take directories. preserve: keep times, and permissions regardless of the umask.
    Raises InputError for paths that do not fit, HostError and ConsoleError where writing or the session fails.
    """
    machine_of(sources, destination)
    finish(_copy(target, sources, destination, recursive, preserve, reporter or Reporter()))


async def _copy(
    target: Target, sources: Sequence[str], destination: str, recursive: bool, preserve: bool, reporter: Reporter
) -> None:
    title = f"Copying {printable(sources[0]) if len(sources) == 1 else f'{len(sources)} sources'}"
    async with connect(target) as connection:
        with reporter.step("console/copy", title, unit="bytes") as step:
            work = asyncio.ensure_future(_transfer(target, connection, sources, destination, recursive, preserve, step))
            try:
                while not (await asyncio.wait({work}, timeout=0.5))[0]:
                    reporter.check()
                await work
            finally:
                if not work.done():
                    # To be stopped: first the connection, since every step of a clean end would wait for the machine.
                    connection.abort()
                    await asyncio.gather(work, return_exceptions=True)


async def _transfer(
    target: Target,
    connection: asyncssh.SSHClientConnection,
    sources: Sequence[str],
    destination: str,
    recursive: bool,
    preserve: bool,
    step: Step,
) -> None:
    remote = _split(destination)
    there = destination if remote is None else _remote_text(remote[1])
    async with _sftp(target, connection) as sftp:
        is_directory = Path(there).is_dir() if remote is None else await sftp.isdir(there)
        if not is_directory and (there.endswith("/") or len(sources) > 1):
            raise InputError(f"{printable(destination)} is not a directory", hint="make it first, or name another")
        for source in sources:
            place = _split(source)
            here = source if place is None else _remote_text(place[1])
            into = PurePosixPath(there)
            # A source without a name of its own, such as `.`, gives its contents.
            name = here.rstrip("/").rpartition("/")[2]
            if is_directory and name not in ("", ".", ".."):
                into /= name
            if place is None:
                root = Path(here)
                entries = list(_local_entries(root, recursive, step))
                _count(step, entries)
                await _upload(sftp, root, into, entries, preserve, step)
            else:
                origin = PurePosixPath(here)
                entries = [entry async for entry in _remote_entries(sftp, origin, recursive, step)]
                _count(step, entries)
                await _download(sftp, origin, Path(into), entries, preserve, step)


def _remote_text(path: str) -> str:
    # SFTP knows no `~`; it starts in the home directory anyway.
    if path == "~" or path.startswith("~/"):
        path = path[2:]
    return path or "."


def _count(step: Step, entries: list[_Entry]) -> None:
    step.total = (step.total or 0) + sum(entry.size for entry in entries)
    step.reporter.report(Progress(step.path, step.done, step.total))


@asynccontextmanager
async def _sftp(target: Target, connection: asyncssh.SSHClientConnection) -> AsyncIterator[asyncssh.SFTPClient]:
    """An SFTP session, whose errors become ours."""
    import asyncssh

    try:
        # Names that are not UTF-8 travel as Python's surrogates, as they do in sys.argv and pathlib.
        sftp = await connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape")
    except (asyncssh.ChannelOpenError, asyncssh.SFTPError) as error:
        raise ConsoleError(
            f"{target} offers no SFTP",
            hint=f"copy through a command: `thanos-tui exec {target.name} -- cat FILE > FILE`",
        ) from error
    try:
        async with sftp:
            yield sftp
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError) as error:
        raise ConsoleError(f"the connection to {target} was lost while copying", hint=target.log_hint) from error


@contextmanager
def _remote(path: PurePosixPath) -> Iterator[str]:
    """The remote path as text; what goes wrong with it inside the block is told by its name."""
    import asyncssh

    shown = printable(str(path))
    try:
        yield str(path)
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
        raise
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise InputError(f"there is no {shown} on the machine") from error
    except asyncssh.SFTPPermissionDenied as error:
        raise ConsoleError(f"the machine denies access to {shown}") from error
    except asyncssh.SFTPError as error:
        # OpenSSH says no more than "Failure" for a full or read-only file system.
        raise ConsoleError(
            f"the machine cannot copy {shown}: {printable(error.reason)}",
            hint="its file system may be full or read-only: it is in memory",
        ) from error


@contextmanager
def _answering() -> Iterator[None]:
    """A connection that is reset is lost: told apart here from what goes wrong with the local file around it."""
    import asyncssh

    try:
        yield
    except ConnectionError as error:
        raise asyncssh.SFTPConnectionLost(str(error)) from error


@contextmanager
def _local(path: Path, doing: str) -> Iterator[None]:
    """Name the local file in what goes wrong with it."""
    try:
        yield
    except OSError as error:
        raise HostError(f"cannot {doing} {printable(str(path))}: {error.strerror}") from error


def _entry(path: PurePosixPath, mode: int, size: int, times: tuple[int, int]) -> _Entry | None:
    bits = mode & 0o777
    if stat.S_ISREG(mode):
        return _Entry(path, "file", size, bits, times)
    if stat.S_ISDIR(mode):
        return _Entry(path, "directory", 0, bits, times)
    if stat.S_ISLNK(mode):
        return _Entry(path, "link", 0, 0, times)
    return None


def _check_source(first: _Entry | None, shown: str, recursive: bool) -> _Entry:
    if first is None:
        raise InputError(f"{shown} is neither a file nor a directory")
    if first.kind == "directory" and not recursive:
        raise InputError(f"{shown} is a directory", hint="copy directories with --recursive")
    return first


def _leave_out(step: Step, path: PurePosixPath) -> None:
    step.log(f"left out {printable(str(path))}: neither a file nor a directory nor a link", "warning")


# From the machine -----------------------------------------------------------------------------------------------


async def _remote_entries(
    sftp: asyncssh.SFTPClient, root: PurePosixPath, recursive: bool, step: Step
) -> AsyncIterator[_Entry]:
    with _remote(root) as text:
        first = _remote_entry(_ROOT, await sftp.stat(text))
    first = _check_source(first, printable(f":{root}"), recursive)
    yield first
    pending = [_ROOT] if first.kind == "directory" else []
    while pending:
        step.reporter.check()
        directory = pending.pop()
        with _remote(root / directory) as text:
            # The whole listing first: an open directory is a handle the server must hold.
            listing = [item async for item in sftp.scandir(text)]
        for item in listing:
            name = os.fsdecode(item.filename)
            if name in (".", ".."):
                continue
            path = directory / name
            if not name or "/" in name or "\0" in name or len(str(path)) > _LONGEST_PATH:
                raise ConsoleError(f"the machine lists a name that no file can have: {printable(name[:80])}")
            with _remote(root / path) as text:
                entry = _remote_entry(
                    path, item.attrs if item.attrs.permissions is not None else await sftp.lstat(text)
                )
                if entry is not None and entry.kind == "link":
                    entry = replace(entry, link=os.fsdecode(await sftp.readlink(text)))
            if entry is None:
                _leave_out(step, path)
                continue
            if entry.kind == "directory":
                pending.append(path)
            yield entry


def _remote_entry(path: PurePosixPath, attrs: asyncssh.SFTPAttrs) -> _Entry | None:
    return _entry(path, attrs.permissions or 0, attrs.size or 0, (int(attrs.atime or 0), int(attrs.mtime or 0)))


async def _download(
    sftp: asyncssh.SFTPClient, source: PurePosixPath, root: Path, entries: list[_Entry], preserve: bool, step: Step
) -> None:
    # A link that the user named leads where the user wants; below it none is followed.
    root = root.resolve()
    for entry in entries:
        path = root / entry.path
        if entry.kind == "directory":
            with _local(path, "make the directory"):
                _make_directory(path, entry.mode)
        elif entry.kind == "link":
            with _local(path, "write"):
                if path.is_symlink():
                    path.unlink()
                path.symlink_to(entry.link)
        else:
            with _remote(source / entry.path) as text:
                async with sftp.open(text, "rb") as remote:
                    with _writing(path, entry) as stream:
                        # To the end, whatever size was listed: files in /proc say 0, a log grows.
                        while data := await _read(remote):
                            stream.write(data)
                            step.advance(len(data))
            if preserve and path.is_file():
                _set_attributes(path, entry)
    if preserve:
        # Last and deepest first: what is written inside a directory changes its time, and it may be read-only.
        for entry in reversed(entries):
            if entry.kind == "directory":
                _set_attributes(root / entry.path, entry)


async def _read(remote: asyncssh.SFTPClientFile) -> bytes:
    with _answering():
        return cast(bytes, await remote.read(_CHUNK))


def _make_directory(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode | 0o700)  # ours to fill, whatever the machine says
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise


@contextmanager
def _writing(path: Path, entry: _Entry) -> Iterator[BinaryIO]:
    if path.is_dir() and not path.is_symlink():
        raise HostError(f"{printable(str(path))} is a directory here, and a file on the machine")
    if entry.path == _ROOT and path.exists() and not path.is_file():
        # The user named a pipe or a device such as /dev/null: it is written to, not replaced by a file.
        with _local(path, "write"), path.open("wb") as stream:
            yield stream
    else:
        with replacing(path, entry.mode) as stream:
            yield stream


def _set_attributes(path: Path, entry: _Entry) -> None:
    with _local(path, "set the times of"):
        path.chmod(entry.mode)
        os.utime(path, entry.times)


# To the machine -------------------------------------------------------------------------------------------------


def _local_entries(root: Path, recursive: bool, step: Step) -> Iterator[_Entry]:
    try:
        first = _local_entry(_ROOT, root.stat())
    except OSError as error:
        raise InputError(f"cannot read {printable(str(root))}: {error.strerror}") from error
    first = _check_source(first, printable(str(root)), recursive)
    yield first
    pending = [_ROOT] if first.kind == "directory" else []
    while pending:
        directory = pending.pop()
        with _local(root / directory, "read"):
            found = sorted((path.name, path.lstat()) for path in (root / directory).iterdir())
            for name, status in found:
                path = directory / name
                entry = _local_entry(path, status)
                if entry is None:
                    _leave_out(step, path)
                    continue
                if entry.kind == "directory":
                    pending.append(path)
                if entry.kind == "link":
                    entry = replace(entry, link=str((root / path).readlink()))
                yield entry


def _local_entry(path: PurePosixPath, status: os.stat_result) -> _Entry | None:
    return _entry(path, status.st_mode, status.st_size, (int(status.st_atime), int(status.st_mtime)))


async def _upload(
    sftp: asyncssh.SFTPClient, source: Path, root: PurePosixPath, entries: list[_Entry], preserve: bool, step: Step
) -> None:
    import asyncssh

    for entry in entries:
        with _remote(root / entry.path) as text:
            if entry.kind == "directory":
                if not await sftp.isdir(text):
                    await sftp.mkdir(text, asyncssh.SFTPAttrs(permissions=entry.mode | 0o700))
            elif entry.kind == "link":
                if await sftp.islink(text):
                    await sftp.remove(text)
                await sftp.symlink(entry.link, text)
            else:
                with _local(source / entry.path, "read"), (source / entry.path).open("rb") as stream:
                    # In place, as scp does: the target may be a link or a device, and its owner is the machine's
                    # business.
                    async with sftp.open(text, "wb", asyncssh.SFTPAttrs(permissions=entry.mode)) as remote:
                        while data := stream.read(_CHUNK):
                            with _answering():
                                await remote.write(data)
                            step.advance(len(data))
    if preserve:
        # Last and deepest first, for the same reason as above.
        for entry in reversed(entries):
            if entry.kind != "link":
                atime, mtime = entry.times
                with _remote(root / entry.path) as text:
                    await sftp.setstat(text, asyncssh.SFTPAttrs(permissions=entry.mode, atime=atime, mtime=mtime))
