"""plan.awk: from runtime.json to shell commands, with every awk that is here."""

from __future__ import annotations

import json
import random
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PLAN = Path(__file__).parents[2] / "assets" / "linuxkit" / "recipes" / "init" / "plan.awk"
AWKS = [
    words for words in (["busybox", "awk"], ["mawk"], ["gawk"], ["original-awk"], ["awk"]) if shutil.which(words[0])
]


@pytest.fixture(params=AWKS, ids=" ".join)
def awk(request: pytest.FixtureRequest) -> list[str]:
    words: list[str] = request.param
    return words


def planned(awk: list[str], *directories: Path) -> list[list[str]]:
    done = subprocess.run([*awk, "-f", PLAN, *directories], capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    # As the shell reads it: an argument may hold the end of a line.
    words = shlex.split(done.stdout.decode().replace("\n", " ; \n"), posix=True)
    commands: list[list[str]] = [[]]
    for word in words:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word.replace(" ; \n", "\n"))
    return [command for command in commands if command]


def container(tmp_path: Path, name: str, runtime: Any, **layout: Any) -> Path:
    directory = tmp_path / name
    directory.mkdir()
    (directory / "runtime.json").write_text(runtime if isinstance(runtime, str) else json.dumps(runtime, **layout))
    return directory


def test_everything_that_a_runtime_can_ask_for_in_upstreams_order(awk: list[str], tmp_path: Path) -> None:
    runtime = {
        "cgroups": ["systemreserved", "podruntime"],
        "mounts": [
            {"destination": "/c/tmp", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/c/rootfs", "type": "overlay", "source": "overlay", "options": ["lowerdir=/l", "ro"]},
        ],
        "mkdir": ["made", "/var/x"],
        "interfaces": [{"name": "wg0", "add": "wireguard", "createInRoot": True}, {"name": "a", "peer": "b"}],
        "bindNS": {"cgroup": "", "net": "/run/netns/x", "uts": "/run/uts"},
        "namespace": "elsewhere",
    }
    directory = container(tmp_path, "one", runtime, indent=4)
    assert planned(awk, directory) == [
        ["begin", str(directory)],
        ["namespace", "elsewhere"],
        ["mount_point", "tmpfs", "tmpfs", "/c/tmp", ""],
        ["mount_point", "overlay", "overlay", "/c/rootfs", "lowerdir=/l,ro"],
        ["directory", "made"],
        ["directory", "/var/x"],
        ["control_group", "systemreserved"],
        ["control_group", "podruntime"],
        ["interface", "wg0", "wireguard", "", "true"],
        ["interface", "a", "", "b", ""],
        ["bind_namespace", "net", "/run/netns/x"],
        ["bind_namespace", "uts", "/run/uts"],
        ["finish"],
    ]


def test_containers_come_in_the_order_given_and_keep_their_values_apart(awk: list[str], tmp_path: Path) -> None:
    first = container(tmp_path, "first", {"mkdir": ["a", "b"], "namespace": "n"})
    second = container(tmp_path, "second", {"mkdir": []})
    third = tmp_path / "third"  # no runtime.json: nothing to prepare
    third.mkdir()
    commands = planned(awk, first, second, third)
    assert [command[1] for command in commands if command[0] == "begin"] == [str(first), str(second), str(third)]
    assert commands[-4:] == [["begin", str(second)], ["finish"], ["begin", str(third)], ["finish"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"mkdir": ["a"',
        '{"mkdir" ["a"]}',
        '{"mkdir": [a]}',
        "{} {}",
        '{"a": 1,, "b": 2}',
        "{1: 2}",
        '{"a"}',
        '"\x00',
    ],
)
def test_what_is_not_json_is_said_and_prepares_nothing(awk: list[str], tmp_path: Path, text: str) -> None:
    directory = container(tmp_path, "bad", text)
    commands = planned(awk, directory)
    assert [command[0] for command in commands] == ["begin", "broken", "finish"]
    assert commands[1][1].startswith("runtime.json cannot be read: ")


@pytest.mark.parametrize("layout", [{}, {"indent": 4}, {"separators": (",", ":")}, {"ensure_ascii": False}], ids=str)
def test_any_text_reaches_the_shell_as_it_is(awk: list[str], tmp_path: Path, layout: dict[str, Any]) -> None:
    letters = "aZ0'\"\\$`!*? /{}[]:,&<>|;#%éß€→\t"
    random_text = random.Random(7)  # noqa: S311
    texts = ["".join(random_text.choices(letters, k=random_text.randint(1, 20))) for _ in range(60)]
    directory = container(tmp_path, "texts", {"other": {"deep": [1.5e3, None, True]}, "mkdir": texts}, **layout)
    assert [command[1] for command in planned(awk, directory) if command[0] == "directory"] == texts
