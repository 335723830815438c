"""Which Debian package a file of a recipe's image comes from.

An image holds no package database. What it was made of is noted in the cache when a build has used it; the packages
themselves, in the cache as well, say what they hold.
"""

from __future__ import annotations

import glob
from fnmatch import fnmatchcase
from pathlib import Path

from thanos_tui.errors import HostError, InputError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_dir
from thanos_tui.images import deb, lock
from thanos_tui.images import kernel as kernels
from thanos_tui.images.lock import Lock
from thanos_tui.images.package import Package, cached
from thanos_tui.images.unpacked import canonical


def note(used: Lock) -> None:
    """Remember what these images were made of. A cache that cannot be written only makes later answers poorer."""
    for key, image in used.images.items():
        path = _path(image.digest)
        if image.packages and not path.exists():
            try:
                lock.save(path, Lock({key: image}))
            except HostError:
                return


def packages(digest: str) -> tuple[Package, ...]:
    """What the image with this digest was made of; empty where no recipe made it, or that was not noted."""
    try:
        known = lock.load(_path(digest))
    except InputError:
        return ()
    return tuple(package for image in known.images.values() for package in image.packages) if known else ()


def package_of(
    path: str, candidates: tuple[Package, ...], reporter: Reporter, *, kernel: bool = False
) -> tuple[Package | None, tuple[Package, ...]]:
    """The package that has a file, and those that could not be asked because they are not in the cache.

    path: without a leading slash; its place before or after Debian's move into ``usr`` is all the same.
    kernel: it is a path in a kernel image, or in the archive of modules there.
    Raises BuildError for a package that is damaged.
    """
    wanted = kernels.shipped(path) if kernel else (glob.escape(canonical(path)),)
    gone = []
    for package in candidates:
        reporter.check()
        try:
            with cached(package).open("rb") as stream:
                for member in deb.members(stream, str(package)):
                    name = canonical(member.name)
                    if member.kind != "dir" and any(fnmatchcase(name, one) for one in wanted):
                        return package, ()
        except FileNotFoundError:
            gone.append(package)
    return None, tuple(gone)


def _path(digest: str) -> Path:
    return cache_dir() / "recipes" / f"{digest.removeprefix('sha256:')}.packages"
