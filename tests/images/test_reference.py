"""What image names mean."""

from __future__ import annotations

import pytest

from thanos_tui.errors import InputError
from thanos_tui.images.reference import Reference, expand, split

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("redis", "docker.io/library/redis"),
        ("redis:7", "docker.io/library/redis:7"),
        ("linuxkit/sshd:1", "docker.io/linuxkit/sshd:1"),
        ("localhost/tool:dev", "localhost/tool:dev"),
        ("localhost:5000/tool", "localhost:5000/tool"),
        ("example.com/tool", "example.com/tool"),
        # More than one slash: taken as complete, host or not.
        ("a/b/c:1", "a/b/c:1"),
        ("localhost/thanos/kernel:hyperv-qemu", "localhost/thanos/kernel:hyperv-qemu"),
        (f"linuxkit/sshd@{DIGEST}", f"docker.io/linuxkit/sshd@{DIGEST}"),
    ],
)
def test_expansion(written: str, full: str) -> None:
    assert expand(written) == full
    assert expand(full) == full


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("docker.io/library/redis", ("docker.io/library/redis", "", "")),
        ("localhost:5000/tool:dev", ("localhost:5000/tool", "dev", "")),
        (f"localhost:5000/tool@{DIGEST}", ("localhost:5000/tool", "", DIGEST)),
        (f"a/b:1@{DIGEST}", ("a/b", "1", DIGEST)),
    ],
)
def test_splitting(text: str, parts: tuple[str, str, str]) -> None:
    assert split(text) == Reference(*parts)


@pytest.mark.parametrize("text", ["", "a b", "a:", "a/", "/a", "a:b:c", "a@sha256:12", "a\nb", "../a", f"a@{DIGEST}0"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not the name of an image"):
        split(text)
