"""Two screens, with what the usual image does not have: a window manager, OpenGL, and a VNC server with a password."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from boxes import Box, booted
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from PIL import Image
from waiting import eventually

from thanos_tui import tarball
from thanos_tui.events import Reporter
from thanos_tui.files import cache_dir, cache_in_use
from thanos_tui.images.layers import flatten, select
from thanos_tui.images.provide import provide
from thanos_tui.images.store import Store
from thanos_tui.vm import input as keys_and_pointer
from thanos_tui.vm import registry
from thanos_tui.vm.qemu import DISPLAY
from thanos_tui.vm.qmp import monitor

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long, pytest.mark.timeout(1500)]

WORD = "geheim12"
OPTIONS = """\
  alsa: false
  x11.resolution: 800x600
  x11.outputs: 2
  x11.layout: below
  x11.gl: software
  x11.window-manager: blackbox
  x11.background: '#204060'
  x11.keyboard.layout: de
  x11.tcp: true
  x11.vnc: true
  x11.vnc.port: 5907
  x11.vnc.remote: true
  x11.vnc.address: 10.0.2.15
  x11.vnc.password: ./word
"""
AS_CLIENT = "export DISPLAY=:0 XAUTHORITY=/run/stark/Xauthority\n"


@pytest.fixture(scope="module")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Box]:
    home = tmp_path_factory.mktemp("user")
    (home / "word").write_text(WORD)
    with booted(home, "screens", OPTIONS, "--publish", f"{port}:5907") as box:
        yield box


@pytest.fixture
def window(box: Box) -> Iterator[None]:
    """A white window across the border between the screens: 30 pixels of it above, 70 below."""
    box.inside(
        f"""{AS_CLIENT}
        sv -w 30 stop /etc/service/wm # it would put a frame around it
        xev -bw 0 -geometry 100x100+50+570 >/run/xev &
        echo $! >/run/xev.pid
        """
    )
    yield
    box.inside("kill $(cat /run/xev.pid); rm /run/xev /run/xev.pid; sv start /etc/service/wm\n")


@pytest.fixture
def machine(box: Box, monkeypatch: pytest.MonkeyPatch) -> registry.Machine:
    monkeypatch.setenv("XDG_STATE_HOME", box.user.environment["XDG_STATE_HOME"])
    return registry.find(box.name)


def test_each_screen_shows_its_part(machine: registry.Machine, window: None, tmp_path: Path) -> None:
    def colours(head: int) -> list[tuple[int, ...]]:
        """Along a line through the window, left of the other one that xev has in it, from the top down."""
        path = tmp_path / f"{head}.ppm"
        with monitor(machine.directory) as qmp:
            qmp.execute("screendump", {"filename": str(path), "device": DISPLAY, "head": head}, timeout=30)
        with Image.open(path) as picture:
            assert picture.size == (800, 600)
            return [picture.getpixel((54, y)) for y in range(600)]  # type: ignore[misc]

    white, blue = (255, 255, 255), (0x20, 0x40, 0x60)
    eventually(lambda: colours(0) == [blue] * 570 + [white] * 30, tell=lambda: colours(0))
    eventually(lambda: colours(1) == [white] * 70 + [blue] * 530, tell=lambda: colours(1))


def test_keys_type_what_the_layout_says(box: Box, machine: registry.Machine, window: None) -> None:
    """The key to the right of P, and Z and Y in each other's places."""
    eventually(lambda: "MapNotify" in box.inside("cat /run/xev\n"), pause=1)
    keys_and_pointer.move(machine, keys_and_pointer.Point(54 / 799, 600 / 1199))
    keys_and_pointer.press(machine, [("bracket_left",), ("y",), ("ret",)])
    said = eventually(lambda: told if "Return" in (told := box.inside("cat /run/xev\n")) else "", pause=1)
    assert re.findall(r"^KeyPress event.*?keysym \w+, (\w+)\)", said, re.MULTILINE | re.DOTALL) == [
        "udiaeresis",
        "z",
        "Return",
    ]


def test_opengl_is_there(box: Box) -> None:
    assert "Initialized DRISWRAST GL provider" in box.inside("cat /var/log/stark/xorg/current\n")


MANAGED = rf"""{AS_CLIENT}
stark wait wm
xev -name managed -geometry 300x200 >/run/xev 2>&1 &
until xprop -name managed _NET_FRAME_EXTENTS WM_STATE 2>/dev/null | grep 'window state'; do usleep 200000; done
sleep 1
kill $!
sed -n 's/.* window 0x.*\(width .*, height [0-9]*\),.*/\1/p' /run/xev | tail -n 1 # of its ConfigureNotify
rm /run/xev
"""


