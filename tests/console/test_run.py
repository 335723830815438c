"""Commands with their input and output, against OpenSSH's server and one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import LIMIT, eventually

from thanos_tui.console import capture, run
from thanos_tui.errors import ConsoleError, HostError

SCRIPT = """
import os, sys
from pathlib import Path
from thanos_tui.console import *
target = Target({host!r}, {port}, {host_key!r}, user={user!r}, identities=({identity!r},), name="m1")
{body}
"""


@pytest.fixture
def script(openssh):
    """Starts a Python process that may use ``target``."""
    started = []

    def start(body: str, **options) -> subprocess.Popen:
        target = openssh.target
        text = SCRIPT.format(
            host=target.host,
            port=target.port,
            host_key=target.host_key,
            user=target.user,
            identity=str(target.identities[0]),
            body=body,
        ).replace("identities=(", "identities=(Path(", 1)
        text = text.replace(",), name", "),), name", 1)
        started.append(subprocess.Popen([sys.executable, "-c", text], **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_words_arrive_as_they_were_given(openssh):
    words = ["a b", "it's", "$HOME", "*", "", "\\", "new\nline", "-n", "\udcff\udcfe", "ü"]
    done = capture(openssh.target, ["printf", "%s|", *words])
    assert done.stdout == b"".join(os.fsencode(word) + b"|" for word in words)
    assert done.status == 0


def test_output_errors_input_and_status_are_kept_apart(openssh):
    done = capture(openssh.target, ["sh", "-c", "cat; echo bad >&2; exit 5"], b"\x00\xff in")
    assert (done.status, done.stdout, done.stderr) == (5, b"\x00\xff in", b"bad\n")


def test_a_command_that_reads_nothing_gets_an_end_of_input(openssh):
    assert capture(openssh.target, ["cat"]).stdout == b""


def test_a_capture_that_takes_too_long(openssh):
    with pytest.raises(ConsoleError, match=r"sleep 60 did not end within 0 s"):
        capture(openssh.target, ["sleep", "60"], timeout=0.3)


def test_run_uses_this_process_own_descriptors(openssh, capfd):
    with Path("/dev/null").open("rb") as nothing:
        assert run(openssh.target, ["sh", "-c", "echo out; echo err >&2; exit 3"], stdin=nothing.fileno()) == 3
    assert capfd.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("KILL", 137), ("ABRT", 134)])
def test_an_end_by_a_signal_is_128_and_its_number(openssh, name, code):
    assert run(openssh.target, ["sh", "-c", f"kill -{name} $$"]) == code


def test_closed_input_and_a_command_that_is_not_there(openssh, capfd):
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    assert run(openssh.target, ["no-such-command"], stdin=reader) == 127
    assert "no-such-command" in capfd.readouterr().err


def test_files_as_input_and_output(openssh, tmp_path):
    source, result = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 1000)
    with source.open("rb") as stdin, result.open("wb") as stdout:
        assert run(openssh.target, ["cat"], stdin=stdin.fileno(), stdout=stdout.fileno()) == 0
    assert result.read_bytes() == source.read_bytes()


def test_fifty_megabytes_both_ways_with_flat_memory(script):
    body = """
import resource, threading
run(target, ["true"], stdin=os.open("/dev/null", os.O_RDONLY))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = run(target, ["cat"])
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(status, grown, file=sys.stderr)
"""
    process = script(body, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    block = bytes(range(256)) * 4096  # 1 MiB

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            for _ in range(50):
                process.stdin.write(block)
            process.stdin.close()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    for _ in range(50):
        assert process.stdout.read(len(block)) == block
    assert process.stdout.read() == b""
    feeder.join()
    status, grown_kib = map(int, process.stderr.read().split())
    assert status == 0
    assert grown_kib < 24 * 1024


def test_a_reader_that_stops_slows_the_machine_down_and_not_the_memory(script):
    body = """
