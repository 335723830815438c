"""The wiring of apps: what Docker is told in both ways of telling, and what is refused before it is told anything.

That both ways make the same container is tested against Docker itself: tests/apps/test_containers.py.
"""

from __future__ import annotations

import pytest

from thanos_tui.errors import InputError
from thanos_tui.wiring import App, Port, Volume, create_options, port, run_arguments, signs, volume

IMAGE = "localhost/thanos/demo:base"


def options(app: App) -> dict[str, list[str]]:
    """The command line's options by name, up to the image."""
    found: dict[str, list[str]] = {}
    words = run_arguments(app)
    for word in words[: words.index(app.image)]:
        name, _, value = word.removeprefix("--").partition("=")
        found.setdefault(name, []).append(value)
    return found


def test_an_app_is_wired_to_screen_and_sound() -> None:
    given = options(App("demo", IMAGE))
    assert given["env"] == ["DISPLAY=:0", "XAUTHORITY=/run/stark/Xauthority"]
    assert given["ipc"] == ["host"]
    assert given["device"] == ["/dev/snd:/dev/snd:rwm"]
    assert given["group-add"] == ["1000", "29"]
    assert given["mount"] == [
        "type=bind,source=/tmp/.X11-unix,target=/tmp/.X11-unix,readonly",
        "type=bind,source=/run/stark/Xauthority,target=/run/stark/Xauthority,readonly",
        "type=bind,source=/etc/asound.conf,target=/etc/asound.conf,readonly",
    ]
    assert given["label"] == ["io.thanos.app=1"]
    assert given["security-opt"] == ["no-new-privileges"]
    assert given["log-opt"] == ["max-file=2", "max-size=1m"]


@pytest.mark.parametrize(
    ("x11", "sound", "group", "device", "ipc"),
    [
        (True, False, ["1000"], None, ["host"]),
        (False, True, ["29"], ["/dev/snd:/dev/snd:rwm"], ["host"]),
        (False, False, None, None, None),
    ],
)
def test_only_what_is_wanted_is_wired(
    x11: bool, sound: bool, group: list[str] | None, device: list[str] | None, ipc: list[str] | None
) -> None:
    app = App("demo", IMAGE, x11=x11, sound=sound)
    given = options(app)
    assert (given.get("group-add"), given.get("device"), given.get("ipc")) == (group, device, ipc)
    assert any("DISPLAY" in text for text in given.get("env", [])) is x11
    assert (create_options(app)["ipc_mode"] == "host") is (ipc is not None)


def test_the_command_follows_the_image_and_options_take_no_part_in_it() -> None:
    app = App("-".join(["a"] * 3), IMAGE, command=("--rm", "-v", "a b"), env={"LINE": "--privileged\nx=y"})
    words = run_arguments(app)
    assert words[-4:] == [IMAGE, "--rm", "-v", "a b"]
    assert "--env=LINE=--privileged\nx=y" in words
    assert all(word.startswith("--") and "=" in word for word in words[:-4])


def test_what_the_user_sets_wins() -> None:
    app = App(
        "demo", IMAGE, env={"DISPLAY": ":1", "LANG": "C"}, memory_mib=64, cpus=0.5, restart="on-failure:3", user="5"
    )
    given = options(app)
    assert given["env"] == ["DISPLAY=:1", "XAUTHORITY=/run/stark/Xauthority", "LANG=C"]
    assert (given["memory"], given["cpus"], given["user"]) == (["64m"], ["0.5"], ["5"])
    sdk = create_options(app)
    assert (sdk["mem_limit"], sdk["nano_cpus"], sdk["user"]) == (64 << 20, 500_000_000, "5")
    assert sdk["restart_policy"] == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_a_comma_in_a_path_does_not_end_it() -> None:
    app = App("demo", IMAGE, x11=False, sound=False, volumes=(Volume('/run/a,readonly"', "/b"),))
    assert options(app)["mount"] == ['type=bind,"source=/run/a,readonly""",target=/b']


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("data:/data", Volume("data", "/data")),
        ("/run/x:/x:ro", Volume("/run/x", "/x", True)),
        ("/run/x:/x:rw", Volume("/run/x", "/x")),
    ],
)
def test_volumes(text: str, read: Volume) -> None:
    assert volume(text) == read


@pytest.mark.parametrize("text", ["", "data", "data:", "data:x", "./x:/y", "a:/b:z", ":/x", "x y:/z"])
def test_what_is_no_volume(text: str) -> None:
    with pytest.raises(InputError, match="does not say what the app is to see"):
        volume(text)


@pytest.mark.parametrize(
    ("text", "read", "argument"),
    [
        ("8080:80", Port("127.0.0.1", 8080, 80), "127.0.0.1:8080:80/tcp"),
        ("80", Port("127.0.0.1", 0, 80), "127.0.0.1::80/tcp"),
        ("192.0.2.7:53:53/udp", Port("192.0.2.7", 53, 53, "udp"), "192.0.2.7:53:53/udp"),
        ("[::]:8080:80", Port("::", 8080, 80), "[::]:8080:80/tcp"),
        ("192.0.2.7::80", Port("192.0.2.7", 0, 80), "192.0.2.7::80/tcp"),
    ],
)
def test_ports_lead_in_from_the_machine_itself_unless_an_address_is_given(text: str, read: Port, argument: str) -> None:
    assert port(text) == read
    app = App("demo", IMAGE, publish=(read,))
    assert options(app)["publish"] == [argument]
    assert create_options(app)["ports"] == {f"{read.inner}/{read.protocol}": [(read.address, read.port or None)]}


@pytest.mark.parametrize(
    "text", ["", "x", "80:0", "65536:1", "1:65536", "1.2.3:1:2", "999.1.1.1:1:2", "1:2/icmp", "a:1:2"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InputError, match="does not say which port"):
        port(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "-x"}, "'-x' cannot be the name of an app"),
        ({"name": "a"}, "'a' cannot be the name of an app"),
        ({"image": "--privileged"}, "'--privileged' is not the name of an image"),
        ({"image": ""}, "'' is not the name of an image"),
        ({"env": {"A=B": ""}}, "'A=B' cannot be the name of a variable"),
        ({"env": {"": ""}}, "'' cannot be the name of a variable"),
        ({"command": ("a\0b",)}, r"cannot hold the character U\+0000"),
        ({"restart": "sometimes"}, "'sometimes' is not a restart policy"),
        ({"restart": "always:3"}, "'always:3' is not a restart policy"),
        ({"memory_mib": 5}, "needs 6 MiB of memory at least, not 5"),
        ({"memory_mib": -5}, "needs 6 MiB of memory at least, not -5"),
        ({"cpus": -1}, "-1 is not a number of processors"),
        ({"cpus": float("nan")}, "nan is not a number of processors"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        App(**{"name": "demo", "image": IMAGE, **given})  # type: ignore[arg-type]


def test_a_machine_has_signs_of_screen_and_sound() -> None:
    assert set(signs()) == {"x11", "sound"}
    assert all(path.startswith("/") for paths in signs().values() for path in paths)
