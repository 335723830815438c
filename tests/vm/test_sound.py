"""What machines play: a boot sector lets a real sound card of QEMU play a tone (sectors.ENDINGS)."""

from __future__ import annotations

import json
import socket
import struct
import threading
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tones
from waiting import eventually

from thanos_tui import cli, vm
from thanos_tui.errors import HostError, InputError, Interrupted, MachineError
from thanos_tui.events import Event, Progress, Reporter, StepFinished
from thanos_tui.hardware import Peripherals
from thanos_tui.vm import Machine, sound
from thanos_tui.vm.qemu import SOUND_CARDS
from thanos_tui.vm.sound import FRAME, RATE, Level, Recording, Tap, levels, listening, record

Start = Callable[..., Machine]
AC97 = Peripherals(sound="AC97")
TONE = 750.0  # Hz


@pytest.fixture
def singer(start: Start) -> Machine:
    """A machine that plays its tone by now."""
    machine = start("tone", peripherals=AC97)
    with listening(machine) as tap:
        eventually(lambda: tap.read(0.1))
    return machine


def pure(heard: tones.Heard) -> bool:
    """Whether it is the tone and nothing else. An emulated machine that gets no time for a moment leaves gaps."""
    others = (TONE / 2, TONE * 0.97, TONE * 1.03, TONE * 2)
    return heard.strength(TONE) > 0.2 and all(heard.strength(other) < 0.01 for other in others)


def test_a_tone_is_recorded_as_it_is(singer: Machine, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"

    def attempt() -> Recording | None:
        made = record(singer, 1.5, path, Reporter())
        return made if pure(tones.read(path)) else None

    recording = eventually(attempt)
    assert recording is not None
    heard = tones.read(path)
    assert (heard.rate, heard.seconds) == (48000, 1.5)
    assert (recording.path, recording.seconds) == (path, 1.5)
    left, right = recording.levels
    assert left.peak == pytest.approx(max(map(abs, heard.left)), abs=0.001)
    assert right.peak == pytest.approx(left.peak / 2, rel=0.05)
    assert right.rms == pytest.approx(left.rms / 2, rel=0.05)


def test_several_listen_at_once(singer: Machine, tmp_path: Path) -> None:
    def one(number: int) -> float:
        record(singer, 0.5, tmp_path / f"{number}.wav", Reporter())
        return tones.read(tmp_path / f"{number}.wav").strength(TONE)

    with ThreadPoolExecutor() as pool:
        eventually(lambda: all(found > 0.2 for found in pool.map(one, range(3))))


def test_silence_lasts_as_long_as_it_lasts(start: Start, tmp_path: Path) -> None:
    machine = start("deaf", peripherals=AC97)
    events: list[Event] = []
    recording = record(machine, 0.7, tmp_path / "nothing.wav", Reporter(events.append))
    heard = tones.read(tmp_path / "nothing.wav")
    assert heard.seconds == 0.7
    assert set(heard.left + heard.right) == {0.0}
    assert recording.levels == (Level(0.0, 0.0), Level(0.0, 0.0))
    assert [event.note for event in events if isinstance(event, StepFinished)] == ["silence"]
    assert [event.done for event in events if isinstance(event, Progress)][-1] == round(0.7 * RATE)


def test_what_a_paused_machine_plays_is_silence(singer: Machine, tmp_path: Path) -> None:
    from thanos_tui.vm.qmp import monitor

    with monitor(singer.directory) as qmp:
        qmp.execute("stop")
    record(singer, 2.5, tmp_path / "paused.wav", Reporter())
    heard = tones.read(tmp_path / "paused.wav")
    assert heard.seconds == 2.5
    assert set(heard.last(1).left) == {0.0}


def descriptors(machine: Machine) -> int:
    return len(list(Path(f"/proc/{machine.pid}/fd").iterdir()))


def test_who_listened_leaves_nothing_behind(singer: Machine) -> None:
    files = sorted(path.name for path in singer.directory.iterdir())
    eventually(lambda: sound_clients(singer) == 0)
    before = descriptors(singer)
    with listening(singer) as tap:
        assert eventually(lambda: tap.read(0.1))
        assert sound_clients(singer) == 1
    # QEMU forgets a listener when it next looks at its connection; so it does with one that was killed.
    eventually(lambda: sound_clients(singer) == 0 and descriptors(singer) == before)
    assert sorted(path.name for path in singer.directory.iterdir()) == files


def sound_clients(machine: Machine) -> int:
    from thanos_tui.vm.qmp import monitor

    with monitor(machine.directory) as qmp:
        return sum(len(server["clients"]) for server in qmp.execute("query-vnc-servers"))


def test_a_recording_that_is_broken_off_changes_nothing(singer: Machine, tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    path.write_text("of yesterday")
    reporter = Reporter(lambda event: reporter.cancel() if isinstance(event, Progress) else None)
    with pytest.raises(Interrupted):
        record(singer, 60, path, reporter)
    assert [(each.name, each.read_text()) for each in tmp_path.glob("*.wav*")] == [("kept.wav", "of yesterday")]


def test_a_machine_that_ends_ends_its_recording(singer: Machine, tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    path.write_text("of yesterday")

    def end(event: Event) -> None:
        if isinstance(event, Progress):
            threading.Thread(target=vm.stop, args=(singer,), kwargs={"patience": 0}).start()

    with pytest.raises(MachineError, match=r"ended|cut off"):
        record(singer, 3600, path, Reporter(end))
    assert path.read_text() == "of yesterday"
    eventually(lambda: not vm.find(singer.name).alive)
    with pytest.raises(MachineError, match="is not running"):
        record(vm.find(singer.name), 1, path, Reporter())


def test_a_machine_without_a_sound_card_cannot_be_heard(start: Start, tmp_path: Path) -> None:
    machine = start("deaf")
    with pytest.raises(MachineError, match="has no sound card"):
        record(machine, 1, tmp_path / "x.wav", Reporter())
    assert list(tmp_path.glob("*.wav")) == []


def test_a_file_that_cannot_be_written(start: Start) -> None:
    with pytest.raises(HostError, match="cannot write"):
        record(start("deaf", peripherals=AC97), 1, Path("/proc/nowhere/x.wav"), Reporter())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), sound.LONGEST + 1])
