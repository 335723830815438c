"""The screen of a machine with stark: what is drawn is seen, what is typed arrives, and nobody else gets in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boxes import Box
from PIL import Image
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

AS_CLIENT = "export DISPLAY=:0 XAUTHORITY=/run/stark/Xauthority; . /etc/stark/x11\n"
FURNISH = 'xsetroot -cursor_name left_ptr; xsetroot -solid "$X11_BACKGROUND"\n'


@pytest.fixture
def xev(stark: Box) -> Iterator[Callable[[], str]]:
    """What a client in the upper left 400 by 300 pixels of the screen is told."""
    stark.inside(f"{AS_CLIENT}xev -geometry 400x300+0+0 >/run/xev 2>&1 & echo $! >/run/xev.pid\n")
    yield lambda: stark.inside("cat /run/xev\n")
    stark.inside("kill $(cat /run/xev.pid); rm /run/xev /run/xev.pid\n")


def test_the_screen_has_the_size_that_the_profile_says(stark: Box, tmp_path: Path) -> None:
    with Image.open(stark.screenshot(tmp_path / "screen.png")) as picture:
        assert picture.size == (1024, 768)
    assert "current 1024 x 768" in stark.inside(f"{AS_CLIENT}xrandr\n")


def test_what_a_client_draws_is_seen_at_its_pixels(stark: Box, tmp_path: Path) -> None:
    """xsetroot's grid: every 16th column and every 8th row, from the upper left corner."""
    stark.put_arrow_away()
    stark.inside(f"{AS_CLIENT}xsetroot -mod 16 8 -fg '#ff0000' -bg '#0040ff'\n")

    def seen() -> bool:
        with Image.open(stark.screenshot(tmp_path / "screen.png")) as picture:
            rgb = picture.convert("RGB")
            return all(
                rgb.getpixel((x, y)) == ((255, 0, 0) if x % 16 == 0 or y % 8 == 0 else (0, 64, 255))
                for x in range(200)
                for y in range(100)
            )

    try:
        eventually(seen)
    finally:
        stark.inside(f"{AS_CLIENT}{FURNISH}")


def test_keys_and_the_pointer_arrive_in_a_client(stark: Box, xev: Callable[[], str]) -> None:
    eventually(lambda: "MapNotify" in xev())
    stark.user.run("click", "--machine", stark.name, "256", "25%")
    stark.user.run("type", "--machine", stark.name, "aZ", "--key", "ret")
    eventually(lambda: "Return" in xev())
    said = xev()
    place = re.search(r"^ButtonPress event.*?root:\((\d+),(\d+)\).*?button 1", said, re.MULTILINE | re.DOTALL)
    assert place
    assert max(abs(int(place[1]) - 256), abs(int(place[2]) - 192)) <= 1
    pressed = re.findall(r"^KeyPress event.*?keysym \w+, (\w+)\)", said, re.MULTILINE | re.DOTALL)
    assert pressed == ["a", "Shift_L", "Z", "Return"]


def test_only_who_has_the_cookie_gets_in(stark: Box) -> None:
    said = stark.inside(
        """
        export DISPLAY=:0 XAUTHORITY=/run/stark/Xauthority
        xset q >/dev/null 2>&1 && echo with: yes
        ls -ln "$XAUTHORITY" | awk '{ print "mode:", $1, $3, $4 }'
        head -c 28 "$XAUTHORITY" >/run/wrong; head -c 16 /dev/zero >>/run/wrong
        XAUTHORITY=/run/wrong xset q 2>&1 | sed 's/^/wrong: /'
        XAUTHORITY=/dev/null xset q 2>&1 | sed 's/^/without: /'
        rm /run/wrong
        """
    )
    assert "with: yes" in said
    assert "mode: -rw-r----- 0 1000" in said
    assert re.search("wrong: .*(Invalid MIT-MAGIC-COOKIE-1 key|unable to open display)", said)
    assert re.search("without: .*(Authorization required|unable to open display)", said)
    assert not re.search("(wrong|without): Keyboard Control", said)


def test_nothing_listens_on_the_network(stark: Box) -> None:
    assert not re.findall(r":(6000|5900)\b.*LISTEN", stark.inside("netstat -ltn\n"))


@pytest.mark.long
def test_a_killed_server_comes_back_with_another_cookie(stark: Box) -> None:
    """It leaves a lock and a socket behind; the file of the cookie stays the same one for those who have it mounted."""
    facts = "ls -i /run/stark/Xauthority; md5sum </run/stark/Xauthority; cat /etc/service/xorg/supervise/pid\n"
    before = stark.inside(facts).split()
    stark.inside("sv kill /etc/service/xorg\n")

    def is_back() -> bool:
        return stark.inside(facts).split()[-1] != before[-1] and "Keyboard" in stark.inside(f"{AS_CLIENT}xset q 2>&1\n")

    eventually(is_back)
    after = stark.inside(facts).split()
    assert after[0] == before[0]
    assert after[2] != before[2]
    # What a client has to do after every start is done again.
    eventually(lambda: "Xft.dpi" in stark.inside(f"{AS_CLIENT}xprop -root RESOURCE_MANAGER\n"))
