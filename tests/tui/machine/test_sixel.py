"""Pictures as sixels: the pixels, and the view that sends them again whenever its cells were drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import sixel as decoder
from PIL import Image
from textual.drivers.headless_driver import HeadlessDriver
from textual.widgets import Static
from watching import Modal, Stub, Watching, noise, until

from thanos_tui import vm
from thanos_tui.tui import answers, graphics
from thanos_tui.tui import look as looks
from thanos_tui.tui.answers import Answers
from thanos_tui.tui.driver import ThanosDriver
from thanos_tui.tui.look import ASCII, UNICODE, Look
from thanos_tui.tui.machine import screen as screens
from thanos_tui.tui.machine.drawing import View, draw_sixels
from thanos_tui.tui.machine.sixel import encode
from thanos_tui.vm import Machine, Picture

Drive = Callable[..., None]


def drawn(encoded: str) -> decoder.Drawn:
    """A picture of the encoder's as the terminal draws it."""
    found = decoder.PICTURE.fullmatch(f"\x1b7\x1b[1;1H{encoded}\x1b8")
    assert found
    return decoder.draw(found["data"])


def per_cent(rgb: bytes) -> list[tuple[int, int, int]]:
    levels = [round(level * 100 / 255) for level in rgb]
    return list(zip(levels[::3], levels[1::3], levels[2::3], strict=True))


def in_order(result: decoder.Drawn) -> list[tuple[int, int, int]]:
    return [result.pixels[x, y] for y in range(result.height) for x in range(result.width)]


# The pixels


def test_a_small_picture_is_these_bytes() -> None:
    picture = Picture(8, 6, (b"\xff\0\0" * 7 + b"\0\0\xff") * 6)
    encoded = encode(picture, 8, 6, 256)
    red, blue = ("0", "1") if "#0;2;100" in encoded else ("1", "0")
    assert encoded.startswith('\x1bP7;0;0q"1;1;8;6#')
    assert f"#{red};2;100;0;0" in encoded
    assert f"#{blue};2;0;0;100" in encoded
    assert f"#{red}!7~" in encoded
    assert f"#{blue}!7?~" in encoded
    assert encoded.endswith("\x1b\\")


@pytest.mark.parametrize(("width", "height"), [(1, 6), (7, 12), (64, 48), (333, 60)])
def test_few_colours_come_out_exactly(width: int, height: int) -> None:
    chance = random.Random(width)  # noqa: S311
    colours = [bytes(chance.choice((0, 60, 130, 255)) for _ in range(3)) for _ in range(12)]
    rgb = b"".join(chance.choice(colours) for _ in range(width * height))
    result = drawn(encode(Picture(width, height, rgb), width, height, 256))
    assert (result.width, result.height) == (width, height)
    assert in_order(result) == per_cent(rgb)


@pytest.mark.parametrize("colours", [256, 16, 2])
def test_many_colours_come_out_as_pillow_chose_them(colours: int) -> None:
    picture = noise(40, 30)
    image = Image.frombytes("RGB", (40, 30), picture.rgb)
    chosen = image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGB")
    result = drawn(encode(picture, 40, 30, colours))
    assert len(result.colours) <= colours
    assert in_order(result) == per_cent(chosen.tobytes())


def test_a_busy_picture_has_fewer_colours() -> None:
    # What takes long is not the pixels, but how many colours meet in a band.
    assert len(drawn(encode(noise(300, 240), 300, 240, 256)).colours) <= 64


def test_a_picture_is_scaled_and_a_part_of_it_is_shown() -> None:
    half = Picture(40, 20, (b"\xff\0\0" * 20 + b"\0\0\xff" * 20) * 20)
    frame = draw_sixels(half, 30, 10, View(), (6, 13), 256, None)
    assert frame.place == (0, 1, 30, 7)
    whole = drawn(frame.pixels)
    assert (whole.width, whole.height) == (180, 90)  # 91 would begin another band
    assert whole.pixels[0, 0] == whole.pixels[80, 89] == (100, 0, 0)
    assert whole.pixels[100, 0] == whole.pixels[179, 89] == (0, 0, 100)
    near = draw_sixels(half, 30, 10, View(zoom=4, x=0.9), (6, 13), 256, None)
    assert set(in_order(drawn(near.pixels))) == {(0, 0, 100)}
    assert near.part[0] == 0.75


def test_a_picture_is_as_large_as_the_terminal_takes() -> None:
    frame = draw_sixels(noise(64, 32), 200, 60, View(), (10, 20), 16, (1000, 500))
    result = drawn(frame.pixels)
    assert frame.place == (50, 17, 100, 25)
    assert (result.width, result.height) == (1000, 498)
    assert len(result.colours) <= 16
    assert frame.width == 100  # a click lands where it is seen
    assert drawn(draw_sixels(noise(64, 32), 5, 1, View(), (10, 20), 16, (1, 1)).pixels).height == 18


# The view


