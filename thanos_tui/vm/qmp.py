"""A small synchronous client of the QEMU Machine Protocol (QEMU's docs/interop/qmp-spec.rst).

Why not the package `qemu.qmp`: it is alive and has no dependencies, but it is asyncio (each of our plain functions
would start an event loop for one question and one answer), some 120 kB of still unstable interface (0.0.x, to be
pinned exactly), and has to be told a path that fits a socket address. We ask a handful of commands and need no event.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thanos_tui.errors import MachineError

SOCKET = "qmp.sock"
_BUSY_HINT = "another program may be talking to its monitor; try again, or stop the machine"


def connect(directory: Path, name: str, timeout: float) -> socket.socket:
    """Connect to the Unix socket ``name`` in ``directory``.

    A socket's address holds 107 bytes, a path far more: so the directory is opened and the socket reached through
    /proc, whatever the length. Raises OSError.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection


class Monitor:
    """One conversation with QEMU. Methods raise MachineError when QEMU refuses, hangs up or does not answer in time."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._socket = connection
        self._received = b""
        self._serial = 0
        greeting = self._receive(time.monotonic() + timeout)
        version = greeting.get("QMP", {}).get("version", {}).get("qemu", {})
        if not version:
            raise MachineError("what answers on the monitor's socket is not QEMU")
        self.version: tuple[int, int, int] = (version["major"], version["minor"], version["micro"])
        self.execute("qmp_capabilities", timeout=timeout)

    def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        timeout: float = 10.0,
        descriptor: int | None = None,
    ) -> Any:
        """Run a command and return what it returned; events that come in between are dropped.

        descriptor: an open file to hand over with it, as `add-fd` wants.
        """
        self._serial += 1
        request: dict[str, Any] = {"execute": command, "id": self._serial}
        if arguments:
            request["arguments"] = dict(arguments)
        deadline = time.monotonic() + timeout
        try:
            self._socket.settimeout(timeout)
            line = json.dumps(request).encode() + b"\n"
            # What is handed over goes with the first byte.
            sent = 0 if descriptor is None else socket.send_fds(self._socket, [line], [descriptor])
            self._socket.sendall(line[sent:])
        except OSError as error:
            raise MachineError(f"QEMU hung up before {command}: {error.strerror or error}") from error
        while True:
            answer = self._receive(deadline, command)
            if answer.get("id") != self._serial:
                continue
            if "error" in answer:
                raise MachineError(f"QEMU refused {command}: {answer['error'].get('desc', 'no reason given')}")
            return answer.get("return")

    def _receive(self, deadline: float, command: str = "the greeting") -> dict[str, Any]:
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise MachineError(f"QEMU's monitor did not answer ({command})", hint=_BUSY_HINT)
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise MachineError(f"QEMU hung up during {command}: {error.strerror or error}") from error
            if not data:
                raise MachineError(f"QEMU hung up during {command}")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        try:
            message = json.loads(line)
        except ValueError as error:
            raise MachineError("what answers on the monitor's socket is not QEMU") from error
        return message if isinstance(message, dict) else {}


@contextmanager
def monitor(directory: Path, timeout: float = 5.0) -> Iterator[Monitor]:
    """A conversation with the QEMU that runs in ``directory``.

    QEMU talks to one client at a time, so keep it short: the next one waits. ``timeout`` is for opening it, in
    seconds. Raises MachineError where nobody listens or answers.
    """
    try:
        connection = connect(directory, SOCKET, timeout)
    except OSError as error:
        raise MachineError(f"no QEMU listens in {directory}: {error.strerror or error}", hint=_BUSY_HINT) from error
    with connection:
        yield Monitor(connection, timeout)
