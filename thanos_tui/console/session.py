"""Sessions: the user's terminal on the machine, a command with its input and output, a command's captured output."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from thanos_tui.console import terminal
from thanos_tui.console.login import connect
from thanos_tui.console.target import Target
from thanos_tui.errors import ConsoleError, HostError, Interrupted
from thanos_tui.programs import Finished

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

_GRACE = 2.0  # seconds a remote command has to end after the user's Ctrl-C
_EVERYTHING = 1 << 30
_LOCAL_READER_GONE = 128 + signal.SIGPIPE


def shell(
    target: Target, command: Sequence[str] | None = None, *, stdin: int = 0, stdout: int = 1, stderr: int = 2
) -> int:
    """Give the machine's shell, or a command there, the user's own terminal; returns its exit code.

    Every key goes to the guest, Ctrl-C too; ``~.`` at the start of a line cuts a session that hangs (Interrupted).
    Without a terminal on ``stdin`` the shell reads its commands from there. A command or shell ended by signal n
    gives 128+n.

    Raises ConsoleError if there is no session or it is lost.
    """
    return finish(_shell(target, command, stdin, stdout, stderr))


def run(target: Target, argv: Sequence[str], *, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> int:
    """Run a command on the machine with this process's input and output (descriptors); returns its exit code.

    argv arrives as it is given, whatever characters it holds. Bytes pass unchanged, no faster than the reader takes
    them. Ctrl-C is passed on and gives 130, a reader of the output that went away 141, a remote signal n 128+n.

    Raises ConsoleError if there is no session or it is lost, HostError if the output cannot be written.
    """
    return finish(_run(target, argv, stdin, stdout, stderr))


def capture(target: Target, argv: Sequence[str], stdin: bytes = b"", timeout: float | None = None) -> Finished:
    """Run a command on the machine and return what it said; its status is not judged.

    Raises ConsoleError if there is no session, it is lost, or the command takes longer than ``timeout`` seconds.
    """
    return finish(_capture(target, argv, stdin, timeout))


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in its own event loop; Ctrl-C raises Interrupted once it has cleaned up."""

    async def quietly() -> T:
        asyncio.get_running_loop().set_exception_handler(leave_out_asyncssh)
        return await work

    try:
        return asyncio.run(quietly())
    except KeyboardInterrupt:
        raise Interrupted from None


