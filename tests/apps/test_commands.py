"""The commands about apps, from the command line to a real Docker engine and back."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import Made, write
from engines import PROBE, Dockerd
from waiting import LIMIT, eventually

from thanos_tui import cli
from thanos_tui.console import Target

Say = Callable[..., tuple[int, str, str]]


def options(machine: Target) -> list[str]:
    """The options that lead to a machine started elsewhere."""
    return [
        "--machine",
        f"{machine.host}:{machine.port}",
        "--host-key",
        machine.host_key,
        "-i",
        str(machine.identities[0]),
    ]


@pytest.fixture
def thanos(machine: Target, dockerd: Dockerd, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs `thanos-tui app COMMAND` for the tests' machine: gives its status, what it printed, and what it told."""

    def run(command: str, *words: str) -> tuple[int, str, str]:
        status = cli.main(["app", command, *options(machine), *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.mark.network
@pytest.mark.usefixtures("engine")
def test_an_app_from_run_to_rm(thanos: Say) -> None:
    assert thanos("run", "--detach", "--name", "demo", PROBE)[:2] == (0, "demo\n")
    status, out, _ = thanos("ls")
    header, line = out.splitlines()
    assert header.split() == ["NAME", "STATE", "IMAGE", "PORTS", "COMMAND"]
    assert line.startswith("demo  Up ")
    assert PROBE in line
    assert json.loads(thanos("ls", "--json")[1])[0]["state"] == "running"
    eventually(lambda: thanos("logs")[1] == "begun\n")
    assert thanos("rm", "demo")[0] == 2
    assert thanos("stop")[0] == 0
    assert thanos("logs", "--tail", "1", "demo")[1] == "asked to end\n"
    assert thanos("start", "demo")[:2] == (0, "")
    assert thanos("start")[0] == 0
    assert thanos("restart", "--time", "5")[0] == 0
    assert json.loads(thanos("ls", "--json")[1])[0]["state"] == "running"
    status, _, told = thanos("start", "demi")
    assert status == 2
    assert "did you mean demo?" in told
    assert thanos("stop", "demo")[0] == 0
    assert thanos("rm", "demo")[0] == 0
    status, _, told = thanos("logs", "demo")
    assert status == 2
    assert "there is no app demo" in told


@pytest.mark.network
@pytest.mark.usefixtures("engine")
def test_an_app_that_is_followed_gives_its_status_and_its_words(thanos: Say) -> None:
    status, out, told = thanos("run", "--rm", "-e", "A=b c", PROBE, "sh", "-c", 'echo "$A"; echo oh >&2; exit 9')
    assert (status, out) == (9, "b c\n")
    assert "oh\n" in told
    assert "has no screen for apps" in told
    assert "has no sound for apps" in told
    assert json.loads(thanos("ls", "--json")[1]) == []


@pytest.mark.network
@pytest.mark.usefixtures("engine")
def test_json(thanos: Say) -> None:
    status, out, _ = thanos("run", "--json", "--no-x11", "--no-sound", PROBE, "echo", "hello")
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert {"event": "log-line", "step": "apps/probe", "text": "hello", "level": "info"} in events
    assert events[-1] == {"event": "app", "name": "probe", "image": PROBE, "status": 0}
    _, out, _ = thanos("run", "--json", "--detach", PROBE)
    assert json.loads(out.splitlines()[-1])["name"] == "probe-2"
    status, out, _ = thanos("run", "--json", "--detach", PROBE, "false")
    failed = json.loads(out.splitlines()[-1])
    assert status == failed["status"] == 125
    assert failed["message"] == "the app probe-3 ended at once with status 1"


@pytest.mark.network
@pytest.mark.usefixtures("engine")
def test_limits_and_policies_reach_docker(thanos: Say, dockerd: Dockerd) -> None:
    given = ["--memory", "64", "--cpus", "0.5", "--restart", "on-failure:2", "-v", "data:/data", "--user", "5"]
    assert thanos("run", "--detach", "--name", "demo", *given, PROBE)[0] == 0
    found = dockerd.inspect("demo")
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert found["Config"]["User"] == "5"
    assert [mount["Destination"] for mount in found["Mounts"]] == ["/data"]


@pytest.mark.network
def test_ctrl_c_ends_an_app_that_is_followed(machine: Target, with_probe: Dockerd, home: Path) -> None:
    argv = [sys.executable, "-m", "thanos_tui", "app", "run", *options(machine), "--name", "demo", PROBE]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, told
    assert b"Traceback" not in told
    assert with_probe.inspect("demo")["State"]["Status"] == "exited"
    with_probe.clear()


def test_load(thanos: Say, dockerd: Dockerd, tmp_path: Path) -> None:
    path = str(write(tmp_path / "image.tar", Made().saved()))
    status, out, told = thanos("load", path)
    assert (status, out) == (0, "localhost/thanos/made:base\n")
    assert f"Checking {path}" in told
    assert "Sending it to 127.0.0.1" in told
    events = [json.loads(line) for line in thanos("load", "--json", path)[1].splitlines()]
    assert events[-1] == {"event": "images", "names": ["localhost/thanos/made:base"]}
    (tmp_path / "image.tar").write_bytes(b"text")
    status, _, told = thanos("load", path)
    assert status == 2
    assert "this is not a tar archive" in told
    dockerd.cli("rmi", "localhost/thanos/made:base")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-e", "A", PROBE], "--env A gives 'A' no value"),
        (["--restart", "always", PROBE], "an app that is started again and again cannot be followed"),
        (["--rm", "--detach", PROBE], "--rm removes an app that is followed to its end"),
        (["--publish", "x", PROBE], "'x' does not say which port leads to which"),
        (["--volume", "x", PROBE], "'x' does not say what the app is to see"),
        (["--memory", "1", PROBE], "an app needs 6 MiB of memory"),
        (["--name", "-", PROBE], "'-' cannot be the name of an app"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_connected_to(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["app", "run", "--machine", "no-such-machine", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("part", ["x11", "sound"])
def test_what_is_demanded_and_not_there_is_refused(thanos: Say, part: str) -> None:
    status, _, told = thanos("run", f"--{part}", PROBE)
    assert status == 2
    assert f"run the app with --no-{part}" in told


def test_no_machine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["app", "ls"]) != 0
    assert "no machine" in capsys.readouterr().err


def test_the_app_is_told_from_apps(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cli.main([]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["app", "my.thanos"])
    assert "invalid choice: 'my.thanos'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["app"])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err


def test_help_is_given_without_docker_or_ssh() -> None:
    code = "import sys; from thanos_tui.cli import main\ntry:\n main(sys.argv[1:])\nexcept SystemExit:\n pass\n"
    code += "print(sorted({'docker', 'asyncssh', 'requests', 'rich'} & set(sys.modules)))"
    for words in (["app", "--help"], ["app", "run", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
