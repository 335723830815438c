"""Where the host key of a machine that we did not start comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui import keys
from thanos_tui.console import host_key, learn, recall, remember
from thanos_tui.errors import ConsoleError, InputError


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    return [keys.generate(tmp_path / f"key{number}", f"root@{number}") for number in range(2)]


def bare(line: str) -> str:
    return " ".join(line.split()[:2])


def boot(line: str) -> str:
    return f"[    3.1] eth0: link up\r\nthanos: ssh host key: {line}\r\nWelcome to ThanOS\r\n"


def test_the_key_is_learnt_from_the_console(lines):
    assert learn(boot(lines[0])) == bare(lines[0])


def test_the_last_boot_counts(lines):
    assert learn(boot(lines[0]) + boot(lines[1])) == bare(lines[1])


def test_a_line_after_other_output_on_the_same_line(lines):
    assert learn(f"[  2.0] random: crng init done thanos: ssh host key: {lines[0]}\n") == bare(lines[0])


@pytest.mark.parametrize("keep", [0, 30, 60, 90])
def test_a_line_that_is_still_being_written_is_not_taken(lines, keep):
    assert learn("thanos: ssh host key: " + lines[0][:keep]) is None


def test_a_line_that_another_writer_cut_is_passed_over(lines):
    cut = f"thanos: ssh host key: {lines[1][:40]}[  4.2] usb 1-1: new device\r\n"
    assert learn(cut) is None
    assert learn(boot(lines[0]) + cut) == bare(lines[0])


def test_no_key_is_ever_taken_on_trust():
    with pytest.raises(ConsoleError, match="the host key of box:1234 is not known") as caught:
        host_key("box", 1234, None)
    assert "--host-key" in str(caught.value)


def test_a_given_key_is_remembered_for_that_address_only(lines):
    assert host_key("box", 1234, lines[0]) == lines[0]
    assert host_key("BOX", 1234, None) == lines[0]
    assert recall("box", 1235) is None
    assert recall("other", 1234) is None


def test_a_newly_given_key_replaces_the_old_one(lines):
    remember("box", 1234, lines[0])
    assert host_key("box", 1234, lines[1]) == lines[1]
    assert recall("box", 1234) == lines[1]


def test_a_key_given_as_a_file(lines, tmp_path):
    assert host_key("box", 1234, str(tmp_path / "key0.pub")) == lines[0]


@pytest.mark.parametrize("given", ["ssh-ed25519 AAAA", "/no/such/file", "SHA256:abc def"])
def test_a_given_key_that_is_none(given):
    with pytest.raises(InputError):
        host_key("box", 1234, given)
    assert recall("box", 1234) is None


def test_hosts_with_odd_names_stay_inside_the_state_directory(lines, home):
    remember("../../x/[::1%eth0]", 22, lines[0])
    found = [path for path in home.rglob("*") if path.is_file()]
    assert [path.parent.name for path in found] == ["hosts"]
    assert recall("../../x/[::1%eth0]", 22) == lines[0]


def test_a_damaged_record_is_told(lines, home):
    remember("box", 1234, lines[0])
    (path,) = (path for path in home.rglob("*.pub"))
    path.write_text("ssh-ed25519 AAAA")
    with pytest.raises(InputError, match=str(path.name)):
        host_key("box", 1234, None)
