"""The whole command without a boot: stopped half-way, repeated elsewhere, without network, without space, piped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import replays
from replays import Cache, Event
from road import THANOS, Road

from thanos_tui.files import cache_dir

pytestmark = pytest.mark.network

ALL = ("kernel+initrd", "tar", "tar-kernel-initrd", "raw-bios", "vhd", "qcow2-bios")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody"
PROFILE = """\
thanos: 1
options:
  output.formats: [kernel+initrd]
  output.size: 96
  hostname: small
  sshd.authorized-keys: [keys/me.pub]
  extra.files: ["/etc/motd=motd"]
  kernel.modules.virtualbox: false
  kernel.modules.vmware: false
  kernel.modules.hyperv: false
  ntp: false
  rngd: false
"""


def words_of(formats: tuple[str, ...]) -> list[str]:
    return [word for name in formats for word in ("--format", name)]


@dataclass(frozen=True)
class Built:
    """A profile that was built once, in every format. outputs: the SHA-256 of the files in ``out`` by their names."""

    road: Road
    cache: Cache
    profile: Path
    lock: bytes
    said: str
    outputs: dict[str, str]


def settle(home: Path) -> Path:
    """Write the profile and what it names into a home directory."""
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "me.pub").write_text(KEY + "\n")
    (home / "motd").write_text("hello\n")
    profile = home / "small.thanos"
    profile.write_text(PROFILE)
    return profile


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The first build of a new user, from nothing but packages; those are the tests' own user's."""
    packages = cache_dir() / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    cache = Cache(tmp_path_factory.mktemp("cache"))
    cache.path.mkdir()
    (cache.path / "packages").symlink_to(packages)
    home = tmp_path_factory.mktemp("first")
    profile = settle(home)
    road = Road(home, cache.home)
    said = road.out("--replay", profile, *words_of(ALL), "--output", home / "out", "--json")
    lock = profile.with_name("small.thanos.lock").read_bytes()
    return Built(road, cache, profile, lock, said, replays.hashes(home / "out"))


