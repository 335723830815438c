"""Telling configurations apart, and keeping secrets while doing so."""

from __future__ import annotations

import json

from thanos_tui.linuxkit import config, diff
from thanos_tui.linuxkit.diff import Change

BEFORE = """
kernel: {image: k:1, cmdline: "quiet api_token=one"}
services:
  - {name: a, image: x, env: [TOKEN=one, A=b], command: [run, --password, one]}
  - {name: b, image: x, binds: ["/a:/a", "/c:/d"]}
files:
  - {path: etc/key, contents: one}
  - {path: etc/motd, contents: "hello\\n", mode: "0644"}
  - {path: root/.ssh/authorized_keys, contents: "# me\\nssh-ed25519 AAAAC3 me\\n", mode: "0600"}
"""


def read(text: str) -> config.Config:
    return config.read(text, "x.yml")


def test_equal_configurations_have_no_difference() -> None:
    assert diff.changes(read(BEFORE), read(BEFORE)) == ()
    assert diff.unified(read(BEFORE), read(BEFORE)) == []


def test_changes_by_path() -> None:
    after = BEFORE.replace('"/a:/a", ', "").replace("image: k:1", "image: k:2").replace("hello", "hullo")
    after = after.replace("- {name: b,", "- {name: b, readonly: true,").replace("A=b]", "A=b, B=c]")
    assert diff.changes(read(BEFORE), read(after)) == (
        Change(("kernel", "image"), "changed", "k:1", "k:2"),
        Change(("services", "a", "env"), "added", after="B=c"),
        Change(("services", "b", "binds"), "removed", before="/a:/a"),
        Change(("services", "b", "readonly"), "added", after=True),
        Change(("files", "etc/motd", "contents"), "changed", "hello\n", "hullo\n"),
    )


def test_order_matters_where_containers_run_one_after_another() -> None:
    first = read("onboot: [{name: a, image: x}, {name: b, image: x}]")
    second = read("onboot: [{name: b, image: x}, {name: c, image: x}, {name: a, image: x}]")
    assert diff.changes(first, second) == (
        Change(("onboot", "c"), "added", after={"name": "c", "image": "x"}),
        Change(("onboot",), "moved", ["a", "b"], ["b", "a"]),
    )


def test_two_entries_of_a_name_stay_apart() -> None:
    first = read("onboot: [{name: a, image: x}, {name: a, image: y}]")
    second = read("onboot: [{name: a, image: x}, {name: a, image: z}]")
    assert diff.changes(first, second) == (Change(("onboot", "a #2", "image"), "changed", "y", "z"),)


def test_secrets_stay_hidden_but_their_change_shows() -> None:
    first, second = read(BEFORE), read(BEFORE.replace("one", "two"))
    text = "\n".join(diff.unified(first, second)) + json.dumps([c.as_json() for c in diff.changes(first, second)])
    assert "one" not in text
    assert "two" not in text
    assert [change.path for change in diff.changes(first, second)] == [
        ("kernel", "cmdline"),
        ("services", "a", "command"),
        ("services", "a", "command"),
        ("services", "a", "env"),
        ("services", "a", "env"),
        ("files", "etc/key", "contents"),
    ]
    assert diff.changes(first, second)[0].after == "quiet api_token=(secret 2)"


def test_private_keys_and_passwords_of_addresses_stay_hidden_anywhere() -> None:
    shown = diff.shown(
        read(
            "services: [{name: a, image: x, env: ['URL=https://me:hunter2@host/'], annotations: {my-secret: deep}}]\n"
            "files: [{path: etc/k, mode: '0644', contents: \"-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl\\n\"}]"
        )
    )
    for secret in ("hunter2", "b3Bl", "deep"):
        assert secret not in shown
    assert "https://me:(secret" in shown


def test_public_keys_and_readable_files_are_shown() -> None:
    shown = diff.shown(read(BEFORE))
    assert "ssh-ed25519 AAAAC3 me" in shown
    assert "hello" in shown


def test_the_unified_diff_is_of_the_yaml() -> None:
    lines = diff.unified(read("init: [a:1]"), read("init: [a:2]"), ("old.thanos", "new.thanos"))
    assert lines == ["--- old.thanos", "+++ new.thanos", "@@ -1,2 +1,2 @@", " init:", "-  - a:1", "+  - a:2"]


def test_long_words_do_not_slow_it_down() -> None:
    # Quadratic searching would take minutes here, and run into the test's time limit.
    made = read("files: [{path: a, mode: '0644', contents: " + "token" * 100_000 + "}]")
    assert "tokentoken" in diff.shown(made)


def test_every_line_knows_what_it_states() -> None:
    made = read(BEFORE.replace("hello", "one\\n  two"))
    lines = diff.lines(made)
    assert "".join(f"{line.text}\n" for line in lines) == diff.shown(made)
    at = {line.text.strip(): line for line in lines}
    assert at["kernel:"].path == ("kernel",)
    assert at["image: k:1"].entry == ("kernel",)
    assert at["- name: b"].path == ("services", 1, "name")
    assert at["- A=b"].path == ("services", 0, "env", 1)
    assert at["- A=b"].entry == ("services", "a")
    assert at["- path: etc/motd"].entry == ("files", "etc/motd")
    first, further = [line for line in lines if line.path == ("files", 1, "contents")][:2]
    assert (first.text, first.continued) == ("    contents: |", False)
    assert (further.text, further.continued) == ("      one", True)
    assert at["two"].path == first.path


def test_lines_of_two_configurations_share_the_numbers_of_secrets() -> None:
    secrets: dict[str, int] = {}
    first = diff.lines(read(BEFORE), secrets)
    again = diff.lines(read(BEFORE.replace("contents: one", "contents: two")), secrets)
    differing = [(old.text.strip(), new.text.strip()) for old, new in zip(first, again, strict=True) if old != new]
    assert differing == [("contents: (secret 1)", "contents: (secret 2)")]
    assert diff.lines(config.Config()) == ()
