"""``--serve``: the app in a browser on this machine, through textual-serve.

textual-serve itself lets in whoever reaches its port: other users of the machine, and any web page that the browser
shows (it checks neither who asks nor the Origin of a websocket). Whoever gets in builds images and opens consoles as
this user. So what it serves is put behind

- a path with 256 random bits in it, printed on this terminal only; everything else is "not found";
- a check that requests are made to this very host and port (against DNS rebinding) and, where a browser says from which
  page, that it is ours;
- headers that keep the page from loading anything from elsewhere and from telling its address.

The server listens on the loopback address only. Every page that is opened is an app of its own.
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thanos_tui.errors import HostError

if TYPE_CHECKING:
    from aiohttp import web

_ADDRESS = "127.0.0.1"


def serve(port: int, profile: Path | None, settings: Sequence[str], output: Path) -> int:
    """Serve the app until a signal comes. port: 0 for any that is free. Raises HostError."""
    try:
        from aiohttp import web
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    listening = _listen(port)
    origin = f"http://{_ADDRESS}:{listening.getsockname()[1]}"
    token = secrets.token_urlsafe(32)

    def announce(*_: object) -> None:
        print(f"the app is at {origin}/{token}/\nCtrl-C ends it", flush=True)

    # What the app is drawn on then is the browser's terminal, whatever this one can do.
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", THANOS_TUI_ASCII="0")
    os.environ.pop("NO_COLOR", None)
    # Its access log would write the secret path wherever our output goes.
    application = guarded(command(profile, settings, output), origin, token)
    web.run_app(application, sock=listening, print=announce, access_log=None)
    return 0


def command(profile: Path | None, settings: Sequence[str], output: Path) -> str:
    """The command line of one app, as textual-serve hands it to a shell."""
    words = [sys.executable, "-m", "thanos_tui", "tui", "--output", str(output.absolute())]
    for setting in settings:
        words += ["--set", setting]
    return shlex.join([*words, *(["--", str(profile.absolute())] if profile else [])])


async def guarded(command: str, origin: str, token: str) -> web.Application:
    """textual-serve's application below ``/TOKEN/``, for requests made to ``origin`` only. Raises HostError."""
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ModuleNotFoundError as error:
        raise _missing(error) from error

    host = origin.removeprefix("http://")
    headers = {
        "Content-Security-Policy": f"default-src 'self' 'unsafe-inline' data: ws://{host}; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }

    @web.middleware
    async def ours(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # Browsers name the page that opens a websocket; what is no browser has to know the token as well.
        page = request.headers.get("Origin", origin)
        if request.headers.get("Host") != host or page != origin:
            raise web.HTTPForbidden
        response = await handler(request)
        if not response.prepared:
            response.headers.update(headers)
        return response

    class Quiet(Server):
        async def on_startup(self, app: web.Application) -> None:
            """Instead of a banner: where the app is to be found is said once the port is open."""

    inner = await Quiet(command, host=_ADDRESS, title="ThanOS", public_url=origin)._make_app()
    outer = web.Application(middlewares=[ours])
    outer.add_subapp(f"/{token}", inner)
    return outer


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_ADDRESS, port))
        listening.listen(16)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise HostError(
            f"cannot listen on port {port}: {reason}", hint="leave the port out to take a free one"
        ) from error
    return listening


def _missing(error: ModuleNotFoundError) -> HostError:
    return HostError(
        f"--serve needs a package that is not installed: {error.name}",
        hint="install it: pip install 'thanos-tui[serve]'",
    )
