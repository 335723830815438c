"""The isolated apt against archives that the tests sign, break and take away."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, HostError, IntegrityError
from thanos_tui.events import LogLine, Reporter
from thanos_tui.images import apt, sources
from thanos_tui.images.apt import Apt
from thanos_tui.images.package import Origin


def opened(mirror: Any, **more: Any) -> Apt:
    return Apt("amd64", Origin(mirrors=(mirror.line(),), keyring=mirror.keyring), **more)


def test_solves_the_closure_without_recommended_packages(mirror: Any) -> None:
    mirror.add("server", depends="library (>= 2)", recommends="extra", version="1:9.2~p1-2+b1")
    mirror.add("library", version="2.1")
    mirror.add("extra")
    mirror.publish()
    one = opened(mirror)
    one.refresh(Reporter())
    found = one.solve(["server"])
    assert [(p.name, p.version, p.arch) for p in found] == [
        ("library", "2.1", "amd64"),
        ("server", "1:9.2~p1-2+b1", "amd64"),
    ]
    server = found[1]
    assert server.sha256 == mirror.packages["server"]["SHA256"]
    assert server.size == int(mirror.packages["server"]["Size"])
    assert server.path == mirror.packages["server"]["Filename"]
    assert one.family == "debian"
    # The second answer comes from memory, and is the same.
    assert opened(mirror).solve(["server"]) == found


def test_names_what_is_unknown(mirror: Any) -> None:
    mirror.add("server", depends="absent")
    mirror.publish()
    one = opened(mirror)
    one.refresh(Reporter())
    with pytest.raises(BuildError, match="has no package nonesuch"):
        one.solve(["nonesuch"])
    with pytest.raises(BuildError) as caught:
        one.solve(["server"])
    assert "server" in caught.value.message
    assert "absent" in str(caught.value.hint)


def test_asks_for_what_not_every_release_has_where_it_is(mirror: Any) -> None:
    mirror.add("server", recommends="absent")
    mirror.add("extra")
    mirror.publish()
    one = opened(mirror)
    one.refresh(Reporter())
    assert [package.name for package in one.solve(["server", "extra?", "absent?"])] == ["extra", "server"]
    with pytest.raises(BuildError, match="has no package absent"):
        one.solve(["server", "absent"])


@pytest.mark.parametrize("name", ["-oDebug=1", "server-", "a b", "", "x;y", "?", "server??", "?name(server)"])
def test_takes_no_words_for_packages_that_apt_takes_otherwise(mirror: Any, name: str) -> None:
    mirror.add("server")
    mirror.publish()
    one = opened(mirror)
    one.refresh(Reporter())
    with pytest.raises(BuildError):
        one.solve([name])


def test_refuses_an_index_that_was_changed(mirror: Any) -> None:
    mirror.add("server")
    mirror.publish()
    index = mirror.root / "dists/test/main/binary-amd64/Packages"
    index.write_bytes(index.read_bytes().replace(b"Version: 1.0", b"Version: 9.9"))
    one = opened(mirror)
    with pytest.raises(IntegrityError, match="not what its signature says"):
        one.refresh(Reporter())


def test_refuses_a_changed_release(mirror: Any) -> None:
    mirror.add("server")
    mirror.publish()
    release = mirror.root / "dists/test/InRelease"
    release.write_text(release.read_text().replace("Label: Debian", "Label: Devian"))
    with pytest.raises(IntegrityError, match="not signed by a key that counts"):
        opened(mirror).refresh(Reporter())


def test_refuses_another_key(mirror: Any, keys: Callable[[str], tuple[Path, bytes]]) -> None:
    mirror.add("server")
    mirror.publish(home=keys("other")[0])
    with pytest.raises(IntegrityError, match="not signed by a key that counts"):
        opened(mirror).refresh(Reporter())


def test_refuses_no_signature(mirror: Any) -> None:
    mirror.add("server")
    mirror.publish(sign=False)
    with pytest.raises(IntegrityError):
        opened(mirror).refresh(Reporter())


def test_says_that_a_mirror_lacks_the_suite(mirror: Any) -> None:
    with pytest.raises(HostError, match="does not have test"):
        opened(mirror).refresh(Reporter())


def test_says_that_a_mirror_lacks_the_architecture(mirror: Any) -> None:
    mirror.add("server")
    mirror.publish()
    one = Apt("arm64", Origin(mirrors=(mirror.line(),), keyring=mirror.keyring))
    with pytest.raises((BuildError, HostError), match="arm64"):
        one.refresh(Reporter())


@pytest.fixture
def nowhere() -> str:
    """A loopback URL where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "RETRIES", 0)


@pytest.mark.usefixtures("impatient")
def test_says_that_the_mirror_cannot_be_reached(mirror: Any, nowhere: str) -> None:
    one = Apt("amd64", Origin(mirrors=(f"{nowhere} test main",), keyring=mirror.keyring))
    with pytest.raises(HostError, match="cannot be reached") as caught:
        one.refresh(Reporter())
    assert "--offline" in str(caught.value.hint)


