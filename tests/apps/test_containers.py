"""Apps on a real Docker engine, reached through SSH: wired the same either way, started, listened to, ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engines import PROBE, Dockerd
from servers import OpenSSH
from waiting import eventually

from thanos_tui import apps, wiring
from thanos_tui.apps import Engine, connected
from thanos_tui.errors import AppError, InputError, ThanosError
from thanos_tui.events import Reporter
from thanos_tui.wiring import App, Port, Volume

pytestmark = pytest.mark.network


def plain(name: str, *command: str, **more: Any) -> App:
    """An app without screen and sound."""
    return App(name, PROBE, command, x11=False, sound=False, **more)


def said(engine: Engine, app: App, *, keep: bool = True) -> tuple[int, list[tuple[str, bool]]]:
    lines: list[tuple[str, bool]] = []
    return apps.attached(engine, app, lambda line, is_error: lines.append((line, is_error)), keep=keep), lines


def facts(engine: Dockerd, name: str) -> dict[str, Any]:
    """What Docker knows of a container that does not differ from one to the next; empty values count as none."""
    found = engine.inspect(name)
    kept = {f"HostConfig.{key}": value for key, value in found["HostConfig"].items()}
    kept |= {f"Config.{key}": value for key, value in found["Config"].items() if key != "Hostname"}
    mounts = [{**mount, "Name": "", "Source": ""} for mount in found["Mounts"]]
    kept |= {"Mounts": sorted(mounts, key=lambda mount: mount["Destination"]), "Args": found["Args"]}
    # The command line puts the variables in any order.
    kept["Config.Env"] = sorted(kept["Config.Env"])
    # The size of the terminal from which it was made.
    kept.pop("HostConfig.ConsoleSize", None)
    # Whom the command line would attach to it: said by those who attach.
    attached = ("Config.AttachStdout", "Config.AttachStderr")
    return {
        key: value for key, value in kept.items() if value not in (None, [], {}, "", 0, False) and key not in attached
    }


@pytest.mark.parametrize(
    "app",
    [
        App("made", PROBE),
        App("made", PROBE, x11=False),
        App("made", PROBE, sound=False),
        plain("made"),
        plain("made", "sh", "-c", "echo 'a  b'; --x", env={"A": "x=y z", "EMPTY": "", "LINES": "a\nb"}, user="5:6"),
        plain("made", restart="always", memory_mib=64, cpus=0.5),
        plain("made", restart="on-failure:3"),
        plain("made", restart="unless-stopped"),
        plain("made", volumes=(Volume("data", "/data"), Volume("/run", "/there", True), Volume("/tmp", "/a,b"))),
        plain("made", publish=(Port("127.0.0.1", 8080, 80), Port("127.0.0.1", 0, 53, "udp"), Port("::1", 81, 80))),
    ],
    ids=lambda app: " ".join(wiring.run_arguments(app)[8:-1]) or "plain",
)
def test_both_ways_of_telling_docker_make_the_same_container(engine: Engine, with_probe: Dockerd, app: App) -> None:
    with_probe.cli("create", *wiring.run_arguments(app))
    by_command_line = facts(with_probe, app.name)
    with_probe.cli("rm", "--volumes", app.name)
    engine.client.containers.create(**wiring.create_options(app))
    assert facts(with_probe, app.name) == by_command_line


def test_an_app_from_start_to_end(engine: Engine) -> None:
    state = apps.run(engine, plain("demo"))
    assert (state.name, state.image, state.state) == ("demo", PROBE, "running")
    assert apps.apps(engine) == (apps.find(engine),)
    eventually(lambda: list(apps.follow(engine, "demo")) == ["begun"])
    apps.stop(engine, "demo")
    assert apps.find(engine, "demo").state == "exited"
    assert list(apps.follow(engine, "demo")) == ["begun", "asked to end"]
    assert list(apps.follow(engine, "demo", tail=1)) == ["asked to end"]
    apps.remove(engine, "demo")
    assert apps.apps(engine) == ()


def test_through_openssh(openssh: OpenSSH, with_probe: Dockerd) -> None:
    with connected(openssh.target, Reporter(), socket=str(with_probe.socket)) as engine:
        assert engine.arch == "amd64"
        assert said(engine, plain("once", "echo", "through"), keep=False) == (0, [("through", False)])
        assert apps.apps(engine) == ()


def test_an_app_that_is_followed(engine: Engine) -> None:
    status, lines = said(engine, plain("demo", "sh", "-c", "echo one; echo two >&2; printf three; exit 7"))
    assert status == 7
    assert sorted(lines) == [("one", False), ("three", False), ("two", True)]
    assert apps.find(engine, "demo").status.startswith("Exited (7)")


def test_what_an_app_says_does_not_act_on_the_terminal(engine: Engine) -> None:
    _, lines = said(engine, plain("demo", "printf", r"\033[2Ja\007b\tc\n\377\n" + "x" * 9000))
    assert lines == [("ab\tc", False), ("\N{REPLACEMENT CHARACTER}", False), ("x" * 9000, False)]


def test_ctrl_c_stops_an_app_that_is_followed(engine: Engine) -> None:
    def interrupt(_line: str, _is_error: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apps.attached(engine, plain("demo"), interrupt)
    assert apps.find(engine, "demo").state == "exited"
    assert list(apps.follow(engine, "demo")) == ["begun", "asked to end"]
    with pytest.raises(KeyboardInterrupt):
        apps.attached(engine, plain("other"), interrupt, keep=False)
    assert [app.name for app in apps.apps(engine)] == ["demo"]


def test_an_app_is_started_again_as_it_was_made(engine: Engine, with_probe: Dockerd) -> None:
    made = apps.run(engine, plain("demo", env={"A": "b"}))
    before = with_probe.inspect("demo")["State"]["Pid"]
    # One that runs goes on.
    assert apps.start(engine, "demo").id == made.id
    assert with_probe.inspect("demo")["State"]["Pid"] == before
    apps.stop(engine, "demo")
    assert apps.start(engine, "demo").state == "running"
    found = with_probe.inspect("demo")
    assert found["Id"] == made.id
    assert "A=b" in found["Config"]["Env"]
    apps.restart(engine, "demo")
    assert with_probe.inspect("demo")["State"]["Pid"] not in (before, found["State"]["Pid"])
    eventually(lambda: list(apps.follow(engine, "demo")) == ["begun", "asked to end"] * 2 + ["begun"])
    apps.stop(engine, "demo")
    assert apps.restart(engine, "demo").state == "running"


@pytest.mark.parametrize("start", [apps.start, apps.restart])
def test_an_app_that_ends_at_once_when_it_is_started_again(engine: Engine, start: Any) -> None:
    with pytest.raises(AppError):
        apps.run(engine, plain("demo", "sh", "-c", "echo cannot open display; exit 3"))
    with pytest.raises(AppError, match="the app demo ended at once with status 3") as caught:
        start(engine, "demo")
    assert "cannot open display" in str(caught.value.hint)
    # It stays, as it was there before.
    assert apps.find(engine).state == "exited"


def test_an_app_whose_path_is_gone_stays_when_it_cannot_be_started(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    apps.run(engine, plain("demo", "true", volumes=(Volume(str(tmp_path / "data"), "/data"),)))
    (tmp_path / "data").rmdir()
    with pytest.raises(ThanosError):
        apps.start(engine, "demo")
    assert apps.find(engine).name == "demo"


def test_a_reader_who_goes_away_is_not_taken_for_docker(engine: Engine) -> None:
    def gone(_line: str, _is_error: bool) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        apps.attached(engine, plain("demo", "echo", "x"), gone)


def test_a_log_is_followed_until_the_app_ends(engine: Engine) -> None:
    apps.run(engine, plain("demo"))
    lines = apps.follow(engine, "demo", on=True)
    assert next(lines) == "begun"
    apps.stop(engine, "demo")
    assert list(lines) == ["asked to end"]


def test_an_app_that_ends_at_once_shows_what_it_said(engine: Engine) -> None:
    with pytest.raises(AppError) as caught:
        apps.run(engine, plain("demo", "sh", "-c", "echo cannot open display; exit 3"))
    assert caught.value.message == "the app demo ended at once with status 3"
    assert "cannot open display" in str(caught.value.hint)
    assert "app rm --force demo" in str(caught.value.hint)
    assert AppError.exit_code == 125
    assert apps.find(engine, "demo").state == "exited"


def test_an_app_that_is_started_again_and_again_is_told_of(engine: Engine) -> None:
    with pytest.raises(AppError, match="ended at once with status 4, and is started again and again"):
        apps.run(engine, plain("demo", "sh", "-c", "exit 4", restart="always"))
    apps.remove(engine, "demo", force=True)


def test_an_app_that_has_done_its_work_is_no_failure(engine: Engine) -> None:
    assert apps.run(engine, plain("demo", "true")).state == "exited"


def test_a_program_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(AppError) as caught:
        apps.run(engine, plain("demo", "nosuchprogram"))
    assert "nosuchprogram" in str(caught.value.hint)


def test_a_name_that_is_taken(engine: Engine) -> None:
    apps.run(engine, plain("demo", "true"))
    with pytest.raises(InputError) as caught:
        apps.run(engine, plain("demo"))
    assert caught.value.message.startswith("there is an app demo on m1")
    assert "app rm --force demo" in str(caught.value.hint)


def test_names_are_made_from_the_image(engine: Engine) -> None:
    assert apps.free_name(engine, PROBE) == "probe"
    apps.run(engine, plain("probe", "true"))
    assert apps.free_name(engine, PROBE) == "probe-2"
    assert apps.free_name(engine, "x") == "app-x"
    assert apps.free_name(engine, f"example.org:5000/a/tool@sha256:{'0' * 64}") == "tool"
    assert apps.free_name(engine, f"sha256:{'0' * 64}") == "sha256"


def test_a_path_that_the_machine_does_not_have(engine: Engine) -> None:
    with pytest.raises(InputError, match="there is no /no/such/path on m1"):
        apps.run(engine, plain("demo", volumes=(Volume("/no/such/path", "/x"),)))
    assert apps.apps(engine) == ()


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this host has a sound card")
def test_a_machine_without_a_sound_card(engine: Engine) -> None:
    with pytest.raises(InputError) as caught:
        apps.run(engine, App("demo", PROBE, x11=False))
    assert "has no sound card" in caught.value.message
    assert "--no-sound" in str(caught.value.hint)
    assert apps.apps(engine) == ()


def test_an_app_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(InputError, match="there is no app on m1"):
        apps.find(engine)
    apps.run(engine, plain("demo", "true"))
    apps.run(engine, plain("other", "true"))
    with pytest.raises(InputError) as several:
        apps.find(engine)
    assert several.value.hint == "say which: demo, other"
    for ask in (apps.find, apps.start, apps.stop, apps.restart, apps.remove):
        with pytest.raises(InputError) as caught:
            ask(engine, "demi")  # type: ignore[operator]
        assert caught.value.hint == "did you mean demo?"


def test_other_containers_are_no_apps(engine: Engine, with_probe: Dockerd) -> None:
    with_probe.cli("create", "--name", "stranger", PROBE)
    assert apps.apps(engine) == ()
    with pytest.raises(InputError, match="there is no app stranger"):
        apps.remove(engine, "stranger", force=True)


def test_an_app_that_runs_is_removed_by_force_only(engine: Engine) -> None:
    apps.run(engine, plain("demo"))
    with pytest.raises(InputError, match="the app demo runs"):
        apps.remove(engine, "demo")
    apps.remove(engine, "demo", force=True)
    assert apps.apps(engine) == ()


def test_the_proxies_of_this_host_are_not_the_machines(
    engine: Engine, with_probe: Dockerd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text('{"proxies": {"default": {"httpProxy": "http://192.0.2.1:3128"}}}')
    for name in ("ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    with connected(engine.target, Reporter()) as again:
        apps.run(again, plain("demo", "true"))
    assert not any("PROXY" in text.upper() for text in with_probe.inspect("demo")["Config"]["Env"])


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ((), set()),
        (("/run/stark/Xauthority",), set()),
        (("/run/stark/Xauthority", "/tmp/.X11-unix/X0"), {"x11"}),
        (("/dev/snd/timer", "/hostroot/etc/asound.conf"), {"sound"}),
    ],
)
def test_what_the_machine_has_for_apps(engine: Engine, tmp_path: Path, there: tuple[str, ...], found: set[str]) -> None:
    for path in there:
        (tmp_path / f"machine{path}").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"machine{path}").touch()
    assert apps.parts(engine) == found
