"""A build of YAML that is asked for again: said again where nothing changed, done again where anything did."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import again, cli
from thanos_tui.images import apt

YAML = """
services: [{name: one, image: "conformance/shell:1"}]
files:
  - {path: etc/motd, source: motd}
  - {path: etc/issue, source: issue, optional: true}
"""
WORDS = ("build", "--offline", "--arch", "amd64", "--format", "tar", "one.yml")


@pytest.fixture
def here(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(layout, tmp_path / "store")
    for variable, name in (("XDG_CACHE_HOME", "cache"), ("XDG_STATE_HOME", "state"), ("LINUXKIT_CACHE", "store")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yml").write_text(YAML)
    (tmp_path / "motd").write_text("good day\n")
    return tmp_path


def settled(*words: str) -> None:
    """Build until nothing is left to be done: the first build puts itself into the list that `run` reads."""
    for _ in range(2):
        assert cli.main(words) == 0


def test_what_was_said_is_said_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not again.answered(WORDS)
    settled(*WORDS)
    capsys.readouterr()
    assert cli.main(WORDS) == 0
    done = capsys.readouterr()
    assert done.out == f"{here / 'one.tar'}\n"
    assert "sha256" in done.err
    assert again.answered(WORDS)
    assert capsys.readouterr() == done


def test_events_are_said_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*WORDS, "--json")
    settled(*words)
    capsys.readouterr()
    assert again.answered(words)
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["path"]) == ("artefact", str(here / "one.tar"))


def test_quiet_stays_quiet(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*WORDS, "--quiet")
    settled(*words)
    capsys.readouterr()
    assert again.answered(words)
    assert capsys.readouterr() == (f"{here / 'one.tar'}\n", "")


def _later(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "the configuration": lambda here: (here / "one.yml").write_text(YAML.replace("etc/motd", "etc/mutt")),
    "a source of the same length": lambda here: (here / "motd").write_text("bad day!\n"),
    "a source that was not there": lambda here: (here / "issue").write_text("ThanOS\n"),
    "the images": lambda here: _later(here / "store/index.json"),
    "an output": lambda here: _later(here / "one.tar"),
    "an output that is gone": lambda here: (here / "one.tar").unlink(),
    "the last build": lambda here: _later(here / "state/thanos-tui/builds.json"),
    "the record is gone": lambda here: shutil.rmtree(here / "cache/thanos-tui/again"),
    "the record is damaged": lambda here: [
        path.write_text('{"files": 7}') for path in (here / "cache/thanos-tui/again").iterdir()
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(change: Callable[[Path], object], here: Path) -> None:
    settled(*WORDS)
    assert again.answered(WORDS)
    change(here)
    assert not again.answered(WORDS)
    settled(*WORDS)
    assert again.answered(WORDS)


def test_the_environment_and_the_place_count(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(*WORDS)
    assert not again.answered((*WORDS, "--name", "two"))
    with monkeypatch.context() as changed:
        changed.setenv("HOME", str(here / "home"))
        assert not again.answered(WORDS)
    with monkeypatch.context() as changed:
        (here / "elsewhere").mkdir()
        changed.chdir(here / "elsewhere")
        assert not again.answered(WORDS)
    assert again.answered(WORDS)


def test_the_program_counts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(*WORDS)
    copied = shutil.copytree(Path(again.__file__).parent, here / "program")
    monkeypatch.setattr(again, "__file__", str(copied / "again.py"))
    assert not again.answered(WORDS)
    settled(*WORDS)
    assert again.answered(WORDS)
    _later(copied / "build/cpio.py")
    assert not again.answered(WORDS)


def test_indices_get_too_old(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = tuple(word for word in WORDS if word != "--offline")
    now = again.time.time()
    state = here / "cache/thanos-tui/apt/amd64-0/state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"updated": now - apt.FRESH_SECONDS + 3600}))
    settled(*words)
    assert again.answered(words)
    monkeypatch.setattr(again.time, "time", lambda: now + 3601)
    assert not again.answered(words)


@pytest.mark.parametrize("word", [["--pull"], ["-o", "one.tar"]], ids=" ".join)
def test_some_builds_are_always_done(word: list[str], here: Path) -> None:
    words = [*WORDS, *word]
    try:
        cli.main(words)
        cli.main(words)
    finally:
        assert not again.answered(words)


def test_warnings_are_not_kept_quiet(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*WORDS, "--sbom-output", "list.json")
    settled(*words)
    assert not again.answered(words)
    capsys.readouterr()
    assert cli.main(words) == 0
    assert "warning" in capsys.readouterr().err


def test_old_records_go(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "_KEPT", 2)
    for name in ("one", "two", "three"):
        again.Watch(["build", name]).keep(name, "", 2**40)
    assert [again.answered(["build", name]) for name in ("one", "two", "three")] == [False, True, True]
    assert not list((here / "cache/thanos-tui/again").glob(".*"))


def test_nothing_is_loaded(here: Path) -> None:
    """The program itself, which is why it is quick: neither YAML nor the command line's parser is imported."""
    program = [sys.executable, "-X", "importtime", "-m", "thanos_tui", *WORDS]
    for _ in range(2):
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    assert "thanos_tui.linuxkit" in done.stderr or "argparse" in done.stderr
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == f"{here / 'one.tar'}\n"
    assert not [name for name in ("argparse", "yaml", "thanos_tui.cli", "thanos_tui.linuxkit") if name in done.stderr]


def test_a_reader_that_has_had_enough(here: Path) -> None:
    program = [sys.executable, "-m", "thanos_tui", *WORDS]
    for _ in range(2):
        subprocess.run(program, capture_output=True, timeout=120, check=True)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert len(done.stderr.splitlines()) == 1  # the output's; no traceback
