"""Where Docker's data goes: blank disks and our own, and never a disk with anything else on it.

The disks are files; blkid, mke2fs and e2fsck are the real ones, as in the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from guests import Guest

SIZE = 64 << 20
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def storage(guest: Guest) -> Guest:
    for program in ("blkid", "e2fsck", "mke2fs"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            pytest.skip(f"{program} is not installed")
    for program in ("mount", "resize2fs", "sleep"):
        guest.program(program)
    for directory in ("sys/block", "sys/class/block", "var/lib", "run"):
        (guest.root / directory).mkdir(parents=True)
    return guest


def disk(guest: Guest, name: str = "vda", size: int = SIZE, removable: int = 0, read_only: int = 0) -> Path:
    """A blank disk of the machine."""
    path = guest.file(f"/dev/{name}")
    os.truncate(path, size)
    for top in ("block", "class/block"):
        for fact, value in {"size": size // 512, "removable": removable, "ro": read_only}.items():
            guest.file(f"/sys/{top}/{name}/{fact}", f"{value}\n")
    return path


def run(guest: Guest, place: str = "auto", limit: str = "50%") -> Done:
    return guest.run(guest.install("storage/storage.sh", "/usr/bin/storage.sh"), place, limit)


def state(guest: Guest) -> str:
    return (guest.root / "run/thanos/docker-storage").read_text().replace(str(guest.root), "").strip()


def signature(path: Path) -> str:
    """The label and the random number of a file system."""
    argv = ["/usr/sbin/blkid", "-p", "-o", "value", "-s", "LABEL", "-s", "UUID", str(path)]
    return subprocess.run(argv, capture_output=True, text=True).stdout


def tool(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True, env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


def test_a_blank_disk_is_formatted_once_and_found_again(storage: Guest) -> None:
    path = disk(storage)
    first = run(storage)
    assert (first.returncode, state(storage)) == (0, "disk /dev/vda")
    assert "/dev/vda is blank: it gets a file system" in first.stdout.replace(str(storage.root), "")
    made = signature(path)
    assert made.startswith("thanos-docker\n")
    again = run(storage, "disk")
    assert (again.returncode, state(storage)) == (0, "disk /dev/vda")
    assert "is blank" not in again.stdout
    assert signature(path) == made
    mounts = [call for call in storage.calls if call.startswith("mount")]
    assert mounts == ["mount -t ext4 -o noatime /dev/vda /var/lib/docker"] * 2
    assert "resize2fs /dev/vda" in storage.calls


def plain_text(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"a diary")


def encrypted(path: Path) -> None:
    """As dm-crypt writes without a header: nothing to be known by."""
    with path.open("r+b") as stream:
        stream.write(os.urandom(8 << 20))


def something_further_on(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(30 << 20)
        stream.write(b"x" * (5 << 20))


def at_the_end(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")


def partitions(path: Path) -> None:
    subprocess.run(["/usr/sbin/sfdisk", "-q", path], input=b"label: gpt\n,,L\n", check=True, capture_output=True)


def another_file_system(path: Path) -> None:
    tool("mke2fs", "-q", "-t", "ext4", "-L", "photos", path)


def our_label_on_another_file_system(path: Path) -> None:
    tool("mke2fs", "-q", "-t", "ext2", "-L", "thanos-docker", path)


def swap(path: Path) -> None:
    tool("mkswap", path)


def luks(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"LUKS\xba\xbe\x00\x01")


def raid_member(path: Path) -> None:
    # The superblock of version 1.0 lies near the end: its magic number and its version.
    with path.open("r+b") as stream:
        stream.seek(SIZE - 8192)
        stream.write(bytes.fromhex("fc4e2ba901000000"))


HELD = [
    plain_text,
    encrypted,
    something_further_on,
    at_the_end,
    partitions,
    another_file_system,
    our_label_on_another_file_system,
    swap,
    luks,
    raid_member,
]


@pytest.mark.parametrize("write", HELD, ids=lambda write: write.__name__)
def test_a_disk_with_anything_on_it_is_left_alone(storage: Guest, write: Callable[[Path], None]) -> None:
    path = disk(storage)
    write(path)
    before = path.read_bytes()
    done = run(storage)
    assert path.read_bytes() == before
    assert (done.returncode, state(storage)) == (0, "memory 50%")
    assert "left alone, as they hold something: /dev/vda" in done.stdout.replace(str(storage.root), "")
    assert "mount -t tmpfs -o mode=0711,size=50% docker /var/lib/docker" in storage.calls


def test_blank_partitions_in_use_and_disks_of_other_kinds_are_left_alone(storage: Guest) -> None:
    paths = [
        disk(storage, "vda"),
        disk(storage, "vdb"),
        disk(storage, "sdc", removable=1),
        disk(storage, "sdd", read_only=1),
        disk(storage, "sde", size=8 << 20),
        disk(storage, "loop0"),
        disk(storage, "sr0"),
    ]
    storage.file("/sys/block/vda/vda1/partition", "1\n")
    storage.file("/sys/block/vdb/holders/dm-0")
    assert run(storage).returncode == 0
    assert state(storage) == "memory 50%"
    assert not any(path.read_bytes().strip(b"\0") for path in paths)


def test_a_disk_that_cannot_be_read_is_not_blank(storage: Guest) -> None:
    path = disk(storage)
    path.unlink()
    path.mkdir()
    run(storage)
    assert state(storage) == "memory 50%"


def test_our_disk_is_taken_and_a_blank_one_beside_it_left_blank(storage: Guest) -> None:
    blank, ours = disk(storage, "vda"), disk(storage, "vdb")
    tool("mke2fs", "-q", "-t", "ext4", "-L", "thanos-docker", ours)
    assert run(storage).returncode == 0
    assert state(storage) == "disk /dev/vdb"
    assert not blank.read_bytes().strip(b"\0")


def test_a_damaged_disk_is_not_mounted_and_said(storage: Guest) -> None:
    path = disk(storage)
    tool("mke2fs", "-q", "-t", "ext4", "-L", "thanos-docker", path)
    storage.program("e2fsck", "echo 'UNEXPECTED INCONSISTENCY'; exit 4")
    before = path.read_bytes()
    done = run(storage)
    assert (done.returncode, state(storage)) == (1, "memory 50%")
    assert "is damaged, and is left as it is" in done.stdout
    assert "UNEXPECTED INCONSISTENCY" in done.stdout
    assert path.read_bytes() == before
    assert (run(storage, "disk").returncode, state(storage)) == (1, "none")


def test_memory_means_that_no_disk_is_looked_at(storage: Guest) -> None:
    path = disk(storage)
    assert run(storage, "memory", "512").returncode == 0
    assert state(storage) == "memory 512"
    assert storage.calls == ["mount -t tmpfs -o mode=0711,size=512m docker /var/lib/docker"]
    assert not path.read_bytes().strip(b"\0")


def test_who_insists_on_a_disk_and_has_none_is_told(storage: Guest) -> None:
    done = run(storage, "disk")
    assert (done.returncode, state(storage)) == (1, "none")
    assert "there is no disk for Docker's data, and the profile wants one (stark.storage)" in done.stdout
    assert done.stderr == ""
    assert storage.calls == ["sleep 1"] * 29
