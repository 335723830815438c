"""The whole app in a terminal while the network, the mirror, the machine, the disk or the terminal itself fails.

Whatever happens is told in a sentence with what to do about it; the app goes on, and nothing of the profile is lost.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from road import THANOS, Road
from sectors import boot_sector
from terminals import Terminal

from thanos_tui import programs
from thanos_tui.files import cache_dir

CACHE = cache_dir().parent  # the tests' user's, before a test has a home of its own

PROFILE = """\
thanos: 1
options:
  hostname: box
  output.formats: [kernel+initrd]
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody\n"

Start = Callable[..., Terminal]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Road]:
    """Somebody with a key, a profile and the tests' user's packages; whatever machine a test leaves is ended."""
    home = tmp_path / "somebody"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519.pub").write_text(KEY)
    (home / "box.thanos").write_text(PROFILE)
    road = Road(home, CACHE, {"XDG_CONFIG_HOME": str(home / "config")})
    yield road
    road.run("stop", "--all", "--timeout", "0", check=False)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the app on the profile of a user; what still runs at the end is ended."""
    running: list[Terminal] = []

    def begin(user: Road) -> Terminal:
        running.append(Terminal([THANOS, "box.thanos"], user.environment, user.home, 100, 30))
        running[-1].wait_for(r"Services +--->")
        return running[-1]

    yield begin
    for terminal in running:
        terminal.__exit__()


def set_host_name(terminal: Terminal, name: str) -> None:
    """Change an option, which shows that the app goes on; the status line counts it."""
    terminal.press("1")
    terminal.wait_for(r"Why not\?")  # the keys of Configure: it has the focus
    terminal.press("/")
    terminal.wait_for(r"Find .* found")
    terminal.type("hostname")
    terminal.wait_for(r"Host name +hostname")
    terminal.press("Enter")
    terminal.wait_for("Esc cancels")
    terminal.press("C-u")
    terminal.wait_without(r"│ +box +│")
    terminal.type(name)
    terminal.wait_for(rf"│ +{name} +│")
    terminal.press("Enter")
    terminal.wait_for(rf"\({name}\) Host name")
    terminal.press("Escape")
    terminal.wait_for("box.thanos +1 unsaved")


def leave(terminal: Terminal) -> None:
    """Leave without saving."""
    terminal.press("q")
    terminal.wait_for("Discard them")
    terminal.press("d")
    assert terminal.status() == 0


def build(terminal: Terminal, *told: str) -> None:
    """Build, which fails and says all of this."""
    terminal.press("C-b")
    screen = terminal.wait_for(told[0], 180)
    for words in told[1:]:
        assert re.search(words, screen), screen


def files(directory: Path) -> list[str]:
    """What a build has left in the directory it was to write to."""
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("box-") or path.suffix == ".part")


class Tamperer(http.server.BaseHTTPRequestHandler):
    """A mirror that has been broken into."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"tampered\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(user: Road) -> Iterator[http.server.HTTPServer]:
    """A mirror that refuses every connection until it is activated; the user's profile names it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tamperer, bind_and_activate=False) as server:
        server.server_bind()
        address = f"http://127.0.0.1:{server.server_port}/debian"
        (user.home / "box.thanos").write_text(f"{PROFILE}  packages.mirrors: ['{address} bookworm main']\n")
        yield server


def test_a_mirror_that_cannot_be_reached_and_then_sends_something_else(
    user: Road, start: Start, mirror: http.server.HTTPServer, tmp_path: Path
) -> None:
    # apt tries again some times; here without a pause before each.
    (settings := tmp_path / "apt.conf").write_text('Acquire::Retries::Delay "false";\n')
    variables = {**user.variables, "APT_CONFIG": str(settings), "no_proxy": "*"}
    terminal = start(replace(user, cache=tmp_path / "empty", variables=variables))
    build(terminal, "cannot be reached", "--offline|network|mirror")
    set_host_name(terminal, "other")

    mirror.server_activate()
    threading.Thread(target=mirror.serve_forever, daemon=True).start()
    terminal.press("3")
    terminal.wait_for("r Retry")  # the keys of Build
    build(terminal, "(?i)sign", "✗")  # it can be tried as often as one likes
    assert files(user.home) == []
    leave(terminal)
    mirror.shutdown()


@pytest.mark.network
def test_a_package_that_was_tampered_with(user: Road, start: Start) -> None:
    user.run("--replay", "box.thanos")
    for path in user.home.glob("box-*"):
        path.unlink()
    lock = user.home / "box.thanos.lock"
    value = json.loads(lock.read_text())
    # To a build, a package that is not what the lock says and one that was changed on its way are the same.
    next(one for one in value["packages"] if one["name"] == "openssh-server")["sha256"] = "0" * 64
    lock.write_text(json.dumps(value))
    terminal = start(user)
    build(terminal, "something else than the signed index names: openssh-server", "nothing of it was used")
    set_host_name(terminal, "other")
    assert files(user.home) == []
    leave(terminal)


@pytest.mark.network
def test_a_disk_without_room(user: Road, start: Start, mount: Callable[[int], Path]) -> None:
    place = mount(20)
    (place / "box.thanos").write_text(PROFILE)
    terminal = start(replace(user, home=place, variables={**user.variables, "HOME": str(user.home)}))
    build(terminal, "free some space on that disk", "20 MiB|cannot write|MiB free")
    assert files(place) == []
    # There is room for a profile still.
    set_host_name(terminal, "other")
    terminal.press("s")
    terminal.wait_for("saved to box.thanos")
    assert "hostname: other" in (place / "box.thanos").read_text()
    terminal.press("q")
    assert terminal.status() == 0


def test_a_profile_that_cannot_be_written(user: Road, start: Start, read_only: Callable[[Path], None]) -> None:
    (place := user.home / "profiles").mkdir()
    (place / "box.thanos").write_text(PROFILE)
    read_only(place)
    elsewhere = {"HOME": str(user.home), "XDG_STATE_HOME": str(user.home / "state")}
    elsewhere["XDG_DATA_HOME"] = str(user.home / "data")
    terminal = start(replace(user, home=place, variables={**user.variables, **elsewhere}))
    set_host_name(terminal, "other")
    terminal.press("s")
    terminal.wait_for("cannot write")
    terminal.press("Enter")
    terminal.wait_without("cannot write")
    leave(terminal)


def test_a_state_directory_that_cannot_be_written(user: Road, start: Start, read_only: Callable[[Path], None]) -> None:
    (user.home / "state").mkdir()
    read_only(user.home / "state")
    terminal = start(user)
    set_host_name(terminal, "other")
    terminal.wait_for("unsaved changes would be lost in a crash")
    terminal.press("s")
    terminal.wait_for("saved to box.thanos")
    assert "hostname: other" in (user.home / "box.thanos").read_text()
    terminal.press("q")
    assert terminal.status() == 0


def test_a_profile_that_changes_on_disk(user: Road, start: Start) -> None:
    terminal = start(user)
    set_host_name(terminal, "mine")
    (user.home / "box.thanos").write_text(PROFILE.replace("hostname: box", "hostname: theirs"))
    screen = terminal.wait_for("was changed by somebody else")
    assert "theirs" in screen
    assert "mine" in screen
    terminal.press("k")
    terminal.wait_without("was changed")
    assert "hostname: theirs" in (user.home / "box.thanos").read_text()
    leave(terminal)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_what_was_unsaved_comes_back(user: Road, start: Start, number: signal.Signals) -> None:
    terminal = start(user)
    set_host_name(terminal, "other")
    if number == signal.SIGHUP:
        terminal.close()
    else:
        os.kill(terminal.pid, number)
    assert (user.home / "box.thanos").read_text() == PROFILE
    again = Terminal([THANOS, "box.thanos"], user.environment, user.home, 100, 30)
    with again:
        screen = again.wait_for("Restore unsaved changes to box.thanos")
        assert "hostname: box" in screen
        again.press("r")
        again.wait_for("box.thanos +1 unsaved")
        again.press("s")
        again.wait_for("saved to box.thanos")
        assert "hostname: other" in (user.home / "box.thanos").read_text()
        again.press("q")
        assert again.status() == 0


@pytest.fixture
def machine(user: Road) -> str:
    """The name of a machine that runs, does nothing, and has said a word on its serial port."""
    if programs.find("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    (user.home / "tiny-bios.img").write_bytes(boot_sector("deaf", "Welcome\r\n").ljust(1 << 20, b"\0"))
    user.run("run", "tiny-bios.img", "--detach", "--machine", "tiny", "--memory", "32", "--cpus", "1", "--accel", "tcg")
    return "tiny"


def test_a_machine_that_is_killed_while_its_console_is_open(user: Road, start: Start, machine: str) -> None:
    terminal = start(user)
    terminal.press("5")
    terminal.wait_for(machine)
    terminal.press("Enter")
    terminal.wait_for(f"waiting for {machine}")
    os.kill(int(str(user.machine(machine)["pid"])), signal.SIGKILL)
    terminal.wait_for("QEMU was killed by signal 9")
    terminal.press("C-]")
    terminal.press("4")
    terminal.wait_for(rf"{machine} +crashed")
    set_host_name(terminal, "other")
    leave(terminal)


def test_a_port_that_is_taken(user: Road, start: Start, machine: str) -> None:
    user.run("stop", machine, "--timeout", "0")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        terminal = start(user)
        terminal.press("4")
        terminal.wait_for(rf"{machine} +stopped")
        terminal.press("Enter")
        terminal.wait_for("SSH port")
        terminal.go_down_to("SSH port")
        terminal.type(port)
        terminal.wait_for(rf"SSH port +{port}")
        terminal.press("Enter")
        terminal.wait_for(f"{port}.* taken|taken.*{port}")
        terminal.press("Escape")
        terminal.wait_without("taken")
        assert user.machine(machine)["state"] == "stopped"  # it is not forgotten
        terminal.wait_for(rf"{machine} +stopped")
        set_host_name(terminal, "other")
        leave(terminal)
