"""Downloads that are cut off, changed, missing or there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, HostError, IntegrityError
from thanos_tui.events import Progress, Reporter, StepFinished
from thanos_tui.images import apt, download
from thanos_tui.images.apt import Apt
from thanos_tui.images.download import cached, fetch
from thanos_tui.images.package import Origin, Package

BIG = bytes(range(256)) * 4000


@pytest.fixture
def one(mirror: Any) -> Apt:
    for number in range(6):
        mirror.add(f"part{number}", {f"usr/share/{number}": BIG + bytes([number])}, version="1:2~3+4", suffix="")
    mirror.publish()
    made = Apt("amd64", Origin(mirrors=(mirror.line(),), keyring=mirror.keyring))
    made.refresh(Reporter())
    mirror.seen.clear()
    return made


@pytest.fixture
def packages(one: Apt) -> list[Package]:
    return one.solve([f"part{number}" for number in range(6)])


def test_brings_everything_once_and_reports_bytes(one: Apt, packages: list[Package], mirror: Any) -> None:
    events: list[Any] = []
    files = fetch(packages, one, Reporter(events.append))
    for package, path in files.items():
        assert path.read_bytes() == (mirror.root / package.path).read_bytes()
    total = sum(package.size for package in packages)
    assert [event.done for event in events if isinstance(event, Progress)][-1] == total
    assert isinstance(events[-1], StepFinished)
    assert events[-1].ok
    requests = len(mirror.seen)
    assert fetch(packages, one, Reporter(), offline=True) == files
    assert len(mirror.seen) == requests
    assert list((cached(packages[0]).parents[1] / "partial").iterdir()) == []


def test_reports_each_download_under_way(one: Apt, packages: list[Package], monkeypatch: pytest.MonkeyPatch) -> None:
    from thanos_tui.events import Item
    from thanos_tui.images import download

    big = max(packages, key=lambda package: package.size)
    together = download.together

    def halfway(commands: Any, environment: Any, tick: Any) -> Any:
        download._partial(big).write_bytes(bytes(big.size // 2))
        tick()
        download._partial(big).unlink()
        return together(commands, environment, tick)

    monkeypatch.setattr(download, "together", halfway)
    events: list[Any] = []
    fetch(packages, one, Reporter(events.append))
    items = [event for event in events if isinstance(event, Item) and event.name == str(big)]
    assert (items[0].done, items[0].total) == (big.size // 2, big.size)
    assert items[-1].done == big.size


def test_fetches_a_damaged_file_of_the_cache_again(one: Apt, packages: list[Package], mirror: Any) -> None:
    path = fetch(packages[:1], one, Reporter())[packages[0]]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(HostError, match="offline, and not in the cache: part0"):
        fetch(packages[:1], one, Reporter(), offline=True)
    fetch(packages[:1], one, Reporter())
    assert path.read_bytes() == whole


def test_refuses_a_package_that_was_changed(one: Apt, packages: list[Package], mirror: Any) -> None:
    path = mirror.root / packages[0].path
    path.write_bytes(path.read_bytes().replace(BIG[:100], bytes(100), 1))
    with pytest.raises(IntegrityError, match=r"something else than the signed index names: part0 1:2~3\+4"):
        fetch(packages, one, Reporter())
    assert not cached(packages[0]).exists()
    # What was good is kept.
    assert cached(packages[1]).exists()


def test_refuses_a_package_of_another_size(one: Apt, packages: list[Package], mirror: Any) -> None:
    path = mirror.root / packages[0].path
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(IntegrityError):
        fetch(packages, one, Reporter())
    assert not cached(packages[0]).exists()


def test_goes_on_where_a_download_was_cut_off(one: Apt, packages: list[Package], mirror: Any) -> None:
    mirror.cut["part3_1%3a2%7e3%2b4_amd64.deb"] = 300_000
    mirror.cut["part3_1%3a2~3+4_amd64.deb"] = 300_000
    mirror.cut["part3_1%253a2%7e3%2b4_amd64.deb"] = 300_000
    files = fetch(packages, one, Reporter())
    assert files[packages[3]].read_bytes() == (mirror.root / packages[3].path).read_bytes()
    asked = [wanted for path, wanted in mirror.seen if "part3" in path]
    assert asked[0] == ""
    assert asked[1].startswith("bytes="), asked
    assert int(asked[1].removeprefix("bytes=").rstrip("-")) > 0


def test_goes_on_where_another_run_stopped(one: Apt, packages: list[Package], mirror: Any) -> None:
    partial = download._partial(packages[0])
    partial.parent.mkdir(parents=True)
    source = mirror.root / packages[0].path
    partial.write_bytes(source.read_bytes()[:500_000])
    import os

    stamp = source.stat().st_mtime
    os.utime(partial, (stamp, stamp))
    fetch(packages, one, Reporter())
    assert next(wanted for path, wanted in mirror.seen if "part0" in path).startswith("bytes=500000")
    assert cached(packages[0]).read_bytes() == source.read_bytes()


def test_a_leftover_that_does_not_fit_is_replaced(one: Apt, packages: list[Package]) -> None:
    partial = download._partial(packages[0])
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(packages[0].size - 10))
    fetch(packages, one, Reporter())
    assert cached(packages[0]).exists()


def test_says_that_the_mirror_has_moved_on(one: Apt, packages: list[Package], mirror: Any) -> None:
    (mirror.root / packages[0].path).unlink()
    with pytest.raises(BuildError, match=r"does not have part0 1:2~3\+4 any more") as caught:
        fetch(packages, one, Reporter())
    assert "--update" in str(caught.value.hint)


def test_a_locked_package_needs_no_index(one: Apt, packages: list[Package], mirror: Any) -> None:
    locked = [replace(package, uri="") for package in packages]
    again = Apt("amd64", Origin(mirrors=(f"{mirror.url}/nothing test main", mirror.line()), keyring=mirror.keyring))
    mirror.seen.clear()
    files = fetch(locked, again, Reporter())
    assert set(files) == set(packages)
    assert not any("dists" in path for path, _ in mirror.seen)


def test_local_archives(mirror: Any) -> None:
    mirror.add("part0")
    mirror.publish()
    made = Apt("amd64", Origin(mirrors=(f"file:{mirror.root} test main",), keyring=mirror.keyring))
    made.refresh(Reporter())
    package = made.solve(["part0"])[0]
    path = fetch([package], made, Reporter())[package]
    assert not path.is_symlink()
    assert path.read_bytes() == (mirror.root / package.path).read_bytes()
    assert (mirror.root / package.path).exists(), "the archive keeps its file"
    assert mirror.seen == []


def test_mirror_lists(mirror: Any, tmp_path: Path) -> None:
    mirror.add("part0")
    mirror.publish()
    listed = tmp_path / "mirrors.list"
    listed.write_text(f"{mirror.url}\n")
    made = Apt("amd64", Origin(mirrors=(f"mirror+file:{listed} test main",), keyring=mirror.keyring))
    made.refresh(Reporter())
    package = made.solve(["part0"])[0]
    assert package.path == mirror.packages["part0"]["Filename"]
    assert fetch([package], made, Reporter())[package].exists()


def test_an_unreachable_mirror(one: Apt, packages: list[Package], mirror: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "RETRIES", 0)
    quick = Apt("amd64", Origin(mirrors=(mirror.line(),), keyring=mirror.keyring))
    gone = [replace(package, uri=package.uri.replace(mirror.url, "http://127.0.0.1:9")) for package in packages]
    with pytest.raises(HostError, match="could not download part0"):
        fetch(gone, quick, Reporter())


def test_interrupted(one: Apt, packages: list[Package], mirror: Any) -> None:
    from thanos_tui.errors import Interrupted

    reporter = Reporter()

    def cancel(event: object) -> None:
        if isinstance(event, Progress):
            reporter.cancel()

    reporter._listener = cancel
    with pytest.raises(Interrupted):
        fetch(packages, one, reporter)
    fetch(packages, one, Reporter())
