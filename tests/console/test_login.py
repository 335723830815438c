"""Logging in: which host key is accepted, which user keys are offered, and what is said when it fails."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from thanos_tui import keys
from thanos_tui.console import Target, capture, connect, run
from thanos_tui.errors import ConsoleError, InputError


def hello(process: asyncssh.SSHServerProcess) -> None:
    process.stdout.write(b"hello")
    process.exit(0)


def text(error: pytest.ExceptionInfo) -> str:
    return str(error.value)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A key that no server takes."""
    path = tmp_path / "other"
    keys.generate(path, "someone else's")
    return path


def locked_key(path: Path, passphrase: str, form: str) -> Path:
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed (apt-get install openssh-client)")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", form, "-N", passphrase, "-C", "locked", "-f", path], check=True
    )
    return path


# The host key ---------------------------------------------------------------------------------------------------


def test_the_known_host_key_is_asked_for_among_several(openssh):
    assert capture(openssh.target, ["echo", "in"]).stdout == b"in\n"


def test_another_host_key_is_refused_with_both_fingerprints(openssh, other):
    target = dataclasses.replace(openssh.target, host_key=keys.public_line(other))
    with pytest.raises(ConsoleError, match="different host key") as caught:
        run(target, ["true"])
    assert f"expected {keys.fingerprint(target.host_key)}" in text(caught)
    assert f"shown    {keys.fingerprint(openssh.target.host_key)}" in text(caught)
    assert "thanos-tui ps" in text(caught)


def test_a_server_without_the_expected_kind_of_key_is_refused_by_name(openssh, server, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "ecdsa"], check=True)
    target = dataclasses.replace(server.start(hello), host_key=(tmp_path / "ecdsa.pub").read_text(), name="")
    with pytest.raises(ConsoleError, match="different host key") as caught:
        run(target, ["true"])
    assert keys.fingerprint(keys.public_line(server.host_key)) in text(caught)
    assert "--host-key" in text(caught)


def test_nothing_is_taken_from_the_users_openssh_files(openssh, home, other):
    """Neither a lax configuration nor a known_hosts entry makes a wrong key right."""
    (home / ".ssh/config").write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile none\n  Port 1\n")
    host = f"[127.0.0.1]:{openssh.target.port}"
    (home / ".ssh/known_hosts").write_text(f"{host} {openssh.target.host_key}\n")
    assert capture(openssh.target, ["true"]).status == 0
    with pytest.raises(ConsoleError, match="different host key"):
        run(dataclasses.replace(openssh.target, host_key=keys.public_line(other)), ["true"])


# The user's keys ------------------------------------------------------------------------------------------------


def test_the_keys_in_the_home_directory_are_offered(server, home):
    target = dataclasses.replace(server.start(hello), identities=())
    # Any name will do if the public half is beside it: that is what a profile authorises.
    shutil.copy(server.identity, home / ".ssh/work")
    shutil.copy(keys._public_path(server.identity), home / ".ssh/work.pub")
    assert capture(target, ["x"]).stdout == b"hello"


def test_no_key_at_all(server):
    with pytest.raises(ConsoleError, match="no SSH key to log in to m1") as caught:
        run(dataclasses.replace(server.start(hello), identities=()), ["true"])
    assert "ssh-keygen -t ed25519" in text(caught)


def test_refused_keys_are_listed_with_what_to_do(server, other, home):
    keys.generate(home / ".ssh/id_ed25519", "me")
    (home / ".ssh/id_broken").write_text("no key")
    with pytest.raises(ConsoleError, match="takes none of your SSH keys for the user root") as caught:
        run(dataclasses.replace(server.start(hello), identities=(other,)), ["true"])
    said = text(caught)
    assert f"{other} {keys.fingerprint(keys.public_line(other))}" in said
    assert str(home / ".ssh/id_ed25519") in said
    assert "the keys that its image was built with" in said


def test_more_keys_than_a_server_lets_one_try(openssh, tmp_path):
    wrong = [tmp_path / f"key{number}" for number in range(9)]
    for path in wrong:
        keys.generate(path, "")
    target = dataclasses.replace(openssh.target, identities=(*wrong, *openssh.target.identities))
    assert capture(target, ["true"]).status == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the key file"),
        ("no key at all", "holds no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n", "cannot use the key"),
    ],
)
def test_a_given_identity_that_cannot_be_used(server, tmp_path, content, message):
    path = tmp_path / "given"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        run(dataclasses.replace(server.start(hello), identities=(path,)), ["true"])
    assert "c2VjcmV0" not in text(caught)