@pytest.mark.usefixtures("impatient")
def test_goes_on_with_old_indices_unless_new_ones_were_asked_for(mirror: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.add("server")
    mirror.publish()
    one = opened(mirror)
    one.refresh(Reporter())
    requests = len(mirror.seen)
    one.refresh(Reporter())
    assert len(mirror.seen) == requests, "fresh indices are not renewed"
    (mirror.root / "dists").rename(mirror.root / "gone")
    monkeypatch.setattr(apt, "FRESH_SECONDS", -1)
    said: list[str] = []
    one.refresh(Reporter(lambda event: said.append(event.text) if isinstance(event, LogLine) else None))
    assert any("going on with the package indices at hand" in text for text in said)
    assert [package.name for package in one.solve(["server"])] == ["server"]
    with pytest.raises(HostError):
        one.refresh(Reporter(), force=True)


def test_offline_needs_indices(mirror: Any) -> None:
    with pytest.raises(HostError, match="offline, and there are no package indices"):
        opened(mirror).refresh(Reporter(), offline=True)
    assert mirror.seen == []


def test_an_interrupted_update_stops(mirror: Any) -> None:
    from thanos_tui.errors import Interrupted

    mirror.add("server")
    mirror.publish()
    one = opened(mirror)
    reporter = Reporter()

    def cancel(_event: object) -> None:
        reporter.cancel()

    reporter._listener = cancel
    with pytest.raises(Interrupted):
        one.refresh(reporter)
    one.refresh(Reporter())
    assert one.solve(["server"])


# What the machine's own apt is set up for


def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: str, more: str = "") -> None:
    """Make the machine's apt one with these sources and settings."""
    etc = tmp_path / "etc"
    (etc / "parts").mkdir(parents=True, exist_ok=True)
    (etc / "sources.list").write_text(lines)
    (tmp_path / "host.conf").write_text(
        f'Dir::Etc::sourcelist "{etc}/sources.list";\nDir::Etc::sourceparts "{etc}/parts";\n{more}\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "host.conf"))


MACHINE = sources.Distribution("debian", "test")


def test_other_sources_of_the_machine_do_not_leak_in(
    mirror: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror.add("server")
    mirror.publish("test", "Debian")
    path = mirror.add("server", version="99")
    mirror.publish("test-updates", "Vendor")
    signed = f"[signed-by={mirror.keyring}]"
    host(
        monkeypatch,
        tmp_path,
        f"deb {signed} {mirror.line('test')}\n"
        f"deb {signed} {mirror.line('test-updates')}\n"  # borrows the suite's name
        f"deb {signed} {mirror.url} test vendor\n"  # borrows the suite, with a component of its own
        f"deb {signed} {mirror.url} anything main\n",
    )
    one = Apt("amd64", machine=MACHINE)
    one.refresh(Reporter())
    assert [package.version for package in one.solve(["server"])] == ["1.0"]
    assert not any("vendor" in seen or "anything" in seen for seen, _ in mirror.seen)
    requests = [seen for seen, _ in mirror.seen if "test-updates" in seen]
    one.refresh(Reporter(), force=True)
    assert [seen for seen, _ in mirror.seen if "test-updates" in seen] == requests, "it is not asked again"
    assert path.exists()


def test_the_machines_hooks_and_pins_do_not_count(mirror: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mirror.add("server")
    mirror.publish()
    marker = tmp_path / "ran"
    pins = tmp_path / "pins"
    pins.write_text("Package: server\nPin: version *\nPin-Priority: -1\n")
    host(
        monkeypatch,
        tmp_path,
        f"deb [signed-by={mirror.keyring}] {mirror.line()}\n",
        f'APT::Update::Pre-Invoke {{ "touch {marker}"; }};\nDir::Etc::preferences "{pins}";\n',
    )
    one = Apt("amd64", machine=MACHINE)
    one.refresh(Reporter())
    assert [package.name for package in one.solve(["server"])] == ["server"]
    assert not marker.exists()


def test_the_machines_settings_for_the_network_count(
    mirror: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror.add("server")
    mirror.publish()
    host(
        monkeypatch,
        tmp_path,
        f"deb [signed-by={mirror.keyring}] http://mirror.invalid test main\n",
        f'Acquire::http::Proxy "{mirror.url}";\n',
    )
    one = Apt("amd64", machine=MACHINE)
    with pytest.raises(HostError):
        one.refresh(Reporter())
    # The proxy was asked for the whole URL.
    assert any(seen.startswith("http://mirror.invalid/") for seen, _ in mirror.seen)


def test_how_long_apt_waits_between_attempts_is_the_machines_to_say(
    mirror: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror.add("server")
    mirror.publish()
    settings = 'Acquire::Retries "77";\nAcquire::Retries::Delay "false";\n'
    host(monkeypatch, tmp_path, f"deb [signed-by={mirror.keyring}] {mirror.line()}\n", settings)
    one = Apt("amd64", machine=MACHINE)
    one.refresh(Reporter())
    written = Path(one.environment["APT_CONFIG"]).read_text()
    assert 'Acquire::Retries::Delay "false";' in written
    assert "77" not in written


def test_a_machine_without_a_source_of_its_own(mirror: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host(monkeypatch, tmp_path, f"deb {mirror.url} anything main\n")
    with pytest.raises(HostError, match="names no package source of debian test"):
        Apt("amd64", machine=MACHINE)


def test_a_machine_without_apt(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt.programs, "find", lambda _program: None)
    with pytest.raises(HostError, match="has no apt"):
        Apt("amd64")
