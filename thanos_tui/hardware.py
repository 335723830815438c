"""What an image expects of its machine: said by the profile's options, remembered with the build, given by QEMU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peripherals:
    """What a machine has beyond processors, memory and a network card.

    resolution: of each screen, as `WIDTHxHEIGHT`; None leaves it to the display. outputs: how many screens.
    sound: the sound card's model; None for a machine without. disk_mib: the size of an empty disk for data, which is
    kept with the machine; 0 for none.
    """

    resolution: str | None = None
    outputs: int = 1
    sound: str | None = None
    disk_mib: int = 0
