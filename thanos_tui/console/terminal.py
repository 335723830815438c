"""The user's end of a session: file descriptors read and written without blocking, and the terminal's raw mode."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# A pipe that is writable has room for this much at least (pipe(7)), so writing it never blocks the event loop.
_PIPE_BUF = select.PIPE_BUF
_CHUNK = 1 << 16


class Cut(Exception):
    """The user typed ``~.`` at the start of a line."""


class Escapes:
    """Finds ssh's escape sequences in what the user types: ``~.`` at the start of a line cuts the session, ``~~``
    sends one ``~``."""

    def __init__(self) -> None:
        self._line_start = True
        self._pending = False

    def feed(self, data: bytes) -> bytes:
        """What to send of ``data``. Raises Cut."""
        out = bytearray()
        for byte in data:
            if self._pending:
                self._pending = False
                if byte == ord("."):
                    raise Cut
                if byte != ord("~"):
                    out += b"~"
            elif byte == ord("~") and self._line_start:
                self._pending = True
                continue
            out.append(byte)
            self._line_start = byte in b"\r\n"
        return bytes(out)


async def read(descriptor: int) -> bytes:
    """The next bytes from a terminal, pipe, socket or file; empty at the end."""
    loop = asyncio.get_running_loop()
    while True:
        await _usable(descriptor, loop.add_reader, loop.remove_reader)
        with suppress(BlockingIOError):  # another process that shares it was faster
            try:
                return os.read(descriptor, _CHUNK)
            except OSError as error:
                if error.errno == errno.EIO:  # a terminal that was hung up
                    return b""
                raise


async def write(descriptor: int, data: bytes) -> None:
    """Write everything, waiting while the reader is busy. Raises BrokenPipeError when it is gone."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        waited = await _usable(descriptor, loop.add_writer, loop.remove_writer)
        with suppress(BlockingIOError):
            view = view[os.write(descriptor, view[:_PIPE_BUF] if waited else view) :]


async def _usable(descriptor: int, add: Callable[..., None], remove: Callable[[int], bool]) -> bool:
    """Wait until a descriptor can be read or written; False for files, which always can and cannot be waited for."""
    usable = asyncio.Event()
    try:
        add(descriptor, usable.set)
    except PermissionError:
        return False
    try:
        await usable.wait()
    finally:
        remove(descriptor)
    return True


def is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def size(descriptor: int) -> tuple[int, int, int, int]:
    """Columns, rows, and the width and height in pixels (0 where the terminal does not know them)."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return 80, 24, 0, 0
    rows, columns, width, height = struct.unpack("HHHH", answer)
    return columns or 80, rows or 24, width, height


def modes(descriptor: int) -> dict[int, int]:
    """The terminal's special characters as RFC 4254 section 8 numbers them, so that Backspace, Ctrl-C and Ctrl-D
    mean the same in the guest."""
    characters = termios.tcgetattr(descriptor)[6]
    numbers = {
        1: termios.VINTR,
        2: termios.VQUIT,
        3: termios.VERASE,
        4: termios.VKILL,
        5: termios.VEOF,
        8: termios.VSTART,
        9: termios.VSTOP,
        10: termios.VSUSP,
    }
    # 0 is a character that is switched off; the protocol says that with 255.
    found = {number: characters[index][0] or 255 for number, index in numbers.items()}
    utf8_input = 0x4000  # IUTF8 in Linux's termbits.h; the termios module has no name for it
    return {**found, 42: int(bool(termios.tcgetattr(descriptor)[0] & utf8_input))}


@contextmanager
def raw(descriptor: int) -> Iterator[Callable[[], None]]:
    """Hand every key to the guest inside the block, and give the terminal back as it was, whatever happens.

    Yields what puts it in raw mode again, for after the process was stopped and continued.
    """
    before = termios.tcgetattr(descriptor)

    def enter() -> None:
        with suppress(termios.error):
            tty.setraw(descriptor, termios.TCSADRAIN)  # not the default, which throws away what was typed ahead

    enter()
    try:
        yield enter
    finally:
        with suppress(termios.error):  # a terminal that was hung up has nothing to restore
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
