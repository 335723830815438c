"""Upstream's program as an engine: what it makes, how it is told of, stopped and compared, and what it lacks."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from buildsettings import TAR

from thanos_tui import cli
from thanos_tui.build import compare, upstream
from thanos_tui.errors import HostError, InputError, Interrupted, ThanosError
from thanos_tui.events import Event, Reporter, StepFinished, StepStarted
from thanos_tui.linuxkit import config as language

YAML = """\
kernel: {image: "conformance/kernel:1", cmdline: console=ttyS0}
init: ["conformance/init:1"]
volumes: [{name: data}]
services:
  - {name: app, image: "conformance/shell:1", ipc: none, binds: ["data:/data"]}
files: [{path: etc/motd, contents: hello}]
"""

SETTINGS = replace(TAR, name="app")

needs_upstream = pytest.mark.skipif(
    shutil.which("linuxkit") is None, reason="upstream's program linuxkit is not on PATH"
)


@pytest.fixture(autouse=True)
def yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LINUXKIT_CACHE", raising=False)
    path = tmp_path / "app.yml"
    path.write_text(YAML)
    return path


def build(yaml: Path, layout: Path, *words: str) -> int:
    out = str(yaml.parent / "out")
    return cli.main(["build", "--arch", "amd64", "--offline", "--cache", str(layout), "--dir", out, *words, str(yaml)])


@needs_upstream
@pytest.mark.parametrize("format_", ["kernel+initrd", "tar-kernel-initrd"])
def test_an_empty_command_line_makes_the_same_files(yaml: Path, layout: Path, format_: str) -> None:
    yaml.write_text(YAML.replace(", cmdline: console=ttyS0", "").replace("ipc: none, ", ""))
    assert build(yaml, layout, "--compare", "--format", format_) == 0
    names = {path.name for path in (yaml.parent / "out").iterdir()}
    assert names == {"linuxkit", *(path.name for path in (yaml.parent / "out" / "linuxkit").iterdir())}
    assert "app-cmdline" not in names


@needs_upstream
def test_upstream_builds_what_we_build(yaml: Path, layout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(yaml, layout, "--engine", "linuxkit", "--format", "tar,kernel+initrd", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    made = {Path(event["path"]).name: event for event in events if event["event"] == "artefact"}
    assert set(made) == {"app.tar", "app-kernel", "app-initrd.img", "app-cmdline"}
    out = yaml.parent / "out"
    assert {path.name for path in out.iterdir()} == set(made)
    assert all((out / name).stat().st_size == event["size"] for name, event in made.items())
    steps = [event["step"] for event in events if event["event"] == "step-started"]
    assert "linuxkit/tar/services" in steps
    assert "linuxkit/kernel+initrd/outputs" in steps


@needs_upstream
def test_both_engines_differ_only_where_it_is_documented(
    yaml: Path, layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(yaml, layout, "--compare", "--format", "tar,kernel+initrd,tar-kernel-initrd") == 0
    told = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
    assert any("config.json: content" in line for line in told)  # `ipc: none`
    assert all(line.endswith("(documented)") for line in told)
    assert (yaml.parent / "out/linuxkit/app.tar").exists()


@needs_upstream
def test_what_is_not_documented_is_told_by_the_status(
    yaml: Path, layout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compare.tar

    def older(path: Path) -> compare.State:
        state = dict(real(path))
        if "linuxkit" in path.parts:
            state["etc/motd"] = replace(state["etc/motd"], mtime=1)
        return state

    monkeypatch.setattr(compare, "tar", older)
    assert build(yaml, layout, "--compare", "--format", "tar") == 1
    assert "tar: etc/motd: mtime 1492533000, theirs 1\n" in capsys.readouterr().out


@needs_upstream
def test_upstreams_words_are_ours_when_it_fails(tmp_path: Path) -> None:
    config = language.merge([language.read('services: [{name: a, image: "registry.invalid/a:1"}]', "a.yml")])
    with pytest.raises(ThanosError, match=r"linuxkit build failed: .*registry\.invalid"):
        upstream.build(config, SETTINGS, tmp_path / "out", Reporter(), store=tmp_path / "none", offline=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_it_lacks_is_told_before_the_work(
    yaml: Path, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(yaml, layout, "--engine", "linuxkit") == 3
    assert "the program linuxkit is not on PATH" in capsys.readouterr().err
    (tmp_path / "linuxkit").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "linuxkit").chmod(0o755)
    config = language.read(YAML, "app.yml")
    with pytest.raises(HostError, match=r"makes the format iso-efi in a Docker container"):
        upstream.check(["tar", "iso-efi"], config)
    with pytest.raises(InputError, match="no format uki"):
        upstream.check(["uki"], config)
    docker = 'volumes: [{name: v, image: "a:1", format: docker}]'
    with pytest.raises(InputError, match="no volumes of the format `docker`"):
        upstream.check(["tar"], language.read(docker, "v.yml"))
    upstream.check(["tar"], config)
    assert build(yaml, layout, "--compare", "--format", "vhd") == 2
    assert build(yaml, layout, "--compare", "--engine", "linuxkit") == 2


def test_who_stops_it_stops_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in, because the real program is done before anybody could stop it.
    slow = tmp_path / "bin" / "linuxkit"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\nsleep 1000 &\necho "$!" >"$PIDS"\necho "Add files:"\ntouch "$TMPDIR/half"\nwait\n')
    slow.chmod(0o755)
    pids = tmp_path / "pids"
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PIDS", str(pids))
    seen: list[Event] = []
    reporter = Reporter(lambda event: (seen.append(event), started.set() if _is_files(event) else None)[0])
    started = threading.Event()

    def cancel() -> None:
        started.wait(60)
        reporter.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    config = language.read(YAML, "app.yml")
    with pytest.raises(Interrupted):
        upstream.build(config, SETTINGS, tmp_path / "out", reporter, store=tmp_path)
    assert list((tmp_path / "out").iterdir()) == []
    child = Path("/proc", pids.read_text().strip(), "stat")
    deadline = time.monotonic() + 60
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"
    assert [event.ok for event in seen if isinstance(event, StepFinished)] == [False, False]


def _is_files(event: Event) -> bool:
    return isinstance(event, StepStarted) and event.step.endswith("/files")
