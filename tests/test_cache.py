"""What the cache holds, and that only what nobody uses is removed from it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from buildsettings import TAR
from records import RECORD

from thanos_tui import cache, cli
from thanos_tui.cache import Amount
from thanos_tui.errors import HostError
from thanos_tui.events import Event, Reporter
from thanos_tui.files import cache_dir, cache_in_use
from thanos_tui.images import lock as locks
from thanos_tui.images.lock import Lock, LockedImage
from thanos_tui.images.package import Package, cached
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit import config
from thanos_tui.make import make
from thanos_tui.tree import Member
from thanos_tui.vm import registry

AddImage = Callable[..., Image]
AFile = Callable[..., Member]

MADE = config.read(b"onboot: [{name: x, image: 'x:1', command: [/bin/x]}]", "box.yml")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def store(home: Path) -> Store:
    return Store(cache_dir() / "store")


def aged(path: Path, days: float) -> Path:
    os.utime(path, (0, time.time() - days * 86400))
    return path


def lying(name: str, days: float, data: bytes = b"1234") -> Path:
    """A file of the cache that was used so many days ago."""
    path = cache_dir() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return aged(path, days)


def program(place: str, name: str, days: float) -> Path:
    """A set of programs with one in it, fetched so many days ago."""
    path = lying(f"tools/{place}/bin/{name}", days, b"#!/bin/sh\n")
    path.chmod(0o755)
    aged(path.parent, days)
    return path


def files() -> set[str]:
    return {str(path.relative_to(cache_dir())) for path in cache_dir().rglob("*") if path.is_file()} - {"lock"}


def amounts(found: tuple[Amount, ...]) -> dict[str, tuple[int, int]]:
    return {amount.kind: (amount.items, amount.bytes) for amount in found}


def test_an_empty_cache_holds_nothing() -> None:
    assert amounts(cache.held()) == dict.fromkeys(cache.KINDS, (0, 0))
    assert cache.held() == cache.prune(0)


def test_what_was_not_used_for_long_goes() -> None:
    for days, name in ((40, "old"), (20, "new")):
        lying(f"apt/{name}/lists/index", 90)
        lying(f"apt/{name}/lock", days, b"")
        lying(f"packages/{name[:2]}/{name}.deb", days)
        lying(f"segments/{name}-1.json", 90)  # what is in it is looked at less often than the segment itself
        lying(f"segments/{name}-1-12.zst", days)
    lying("packages/partial/x.deb", 40)
    lying("surveys/x.json", 90)
    assert amounts(cache.held()) == {
        "indices": (2, 8),
        "packages": (3, 12),
        "images": (0, 0),
        "segments": (2, 16),
        "programs": (0, 0),
    }
    before = files()
    said = cache.prune(30, dry_run=True)
    assert files() == before
    assert cache.prune(30) == said
    assert amounts(said) == {
        "indices": (1, 4),
        "packages": (2, 8),
        "images": (0, 0),
        "segments": (1, 8),
        "programs": (0, 0),
    }
    assert files() == {
        "apt/new/lists/index",
        "apt/new/lock",
        "packages/ne/new.deb",
        "segments/new-1.json",
        "segments/new-1-12.zst",
        "surveys/x.json",
    }


def test_what_was_used_just_now_stays_whatever_is_asked_for() -> None:
    lying("packages/aa/a.deb", 0)
    lying("packages/bb/b.deb", 0.1)
    cache.prune(0)
    assert files() == {"packages/aa/a.deb"}


def test_an_image_stays_while_builds_look_for_it(store: Store, add_image: AddImage, a_file: AFile) -> None:
    kept = add_image("kept:1", [a_file("a", b"a")])
    gone = add_image("gone:1", [a_file("b", b"b" * 5000)])
    for path in (cache_dir() / "store/blobs").rglob("*"):
        aged(path, 40)
    assert store.find("kept:1", "amd64") == kept
    assert amounts(cache.held())["images"][0] == 2
    said = amounts(cache.prune(30, dry_run=True))
    assert store.references().keys() == {"docker.io/library/kept:1", "docker.io/library/gone:1"}
    assert amounts(cache.prune(30)) == said
    assert said["images"][0] == 1
    assert said["images"][1] > gone.layers[0].size > 5000
    assert store.find("kept:1", "amd64") == kept
    assert store.find("gone:1", "amd64") is None
    assert not store.has_blob(gone.layers[0])


def test_programs_stay_as_long_as_they_would_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    program("superseded", "qemu-tiny", 90)
    program("latest", "qemu-tiny", 80)
    program("installed", "env", 10)  # the host has it by now
    (cache_dir() / "tools/.new.x/usr").mkdir(parents=True)  # of an installation that was killed
    aged(cache_dir() / "tools/.new.x", 40)
    assert amounts(cache.prune(30))["programs"][0] == 3
    assert {path.name for path in (cache_dir() / "tools").iterdir()} == {"latest"}


def test_the_programs_of_a_machine_that_runs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    running = program("superseded", "qemu-tiny", 90)
    program("latest", "qemu-tiny", 80)
    directory, lock = registry.claim("box", unique=False)
    registry.write_record(directory, replace(RECORD, argv=(str(running), "-m", "64M")))
    assert amounts(cache.prune(30))["programs"][0] == 0
    os.close(lock)
    assert amounts(cache.prune(30))["programs"][0] == 1
    assert not running.exists()


def test_a_build_and_a_cleaning_keep_out_of_each_others_way(home: Path, add_image: AddImage, a_file: AFile) -> None:
    add_image("x:1", [a_file("bin/x", b"x")])
    refused: list[str] = []

    def listen(_event: Event) -> None:
        with pytest.raises(HostError) as caught:
            cache.prune(0)
        refused.append(caught.value.message)

    make(MADE, TAR, home / "out", Reporter(listen), lock=None)
    assert refused
    assert set(refused) == {"a build is using the cache"}
    cache.prune(0)


def test_who_comes_while_the_cache_is_cleaned_waits() -> None:
    begun = threading.Event()

    def build() -> None:
        with cache_in_use():
            begun.set()

    thread = threading.Thread(target=build)
    with cache._alone():
        thread.start()
        assert not begun.wait(0.2)
    assert begun.wait(60)
    thread.join()


def test_a_build_notes_the_packages_that_its_lock_names(home: Path, add_image: AddImage, a_file: AFile) -> None:
    image = add_image("x:1", [a_file("bin/x", b"x")])
    package = Package("x", "1", "amd64", hashlib.sha256(b"x").hexdigest(), 1, "pool/x.deb")
    path = lying(str(cached(package).relative_to(cache_dir())), 40)
    other = lying("packages/aa/a.deb", 40)
    named = {
        ("x:1", "amd64"): LockedImage(image.digest),
        ("y:1", "amd64"): LockedImage("sha256:" + "0" * 64, "1" * 64, "debian", ("x",), (package,)),
    }
    (home / "box.lock").write_bytes(locks.dump(Lock(named)).encode())
    make(MADE, TAR, home / "out", Reporter(), lock=home / "box.lock")
    cache.prune(30)
    assert path.exists()
    assert not other.exists()


def test_the_command_says_what_there_is_and_what_it_removed(capsys: pytest.CaptureFixture[str]) -> None:
    lying("packages/aa/a.deb", 40, b"x" * 2500)
    assert cli.main(["cache"]) == 0
    assert "packages  1      2.5 kB" in capsys.readouterr().out
    assert cli.main(["cache", "prune", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"kind": "packages", "items": 1, "bytes": 2500} in said
    assert cli.main(["cache", "prune", "--older-than", "50"]) == 0
    assert "packages  0 " in capsys.readouterr().out
    assert cli.main(["cache", "prune", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == said
    assert files() == set()


@pytest.mark.parametrize("days", ["x", "-1", "1e9", "nan", ""])
def test_a_number_of_days_is_asked_for(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["cache", "prune", f"--older-than={days}"])
    assert caught.value.code == 2
    assert "is no number of days" in capsys.readouterr().err
