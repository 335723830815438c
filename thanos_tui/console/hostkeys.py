"""Host keys: learnt from a console, or given once and remembered. Never taken from the network on trust.

A machine we start gets its key from us, so its record holds the public half. For one that was started elsewhere
(VirtualBox, VMware) the user reads the key on the machine's screen and gives it with ``--host-key``.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from thanos_tui.errors import ConsoleError, InputError
from thanos_tui.files import replacing, state_dir
from thanos_tui.keys import check_public, public_line

# The guest's sshd prints it at every start; the line end shows that the line is whole.
_ANNOUNCED = re.compile(r"thanos: ssh host key: ([a-z0-9@.-]+ [A-Za-z0-9+/=]+)[^\r\n]*[\r\n]")


def learn(serial_text: str) -> str | None:
    """The host key that a machine printed on its console: of its last boot, if the text holds several.

    None where the line is not there yet. Only for text that comes from the machine's own console.
    """
    for found in reversed(_ANNOUNCED.findall(serial_text)):
        try:
            return check_public(found)
        except InputError:
            continue  # cut by another writer on the same console
    return None


def _path(host: str, port: int) -> Path:
    return state_dir() / "hosts" / f"{quote(host.lower(), safe='')}_{port}.pub"


def recall(host: str, port: int) -> str | None:
    """The host key remembered for an address, or None. Raises InputError where the file that holds it is damaged."""
    path = _path(host, port)
    return public_line(path) if path.exists() else None


def remember(host: str, port: int, line: str) -> None:
    """Keep a host key that the user vouched for, in place of an older one."""
    with replacing(_path(host, port), 0o600) as stream:
        stream.write(f"{check_public(line)}\n".encode())


def host_key(host: str, port: int, given: str | None) -> str:
    """The key to expect from a machine that we did not start.

    given: what the user said with ``--host-key``: the public line, or a file that holds it. It is remembered, in place
    of an older one: a machine that makes its key at boot has a new one each time.

    Raises ConsoleError where none is given and none remembered, InputError where the given one is no key.
    """
    if given is not None:
        line = check_public(given, "--host-key") if " " in given.strip() else public_line(Path(given).expanduser())
        remember(host, port, line)
        return line
    known = recall(host, port)
    if known is None:
        raise ConsoleError(
            f"the host key of {host}:{port} is not known",
            hint="read the line `thanos: ssh host key: …` on the machine's screen or serial console, "
            "and give it: --host-key 'ssh-ed25519 AAAA…'",
        )
    return known
