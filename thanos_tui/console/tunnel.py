"""A socket of the machine, brought here over SSH: for libraries that talk to one and know nothing of SSH.

It ends in a socket file in a directory that only this user may enter; no port is opened, here or there.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import wait
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from thanos_tui.console.login import Ask, connect
from thanos_tui.console.session import captured, leave_out_asyncssh
from thanos_tui.console.target import Target
from thanos_tui.errors import ConsoleError, HostError
from thanos_tui.events import Reporter
from thanos_tui.programs import Finished
from thanos_tui.words import printable

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

_CHUNK = 64 * 1024  # bytes carried at once
_POLL = 0.2  # seconds between two looks whether somebody still waits


@dataclass(frozen=True)
class Tunnel:
    """An open tunnel: who connects to ``path`` here talks to ``remote`` on the machine.

    Its methods may be called from any thread, but not from a coroutine: they wait.
    """

    target: Target
    remote: str
    path: Path
    _connection: asyncssh.SSHClientConnection
    _loop: asyncio.AbstractEventLoop

    def answers(self) -> bool:
        """Whether somebody listens on the machine's end now. Raises ConsoleError if sshd does not let us through."""
        return self._wait(self._answers())

    def exists(self, *paths: str) -> bool:
        """Whether the machine, as its sshd sees it, has files of all these names. Raises ConsoleError."""
        return self._wait(self._exists(paths))

    def lost(self) -> bool:
        """Whether the connection is gone; asked when something failed that it may have been the cause of."""
        return self._wait(self._lost())

    def run(self, argv: Sequence[str], reporter: Reporter, timeout: float) -> Finished:
        """Run a command on the machine and return what it said; its status is not judged.

        Raises ConsoleError if the connection is lost or it takes longer than ``timeout`` seconds, Interrupted if the
        work is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(self._run(argv, timeout), self._loop)
        while not wait([future], timeout=_POLL).done:
            if reporter.cancelled:
                future.cancel()
            reporter.check()
        return future.result()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _answers(self) -> bool:
        import asyncssh

        try:
            _, writer = await self._connection.open_unix_connection(self.remote)
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                raise ConsoleError(
                    f"the sshd of {self.target} does not forward sockets",
                    hint="its sshd_config needs AllowStreamLocalForwarding yes",
                ) from None
            self._check()
            return False
        writer.close()
        return True

    async def _exists(self, paths: Sequence[str]) -> bool:
        import asyncssh

        try:
            async with self._connection.start_sftp_client() as sftp:
                return all([await sftp.exists(path) for path in paths])
        except (asyncssh.Error, OSError) as error:
            self._check()
            said = printable(str(error))
            raise ConsoleError(f"cannot see what {self.target} has: {said}", hint=self.target.log_hint) from error

    async def _run(self, argv: Sequence[str], timeout: float) -> Finished:
        import asyncssh

        try:
            return await captured(self.target, self._connection, argv, timeout=timeout)
        except (asyncssh.Error, OSError) as error:
            self._check()
            said = printable(str(error))
            raise ConsoleError(f"cannot run {argv[0]} on {self.target}: {said}", hint=self.target.log_hint) from error

    async def _lost(self) -> bool:
        # What failed may have been noticed a moment before the connection's own end is.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connection.wait_closed(), 1)
        return self._connection.is_closed()

    def _check(self) -> None:
        if self._connection.is_closed():
            raise ConsoleError(f"the connection to {self.target} was lost", hint=self.target.log_hint)


async def _forward(
    connection: asyncssh.SSHClientConnection, remote: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry what one client here and the machine's end say to each other, until that end or the connection closes."""
    import asyncssh

    async def carry(source: Any, sink: Any) -> None:
        with suppress(OSError, asyncssh.Error):
            while data := await source.read(_CHUNK):
                sink.write(data)
                await sink.drain()
            sink.write_eof()

    try:
        far_reader, far_writer = await connection.open_unix_connection(remote)
        there = asyncio.create_task(carry(reader, far_writer))
        try:
            await carry(far_reader, writer)
            await far_writer.wait_closed()
        finally:
            there.cancel()
            far_writer.close()
    except asyncssh.Error:
        pass  # nobody listens there, or the connection is lost; who connected here sees it hung up
    finally:
        writer.close()


@contextmanager
def tunnel(target: Target, remote: str, *, ask: Ask | None = None) -> Iterator[Tunnel]:
    """Log in and bring the socket ``remote`` here until the end of the block. ask: as for connect().

    Nobody needs to listen on it yet. The connection lives in a thread of its own, so the block may wait for answers.
    Raises ConsoleError if there is no session, HostError where no socket can be made here.
    """
    with ExitStack() as stack:
        try:
            # The mode of such a directory is 0700: nobody else gets to the socket in it.
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thanos-tui-"))) / "socket"
        except OSError as error:
            raise HostError(f"cannot make a directory in {tempfile.gettempdir()}: {error.strerror}") from error
        runner = stack.enter_context(asyncio.Runner())
        loop = runner.get_loop()
        loop.set_exception_handler(leave_out_asyncssh)
        inside = AsyncExitStack()
        stack.callback(lambda: runner.run(inside.aclose()))

        async def open_up() -> asyncssh.SSHClientConnection:
            connection = await inside.enter_async_context(connect(target, ask=ask))

            async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await _forward(connection, remote, reader, writer)

            try:
                # Ours and not asyncssh's, which stops listening when the connection is lost: asyncio then forgets whom
                # it just accepted, who waits for ever. This one listens to the end, and hangs up on who comes too late.
                server = await asyncio.start_unix_server(forward, path)
            except OSError as error:
                said = error.strerror or str(error)
                hint = (
                    "a socket's name may have 107 characters: set TMPDIR to a shorter path"
                    if len(f"{path}") > 107
                    else None
                )
                raise HostError(f"cannot make the socket {path}: {said}", hint=hint) from error
            inside.callback(server.close)
            return connection

        # In this thread, which can ask for a passphrase and be interrupted; from here on the loop is the other one's.
        connection = runner.run(open_up())
        thread = threading.Thread(target=loop.run_forever, name="tunnel", daemon=True)
        thread.start()

        def take_back() -> None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

        stack.callback(take_back)
        yield Tunnel(target, remote, path, connection, loop)
