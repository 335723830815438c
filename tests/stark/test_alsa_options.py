"""Every option of the sound, accepted by the real programs: as stark sets the sound up and apps use it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from boxes import Box, unmet
from sounds import DRESS, bring

from thanos_tui.options import load

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]


@dataclass(frozen=True)
class Case:
    """Options, and what the guest then says: regular expressions, one that begins with ``!`` for what it must not."""

    options: Sequence[str]
    expected: Sequence[str]


PLAYED = ["ready: 0", "played: 0"]
SHARED = [*PLAYED, "second: 0", "!ALSA lib"]
RECORDED = ["recorded: 0"]
ICH = r"thanos +\]: ICH"


def shared(key: int, permissions: int) -> str:
    """A mixer's memory: alsa-lib adds 4096 to its key for each number of the card, which may have come anew."""
    return f"shared: ({'|'.join(str(key + 4096 * card) for card in range(4))}) {permissions} 29$"


CASES: Mapping[str, Case] = {
    "usual": Case(
        [],
        [
            *(*SHARED, *RECORDED, ICH, "!note: ", "listed: default thanos $"),
            "pcm0p format: S16_LE$",
            "pcm0p rate: 48000 ",
            "pcm0p channels: 2$",
            "pcm0p period_size: 2048$",
            "pcm0p buffer_size: 8192$",
            "pcm0c rate: 48000 ",
            shared(290001, 660),
            shared(290005, 660),
            r"Master,0 .*Playback .*\[-7\.50dB\] \[on\]",
            r"PCM,0 .*Playback .*\[0\.00dB\] \[on\]",
            r"Capture,0 .*Capture \d+ \[7\d%\] .*\[on\]",
            "nodes: crw-rw---- 29 .*pcmC[0-9]D0p",
            "!nodes: (?!crw-rw---- 29 )",
        ],
    ),
    "other numbers": Case(
        [
            *("alsa.rate=44100", "alsa.period=1024", "alsa.periods=8", "alsa.ipc-key=77", "alsa.ipc-permissions=0666"),
            *("alsa.capture=false", "alsa.volume=0"),
        ],
        [
            *(*SHARED, "!recorded: 0", "pcm0p rate: 44100 ", "pcm0p period_size: 1024$", "pcm0p buffer_size: 8192$"),
            *(shared(771, 666), "!shared: 29", r"Master,0 .*Playback 0 \[0%\]"),
        ],
    ),
    "one user": Case(
        ["alsa.ipc-permissions=0600", "alsa.unmute=false"],
        [*SHARED, *RECORDED, shared(290001, 600), r"Master,0 .*\[off\]"],
    ),
    "one app": Case(
        ["alsa.mixing=false"],
        [*PLAYED, *RECORDED, "pcm0p rate: 48000 ", "!shared: ", "second: 1 .*resource busy", "meanwhile: 0"],
    ),
    "by name": Case(["alsa.card=name", "alsa.card-name=82801aa"], [*SHARED, ICH, "!note: "]),
    "by number": Case(["alsa.card=index", "alsa.card-index=0"], [*SHARED, ICH, "!note: "]),
    "no such name": Case(
        ["alsa.card=name", "alsa.card-name=Gramophone"],
        [
            *(*SHARED, r"thanos +\]: Loopback"),
            r"note: no sound card is called Gramophone \(alsa.card-name\), so nobody hears .* there are: 0: ICH",
        ],
    ),
    "no such number": Case(
        ["alsa.card=index", "alsa.card-index=9", "alsa.loopback=true"],
        [*SHARED, r"thanos +\]: Loopback", r"loopback +\]: Loopback", "note: no sound card has the number 9 "],
    ),
    "no such device": Case(
        ["alsa.card-device=7"], ["ready: 0", r"note: no sound card with device 7 \(alsa.card-device\)", "!played: 0"]
    ),
    "silence": Case(["alsa.default=silence"], ["ready: 0", "played: 0", "recorded: 0", ICH, "!pcm0p rate"]),
    "dummy": Case(
        ["alsa.card=dummy", "alsa.rate=22050", "alsa.period=256", "alsa.periods=16"],
        [
            *(*SHARED, *RECORDED, r"thanos +\]: Dummy", "pcm0p rate: 22050 ", "pcm0p period_size: 256$"),
            *("pcm0p buffer_size: 4096$", "Master,0 .*Playback"),
        ],
    ),
    "loopback": Case(
        ["alsa.card=loopback", "alsa.rate=96000", "alsa.format=S32_LE", "alsa.channels=6", "alsa.volume=50"],
        [
            *(*SHARED, r"thanos +\]: Loopback", "listed: default thanos $", "pcm0p format: S32_LE$"),
            *("pcm0p rate: 96000 ", "pcm0p channels: 6$", r"Master,0 .*Playback \d+ \[\d+%\]", "heard in monitor$"),
        ],
    ),
    "loopback of three bytes": Case(
        ["alsa.card=loopback", "alsa.format=S24_3LE", "alsa.unmute=false"],
        [*SHARED, "pcm0p format: S24_3LE$", r"Master,0 .*Playback 0 \[0%\]"],
    ),
    "loopback beside the card": Case(
        ["alsa.loopback=true", "alsa.default=loopback"],
        [
            *(*SHARED, ICH, r"loopback +\]: Loopback", "listed: default thanos $"),
            *(
                "loopback/pcm0p rate: 48000 ",
                "!thanos/pcm0p rate",
                shared(290005, 660),
                "heard in monitor$",
            ),
        ],
    ),
}

