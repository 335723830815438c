"""Apps that come with the OS: what a profile says of them, and what becomes of it in the config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import profile, wiring
from thanos_tui.errors import BuildError, InputError
from thanos_tui.events import Reporter
from thanos_tui.images import provide
from thanos_tui.images.fetch import Sources
from thanos_tui.images.store import Image, Store
from thanos_tui.linuxkit.config import Config, File
from thanos_tui.options import preview
from thanos_tui.wiring import App

DEMO = "localhost/thanos/demo:base"


def rendered(options: str, directory: Path) -> Config:
    text = "thanos: 1\noptions:\n  stark: true\n" + "".join(f"  {line}\n" for line in options.splitlines())
    return preview(profile.read(text, "my.thanos").resolved, directory, "test")


def descriptions(config: Config) -> dict[str, File]:
    return {file.path: file for file in config.files if file.path.startswith("etc/stark/apps/")}


def test_an_image_comes_once_and_each_app_says_how_it_starts(tmp_path: Path) -> None:
    config = rendered(f"stark.apps: ['{DEMO}', '--name tone --no-x11 --memory 64 {DEMO} demo 880']", tmp_path)
    (volume,) = config.volumes
    assert (volume.image, volume.format, volume.readonly) == (DEMO, "docker", True)
    assert DEMO in config.images()
    (stark,) = [service for service in config.services if service.name == "stark"]
    assert "/containers/volumes:/apps:ro" in (stark.binds_add or ())
    first, second = descriptions(config).values()
    assert (first.path, second.path) == ("etc/stark/apps/00-demo", "etc/stark/apps/01-tone")
    assert first.contents == "\n".join(["xorg wm alsa", *wiring.run_arguments(App("demo", DEMO)), ""])
    tone = App("tone", DEMO, ("demo", "880"), memory_mib=64, x11=False)
    assert second.contents == "\n".join(["alsa", *wiring.run_arguments(tone), ""])
    assert first.mode == "0600", "variables may be secrets"


def test_apps_get_only_what_the_machine_has(tmp_path: Path) -> None:
    (file,) = descriptions(rendered(f"x11: false\nalsa: false\nstark.apps: ['{DEMO}']", tmp_path)).values()
    assert file.contents == "\n".join(["", *wiring.run_arguments(App("demo", DEMO, x11=False, sound=False)), ""])


def test_without_apps_nothing_is_there(tmp_path: Path) -> None:
    config = rendered("", tmp_path)
    assert config.volumes == ()
    assert not [file for file in config.files if "apps" in file.path]


def test_a_name_with_a_digest_is_one_that_docker_can_have(tmp_path: Path) -> None:
    pinned = f"example.org/tool:1@sha256:{'0' * 64}"
    config = rendered(f"stark.apps: ['{pinned}']", tmp_path)
    assert config.volumes[0].image == pinned
    (file,) = descriptions(config).values()
    assert (file.contents or "").endswith("\nexample.org/tool:1\n")


def test_firefox_is_an_app(tmp_path: Path) -> None:
    config = rendered("firefox: true\nfirefox.url: 'http://10.0.2.2:8000/?a=b&c=%20d'", tmp_path)
    (file,) = descriptions(config).values()
    assert (file.contents or "").endswith("\nlocalhost/thanos/firefox:base\nhttp://10.0.2.2:8000/?a=b&c=%20d\n")
    assert "\n--restart=always\n" in (file.contents or "")


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        (f"stark.apps: ['{DEMO}', '--memory x {DEMO}']", "4:46", "element 2 is no app: argument --memory/-m"),
        ("stark.apps: [./app.tar]", "4:16", "element 1 is no app: './app.tar' is not the name of an image"),
        (f"stark.apps: ['{DEMO}', '{DEMO} demo 880']", "4:46", "element 2 has the name of element 1, demo"),
        (
            f"stark.apps:\n  - \"{DEMO} sh 'a\\nb'\"",
            "my.thanos:5:7",
            "stark.apps element 1 is no app: none of its words",
        ),
        ("firefox: true\nfirefox.url: example.org", "5:16", "must be an address that begins with https://"),
        ('firefox: true\nfirefox.url: "https://a/ --no-kiosk"', "5:16", "without blanks"),
        ("firefox: true", "firefox.url", "firefox.url"),
    ],
)
def test_mistakes_are_told_with_their_place(options: str, place: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        rendered(options, tmp_path)
    assert message in caught.value.message
    assert place in str(caught.value)


def test_firefox_and_an_app_of_yours_cannot_have_one_name(tmp_path: Path) -> None:
    apps = f"stark.apps: ['--name firefox {DEMO}']\nfirefox: true\nfirefox.url: about:license"
    with pytest.raises(InputError, match="two apps have the name firefox"):
        rendered(apps, tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("example.org/arm:1", "the image example.org/arm:1 is not there for amd64, only for arm64"),
        ("example.org/none:1", "the image example.org/none:1 is not in the store"),
    ],
)
def test_what_the_machine_cannot_run_is_refused_before_anything_is_made(
    image: str, message: str, store: Store, add_image: Callable[..., Image], tmp_path: Path
) -> None:
    add_image("example.org/arm:1", bytes(10240), arch="arm64")
    before = store.references()
    with pytest.raises(BuildError) as caught:
        provide.provide(
            rendered(f"stark.apps: [{image}]", tmp_path).images(),
            "amd64",
            store,
            None,
            Reporter(),
            sources=Sources(("store",)),
        )
    assert message in str(caught.value)
    assert caught.value.hint
    assert store.references() == before
