"""Catalogues made for tests, and documents over them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from thanos_tui import options
from thanos_tui.editing.document import Document
from thanos_tui.errors import Where
from thanos_tui.options import Assignment, Catalogue, Facts, InProfile
from thanos_tui.options.expressions import Value
from thanos_tui.profile import Profile

SMALL = """
    menu: Sound and light
    help: Things that can be seen and heard.
    items:
      - {option: sound, type: bool, prompt: Sound, help: Plays sound., select: [driver]}
      - {option: driver, type: bool, prompt: Driver, help: Drives the card.}
      - {option: volume, type: int, prompt: Volume, help: How loud., depends on: sound, range: [0, 11], default: 5}
      - option: output
        type: choice
        prompt: Output
        help: Where it comes out.
        values:
          - {value: speaker, prompt: Loudspeaker, help: In the case.}
          - {value: jack, prompt: Headphones, depends on: driver}
        default: speaker
      - menu: Colours
        depends on: light
        items:
          - {option: colour, type: string, prompt: Colour, help: Any., default: red}
      - menu: Details
        items:
          - {option: detail, type: string, prompt: A detail, help: Small., depends on: colour = green, required: true}
      - {option: light, type: bool, prompt: Light, help: Shines.}
      - {option: bare, type: bool, prompt: Bare wires, help: Ouch., warning: Whoever touches them is shocked.}
"""


def catalogue_of(text: str = SMALL) -> Catalogue:
    """The catalogue that a text states."""
    return options.read_catalogue([("test.yml", dedent(text))])


def document_of(catalogue: Catalogue, saved: Mapping[str, Value] | None = None, path: Path | None = None) -> Document:
    """A document over a catalogue, with what its file says; the file itself is not written."""
    where = InProfile(Where("test.thanos", 3, 3))
    said = {name: Assignment(value, where) for name, value in (saved or {}).items()}
    resolved = options.resolve(catalogue, said, Facts()).check()
    return Document(Profile(path, "test", Path(), said, resolved))


def many(count: int) -> Catalogue:
    """A catalogue of so many options, in menus of fifty, with dependencies between them."""
    lines = ["menu: Many", "items:"]
    for number in range(count):
        if number % 50 == 0:
            lines += [f"  - menu: Menu {number // 50}", "    items:"]
        needs = f", depends on: m{number // 50}.o{number - 1}" if number % 5 == 4 else ""
        lines.append(
            f"      - {{option: m{number // 50}.o{number}, type: bool, prompt: 'Option {number}',"
            f" help: 'Help of number {number}, with some words in it.'{needs}}}"
        )
    return catalogue_of("\n".join(lines))
