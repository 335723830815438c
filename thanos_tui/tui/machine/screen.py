"""The live view of a machine's screen. Grabbed, it hands every key and click on to the machine.

A picture takes QEMU some 3 ms; it is fetched five times a second at most while the view is seen, and drawn only if it
differs from the one before. All of that happens in threads.

Sixels lie on top of the cells and go where those are drawn again. So they are sent after every frame that has drawn
cells of the view, and only while nothing else is seen within it; meanwhile there are half blocks.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from textual import work
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from thanos_tui import vm
from thanos_tui.errors import InputError, ThanosError
from thanos_tui.tui.graphics import Graphics, ask_limits, cell_size, graphics, is_behind, is_clear, limits, send
from thanos_tui.tui.keys import key
from thanos_tui.tui.look import Look, look
from thanos_tui.tui.machine.drawing import Frame, View, draw_graphics, draw_picture, draw_sixels, draw_text
from thanos_tui.tui.machine.kitty import Canvas
from thanos_tui.tui.machine.typing import Press, acts, chord
from thanos_tui.tui.work import perform
from thanos_tui.vm import input as keyboard
from thanos_tui.vm.input import Button, Chord, Point
from thanos_tui.vm.textscreen import Reader, TextScreen, font_of

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType
    from textual.geometry import Region

    from thanos_tui.tui.app import ThanosApp
    from thanos_tui.vm import Machine, Picture

_CALM, _LIVELY = 0.5, 0.2  # seconds between two looks, when little happens and when much does
_EAGER = 0.06  # after a key was typed: one wants to see it
_BUTTONS: dict[int, Button] = {1: "left", 2: "middle", 3: "right"}
_ZOOMS = (1, 2, 4)


class Eye:
    """Looks at one machine's screen; its methods wait, and are for a thread."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.picture: Picture | None = None
        self.screen: TextScreen | None = None
        self.canvas = Canvas()
        self._reader: Reader | None = None
        self._drawn: tuple[object, ...] = ()

    def forget(self) -> None:
        """Draw anew what the terminal has lost."""
        self.canvas = Canvas()
        self._drawn = ()

    def look(
        self, columns: int, rows: int, view: View, read: bool, symbols: Look, graphics: Graphics = "none"
    ) -> Frame | None:
        """The screen drawn for so much room; None if it would look as the last time. Raises MachineError.

        read: show as text what is text. graphics: how to show the rest.
        """
        picture = vm.picture(self.machine)
        cell, (colours, largest) = cell_size(), limits()
        wanted = (columns, rows, view, read, symbols, graphics, cell, colours, largest)
        if picture == self.picture and wanted == self._drawn:
            return None
        if picture != self.picture or (read and self.screen is None):
            if self._reader is None and (font := font_of(self.machine)):  # the firmware puts it there
                self._reader = Reader(font)
            self.screen = self._reader.read(picture) if read and self._reader else None
        self.picture, self._drawn = picture, wanted
        if read and self.screen is not None:
            return draw_text(self.screen, columns, rows, view, symbols)
        if graphics == "sixel":
            return draw_sixels(picture, columns, rows, view, cell, colours, largest)
        if graphics != "none":
            return draw_graphics(picture, columns, rows, view, self.canvas, graphics, cell[1] / cell[0])
        return draw_picture(picture, columns, rows, view, symbols, cell[1] / cell[0])


