"""The view of many lines: what it shows, follows, finds, drops and copies; and that codes in it do no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.style import Style
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from waiting import until

from thanos_tui.tui.lines import Lines, tells_of_error
from thanos_tui.tui.styled import Line, breaks, pairs, plain, plain_all, rows_of, styled

Drive = Callable[..., None]


class Shown(App[None]):
    """An app with nothing but lines, which remembers what was copied and what was picked."""

    def __init__(self, *lines: Line, **how: Any) -> None:
        super().__init__()
        self.view = Lines(lines, **how)
        self.picked: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.view

    def on_lines_picked(self, message: Lines.Picked) -> None:
        self.picked.append(message.index)

    def rows(self) -> list[str]:
        view = self.view
        return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


async def settled(pilot: Pilot[Any]) -> None:
    view = pilot.app.query_one(Lines)
    await pilot.pause(0.02)
    await until(pilot, lambda: not view._due and not view._jobs)


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m and not", "red and not"),
        ("\x9b32mgreen", "green"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://a.b\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2Jcleared\x1b[5;5H", "cleared"),
        ("a\tb", "a       b"),
        ("\x1b[31ma\x1b[0m\tb", "a       b"),
        ("50 %\r100 %\r\n", "100 %"),
        ("bell\x07 and null\x00", "bell and null"),
        ("cut off\x1b[", "cut off"),
        ("[x] [bold]not markup[/]", "[x] [bold]not markup[/]"),
        (("all of it", "error"), "all of it"),
        ((("one", "muted"), (" two\x1b[31m", "")), "one two"),
        ((), ""),
    ],
)
def test_the_text_of_a_line(line: Line, text: str) -> None:
    assert plain(line) == text
    assert plain_all([line, "other"]) == [text, "other"]
    assert "".join(piece for piece, _ in styled(line, lambda _name: Style())) == text


def test_colours_become_styles_and_end_with_the_line() -> None:
    pieces = styled("a\x1b[31mb\x1b[1mc\x1b[0md\x1b[48;2;1;2;3me", lambda _name: Style())
    assert [(text, style.color and style.color.name, style.bold) for text, style in pieces] == [
        ("a", None, None),
        ("b", "color(1)", None),
        ("c", "color(1)", True),
        ("d", None, None),
        ("e", None, None),
    ]
    assert pieces[-1][1].bgcolor is not None
    assert styled("next", lambda _name: Style())[0][1].color is None


def test_pairs_of_one_and_of_several() -> None:
    assert pairs(("text", "error")) == (("text", "error"),)
    assert pairs((("a", "x"), ("b", ""))) == (("a", "x"), ("b", ""))


@pytest.mark.parametrize(
    ("text", "width", "cuts"),
    [("", 4, []), ("abcd", 4, []), ("abcdefghij", 4, [4, 8]), ("日本語", 4, [2]), ("a日本語", 4, [2]), ("abc", 0, [])],
)
def test_where_a_line_is_broken(text: str, width: int, cuts: list[int]) -> None:
    assert breaks(text, width) == cuts
    assert rows_of(text, width) == len(cuts) + 1


def test_it_follows_the_end_until_one_scrolls_up_and_again_from_the_end(drive: Drive) -> None:
    app = Shown(*numbered(100))

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        assert app.rows()[-1] == "line 99"
        app.view.extend(numbered(50, 100))
        await settled(pilot)
        assert app.rows()[-1] == "line 149"
        app.view.focus()
        await pilot.press("pageup")
        assert not app.view.following
        above = app.rows()
        app.view.extend(numbered(50, 150))
        await settled(pilot)
        assert app.rows() == above
        await pilot.press("end")
        app.view.append("the last")
        await settled(pilot)
        assert app.rows()[-1] == "the last"
        await pilot.press("f")
        app.view.append("not followed")
        await settled(pilot)
        assert app.rows()[-1] == "the last"

    drive(app, script)


def test_the_oldest_lines_go_and_the_view_stays(drive: Drive) -> None:
    app = Shown(limit=1000)

    async def script(pilot: Pilot[Any]) -> None:
        app.view.extend(numbered(1050))
        await settled(pilot)
        assert app.view.dropped == 0
        app.view.focus()
        await pilot.press("pageup")
        await settled(pilot)
        above = app.rows()
        app.view.extend(numbered(100, 1050))
        await settled(pilot)
        assert (len(app.view), app.view.dropped) == (1000, 150)
        assert app.rows() == above
        await pilot.press("home")
        await settled(pilot)
        assert "150 earlier lines were dropped" in app.rows()[0]
        assert app.rows()[1] == "line 150"

    drive(app, script)


def test_search_goes_to_matches_while_one_types(drive: Drive) -> None:
    app = Shown(*numbered(3000), "the \x1b[31mNee\x1b[0mdle", *numbered(3000), "another needle", follow=False)

    async def script(pilot: Pilot[Any]) -> None:
        app.view.focus()
        await pilot.press("slash", *"need")
        await settled(pilot)
        assert app.view.hits == 2
        assert "/need" in app.rows()[-1]
        assert "1 of 2" in app.rows()[-1]
        assert "the Needle" in app.rows()
        await pilot.press("enter", "n")
        assert "another needle" in app.rows()
        assert "2 of 2" in app.rows()[-1]
        await pilot.press("n")
        assert "the Needle" in app.rows()
        await pilot.press("N")
        assert "another needle" in app.rows()
        app.view.append("a third NEEDLE")
        await settled(pilot)
        assert app.view.hits == 3
        await pilot.press("escape")
        assert app.view.query_text == ""
        assert not any(row.startswith("/") for row in app.rows())
        await pilot.press("slash", *"zzz")
        await settled(pilot)
        assert "not found" in app.rows()[-1]
        await pilot.press("backspace", "backspace", "backspace", "enter")
        assert app.view.query_text == ""

    drive(app, script)


def test_a_search_marks_what_it_found(drive: Drive) -> None:
    app = Shown("one [x] two", "three", follow=False)

    async def script(pilot: Pilot[Any]) -> None:
        app.view.search("[X]")
        await settled(pilot)
        marked = {segment.text: segment.style for segment in app.view.render_line(0)}
        assert marked["[x]"] != marked["one "]

    drive(app, script)


def test_wrapped_text_without_a_style_stands_on_the_widgets_ground(drive: Drive) -> None:
    app = Shown("word " * 40, wrap=True)

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        ground = app.view.rich_style.bgcolor
        assert ground is not None
        for row in range(3):
            drawn = list(app.view.render_line(row))
            assert {segment.style.bgcolor if segment.style else None for segment in drawn} == {ground}

    drive(app, script)


def test_the_first_error(drive: Drive) -> None:
    app = Shown(*numbered(2000), ("it could not be", "error"), "another error", *numbered(100))

    async def script(pilot: Pilot[Any]) -> None:
        app.view.focus()
        await pilot.press("e")
        await settled(pilot)
        assert "it could not be" in app.rows()
        assert not app.view.following

    drive(app, script)
    assert tells_of_error("E: Failed to fetch")
    assert not tells_of_error("terrors are no news")


def test_long_lines_wrap_or_scroll(drive: Drive) -> None:
    app = Shown("x" * 100 + "END", "日" * 50, "short", follow=False)

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        assert app.view.max_scroll_x > 20
        app.view.focus()
        await pilot.press("w")
        await settled(pilot)
        rows = app.rows()
        assert [len(row) for row in rows[:5]] == [80, 23, 40, 10, 5]
        assert rows[1].endswith("END")
        assert app.view.max_scroll_x == 0
        await pilot.resize_terminal(40, 10)
        await settled(pilot)
        assert [len(row) for row in app.rows()[:7]] == [40, 40, 23, 20, 20, 10, 5]

    drive(app, script)


def test_wrapped_lines_follow_and_drop(drive: Drive) -> None:
    app = Shown(wrap=True, limit=500)

    async def script(pilot: Pilot[Any]) -> None:
        for start in range(0, 2000, 100):
            app.view.extend(f"{number} " + "y" * 100 for number in range(start, start + 100))
            await settled(pilot)
        assert app.rows()[-2].startswith("1999 ")
        assert app.view.dropped + len(app.view) == 2000
        app.view.search("1990 ")
        await settled(pilot)
        assert any(row.startswith("1990 ") for row in app.rows())

    drive(app, script)


def test_the_cursor_moves_picks_and_stays_in_sight(drive: Drive) -> None:
    app = Shown(*numbered(100), cursor=True, follow=False)

    async def script(pilot: Pilot[Any]) -> None:
        app.view.focus()
        await pilot.press("down", "j", "down", "up", "k")
        assert app.view.cursor_line == 1
        await pilot.press("pagedown", "pagedown", "enter")
        assert app.view.cursor_line is not None
        assert f"line {app.view.cursor_line}" in app.rows()
        assert app.picked == [app.view.cursor_line]
        await pilot.click(Lines, offset=(2, 0), times=2)
        assert app.picked[-1] == app.view.scroll_offset.y
        app.view.replace(numbered(3))
        assert app.view.cursor_line == 2

    drive(app, script)


def test_copying_a_line_a_selection_and_all(drive: Drive) -> None:
    app = Shown("one", "\x1b[31mtwo\x1b[0m", "three", cursor=True, follow=False)

    async def script(pilot: Pilot[Any]) -> None:
        app.view.focus()
        await pilot.press("down", "c")
        assert app.clipboard == "two"
        await pilot.press("C")
        assert app.clipboard == "one\ntwo\nthree"
        await pilot.mouse_down(Lines, offset=(1, 0))
        await pilot.hover(Lines, offset=(2, 1))
        await pilot.mouse_up(Lines, offset=(2, 1))
        await pilot.press("c")
        assert app.clipboard.splitlines()[0] == "ne"
        assert app.clipboard.splitlines()[1].startswith("tw")

    drive(app, script)


def test_only_what_is_seen_is_parsed(drive: Drive) -> None:
    app = Shown()
    drawn: list[int] = []

    async def script(pilot: Pilot[Any]) -> None:
        draw = app.view._draw

        def counting(index: int, current: bool) -> Any:
            drawn.append(index)
            return draw(index, current)

        app.view._draw = counting  # type: ignore[method-assign]
        app.view.extend(numbered(100_000))
        await settled(pilot)
        assert app.rows()[-1] == "line 99999"

    drive(app, script)
    assert 0 < len(drawn) < 200