import resource
run(target, ["true"], stdin=os.open("/dev/null", os.O_RDONLY))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
os.write(2, b"begin\\n")
status = run(target, ["head", "-c", "60000000", "/dev/zero"])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""
    process = script(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stderr.readline() == b"begin\n"
    first = process.stdout.read(1)
    peaks = []
    for _ in range(30):  # nobody reads: the peak must settle far below what the command has to say
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]))
        threading.Event().wait(0.02)
    assert peaks[-1] - peaks[0] < 24 * 1024
    assert len(first + process.stdout.read()) == 60_000_000
    status, grown_kib = map(int, process.stderr.read().split())
    assert (status, grown_kib < 24 * 1024) == (0, True)


def test_both_outputs_may_go_to_one_descriptor(openssh):
    reader, writer = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        while data := os.read(reader, 1000):
            got.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    command = "head -c 300000 /dev/zero & head -c 300000 /dev/zero >&2; wait"
    assert run(openssh.target, ["sh", "-c", command], stdout=writer, stderr=writer) == 0
    os.close(writer)
    thread.join()
    os.close(reader)
    assert sum(map(len, got)) == 600_000


def test_a_reader_that_went_away_ends_the_command(openssh):
    reader, writer = os.pipe()
    os.close(reader)
    assert run(openssh.target, ["yes"], stdout=writer) == 141
    os.close(writer)


def test_input_without_end_does_not_keep_a_command_that_is_done(openssh):
    with Path("/dev/zero").open("rb") as zeros:
        assert run(openssh.target, ["head", "-c", "3"], stdin=zeros.fileno(), stdout=2) == 0


def test_output_to_a_full_disk(openssh):
    with Path("/dev/full").open("wb") as full, pytest.raises(HostError, match="No space left"):
        run(openssh.target, ["echo", "text"], stdout=full.fileno())


def remote_process(process: subprocess.Popen) -> int:
    return int(process.stdout.readline())


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_reaches_the_remote_command(script, number, code):
    process = script(
        'sys.exit(run(target, ["sh", "-c", "echo $$; exec sleep 100"]))',
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    pid = remote_process(process)
    process.send_signal(number)
    assert process.wait(LIMIT) == code
    eventually(lambda: gone(pid))


def test_what_a_command_says_about_its_interruption_is_still_shown(script):
    command = "trap 'echo tidied up; exit 9' INT; echo $$; while :; do sleep 0.1; done"
    process = script(
        f'sys.exit(run(target, ["sh", "-c", {command!r}]))', stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    remote_process(process)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == b"tidied up\n"
    assert process.wait(LIMIT) == 130


def test_a_second_ctrl_c_does_not_wait(script):
    process = script(
        """import thanos_tui.console.session as session
session._GRACE = 1000
sys.exit(run(target, ["sh", "-c", "trap 'echo no' INT; echo $$; while :; do sleep 0.1; done"]))""",
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    pid = remote_process(process)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 130
    os.kill(pid, signal.SIGKILL)


def test_a_machine_that_dies_while_a_command_runs(server):
    reader, writer = os.pipe()

    async def serve(process) -> None:
        process.stdout.write(b"half")
        assert await asyncio.to_thread(os.read, reader, 100) == b"half"
        server.cut()

    target = server.start(serve)
    with pytest.raises(ConsoleError, match="was lost") as caught:
        run(target, ["anything"], stdin=os.open("/dev/null", os.O_RDONLY), stdout=writer)
    assert caught.value.hint is not None
    assert "thanos-tui logs m1" in caught.value.hint
    os.close(writer)
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_a_session_that_closes_without_a_status_is_no_success(server):
    async def serve(process) -> None:
        process.channel.close()

    with pytest.raises(ConsoleError, match="was lost"):
        run(server.start(serve), ["anything"])


def test_a_server_that_refuses_commands(server):
    with pytest.raises(ConsoleError, match="m1"):
        run(server.start(), ["anything"])


def test_a_signal_the_client_does_not_know(server):
    async def serve(process) -> None:
        process.exit_with_signal("USR9")

    assert run(server.start(serve), ["anything"]) == 128
