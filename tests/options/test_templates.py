"""Templates: every construct, and that they can say what graphics and sound will need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.linuxkit.config import Config
from thanos_tui.options import Assignment, Catalogue, Edited, preview, resolve, templates
from thanos_tui.options.expressions import Value
from thanos_tui.options.filters import Surroundings, make_filters
from thanos_tui.options.templates import NOTHING, TemplateError

VALUES: dict[str, Any] = {
    "on": True,
    "off": False,
    "n": 7,
    "word": "w",
    "empty": "",
    "many": ("a", "b"),
    "none": (),
    "gone": None,
}


def filled(template: Any) -> Any:
    return templates.fill(templates.read(template), VALUES, make_filters(Surroundings(Path("/"))))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        (5, 5),
        (None, None),
        ("${n}", 7),  # alone, a value keeps its type
        ("${on}", True),
        ("<${n} ${on} ${many}>", "<7 true a b>"),
        ("${gone}", NOTHING),
        ("a ${gone}", NOTHING),
        ({"a": "${gone}", "b": "${n}"}, {"b": 7}),
        (["x", "${many}", "${gone}", "${none}", "y"], ["x", "a", "b", "y"]),
        (["${many | each '<%>'}"], ["<a>", "<b>"]),
        (["${many | flag '-x'}"], ["-x", "a", "-x", "b"]),
        ("${many | each '%\\n' | join}", "a\nb\n"),
        ("${many | join ', '}", "a, b"),
        ({"if": "on", "then": 1, "else": 2}, 1),
        ({"if": "off", "then": 1, "else": 2}, 2),
        ({"if": "off", "then": 1}, NOTHING),
        ([{"if": "on", "then": ["a", "b"]}, {"if": "off", "then": "c"}], ["a", "b"]),
        (["${gone}", "${none}"], NOTHING),
        ([], []),
        ([["a"], "b"], [["a"], "b"]),  # only what stands for a list is spliced
        ({"k": {"if": "off", "then": 1}}, {}),
        ({"join": "-", "of": ["a", {"if": "on", "then": "b"}, {"if": "off", "then": "c"}]}, "a-b"),
        ({"join": "-", "of": ["${none}"]}, NOTHING),
        ({"first": ["${gone}", "${word}", "x"]}, "w"),
        ({"first": ["${gone}"]}, NOTHING),
        ({"let": {"x": {"join": "", "of": ["${many}"]}, "y": "<${x}>"}, "in": "${y}${n}"}, "<ab>7"),
        ({"let": {"x": "${gone}"}, "in": ["${x}", "z"]}, ["z"]),
        ("$HOME and $${n}", "$HOME and $7"),
    ],
)
def test_filling(template: Any, expected: Any) -> None:
    assert filled(template) == expected


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ({"if": "on"}, ()),
        ({"if": "on", "then": 1, "otherwise": 2}, ()),
        ([{"if": "on &&", "then": 1}], (0, "if")),
        ({"a": {"let": ["x"], "in": 1}}, ("a", "let")),
        ({"a": ["${n | 5}"]}, ("a", 0)),
        ({"first": {"a": 1}}, ("first",)),
    ],
)
def test_what_is_no_template(template: Any, path: tuple[str | int, ...]) -> None:
    with pytest.raises(TemplateError) as caught:
        templates.read(template)
    assert caught.value.path == path


GRAPHICS = """\
menu: stark
items:
  - {option: modules.drm, type: bool, prompt: Graphics modules, help: Kernel modules for graphics cards.}
  - {option: modules.sound, type: bool, prompt: Sound modules, help: Kernel modules for sound cards.}
  - {option: stark, type: bool, prompt: stark, help: Docker with a screen and sound., default: true}
  - menu: Screen
    depends on: stark
    items:
      - {option: x11, type: bool, prompt: X11, help: An X server., select: [modules.drm]}
      - option: x11.driver
        type: choice
        prompt: Driver
        help: How the picture is made.
        default: modesetting
        values:
          - {value: modesetting, prompt: Kernel modesetting}
          - {value: dummy, prompt: None at all}
        depends on: x11
      - option: x11.depth
        type: int
        prompt: Depth
        help: Bits for each pixel.
        unit: bits
        range: [{from: 24, to: 24, if: x11.driver = modesetting}, {from: 8, to: 30}]
        default: 24
        depends on: x11
      - option: x11.modes
        type: list
        prompt: Modes
        help: Resolutions.
        pattern: '[0-9]+x[0-9]+'
        pattern help: WxH
        depends on: x11
  - menu: Sound
    depends on: stark
    items:
      - {option: alsa, type: bool, prompt: ALSA, help: Sound., select: [modules.sound]}
      - option: alsa.mixing
        type: choice
        prompt: Mixing
        help: How many can play at once.
        default: dmix
        values: [{value: dmix, prompt: Mixed}, {value: none, prompt: One only}]
        depends on: alsa
      - option: alsa.rate
        type: int
        prompt: Rate
        help: Samples a second.
        range: [8000, 192000]
        default: 48000
        depends on: alsa
config:
  - kernel:
      image:
        join: ''
        of:
          - 'kernel:base'
          - {if: modules.drm, then: '-drm'}
          - {if: modules.sound, then: '-sound'}
  - if: stark
    services:
      - name: stark
        image: stark:1
        env:
          - {if: x11, then: ['DISPLAY=:0', 'XDEPTH=${x11.depth}']}
          - {if: alsa, then: 'ALSA_RATE=${alsa.rate}'}
        devices:
          - {if: x11, then: {path: /dev/dri/card0, type: c, major: 226, minor: 0, mode: '0666'}}
  - if: x11
    files:
      - path: etc/X11/xorg.conf
        contents:
          join: "\\n"
          of:
            - 'Section "Device"'
            - '  Driver "${x11.driver}"'
            - EndSection
            - if: x11.modes
              then:
                - 'Section "Screen"'
                - "  Modes ${x11.modes | each '\\"%\\"' | join ' '}"
                - EndSection
            - ''
  - if: alsa
    files:
      - path: etc/asound.conf
        contents:
          if: alsa.mixing = dmix
          then: "pcm.!default { type plug slave.pcm { type dmix slave.rate ${alsa.rate} } }\\n"
          else: "pcm.!default { type hw card 0 }\\n"
"""


def test_graphics_and_sound_can_be_said(make_catalogue: Callable[[str], Catalogue]) -> None:
    catalogue = make_catalogue(GRAPHICS)

    def made(**values: Value) -> Config:
        given = {name.replace("_", "."): Assignment(value, Edited()) for name, value in values.items()}
        return preview(resolve(catalogue, given), Path("/"), "test")

    plain = made()
    assert plain.kernel.image == "kernel:base"
    assert [(service.name, service.image) for service in plain.services] == [("stark", "stark:1")]
    full = made(x11=True, alsa=True, x11_modes=("800x600", "1024x768"), alsa_rate=44100)
    assert full.kernel.image == "kernel:base-drm-sound"
    assert full.services[0].env == ("DISPLAY=:0", "XDEPTH=24", "ALSA_RATE=44100")
    assert full.services[0].devices[0].major == 226
    xorg, asound = (item.contents for item in full.files)
    assert xorg == (
        'Section "Device"\n  Driver "modesetting"\nEndSection\n'
        'Section "Screen"\n  Modes "800x600" "1024x768"\nEndSection\n'
    )
    assert asound is not None
    assert "dmix slave.rate 44100" in asound
    assert made(stark=False).files == ()
