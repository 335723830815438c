"""How loud a machine is, as a line of text. Pure: from levels to text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thanos_tui.tui.look import Look

if TYPE_CHECKING:
    from thanos_tui.vm.sound import Level

FLOOR = -60.0  # dB below full scale: what is quieter counts as silence
_FALL = 1.5  # dB by which a held peak falls with each look
_LOUD, _FULL = -12.0, -3.0  # dB from which on it is loud, and nearly as loud as it can be
_NAMES = ("L", "R")
_WIDEST = 50  # cells of a bar at most

Piece = tuple[str, str]
"""A text, and the name of its style: ``quiet``, ``loud``, ``full``, ``rest`` or none."""


def decibels(value: float) -> float:
    """How far a value from 0 to 1 is below full scale, at least FLOOR."""
    return max(FLOOR, 20 * math.log10(value)) if value > 0 else FLOOR


@dataclass(frozen=True)
class Needle:
    """What is shown of a channel, in dB: its average, and the highest peak of late, which falls slowly."""

    rms: float = FLOOR
    held: float = FLOOR

    def moved(self, level: Level | None) -> Needle:
        """As it stands after another look; None: nothing was played."""
        rms, peak = (decibels(level.rms), decibels(level.peak)) if level else (FLOOR, FLOOR)
        return Needle(rms, max(peak, self.held - _FALL, FLOOR))


def line(needles: Sequence[Needle], width: int, look: Look) -> list[Piece]:
    """The channels side by side, each with a bar (up to the average, and a mark at the peak) and its peak in dB."""
    title = " Sound"
    room = (width - len(title) - 1) // len(needles) - len("  L  -60 dB")
    pieces: list[Piece] = [(title, "")]
    for name, needle in zip(_NAMES, needles, strict=True):
        pieces += [(f"  {name} ", ""), *_bar(needle, max(4, min(_WIDEST, room)), look)]
        pieces.append((f" {needle.held:3.0f} dB" if needle.held > FLOOR else " " * 7, ""))
    return pieces


def _bar(needle: Needle, width: int, look: Look) -> list[Piece]:
    def cells(value: float) -> int:
        return round((1 - value / FLOOR) * width)

    filled, mark = cells(needle.rms), cells(needle.held) - 1
    pieces: list[Piece] = []
    for cell in range(width):
        level = FLOOR * (1 - (cell + 1) / width)
        style = "full" if level > _FULL else "loud" if level > _LOUD else "quiet"
        if cell < filled:
            text = look.full
        elif cell == mark:
            text = look.vertical
        else:
            text, style = look.empty, "rest"
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + text, style)
        else:
            pieces.append((text, style))
    return pieces