@dataclass(frozen=True)
class Someone:
    """Another user with the same profile, its lock and a copy of the cache."""

    road: Road
    cache: Cache
    lock: Path

    @property
    def out(self) -> Path:
        return self.road.home / "out"

    @property
    def working(self) -> list[str]:
        """The command lines of what still works on this user's cache or outputs."""
        return [line for place in (self.cache.home, self.out) for line in replays.working_on(place)]

    def replay(self, *words: str | Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.road.run("--replay", "small.thanos", "--output", "out", *words, **more)

    def fails(self, status: int, *words: str | Path) -> str:
        """A replay that ends with this status, in a sentence, and leaves nothing; what it said."""
        done = self.replay(*words, check=False)
        said = done.stderr.decode()
        assert done.returncode == status, said
        assert_told(said)
        assert done.stdout == b""
        return said.partition("thanos-tui: ")[2]


@pytest.fixture
def someone(built: Built, tmp_path: Path) -> Callable[..., Someone]:
    def settled(*, without: tuple[str, ...] = (), locked: bool = True) -> Someone:
        settle(tmp_path / "home")
        lock = tmp_path / "home" / "small.thanos.lock"
        if locked:
            lock.write_bytes(built.lock)
        cache = built.cache.copy(tmp_path / "cache", {"outputs", *without})
        return Someone(Road(tmp_path / "home", cache.home), cache, lock)

    return settled


def assert_told(said: str) -> None:
    """What ends with an error ends in one sentence, and perhaps a hint."""
    assert "Traceback" not in said
    assert said.count("thanos-tui: ") == 1, said


def files(directory: Path) -> list[str]:
    """The files below a directory, hidden ones and all, of which there may be none."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


# Stopped


def _started(step: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "step-started" and event["step"] == step


def _under_way(step: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "progress" and event["step"] == step


MOMENTS = {
    "indices": (_started("images/indices"), ["--update"]),
    "packages": (_started("images/packages"), []),
    "images": (_under_way("images/sshd"), []),
    "segments": (_under_way("segments"), []),
    "initrd": (_under_way("output/kernel+initrd"), []),
    "tar": (_under_way("output/tar"), []),
    "disk": (_started("output/vhd"), []),
    "qcow2": (_under_way("output/qcow2-bios"), []),
}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


def _take_away(moment: str, cache: Cache) -> None:
    """Leave something to do at that moment."""
    if moment == "packages":
        locked = json.loads((cache.home.parent / "home" / "small.thanos.lock").read_text())
        wanted = [one["sha256"] for one in locked["packages"] if one["name"] == "openssh-server"]
        shared = (cache.path / "packages").resolve()
        (cache.path / "packages").unlink()
        shutil.copytree(shared, cache.path / "packages", copy_function=replays.link)
        for digest in wanted:
            (cache.path / "packages" / digest[:2] / f"{digest}.deb").unlink()
    if moment in ("packages", "images"):
        cache.forget_images("sshd", "dhcp")
    if moment == "segments":
        cache.forget_segments(6 << 20)


@pytest.mark.parametrize("moment", MOMENTS)
def test_stopping_leaves_nothing_half_done(built: Built, someone: Callable[..., Someone], moment: str) -> None:
    user = someone()
    when, words = MOMENTS[moment]
    # qcow2 has a temporary file more than others; the rest comes before it or is made in the same way.
    formats = {"tar": ("tar",), "disk": ("vhd",), "qcow2": ("qcow2-bios",)}.get(moment, ("kernel+initrd",))
    for number in SIGNALS:
        # Each run may have brought what the next one is to be stopped at.
        if moment in ("packages", "images", "segments") and number == signal.SIGINT:
            _take_away(moment, user.cache)
        asked = ["--replay", "small.thanos", "--output", "out", *words_of(formats), *words]
        stopped = replays.stop(user.road, asked, when, number)
        assert user.lock.read_bytes() == built.lock
        assert [path for path in files(user.out) if not path.endswith(".part")] == []
        if number == signal.SIGKILL:
            assert stopped.status == -signal.SIGKILL
            continue
        assert (stopped.status, stopped.stderr) == (130, "thanos-tui: interrupted\n")
        assert stopped.events[-1]["event"] == "failed"
        assert stopped.events[-1]["status"] == 130
        assert files(user.out) == []
        assert user.cache.partial() == []
        assert user.working == []
    # What the kill left behind is swept up once it is old.
    while user.working:
        time.sleep(0.1)  # a program that the killed one started ends by itself a moment later
    for path in [*user.out.glob(".*.part"), *user.cache.partial()]:
        os.utime(path, (0, time.time() - 7200))
    user.replay(*words_of(formats))
    assert replays.hashes(user.out) == {name: built.outputs[name] for name in files(user.out)}
    assert user.cache.partial() == []
    assert user.lock.read_bytes() == built.lock


def test_impatience_does_no_harm(someone: Callable[..., Someone]) -> None:
    user = someone()
    user.cache.forget_images("sshd", "dhcp")
    words = ["--replay", "small.thanos", "--output", "out"]
    stopped = replays.stop(user.road, words, _started("images/sshd"), signal.SIGINT, times=20)
    assert (stopped.status, stopped.stderr) == (130, "thanos-tui: interrupted\n")
    assert files(user.out) == []
    assert user.cache.partial() == []


# Repeated


def test_the_same_bytes_from_other_hands(built: Built, tmp_path: Path) -> None:
    home = tmp_path / "zweites Zuhause"
    profile = settle(home)
    profile.with_name("small.thanos.lock").write_bytes(built.lock)
    for path in (home / "motd", home / "keys" / "me.pub"):
        os.utime(path, (1, 1))
    cache = Cache(tmp_path / "cache")
    cache.path.mkdir(parents=True)
    (cache.path / "packages").symlink_to(cache_dir() / "packages")
    variables = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "1",
        "SOURCE_DATE_EPOCH": "1",
        "MTOOLSRC": "/dev/null",
        "TMPDIR": str(home),
    }
    road = Road(home, cache.home, variables)
    (home / "somewhere").mkdir()
    done = subprocess.run(
        [THANOS, "--replay", "../small.thanos", *words_of(ALL), "--output", "../aus gabe", "--offline"],
        env=road.environment,
        cwd=home / "somewhere",
        umask=0o077,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Make the image kernel:qemu" in done.stderr
    assert replays.hashes(home / "aus gabe") == built.outputs
    assert {Path(line).resolve() for line in done.stdout.splitlines()} == {
        home / "aus gabe" / name for name in built.outputs
    }
    assert profile.with_name("small.thanos.lock").read_bytes() == built.lock


def test_again_nothing_is_written(built: Built) -> None:
    def facts() -> dict[str, tuple[int, int, int]]:
        out = built.road.home / "out"
        return {
            each.name: (each.stat().st_ino, each.stat().st_mtime_ns, each.stat().st_ctime_ns) for each in out.iterdir()
        }

    before = facts()
    said = built.road.out("--replay", built.profile, *words_of(ALL), "--output", built.road.home / "out", "--json")
    assert facts() == before
    events = replays.events(said)
    assert {event["event"] for event in events} == {"artefact"}
    assert {Path(event["path"]).name: event["sha256"] for event in events} == built.outputs


def test_outputs_that_were_touched_are_made_again(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    user.replay()
    good = replays.hashes(user.out)
    (user.out / "small-initrd.img").unlink()
    user.replay()
    assert replays.hashes(user.out) == good
    replays.damage(user.out / "small-kernel")
    user.replay()
    assert replays.hashes(user.out) == good == {name: built.outputs[name] for name in good}


@pytest.mark.parametrize("harm", ["damaged", "cut", "gone"])
def test_spoilt_segments_are_made_again(built: Built, someone: Callable[..., Someone], harm: str) -> None:
    user = someone()
    path = next(path for path in user.cache.segments() if 1 << 20 < path.stat().st_size < 6 << 20)
    data = path.read_bytes()
    if harm == "damaged":
        replays.damage(path)
    else:
        path.unlink()
        if harm == "cut":
            path.write_bytes(data[:-1000])
    said = user.replay().stderr.decode()
    assert ("is damaged: it is thrown away and made again" in said) == (harm == "damaged")
    assert replays.hashes(user.out).items() <= built.outputs.items()
    assert path.read_bytes() == data


@pytest.mark.parametrize("form", ["kernel+initrd", "tar"])
def test_a_spoilt_image_is_made_again(built: Built, someone: Callable[..., Someone], form: str) -> None:
    user = someone()
    if form == "kernel+initrd":
        user.cache.forget_segments(12 << 20)
    layer = user.cache.layer("sshd")
    replays.damage(layer)
    said = user.replay("--format", form, "--offline").stderr.decode()
    assert "damaged" in said
    assert "Make the image sshd" in said
    assert replays.hashes(user.out).items() <= built.outputs.items()
    assert hashlib.sha256(layer.read_bytes()).hexdigest() == layer.name


# Locked


def test_a_component_left_out_once_stays_locked(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    user.replay("--set", "getty=false")
    assert replays.hashes(user.out)["small-initrd.img"] != built.outputs["small-initrd.img"]
    assert user.lock.read_bytes() == built.lock


def test_without_a_lock_one_is_written(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone(locked=False)
    user.replay()
    assert user.lock.read_bytes() == built.lock


def _edit(lock: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change openssh-server in a lock."""
    value = json.loads(lock.read_text())
    (package,) = [one for one in value["packages"] if one["name"] == "openssh-server"]
    change(package)
    for by_arch in value["images"].values():
        for image in by_arch.values():
            image["packages"] = [
                f"openssh-server:amd64={package['version']}" if name.startswith("openssh-server:") else name
                for name in image["packages"]
            ]
    lock.write_text(json.dumps(value))


def test_the_lock_decides(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    _edit(user.lock, lambda package: package.update(sha256="0" * 64))
    said = user.fails(1)
    assert "something else than the signed index names: openssh-server" in said
    said = user.fails(3, "--offline")
    assert "offline, and not in the cache: openssh-server" in said
    _edit(user.lock, lambda package: package.update(version="0-0", path="pool/none_0-0_amd64.deb"))
    said = user.fails(1)
    assert "does not have openssh-server" in said
    assert "--update" in said
    value = json.loads(built.lock)
    value["images"]["localhost/thanos/sshd:base"]["amd64"]["digest"] = f"sha256:{'0' * 64}"
    user.lock.write_text(json.dumps(value))
    said = user.fails(1)
    assert "localhost/thanos/sshd:base" in said
    assert "--update" in said
    value["version"] = 99
    user.lock.write_text(json.dumps(value))
    assert "later version" in user.fails(2)
    user.lock.write_text("{")
    assert "damaged" in user.fails(2)
    assert files(user.out) == []


def test_update_tells_what_changed(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    value = json.loads(built.lock)
    (package,) = [one for one in value["packages"] if one["name"] == "openssh-server"]
    _edit(user.lock, lambda package: package.update(version="0-0"))
    said = user.replay("--update").stderr.decode()
    assert f"lock: openssh-server (amd64) 0-0 -> {package['version']}\n" in said
    assert user.lock.read_bytes() == built.lock
    assert "lock: " not in user.replay().stderr.decode()


# Alone


def _alone() -> list[str]:
    """What makes a program run without any network, where this machine lets us do that."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return []


NOWHERE = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "ftp", "all")}


def test_offline_needs_no_network(built: Built, someone: Callable[..., Someone]) -> None:
    # Without a lock apt has to solve, from the indices at hand; without images packages are needed.
    user = someone(without=("store", "recipes"), locked=False)
    user.cache.path.joinpath("store").mkdir()
    done = subprocess.run(
        [*_alone(), THANOS, "--replay", "small.thanos", "--output", "out", "--offline"],
        env={**user.road.environment, **NOWHERE},
        cwd=user.road.home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert replays.hashes(user.out).items() <= built.outputs.items()
    assert user.lock.read_bytes() == built.lock


def test_offline_says_what_is_missing(someone: Callable[..., Someone]) -> None:
    user = someone(without=("store", "recipes", "packages"))
    said = user.fails(3, "--offline")
    assert re.match(r"offline, and not in the cache: \S+ \S+.* and \d+ more\n  run once without `--offline`", said)
    shutil.rmtree(user.cache.path / "apt")
    user.lock.unlink()
    said = user.fails(3, "--offline")
    assert said.startswith("offline, and there are no package indices")
    assert files(user.out) == []


# Told


def _documented() -> dict[str, set[str]]:
    """The kinds of events and their fields, as docs/events.md has them."""
    text = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", text, re.MULTILINE)
    return {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}


def test_events_are_as_documented(built: Built) -> None:
    known = _documented()
    of_steps = {"step-planned", "step-started", "progress", "item", "log-line", "step-finished"}
    assert of_steps | {"artefact", "failed", "app", "images"} == set(known)
    events = replays.events(built.said)
    assert {"step-started", "progress", "step-finished", "artefact"} <= {event["event"] for event in events}
    under_way: dict[str, dict[str, Any]] = {}
    for event in events:
        assert set(event) == {"event", *known[event["event"]]}
        step = event.get("step")
        match event["event"]:
            case "step-started":
                assert step not in under_way
                under_way[step] = {"done": 0, "total": event["total"], "moved": False}
            case "progress":
                assert event["total"] is None or under_way[step]["done"] <= event["done"] <= event["total"]
                under_way[step] |= {"done": event["done"], "total": event["total"], "moved": True}
            case "step-finished":
                facts = under_way.pop(step)
                assert event["ok"]
                assert not facts["moved"] or facts["done"] == facts["total"], step
    assert under_way == {}
    made = {Path(event["path"]): event for event in events if event["event"] == "artefact"}
    assert {path.name: event["sha256"] for path, event in made.items()} == built.outputs
    assert all(path.is_absolute() and path.stat().st_size == event["size"] for path, event in made.items())
    assert [event["format"] for event in made.values()] == sorted(
        (event["format"] for event in made.values()), key=ALL.index
    )


def test_stdout_is_data_and_stderr_is_narration(someone: Callable[..., Someone]) -> None:
    user = someone()
    user.cache.forget_segments(6 << 20)
    done = user.replay()
    names = ["small-kernel", "small-initrd.img", "small-cmdline"]
    assert done.stdout.decode().splitlines() == [str(user.out / name) for name in names]
    assert b"Compress components: " in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\r" not in done.stderr


def test_bars_are_for_terminals(someone: Callable[..., Someone]) -> None:
    user = someone()
    words = ["--replay", "small.thanos", "--output", "out"]
    coloured = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|9[0-7])\b[0-9;]*m")
    seen = {}
    for name, variables in {
        "xterm": {"TERM": "xterm-256color", "NO_COLOR": ""},
        "plain": {"TERM": "xterm-256color", "NO_COLOR": "1"},
        "dumb": {"TERM": "dumb"},
    }.items():
        user.cache.forget_segments(1 << 20)
        status, out, seen[name] = replays.on_terminal(user.road, *words, **variables)
        assert status == 0, seen[name]
        assert "\x1b" not in out
        assert len(out.splitlines()) == 3
        shutil.rmtree(user.out)
    # While it goes on there is a bar; when it is done, a line.
    assert re.search(r"Compress components .*━.*MB", seen["xterm"])
    assert "━" in seen["plain"]
    assert "\x1b" not in seen["dumb"]
    assert "━" not in seen["dumb"]
    assert coloured.search(seen["xterm"])
    assert not coloured.search(seen["plain"])
    assert all("Compress components: " in text for text in seen.values())


def test_an_ascii_terminal_will_do(someone: Callable[..., Someone]) -> None:
    user = someone()
    user.cache.forget_segments(1 << 20)
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "TERM": "xterm"}
    words = ["--replay", "small.thanos", "--output", "für"]
    status, out, shown = replays.on_terminal(user.road, *words, **ascii_only)
    assert status == 0, shown
    assert "Traceback" not in shown
    assert len(out.splitlines()) == 3


# Without room, without permission


@pytest.mark.parametrize("form", ALL)
def test_no_space_for_outputs(someone: Callable[..., Someone], mount: Callable[[int], Path], form: str) -> None:
    user = someone()
    place = mount(20)
    said = user.fails(3, "--format", form, "--output", place)
    assert "free some space on that disk" in said
    assert files(place) == []


def test_no_space_in_the_cache(built: Built, someone: Callable[..., Someone], mount: Callable[[int], Path]) -> None:
    # Each part of the cache with too little space for what it has to take.
    user = someone()
    user.cache.forget_images("sshd", "dhcp")
    for part, size in (("store", 8), ("segments", 1)):
        whole = user.cache.path / part
        whole.rename(kept := whole.with_name("kept"))
        whole.symlink_to(place := mount(size))
        said = user.fails(3)
        assert re.search("free some space on that disk", said)
        assert [path for path in files(place) if path.endswith(".part")] == []
        whole.unlink()
        kept.rename(whole)
    assert files(user.out) == []
    user.replay()
    assert replays.hashes(user.out).items() <= built.outputs.items()


@pytest.mark.parametrize("form", ALL)
def test_files_that_may_not_be_that_large(someone: Callable[..., Someone], form: str) -> None:
    user = someone()
    done = subprocess.run(
        [THANOS, "--replay", "small.thanos", "--output", "out", "--format", form],
        env=user.road.environment,
        cwd=user.road.home,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20)),
    )
    assert done.returncode == 3, done.stderr
    assert_told(done.stderr)
    assert files(user.out) == []


def test_a_read_only_output_directory(someone: Callable[..., Someone], read_only: Callable[[Path], None]) -> None:
    user = someone()
    user.out.mkdir()
    read_only(user.out)
    for place in (user.out, user.out / "deeper"):
        said = user.fails(3, "--output", place)
        assert str(place) in said.splitlines()[0]
        assert len(said.splitlines()) == 2


def test_a_read_only_profile_is_built_unlocked(
    built: Built, someone: Callable[..., Someone], read_only: Callable[[Path], None], tmp_path: Path
) -> None:
    user = someone(locked=False)
    read_only(user.road.home)
    outside = replace(user.road, home=tmp_path / "elsewhere")
    outside.home.mkdir()
    done = outside.run("--replay", user.road.home / "small.thanos", "--output", "out")
    assert re.search(r"^warning: .*small\.thanos\.lock.*this build is not locked$", done.stderr.decode(), re.MULTILINE)
    assert replays.hashes(outside.home / "out").items() <= built.outputs.items()
    assert not user.lock.exists()


def test_a_disk_too_small_says_how_large(someone: Callable[..., Someone]) -> None:
    user = someone()
    for form in ("vhd", "qcow2-bios"):
        said = user.fails(2, "--format", form, "--set", "output.size=20")
        needed = re.search(r"(\d+) MiB", said.replace("20 MiB", ""))
        assert needed, said
        user.replay("--format", form, "--set", f"output.size={needed[1]}")
        smaller = user.fails(2, "--format", form, "--set", f"output.size={int(needed[1]) - 1}", "--name", "less")
        assert needed[0] in smaller
    assert files(user.out) == ["small.qcow2", "small.vhd"]


def test_outputs_have_the_name_that_was_asked_for(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    user.replay("--format", "tar", "--format", "raw-bios,kernel+initrd", "--name", "other")
    renamed = {name.replace("other", "small", 1): digest for name, digest in replays.hashes(user.out).items()}
    assert len(renamed) == 5
    assert renamed.items() <= built.outputs.items()
    assert "a/b" in user.fails(2, "--name", "a/b")


def test_a_machine_with_too_little_memory_is_warned_of(someone: Callable[..., Someone]) -> None:
    user = someone()
    assert b"warning: " not in user.replay().stderr
    said = user.replay("--set", "machine.memory=256").stderr.decode()
    assert re.search(r"^warning: a machine with 256 MiB of memory will probably not boot this", said, re.MULTILINE)


# LinuxKit YAML


def test_yaml_gives_the_same_bytes(built: Built, someone: Callable[..., Someone]) -> None:
    user = someone()
    rendered = user.road.out("render", "small.thanos")
    (user.road.home / "small.yml").write_text(rendered)
    as_hard = ("--compression", "12")  # as profiles have it
    done = user.road.run("build", "small.yml", "--dir", "out", "--no-sbom", "--arch", "amd64", *as_hard)
    assert len(done.stdout.splitlines()) == 3
    assert replays.hashes(user.out) == {name: built.outputs[name] for name in files(user.out)}
    done = user.road.run(
        *("build", "-", "--format", "kernel+initrd,vhd", "--size", "96M", "--dir", "piped", "--json", "--offline"),
        *as_hard,
        stdin=rendered.encode(),
    )
    made = {
        Path(event["path"]).name: event["sha256"]
        for event in replays.events(done.stdout.decode())
        if event["event"] == "artefact"
    }
    assert {name.replace("moby", "small", 1): digest for name, digest in made.items()}.items() <= built.outputs.items()
    assert set(made) == {"moby-kernel", "moby-initrd.img", "moby-cmdline", "moby.vhd"}


def test_yaml_files_are_merged_and_named_after_the_last(someone: Callable[..., Someone]) -> None:
    user = someone()
    (user.road.home / "base.yml").write_text("init:\n  - localhost/thanos/init:base\n")
    (user.road.home / "more.yml").write_text("files:\n  - path: etc/hello\n    contents: world\n")
    out = user.road.out("build", "base.yml", "more.yml", "--format", "tar", "--dir", "out")
    assert out == f"{user.out}/more.tar\n"
    names = subprocess.run(["tar", "-tf", user.out / "more.tar"], capture_output=True, text=True, check=True).stdout
    assert "etc/hello\n" in names
    assert re.search(r"^(\./)?init$", names, re.MULTILINE)
    done = user.road.run("build", "base.yml", "--cache", "store", "--format", "tar", "--dir", "out")
    assert (user.road.home / "store" / "oci-layout").exists()
    assert done.stdout.decode() == f"{user.out}/base.tar\n"
    (user.road.home / "lost.yml").write_text("init:\n  - localhost/thanos/none:base\n")
    done = user.road.run("build", "lost.yml", "--dir", "out", check=False)
    assert done.returncode == 1
    assert_told(done.stderr.decode())
    assert "there is no recipe none" in done.stderr.decode()
