"""The root filesystem with every name once: what the last part says counts, and nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thanos_tui.build import merged
from thanos_tui.build.rootfs import Part
from thanos_tui.errors import BuildError
from thanos_tui.tree import Member, content

File = Callable[..., Member]
Parts = Callable[..., Part]


def tree(*parts: Part) -> dict[str, tuple[str, bytes | str]]:
    """What there is, in order: kind, and content or target."""
    found: dict[str, tuple[str, bytes | str]] = {}
    root, *_ = members = list(merged.members(parts))
    assert (root.name, root.mode) == (".", 0o755)
    for member in members[1:]:
        assert member.name not in found
        data = b"".join(content(member)) if member.kind == "file" and member.size else b""
        found[member.name] = member.kind, member.linkname or data
    return found


def test_the_last_of_a_name_counts(part: Parts, a_file: File) -> None:
    first = part([Member("etc", "dir", 0o755), a_file("etc/a", b"old"), a_file("etc/b", b"b")])
    second = part([a_file("etc/a", b"new"), Member("etc", "dir", 0o700)])
    assert tree(first, second) == {"etc": ("dir", b""), "etc/b": ("file", b"b"), "etc/a": ("file", b"new")}
    (_, directory, *_) = merged.members((first, second))
    assert directory.mode == 0o700


def test_directories_come_first_and_missing_ones_are_made(part: Parts, a_file: File) -> None:
    found = tree(part([a_file("a/b/c", b"x")]), part([Member("z", "dir")]))
    assert list(found) == ["a", "a/b", "z", "a/b/c"]


def test_what_boots_is_left_out(part: Parts, a_file: File) -> None:
    assert list(tree(part([Member("boot", "dir"), a_file("boot/kernel", b"k"), a_file("bootable", b"")]))) == [
        "bootable"
    ]


def test_other_names_of_a_replaced_file_keep_its_content(part: Parts, a_file: File) -> None:
    links = [Member(name, "hardlink", linkname="box") for name in ("ls", "cp")]
    found = tree(part([a_file("box", b"busy"), *links]), part([a_file("box", b"other"), a_file("none", b"")]))
    assert found["ls"] == ("file", b"busy")
    assert found["cp"] == ("hardlink", "ls")
    assert found["box"] == ("file", b"other")


def test_what_lies_behind_a_link_goes_where_it_leads(part: Parts, a_file: File) -> None:
    init = part([Member("usr", "dir"), Member("usr/lib", "dir"), Member("lib", "symlink", linkname="/usr/lib")])
    found = tree(init, part([Member("lib", "dir"), a_file("lib/x/y", b"y")]))
    assert found["usr/lib/x/y"] == ("file", b"y")
    assert found["lib"] == ("symlink", "/usr/lib")


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_is_no_directory(part: Parts, a_file: File, turned: bool) -> None:
    pair = [part([a_file("x", b"")]), part([a_file("x/y", b"")])]
    with pytest.raises(BuildError, match="x is a directory in one part"):
        tree(*(pair[::-1] if turned else pair))