def leave_out_asyncssh(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncssh abandons its pending requests when a connection breaks or a copy is stopped, and asyncio would print
    a traceback for each; what went wrong has been raised already."""
    import asyncssh

    if not isinstance(context.get("exception"), asyncssh.Error):
        loop.default_exception_handler(context)


def quote(argv: Sequence[str]) -> bytes:
    """A command line that the guest's shell splits into exactly these words, names that are not UTF-8 included."""
    return os.fsencode(shlex.join(argv))


async def _shell(target: Target, command: Sequence[str] | None, stdin: int, stdout: int, stderr: int) -> int:
    line = quote(command) if command else None
    async with connect(target) as connection:
        if not terminal.is_terminal(stdin):
            process = await connection.create_process(line, encoding=None)
            return await _attend(target, connection, process, stdin, stdout, stderr)
        process = await connection.create_process(
            line,
            encoding=None,
            request_pty="force",
            term_type=os.environ.get("TERM") or "dumb",
            term_size=terminal.size(stdin),
            term_modes=terminal.modes(stdin),
            window=1 << 17,  # what may still scroll by after Ctrl-C
        )
        with terminal.raw(stdin) as raw_again:

            def resized() -> None:
                if not process.is_closing():
                    process.change_terminal_size(*terminal.size(stdin))

            def continued() -> None:
                raw_again()
                resized()

            with _signals() as received, _handling({signal.SIGWINCH: resized, signal.SIGCONT: continued}):
                resized()  # it may have changed since it was asked for
                work = asyncio.ensure_future(exchange(target, process, stdin, stdout, stderr, terminal.Escapes()))
                try:
                    number = await _first(work, received)
                    if number is None:
                        return work.result()
                    await _stop(work)  # the guest hangs up on what ran there when the session closes
                    return 128 + number
                except terminal.Cut:
                    connection.abort()
                    raise Interrupted from None


async def _run(target: Target, argv: Sequence[str], stdin: int, stdout: int, stderr: int) -> int:
    async with connect(target) as connection:
        process = await connection.create_process(quote(argv), encoding=None)
        return await _attend(target, connection, process, stdin, stdout, stderr)


async def _capture(target: Target, argv: Sequence[str], stdin: bytes, timeout: float | None) -> Finished:
    async with connect(target) as connection:
        return await captured(target, connection, argv, stdin, timeout)


async def captured(
    target: Target,
    connection: asyncssh.SSHClientConnection,
    argv: Sequence[str],
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Finished:
    """As :func:`capture`, over a connection that is there."""
    process = await connection.create_process(quote(argv), encoding=None)
    try:
        with suppress(OSError):  # it has ended already, and reads nothing
            process.stdin.write(stdin)
            process.stdin.write_eof()
        stdout, stderr = await asyncio.wait_for(process.communicate(), timeout)
        return Finished(tuple(argv), _status(target, process), stdout, stderr)
    except TimeoutError:
        raise ConsoleError(
            f"{shlex.join(argv)} did not end within {timeout:.0f} s on {target}", hint=target.log_hint
        ) from None
    finally:
        process.close()


async def _attend(
    target: Target,
    connection: asyncssh.SSHClientConnection,
    process: asyncssh.SSHClientProcess[bytes],
    stdin: int,
    stdout: int,
    stderr: int,
) -> int:
    """exchange() for a command without a terminal, which would outlive its session: signals sent to this process are
    passed on, and the command gets a moment to end by them. The exit code is then 128 plus the signal's number."""
    with _signals() as received:
        work = asyncio.ensure_future(exchange(target, process, stdin, stdout, stderr))
        number = await _first(work, received)
        if number is None:
            return work.result()
        work_or_more = asyncio.ensure_future(_first(work, received))
        try:
            async with asyncio.timeout(_GRACE):
                await _signal(connection, process, number)
                await work_or_more
        except TimeoutError:
            pass
        finally:
            work_or_more.cancel()
            await _stop(work)
        return 128 + number


async def _first(work: asyncio.Future[int], received: asyncio.Queue[signal.Signals]) -> signal.Signals | None:
    """Wait for the work to end (None) or for a signal; work that is cut short is stopped by the caller."""
    waiting = asyncio.ensure_future(received.get())
    either: set[asyncio.Future[Any]] = {work, waiting}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return None if work.done() else waiting.result()
    except asyncio.CancelledError:
        await _stop(work)
        raise
    finally:
        waiting.cancel()


async def _stop(work: asyncio.Future[int]) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def _signal(
    connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes], number: signal.Signals
) -> None:
    """Send a signal to a remote command and its children.

    OpenSSH's server ignores the protocol's own signal request in root's sessions. But the sessions of a connection
    are children of one server process, and each leads its own process group; so a second session can signal the
    first.
    """
    import asyncssh

    name = number.name.removeprefix("SIG")
    # The old form of kill: busybox's knows no `--`, dash's takes no group after -s without it.
    script = (
        "sent=1; for pid in $(cat /proc/$PPID/task/$PPID/children); do "
        f'[ "$pid" = $$ ] || {{ kill -{name} "-$pid" && sent=0; }}; done; exit $sent'
    )
    with suppress(OSError, asyncssh.Error):
        done = await connection.run(b"exec " + quote(["sh", "-c", script]), encoding=None, stdin=asyncssh.DEVNULL)
        if done.exit_status != 0:
            process.send_signal(name)


async def exchange(
    target: Target,
    process: asyncssh.SSHClientProcess[bytes],
    stdin: int,
    stdout: int,
    stderr: int,
    escapes: terminal.Escapes | None = None,
) -> int:
    """Join a remote process to local descriptors until it ends; returns its exit code.

    Memory stays flat: neither side is read faster than the other takes it. Raises terminal.Cut for ``~.``.
    """
    feeding = asyncio.ensure_future(_feed(process, stdin, escapes))
    # Who waits for a descriptor must be alone in it, also where both outputs go to one.
    turns = {descriptor: asyncio.Lock() for descriptor in (stdout, stderr)}
    draining = asyncio.gather(
        _drain(process.stdout, stdout, turns[stdout]), _drain(process.stderr, stderr, turns[stderr])
    )
    try:
        either: set[asyncio.Future[Any]] = {feeding, draining}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()
        await draining
        await process.wait_closed()
        return _status(target, process)
    except BrokenPipeError:
        process.close()
        return _LOCAL_READER_GONE
    finally:
        feeding.cancel()
        draining.cancel()
        await asyncio.gather(feeding, draining, return_exceptions=True)


async def _feed(process: asyncssh.SSHClientProcess[bytes], stdin: int, escapes: terminal.Escapes | None) -> None:
    while True:
        try:
            data = await terminal.read(stdin)
        except OSError:  # closed, or a directory: there is no input
            data = b""
        try:
            if not data:
                process.stdin.write_eof()
                return
            process.stdin.write(escapes.feed(data) if escapes else data)
            await process.stdin.drain()
        except OSError:  # it takes no more input; its end is told by its output
            return


async def _drain(reader: asyncssh.SSHReader[bytes], descriptor: int, turn: asyncio.Lock) -> None:
    # Always everything there is, a window or two at most: after a partial read asyncssh grants the server a whole
    # new window while the rest still waits, so that a slow reader here would let memory grow without end.
    while data := await reader.read(_EVERYTHING):
        try:
            async with turn:
                await terminal.write(descriptor, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise HostError(f"cannot write the output: {error.strerror}") from error


def _status(target: Target, process: asyncssh.SSHClientProcess[bytes]) -> int:
    if process.exit_signal is not None:
        name = f"SIG{process.exit_signal[0]}"
        return 128 + (signal.Signals[name].value if name in signal.Signals.__members__ else 0)
    if process.exit_status is None:
        raise ConsoleError(
            f"the connection to {target} was lost while the command ran",
            hint=f"the machine may have been powered off; {target.log_hint}",
        )
    return process.exit_status


@contextmanager
def _signals() -> Iterator[asyncio.Queue[signal.Signals]]:
    """The signals that ask this process to end, as they come inside the block."""
    received: asyncio.Queue[signal.Signals] = asyncio.Queue()

    def put(number: signal.Signals) -> Callable[[], None]:
        return lambda: received.put_nowait(number)

    with _handling({number: put(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}):
        yield received


@contextmanager
def _handling(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Let the event loop take signals inside the block. Without effect outside the main thread, which gets none."""
    loop = asyncio.get_running_loop()
    set_up: list[signal.Signals] = []
    try:
        for number, handler in handlers.items():
            with suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, handler)
                set_up.append(number)
        yield
    finally:
        for number in set_up:
            loop.remove_signal_handler(number)