@dataclass
class Seen:
    """What the machine shows, how often it was looked at, and what the terminal was sent besides frames."""

    picture: Picture
    looked: int = 0
    written: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.places)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where pictures were drawn: rows and columns, from 1."""
        found = decoder.PICTURE.finditer("".join(self.written))
        return [(int(each["row"]), int(each["column"])) for each in found]

    def last(self) -> decoder.Drawn:
        return decoder.draw(decoder.PICTURE.findall("".join(self.written))[-1][2])


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    state = Seen(noise(64, 32))

    def look(_: Machine) -> Picture:
        state.looked += 1
        return state.picture

    monkeypatch.setattr(vm, "picture", look)
    monkeypatch.setattr(screens, "font_of", lambda _: None)
    monkeypatch.setattr(screens, "cell_size", lambda: (4, 8))
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: state.written.append(data))
    monkeypatch.setattr(ThanosDriver, "known", Answers(sixel=True))
    monkeypatch.setattr(graphics, "_setting", "auto")
    return state


def blocks(app: Watching) -> bool:
    """Whether the cells of the view are a picture."""
    return UNICODE.upper in "".join(app.view.render_line(y).text for y in range(app.view.size.height))


async def rest(pilot: Any, seen: Seen, times: int = 3) -> None:
    wanted = seen.looked + times
    await until(pilot, lambda: seen.looked >= wanted)


def test_the_view_sends_what_changes_and_nothing_twice(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: seen.sent)
        await rest(pilot, seen)
        assert seen.sent == 1
        assert "".join(seen.written).startswith(answers.LIMITS)
        assert not blocks(app)
        frame = app.view.frame
        assert frame is not None
        assert seen.places == [(1 + app.view.region.y + frame.top, 1 + app.view.region.x + frame.left)]
        assert (seen.last().width, seen.last().height) == (frame.width * 4, len(frame.strips) * 8 // 6 * 6)

        seen.picture = Picture(64, 32, b"\xff\0\0" * 64 * 32)
        await until(pilot, lambda: seen.sent == 2)
        assert set(seen.last().pixels.values()) == {(100, 0, 0)}
        app.query_one("#rest", Static).update("drawn outside of it")
        await rest(pilot, seen)
        assert seen.sent == 2

        app.view.watch_machine(None)
        app.view.watch_machine(cast("Machine", Stub()))
        await until(pilot, lambda: seen.sent == 3)

    drive(app, script, size=(80, 24))


def test_drawn_cells_get_their_pixels_again(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: seen.sent)
        app.view.refresh()
        await until(pilot, lambda: seen.sent == 2)
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: seen.places[-1] != seen.places[0])
        sent = seen.sent
        app.screen.refresh()
        await until(pilot, lambda: seen.sent > sent)

    drive(app, script, size=(80, 24))


def dialog(app: Watching) -> Callable[[], object]:
    app.push_screen(Modal())
    return app.pop_screen


def toast(app: Watching) -> Callable[[], object]:
    app.notify("a notice", timeout=600)
    return app.clear_notifications


def over(app: Watching) -> Callable[[], object]:
    app.query_one("#rest").styles.offset = (3, -5)
    return lambda: setattr(app.query_one("#rest").styles, "offset", (0, 0))


@pytest.mark.parametrize("cover", [dialog, toast, over])
def test_what_is_covered_is_half_blocks_and_then_the_picture_again(
    drive: Drive, seen: Seen, cover: Callable[[Watching], Callable[[], object]]
) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: seen.sent)
        place = app.view.frame and app.view.frame.place
        uncover = cover(app)
        await until(pilot, lambda: blocks(app))
        sent = seen.sent
        assert app.view.frame
        assert app.view.frame.place == place
        seen.picture = noise(64, 32, 1)
        await rest(pilot, seen)
        assert seen.sent == sent  # nothing is drawn on top of what covers it
        uncover()
        await until(pilot, lambda: seen.sent > sent)
        assert not blocks(app)

    drive(app, script, size=(80, 24), notifications=True)


def test_a_view_that_is_not_seen_sends_nothing(drive: Drive, seen: Seen) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: seen.sent)
        app.view.display = False
        await until(pilot, lambda: not app.view.size.area)
        sent, looked = seen.sent, seen.looked
        seen.picture = Picture(64, 32, b"\xff\0\0" * 64 * 32)
        app.view.refresh()
        await pilot.pause(1)  # two looks and more
        assert (seen.sent, seen.looked) == (sent, looked)
        app.view.display = True
        await until(pilot, lambda: seen.sent > sent)
        assert set(seen.last().pixels.values()) == {(100, 0, 0)}

    drive(app, script, size=(80, 24))


def test_a_terminal_that_is_behind_gets_it_when_it_is_not(
    drive: Drive, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: seen.sent)
        monkeypatch.setattr(screens, "is_behind", lambda _: True)
        app.view.refresh()
        await pilot.pause(0.5)
        assert seen.sent == 1
        monkeypatch.setattr(screens, "is_behind", lambda _: False)
        await until(pilot, lambda: seen.sent == 2)

    drive(app, script, size=(80, 24))


@pytest.mark.parametrize("symbols", [ASCII, Look(colours=0)])
def test_in_ascii_and_without_colours_nothing_is_sent(drive: Drive, seen: Seen, symbols: Look) -> None:
    looks.use(symbols)
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: app.view.frame is not None)
        await rest(pilot, seen)
        assert not any("\x1bP" in data or answers.LIMITS in data for data in seen.written)

    drive(app, script, size=(80, 24))


def test_in_a_browser_nothing_is_sent(drive: Drive, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeadlessDriver, "is_web", True)
    monkeypatch.setattr(graphics, "_setting", "sixel")
    app = Watching()

    async def script(pilot: Any) -> None:
        await until(pilot, lambda: blocks(app))
        await rest(pilot, seen)
        assert not seen.sent

    drive(app, script, size=(80, 24))
