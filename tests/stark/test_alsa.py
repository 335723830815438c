"""Sound of a machine with stark: what apps in containers play is heard outside, and what goes wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boxes import Box
from sounds import DRESS, bring, listen, strengths
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

TONE = "localhost/thanos/tone:base"


@pytest.fixture
def play(stark: Box) -> Iterator[Callable[..., str]]:
    """Plays a tone (Hz, percent) as an app, in a container of its own, until the end of the test; returns its name."""
    names: list[str] = []

    def begin(frequency: int, percent: int, *words: str) -> str:
        names.append(f"tone-{frequency}")
        stark.user.run(
            *("app", "run", "--detach", "--machine", stark.name, "--no-x11", "--name", names[-1], *words),
            *(TONE, str(frequency), "900", str(percent)),
        )
        return names[-1]

    yield begin
    if names:
        stark.user.run("app", "rm", "--force", "--machine", stark.name, *names, check=False)


def test_two_apps_at_once_are_heard(stark: Box, play: Callable[..., str], tmp_path: Path) -> None:
    play(440, 20)
    assert eventually(lambda: strengths(listen(stark, tmp_path / "one.wav"), 440))
    play(1000, 20, "--user", "1234:1234")
    first, second = eventually(lambda: strengths(listen(stark, tmp_path / "two.wav"), 440, 1000)) or [0, 0]
    assert 0.5 < first / second < 2


@pytest.mark.long
def test_the_volume_is_heard(stark: Box, play: Callable[..., str], tmp_path: Path) -> None:
    play(440, 50)
    bring(stark, tmp_path, [["alsa.volume=100"], ["alsa.volume=30"], ["alsa.unmute=false"]])

    def loudness(number: int) -> float:
        stark.inside(f"{DRESS} dress /run/sets/{number}")
        return max(eventually(lambda: strengths(listen(stark, tmp_path / "tone.wav"), 440)) or [0])

    try:
        # The card of QEMU takes decibels for shares: it gets less quiet than a real one.
        assert loudness(0) > 1.3 * loudness(1)
        stark.inside(f"{DRESS} dress /run/sets/2")
        assert listen(stark, tmp_path / "mute.wav").peak == 0
    finally:
        stark.inside(f"{DRESS} dress ''; rm -rf /run/sets")


@pytest.mark.long
def test_who_is_not_of_the_group_gets_no_sound(stark: Box, play: Callable[..., str]) -> None:
    play(440, 1)  # brings the image
    wired = "--ipc host --device /dev/snd --volume /etc/asound.conf:/etc/asound.conf:ro"
    said = stark.inside(f"docker run --rm --user 1234 {wired} --entrypoint aplay {TONE} /dev/null 2>&1; echo $?")
    assert "Cannot get card index for thanos" in said
    assert said.splitlines()[-1] == "1"


def state(stark: Box) -> dict[str, str]:
    """What `stark status` says of the sound."""
    (mine,) = [each for each in json.loads(stark.inside("stark status --json")) if each["name"] == "alsa"]
    return {key: mine[key] for key in ("state", "note")}


@pytest.mark.long
def test_a_card_that_goes_is_done_without_and_taken_again(stark: Box) -> None:
    place = stark.inside("readlink -f /sys/class/sound/card0/device").strip()
    driver = stark.inside(f"readlink -f {place}/driver").strip()
    address = place.rpartition("/")[2]
    note = "no sound card, so nobody hears what apps play; there are: none"
    stark.inside(f"echo {address} >{driver}/unbind")
    try:
        eventually(lambda: state(stark) == {"state": "ready", "note": note}, tell=lambda: state(stark), pause=1)
        assert note in stark.sh("cat /var/log/stark.log")
        stark.inside("aplay -q -t raw -f cd -s 4410 /dev/zero")
    finally:
        stark.inside(f"echo {address} >{driver}/bind")
    eventually(lambda: state(stark) == {"state": "ready", "note": ""}, tell=lambda: state(stark), pause=1)
    assert "ICH" in stark.inside("grep '\\[thanos ' /proc/asound/cards")
    # It has another number now; others expect the first one.
    stark.inside(
        f"""
        sv -w 30 stop /etc/service/alsa
        echo {address} >{driver}/unbind
        while grep -q ^snd_aloop /proc/modules; do modprobe -r snd-aloop || usleep 100000; done
        echo {address} >{driver}/bind
        sv start /etc/service/alsa
        """
    )
    eventually(lambda: state(stark) == {"state": "ready", "note": ""}, tell=lambda: state(stark), pause=1)
    assert stark.inside("cat /sys/class/sound/card0/id").strip() == "thanos"
