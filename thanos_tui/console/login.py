"""Logging in: the host key is verified, the user's keys are offered, and what fails is explained.

Public keys only: no passwords, no forwarded agent, and nothing from the user's OpenSSH configuration.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui.console.target import Target
from thanos_tui.errors import ConsoleError, InputError
from thanos_tui.keys import blob_fingerprint, fingerprint, is_private
from thanos_tui.words import printable

if TYPE_CHECKING:
    import asyncssh

# Asks for the passphrase of a key; None where nobody can be asked.
Ask = Callable[[Path], Awaitable[str | None]]

# OpenSSH's server hangs up after six refused keys (MaxAuthTries), so more are offered over several connections.
_KEYS_A_CONNECTION = 5
_PASSPHRASE_TRIES = 3
_HOST_KEY_ALGORITHMS = {
    "ssh-ed25519": ["ssh-ed25519"],
    "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
    "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
    "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
    "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
}


@dataclass
class _Keys:
    """What can be offered: pairs in order, with a word on each for messages, and what could not be read."""

    pairs: list[tuple[asyncssh.SSHKeyPair, str]] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    # Locked keys the server would have taken: filled while logging in.
    wanted: list[Path] = field(default_factory=list)

    def add(self, pair: asyncssh.SSHKeyPair, described: str) -> None:
        if all(pair.public_data != known.public_data for known, _ in self.pairs):
            self.pairs.append((pair, described))


@asynccontextmanager
async def connect(target: Target, *, ask: Ask | None = None) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A logged-in connection to the target, closed at the end of the block.

    ask: how to ask for a passphrase, by default on the terminal; called only for a key that the machine accepts.

    Raises ConsoleError, with what to do, if the machine does not answer, shows another host key, or takes none of
    the keys, and if the connection is lost inside the block.
    """
    import asyncssh

    logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)  # what matters is raised, and told in our words
    agent = await _agent()
    try:
        keys = await _collect(target, agent)
        connection = await _log_in(target, keys, ask or ask_on_terminal)
    finally:
        if agent is not None:
            agent.close()
    try:
        yield connection
    except (asyncssh.DisconnectError, asyncssh.ChannelOpenError) as error:
        raise ConsoleError(
            f"the connection to {target} was lost: {printable(error.reason)}", hint=target.log_hint
        ) from error
    finally:
        connection.close()
        with suppress(TimeoutError):  # a machine that hangs does not say goodbye
            await asyncio.wait_for(connection.wait_closed(), 2)
        connection.abort()


async def _log_in(target: Target, keys: _Keys, ask: Ask) -> asyncssh.SSHClientConnection:
    if not keys.pairs and not keys.wanted:
        raise ConsoleError(
            f"no SSH key to log in to {target} with",
            hint="\n  ".join(
                [*keys.unusable, "make one: ssh-keygen -t ed25519; then build and start the machine again"]
            ),
        )
    pairs = [pair for pair, _ in keys.pairs]
    for start in range(0, len(pairs), _KEYS_A_CONNECTION):
        connection = await _open(target, pairs[start : start + _KEYS_A_CONNECTION])
        if connection is not None:
            return connection
    for path in dict.fromkeys(keys.wanted):
        connection = await _open(target, await _unlock(path, ask))
        if connection is not None:
            return connection
    tried = [f"{described} {blob_fingerprint(pair.public_data)}" for pair, described in keys.pairs]
    raise ConsoleError(
        f"{target} takes none of your SSH keys for the user {target.user}",
        hint="\n  ".join(
            [
                "tried:",
                *(f"  {line}" for line in tried),
                *keys.unusable,
                "a machine takes the keys that its image was built with: by default your ~/.ssh/*.pub at that time,",
                "else those its profile names in sshd.authorized-keys; add this key's .pub there and build again",
            ]
        ),
    )