def test_impossible_lengths_are_refused(start: Start, seconds: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes more than 0 and at most"):
        record(start("deaf", peripherals=AC97), seconds, tmp_path / "x.wav", Reporter())


@pytest.mark.parametrize("devices", ["qemu", "virtualbox"])
@pytest.mark.parametrize("card", SOUND_CARDS)
def test_every_sound_card_fits_every_board(card: str, devices: str, start: Start, tmp_path: Path) -> None:
    machine = start("deaf", peripherals=Peripherals(sound=card), devices=devices, vnc_port=0)
    record(machine, 0.1, tmp_path / "x.wav", Reporter())
    assert tones.read(tmp_path / "x.wav").seconds == 0.1
    assert machine.record.vnc_port  # the screen is offered as well, on its own


def test_an_unknown_sound_card_is_refused(start: Start) -> None:
    with pytest.raises(InputError, match="no sound card 'gramophone'"):
        start("deaf", peripherals=Peripherals(sound="gramophone"))


# --- The command


def test_the_command_prints_the_name_of_the_file(
    singer: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "--seconds", "0.2"]) == 0
    assert capsys.readouterr().out == f"{singer.name}.wav\n"
    assert tones.read(tmp_path / f"{singer.name}.wav").strength(TONE) > 0.1  # a gap may be in it


def test_the_command_tells_programs_how_loud_it_was(
    singer: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tone.wav"
    assert cli.main(["record", singer.name, "-s", "0.2", "-o", str(path), "--json"]) == 0
    *events, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {event["event"] for event in events} >= {"step-started", "progress", "step-finished"}
    left, right = last.pop("levels")
    assert last == {
        "event": "recording",
        "machine": singer.name,
        "path": str(path),
        "seconds": 0.2,
        "rate": 48000,
        "channels": 2,
    }
    assert 0 < right["rms"] < left["rms"] < 1


@pytest.mark.parametrize(("words", "status"), [(["--seconds", "0"], InputError), ([], MachineError)])
def test_the_command_fails_in_a_sentence(
    words: list[str], status: type[InputError], start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start("deaf", peripherals=AC97 if words else Peripherals())
    assert cli.main(["record", *words]) == status.exit_code
    said = capsys.readouterr().err
    assert said.startswith("thanos-tui: ")
    assert "Traceback" not in said


# --- Levels, and the talk with QEMU by itself


def samples(*frames: tuple[int, int]) -> bytes:
    return struct.pack(f"<{2 * len(frames)}h", *(number for frame in frames for number in frame))


def test_levels() -> None:
    assert levels(b"") == (Level(0.0, 0.0), Level(0.0, 0.0))
    assert levels(samples((-32768, 0), (-32768, 0))) == (Level(1.0, 1.0), Level(0.0, 0.0))
    left, right = levels(samples((16384, -8192), (-16384, 0)))
    assert left == Level(0.5, 0.5)
    assert right == Level(0.25, pytest.approx(0.25 / 2**0.5))


def greeting(version: bytes = b"RFB 003.008\n", kinds: bytes = b"\x01\x01") -> bytes:
    return version + kinds + struct.pack(">I HH 16x I", 0, 640, 480, 4) + b"QEMU"


def of_audio(kind: int, data: bytes | None = None) -> bytes:
    head = struct.pack(">BBH", 255, 1, kind)
    return head if data is None else head + struct.pack(">I", len(data)) + data


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
def test_messages_are_read_however_they_are_cut(cut: int) -> None:
    sent = samples(*((number, -number) for number in range(100)))
    acknowledged = struct.pack(">BxH HHHHi", 0, 1, 0, 0, 640, 480, -259)
    said = greeting() + acknowledged + of_audio(1) + of_audio(2, sent[:80]) + b"\x02" + of_audio(2, sent[80:])
    ours, theirs = socket.socketpair()

    def talk() -> None:
        for start in range(0, len(said), cut):
            theirs.sendall(said[start : start + cut])

    thread = threading.Thread(target=talk)
    thread.start()
    with ours, theirs:
        tap = Tap(ours)
        heard = b""
        while len(heard) < len(sent):
            heard += tap.read(1)
        thread.join()
        assert array("h", heard) == array("h", sent)
        assert len(heard) % FRAME == 0
        assert tap.playing
        theirs.sendall(of_audio(0))
        assert tap.read(0.01) == b""
        eventually(lambda: tap.read(0.01) == b"" and not tap.playing)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "is not QEMU"),
        (greeting(kinds=b"\x01\x02"), "wants a password"),
        (greeting()[:20], "the machine ended"),
        (b"", "the machine ended"),
        (greeting() + b"\x17", "a message of kind 23"),
    ],
)
def test_who_is_not_qemu_is_told_from_it(said: bytes, complaint: str) -> None:
    ours, theirs = socket.socketpair()

    def listen() -> None:
        Tap(ours).read(1)

    with ours, theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(MachineError, match=complaint):
            listen()
