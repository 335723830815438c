"""The whole app in a real terminal, as a person uses it: configure, compare, build, boot, log in, stop, leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from road import THANOS, Road
from terminals import Terminal

from thanos_tui.files import cache_dir

CACHE = cache_dir().parent  # the tests' user's, before a test has a home of its own
pytestmark = [pytest.mark.boot, pytest.mark.network]

PROFILE = """\
thanos: 1
options:
  hostname: box
  output.formats: [kernel+initrd]
  sshd.generate-key: true
"""


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Road]:
    """Somebody with an empty home directory, and the packages and images that the tests' user has."""
    (tmp_path / "new").mkdir()
    road = Road(tmp_path / "new", CACHE, {"XDG_CONFIG_HOME": str(tmp_path / "new" / "config")})
    yield road
    road.run("stop", "--all", "--timeout", "0", check=False)


def test_from_the_menu_to_a_shell_in_the_machine(user: Road) -> None:
    profile = user.home / "box.thanos"
    profile.write_text(PROFILE)
    with Terminal([THANOS, profile.name], user.environment, user.home, 100, 30) as terminal:
        # Configure: what is switched off is marked, and the status line counts it.
        terminal.wait_for(r"Services +--->")
        terminal.press("/")
        terminal.wait_for(r"Find .* found")
        terminal.type("rngd")
        terminal.wait_for(r"\[\*\] .* rngd")
        terminal.press("Enter")
        terminal.wait_for(r"\[ \] .* rngd")
        terminal.press("Escape")
        terminal.wait_for("box.thanos +1 unsaved")

        # YAML: the diff has the component that is gone.
        terminal.press("2")
        terminal.wait_for("localhost/thanos/init:base")
        terminal.press("d")
        terminal.wait_for(r"- +- name: rngd\n.*- +image: localhost/thanos/rngd:base")

        # Build: the files with their sizes, and where the bytes went.
        terminal.press("C-b")
        screen = terminal.wait_for("Built box", 900)
        assert "box-kernel" in screen
        assert "containerd" in screen
        assert (user.home / "box-kernel").is_file()
        terminal.press("m")

        # Machine: it runs, and the console waits until it answers.
        terminal.wait_for(r"box +running")
        terminal.press("t")
        terminal.wait_for("root@box:~#", 480)
        terminal.type("uname -a\n")
        terminal.wait_for("Linux box .* GNU/Linux")

        # Back: the machine is stopped by its power button, and the app left without saving.
        terminal.press("C-]")
        terminal.press("4")
        terminal.wait_for(r"box +running")
        terminal.press("x")
        terminal.wait_for(r"box +stopped")
        terminal.press("q")
        terminal.wait_for("unsaved|save")
        terminal.press("d")
        assert terminal.status() == 0
    assert profile.read_text() == PROFILE
