"""The file tree of an image: its layers laid over one another.

The rules are those of the OCI image specification (layer.md) as containerd applies them: a later layer replaces, a
whiteout (``.wh.NAME``) removes what lower layers brought, an opaque one (``.wh..wh..opq``) all of a directory; of one
name in one layer the last counts; symbolic links in a member's path are followed, inside the image's root.

Two readings: the first builds the tree of names (and checks every hash before anything is given out), the second hands
out what is left of each layer. So memory grows with the number of files, not with their size, and nothing is unpacked
to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from thanos_tui import tarball
from thanos_tui.errors import BuildError
from thanos_tui.files import replacing
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit.model import Compat
from thanos_tui.tree import MTIME, Kind, Member

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
# The kernel gives up after as many symbolic links in one path.
_LINKS = 40
_CHUNK = 1 << 20
# zstd --ultra --long=27; more would be memory that a hostile layer chooses.
_WINDOW = 1 << 27
# Devices that do no harm wherever they are (Linux's devices.txt): null, zero, full, random, urandom; tty, ptmx.
_HARMLESS = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)})


@dataclass(frozen=True)
class Limits:
    """What an image may unpack to before it counts as a bomb: bytes of content, and files, links and directories."""

    size: int = 32 << 30
    members: int = 1_000_000


class _Node:
    """A name of the tree. ``place`` is where its header stands: (layer, member); None if no header made it.

    ``inode`` is the place of the header with the content: another one than ``place`` for a hard link.
    """

    __slots__ = ("children", "inode", "kind", "member", "place", "size")

    def __init__(self, kind: Kind, place: tuple[int, int] | None, inode: tuple[int, int] | None) -> None:
        self.kind = kind
        self.place = place
        self.inode = inode
        self.children: dict[str, _Node] = {}
        self.member: Member | None = None
        self.size = 0

    def layer(self) -> int:
        return self.place[0] if self.place else -1


def flatten(
    store: Store,
    image: Image,
    limits: Limits = Limits(),
    without: Collection[str] = (),
    compat: Compat = "fixed",
) -> Iterator[Member]:
    """The members of the image's tree: every name once, directories before what they hold, targets before hard links.

    Directories that no layer describes are made up: mode 0755, root's. The root itself (``.``) comes first, where a
    layer describes it. Order is that of the layers, lowest first, and of the members in them.

    without: names that are left out as if they were not there; what a directory among them holds is not.
    compat: ``"upstream"`` reads layers as LinuxKit does: opaque whiteouts count for nothing, nor does a whiteout of
    what a later layer makes again, and of one name in one layer the first counts.

    Raises IntegrityError for a damaged blob, BuildError for a layer that is no archive, leaves its root, links to
    nothing, or exceeds ``limits``; each names the layer.
    """
    return _Tree(store, image, limits, compat).members(lambda path: path not in without, trees=True)


def select(store: Store, image: Image, names: Collection[str], limits: Limits = Limits()) -> Iterator[Member]:
    """Those members of the tree that have one of these names (not directories), in the order of their layers.

    A file that has more names comes as a file, not as a hard link, unless both are wanted.
    """
    return _Tree(store, image, limits).members(lambda path: path in names, trees=False)


def brought_by(store: Store, image: Image, path: str, limits: Limits = Limits()) -> tuple[int, ...]:
    """Which layers (from 1, the lowest) bring something to ``path``; the last one counts. Raises as :func:`flatten`."""
    return tuple(_Tree(store, image, limits, watched=path).brought)


@dataclass(frozen=True)
class Survey:
    """What a look at an image's tree tells: bytes of content, number of members, and what is in the root directory.

    top: by name, the kind, the bytes of a file, and what a symlink leads to. package_db: it has Alpine's
    ``lib/apk/db/installed``.
    """

    size: int
    members: int
    top: Mapping[str, tuple[str, int, str]]
    package_db: bool


PACKAGE_DB = "lib/apk/db/installed"


def survey(store: Store, image: Image, cache: Path, limits: Limits = Limits()) -> Survey:
    """The survey of an image; made once and kept in the directory ``cache``, by what the layers hold.

    Raises as :func:`flatten` does.
    """
    kept = cache / f"{content_key(image)}.json"
    try:
        found = json.loads(kept.read_bytes())
        top = {str(name): (str(kind), int(size), str(link)) for name, (kind, size, link) in found["top"].items()}
        return Survey(int(found["size"]), int(found["members"]), top, bool(found["package_db"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Not there yet, or not ours: it can be made again.
        made = _Tree(store, image, limits).survey()
    with replacing(kept) as stream:
        stream.write(json.dumps(asdict(made), sort_keys=True).encode())
    return made


def content_key(image: Image) -> str:
    """A hash (hex) that two images share when their layers are the same, whatever their names and configurations."""
    return hashlib.sha256("\n".join(layer.digest for layer in image.layers).encode()).hexdigest()


@contextmanager
def decompressed(packed: io.BufferedReader, what: str) -> Iterator[BinaryIO]:
    """A stream without its compression: gzip (any number of members), zstd or none, as its first bytes say.

    Reading raises BuildError where it cannot be decompressed.
    """
    import zstandard

    head = packed.peek(4)[:4]
    stream: BinaryIO = packed
    if head[:2] == b"\x1f\x8b":
        stream = io.BufferedReader(gzip.GzipFile(fileobj=packed), _CHUNK)
    elif head == b"\x28\xb5\x2f\xfd" or head[1:] == b"\x2a\x4d\x18":
        unzstd = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        stream = io.BufferedReader(unzstd.stream_reader(packed, read_across_frames=True), _CHUNK)
    try:
        yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise BuildError(f"{what} cannot be unpacked: {error}") from error


class _Tree:
    """The names of an image, from a first reading of its layers."""

    def __init__(self, store: Store, image: Image, limits: Limits, compat: Compat = "fixed", watched: str = "") -> None:
        self._store = store
        self._image = image
        self._limits = limits
        self._root = _Node("dir", None, None)
        self._count = 0
        self._upstream = compat == "upstream"
        # The last layer that has a name, whatever it is there: upstream begins at the top and keeps book by names.
        self._last: dict[str, int] = {}
        if self._upstream:
            for number in range(len(image.layers)):
                self._last.update((member.name, number) for member in self._layer(number))
        # The layers that bring something to the path that is watched.
        self.brought: list[int] = []
        size = 0
        for number in range(len(image.layers)):
            for position, member in enumerate(self._layer(number)):
                size += member.size
                if size > limits.size:
                    raise BuildError(f"the image {image.reference} unpacks to more than {limits.size >> 20} MiB")
                self._add(member, (number, position))
            node = self._lookup(watched, (number, 0)) if watched else None
            if node is not None and node.layer() == number:
                self.brought.append(number + 1)

    def _what(self, number: int) -> str:
        return f"layer {number + 1} ({self._image.layers[number].digest}) of the image {self._image.reference}"

    def _layer(self, number: int) -> Iterator[Member]:
        layer, what = self._image.layers[number], self._what(number)
        with self._store.open_blob(layer.digest) as blob, decompressed(blob, what) as stream:
            hashed = stream is blob and blob.seekable()
            for position, member in enumerate(tarball.members(stream, what, jump=hashed)):
                # Counted by headers, not by names: there are bombs that say the same over and over, or only remove.
                if position == self._limits.members:
                    raise self._too_many()
                yield member
            # What follows the archive's end mark is only there to be hashed.
            rest = 0
            while chunk := stream.read(_CHUNK):
                rest += len(chunk)
                if rest > self._limits.size:
                    raise BuildError(f"{what} goes on for more than {self._limits.size >> 20} MiB behind its end")

    def _too_many(self) -> BuildError:
        return BuildError(f"the image {self._image.reference} has more than {self._limits.members} members")

    # The first reading

    def _add(self, member: Member, place: tuple[int, int]) -> None:
        if member.name == ".":
            if member.kind == "dir":
                self._root.member, self._root.place = replace(member, open=None), place
            return
        above, _, name = member.name.rpartition("/")
        if name.startswith(_WHITEOUT) and name != _WHITEOUT:
            directory = self._directory(above, place, make=False)
            if self._upstream and (name == _OPAQUE or self._kept_by_upstream(above, name, place[0])):
                return
            if directory is not None and name == _OPAQUE:
                self._remove_lower(directory, place[0])
            elif directory is not None and not name.startswith(_WHITEOUT * 2):
                self._remove_name(directory, name.removeprefix(_WHITEOUT), place[0])
            return
        directory = self._directory(above, place, make=True) or self._root
        old = directory.children.get(name)
        if self._upstream and old is not None and old.layer() == place[0]:
            return
        if member.kind == "hardlink":
            target = self._lookup(member.linkname, place)
            if target is None or target.kind == "dir":
                raise BuildError(
                    f"{self._what(place[0])}: {member.name} is a hard link to {member.linkname}, which is not there"
                )
            if target is old:
                return
            node = self._new(target.kind, place, target.inode)
            node.member, node.size = target.member, target.size
        else:
            node = self._new(member.kind, place, place)
            node.size = member.size
            if member.kind != "file":
                node.member = replace(member, open=None)
            if member.kind == "dir" and old is not None and old.kind == "dir":
                node.children = old.children
        directory.children[name] = node

    def _kept_by_upstream(self, above: str, whiteout: str, layer: int) -> bool:
        """Whether a later layer has what a whiteout removes."""
        name = whiteout.removeprefix(_WHITEOUT)
        return self._last.get(f"{above}/{name}" if above else name, -1) > layer

    def _new(self, kind: Kind, place: tuple[int, int] | None, inode: tuple[int, int] | None) -> _Node:
        self._count += 1
        if self._count > self._limits.members:
            raise self._too_many()
        return _Node(kind, place, inode)

    def _directory(self, path: str, place: tuple[int, int], make: bool) -> _Node | None:
        """The directory at ``path``, links followed; missing ones are made, or the answer is None."""
        trail = [self._root]
        steps = path.split("/")[::-1] if path else []
        links = 0
        while steps:
            step = steps.pop()
            if step in ("", "."):
                continue
            if step == "..":
                # The root is its own parent: no link leads out of it.
                del trail[max(1, len(trail) - 1) :]
                continue
            node = trail[-1].children.get(step)
            if node is None:
                if not make:
                    return None
                node = trail[-1].children[step] = self._new("dir", None, None)
            if node.kind == "symlink" and node.member is not None:
                links += 1
                if links > _LINKS or len(steps) > 4096:
                    raise BuildError(f"{self._what(place[0])}: too many symbolic links on the way to {path}")
                if node.member.linkname.startswith("/"):
                    del trail[1:]
                steps += node.member.linkname.split("/")[::-1]
                continue
            if node.kind != "dir":
                if not make:
                    return None
                raise BuildError(f"{self._what(place[0])}: {path} cannot be a directory, {step} is a {node.kind}")
            trail.append(node)
        return trail[-1]

    def _lookup(self, path: str, place: tuple[int, int]) -> _Node | None:
        above, _, name = path.rpartition("/")
        directory = self._directory(above, place, make=False)
        return directory.children.get(name) if directory is not None else None

    def _remove_name(self, directory: _Node, name: str, layer: int) -> None:
        node = directory.children.get(name)
        if node is None:
            return
        if node.kind == "dir":
            self._remove_lower(node, layer)
        if node.layer() < layer and not node.children:
            del directory.children[name]

    def _remove_lower(self, directory: _Node, layer: int) -> None:
        """Remove below ``directory`` what lower layers brought; what this layer has already put there stays."""
        # Deepest first, without recursion: a path can be longer than Python's stack.
        order = [directory]
        for node in order:
            order += [child for child in node.children.values() if child.kind == "dir"]
        for node in reversed(order):
            for name in [name for name, child in node.children.items() if child.layer() < layer and not child.children]:
                del node.children[name]

    def survey(self) -> Survey:
        sizes: dict[tuple[int, int], int] = {}
        count = 0
        todo = [self._root]
        while todo:
            for node in todo.pop().children.values():
                count += 1
                todo.append(node)
                if node.inode and node.kind == "file":
                    sizes[node.inode] = node.size
        top = {
            name: (node.kind, node.size, node.member.linkname if node.member else "")
            for name, node in sorted(self._root.children.items())
        }
        above, _, name = PACKAGE_DB.rpartition("/")
        directory = self._directory(above, (0, 0), make=False)
        return Survey(sum(sizes.values()), count, top, directory is not None and name in directory.children)

    # The second reading

    def members(self, wanted: Callable[[str], bool], trees: bool) -> Iterator[Member]:
        """The members whose path is wanted; the directories on the way to them come too if ``trees``."""
        directories: dict[str, Member] = {}
        owners: dict[tuple[int, int], list[tuple[tuple[int, int], str]]] = {}
        # What to make of the header at a place: (path, target), with a target for hard links.
        plan: dict[tuple[int, int], tuple[str, str]] = {}
        copies: dict[str, Member] = {}
        todo = list(self._root.children.items())
        while todo:
            path, node = todo.pop()
            # Here names are what they come to: a link may have led one elsewhere.
            if node.kind in ("char", "block") and not path.startswith("dev/"):
                _check_device(path, node, self._what(node.layer()))
            if node.kind == "dir":
                todo += [(f"{path}/{name}", child) for name, child in node.children.items()]
                if trees and wanted(path):
                    # Open to all, root's, and as old as everything else that a build makes up.
                    made_up = Member(path, "dir", mode=0o755, mtime=MTIME)
                    directories[path] = replace(node.member, name=path) if node.member else made_up
                    if node.place:
                        plan[node.place] = (path, "")
            elif wanted(path) and node.place and node.place != node.inode and node.member is not None:
                # A second name of a symlink or a device: a copy is as good, and archives need not know about it.
                copies[path] = replace(node.member, name=path)
                plan[node.place] = (path, "")
            elif wanted(path) and node.place and node.inode:
                owners.setdefault(node.inode, []).append((node.place, path))
        for inode, group in owners.items():
            # The content goes to the first name that is left, which need not be the one it came with.
            (_, first), *others = sorted(group)
            plan[inode] = (first, "")
            plan.update({place: (path, first) for place, path in others})
        if trees and self._root.member is not None:
            yield self._root.member
        given: set[str] = set()
        for number in range(len(self._image.layers)):
            left = sum(place[0] == number for place in plan)
            if not left:
                continue
            for position, member in enumerate(self._layer(number)):
                path, target = plan.get((number, position), ("", ""))
                if not path:
                    continue
                yield from _above(path, directories, given)
                if target:
                    yield replace(member, name=path, kind="hardlink", linkname=target, size=0, open=None)
                elif path in copies:
                    yield copies[path]
                elif path not in directories:
                    yield replace(member, name=path)
                elif path not in given:
                    given.add(path)
                    yield directories[path]
                left -= 1
                if not left:
                    break
        # Directories without a header that lost all they held.
        for path in sorted(directories):
            yield from _above(f"{path}/", directories, given)


def _above(path: str, directories: Mapping[str, Member], given: set[str]) -> Iterator[Member]:
    """The directories above ``path`` that have not been given out yet, top first."""
    missing = []
    above = path.rpartition("/")[0]
    while above and above not in given:
        missing.append(above)
        above = above.rpartition("/")[0]
    for name in reversed(missing):
        if name in directories:
            given.add(name)
            yield directories[name]


def _check_device(path: str, node: _Node, what: str) -> None:
    """Raise BuildError for a harmful device outside of ``dev``: who opens it has a disk, or the machine's memory.

    In ``dev`` they are usual, and hidden: a container gets a ``/dev`` of its own.
    """
    major, minor = node.member.device if node.member else (0, 0)
    if node.kind == "block" or (major, minor) not in _HARMLESS:
        raise BuildError(
            f"{what}: {path} is a device ({node.kind} {major}:{minor}), and those belong in /dev",
            hint="remove it from the image; what a container needs is listed as `devices` of the component",
        )
