"""Image layers: members as a tar archive whose bytes depend on nothing but the members.

Written here rather than by tarfile, whose headers changed between versions of Python. The layers are kept uncompressed
in the store: a compressor's output changes with its version, and with it the image's digest, which a lock promises to
every machine. What is built from the layers is compressed there, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from thanos_tui.tree import Kind, Member

_BLOCK = 512
_CHUNK = 1 << 20
# tar(1)'s record: archives are filled up to a multiple of it.
_RECORD = 20 * _BLOCK
_TYPES: dict[Kind, bytes] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}


def tar(members: Iterable[Member]) -> Iterator[bytes]:
    """The archive of ``members``, in their order, in POSIX's pax format (ustar headers, pax records only where
    needed).
    """
    written = 0
    for member in members:
        head = _headers(member)
        written += len(head) + member.size + -member.size % _BLOCK
        yield head
        if member.kind == "file" and member.open is not None:
            with member.open() as stream:
                while data := stream.read(_CHUNK):
                    yield data
            yield bytes(-member.size % _BLOCK)
    yield bytes(2 * _BLOCK + -(written + 2 * _BLOCK) % _RECORD)


def _headers(member: Member) -> bytes:
    name = member.name.encode("utf-8", "surrogateescape") + (b"/" if member.kind == "dir" else b"")
    link = member.linkname.encode("utf-8", "surrogateescape")
    records: dict[str, bytes] = {key: value.encode() for key, value in member.pax.items()}
    prefix, short = _split(name)
    if short is None:
        records["path"] = name
        prefix, short = b"", name[:100]
    if len(link) > 100:
        records["linkpath"] = link
    if member.size >= 8**11:
        records["size"] = str(member.size).encode()
    ids = []
    for key, value in (("uid", member.uid), ("gid", member.gid)):
        if value >= 8**7:
            records[key] = str(value).encode()
        ids.append(value if value < 8**7 else 0)
    size = member.size if member.size < 8**11 else 0
    head = b""
    if records:
        body = b"".join(_record(key, records[key]) for key in sorted(records))
        head = _ustar(b"pax", b"", b"x", 0o644, (0, 0), len(body), 0, b"", (0, 0)) + body + bytes(-len(body) % _BLOCK)
    kind = _TYPES[member.kind]
    return head + _ustar(
        short, prefix, kind, member.mode, (ids[0], ids[1]), size, int(member.mtime), link[:100], member.device
    )


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """A name as ustar's prefix (155 bytes) and name (100 bytes), or (b"", None) where it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    # The part after the slash must fit too; an earlier slash would only make it longer.
    if cut <= 0 or len(name) - cut - 1 > 100:
        return b"", None
    return name[:cut], name[cut + 1 :]


def _record(key: str, value: bytes) -> bytes:
    """A pax record, whose length counts its own digits."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _ustar(
    name: bytes,
    prefix: bytes,
    kind: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    header = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, *owner, size, mtime),
            b" " * 8,
            kind,
            link.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0%07o\0" % device,
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
