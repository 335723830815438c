"""What a machine plays: live, as a file, and how loud it is. This host needs no sound card.

QEMU mixes what its sound card plays and offers it on a socket in the machine's directory, by the audio messages that it
adds to VNC (RFC 6143 for the handshake; QEMU's ui/vnc.c and the "QEMU Audio" pseudo-encoding of the RFB community's
protocol description). Why not its `wavcapture` or `-audiodev wav`: both write to a file that grows for as long as the
guest plays if whoever wanted it is killed, and both leave silence out. A listener that goes away here is forgotten by
QEMU, one that does not keep up misses sound but never holds up the machine, and several can listen at once.
"""

from __future__ import annotations

import math
import operator
import select
import socket
import struct
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thanos_tui.errors import InputError, MachineError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import replacing
from thanos_tui.vm.qemu import SOUND_RATE, SOUND_SOCKET
from thanos_tui.vm.qmp import connect
from thanos_tui.vm.registry import Machine

RATE = SOUND_RATE
CHANNELS = 2
FRAME = 2 * CHANNELS  # bytes: one signed 16-bit number, low byte first, for each channel
LONGEST = 6 * 3600  # seconds: a WAV file holds 4 GiB
_PATIENCE = 10.0  # seconds for QEMU to answer
_LOOK = 0.05  # seconds between two looks at a machine that is silent
_STALLED = 1.0  # seconds without a sample from a card that plays: the machine is paused

_AUDIO = -259  # the pseudo-encoding: "I understand audio messages"
_FROM_QEMU, _OF_AUDIO = 255, 1
_END, _BEGIN, _DATA = 0, 1, 2
_ENABLE, _SET_FORMAT = 0, 2
_SIGNED_16 = 3


@dataclass(frozen=True)
class Level:
    """How loud a channel was, from 0.0 (silence) to 1.0 (as loud as numbers go): at most, and on average (RMS)."""

    peak: float
    rms: float


