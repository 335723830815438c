"""The whole road with real parts: images built from the mirror's packages, booted in QEMU, logged in to.

Packages, images and segments are kept in the user's own cache, as a user's are; keys, machines and records are the
test's. One boot serves many checks.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from road import NTP_AHEAD, Road

NTP_EPOCH = 2208988800  # 1970 in seconds since 1900 (RFC 5905, section 6)


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A user with a key pair made for the profile, whose machines are all stopped at the end."""
    user = Road(tmp_path_factory.mktemp("user"))
    yield user
    user.run("stop", "--all", "--timeout", "0", check=False)


def _answer(query: bytes, ahead: float) -> bytes:
    """A time server's answer (RFC 5905, figure 8): stratum 1, and a clock that is ``ahead`` seconds fast."""
    now = time.time() + ahead + NTP_EPOCH
    stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
    header = struct.pack("!BBbb11I", 4 << 3 | 4, 1, 6, -20, 0, 0, int.from_bytes(b"TEST"), *[0] * 8)
    return header[:16] + stamp + query[40:48] + stamp + stamp


@pytest.fixture(scope="session")
def time_server() -> Iterator[Callable[[], int] | None]:
    """A time server on port 123 of this host's loopback address; gives the number of queries it has answered.

    None where that port cannot be had. It runs before any machine does: ntpd waits for minutes after a first failure.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", 123))
    except OSError:
        yield None
        return
    queries: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                query, sender = server.recvfrom(512)
                if len(query) >= 48:
                    queries.append(query)
                    server.sendto(_answer(query, NTP_AHEAD), sender)
            except OSError:
                return  # closed, at the end of the run

    threading.Thread(target=serve, daemon=True).start()
    yield lambda: len(queries)
    server.close()


@pytest.fixture(scope="session")
def profile(road: Road) -> Path:
    """The profile that the boots share: the default one, with its time from this host."""
    path = road.home / "box.thanos"
    path.write_text("thanos: 1\noptions:\n  hostname: box\n  ntp.servers: [10.0.2.2]\n  sshd.generate-key: true\n")
    return path


FORMATS = ("kernel+initrd", "raw-bios", "vhd", "qcow2-bios")


@pytest.fixture(scope="session")
def outputs(road: Road, profile: Path) -> dict[str, Path]:
    """The profile built in every bootable format, by format: the file to boot."""
    words: Sequence[str] = [word for name in FORMATS for word in ("--format", name)]
    said = road.out("--replay", profile, *words, "--output", road.home / "out", "--json")
    events = [json.loads(line) for line in said.splitlines()]
    made: dict[str, Path] = {}
    for event in events:
        if event["event"] == "artefact":
            made.setdefault(event["format"], Path(event["path"]))
    assert set(made) == set(FORMATS)
    return made


@pytest.fixture(scope="session")
def boot(road: Road, outputs: dict[str, Path]) -> Callable[..., str]:
    """Boots an output in the background and returns the machine's name, once it answers."""

    def start(form: str, name: str, *words: str) -> str:
        road.run("run", outputs[form], "--detach", "--machine", name, *words)
        assert road.guest(name, "cat", "/proc/sys/kernel/hostname").strip() == "box"
        return name

    return start


@pytest.fixture(scope="session")
def box(boot: Callable[..., str], time_server: Callable[[], int] | None) -> str:
    """The machine that most checks share: kernel and initrd on QEMU's own devices."""
    return boot("kernel+initrd", "box")
