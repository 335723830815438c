"""Locks: read back as they were written, strict, and clear about what changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from thanos_tui.errors import InputError
from thanos_tui.images.lock import Lock, LockedImage, changes, dump, load, lock_path, save
from thanos_tui.images.package import Package

LIBC = Package("libc6", "2.36-9", "amd64", "a" * 64, 100, "pool/main/g/glibc/libc6_2.36-9_amd64.deb")
SSHD = Package("openssh-server", "1:9.2p1-2+b1", "amd64", "b" * 64, 200, "pool/main/o/openssh/x.deb")
LOCK = Lock(
    {
        ("localhost/thanos/sshd:base", "amd64"): LockedImage(
            "sha256:" + "1" * 64, "2" * 64, "debian", ("openssh-server",), (LIBC, SSHD)
        ),
        ("localhost/thanos/init:base", "amd64"): LockedImage("sha256:" + "3" * 64, "4" * 64, "debian", (), (LIBC,)),
        ("localhost/thanos/init:base", "arm64"): LockedImage("sha256:" + "5" * 64, "6" * 64, "debian"),
        ("docker.io/library/redis:7", "amd64"): LockedImage("sha256:" + "7" * 64),
    }
)


def test_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "x.thanos")
    assert path.name == "x.thanos.lock"
    assert load(path) is None
    save(path, LOCK)
    assert load(path) == LOCK
    before = path.stat().st_mtime_ns
    save(path, LOCK)
    assert path.stat().st_mtime_ns == before, "what says the same is left alone"
    save(path, Lock())
    assert load(path) == Lock()


def test_is_made_for_version_control() -> None:
    text = dump(LOCK)
    assert text == dump(Lock(dict(reversed(LOCK.images.items()))))
    newer = replace(LIBC, version="2.36-10", sha256="c" * 64)
    images = {
        key: replace(i, packages=tuple(newer if p == LIBC else p for p in i.packages)) for key, i in LOCK.images.items()
    }
    old, new = text.splitlines(), dump(Lock(images)).splitlines()
    assert sum("openssh-server" in line and "sha256" in line for line in old) == 1
    changed = [line for line in new if line not in old]
    assert all("2.36-10" in line for line in changed), "the package, and its name in the lists of its images"


def test_says_what_changed() -> None:
    newer = replace(LIBC, version="2.36-10", sha256="c" * 64)
    key = ("localhost/thanos/init:base", "amd64")
    other = Lock({key: replace(LOCK.images[key], packages=(newer,), digest="sha256:" + "8" * 64)})
    assert changes(Lock({key: LOCK.images[key]}), other) == ("libc6 (amd64) 2.36-9 -> 2.36-10",)
    assert changes(LOCK, LOCK) == ()
    assert changes(None, Lock({key: LOCK.images[key]})) == ("+ libc6 (amd64) 2.36-9",)
    assert changes(Lock({key: LOCK.images[key]}), Lock()) == ("- libc6 (amd64) 2.36-9",)
    moved = Lock({key: replace(LOCK.images[key], digest="sha256:" + "9" * 64)})
    assert changes(Lock({key: LOCK.images[key]}), moved) == (
        "localhost/thanos/init:base (amd64) sha256:333333333333 -> sha256:999999999999",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"version": 1', '"version": 2', "later version"),
        ('"version": 1', '"version": "x"', "damaged"),
        ("{", "", "damaged"),
        ("a" * 64, "A" * 64, "not a sha256"),
        ("sha256:" + "1" * 64, "md5:1", "not a sha256 digest"),
        ("pool/main/o/openssh/x.deb", "../../x.deb", "not a path inside"),
        ("libc6:amd64=2.36-9", "libc6:amd64=9", "damaged"),
        ('"size": 100', '"size": "many"', "damaged"),
        ('"packages": [\n', '"bundles": [\n', "damaged"),
    ],
)
def test_refuses_what_it_cannot_trust(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = dump(LOCK)
    assert old in text
    path = tmp_path / "x.lock"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("value", [[], 1, None, {"version": 1}, {"version": 1, "packages": [1], "images": {}}])
def test_refuses_other_documents(tmp_path: Path, value: object) -> None:
    path = tmp_path / "x.lock"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="damaged"):
        load(path)
