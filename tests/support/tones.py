"""Tones in recordings: how strong a frequency is in them."""

from __future__ import annotations

import math
import sys
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Heard:
    """A recording with two channels; samples from -1.0 to 1.0."""

    rate: int
    left: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.left) / self.rate

    @property
    def peak(self) -> float:
        """How far the loudest sample is from silence."""
        return max(map(abs, self.left + self.right))

    def last(self, seconds: float) -> Heard:
        """The end of it."""
        count = round(seconds * self.rate)
        return Heard(self.rate, self.left[-count:], self.right[-count:])

    def pieces(self, seconds: float) -> Iterator[Heard]:
        """It in pieces of this length."""
        count = round(seconds * self.rate)
        for start in range(0, len(self.left) - count + 1, count):
            yield Heard(self.rate, self.left[start : start + count], self.right[start : start + count])

    def strength(self, frequency: float) -> float:
        """The amplitude of a sine in the left channel."""
        return amplitude(self.left, self.rate, frequency)


def read(path: Path) -> Heard:
    """A WAV file with two channels of 16 bits."""
    with wave.open(str(path)) as stream:
        assert (stream.getnchannels(), stream.getsampwidth()) == (2, 2)
        samples = array("h", stream.readframes(stream.getnframes()))
        assert len(samples) == 2 * stream.getnframes()  # its head says how long it is
        if sys.byteorder == "big":
            samples.byteswap()
        left, right = (tuple(sample / 32768 for sample in samples[channel::2]) for channel in (0, 1))
        return Heard(stream.getframerate(), left, right)


def amplitude(samples: tuple[float, ...], rate: int, frequency: float) -> float:
    """The amplitude of one frequency in these samples, by Goertzel's algorithm; 1.0 is as loud as numbers go."""
    step = 2 * math.cos(2 * math.pi * frequency / rate)
    one = two = 0.0
    for sample in samples:
        one, two = sample + step * one - two, one
    return 2 * math.sqrt(max(0.0, one * one + two * two - step * one * two)) / len(samples)
