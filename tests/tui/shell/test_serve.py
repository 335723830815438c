"""The app in a browser: who gets in, and that it is the app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual_serve")

from aiohttp import ClientSession, WSServerHandshakeError, web

from thanos_tui.errors import HostError
from thanos_tui.tui import serve

TOKEN = "t" * 43


def _served(command: str, script: Callable[[str, ClientSession], Awaitable[None]]) -> None:
    async def main() -> None:
        listening = serve._listen(0)
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        runner = web.AppRunner(await serve.guarded(command, origin, TOKEN))
        await runner.setup()
        await web.SockSite(runner, listening).start()
        try:
            async with ClientSession() as session:
                await script(origin, session)
        finally:
            await runner.cleanup()

    asyncio.run(main())


def test_only_who_knows_the_path_gets_in() -> None:
    async def script(origin: str, session: ClientSession) -> None:
        for path, status in (
            ("/", 404),
            ("/ws", 404),
            ("/static/js/textual.js", 404),
            ("/download/x", 404),
            (f"/{TOKEN[:-1]}/", 404),
            (f"/{TOKEN}/", 200),
            (f"/{TOKEN}/static/js/textual.js", 200),
        ):
            async with session.get(origin + path) as answer:
                assert answer.status == status, path

    _served("false", script)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "localhost:80"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
@pytest.mark.parametrize("path", ["", "ws", "static/js/textual.js"])
def test_other_hosts_and_pages_do_not(headers: dict[str, str], path: str) -> None:
    async def script(origin: str, session: ClientSession) -> None:
        async with session.get(f"{origin}/{TOKEN}/{path}", headers=headers) as answer:
            assert answer.status == 403
        with pytest.raises(WSServerHandshakeError):
            await session.ws_connect(f"{origin}/{TOKEN}/ws", headers=headers)

    _served("false", script)


def test_the_page_loads_nothing_from_elsewhere_and_tells_nobody() -> None:
    async def script(origin: str, session: ClientSession) -> None:
        async with session.get(f"{origin}/{TOKEN}/") as answer:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            text = await answer.text()
            assert f'data-session-websocket-url="ws://{origin[7:]}/{TOKEN}/ws"' in text

    _served("false", script)


def test_it_is_the_app_that_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("THANOS_TUI_ASCII", "0")):
        monkeypatch.setenv(name, value)
    profile = tmp_path / "a b.thanos"
    profile.write_text("thanos: 1\n")

    async def script(origin: str, session: ClientSession) -> None:
        seen = b""
        async with session.ws_connect(f"{origin}/{TOKEN}/ws?width=80&height=24", headers={"Origin": origin}) as page:
            await page.send_json(["resize", {"width": 80, "height": 24}])
            while b"Services" not in seen:
                message: Any = await asyncio.wait_for(page.receive(), 60)
                assert isinstance(message.data, bytes | str), message
                seen += message.data if isinstance(message.data, bytes) else message.data.encode()
            await page.send_json(["stdin", "?"])
            while b"Configure: help" not in seen:
                message = await asyncio.wait_for(page.receive(), 60)
                seen += message.data if isinstance(message.data, bytes) else message.data.encode()
        assert b"a b.thanos" in seen

    _served(serve.command(profile, ["kernel.cmdline=quiet loglevel=3"], tmp_path), script)


def test_nothing_of_a_command_line_is_for_the_shell(tmp_path: Path) -> None:
    words = serve.command(tmp_path / "$(x).thanos", ["hostname=`x`"], Path("-o;x"))
    assert "'hostname=`x`'" in words
    assert f"'{tmp_path}/$(x).thanos'" in words


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(HostError, match="Address already in use"):
            serve._listen(taken.getsockname()[1])
