"""SSH keys: made as OpenSSH makes them, checked as sshd would, private ones never shown."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui import keys
from thanos_tui.errors import HostError, InputError, Where

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC1WNaibhXExpKCeMOlN7xSgNJvsMD7eo5T+qlbYLlu"
PUTTY = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nc2VjcmV0\n"

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def ssh_keygen(*arguments: str | Path) -> str:
    return subprocess.run(["ssh-keygen", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


# Making ---------------------------------------------------------------------------------------------------------


def test_a_pair_is_made_with_the_right_permissions_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        line = keys.generate(tmp_path / "new/key", "a comment")
    finally:
        os.umask(before)
    assert line.startswith("ssh-ed25519 AAAA")
    assert line.endswith(" a comment")
    assert (tmp_path / "new/key.pub").read_text() == f"{line}\n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert modes == {"key": 0o600, "key.pub": 0o644}
    assert keys.public_line(tmp_path / "new/key") == line


@needs_ssh_keygen
def test_openssh_reads_what_is_made(tmp_path):
    line = keys.generate(tmp_path / "key", "me")
    assert ssh_keygen("-y", "-f", tmp_path / "key").split()[:2] == line.split()[:2]
    assert keys.fingerprint(line) in ssh_keygen("-l", "-f", tmp_path / "key.pub")


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        keys.generate(tmp_path / "key", "")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "precious")]


def test_of_many_at_once_one_wins(tmp_path):
    def make(_number: int) -> str | None:
        try:
            return keys.generate(tmp_path / "key", "")
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        (made,) = [line for line in pool.map(make, range(8)) if line]
    assert keys.public_line(tmp_path / "key") == made
    (tmp_path / "key.pub").unlink()
    assert keys.public_line(tmp_path / "key") == made.strip()  # the private half fits


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write"):
        keys.generate(tmp_path / "file/key", "")


def test_a_comment_of_two_lines_is_refused(tmp_path):
    with pytest.raises(InputError, match="one printable line"):
        keys.generate(tmp_path / "key", "a\nssh-ed25519 AAAA")
    assert list(tmp_path.iterdir()) == []


def test_checking_loads_no_cryptography():
    code = (
        f"import sys; from thanos_tui import keys; keys.check_public({ED25519!r}); print('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# Reading --------------------------------------------------------------------------------------------------------


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["ed25519", "rsa -b 2048", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521"])
def test_every_kind_of_openssh(tmp_path, kind):
    ssh_keygen("-q", "-N", "", "-C", "me", "-f", tmp_path / "key", "-t", *kind.split())
    line = (tmp_path / "key.pub").read_text().strip()
    assert keys.check_public(line) == line
    assert keys.fingerprint(line) in ssh_keygen("-l", "-f", tmp_path / "key.pub")
    (tmp_path / "key.pub").unlink()
    assert keys.public_line(tmp_path / "key").split() == line.split()[:2]


@needs_ssh_keygen
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_private_keys_are_known_and_never_shown(tmp_path, form, passphrase):
    path = tmp_path / "key"
    ssh_keygen("-q", "-t", "ecdsa", "-m", form, "-N", passphrase, "-f", path)
    text = path.read_text()
    assert keys.is_private(text)
    for given_text in (text, text.replace("\n", " "), f"ssh-rsa {text}", f"restrict {text}"):
        with pytest.raises(InputError, match="private key") as caught:
            keys.check_public(given_text, "profile")
        assert not any(line in str(caught.value) for line in text.splitlines()[1:-1] if line)
        assert ".pub" in str(caught.value)
    for line in filter(None, text.splitlines()[1:-1]):  # a part of one, pasted
        with pytest.raises(InputError) as caught:
            keys.check_public(line)
        assert line[:16] not in str(caught.value)
    path.with_suffix(".pub").unlink()
    if passphrase:
        with pytest.raises(InputError, match="ssh-keygen -y"):
            keys.public_line(path)


@pytest.mark.parametrize(
    "text",
    [
        PUTTY,
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "SSH PRIVATE KEY FILE FORMAT 1.1\n",
        "-----BEGIN DSA PRIVATE KEY-----",
        base64.b64encode(b"openssh-key-v1\0none").decode(),
    ],
)
def test_other_private_formats(text):
    assert keys.is_private(text)


@pytest.mark.parametrize("text", [ED25519, f"{ED25519} my private key", "", "-----BEGIN PUBLIC KEY-----"])
def test_what_is_not_private(text):
    assert not keys.is_private(text)


def test_a_missing_file_and_a_directory(tmp_path):
    with pytest.raises(InputError, match="there is no key file"):
        keys.public_line(tmp_path / "none")
    with pytest.raises(InputError, match="cannot read"):
        keys.public_line(tmp_path)


# Checking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        ED25519,
        f"{ED25519} a comment with spaces",
        f"  {ED25519}\t",
        f"restrict,pty {ED25519}",
        f'command="echo \\"hi, you\\" #",no-X11-forwarding,FROM="10.0.0.0/8,!10.1.0.1" {ED25519} me',
        f'environment="A=b c" {ED25519}',
    ],
)
def test_lines_that_sshd_takes(line):
    assert keys.check_public(line) == line.strip()


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).decode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected here"),
        ("# a comment", "expected here"),
        ("ssh-ed25519", "cut off"),
        (ED25519[:-8], "damaged or cut off"),
        (ED25519.replace("AAAAC3", "AAAAC4"), "damaged"),
        (ED25519.replace("ed25519 ", "rsa "), "damaged"),
        (ED25519 + "AAAA", "damaged"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(31))}", "damaged"),
        (f"ssh-rsa {blob(b'ssh-rsa', b'', bytes([200]) * 256)}", "damaged"),
        (f"ssh-rsa {blob(b'ssh-rsa', bytes([3]), bytes([200]) * 64)}", "damaged"),  # 512 bits
        (f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp384', bytes([4]) * 65)}", "damaged"),
        (f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp256', bytes([2]) * 65)}", "damaged"),
        (f"{ED25519}\n{ED25519}", "one line"),
        (f"{ED25519} me\x1b[2J", "control characters"),
        (f"resrict {ED25519}", "no key option resrict"),
        (f'restrict="yes" {ED25519}', "restrict takes no value"),
        (f"command {ED25519}", "command needs a value"),
        (f"command=ls {ED25519}", "no SSH public key"),
        (f'command="ls {ED25519}', "no SSH public key"),
        ("ssh-dss AAAAB3NzaC1kc3M= me", "DSA keys"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA me", "certificate"),
        ("me@example.org", "no SSH public key"),
    ],
)
def test_lines_that_sshd_would_not_take(line, message):
    with pytest.raises(InputError, match=message) as caught:
        keys.check_public(line, Where("my.thanos", 3, 5))
    assert str(caught.value).startswith("my.thanos:3:5: ")
    assert caught.value.hint


@given(st.text() | st.text(alphabet='ssh-ed25519 AAAAC3"=,\\\t\n #').map(lambda text: f"{text} {ED25519}"))
def test_any_text_is_taken_or_refused_and_nothing_else(text):
    try:
        taken = keys.check_public(text)
    except InputError:
        return
    assert taken == text.strip()