@dataclass(frozen=True)
class Recording:
    """A WAV file of what a machine played. levels: of the left and the right channel, over all of it."""

    path: Path
    seconds: float
    levels: tuple[Level, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        loud = [{"peak": round(level.peak, 4), "rms": round(level.rms, 4)} for level in self.levels]
        return {"path": str(self.path), "seconds": self.seconds, "rate": RATE, "channels": CHANNELS, "levels": loud}


class Tap:
    """What a machine plays from now on. ``playing``: whether its sound card is at work; it may well play silence."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        self.playing = False
        self._greet()

    def read(self, timeout: float) -> bytes:
        """The samples that have come since the last call; waits for some for ``timeout`` seconds at most.

        They are whole frames (FRAME bytes), RATE a second. Empty while nothing plays. Raises MachineError when the
        machine ends.
        """
        samples = bytearray()
        deadline = time.monotonic() + timeout
        while True:
            while (message := self._message()) is not None:
                samples += message
            left = deadline - time.monotonic()
            if samples or not self._more(max(0.0, left)):
                return bytes(samples)

    def _greet(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        if not self._await(12, deadline).startswith(b"RFB 003."):
            raise MachineError("what answers on the sound's socket is not QEMU")
        self._socket.sendall(b"RFB 003.008\n")
        (offered,) = self._await(1, deadline)
        if 1 not in self._await(offered, deadline):
            raise MachineError("QEMU wants a password for the sound")
        # No password, and others may listen as well.
        self._socket.sendall(b"\x01\x01")
        *_, name = struct.unpack(">I4x16xI", self._await(28, deadline))
        self._await(name, deadline)
        self._socket.sendall(
            struct.pack(">BxHi", 2, 1, _AUDIO)
            + struct.pack(">BBHBBI", _FROM_QEMU, _OF_AUDIO, _SET_FORMAT, _SIGNED_16, CHANNELS, RATE)
            + struct.pack(">BBH", _FROM_QEMU, _OF_AUDIO, _ENABLE)
        )

    def _message(self) -> bytes | None:
        """The samples of the next message (none in most kinds of them); None where it is not complete yet."""
        held = self._received
        if not held:
            return None
        if held[0] == 0:  # a picture's update: nobody asked for pixels, so it only says that we were understood
            length = 4 + 12 * int.from_bytes(held[2:4], "big") if len(held) >= 4 else 4
            return None if self._take(length) is None else b""
        if held[0] == 2:  # a bell
            self._take(1)
            return b""
        if held[0] != _FROM_QEMU:
            raise MachineError(f"QEMU sent a message of kind {held[0]} where sound was expected")
        if len(held) < 4:
            return None
        kind = int.from_bytes(held[2:4], "big")
        if kind != _DATA:
            self._take(4)
            self.playing = kind == _BEGIN
            return b""
        if len(held) < 8:
            return None
        message = self._take(8 + int.from_bytes(held[4:8], "big"))
        return None if message is None else message[8:]

    def _take(self, length: int) -> bytes | None:
        if len(self._received) < length:
            return None
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _await(self, length: int, deadline: float) -> bytes:
        while (taken := self._take(length)) is None:
            if not self._more(max(0.0, deadline - time.monotonic())):
                raise MachineError("QEMU does not offer the machine's sound", hint="its host may be busy; try again")
        return taken

    def _more(self, timeout: float) -> bool:
        """Receive what there is, after ``timeout`` seconds at most; False if there was nothing."""
        try:
            if not select.select([self._socket], [], [], timeout)[0]:
                return False
            data = self._socket.recv(65536)
        except OSError as error:
            raise MachineError(f"the machine's sound was cut off: {error.strerror or error}") from error
        if not data:
            raise MachineError("the machine ended while its sound was listened to")
        self._received += data
        return True


@contextmanager
def listening(machine: Machine) -> Iterator[Tap]:
    """Listen to what a machine plays; any number may do so at once.

    Raises MachineError where it does not run or has no sound card.
    """
    if not machine.alive:
        raise MachineError(f"machine {machine.name} is not running", hint="start it: `thanos-tui run`")
    if machine.record.peripherals.sound is None:
        raise MachineError(
            f"machine {machine.name} has no sound card",
            hint="its image asks for none: switch `stark` and `alsa` on, choose an `alsa.device`, build and run anew",
        )
    try:
        connection = connect(machine.directory, SOUND_SOCKET, _PATIENCE)
    except OSError as error:
        raise MachineError(f"cannot listen to {machine.name}: {error.strerror or error}") from error
    with connection:
        yield Tap(connection)


def levels(samples: bytes) -> tuple[Level, ...]:
    """How loud each channel of these samples is: a tenth of a second takes about 0.5 ms to measure."""
    numbers = array("h", samples)
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(_level(numbers[channel::CHANNELS]) for channel in range(CHANNELS))


def _level(numbers: array[int]) -> Level:
    if not numbers:
        return Level(0.0, 0.0)
    power = sum(map(operator.mul, numbers, numbers)) / len(numbers)
    return Level(max(max(numbers), -min(numbers)) / 32768, math.sqrt(power) / 32768)


def record(machine: Machine, seconds: float, path: Path, reporter: Reporter) -> Recording:
    """Write what a machine plays from now on to ``path`` as WAV (16 bits, 48 kHz, stereo), silence included.

    Raises InputError for an impossible length, MachineError where there is nothing to listen to or the machine ends,
    HostError where the file cannot be written. Then, or if cancelled, a file that was there before stays as it was.
    """
    import wave

    if not 0 < seconds <= LONGEST:
        raise InputError(f"a recording takes more than 0 and at most {LONGEST} seconds", where="--seconds")
    frames = max(1, round(seconds * RATE))
    with (
        listening(machine) as tap,
        reporter.step(f"machine/{machine.name}/record", f"Recording {machine.name}", frames) as step,
        replacing(path) as stream,
        wave.open(stream, "wb") as out,
    ):
        out.setparams((CHANNELS, 2, RATE, frames, "NONE", ""))
        meter = _Meter()
        for samples in _tape(tap, frames, step):
            out.writeframesraw(samples)
            meter.add(samples)
        step.note = "silence" if meter.silent else ""
    return Recording(path, frames / RATE, meter.levels())


def _tape(tap: Tap, frames: int, step: Step) -> Iterator[bytes]:
    """Just so many frames, in pieces. QEMU is quiet while the card does not play: silence comes by the clock."""
    started = heard = time.monotonic()
    done = 0
    while done < frames:
        samples = tap.read(_LOOK)
        now = time.monotonic()
        if samples:
            heard = now
        elif not tap.playing or now - heard > _STALLED:
            samples = bytes(FRAME * max(0, int((now - started) * RATE) - done))
        samples = samples[: FRAME * (frames - done)]
        done += len(samples) // FRAME
        step.advance(len(samples) // FRAME)
        yield samples


class _Meter:
    """The levels of a long recording, piece by piece."""

    def __init__(self) -> None:
        self._frames = 0
        self._peaks = [0.0] * CHANNELS
        self._power = [0.0] * CHANNELS

    def add(self, samples: bytes) -> None:
        count = len(samples) // FRAME
        self._frames += count
        for channel, level in enumerate(levels(samples)):
            self._peaks[channel] = max(self._peaks[channel], level.peak)
            self._power[channel] += level.rms**2 * count

    @property
    def silent(self) -> bool:
        return not any(self._peaks)

    def levels(self) -> tuple[Level, ...]:
        count = max(1, self._frames)
        pairs = zip(self._peaks, self._power, strict=True)
        return tuple(Level(peak, math.sqrt(power / count)) for peak, power in pairs)