def test_the_users_agent_is_asked(server, tmp_path, monkeypatch):
    if not shutil.which("ssh-agent"):
        pytest.skip("ssh-agent is not installed")
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", server.identity], check=True)
        target = server.start(hello)
        assert capture(dataclasses.replace(target, identities=()), ["x"]).stdout == b"hello"
        # A public key says which of the agent's keys is meant.
        public = keys._public_path(server.identity)
        assert capture(dataclasses.replace(target, identities=(public,)), ["x"]).stdout == b"hello"
    finally:
        agent.kill()
        agent.wait()


def test_an_agent_that_is_gone_does_no_harm(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nobody"))
    assert capture(server.start(hello), ["x"]).stdout == b"hello"


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ("", True),
        ("restrict ", True),
        ('FROM="127.0.0.1,::1",no-X11-forwarding ', True),
        ('environment="A=b c",expiry-time="20990101",permitopen="a:1",permitlisten="1",tunnel="0" ', True),
        ("agent-forwarding,port-forwarding,pty,user-rc,X11-forwarding,no-touch-required,verify-required ", True),
        ("no-agent-forwarding,no-port-forwarding,no-pty,no-user-rc,no-x11-forwarding ", True),
        ('command="echo \\"hi, you\\"" ', True),
        ("resrict ", False),
        ('restrict="yes" ', False),
        ("command ", False),
        ("command=ls ", False),
        ('command="ls ', False),
        ("no-restrict ", False),
        ("no-cert-authority ", False),
    ],
)
def test_sshd_takes_the_key_options_that_we_take(openssh, options, taken):
    before = openssh.authorized.read_text()
    line = options + before
    openssh.authorized.write_text(line)
    try:
        if taken:
            keys.check_public(line)
            assert capture(openssh.target, ["true"]).status == 0
        else:
            with pytest.raises(InputError):
                keys.check_public(line)
            with pytest.raises(ConsoleError, match="takes none"):
                capture(openssh.target, ["true"])
    finally:
        openssh.authorized.write_text(before)


# Passphrases ----------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(openssh, tmp_path):
    """A key with a passphrase that the machine takes, in a format that needs no bcrypt."""
    path = locked_key(tmp_path / "locked", "open sesame", "PKCS8")
    before = openssh.authorized.read_text()
    openssh.authorized.write_text(before + path.with_suffix(".pub").read_text())
    yield dataclasses.replace(openssh.target, identities=(path,))
    openssh.authorized.write_text(before)


def test_a_passphrase_is_asked_for_on_the_terminal_again_if_wrong(locked, on_terminal):
    terminal = on_terminal(locked, "run(target, ['echo', 'inside'])")
    terminal.expect(b"Passphrase for ")
    terminal.expect(b": ")
    terminal.send(b"wrong\r")
    terminal.expect(b"Passphrase for ")
    terminal.expect(b": ")
    terminal.send(b"open sesame\r")
    shown = terminal.expect(b"<ended with 0 >")
    assert b"inside" in shown
    assert b"sesame" not in shown
    assert terminal.restored()


def test_three_wrong_passphrases_are_enough(locked, on_terminal):
    terminal = on_terminal(locked, "run(target, ['true'])")
    for _ in range(3):
        terminal.expect(b"Passphrase for ")
        terminal.expect(b": ")
        terminal.send(b"wrong\r")
    terminal.expect(b"<raised ConsoleError that is not the passphrase of")


def test_ctrl_c_at_the_passphrase(locked, on_terminal):
    terminal = on_terminal(locked, "run(target, ['true'])")
    terminal.expect(b"Passphrase for ")
    terminal.expect(b": ")
    terminal.send(b"\x03")
    terminal.expect(b"<raised Interrupted")
    assert terminal.restored()