def test_blackbox_manages(box: Box) -> None:
    said = box.inside(MANAGED)
    assert "window state: Normal" in said
    assert "width 300, height 200" in said


def test_matchbox_manages(box: Box, tmp_path: Path) -> None:
    """In the place of blackbox, with the files that an image has with it and not without."""
    names = [f"localhost/thanos/stark:{tag}" for tag in ("matchbox", "base")]
    store = Store(cache_dir() / "store")
    with cache_in_use():
        made = provide(names, "amd64", store, None, Reporter()).images
        with_it, without = ({member.name for member in flatten(store, made[name])} for name in names)
        (tmp_path / "more.tar").write_bytes(b"".join(tarball.chunks(select(store, made[names[0]], with_it - without))))
    box.user.run("cp", tmp_path / "more.tar", f"{box.name}:/run/more.tar")
    said = box.inside(
        f"""
        tar x -f /run/more.tar -C /
        sv -w 30 stop /etc/service/wm >/dev/null
        cp -r /etc/stark /run/settings
        sed -i s/blackbox/matchbox/ /run/settings/x11
        mount --bind /run/settings /etc/stark
        sv start /etc/service/wm >/dev/null
        {MANAGED}
        tr '\\0' ' ' </proc/$(cat /etc/service/wm/supervise/pid)/cmdline
        sv -w 30 stop /etc/service/wm >/dev/null
        umount /etc/stark
        rm -r /run/more.tar /run/settings
        sv start /etc/service/wm >/dev/null
        """
    )
    assert "matchbox-window-manager" in said
    assert "window state: Normal" in said
    assert "width 800, height 1200" in said  # every window fills the screen


def greeted(port: int, password: str) -> tuple[int, bytes]:
    """How a VNC server takes a password (RFC 6143, section 7.1: 0 for well), and what it then says of its screen."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as server, server.makefile("rwb") as stream:

        def send(data: bytes) -> None:
            stream.write(data)
            stream.flush()

        assert stream.read(12).startswith(b"RFB 003.")
        send(b"RFB 003.008\n")
        assert stream.read(stream.read(1)[0]) == b"\x02"  # passwords, and nothing else
        send(b"\x02")
        # The key's bits are read the wrong way round, which is how everybody does it.
        key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode().ljust(8, b"\0"))
        cipher = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()  # noqa: S305  # RFC 6143 wants it
        send(cipher.update(stream.read(16)))
        result = int.from_bytes(stream.read(4), "big")
        if result:
            return result, b""
        send(b"\x01")  # others may look on
        return result, stream.read(4)


def test_vnc_shows_the_screen_to_who_knows_the_password(box: Box, port: int) -> None:
    result, size = greeted(port, WORD)
    assert (result, size) == (0, bytes((800 >> 8, 800 & 255, 1200 >> 8, 1200 & 255)))
    assert greeted(port, "wrong")[0] != 0


@pytest.mark.parametrize(
    ("address", "listens"),
    [("", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1")],  # noqa: S104
)
def test_vnc_listens_where_it_is_told_to(address: str, listens: str, box: Box) -> None:
    """Empty is what the options make where others in the network are not let in; there is no password then."""
    said = box.inside(
        f"""
        sv -w 30 stop /etc/service/vnc >/dev/null
        cp -r /etc/stark /run/settings
        sed -i "s/^X11_VNC_ADDRESS=.*/X11_VNC_ADDRESS='{address}'/" /run/settings/x11
        [ '{address}' ] || rm /run/settings/vnc-password
        mount --bind /run/settings /etc/stark
        sv start /etc/service/vnc >/dev/null
        stark wait vnc
        netstat -ltn | grep 5907
        sv -w 30 stop /etc/service/vnc >/dev/null
        umount /etc/stark
        rm -r /run/settings
        sv start /etc/service/vnc >/dev/null
        """
    )
    assert [line.split()[3] for line in said.splitlines()] == [f"{listens}:5907"]


def test_over_tcp_too_the_cookie_is_needed(box: Box) -> None:
    said = box.inside(
        """
        export DISPLAY=127.0.0.1:0
        XAUTHORITY=/run/stark/Xauthority xset q | sed 's/^/with: /'
        XAUTHORITY=/dev/null xset q 2>&1 | sed 's/^/without: /'
        """
    )
    assert "with: Keyboard Control" in said
    assert "without: " in said
    assert "without: Keyboard Control" not in said
