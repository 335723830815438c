"""Files and directories of our own: where they live (XDG), and how they are written (beside, fsync, rename)."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from thanos_tui.errors import HostError

APPLICATION = "thanos-tui"
CACHE_LOCK = "lock"  # in the cache: shared by those who use it, held alone by who removes from it


def _base(variable: str, default: str) -> Path:
    # The XDG Base Directory Specification: relative values are to be ignored.
    value = os.environ.get(variable, "")
    return Path(value) / APPLICATION if value.startswith("/") else Path.home() / default / APPLICATION


def cache_dir() -> Path:
    """Everything that can be made again: packages, images, segments (``$XDG_CACHE_HOME/thanos-tui``)."""
    return _base("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """What cannot be made again: generated keys (``$XDG_DATA_HOME/thanos-tui``)."""
    return _base("XDG_DATA_HOME", ".local/share")


def config_dir() -> Path:
    """What the user sets: keys and settings of the app (``$XDG_CONFIG_HOME/thanos-tui``)."""
    return _base("XDG_CONFIG_HOME", ".config")


def state_dir() -> Path:
    """Machines and logs (``$XDG_STATE_HOME/thanos-tui``)."""
    return _base("XDG_STATE_HOME", ".local/state")


def assets_dir() -> Path:
    """The catalogue, recipes and module lists: inside the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent / "assets"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "assets"


def stark_dir() -> Path:
    """The stark component: its recipe and Dockerfile, and the recipes of apps; where :func:`assets_dir` is."""
    return assets_dir().parent / "stark"


def profiles_dir() -> Path:
    """The profiles that come with the program, to begin one's own from: where :func:`assets_dir` is, likewise."""
    return assets_dir().parent / "profiles"


def stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """What differs when a file is another one, or has been written to: size, times (ns) and inode number."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Write a whole file or nothing: the body writes to a temporary neighbour, which is renamed over ``path``.

    If the body raises, the neighbour is removed and ``path`` stays as it was. The file's permissions become ``mode``
    less the umask.

    Raises HostError where the directory cannot be written or the disk is full.
    """
    with replacing_by_name(path, mode) as temporary, temporary.open("r+b") as stream:
        yield stream


def write_if_changed(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a small file, whole or not at all; one that holds just this already is not even touched.

    Raises HostError as :func:`replacing` does.
    """
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass  # not there, or not to be read: writing says what is wrong, if anything is
    with replacing(path, mode) as stream:
        stream.write(data)


@contextmanager
def replacing_by_name(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """As :func:`replacing`, for programs that write a file by its name: the body fills the (empty) file it is given."""
    umask = os.umask(0)
    os.umask(umask)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            yield temporary
            os.fchmod(descriptor, mode & ~umask)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except OSError as error:
        # Before there is a temporary file, what failed is ours: the directory, or making the file in it.
        if temporary is not None and error.filename not in (None, str(path), str(temporary)):
            raise
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_left_over(path: Path) -> None:
    """Remove temporary neighbours of ``path`` (``.NAME.PID.….part``) whose writer was killed: its process is gone, and
    so is an hour.

    The hour is for a directory that two machines or containers share: they do not see each other's processes.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        pid = left.name.removeprefix(f".{path.name}.").split(".")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > 3600:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()


def require_space(path: Path, size: int, what: str) -> None:
    """Raise HostError where the file system of ``path`` (which may not exist yet) has less than ``size`` bytes free."""
    free = shutil.disk_usage(nearest_existing(path)).free
    if free < size:
        raise HostError(
            f"{what} will take {-(-size >> 20)} MiB, and {path} has {free >> 20} MiB free",
            hint="free some space on that disk, or choose another place",
        )


def wait_for_lock(descriptor: int, how: int, check: Callable[[], None]) -> None:
    """Take a lock on an open file (``fcntl.LOCK_SH`` or ``LOCK_EX``), waiting for others.

    ``check`` is called meanwhile, and raises if the wait is to end.
    """
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            check()
            time.sleep(0.05)
        else:
            return


@contextmanager
def cache_in_use() -> Iterator[None]:
    """Keep what the cache holds from being removed as unused meanwhile (``cache.prune``); waits for who is removing.

    A cache that cannot be written needs no such care, and whoever has to write there says what is wrong with it.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            cache_dir().mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context((cache_dir() / CACHE_LOCK).open("w"))
            fcntl.flock(stream, fcntl.LOCK_SH)
        yield


def nearest_existing(path: Path) -> Path:
    """``path``, or the nearest directory above it that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def unwritable(path: Path, error: OSError) -> HostError:
    """The error to raise where ``path`` could not be written: why not, and what to do about it."""
    remedy = {
        errno.ENOSPC: "free some space on that disk, or choose another place",
        errno.EDQUOT: "your disk quota is used up: free some space, or choose another place",
        errno.EACCES: "choose a directory that you may write to",
        errno.EPERM: "choose a directory that you may write to",
        errno.EFBIG: "that file system, or a limit set for this process, does not allow files so large",
        errno.EROFS: "that file system is mounted read-only: choose another place",
    }.get(error.errno or 0)
    return HostError(f"cannot write {path}: {error.strerror}", hint=remedy)
