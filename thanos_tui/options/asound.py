"""The configuration of the sound library (asound.conf), from the options of the sound.

It is one file for every container, whatever distribution that is of, so it is complete by itself: it needs nothing of
the alsa.conf that comes with the library. Which card is used may be known only when the machine starts; so stark gives
that card the name `thanos` (stark/sv/alsa), and the file can stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CARD = "thanos"
LOOPBACK = "loopback"
AUDIO = 29  # the group of those who may play: by number, as not every image has its name

Block = Mapping[str, Any]
"""A compound of the sound library's language: numbers, texts and further compounds, by name."""


@dataclass(frozen=True)
class Sound:
    """What the options say of the sound; the defaults are for options that are not available.

    card: `loopback` where a card in memory is the main one; every other value is for stark alone. device: of the card.
    default: what apps use unless told otherwise: `card`, `loopback`, `silence`. mixing: whether several apps may play,
    and record, at once. capture: whether apps may record. loopback: whether there is a loopback card beside the main
    one. rate: Hz. period: frames; periods: how many the buffer holds. ipc_key: each mixer's has one more digit.
    """

    card: str
    default: str
    mixing: bool
    capture: bool
    loopback: bool
    rate: int
    format: str
    channels: int
    device: int = 0
    period: int = 1024
    periods: int = 4
    ipc_key: int = 0
    ipc_permissions: str = "0660"


def configuration(given: Mapping[str, Any]) -> str:
    """asound.conf for the fields of a Sound."""
    lines = ["# How apps play and record, the same in every container. Made from the options alsa.* of the profile."]
    for kind, name, block in _definitions(Sound(**given)):
        # The exclamation mark: in place of what an image may have by that name, not merged with it.
        lines += ["", *_lines(f"{kind}.!{name}", block, "")]
    return "\n".join(lines) + "\n"


def _definitions(sound: Sound) -> Iterator[tuple[str, str, Block]]:
    yield "ctl", "default", {"type": "hw", "card": CARD}
    yield "pcm", "default", _default(sound)
    # softvol is for cards without such a control; where the card has it, softvol steps aside.
    volume = {"name": "Master Playback Volume", "card": CARD}
    play = _end(sound, "dmix", 1, CARD, sound.device, {"type": "softvol", "control": volume})
    both: dict[str, Any] = {"type": "asym", "playback.pcm": play}
    if sound.capture:
        both["capture.pcm"] = _end(sound, "dsnoop", 3, CARD, sound.device)
    yield "pcm", CARD, {**both, **_shown("The sound card")}
    if sound.loopback:
        into = _end(sound, "dmix", 5, LOOPBACK, 0)
        yield "pcm", LOOPBACK, {**into, **_shown("What is played here is heard in monitor")}
    if sound.loopback or sound.card == "loopback":
        # What is played to a loopback's first device is recorded from its second.
        out_of = _end(sound, "dsnoop", 7, LOOPBACK if sound.loopback else CARD, 1)
        yield "pcm", "monitor", {**out_of, **_shown("What is played to the loopback")}


def _default(sound: Sound) -> Block:
    match sound.default:
        case "loopback":
            block: Block = {"type": "asym", "playback.pcm": LOOPBACK, "capture.pcm": "monitor"}
        case "silence":
            block = {"type": "null"}
        case _:
            block = {"type": "plug", "slave.pcm": CARD}
    return {**block, **_shown("What apps use unless told otherwise")}


def _end(sound: Sound, mixer: str, digit: int, card: str, device: int, volume: Block | None = None) -> Block:
    """A card's device, for any rate, format and number of channels; behind a mixer if several apps are to share it.

    digit: an odd one, of the mixer's key; dmix takes the next number as well, for its sum of the samples. volume: what
    lies before the mixer.
    """
    # The stream is named: of a card with several the kernel would not let a mixer's second app share one, and the ends
    # of a loopback belong together by it.
    end: Block = {"type": "hw", "card": card, "device": device, "subdevice": 0}
    # Few cards record as many channels as they play, but both ends of a loopback have to be alike.
    loops = card == LOOPBACK or sound.card == "loopback"
    samples = {
        "format": sound.format,
        "rate": sound.rate,
        "channels": 2 if mixer == "dsnoop" and not loops else sound.channels,
    }
    if sound.mixing:
        end = {
            "type": mixer,
            "ipc_key": f"{sound.ipc_key}{digit}",
            "ipc_perm": sound.ipc_permissions,
            "ipc_gid": AUDIO,
            "slave": {"pcm": end, **samples, "period_size": sound.period, "periods": sound.periods},
        }
        samples = {}
    if volume:
        end = {**volume, "slave.pcm": end}
    # Without a mixer plug says what the card gets: where hw says it, the library wants longer buffers than a card has.
    return {"type": "plug", "slave.pcm": end, **{f"slave.{name}": value for name, value in samples.items()}}


def _shown(description: str) -> Block:
    """Lists it in what `aplay -L` says."""
    return {"hint": {"show": "on", "description": description}}


def _lines(name: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{indent}{name} {{"
        for inner, part in value.items():
            yield from _lines(inner, part, f"{indent}    ")
        yield f"{indent}}}"
    else:
        text = f'"{value}"' if " " in str(value) else str(value)
        yield f"{indent}{name} {text}"
