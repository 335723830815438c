"""What a terminal makes of kitty's graphics protocol, as far as its documentation says and the app uses it."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field

COMMAND = re.compile(r"\x1b_G(?P<keys>[^;\x1b]*)(?:;(?P<data>[A-Za-z0-9+/=]*))?\x1b\\")


@dataclass
class Screen:
    """The pictures that the terminal has by number (pixels, width, columns, rows), and how many it was ever sent."""

    pictures: dict[int, tuple[bytes, int, int, int]] = field(default_factory=dict)
    sent: int = 0
    _keys: Mapping[str, str] | None = None  # of the picture whose chunks are still coming
    _data: bytes = b""

    def feed(self, text: str) -> None:
        """Take what was written to the terminal; refuses what the protocol does."""
        assert text.count("\x1b_") == len(COMMAND.findall(text)), "a command that is no command of the protocol"
        for command in COMMAND.finditer(text):
            keys = dict(item.split("=", 1) for item in command["keys"].split(","))
            assert keys["q"] == "2", "the terminal would answer"
            if self._keys is None and keys["a"] == "d":
                assert keys["d"] == "I"
                assert command["data"] is None
                self.pictures.pop(int(keys["i"]), None)
            else:
                self._chunk(keys, command["data"])

    def _chunk(self, keys: Mapping[str, str], data: str) -> None:
        if self._keys is None:
            self._keys, self._data = keys, b""
        else:
            assert keys.keys() == {"q", "m"}
        assert len(data) <= 4096
        assert len(data) % 4 == 0
        self._data += b64decode(data, validate=True)
        if keys["m"] == "1":
            return
        first, self._keys = self._keys, None
        assert (first["a"], first["U"], first["f"], first["o"]) == ("T", "1", "24", "z")
        pixels, width = zlib.decompress(self._data), int(first["s"])
        assert len(pixels) == width * int(first["v"]) * 3
        self.pictures[int(first["i"])] = (pixels, width, int(first["c"]), int(first["r"]))
        self.sent += 1
