"""The configuration of an X server (xorg.conf(5)), from the options of the screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thanos_tui.errors import InputError

DRIVERS = ("modesetting", "fbdev", "dummy")
# The mode of a screen in memory, where no other is asked for: what the screens of QEMU like best.
_MODE_IN_MEMORY = "1280x800@60"
_BESIDE = {"right": "RightOf", "left": "LeftOf", "below": "Below", "above": "Above"}
# fbdev turns the picture by itself, and has words of its own for it.
_FBDEV_ROTATION = {"left": "CCW", "right": "CW", "inverted": "UD"}
_LEAST_DUMMY_MEMORY = 16 << 10  # KiB: what the dummy driver takes by itself
# The width of the vertical sync pulse tells a display the shape of its picture.
_SYNC_LINES = ((4, 3, 4), (16, 9, 5), (16, 10, 6), (5, 4, 7), (15, 9, 7))


@dataclass(frozen=True)
class Screen:
    """What the options say of the screen; the defaults are for options that are not available.

    driver: one of DRIVERS, or ``auto``. resolution: ``WIDTHxHEIGHT`` or ``auto``; refresh: in Hz. outputs: how many;
    names: theirs, as far as they are not ``Virtual-1`` and so on. blank_after, dpms_after: minutes; 0 for never.
    """

    driver: str
    resolution: str
    depth: str
    outputs: int
    gl: str
    blank_after: int
    refresh: int = 60
    layout: str = "right"
    names: Sequence[str] = ()
    rotation: str = "normal"
    dpms_after: int = 0

    @property
    def mode(self) -> str | None:
        """The mode that is asked for, by the name it gets; None leaves it to the screen."""
        return None if self.resolution == "auto" else f"{self.resolution}@{self.refresh}"


def configuration(given: Mapping[str, Any]) -> str:
    """xorg.conf for the fields of a Screen, with a layout for each driver that may be used, named like it.

    Raises InputError where more screens are named than there are.
    """
    screen = Screen(**given)
    if len(screen.names) > screen.outputs:
        raise InputError(
            f"{len(screen.names)} names for {screen.outputs} screens",
            hint="x11.outputs says how many there are",
            where="x11.output-names",
        )
    drivers = DRIVERS if screen.driver == "auto" else (screen.driver,)
    flags: dict[str, str | int] = {
        # There is no udev that would tell of them.
        "AutoAddDevices": "false",
        "BlankTime": screen.blank_after,
        "StandbyTime": screen.dpms_after,
        "SuspendTime": screen.dpms_after,
        "OffTime": screen.dpms_after,
    }
    parts = [
        "# Made from the options x11.* of the profile. The X server is started with one of the layouts; its input",
        "# devices are in /run/stark/xorg.conf.d, and so is what the profile adds.",
        *_section("ServerFlags", *_options(flags)),
    ]
    if screen.gl == "none":
        parts += _section("Module", 'Disable "glx"')
    for driver in drivers:
        parts += _layout(screen, driver)
    return "\n".join(parts) + "\n"


def _layout(screen: Screen, driver: str) -> list[str]:
    """The sections that let the X server start with this driver."""
    options: dict[str, str | int] = {}
    device: list[str] = []
    outputs, mode, rotation = screen.outputs, screen.mode, screen.rotation
    if driver == "modesetting":
        names = [*screen.names, *(f"Virtual-{number}" for number in range(len(screen.names) + 1, outputs + 1))]
        options["AccelMethod"] = "none"  # its acceleration needs OpenGL and a graphics card
    elif driver == "fbdev":
        # It has one screen, in the mode that the firmware has set, and turns it by itself.
        names = []
        if rotation != "normal":
            options["Rotate"] = _FBDEV_ROTATION[rotation]
        outputs, mode, rotation = 1, None, "normal"
    else:
        # With `auto`, layout and rotation are those of a real screen that turned out not to be there.
        outputs, mode, rotation = outputs if screen.driver == driver else 1, mode or _MODE_IN_MEMORY, "normal"
        names = [f"DUMMY{number}" for number in range(outputs)]
        width, height, _ = map(int, re.split("[x@]", mode))
        device.append(f"VideoRam {max(_LEAST_DUMMY_MEMORY, 4 * width * height * outputs >> 10)}")

    monitors = [f"{driver}-{number}" for number in range(1, outputs + 1)]
    # One screen alone is the Screen section's, whatever its name; but the dummy driver does not look there.
    if outputs > 1 or driver == "dummy":
        options |= {f"Monitor-{name}": monitor for name, monitor in zip(names, monitors, strict=False)}
    lines: list[str] = []
    for before, monitor in zip([None, *monitors], monitors, strict=False):
        says: dict[str, str | int] = {"DPMS": "true" if screen.dpms_after else "false"}
        if rotation != "normal":
            says["Rotate"] = rotation
        if mode:
            says["PreferredMode"] = mode
        if outputs > 1:
            says["Enable"] = "true"  # virtual machines call screens disconnected that nobody looks at yet
        if before and screen.layout in _BESIDE:
            says[_BESIDE[screen.layout]] = before
        elif outputs > 1:
            says["Position"] = "0 0"
        lines += _section("Monitor", f'Identifier "{monitor}"', *(_timings(mode) if mode else ()), *_options(says))
    lines += _section("Device", f'Identifier "{driver}"', f'Driver "{driver}"', *device, *_options(options))
    lines += _section(
        "Screen",
        f'Identifier "{driver}"',
        f'Device "{driver}"',
        f'Monitor "{monitors[0]}"',
        f"DefaultDepth {screen.depth}",
    )
    return [*lines, *_section("ServerLayout", f'Identifier "{driver}"', f'Screen "{driver}"')]


def _timings(mode: str) -> tuple[str, ...]:
    """A mode that no display has to know, and that is not held against the display's limits."""
    return (f'Modeline "{mode}" {modeline(mode)}', "HorizSync 1-10000", "VertRefresh 1-1000")


