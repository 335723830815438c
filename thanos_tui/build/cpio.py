"""The "newc" cpio archives that the kernel unpacks as its first root filesystem.

The format is that of the kernel's ``Documentation/driver-api/early-userspace/buffer-format.rst``; what its reader does
with a member is in ``init/initramfs.c``, and decides more than the format does:

- a member whose directory is not there yet is dropped, silently;
- names that share their content must all say that there are more of them (``nlink``), so that has to be known before
  the first is written; the content goes with the first one, which the others then find as it is;
- a file that comes again is written over in place, with all its other names.

Two readings of a tree, therefore: :func:`survey` looks at what there is, :func:`archive` writes it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from thanos_tui.errors import BuildError
from thanos_tui.tree import Kind, Member, content

TRAILER = "TRAILER!!!"
_TYPES: Mapping[Kind, int] = {
    "file": 0o100000,
    "dir": 0o040000,
    "symlink": 0o120000,
    "char": 0o020000,
    "block": 0o060000,
    "fifo": 0o010000,
}
_HEADER = 110
_CHUNK = 1 << 20
# Header fields are eight hexadecimal digits.
_MOST = 0xFFFF_FFFF
# Linux's PATH_MAX with its closing zero byte: the kernel skips longer names and link targets without a word.
_PATH_MAX = 4096
# What a file in a tmpfs takes besides its content: inode, directory entry and their share of the slabs, rounded up.
_INODE = 1024
_PAGE = 4096


@dataclass(frozen=True)
class Survey:
    """What a tree has, apart from content.

    size: bytes of its archive. memory: bytes that it takes unpacked in a tmpfs.
    directories: those it brings. needs: those it puts something into before it brings them, or never brings.
    others: everything that is no directory, with its kind. targets: where its symlinks lead.
    groups: names that share a file, by the name that has the content.
    attributes: how many members have extended attributes, which an initramfs cannot hold.
    boot: files below ``boot/`` and their sizes; no initramfs has them, the boot loader does.
    """

    size: int
    memory: int
    directories: tuple[str, ...]
    needs: tuple[str, ...]
    others: Mapping[str, Kind]
    targets: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    attributes: int
    boot: Mapping[str, int]


def survey(tree: Iterable[Member]) -> Survey:
    """Look at a tree, without its content.

    Raises BuildError for what an archive cannot hold: files of 4 GiB and more, names and owners out of range, hard
    links to what is not there, names that come twice and share their content with others, are devices, or change their
    kind.
    """
    size = memory = attributes = 0
    directories: dict[str, None] = {}
    needs: dict[str, None] = {}
    others: dict[str, Kind] = {}
    targets: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    boot: dict[str, int] = {}
    for member in tree:
        name = clean(member.name)
        if name.startswith("boot/"):
            if member.kind == "file":
                boot[name] = member.size
            continue
        _check(name, member)
        for missing in _missing(name, directories, needs):
            if missing in others:
                raise BuildError(f"{name} is in {missing}, which is a {others[missing]}")
            needs[missing] = None
        if name in groups or name in owners or (member.kind == "hardlink" and name in others):
            raise BuildError(f"{name} comes twice, and shares its content with another name")
        kind, target = member.kind, member.linkname
        if kind == "dir":
            if name in others:
                raise BuildError(f"{name} is a {others[name]}, and then a directory")
            directories[name] = None
        else:
            if name in directories or name in needs:
                raise BuildError(f"{name} is a directory, and then a {kind}")
            if kind == "hardlink":
                first = owners.get(clean(target), clean(target))
                if first not in others:
                    raise BuildError(f"{name} is a hard link to {first}, which is not there before it")
                if others[first] == "file":
                    groups.setdefault(first, []).append(name)
                    owners[name] = first
                else:
                    # The kernel links files only: a symlink or device gets a second one that is the same.
                    kind, target = others[first], targets.get(first, "")
            if name in others and kind in ("char", "block"):
                raise BuildError(f"{name} comes twice, and is a device")
            others[name] = kind
        targets.pop(name, None)
        if kind == "symlink":
            targets[name] = target
        body = _body_size(member, targets.get(name, ""))
        size += _padded(_HEADER + len(_written(name))) + _padded(body)
        memory += _INODE + -(-body // _PAGE) * _PAGE
        attributes += any(key.startswith("SCHILY.xattr.") for key in member.pax)
    size += _padded(_HEADER + len(TRAILER) + 1)
    return Survey(
        size,
        memory,
        tuple(directories),
        tuple(needs),
        others,
        targets,
        {first: tuple(names) for first, names in groups.items()},
        attributes,
        boot,
    )


def archive(tree: Iterable[Member], seen: Survey) -> Iterator[bytes]:
    """The archive of a tree, in pieces of about a mebibyte; its length is ``seen.size``, and a multiple of four.

    seen: what :func:`survey` said of the same tree. Inode numbers count up from 1 in the order of the members; times
    are cut to seconds, and to what 32 bits hold. Raises BuildError where content is not as long as its member says.
    """
    owners = {name: first for first, names in seen.groups.items() for name in names}
    # Those that have the content of several names. Each of the names is written with their mode, owner and time: the
    # kernel gives the file what comes last.
    firsts: dict[str, tuple[int, Member]] = {}
    # Links to what is no file are written as what they link to.
    special: dict[str, Member] = {}
    # Small members are gathered: thousands of them, one compressor call each, would cost more than compressing does.
    gathered = bytearray()
    inode = 0
    for member in tree:
        name = clean(member.name)
        if name.startswith("boot/"):
            continue
        inode += 1
        if name in owners:
            number, first = firsts[owners[name]]
            gathered += _header(name, first, number, 1 + len(seen.groups[owners[name]]), 0)
            continue
        if member.kind == "hardlink":
            member = special[clean(member.linkname)]
        if member.kind not in ("file", "dir"):
            special[name] = member
        links = 1 + len(seen.groups.get(name, ()))
        if links > 1:
            firsts[name] = inode, member
        target = member.linkname if member.kind == "symlink" else ""
        gathered += _header(name, member, inode, links, _body_size(member, target))
        if target:
            gathered += _encoded(target) + b"\0" * (-len(_encoded(target)) % 4)
        elif member.kind == "file" and member.size:
            for data in content(member):
                gathered += data
                if len(gathered) >= _CHUNK:
                    yield bytes(gathered)
                    gathered.clear()
            gathered += b"\0" * (-member.size % 4)
        if len(gathered) >= _CHUNK:
            yield bytes(gathered)
            gathered.clear()
    gathered += _header(TRAILER, Member(TRAILER, "file", mode=0), 0, 1, 0, end=True)
    yield bytes(gathered)


def clean(name: str) -> str:
    """A member's name as an archive has it: no ``./``, no double or closing slashes; ``.`` for the root.

    Raises BuildError for one that leads out of the root.
    """
    if not name.startswith(("/", ".")) and "//" not in name and "/." not in name and not name.endswith("/"):
        # Nearly all of them.
        return name or "."
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise BuildError(f"the name {name} leads out of the root filesystem")
    return "/".join(steps) or "."


def _missing(name: str, *known: Container[str]) -> list[str]:
    """The directories on the way to ``name`` that are not known yet, top first."""
    found: list[str] = []
    above = name.rpartition("/")[0]
    while above and not any(above in names for names in known):
        found.insert(0, above)
        above = above.rpartition("/")[0]
    return found


def _check(name: str, member: Member) -> None:
    if member.kind == "file" and member.size > _MOST:
        raise BuildError(
            f"{name} has {member.size >> 20} MiB, and an initrd holds files of less than 4096 MiB",
            hint="leave it out, or put it on a volume",
        )
    if "\0" in name or len(_encoded(name)) >= _PATH_MAX:
        raise BuildError(f"the name {name[:60]!r}… is longer than Linux allows, or has a zero byte in it")
    if member.kind == "symlink" and not 0 < len(_encoded(member.linkname)) < _PATH_MAX:
        raise BuildError(f"the target of the symbolic link {name} is empty, or longer than Linux allows")
    if not (0 <= member.uid <= _MOST and 0 <= member.gid <= _MOST):
        raise BuildError(f"{name} belongs to {member.uid}:{member.gid}, and an initrd holds numbers of 32 bits")


def _body_size(member: Member, target: str) -> int:
    return member.size if member.kind == "file" else len(_encoded(target))


def _header(name: str, member: Member, inode: int, links: int, size: int, *, end: bool = False) -> bytes:
    raw = _encoded(name) + b"\0" if end else _written(name)
    kind: Kind = "file" if member.kind == "hardlink" else member.kind
    fields = (
        inode,
        0 if end else _TYPES[kind] | member.mode & 0o7777,
        member.uid,
        member.gid,
        links,
        min(max(int(member.mtime), 0), _MOST),
        size,
        0,
        0,
        *(member.device if kind in ("char", "block") else (0, 0)),
        len(raw),
        0,
    )
    header = b"070701" + b"%08X" * 13 % fields + raw
    return header + b"\0" * (-len(header) % 4)


def _written(name: str) -> bytes:
    # Only the end of an archive may be called so; with ./ before it, a file of that name is an ordinary one.
    return _encoded(f"./{name}" if name == TRAILER else name) + b"\0"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _padded(length: int) -> int:
    return length + -length % 4
