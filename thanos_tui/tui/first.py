"""The first frame: what the app's screen will look like, drawn at once, while Textual is still being loaded.

Loading takes a while; a terminal that stays dark for so long makes a program feel slow. This is imported before
everything else and imports nothing itself but what every Python has loaded anyway. Once the profile has been read, the
first menu is written into it, too: there is something to read while the rest is loaded.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

ALTERNATE = "\x1b[?1049h"
_BACK = "\x1b[0m\x1b[?25h\x1b[?1049l"
_TABS = (" 1 Configure ", " 2 YAML ", " 3 Build ", " 4 Machine ", " 5 Console ")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Colours:
    """Colours as ``#rrggbb``: of the ground, the bars, the tab that is shown, and text."""

    def __init__(self, ground: str, bar: str, tab: str, text: str) -> None:
        self.all = (ground, bar, tab, text)


PLAIN = Colours("", "", "", "")  # the terminal's own, with the tab in reverse video

_drawn: tuple[int, int, Colours] | None = None  # the frame that stands: its width, height and colours


def wanted(words: Sequence[str]) -> bool:
    """Whether a command line surely starts the app: nothing, or a profile that exists; and whether there is a screen.

    Whatever may end with a message about the command line waits until that is read.
    """
    plain = not words or (len(words) == 1 and words[0].endswith(".thanos") and os.path.isfile(words[0]))  # noqa: PTH113
    return (
        plain
        and sys.stdin.isatty()
        and sys.stderr.isatty()
        and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    )


def draw() -> None:
    """Draw the frame on the alternate screen. A signal that ends the program from now on restores the screen first."""
    global _drawn
    try:
        width, height = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return
    if width < 20 or height < 5:
        return
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    colours = _remembered(os.environ)
    drawn = frame(width, height, *colours.all)
    _drawn = (width, height, colours)  # before the first byte: a signal may come between
    _write(drawn)


def fill(rows: Sequence[str], status: str) -> None:
    """Write the rows of the first menu, the first of them under the cursor, and the status line into the frame.

    Nothing happens where no frame stands. What is not ASCII is left out: how wide it is would have
    to be looked up.
    """
    if _drawn is not None and all(text.isascii() and text.isprintable() for text in (*rows, status)):
        width, height, colours = _drawn
        _write(filling(width, height, rows, status, *colours.all))


def filling(
    width: int, height: int, rows: Sequence[str], status: str, ground: str, bar: str, tab: str, text: str
) -> str:
    """The bytes that write rows and the status line into the frame."""
    chosen = _sgr(text, tab) if tab else "\x1b[0;7m"
    lines = [f"\x1b[{height - 1};1H{_sgr(text, bar)}{status[:width]}"]
    for number, row in enumerate(rows[: height - 4]):
        lines.append(f"\x1b[{number + 3};1H{_sgr(text, ground) if number else chosen}{row[:width]}")
    return f"{''.join(lines)}\x1b[0m\x1b[1;1H"


def frame(width: int, height: int, ground: str, bar: str, tab: str, text: str) -> str:
    """The bytes that draw the frame: tabs on top, the status line and the keys at the bottom, the ground between."""
    tabs = _TABS if sum(map(len, _TABS)) <= width else tuple(label[: 3 + 4] for label in _TABS)
    top = "".join(tabs)[:width]
    shown = min(len(tabs[0]), width)
    bars, body = _sgr(text, bar), _sgr(text, ground)
    chosen = _sgr(text, tab) if tab else "\x1b[0;7m"
    lines = [f"\x1b[1;1H{chosen}\x1b[1m{top[:shown]}{bars}{top[shown:]}{' ' * (width - len(top))}"]
    lines += [f"\x1b[{row};1H{body}{' ' * width}" for row in range(2, height - 1)]
    # The last cell stays free: writing it would scroll terminals that wrap at once.
    lines += [f"\x1b[{height - 1};1H{bars}{' ' * width}", f"\x1b[{height};1H{bars}{' ' * (width - 1)}"]
    return f"{ALTERNATE}\x1b[?25l{''.join(lines)}\x1b[0m\x1b[1;1H"


def _sgr(text: str, ground: str) -> str:
    codes = ["0"]
    for colour, code in ((text, 38), (ground, 48)):
        if colour:
            codes.append(f"{code};2;{int(colour[1:3], 16)};{int(colour[3:5], 16)};{int(colour[5:7], 16)}")
    return f"\x1b[{';'.join(codes)}m"


def taken_over() -> bool:
    """Whether a frame stands on the alternate screen; the app has it from now on."""
    global _drawn
    stood, _drawn = _drawn, None
    return stood is not None


def restore() -> None:
    """Take the frame away, if the app has not taken it over: what went wrong is said on the ordinary screen."""
    if taken_over():
        _write(_BACK)


def _end(number: int, _frame: FrameType | None) -> None:
    restore()
    os._exit(130 if number == signal.SIGINT else 128 + number)


def _write(data: str) -> None:
    # Past Python's own buffer, and whatever state it is in when a signal comes.
    try:  # noqa: SIM105  (contextlib takes a while to load)
        os.write(sys.stderr.fileno(), data.encode())
    except OSError:
        pass  # the terminal is gone, and with it the frame


# The colours of the theme last used, by the kind of terminal. A plain file: reading the settings takes longer than
# drawing all of the frame may.


def _file(environment: Mapping[str, str]) -> str:
    state = environment.get("XDG_STATE_HOME", "")
    base = state if state.startswith("/") else os.path.expanduser("~/.local/state")  # noqa: PTH111
    return f"{base}/thanos-tui/first-frame"


def _kind(environment: Mapping[str, str]) -> str:
    return " ".join(environment.get(name, "-") or "-" for name in ("TERM", "COLORTERM", "NO_COLOR"))


def _remembered(environment: Mapping[str, str]) -> Colours:
    try:
        with open(_file(environment), encoding="ascii") as stream:  # noqa: PTH123
            kind, *colours = stream.read(300).splitlines()
    except (OSError, ValueError):
        return PLAIN
    fits = len(colours) == 4 and all(map(_is_colour, colours))
    return Colours(*colours) if fits and kind == _kind(environment) else PLAIN


def _is_colour(text: str) -> bool:
    return not text or (len(text) == 7 and text[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in text[1:]))


def remember(environment: Mapping[str, str], colours: Colours) -> None:
    """Keep the colours for the next first frame. Nothing is lost where that fails: it is drawn in plain then."""
    from contextlib import suppress
    from pathlib import Path

    from thanos_tui.errors import HostError
    from thanos_tui.files import replacing

    said = "\n".join((_kind(environment), *colours.all)) + "\n"
    target = Path(_file(environment))
    with suppress(OSError, HostError, UnicodeEncodeError):
        if target.exists() and target.read_text(encoding="ascii", errors="replace") == said:
            return
        with replacing(target) as stream:
            stream.write(said.encode("ascii"))