async def _unlock(path: Path, ask: Ask) -> list[asyncssh.SSHKeyPair]:
    """Ask for a key's passphrase and load it."""
    import asyncssh

    remedy = f"let your ssh-agent hold it: ssh-add {path}"
    for _ in range(_PASSPHRASE_TRIES):
        passphrase = await ask(path)
        if passphrase is None:
            raise ConsoleError(f"the key {path} has a passphrase, and there is no terminal to ask for it", hint=remedy)
        try:
            # In a thread: opening a key takes its time on purpose.
            return list(await asyncio.to_thread(asyncssh.load_keypairs, str(path), passphrase=passphrase))
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
            if "bcrypt" in str(error):
                raise ConsoleError(
                    f"unlocking {path} needs the Python package bcrypt, which is not installed", hint=remedy
                ) from None
    raise ConsoleError(f"that is not the passphrase of {path}", hint=remedy)


async def ask_on_terminal(path: Path) -> str | None:
    """Ask for a passphrase without showing it; None where there is no terminal.

    Blocks the event loop: nothing else goes on before the log-in. Ctrl-C raises KeyboardInterrupt.
    """
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        return None
    if threading.current_thread() is not threading.main_thread():
        return await asyncio.to_thread(getpass.getpass, f"Passphrase for {path}: ")
    # asyncio turns Ctrl-C into a cancellation that would only be seen once getpass returns.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return getpass.getpass(f"Passphrase for {path}: ")
    finally:
        signal.signal(signal.SIGINT, before)


async def _open(target: Target, pairs: list[asyncssh.SSHKeyPair]) -> asyncssh.SSHClientConnection | None:
    """One connection and one log-in with these keys; None if the server takes none of them."""
    import asyncssh

    expected = asyncssh.import_public_key(target.host_key)
    shown: list[str] = []

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key.get_fingerprint())
            return key == expected

    kind = expected.get_algorithm()
    first = _HOST_KEY_ALGORITHMS.get(kind, [kind])
    others = [name for names in _HOST_KEY_ALGORITHMS.values() for name in names if name not in first]
    try:
        return await asyncssh.connect(
            target.host,
            target.port,
            client_factory=Client,
            config=None,
            username=target.user,
            client_keys=pairs,
            agent_path=None,
            preferred_auth=["publickey"],
            known_hosts=([], [], []),
            x509_trusted_certs=None,
            # Ours first: a server with several keys shows the one we know. The others only so that a wrong server's
            # key can be named in the refusal.
            server_host_key_algs=[*first, *others],
            gss_host=None,
            compression_algs=["none"],
            connect_timeout=15,
            login_timeout=60,
            keepalive_interval=15,
            keepalive_count_max=4,
        )
    except asyncssh.PermissionDenied:
        return None
    except asyncssh.HostKeyNotVerifiable as error:
        raise _wrong_host_key(target, shown) from error
    except asyncssh.Error as error:
        said = printable(error.reason)
        if "Too many authentication failures" in said:
            return None
        raise ConsoleError(f"cannot open an SSH session with {target}: {said}", hint=target.log_hint) from error
    except TimeoutError as error:
        raise ConsoleError(f"{target} does not answer", hint=_is_it_running(target)) from error
    except ConnectionRefusedError as error:
        raise ConsoleError(f"nothing listens on {target}", hint=_is_it_running(target)) from error
    except OSError as error:
        said = error.strerror or str(error)
        raise ConsoleError(f"cannot reach {target}: {said}", hint=_is_it_running(target)) from error


def _is_it_running(target: Target) -> str:
    return f"is the machine running? `thanos-tui ps` shows those started here; {target.log_hint}"


def _wrong_host_key(target: Target, shown: list[str]) -> ConsoleError:
    key = shown[-1] if shown else "a certificate or a key of an unknown kind"
    remedy = (
        "another program may have taken that port since: `thanos-tui ps` shows which ports belong to which machine"
        if target.name
        else "if the machine was started anew, read the line `thanos: ssh host key: …` on its screen "
        "and give it with --host-key"
    )
    return ConsoleError(
        f"{target} shows a different host key than expected; nothing was sent to it",
        hint=f"expected {fingerprint(target.host_key)}\n  shown    {key}\n  {remedy}",
    )


