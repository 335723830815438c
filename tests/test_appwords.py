"""Apps in words: what `thanos-tui app run` and `stark.apps` take."""

from __future__ import annotations

import pytest

from thanos_tui import appwords
from thanos_tui.errors import InputError
from thanos_tui.wiring import App, Port, Volume


def test_everything_that_can_be_said_of_an_app() -> None:
    assert appwords.read(
        "--name clock -e TZ='Europe/Vienna' --env 'FONT=a b' --user 5:6 --restart on-failure:3 --memory 64 --cpus=0.5"
        " -v data:/data -v /etc:/host:ro -p 8080:80 --no-sound --x11 example.org/clock:1 xclock --digital '-title x'"
    ) == App(
        name="clock",
        image="example.org/clock:1",
        command=("xclock", "--digital", "-title x"),
        env={"TZ": "Europe/Vienna", "FONT": "a b"},
        restart="on-failure:3",
        memory_mib=64,
        cpus=0.5,
        x11=True,
        sound=False,
        user="5:6",
        volumes=(Volume("data", "/data"), Volume("/etc", "/host", True)),
        publish=(Port("127.0.0.1", 8080, 80),),
    )


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("localhost/thanos/demo:base", "demo"),
        ("redis", "redis"),
        (f"example.org:5000/a/tool@sha256:{'0' * 64}", "tool"),
        ("x", "app-x"),
    ],
)
def test_without_a_name_it_has_its_images(image: str, name: str) -> None:
    assert appwords.read(image) == App(name, image)


def test_between_words_a_line_break_is_a_blank() -> None:
    assert appwords.read("--name clock\n  x:1\n  xclock\n") == App("clock", "x:1", ("xclock",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "required: IMAGE"),
        ("'x", "no closing quotation"),
        ("--detach x", "unrecognized arguments: --detach"),
        ("--nam y x", "unrecognized arguments: --nam"),
        ("--memory much x", "--memory/-m: invalid int value: 'much'"),
        ("--memory 2 x", "6 MiB of memory at least"),
        ("--cpus", "expected one argument"),
        ("-e A x", "gives 'A' no value"),
        ("--restart sometimes x", "'sometimes' is not a restart policy"),
        ("-v data x", "what the app is to see"),
        ("x:1 sh -c 'a\nb'", "hold a line break"),
        ("--env 'A=a\nb' x:1", "hold a line break"),
        ("--user '1\n' x:1", "hold a line break"),
        ("--volume '/a\nb:/c' x:1", "hold a line break"),
    ],
)
def test_what_is_no_app(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        appwords.read(text)
    assert message in caught.value.message
