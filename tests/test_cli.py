"""The command line: what it loads, what it prints where, and how it ends."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import cli

HEAVY = ("textual", "asyncssh", "docker", "cryptography")


def _loaded_by(arguments: list[str], environment: dict[str, str]) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """The modules that a command line has loaded when it ends."""
    code = (
        "import sys, json\nfrom thanos_tui.cli import main\n"
        "try:\n status = main(sys.argv[1:])\nexcept SystemExit as error:\n status = error.code\n"
        "print('\\nLOADED' + json.dumps(sorted(sys.modules)))\nsys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    return set(json.loads(done.stdout.partition("\nLOADED")[2])), done


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory with an SSH key."""
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody"
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(key + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def profile(home: Path) -> Callable[[str], Path]:
    def write(options: str) -> Path:
        path = home / "try.thanos"
        path.write_text(f"thanos: 1\noptions:\n{options}")
        return path

    return write


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["ps"]])
def test_short_commands_load_nothing_heavy(home: Path, arguments: list[str]) -> None:
    loaded, done = _loaded_by(arguments, {"HOME": str(home)})
    assert done.returncode == 0
    assert not loaded & {*HEAVY, "rich", "zstandard", "asyncio"}


def test_replay_loads_neither_textual_nor_ssh_nor_docker(home: Path, profile: Callable[[str], Path]) -> None:
    # It ends where images are to be had from the cache only, which is empty: by then the road has been loaded.
    loaded, done = _loaded_by(["--replay", str(profile("  hostname: box\n")), "--offline"], {"HOME": str(home)})
    assert done.returncode in (1, 3), done.stderr
    assert "thanos_tui.images.provide" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("arguments", [[], ["tui"], ["nowhere.thanos"], ["--set", "hostname=box"], ["--output", "out"]])
def test_the_app_says_that_it_needs_a_terminal(
    home: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert "needs a terminal" in said
    assert "--replay PROFILE" in said


@pytest.mark.parametrize("word", ["biuld", "profile"])
def test_what_is_no_command_and_no_profile_is_a_mistake(
    home: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([word])
    assert ended.value.code == 2
    assert f"invalid choice: '{word}'" in capsys.readouterr().err


BAD = [
    (["--replay", "nowhere.thanos"], 2, "there is no profile"),
    (["--replay", "{bad option}"], 2, "try.thanos:3:3: there is no option 'hostnam'"),
    (["--replay", "{good}", "--format", "vhdx"], 2, "vhdx"),
    (["--replay", "{good}", "--set", "hostname"], 2, "OPTION=VALUE"),
    (["--replay", "{good}", "--set", "hostname=-"], 2, "hostname"),
    (["--replay", "{good}", "--exec", " "], 2, "no command"),
    (["--replay", "{good}", "--publish", "x:y", "--run"], 2, "x:y"),
    (["build", "nowhere.yml"], 2, "nowhere.yml"),
    (["build", "{good}", "--size", "big"], 2, "big"),
    (["run", "nowhere.vhd"], 2, "nowhere.vhd"),
    (["run"], 2, "nothing has been built yet"),
    (["run", "{good}"], 2, "has not been built yet"),
    (["console", "nobody"], 2, "nobody"),
    (["console"], 1, "no machine is running"),
    (["exec"], 2, "no command to run"),
    (["console", "host:none"], 2, "HOST:PORT"),
    (["console", "127.0.0.1:1"], 1, "host key"),
    (["cp", "a", "b"], 2, "no side names a machine"),
    (["options", "ntp.server"], 2, "did you mean ntp.servers?"),
    (["diff", "{good}", "nowhere.yml"], 2, "nowhere.yml"),
    (["logs", "nobody"], 2, "nobody"),
    (["stop"], 1, "no machine is running"),
    (["rm", "nobody"], 2, "nobody"),
    (["--serve", "99999"], 3, "port 99999"),
]


@pytest.mark.parametrize(("arguments", "status", "words"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_mistakes_end_with_a_sentence(
    home: Path,
    profile: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    given = str(profile("  hostnam: box\n" if "{bad option}" in arguments else "  hostname: box\n"))
    filled = [given if word.startswith("{") else word for word in arguments]
    assert cli.main(filled) == status
    said = capsys.readouterr().err
    assert said.startswith("thanos-tui: ")
    assert words in said
    assert "Traceback" not in said
    # What was asked for could not be had, so nothing may be left of the try.
    assert sorted(path.name for path in home.iterdir() if path.name not in (".cache", ".local")) == [
        ".ssh",
        "try.thanos",
    ]


def test_mistakes_are_data_with_json(
    home: Path, profile: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--replay", str(profile("  hostnam: box\n")), "--json"]) == 2
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["status"]) == ("failed", 2)
    assert last["where"].endswith("try.thanos:3:3")


def test_render_prints_yaml_that_build_reads(
    home: Path, profile: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from thanos_tui.linuxkit import config

    assert cli.main(["render", str(profile("  hostname: box\n"))]) == 0
    text = capsys.readouterr().out
    assert "box" in text
    read = config.read(text, "rendered")
    assert config.dump(read) == text


def test_diff_shows_what_an_option_changes(
    home: Path, profile: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = home / "other.thanos"
    other.write_text("thanos: 1\noptions:\n  hostname: elsewhere\n")
    assert cli.main(["diff", str(profile("  hostname: box\n")), str(other)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip("+- ") for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "box",
        "elsewhere",
    ]
    assert cli.main(["diff", "--json", str(other), str(other)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_options_tell_value_and_origin(
    home: Path, profile: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = profile("  hostname: box\n")
    assert cli.main(["options", "--json", "--profile", str(path), "--set", "ntp.servers=a.example", "ntp"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["ntp.servers"]["value"] == ["a.example"]
    assert found["ntp.servers"]["origin"] == "--set ntp.servers=a.example"
    assert cli.main(["options", "hostname", "--profile", str(path)]) == 0
    assert f"{path}:3:13" in capsys.readouterr().out


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    command = f"{sys.executable} -m thanos_tui options | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert done.stdout.startswith("OPTION")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_what_main_notes_is_no_option_of_a_command() -> None:
    def names(parser: argparse.ArgumentParser) -> set[str]:
        found: set[str] = set()
        for action in parser._actions:
            found.add(action.dest)
            if isinstance(action, argparse._SubParsersAction):
                found = found.union(*map(names, action.choices.values()))
        return found

    known = names(cli.parser()[0])
    assert {"replay", "words"} <= known, "also those of commands, and of their commands"
    assert "command_line" not in known
