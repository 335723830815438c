"""From Textual's keys to a terminal's: which key it was, what was held with it, and which character it typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thanos_tui.tui.terminal.emulator import ALT, CTRL, SHIFT, SUPER, Emulator

if TYPE_CHECKING:
    from textual.events import Key

_MODIFIERS = {"shift": SHIFT, "alt": ALT, "meta": ALT, "ctrl": CTRL, "super": SUPER}
_NAMED = frozenset(
    {
        "up",
        "down",
        "left",
        "right",
        "home",
        "end",
        "pageup",
        "pagedown",
        "insert",
        "delete",
        "backspace",
        "enter",
        "tab",
    }
    | {"escape", *(f"f{number}" for number in range(1, 25))}
)
# Textual's names of characters that it does not call by themselves when something is held with them.
_CHARACTERS = {
    "space": " ", "at": "@", "left_square_bracket": "[", "right_square_bracket": "]", "backslash": "\\",
    "circumflex_accent": "^", "underscore": "_", "minus": "-", "plus": "+", "equals_sign": "=", "slash": "/",
    "full_stop": ".", "comma": ",", "question_mark": "?", "exclamation_mark": "!", "quotation_mark": '"',
    "apostrophe": "'", "number_sign": "#", "dollar_sign": "$", "percent_sign": "%", "ampersand": "&", "asterisk": "*",
    "left_parenthesis": "(", "right_parenthesis": ")", "colon": ":", "semicolon": ";", "less_than_sign": "<",
    "greater_than_sign": ">", "grave_accent": "`", "left_curly_bracket": "{", "right_curly_bracket": "}",
    "vertical_line": "|", "tilde": "~", "hyphen_minus": "-", "low_line": "_", "commercial_at": "@", "solidus": "/",
    "plus_sign": "+", "reverse_solidus": "\\", "exclamation": "!",
}  # fmt: skip


def parse(key: str, character: str | None) -> tuple[str, int, str]:
    """The key's own name, what was held (SHIFT | …), and the character it typed, if any.

    key, character: as in Textual's Key event: ``("alt+shift+x", "X")`` gives ``("x", ALT | SHIFT, "X")``.
    """
    *held, name = key.split("+") if key != "+" else ["+"]
    modifiers = 0
    for each in held:
        modifiers |= _MODIFIERS.get(each, 0)
    text = character if character is not None and character.isprintable() else ""
    if name in _NAMED:
        return name, modifiers, ""
    name = _CHARACTERS.get(name, name)
    if len(name) != 1:
        name = text
    if name.isupper() and len(name) == 1:
        if modifiers & (CTRL | ALT):
            modifiers |= SHIFT
        text = text or name
        name = name.lower()
    if not text and len(name) == 1 and not modifiers & CTRL:
        text = name.upper() if modifiers & SHIFT else name
    return name, modifiers, text


def encode(emulator: Emulator, event: Key) -> bytes:
    """What a key press sends to the program in the terminal; nothing for keys that terminals do not send."""
    name, modifiers, text = parse(event.key, event.character)
    return emulator.encode_key(name, modifiers, text) if name else text.encode()


def encode_paste(emulator: Emulator, text: str) -> bytes:
    """What pasting a text sends: line ends as the Enter key, between marks where the program asked for them.

    The marks themselves cannot be in the text: what looks like one could end the paste early, and the rest would run.
    """
    lines = text.replace("\r\n", "\r").replace("\n", "\r")
    if not emulator.bracketed_paste:
        return lines.encode()
    return b"\x1b[200~" + lines.replace("\x1b", "").encode() + b"\x1b[201~"


def encode_mouse(emulator: Emulator, kind: str, button: int, column: int, row: int, modifiers: int) -> bytes:
    """What the mouse sends to a program that wants to know of it; nothing to any other.

    kind: ``press``, ``release``, ``drag`` (a button is held) or ``move``. button: 0 left, 1 middle, 2 right, 64 wheel
    up, 65 wheel down. column, row: from 0. Encodings: xterm's control sequences, "Mouse Tracking".
    """
    mode, encoding = emulator.mouse
    wanted = {
        "off": (),
        "press": ("press",),
        "click": ("press", "release"),
        "drag": ("press", "release", "drag"),
        "move": ("press", "release", "drag", "move"),
    }[mode]
    if kind not in wanted or (kind == "release" and button >= 64):
        return b""
    code = 3 if kind == "move" else button
    if kind in ("drag", "move"):
        code += 32
    if mode != "press":
        code += (4 if modifiers & SHIFT else 0) + (8 if modifiers & ALT else 0) + (16 if modifiers & CTRL else 0)
    if encoding == "sgr":
        return f"\x1b[<{code};{column + 1};{row + 1}{'m' if kind == 'release' else 'M'}".encode()
    if kind == "release":
        code = code & ~3 | 3  # these encodings do not say which button it was
    if encoding == "urxvt":
        return f"\x1b[{code + 32};{column + 1};{row + 1}M".encode()
    if encoding == "utf8":
        return b"\x1b[M" + "".join(chr(32 + number) for number in (code, column + 1, row + 1)).encode()
    if column > 222 or row > 222:
        return b""  # one byte has no room for it
    return b"\x1b[M" + bytes(32 + number for number in (code, column + 1, row + 1))
