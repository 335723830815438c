"""Streams of members that the root filesystem is made of, and what is done to them on the way."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from thanos_tui.images import layers
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit.model import Compat
from thanos_tui.tree import MTIME, Member

"""When everything was made that a build makes up: 2017-04-18T16:30:00Z, as upstream has it."""

_HOSTS = b"""\
127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
_RESOLV = b"\n# no resolv.conf configured\n"
# What every tree gets, whatever its image has at these names …
GENERATED = frozenset({"dev", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/resolv.conf", "proc", "sys"})
# … and what `docker export` leaves in a tree, though no image means it.
_DROPPED = frozenset({".dockerenv", "Dockerfile", "dev/console", "etc/hostname"})


def directory(name: str, mode: int = 0o755) -> Member:
    return Member(name, "dir", mode=mode, mtime=MTIME)


def file(name: str, content: bytes, mode: int = 0o644, mtime: float = MTIME) -> Member:
    return Member(name, "file", mode=mode, mtime=mtime, size=len(content), open=lambda: io.BytesIO(content))


def way(path: str) -> list[Member]:
    """The directories of a path, itself included, top first; none for ``""``."""
    steps = path.split("/") if path else []
    return [directory("/".join(steps[: end + 1])) for end in range(len(steps))]


def image_tree(store: Store, image: Image, prefix: str, resolv: str, compat: Compat = "fixed") -> Iterator[Member]:
    """An image's files below ``prefix``, with what LinuxKit puts in their places.

    resolv: where ``etc/resolv.conf`` leads; ``""`` makes it a file that names no server. compat: how layers are read.
    """
    below = f"{prefix}/" if prefix else ""
    tree = layers.flatten(store, image, without=GENERATED | _DROPPED, compat=compat)
    first = next(tree, None)
    yield from way(prefix.rpartition("/")[0])
    if first is not None and first.name == ".":
        yield replace(first, name=prefix or ".")
        first = next(tree, None)
    elif prefix:
        yield directory(prefix)
    for name in sorted(GENERATED):
        if name == "etc/hosts":
            yield file(below + name, _HOSTS)
        elif name == "etc/resolv.conf" and resolv:
            yield Member(below + name, "symlink", mtime=MTIME, linkname=resolv)
        elif name == "etc/resolv.conf":
            yield file(below + name, _RESOLV)
        else:
            yield directory(below + name)
    has_mtab = False
    while first is not None:
        member = replace(first, name=below + first.name)
        if first.kind == "hardlink":
            member = replace(member, linkname=below + first.linkname)
        if first.name == "etc/mtab":
            has_mtab = True
            member = replace(member, mtime=MTIME, pax={})
        yield member
        first = next(tree, None)
    if not has_mtab:
        yield Member(f"{below}etc/mtab", "symlink", mode=0o755, mtime=MTIME, linkname="/proc/mounts")


def package_db(store: Store, images: Sequence[Image]) -> Iterator[Member]:
    """Alpine's lists of installed packages, which would replace each other, joined into one."""
    lists = []
    for image in images:
        for member in layers.select(store, image, {layers.PACKAGE_DB}):
            if member.open is not None:
                lists.append(member.open().read())
    # Upstream leaves the time out.
    yield file(layers.PACKAGE_DB, b"".join(text + b"\n\n" for text in lists), mtime=0)


def moved(members: Iterable[Member], links: Mapping[str, str]) -> Iterator[Member]:
    """The members with a first directory that is a link in ``links`` put where the link leads."""

    def target(name: str) -> str:
        first, slash, rest = name.partition("/")
        return f"{links[first]}{slash}{rest}" if first in links else name

    for member in members:
        if "/" in member.name or member.kind == "dir":
            member = replace(member, name=target(member.name))
        yield replace(member, linkname=target(member.linkname)) if member.kind == "hardlink" else member


def with_parents(members: Iterable[Member]) -> Iterator[Member]:
    """The members with every directory before what it holds: the kernel drops what comes before its directory."""
    given: set[str] = set()
    for member in members:
        missing = []
        above = member.name.rpartition("/")[0]
        while above and above not in given:
            missing.append(above)
            above = above.rpartition("/")[0]
        for name in reversed(missing):
            given.add(name)
            yield directory(name)
        if member.kind == "dir":
            given.add(member.name)
        yield member
