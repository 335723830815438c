"""The sound of a machine with stark: heard from outside, and set up by other options than those it was built with."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import tones
from boxes import Box

from thanos_tui import profile
from thanos_tui.options import preview

SERVICE = "/etc/service/alsa"
# For scripts inside stark. dress DIRECTORY has the sound set up anew by the files there, dress "" by the machine's own.
DRESS = f"""
dress() {{
    sv -w 30 stop {SERVICE} >/dev/null
    # Cards in memory that were of use before.
    for module in snd-aloop snd-dummy; do modprobe -r $module 2>/dev/null; done
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
        usleep 250000
    done
}}
"""


def listen(box: Box, path: Path, seconds: float = 1.5) -> tones.Heard:
    box.user.run("record", box.name, "--seconds", str(seconds), "--output", path)
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


def files_of(options: Sequence[str]) -> Mapping[str, str]:
    """What the profile says of the sound, by the name of the file."""
    given = profile.override(profile.read("thanos: 1", "test"), ["stark=true", *options]).resolved
    paths = ("etc/asound.conf", "etc/stark/alsa")
    made = preview(given, Path(), "test").files
    return {item.path.rpartition("/")[2]: item.contents or "" for item in made if item.path in paths}


def bring(box: Box, directory: Path, sets: Sequence[Sequence[str]]) -> None:
    """Put the files for several sets of options onto the machine: /run/sets/NUMBER."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, options in enumerate(sets):
            for name, text in files_of(options).items():
                member = tarfile.TarInfo(f"{number}/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
    (directory / "sets.tar").write_bytes(stream.getvalue())
    box.user.run("cp", directory / "sets.tar", f"{box.name}:/run/sets.tar")
    box.inside("rm -rf /run/sets; mkdir /run/sets; tar x -f /run/sets.tar -C /run/sets; rm /run/sets.tar")