class ScreenView(Widget, can_focus=True):
    """What a machine's screen shows. Enter or a click grabs keyboard and mouse for it, Ctrl+] gives them back."""

    DEFAULT_CSS = """
    ScreenView { background: $background; color: $text-muted; }
    ScreenView:focus { background: $boost; }
    ScreenView .screen--problem { color: $text-warning; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"screen--problem"}
    BINDINGS: ClassVar[list[BindingType]] = [
        key("screen.grab", "enter,i", "grab", "Type into it", "Let your keys and clicks go to the machine.", show=True),
        key("screen.release", "ctrl+right_square_bracket", "release", "Leave", "Take keys and mouse back.", show=True),
        key("screen.zoom", "plus,equals_sign", "zoom(1)", "Closer", "Show a part of the picture larger."),
        key("screen.zoom-out", "minus", "zoom(-1)", "Farther", "Show more of the picture."),
        key("screen.left", "left,h", "pan(-1, 0)", "Left", "Look further to the left."),
        key("screen.right", "right,l", "pan(1, 0)", "Right", "Look further to the right."),
        key("screen.up", "up,k", "pan(0, -1)", "Up", "Look further up."),
        key("screen.down", "down,j", "pan(0, 1)", "Down", "Look further down."),
        key("screen.home", "home,0", "whole", "Whole", "Show the screen as at first."),
        key("screen.text", "m", "text", "Text or picture", "Show text as text, or draw everything as it is."),
        key("screen.copy", "c", "copy", "Copy text", "Copy the text that the screen shows."),
    ]
    grabbed = reactive(False, bindings=True)
    reading = reactive(True)
    """Whether text is shown as text."""

    class Grabbed(Message):
        """Keys go to the machine from now on, or no more."""

    class Problem(Message):
        """Something could not be typed, or sent."""

        def __init__(self, error: ThanosError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.frame: Frame | None = None
        self._eye: Eye | None = None
        self._view = View()
        self._problem = ""
        self._has_sent = False  # whether the terminal has pictures of ours
        self._is_lost = False  # whether cells were drawn where the terminal showed our sixels
        self._changed = 0.0  # when the picture last did (time.monotonic)
        self._typed = 0.0
        self._held: Button | None = None  # the button that the machine knows to be down
        self._pointed: Point | None = None  # where the machine's pointer was put last
        self._wake = asyncio.Event()
        self._queue: asyncio.Queue[Chord | Press] = asyncio.Queue()

    @property
    def takes_every_key(self) -> bool:
        """Whether the app's own keys, priority or not, wait until it is left."""
        return self.grabbed

    @property
    def machine(self) -> Machine | None:
        """The machine whose screen is watched."""
        return self._eye.machine if self._eye else None

    def watch_machine(self, machine: Machine | None) -> None:
        """Show this machine's screen from now on; None: nobody sees the view, so look no more."""
        if machine is None or not machine.alive:
            self.workers.cancel_node(self)
            self.grabbed = False
            self._wipe()
            self._eye = None
            if machine is not None:
                self.frame = None
                self._say("it does not run, so it has no screen")
            return
        if self._eye and self._eye.machine.directory == machine.directory and self._eye.machine.pid == machine.pid:
            return
        self._wipe()
        self.frame, self._view = None, View()
        self._eye = Eye(machine)
        if graphics() == "sixel":
            ask_limits(self.app)
        self._say("looking at its screen")
        self._watch(self._eye)
        self._send(machine)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self.refresh()

    # Looking

    @work(exclusive=True, group="screen", exit_on_error=False)
    async def _watch(self, eye: Eye) -> None:
        while True:
            self._wake.clear()
            began = time.monotonic()
            try:
                await self._look(eye)
            except ThanosError as error:
                self.frame = None
                self._say(error.message)
            now = time.monotonic()
            pause = _EAGER if now - self._typed < 1 else _LIVELY if now - self._changed < 5 else _CALM
            try:
                # Drawing takes half of a processor's time at most.
                await asyncio.wait_for(self._wake.wait(), max(pause, now - began))
            except TimeoutError:
                continue

    async def _look(self, eye: Eye) -> None:
        columns, rows = self.size
        if columns < 1 or rows < 1:
            return
        # Under a dialog cells are dimmed, and those of a picture would name another one.
        kind = graphics() if self.screen.is_active and not self.app.is_web else "none"
        if kind == "sixel" and not is_clear(self, self.region):
            kind = "none"
        if kind != "none" and is_behind(self.app):
            return  # a picture is large, and the terminal at the end of a slow line
        frame = await perform(eye.look, columns, rows, self._view, self.reading, look(), kind)
        if frame is not None and eye is self._eye:
            if frame.ahead:
                send(self.app, frame.ahead, eye.canvas.farewell(kind))
                self._has_sent = True
            before, self.frame = self.frame, frame
            self._changed = time.monotonic()
            if frame.pixels and before and before.pixels and before.place == frame.place and not self._problem:
                self._is_lost = True  # the new picture covers the old one: to draw the cells between them would flicker
            else:
                self._problem = ""
                self._is_lost = False  # nothing is to be sent until the cells are drawn
                self.refresh()
        self._mend()

    def render_lines(self, crop: Region) -> list[Strip]:
        # Nothing else tells that cells of this widget are drawn. When it is called later, the frame has been written.
        if graphics() == "sixel":
            self._is_lost = True
            self.call_later(self._mend)
        return super().render_lines(crop)

    def _mend(self) -> None:
        """Send the sixels that are lost, or have it drawn another way if something covers the view now, or no more."""
        frame = self.frame
        if not self._is_lost or frame is None or frame.is_text or self._problem:
            return
        if is_clear(self, self.region) != bool(frame.pixels):
            self._wake.set()
        elif frame.pixels and not is_behind(self.app):
            self._is_lost = False
            row, column = self.region.y + frame.top + 1, self.region.x + frame.left + 1
            send(self.app, f"\x1b7\x1b[{row};{column}H{frame.pixels}\x1b8")

    def on_mount(self) -> None:
        self.watch(self.screen, "stack_updates", self._wake.set, init=False)  # a dialog came or went
        self.app.app_resume_signal.subscribe(self, self._resumed)

    def _resumed(self, _: object) -> None:
        if self._eye is not None:
            self._eye.forget()
            self._wake.set()

    def _wipe(self) -> None:
        """Let the terminal forget the pictures that it was sent."""
        if self._eye is not None and self._has_sent:
            self._has_sent = False
            self.frame = None
            self.refresh()
            send(self.app, self._eye.canvas.farewell(graphics()), "")

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        frame = self.frame
        if frame is None or self._problem:
            if y != self.size.height // 2 or not self._problem:
                return Strip.blank(width, self.rich_style)
            text = look().cut(self._problem, width).center(width)
            return Strip([Segment(text, self.get_component_rich_style("screen--problem"))], width)
        row = y - frame.top
        if frame.pixels or not 0 <= row < len(frame.strips):
            return Strip.blank(width, self.rich_style)
        blank = Segment(" " * frame.left, self.rich_style)
        return Strip([blank, *frame.strips[row]]).adjust_cell_length(width, self.rich_style)

    def on_resize(self) -> None:
        if graphics() == "sixel":
            ask_limits(self.app)
        self._wake.set()

    # What is seen of it

    def _show(self, view: View) -> None:
        self._view = view
        self._wake.set()

    def action_zoom(self, by: int) -> None:
        at = _ZOOMS.index(self._view.zoom) + by
        self._show(replace(self._view, zoom=_ZOOMS[max(0, min(len(_ZOOMS) - 1, at))]))

    def action_pan(self, across: int, down: int) -> None:
        if self.frame is None:
            return
        left, top, width, height = self.frame.part
        # A quarter of what is seen; the middle stays where there is something to see around it.
        x, y = left + width / 2 + across * width / 4, top + height / 2 + down * height / 4
        x, y = (min(max(size / 2, place), 1 - size / 2) for place, size in ((x, width), (y, height)))
        self._show(replace(self._view, x=x, y=y))

    def action_whole(self) -> None:
        self._show(View())

    def action_text(self) -> None:
        self.reading = not self.reading
        self._wake.set()

    def action_copy(self) -> None:
        screen = self._eye.screen if self._eye else None
        if screen is None:
            self.notify("there is no text on this screen", timeout=3, markup=False)
        else:
            cast("ThanosApp", self.app).copy(screen.text(), "the screen's text")

    def summary(self) -> Content:
        """What is shown, for the line above it."""
        picture = self._eye.picture if self._eye else None
        if self.grabbed:
            return Content("typing into the machine; Ctrl+] leaves")
        if picture is None or self.frame is None:
            return Content("")
        kind = "text" if self.frame.is_text else f"picture, {self._view.zoom}x" if self._view.zoom > 1 else "picture"
        return Content(f"{picture.width}x{picture.height}, {kind}; Enter types into it")

    # Typing and pointing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Grabbed, there is one key of ours: the way out."""
        return action == "release" if self.grabbed else action != "release"

    def action_grab(self) -> None:
        if self._eye is not None and self.frame is not None:
            self.grabbed = True

    def action_release(self) -> None:
        self.grabbed = False

    def watch_grabbed(self) -> None:
        self.post_message(self.Grabbed())

    def on_blur(self) -> None:
        self.grabbed = False

    async def _on_key(self, event: events.Key) -> None:
        if not self.grabbed or any(
            active.node is self for name, active in self.screen.active_bindings.items() if name == event.key
        ):
            return
        event.stop()
        event.prevent_default()
        try:
            self._put(chord(event.key, event.character))
        except InputError as error:
            self.post_message(self.Problem(error))

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.grabbed:
            self.type(event.text)

    def type(self, text: str) -> None:
        """Type a text into the machine; a character without a key is told of, and nothing typed."""
        try:
            for each in keyboard.chords_of(text):
                self._put(each)
        except InputError as error:
            self.post_message(self.Problem(error))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        self.focus()
        if self.grabbed:
            self._held = _BUTTONS.get(event.button, "left")
            self._press(event, self._held, True)
            self.capture_mouse()  # wherever it is let go, the machine must hear of it
        else:
            self.action_grab()  # this click is for us, not for the machine

    def on_mouse_up(self, event: events.MouseUp) -> None:
        event.stop()
        if self._held is not None:
            self.release_mouse()
            self._press(event, self._held, False)
            self._held = None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.grabbed:
            self._press(event, None, False)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, "wheel-up")

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, "wheel-down")

    def _wheel(self, event: events.MouseEvent, which: Button) -> None:
        if self.grabbed:
            event.stop()
            self._press(event, which, True)
            self._press(event, which, False)

    def _press(self, event: events.MouseEvent, which: Button | None, down: bool) -> None:
        point = self.frame.point(event.x, event.y) if self.frame else None
        if point is None and which is not None and not down:
            point = self._pointed
        if point is not None:
            self._pointed = point
            self._put(Press(point, which, down))

    def _put(self, what: Chord | Press) -> None:
        self._queue.put_nowait(what)

    @work(exclusive=True, group="input", exit_on_error=False)
    async def _send(self, machine: Machine) -> None:
        """Hand on what was typed and clicked, in order; what has piled up goes together."""
        queue = self._queue = asyncio.Queue[Chord | Press]()
        while True:
            batch: list[Chord | Press] = [await queue.get()]
            while not queue.empty():
                batch.append(queue.get_nowait())
            try:
                for act in acts(machine, batch):
                    await perform(act)
            except ThanosError as error:
                self.post_message(self.Problem(error))
            self._typed = time.monotonic()
            self._wake.set()
