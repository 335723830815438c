"""What is said of machines, in lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import RECORD

from thanos_tui.apps import AppState, Service
from thanos_tui.errors import InputError
from thanos_tui.tui.look import ASCII, UNICODE, Look
from thanos_tui.tui.machine import rows
from thanos_tui.tui.machine.form import FIELDS, settings_of
from thanos_tui.tui.machine.typing import chord
from thanos_tui.vm import Forward, Machine, Settings
from thanos_tui.vm.timeline import Step, Timeline

RUNNING = Machine(Path("/machines/box"), RECORD, "running", "", 42, 75.0)
STOPPED = replace(
    RUNNING, record=replace(RECORD, name="old"), state="stopped", note="it powered off", pid=None, uptime=None
)
CRASHED = replace(STOPPED, state="crashed", note="QEMU was killed by signal 9")


def text(row: rows.Row) -> str:
    return "".join(part for part, _ in row)


def test_the_status_names_one_machine_and_counts_several() -> None:
    assert rows.status([STOPPED]) == ""
    assert rows.status([RUNNING, STOPPED]) == "box: up 1 min"
    assert rows.status([replace(RUNNING, state="starting", uptime=None)]) == "box: starting"
    assert rows.status([RUNNING, RUNNING]) == "2 machines up"


def test_the_list_tells_how_each_is() -> None:
    running, stopped, crashed = (text(row) for row in rows.listed([RUNNING, STOPPED, CRASHED], {}, UNICODE))
    assert " ".join(running.split()) == "● box running 1 min tcg 512 MiB x2 ssh 1235 +1 box.vhd"
    assert stopped.startswith(" ○ old  stopped   it powered off")
    assert crashed.startswith(" ✗ old  crashed   QEMU was killed by signal 9")
    assert "pressing" in text(rows.listed([RUNNING], {"box": "pressing its power button"}, UNICODE)[0])
    assert all(text(row).isascii() for row in rows.listed([RUNNING, STOPPED, CRASHED], {}, ASCII))


def test_details_give_addresses_to_copy() -> None:
    values = [value for _, value in rows.details(RUNNING)]
    assert "127.0.0.1:1235" in values
    assert "127.0.0.1:8080" in values
    assert "127.0.0.1:5901" in values
    assert "ssh -p 1235 -o UserKnownHostsFile=/machines/box/known_hosts root@127.0.0.1" in values
    assert all(value in text(row) for row, value in rows.details(RUNNING))
    assert rows.details(STOPPED)[0][1] == "stopped, it powered off"


def test_a_boot_is_bars_that_follow_each_other() -> None:
    told = Timeline(
        (Step("firmware", 0, 2.0, rough=True), Step("kernel", 2.0, 6.0), Step("services", 8.0, 2.0)), up=10.0
    )
    shown = [text(row) for row in rows.boot(told, None, 76, UNICODE)]
    bars = [line[23:63] for line in shown[:3]]
    assert [(bar.index("█"), bar.count("█")) for bar in bars] == [(0, 8), (8, 24), (32, 8)]
    assert shown[0].endswith("~   2.0 s")
    assert "10.0 s after power-on: everything has started" in shown[4]
    assert "half a second" in shown[5]


def test_a_boot_under_way_grows() -> None:
    told = Timeline((Step("firmware and kernel", 0, 5.0), Step("onboot 000-sysctl", 5.0)))
    shown = [text(row) for row in rows.boot(told, 10.0, 76, UNICODE)]
    assert shown[1].endswith(">   5.0 s")
    assert "still starting" in shown[3]


def test_a_boot_that_failed_says_where_to_look() -> None:
    told = Timeline((Step("firmware and kernel", 0, 5.0), Step("onboot 000-sysctl", 5.0, 0.0, ok=False)))
    shown = rows.boot(told, None, 20, ASCII)
    assert "never came up" in text(shown[3])
    assert all(text(row).isascii() for row in shown)
    assert "no times" in text(rows.boot(Timeline(), None, 80, UNICODE)[0])


@pytest.mark.parametrize(
    ("key", "character", "keys"),
    [
        ("a", "a", ("a",)),
        ("A", "A", ("shift", "a")),
        ("question_mark", "?", ("shift", "slash")),
        ("enter", "\r", ("ret",)),
        ("space", " ", ("spc",)),
        ("ctrl+c", "\x03", ("ctrl", "c")),
        ("shift+tab", None, ("shift", "tab")),
        ("ctrl+alt+delete", None, ("ctrl", "alt", "delete")),
        ("alt+x", None, ("alt", "x")),
        ("f11", None, ("f11",)),
        ("ctrl+backslash", "\x1c", ("ctrl", "backslash")),
    ],
)
def test_keys_become_those_of_the_machine(key: str, character: str | None, keys: tuple[str, ...]) -> None:
    assert chord(key, character) == keys


@pytest.mark.parametrize(("key", "character"), [("ü", "ü"), ("f20", None), ("print_screen", None)])
def test_keys_without_a_counterpart_are_told(key: str, character: str | None) -> None:
    with pytest.raises(InputError):
        chord(key, character)


def test_a_machine_is_started_again_as_it_was() -> None:
    settings = settings_of(RUNNING)
    assert settings == Settings(name="box", memory_mib=512, cpus=2, publish=(Forward(8080, 80),), vnc_port=5901)
    for field in FIELDS:
        assert field.read(settings, field.show(settings)) == settings


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("memory", ""),
        ("memory", "8"),
        ("cpus", "0"),
        ("cpus", "two"),
        ("ssh", "70000"),
        ("ports", "80"),
        ("ports", "1:2 x"),
    ],
)
def test_the_form_refuses_what_cannot_be(field: str, typed: str) -> None:
    with pytest.raises(InputError):
        next(each for each in FIELDS if each.name == field).read(Settings(), typed)


def app(name: str, state: str, status: str, image: str = "localhost/thanos/demo:base", **more: Any) -> AppState:
    return AppState(name, f"id-{name}", image, "demo 440", state, status, more.get("ports", ()), "2030-01-01T00:00:00")


APPS = (
    app("firefox", "running", "Up 2 hours"),
    app("failed", "exited", "Exited (1) 5 minutes ago"),
    app("done", "exited", "Exited (0) 5 minutes ago"),
    app("again", "restarting", "Restarting (1) 2 seconds ago"),
)


@pytest.mark.parametrize(("look", "marks"), [(UNICODE, "●✗○●"), (ASCII, "*xo*")])
def test_apps_are_listed_with_their_states(look: Look, marks: str) -> None:
    found = rows.apps(APPS, {}, 100, look)
    assert [text(row).split() for row in found] == [
        [mark, each.name, *each.status.split(), each.image] for mark, each in zip(marks, APPS, strict=True)
    ]
    assert [row[0][1] for row in found] == ["success", "error", "muted", "warning"]
    assert "ending" in text(rows.apps(APPS, {"firefox": "ending"}, 100, look)[0])
    # What is too long gives way, so that nothing has to be scrolled to.
    for width in (40, 60, 80):
        long = (*APPS, app("x" * 100, "running", "Up", "y" * 100))
        assert all(len(text(row)) <= max(width, 60) for row in rows.apps(long, {}, width, look))


def test_services_stand_behind_each_other_as_far_as_there_is_room() -> None:
    def service(name: str, state: str = "ready", note: str = "", restarts: int = 0) -> Service:
        return Service(name, state, 7, 200, restarts, note)

    found = (
        service("alsa", note="no sound card"),
        service("docker"),
        service("storage", note="3 % of 2 GiB used"),
        service("wm", "waiting", "twm: cannot open display", 12),
        service("xorg", "stopped"),
    )
    assert [text(row) for row in rows.services(found, 60, UNICODE)] == [
        " ● alsa – no sound card  ● docker ",
        " ● storage – 3 % of 2 GiB used ",
        " ● wm waiting 3 min – started again 12 times – twm: cannot… ",
        " ○ xorg stopped 3 min ",
    ]
    assert len(rows.services(found, 200, UNICODE)) == 1
    assert all(len(text(row)) <= 20 for row in rows.services(found, 20, ASCII))
    assert rows.services((), 80, UNICODE) == []


def test_the_line_above_a_log_says_what_it_is_of() -> None:
    served = app("web", "running", "Up", ports=("127.0.0.1:8080->80/tcp",))
    assert rows.about_app(served, 80, UNICODE) == " Log of web · 127.0.0.1:8080->80/tcp · demo 440"
    assert rows.about_app(served, 20, ASCII) == " Log of web | 127.0~"


def test_work_has_a_bar_where_its_amount_is_known() -> None:
    assert rows.work("Waiting", 0, None, 80, UNICODE) == " Waiting…  Esc gives up "
    line = rows.work("Sending it", 1, 4, 80, UNICODE)
    assert line == " Sending it…  █████░░░░░░░░░░░░░░░  25%  Esc gives up "
    assert len(rows.work("Sending " * 20, 1, 4, 80, ASCII)) <= 80
