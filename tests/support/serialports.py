"""Serial ports of machines, as somebody at a terminal uses them."""

from __future__ import annotations

import re
import socket
import time


class SerialPort:
    """Somebody at a serial port: what it says, and what is typed there."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self._said = b""

    def expect(self, pattern: bytes, seconds: float = 300, knock: bytes = b"") -> bytes:
        """Wait for what it says next, and return it; ``knock`` is typed now and then until it answers."""
        self._port.settimeout(3)
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self._said)):
            assert time.monotonic() < deadline, self._said.decode(errors="replace")
            try:
                got = self._port.recv(4096)
                assert got, f"the port was closed: {self._said.decode(errors='replace')}"
                self._said += got
            except TimeoutError:
                self.type(knock)
        self._said = self._said[found.end() :]
        return found[0]

    def type(self, text: bytes) -> None:
        self._port.sendall(text)
