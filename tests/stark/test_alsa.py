"""Sound of a machine with stark: what apps in containers play is heard outside."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import tones
from boxes import Box
from waiting import eventually

from thanos_tui import profile
from thanos_tui.options import preview

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

TONE = "localhost/thanos/tone:base"
SERVICE = "/etc/service/alsa"
# Has the sound set up anew by the files in a directory, or with "" by the machine's own.
DRESS = f"""
dress() {{
    sv -w 30 stop {SERVICE} >/dev/null
    [ ! -e /run/dressed ] || umount /etc/asound.conf /etc/stark/alsa
    rm -f /run/dressed
    if [ -n "$1" ]; then
        mount --bind "$1/asound.conf" /etc/asound.conf
        mount --bind "$1/alsa" /etc/stark/alsa
        touch /run/dressed
    fi
    sv start {SERVICE} >/dev/null
    n=0
    # When all is done, the script lets another take its place.
    until grep -q watch "/proc/$(cat {SERVICE}/supervise/pid)/cmdline" || [ $n = 240 ]; do
        n=$((n + 1))
        usleep 500000
    done
}}
"""


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
    for name in names:
        stark.user.run("app", "rm", "--force", "--machine", stark.name, name, check=False)


def listen(stark: Box, path: Path, seconds: float = 1.5) -> tones.Heard:
    stark.user.run("record", stark.name, "--seconds", str(seconds), "--output", path)
    return tones.read(path)


def strengths(heard: tones.Heard, *frequencies: int) -> list[float] | None:
    """How strong these tones are in a piece of a recording that is just them; None where there is no such piece.

    An emulated processor on a busy host plays with gaps.
    """
    for piece in heard.pieces(0.25):
        found = [piece.strength(frequency) for frequency in frequencies]
        others = [piece.strength(frequency * factor) for frequency in frequencies for factor in (0.5, 0.94, 1.06, 2)]
        if min(found) > 0.005 and max(others) < min(found) / 10:
            return found
    return None


def test_two_apps_at_once_are_heard(stark: Box, play: Callable[..., str], tmp_path: Path) -> None:
    play(440, 20)
    assert eventually(lambda: strengths(listen(stark, tmp_path / "one.wav"), 440))
    play(1000, 20, "--user", "1234:1234")
    first, second = eventually(lambda: strengths(listen(stark, tmp_path / "two.wav"), 440, 1000)) or [0, 0]
    assert 0.5 < first / second < 2


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


def files_of(options: Sequence[str]) -> Mapping[str, str]:
    """What the profile says of the sound, by the name of the file."""
    given = profile.override(profile.read("thanos: 1", "test"), ["stark=true", *options]).resolved
    paths = ("etc/asound.conf", "etc/stark/alsa")
    made = preview(given, Path(), "test").files
    return {item.path.rpartition("/")[2]: item.contents or "" for item in made if item.path in paths}


def bring(stark: Box, directory: Path, sets: Sequence[Sequence[str]]) -> None:
    """Put the files for several sets of options onto the machine: /run/sets/NUMBER."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, options in enumerate(sets):
            for name, text in files_of(options).items():
                member = tarfile.TarInfo(f"{number}/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
    (directory / "sets.tar").write_bytes(stream.getvalue())
    stark.user.run("cp", directory / "sets.tar", f"{stark.name}:/run/sets.tar")
    stark.inside("rm -rf /run/sets; mkdir /run/sets; tar x -f /run/sets.tar -C /run/sets; rm /run/sets.tar")
