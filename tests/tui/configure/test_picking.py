"""How chosen files are written in a profile, and where one begins to look."""

from __future__ import annotations

from pathlib import Path

from thanos_tui import options
from thanos_tui.tui.configure.picking import start_of, written


def test_a_path_is_written_as_a_profile_says_it(tmp_path: Path, home: Path) -> None:
    known = options.load().options
    directory = tmp_path / "work"
    keyring, secret, extra = known["packages.keyring"], known["getty.password"], known["extra.files"]
    assert written(directory, keyring, "", directory / "a" / "b.gpg") == "a/b.gpg"
    assert written(directory, keyring, "", home / "b.gpg") == "~/b.gpg"
    assert written(directory, keyring, "", Path("/opt/b.gpg")) == "/opt/b.gpg"
    assert written(directory, secret, "", directory / "hash") == "./hash", "a secret's path begins with /, ./ or ~/"
    assert written(directory, extra, "", directory / "motd") == "/etc/motd=motd"
    assert written(directory, extra, "/etc/issue=old", directory / "motd") == "/etc/issue=motd"


def test_one_begins_where_the_file_is_likely_to_be(tmp_path: Path, home: Path) -> None:
    known = options.load().options
    directory = tmp_path / "work"
    (directory / "keys").mkdir()
    assert start_of(directory, known["packages.keyring"], "keys/a.gpg") == directory / "keys"
    assert start_of(directory, known["packages.keyring"], "gone/a.gpg") == directory
    assert start_of(directory, known["getty.password"], "$HASH") == directory
    assert start_of(directory, known["getty.password"], "~nobody-of-this-name/x") == directory
    assert start_of(directory, known["sshd.authorized-keys"], "") == home / ".ssh"
