"""Servers to talk to (asyncssh in this process, OpenSSH's sshd on loopback) and a terminal to talk from."""

from __future__ import annotations

import fcntl
import grp
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import OpenSSH
from servers import home as home
from servers import identity as identity
from servers import openssh as openssh
from servers import port as port
from servers import server as server
from waiting import LIMIT

from thanos_tui.console import Target


@pytest.fixture
def openssh_with_terminals(openssh: OpenSSH) -> OpenSSH:
    """An sshd that can give its sessions a terminal: one that is not root cannot change who owns it."""
    if os.geteuid() != 0:
        master, slave = pty.openpty()
        group = os.fstat(slave).st_gid
        os.close(master)
        os.close(slave)
        if group != grp.getgrnam("tty").gr_gid:
            pytest.skip("sshd as an ordinary user needs terminals that belong to the group tty from the start")
    return openssh


class Terminal:
    """A program on a pseudo-terminal, and its user."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.resize(101, 31)
        self.before = termios.tcgetattr(self.master)
        self.output = b""
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment
        )
        os.close(slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def expect(self, text: bytes) -> bytes:
        """Read until ``text`` has come, and return what came before it."""
        ends = time.monotonic() + LIMIT
        while text not in self.output:
            readable, _, _ = select.select([self.master], [], [], max(0, ends - time.monotonic()))
            try:
                data = os.read(self.master, 65536) if readable else b""
            except OSError:
                data = b""
            assert data, f"{text!r} did not come, but {self.output!r}"
            self.output += data
        before, _, self.output = self.output.partition(text)
        return before

    def restored(self) -> bool:
        return termios.tcgetattr(self.master) == self.before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


# Takes the terminal as its own (so that resizing and Ctrl-C reach it), runs, and says how it ended.
CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from pathlib import Path
from thanos_tui.console import *
from thanos_tui.errors import ThanosError
target = Target({host!r}, {port}, {host_key!r}, user={user!r}, identities=tuple(map(Path, {identities!r})), name="m1")
try:
    status = {call}
    print("<ended with", status, ">", flush=True)
except ThanosError as error:
    print("<raised", type(error).__name__, error, ">", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def on_terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts ``call`` (an expression that uses ``target``) on a terminal of its own."""
    started: list[Terminal] = []

    def start(target: Target, call: str) -> Terminal:
        script = CHILD.format(
            host=target.host,
            port=target.port,
            host_key=target.host_key,
            user=target.user,
            identities=[str(path) for path in target.identities],
            call=call,
        )
        environment = {**os.environ, "TERM": "vt220"}
        started.append(Terminal([sys.executable, "-c", script], environment))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()
