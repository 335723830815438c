"""The shell, from a real pseudo-terminal against OpenSSH's server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios

import pytest

from thanos_tui.console import shell


@pytest.fixture
def prompt(openssh_with_terminals, on_terminal):
    """A POSIX shell on the machine, with a prompt that is no echo of what was typed."""
    terminal = on_terminal(openssh_with_terminals.target, "shell(target, ['env', 'PS1=ready> ', 'sh'])")
    terminal.expect(b"ready> ")
    return terminal


def test_the_guest_gets_the_terminal_its_size_and_its_type(prompt):
    prompt.send(b"tty; stty size; echo $TERM\r")
    shown = prompt.expect(b"ready> ")
    assert b"/dev/pts/" in shown
    assert b"31 101" in shown
    assert b"vt220" in shown


def test_a_resize_reaches_the_guest(prompt):
    prompt.send(b"while :; do stty size; sleep 0.05; done\r")
    prompt.expect(b"31 101")
    prompt.resize(77, 22)
    prompt.expect(b"22 77")


def test_ctrl_c_goes_to_the_guest_and_the_session_lives_on(prompt):
    prompt.send(b"sh -c \"echo be''gin; exec sleep 100\" && echo slept\r")
    prompt.expect(b"begin")
    prompt.send(b"\x03")
    prompt.expect(b"ready> ")
    prompt.send(b"echo still $((1+1))\r")
    assert b"slept" not in prompt.expect(b"still 2")


def test_the_exit_code_comes_back_and_the_terminal_is_restored(prompt):
    assert not prompt.restored()  # raw while the session lasts
    prompt.send(b"exit 7\r")
    prompt.expect(b"<ended with 7 >")
    assert prompt.restored()


def test_a_shell_killed_by_a_signal_gives_128_and_its_number(prompt):
    prompt.send(b"kill -KILL $$\r")
    prompt.expect(b"<ended with 137 >")


def test_bytes_that_are_no_text_pass_unchanged(prompt):
    prompt.send(b"printf '\\377\\376\\303\\050.%s' end''ed\r")
    prompt.expect(b"\xff\xfe\xc3(.ended")


def test_the_special_characters_of_the_terminal_are_the_guests(openssh_with_terminals, on_terminal):
    terminal = on_terminal(
        openssh_with_terminals.target,
        "(os.system('stty erase ^H'), shell(target, ['sh', '-c', 'stty -a; echo shown']))[1]",
    )
    assert b"erase = ^H" in terminal.expect(b"shown")


def test_tilde_dot_cuts_a_session_that_hangs(openssh, prompt):
    prompt.send(b"\r")
    prompt.expect(b"ready> ")
    for pid in openssh.descendants():
        os.kill(pid, signal.SIGSTOP)
    try:
        prompt.send(b"\r~.")
        prompt.expect(b"<raised Interrupted")
        assert prompt.restored()
    finally:
        for pid in openssh.descendants():
            os.kill(pid, signal.SIGKILL)


def test_a_tilde_elsewhere_is_only_a_tilde(prompt):
    prompt.send(b"echo a~.b; echo ~~c\r")
    prompt.expect(b"\na~.b")
    prompt.expect(b"~~c")
    prompt.send(b"~~nobody\r")  # doubled at the start of a line: one is sent
    prompt.expect(b"~nobody")


def test_a_connection_that_breaks_is_told_and_the_terminal_restored(openssh, prompt):
    for pid in openssh.descendants():
        os.kill(pid, signal.SIGKILL)
    told = prompt.expect(b">")
    assert b"<raised ConsoleError the connection to m1" in told
    assert b"thanos-tui logs m1" in told
    assert prompt.restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_session_and_restores_the_terminal(prompt, number):
    prompt.process.send_signal(number)
    prompt.expect(b"<ended with %d >" % (128 + number))
    assert prompt.restored()


def test_a_continued_process_takes_the_terminal_raw_again(prompt):
    prompt.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, prompt.process.pid, os.WSTOPPED)
    termios.tcsetattr(prompt.master, termios.TCSANOW, prompt.before)  # what the user's shell does then
    prompt.process.send_signal(signal.SIGCONT)
    prompt.send(b"\r")
    prompt.expect(b"ready> ")
    prompt.send(b"sh -c \"echo be''gin; exec sleep 100\"\r")
    prompt.expect(b"begin")
    prompt.send(b"\x03")
    prompt.expect(b"ready> ")
    prompt.send(b"exit 3\r")
    prompt.expect(b"<ended with 3 >")
    assert prompt.restored()


def test_without_a_terminal_the_shell_reads_its_commands_from_the_input(openssh, capfd):
    reader, writer = os.pipe()
    os.write(writer, b"echo out; tty; exit 4\n")
    os.close(writer)
    assert shell(openssh.target, stdin=reader) == 4
    os.close(reader)
    assert capfd.readouterr().out == "out\nnot a tty\n"


def test_importing_the_console_loads_no_ssh_library():
    code = "import sys, thanos_tui.console; print([m for m in ('asyncssh', 'cryptography') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
