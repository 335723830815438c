"""Images from recipes, end to end: a signed archive, a store, a lock."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError, Interrupted
from thanos_tui.events import Event, Reporter, StepFinished, StepStarted
from thanos_tui.images import provide as providing
from thanos_tui.images.fetch import Sources
from thanos_tui.images.lock import Lock, changes
from thanos_tui.images.package import Origin
from thanos_tui.images.provide import Provided
from thanos_tui.images.store import LAYER, Store

ONE = "localhost/thanos/one:base"
TWO = "localhost/thanos/two:more"
RECIPES = {
    "one": """
packages: [tool]
programs: [/usr/bin/tool]
files: [{path: /etc/x, source: x, mode: "0600"}]
config: {cmd: [/usr/bin/tool]}
""",
    "two": """
packages: [data]
features: {more: {include: [/usr/share/data/**], label: {net: host}}}
""",
}


class World:
    """A mirror, recipes and a store, and :meth:`provide` with them."""

    def __init__(self, mirror: Any, base: Path) -> None:
        self.mirror = mirror
        self.recipes = base / "recipes"
        self.store = Store(base / "store")
        self.events: list[Event] = []
        for name, text in RECIPES.items():
            (self.recipes / name).mkdir(parents=True)
            (self.recipes / name / "recipe.yml").write_text(text)
        (self.recipes / "one" / "x").write_text("content")
        self.add_tool("1.0", b"#!/bin/sh\necho one\n")
        mirror.add("libneeded", {"usr/lib/libneeded.so": b"library"})
        mirror.add("unneeded", {"usr/share/unneeded": bytes(10_000)})
        mirror.add("data", {"usr/share/data/a": b"a", "usr/share/data/b/c": b"c"})
        mirror.publish()

    def add_tool(self, version: str, content: bytes) -> None:
        self.mirror.add("tool", {"usr/bin/tool": content}, version=version, depends="libneeded, unneeded")

    def provide(self, *references: str, lock: Lock | None = None, store: Store | None = None, **more: Any) -> Provided:
        self.mirror.seen.clear()
        self.events.clear()
        return providing.provide(
            references or (ONE, TWO),
            "amd64",
            store or self.store,
            lock,
            more.pop("reporter", Reporter(self.events.append)),
            origin=Origin(mirrors=(self.mirror.line(),), keyring=self.mirror.keyring),
            directories=[self.recipes],
            sources=Sources(("store",)),
            **more,
        )

    def members(self, reference: str, made: Provided) -> dict[str, tarfile.TarInfo]:
        layer = made.images[reference].layers[0]
        with self.store.open_blob(layer.digest) as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as archive:
            return {info.name: info for info in archive}


@pytest.fixture
def world(mirror: Any, tmp_path: Path) -> World:
    return World(mirror, tmp_path)


def test_makes_images(world: World) -> None:
    made = world.provide()
    assert list(made.images) == [ONE, TWO]
    assert made.images[ONE].config == {"Cmd": ["/usr/bin/tool"]}
    assert made.images[TWO].config["Labels"] == {"org.mobyproject.config": '{"net":"host"}'}
    members = world.members(ONE, made)
    assert list(members) == ["bin", "etc", "etc/x", "usr", "usr/bin", "usr/bin/tool"]
    assert {(i.uid, i.gid, i.mtime) for i in members.values()} == {(0, 0, 1492533000)}
    assert members["etc/x"].mode == 0o600
    entry = made.lock.images[ONE, "amd64"]
    assert [str(package) for package in entry.packages] == ["libneeded 1.0", "tool 1.0", "unneeded 1.0"]
    assert entry.digest == made.images[ONE].digest
    # What nobody asked for is not even fetched.
    assert not any("unneeded" in path for path, _ in world.mirror.seen)
    steps = [event.step for event in world.events if isinstance(event, StepStarted)]
    assert steps[:2] == ["images/indices", "images/packages"]
    assert set(steps[2:]) == {"images/one", "images/two:more"}


def test_is_the_same_every_time(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.provide()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    again = world.provide(TWO, ONE, store=Store(tmp_path / "other"))
    assert {name: image.digest for name, image in again.images.items()} == {
        name: image.digest for name, image in made.images.items()
    }
    assert again.lock == made.lock


def test_with_a_lock_nothing_is_done(world: World) -> None:
    made = world.provide()
    again = world.provide(lock=made.lock)
    assert again == made
    assert world.events == []
    assert world.mirror.seen == []


def test_with_a_lock_nothing_heavy_is_imported(world: World, tmp_path: Path) -> None:
    from thanos_tui.images import lock as locks

    made = world.provide()
    locks.save(tmp_path / "lock", made.lock)
    code = f"""
import sys
from pathlib import Path
from thanos_tui.events import Reporter
from thanos_tui.images import lock
from thanos_tui.images.provide import provide
from thanos_tui.images.store import Store
locked = lock.load(Path({str(tmp_path / "lock")!r}))
store = Store(Path({str(world.store.path)!r}))
provide([{ONE!r}, {TWO!r}], "amd64", store, locked, Reporter(), directories=[Path({str(world.recipes)!r})])
heavy = {{"thanos_tui.images.apt", "thanos_tui.images.deb", "zstandard", "elftools", "subprocess", "asyncio"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_lock_what_is_there_is_used(world: World) -> None:
    made = world.provide()
    again = world.provide()
    assert again == made
    assert world.mirror.seen == []
    assert [event.step for event in world.events if isinstance(event, StepFinished)] == []


def test_a_lock_pins_versions(world: World, tmp_path: Path) -> None:
    made = world.provide()
    world.add_tool("2.0", b"#!/bin/sh\necho two\n")
    world.mirror.publish()
    again = world.provide(lock=made.lock, store=Store(tmp_path / "other"))
    assert again == made
    # Also where neither indices nor packages are in the cache any more, as long as the archive has the file.
    shutil.rmtree(tmp_path / "cache")
    assert world.provide(lock=made.lock, store=Store(tmp_path / "third")) == made
    assert not any("dists" in path for path, _ in world.mirror.seen)


def test_update_renews_and_says_what_changed(world: World) -> None:
    made = world.provide()
    world.add_tool("2.0", b"#!/bin/sh\necho two\n")
    world.mirror.publish()
    assert world.provide(lock=made.lock) == made
    new = world.provide(lock=made.lock, update=True)
    assert changes(made.lock, new.lock) == ("tool (amd64) 1.0 -> 2.0",)
    assert new.images[ONE].digest != made.images[ONE].digest
    assert new.images[TWO].digest == made.images[TWO].digest
    # And back again: the old lock still means the old image.
    back = world.provide(lock=made.lock)
    assert back == made


def test_an_index_that_the_archive_has_outrun_is_renewed(world: World) -> None:
    world.provide(TWO)
    path = next((world.mirror.root / "pool").glob("tool_*"))
    world.add_tool("2.0", b"#!/bin/sh\necho two\n")
    world.mirror.publish()
    path.unlink()
    made = world.provide(ONE)
    assert "tool 2.0" in map(str, made.lock.images[ONE, "amd64"].packages)


def test_a_locked_package_that_is_gone(world: World, tmp_path: Path) -> None:
    made = world.provide()
    shutil.rmtree(tmp_path / "cache")
    for path in (world.mirror.root / "pool").glob("tool_*"):
        path.unlink()
    with pytest.raises(BuildError, match=r"does not have tool 1\.0 any more") as caught:
        world.provide(lock=made.lock, store=Store(tmp_path / "other"))
    assert "--update" in str(caught.value.hint)


def test_offline(world: World, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="offline"):
        world.provide(offline=True)
    made = world.provide()
    assert world.provide(offline=True, store=Store(tmp_path / "other")) == made
    assert world.mirror.seen == []
    shutil.rmtree(tmp_path / "cache" / "thanos-tui" / "packages")
    with pytest.raises(HostError, match="offline, and not in the cache"):
        world.provide(lock=made.lock, offline=True, store=Store(tmp_path / "third"))


def test_a_changed_recipe_makes_a_new_image_from_the_locked_packages(world: World) -> None:
    made = world.provide()
    world.add_tool("2.0", b"#!/bin/sh\necho two\n")
    world.mirror.publish()
    (world.recipes / "one" / "x").write_text("other")
    again = world.provide(lock=made.lock)
    assert again.images[ONE].digest != made.images[ONE].digest
    assert again.lock.images[ONE, "amd64"].packages == made.lock.images[ONE, "amd64"].packages
    # Other packages asked for: there is no way round the solver, whose indices are still fresh.
    (world.recipes / "one" / "recipe.yml").write_text("packages: [tool, data]\nprograms: [/usr/bin/tool]\n")
    third = world.provide(lock=made.lock)
    assert "data 1.0" in map(str, third.lock.images[ONE, "amd64"].packages)


def test_an_image_that_does_not_come_out_as_locked(world: World, tmp_path: Path) -> None:
    made = world.provide()
    entry = made.lock.images[ONE, "amd64"]
    forged = Lock({**made.lock.images, (ONE, "amd64"): replace(entry, digest="sha256:" + "0" * 64)})
    with pytest.raises(IntegrityError, match="the lock says sha256:000"):
        world.provide(lock=forged)
    with pytest.raises(IntegrityError, match="the lock says sha256:000"):
        world.provide(lock=forged, store=Store(tmp_path / "other"))


def test_a_lost_layer_is_made_again(world: World) -> None:
    made = world.provide()
    digest = made.images[ONE].layers[0].digest.removeprefix("sha256:")
    (world.store.path / "blobs" / "sha256" / digest).unlink()
    assert world.provide(lock=made.lock) == made
    (world.store.path / "blobs" / "sha256" / digest).unlink()
    assert world.provide() == made


def test_what_is_in_no_source(world: World) -> None:
    with pytest.raises(BuildError, match=r"image docker\.io/library/redis:7 is not in the store"):
        world.provide("redis:7")
    with pytest.raises(BuildError, match="there is no recipe gone"):
        world.provide("localhost/thanos/gone:base")
    with pytest.raises(InputError, match="has no feature 'gone'"):
        world.provide("localhost/thanos/two:gone")
    with pytest.raises(InputError, match="sorted and joined"):
        world.provide("localhost/thanos/two:more-less")


def test_other_images_are_locked_by_digest(world: World) -> None:
    layer = world.store.put_blob([bytes(10240)], LAYER)
    world.store.add_image("redis:7", "amd64", {}, [layer])
    made = world.provide("redis:7")
    assert world.provide("redis:7", lock=made.lock) == made
    world.store.add_image("redis:7", "amd64", {"Cmd": ["other"]}, [layer])
    with pytest.raises(BuildError, match="and the lock says"):
        world.provide("redis:7", lock=made.lock)
    assert world.provide("redis:7", lock=made.lock, update=True).images["redis:7"].config == {"Cmd": ["other"]}


def test_a_tampered_package_makes_no_image(world: World) -> None:
    path = next((world.mirror.root / "pool").glob("tool_*"))
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="tool"):
        world.provide()
    assert world.store.find(ONE, "amd64") is None


def test_an_error_in_one_recipe_names_it(world: World) -> None:
    (world.recipes / "two" / "recipe.yml").write_text(
        "packages: [data]\nprograms: [/usr/bin/gone]\nfeatures: {more: {}}\n"
    )
    with pytest.raises(BuildError, match="the recipe two asks for the program /usr/bin/gone"):
        world.provide()


def test_interrupted(world: World) -> None:
    reporter = Reporter()

    def cancel(event: object) -> None:
        if isinstance(event, StepStarted) and event.step.startswith("images/one"):
            reporter.cancel()

    reporter._listener = cancel
    with pytest.raises(Interrupted):
        world.provide(reporter=reporter)
    assert world.provide().images[ONE]


def test_a_file_of_a_package_nobody_named_is_found_all_the_same(world: World) -> None:
    (world.recipes / "one" / "recipe.yml").write_text("packages: [tool]\ninclude: [/usr/share/unneeded]\n")
    assert "usr/share/unneeded" in world.members(ONE, world.provide(ONE))


@pytest.mark.network
def test_the_programs_own_recipes_give_the_same_images_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[..., Any]
) -> None:
    """From the real mirror, into two caches and stores."""
    if shutil.which("apt-get") is None:
        pytest.skip("apt is not installed")
    names = ("init", "runc", "ntp", "sshd")
    references = [f"localhost/thanos/{name}:base" for name in names]
    digests = []
    for place in ("a", "b"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
        made = providing.provide(references, "amd64", Store(tmp_path / place / "store"), None, Reporter())
        digests.append([made.images[name].digest for name in references])
    assert digests[0] == digests[1]