def test_no_terminal_to_ask_on(locked):
    code = (
        "import sys; from pathlib import Path; from thanos_tui.console import *\n"
        f"target = Target('127.0.0.1', {locked.port}, {locked.host_key!r}, {locked.user!r},"
        f"                (Path({str(locked.identities[0])!r}),))\n"
        "run(target, ['true'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert "has a passphrase, and there is no terminal to ask for it" in done.stderr
    assert "ssh-add" in done.stderr


def test_nobody_is_asked_for_a_key_that_the_machine_would_not_take(server, tmp_path):
    path = locked_key(tmp_path / "locked", "open sesame", "PKCS8")

    async def never(_path: Path) -> str | None:
        raise AssertionError

    async def go() -> bytes:
        async with connect(target, ask=never) as connection:
            done = await connection.run("x", encoding=None)
            return bytes(done.stdout or b"")

    target = dataclasses.replace(server.start(hello), identities=(path, server.identity))
    assert asyncio.run(go()) == b"hello"
    target = dataclasses.replace(target, identities=(path,))
    with pytest.raises(ConsoleError, match="takes none of your SSH keys"):
        asyncio.run(go())


@pytest.mark.parametrize("with_public_half", [True, False])
def test_another_way_to_ask_and_a_key_without_its_public_half(locked, with_public_half):
    (path,) = locked.identities
    if not with_public_half:
        path.with_suffix(".pub").unlink()
    asked: list[Path] = []

    async def ask(which: Path) -> str | None:
        asked.append(which)
        return "open sesame"

    async def go() -> int | None:
        async with connect(locked, ask=ask) as connection:
            return (await connection.run("exit 6")).exit_status

    assert asyncio.run(go()) == 6
    assert asked == [path]


def test_openssh_format_with_a_passphrase(openssh, tmp_path):
    """asyncssh opens it only with bcrypt, which may not be installed; either way it is told."""
    path = locked_key(tmp_path / "locked", "open sesame", "RFC4716")
    before = openssh.authorized.read_text()
    openssh.authorized.write_text(before + path.with_suffix(".pub").read_text())

    async def ask(_which: Path) -> str | None:
        return "open sesame"

    async def go() -> int | None:
        async with connect(dataclasses.replace(openssh.target, identities=(path,)), ask=ask) as connection:
            return (await connection.run("exit 6")).exit_status

    try:
        try:
            import bcrypt  # noqa: F401
        except ImportError:
            with pytest.raises(ConsoleError, match="needs the Python package bcrypt") as caught:
                asyncio.run(go())
            assert f"ssh-add {path}" in text(caught)
        else:
            assert asyncio.run(go()) == 6
    finally:
        openssh.authorized.write_text(before)


# The network ----------------------------------------------------------------------------------------------------


def target_at(port: int, identity: Path) -> Target:
    return Target("127.0.0.1", port, keys.public_line(identity), identities=(identity,), name="m1")


def test_nobody_listens(port, identity):
    with pytest.raises(ConsoleError, match=r"nothing listens on m1 \(127\.0\.0\.1:\d+\)") as caught:
        run(target_at(port, identity), ["true"])
    assert "is the machine running?" in text(caught)


def test_an_address_that_is_none(identity):
    with pytest.raises(ConsoleError, match=r"cannot reach no-such-host\.invalid"):
        run(dataclasses.replace(target_at(1, identity), host="no-such-host.invalid", name=""), ["true"])


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n\x00\x00\xff\xff garbage", b"SSH-1.5-old\r\n"]
)
def test_something_that_is_no_ssh_server(identity, answer):
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConsoleError, match="m1") as caught:
            run(target_at(listening.getsockname()[1], identity), ["true"])
        thread.join()
    assert caught.value.hint is not None


def test_ctrl_c_while_nothing_answers(identity):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = (
            "import os, signal, sys, threading; from pathlib import Path; from thanos_tui.console import *\n"
            "from thanos_tui.errors import Interrupted\n"
            f"target = Target('127.0.0.1', {listening.getsockname()[1]}, {keys.public_line(identity)!r},"
            f"                'root', (Path({str(identity)!r}),))\n"
            "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
            "try: run(target, ['true'])\n"
            "except Interrupted: sys.exit(130)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_work_in_a_connection_that_breaks(server):
    async def go() -> None:
        async with connect(target) as connection:
            process = await connection.create_process("x", encoding=None)
            server.cut()
            await process.stdout.read()

    async def hang(process) -> None:
        await asyncio.sleep(1000)

    target = server.start(hang)
    with pytest.raises(ConsoleError, match="was lost"):
        asyncio.run(go())