async def _agent() -> asyncssh.SSHAgentClient | None:
    """The user's ssh-agent, if one answers."""
    path = os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        return None
    import asyncssh

    try:
        return await asyncssh.connect_agent(path)
    except (OSError, asyncssh.ChannelOpenError):
        return None


async def _collect(target: Target, agent: asyncssh.SSHAgentClient | None) -> _Keys:
    """Every key to offer, best first: those given, the agent's, those in ``~/.ssh``."""
    held: list[tuple[asyncssh.SSHKeyPair, str]] = []
    if agent is not None:
        with suppress(ValueError):
            for pair in await agent.get_keys():
                comment = printable(pair.get_comment_bytes() or b"")
                held.append((pair, f"{comment or 'a key'} (from your ssh-agent)"))
    keys = _Keys()
    for path in target.identities:
        _load(path, keys, held, required=True)
    for pair, described in held:
        keys.add(pair, described)
    for path in _own_identities():
        _load(path, keys, held, required=False)
    return keys


def _own_identities() -> list[Path]:
    """The private keys in ``~/.ssh``: those with the usual names, and those whose ``.pub`` lies beside them, since
    a profile authorises every ``~/.ssh/*.pub`` by default."""
    directory = Path.home() / ".ssh"
    try:
        usual = [path for path in directory.glob("id_*") if path.suffix != ".pub"]
        paired = [path.with_suffix("") for path in directory.glob("*.pub")]
    except OSError:
        return []
    found = {path for path in (*usual, *paired) if path.is_file()}
    # The kinds ssh-keygen makes come first, ed25519 before all; the rest by name.
    return sorted(found, key=lambda path: (path.name != "id_ed25519", not path.name.startswith("id_"), path.name))


def _load(path: Path, keys: _Keys, held: list[tuple[asyncssh.SSHKeyPair, str]], *, required: bool) -> None:
    """Add the key in a file. A key that is locked is added by its public half, unless the agent holds it open."""
    import asyncssh

    try:
        text = path.read_bytes()[: 1 << 16].decode(errors="replace")
    except OSError as error:
        if required:
            raise InputError(f"cannot read the key file {path}: {error.strerror}") from error
        return

    def locked(_filename: str) -> None:
        # asyncssh asks for the passphrase once the server has accepted the public half: this notes which key that
        # is, and refuses, so that the user is asked for nothing in vain.
        keys.wanted.append(path)

    public = _public_half(path)
    for pair, described in held:
        if public is not None and pair.public_data == public.public_data:
            keys.add(pair, described)
            return
    if not is_private(text):
        if required:
            raise InputError(
                f"{path} holds no private key" + (", and your ssh-agent has none that fits it" if public else ""),
                hint="name the private key: the file without .pub",
            )
        return
    try:
        try:
            pairs = asyncssh.load_keypairs(str(path))
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
            if "assphrase" not in str(error):
                raise
            if public is None:
                if required:
                    keys.wanted.append(path)
                else:
                    keys.unusable.append(f"not tried: {path} (it has a passphrase and no .pub beside it)")
                return
            pairs = asyncssh.load_keypairs(str(path), passphrase=locked)  # type: ignore[arg-type]
    except (OSError, ValueError, ImportError) as error:
        if required:
            raise InputError(f"cannot use the key {path}: {printable(str(error))}") from None
        keys.unusable.append(f"not tried: {path} ({printable(str(error))})")
        return
    for pair in pairs:
        keys.add(pair, str(path))


def _public_half(path: Path) -> asyncssh.SSHKey | None:
    """The public half of a key pair, from the ``.pub`` beside it or from the file itself: OpenSSH's format keeps it
    in the clear even where the private half is locked."""
    import asyncssh

    for place in (path.with_name(path.name + ".pub"), path):
        with suppress(OSError, ValueError):
            return asyncssh.read_public_key(place)
    return None