def _options(options: Mapping[str, str | int]) -> list[str]:
    return [f'Option "{name}" "{value}"' for name, value in options.items()]


def _section(kind: str, *lines: str) -> list[str]:
    return ["", f'Section "{kind}"', *(f"    {line}" for line in lines), "EndSection"]


def modeline(mode: str) -> str:
    """The timings of ``WIDTHxHEIGHT@HZ`` by VESA's Coordinated Video Timings 1.1, as cvt(1) gives them.

    The width is a multiple of 8.
    """
    width, height, rate = map(int, re.split("[x@]", mode))
    sync_lines = next((lines for w, h, lines in _SYNC_LINES if width * h == height * w), 10)
    line_time = (1e6 / rate - 550) / (height + 3)  # µs; 550 µs for the way back to the top, 3 lines below the picture
    above = max(int(550 / line_time) + 1, sync_lines + 3)  # lines for sync pulse and back porch
    blank_percent = max(30 - 0.3 * line_time, 20)
    blank = int(width * blank_percent / (100 - blank_percent)) // 16 * 16
    total = width + blank
    sync_end = width + blank // 2
    sync_start = (sync_end - total * 8 // 100) // 8 * 8 + 8  # 8 % of the line
    clock = int(total * 1000 / line_time) // 250 / 4  # MHz, in steps of 0.25
    across = f"{width} {sync_start} {sync_end} {total}"
    down = f"{height} {height + 3} {height + 3 + sync_lines} {height + 3 + above}"
    return f"{clock:.2f} {across} {down} -hsync +vsync"


def variant(keyboard: Mapping[str, str]) -> str:
    """The variants of a keyboard's layouts, with commas between them; raises InputError where there are too many."""
    variants, layouts = (keyboard[name].split(",") for name in ("variant", "layout"))
    if len(variants) > len(layouts):
        raise InputError(
            f"{len(variants)} variants for {len(layouts)} keyboard {'layout' if len(layouts) == 1 else 'layouts'}",
            hint="x11.keyboard.layout says which layouts there are",
            where="x11.keyboard.variant",
        )
    return keyboard["variant"]


def check_sections(text: str, path: Path) -> None:
    """Raises InputError where a file of sections of xorg.conf(5) has sections that do not begin or end."""
    begun = 0  # the line
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        word = words[0].lower() if words else ""
        if (word == "section" and begun) or (word == "endsection" and not begun):
            raise InputError(f"{words[0]} where there should be none", where=f"{path}:{number}")
        if word == "section":
            begun = number
        elif word == "endsection":
            begun = 0
        elif word and not begun:
            raise InputError(
                f"{words[0]} belongs into a section", hint='Section "…" begins one', where=f"{path}:{number}"
            )
    if begun:
        raise InputError("the section that begins here has no EndSection", where=f"{path}:{begun}")