# What the programs say, and the kernel of them. Every line begins with what it is about.
FACTS = r"""
rate='-t raw -f S16_LE -r 44100 -c 1'
# moves DIRECTION PROCESS: waits until a card plays (p) or records (c) for this process, or the process has ended
moves() {
    n=0
    until grep -qs RUNNING /proc/asound/card*/pcm*$1/sub*/status || ! kill -0 $2 2>/dev/null || [ $n = 100 ]; do
        n=$((n + 1))
        usleep 100000
    done
}
(cd /etc/service/alsa && ./check >/dev/null; echo "ready: $?")
sed 's/^/note: /' /etc/service/alsa/note 2>/dev/null
cat /proc/asound/cards
echo "listed: $(aplay -L | grep -xE 'default|thanos|loopback|monitor' | tr '\n' ' ')"
aplay -q $rate -s 4410 /dev/zero; echo "played: $?"
arecord -q $rate -s 4410 /dev/null 2>/dev/null; echo "recorded: $?"
aplay -q $rate -d 60 /dev/zero & player=$!
moves p $player
arecord -q $rate -d 60 /dev/null 2>/dev/null & recorder=$!
moves c $recorder
for each in thanos loopback; do
    grep -s : /proc/asound/$each/pcm*/sub*/hw_params | sed 's|/proc/asound/||; s|/sub./hw_params:| |'
done
awk 'NR > 1 && $1 != 0 { print "shared: " $1, $3, $9 }' /proc/sysvipc/shm
said=$(aplay -q -D thanos $rate -s 441 /dev/zero 2>&1); echo "second: $? $said"
(cd /etc/service/alsa && ./check >/dev/null; echo "meanwhile: $?")
if grep -q monitor /etc/asound.conf; then
    yes 2>/dev/null | head -c 4000000 | aplay -q -t raw -f S16_LE -r 48000 -c 2 & loud=$!
    n=0
    until arecord -q -D monitor -t raw -f S16_LE -r 48000 -c 2 -s 4800 | tr -d '\0' | grep -q . || [ $n = 20 ]; do
        n=$((n + 1))
    done
    [ $n = 20 ] || echo 'heard in monitor'
    kill $loud 2>/dev/null
fi
kill $player $recorder 2>/dev/null
wait
amixer -c thanos scontents | awk -F "'" '/^Simple/ { name = $2 $3 } /%/ { print name $0 }'
ls -ln /dev/snd | awk '/^c/ { print "nodes: " $1, $4, $NF }'
"""


def test_every_option_is_accepted(stark: Box, tmp_path: Path) -> None:
    bring(stark, tmp_path, [case.options for case in CASES.values()])
    script = DRESS + "exec 2>&1\n"
    for number in range(len(CASES)):
        script += f"dress /run/sets/{number}\necho '=== {number}'\n{FACTS}\n"
    said = stark.inside(f"{script}\ndress ''\nrm -rf /run/sets\n")
    parts = re.split(r"^=== \d+\n", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(CASES)
    assert not unmet({name: case.expected for name, case in CASES.items()}, parts)


def test_the_cases_name_every_option() -> None:
    """The others are tried on machines with other cards, and with none."""
    named = {option.partition("=")[0] for case in CASES.values() for option in case.options}
    assert {name for name in load().options if re.match(r"alsa\b", name)} - named == {"alsa", "alsa.device"}
