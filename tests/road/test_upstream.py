"""The same YAML and store through upstream's own program: the same root filesystem, which boots the same way."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from road import Road
from unpacking import unpacked

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("linuxkit") is None, reason="upstream's program linuxkit is not on PATH"),
]


@dataclass(frozen=True)
class Pair:
    """One profile, built by both: the names that the files of each begin with."""

    ours: Path
    theirs: Path


@pytest.fixture(scope="module")
def pair(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    directory = tmp_path_factory.mktemp("upstream")
    profile = directory / "twin.thanos"
    profile.write_text("thanos: 1\noptions:\n  hostname: twin\n  sshd.generate-key: true\n")
    words = ("--format", "tar", "--format", "kernel+initrd", "--output", directory / "ours")
    road.run("--replay", profile, *words)
    (directory / "twin.yml").write_text(road.out("render", profile))
    (directory / "theirs").mkdir()
    store = Path(road.environment["XDG_CACHE_HOME"]) / "thanos-tui/store"
    for form in ("tar", "kernel+initrd"):  # it makes no other format beside tar
        upstream = ["linuxkit", "build", "--cache", str(store), "--no-sbom", "--format", form]
        done = subprocess.run(
            [*upstream, "--dir", str(directory / "theirs"), "--name", "twin", str(directory / "twin.yml")],
            # Should it look for an image anywhere but in the store, it fails.
            env=road.environment | {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    return Pair(directory / "ours/twin", directory / "theirs/twin")


def test_the_root_filesystems_are_the_same(pair: Pair) -> None:
    ours, theirs = (unpacked(Path(f"{name}.tar")) for name in (pair.ours, pair.theirs))
    assert len(theirs) > 1000
    assert {name: (ours.get(name), facts) for name, facts in theirs.items() if ours.get(name) != facts} == {}
    assert ours.keys() - theirs.keys() == set()


def test_kernel_and_command_line_are_the_same(pair: Pair) -> None:
    for end in ("-kernel", "-cmdline"):
        assert Path(f"{pair.ours}{end}").read_bytes() == Path(f"{pair.theirs}{end}").read_bytes()


@pytest.mark.boot
def test_upstreams_initrd_boots_the_same_way(road: Road, pair: Pair) -> None:
    name = road.out("run", f"{pair.theirs}-kernel", "--detach", "--machine", "upstream").strip()
    key = next((road.home / "data/thanos-tui/keys/twin").glob("id_ed25519"))
    try:
        ask = ("exec", "--identity", key, name, "--")
        assert road.out(*ask, "cat", "/proc/sys/kernel/hostname").strip() == "twin"
        lines = road.out(*ask, "ctr", "-n", "services.linuxkit", "task", "ls").splitlines()[1:]
        states = {line.split()[0]: line.split()[2] for line in lines}
        assert states == dict.fromkeys(("dhcp", "getty", "ntp", "rngd", "sshd"), "RUNNING")
    finally:
        road.run("stop", name, "--timeout", "60")
    log = road.out("logs", name)
    assert "Welcome to ThanOS" in log
    assert not re.search(r"thanos: .*fail|not ended within", log)
    assert "reboot: Power down" in log
