"""The options of the screen: what they are rendered to, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thanos_tui import profile
from thanos_tui.errors import InputError
from thanos_tui.options import Resolved, preview, xorg


def resolved_with(*assignments: str) -> Resolved:
    return profile.override(profile.read("thanos: 1", "test"), ["stark=true", *assignments]).resolved


def rendered(place: Path, *assignments: str) -> dict[str, str]:
    """The files below /etc/stark that are about the screen, by their names."""
    files = preview(resolved_with(*assignments), place, "test").files
    return {item.path.removeprefix("etc/stark/"): item.contents or "" for item in files if "etc/stark" in item.path}


def sections(text: str) -> dict[str, dict[str, str]]:
    """The entries of each section, by the section's kind and identifier; an option's by its own name."""
    found: dict[str, dict[str, str]] = {}
    for kind, body in re.findall(r'^Section "(\w+)"\n(.*?)^EndSection', text, re.DOTALL | re.MULTILINE):
        words = (line.strip().replace("Option ", "").split(" ", 1) for line in body.splitlines())
        entries = {name.strip('"'): value.strip('"') for name, value in words if name != "#"}
        found[" ".join([kind, entries.pop("Identifier", "")]).strip()] = entries
    return found


def test_by_default_each_driver_has_a_layout_and_only_memory_has_a_mode(tmp_path: Path) -> None:
    said = sections(rendered(tmp_path)["xorg.conf"])
    assert [name.split()[1] for name in said if name.startswith("ServerLayout")] == ["modesetting", "fbdev", "dummy"]
    assert said["Device modesetting"] == {"Driver": "modesetting", "AccelMethod": "none"}
    assert "Modeline" not in said["Monitor modesetting-1"]
    assert said["Monitor dummy-1"]["PreferredMode"] == "1280x800@60"
    assert said["ServerFlags"]["AutoAddDevices"] == "false"
    assert said["ServerFlags"]["BlankTime"] == "0"
    assert said["Module"] == {"Disable": "glx"}


def test_a_chosen_driver_is_the_only_one(tmp_path: Path) -> None:
    text = rendered(tmp_path, "x11.driver=fbdev")["xorg.conf"]
    assert re.findall('Driver "(.*)"', text) == ["fbdev"]
    assert re.findall('Driver "(.*)"', rendered(tmp_path, "x11.driver=dummy")["xorg.conf"]) == ["dummy"]


def test_a_resolution_brings_its_timings(tmp_path: Path) -> None:
    said = sections(rendered(tmp_path, "x11.resolution=1280x1024", "x11.refresh=75")["xorg.conf"])
    for monitor in ("Monitor modesetting-1", "Monitor dummy-1"):
        assert said[monitor]["PreferredMode"] == "1280x1024@75"
        name, clock, *_ = said[monitor]["Modeline"].split()
        assert (name, clock) == ('1280x1024@75"', "138.75")
    assert "Modeline" not in said["Monitor fbdev-1"]


# What `cvt WIDTH HEIGHT HZ` of libxcvt 0.1.2 prints.
@pytest.mark.parametrize(
    ("mode", "timings"),
    [
        ("1280x800@60", "83.50 1280 1352 1480 1680 800 803 809 831"),
        ("1280x1024@60", "109.00 1280 1368 1496 1712 1024 1027 1034 1063"),
        ("1920x1080@60", "173.00 1920 2048 2248 2576 1080 1083 1088 1120"),
        ("640x480@75", "30.75 640 664 728 816 480 483 487 504"),
        ("3840x2160@30", "338.75 3840 4080 4488 5136 2160 2163 2168 2200"),
        ("320x200@60", "5.00 320 336 360 400 200 203 209 212"),
        ("1680x1050@120", "313.75 1680 1816 2000 2320 1050 1053 1059 1128"),
        ("7680x4320@240", "13062.00 7680 8432 9304 10928 4320 4323 4328 4981"),
    ],
)
def test_timings_are_those_of_cvt(mode: str, timings: str) -> None:
    assert xorg.modeline(mode) == f"{timings} -hsync +vsync"


@pytest.mark.parametrize(
    ("layout", "option"), [("right", "RightOf"), ("left", "LeftOf"), ("below", "Below"), ("above", "Above")]
)
def test_screens_are_laid_out_one_from_another(layout: str, option: str, tmp_path: Path) -> None:
    said = sections(rendered(tmp_path, "x11.outputs=3", f"x11.layout={layout}")["xorg.conf"])
    assert said["Monitor modesetting-1"]["Position"] == "0 0"
    assert said["Monitor modesetting-2"][option] == "modesetting-1"
    assert said["Monitor modesetting-3"][option] == "modesetting-2"
    named = {name: value for name, value in said["Device modesetting"].items() if name.startswith("Monitor-")}
    assert named == {f"Monitor-Virtual-{number}": f"modesetting-{number}" for number in (1, 2, 3)}
    # A machine without a screen gets one in memory all the same.
    assert [name for name in said if name.startswith("Monitor dummy")] == ["Monitor dummy-1"]


def test_screens_that_mirror_are_in_one_place(tmp_path: Path) -> None:
    said = sections(rendered(tmp_path, "x11.outputs=2", "x11.layout=mirror", "x11.driver=dummy")["xorg.conf"])
    assert [said[f"Monitor dummy-{number}"]["Position"] for number in (1, 2)] == ["0 0", "0 0"]


def test_screens_can_be_named(tmp_path: Path) -> None:
    assignments = ("x11.outputs=3", "x11.output-names=HDMI-1,DP-1")
    said = sections(rendered(tmp_path, *assignments)["xorg.conf"])["Device modesetting"]
    assert (said["Monitor-HDMI-1"], said["Monitor-DP-1"]) == ("modesetting-1", "modesetting-2")
    assert said["Monitor-Virtual-3"] == "modesetting-3"


@pytest.mark.parametrize(("rotation", "fbdev"), [("left", "CCW"), ("right", "CW"), ("inverted", "UD")])
def test_rotation_has_each_drivers_own_word_and_turns_what_is_touched(
    rotation: str, fbdev: str, tmp_path: Path
) -> None:
    files = rendered(tmp_path, f"x11.rotation={rotation}")
    said = sections(files["xorg.conf"])
    assert said["Monitor modesetting-1"]["Rotate"] == rotation
    assert said["Device fbdev"]["Rotate"] == fbdev
    assert "Rotate" not in said["Monitor dummy-1"]
    a, b, c, d, e, f = map(int, re.findall(r"X11_TOUCH='(\S+) (\S+) (\S+) (\S+) (\S+) (\S+) 0 0 1'", files["x11"])[0])

    # Where the top left corner of the glass is in the picture, and the top right one, in parts of its width and height.
    def corner(x: int, y: int) -> tuple[int, int]:
        return a * x + b * y + c, d * x + e * y + f

    there = {"left": ((1, 0), (1, 1)), "right": ((0, 1), (0, 0)), "inverted": ((1, 1), (0, 1))}
    assert (corner(0, 0), corner(1, 0)) == there[rotation]


def test_the_screen_sleeps_only_where_it_is_asked_to(tmp_path: Path) -> None:
    awake = sections(rendered(tmp_path)["xorg.conf"])
    asleep = sections(rendered(tmp_path, "x11.blank-after=3", "x11.dpms=true", "x11.dpms-after=7")["xorg.conf"])
    assert (awake["ServerFlags"]["OffTime"], awake["Monitor fbdev-1"]["DPMS"]) == ("0", "false")
    assert (asleep["ServerFlags"]["OffTime"], asleep["Monitor fbdev-1"]["DPMS"]) == ("7", "true")
    assert asleep["ServerFlags"]["BlankTime"] == "3"


def test_features_of_the_image_follow_from_the_options(tmp_path: Path) -> None:
    given = ("alsa=false", "x11.vnc=true", "x11.gl=software", "x11.window-manager=matchbox")
    services = preview(resolved_with(*given), tmp_path, "test").services
    image = next(item.image for item in services if item.name == "stark")
    assert image == "localhost/thanos/stark:gl-matchbox-vnc-x11"


def test_a_drivers_modules_come_with_it(tmp_path: Path) -> None:
    assert resolved_with("alsa=false")["kernel.modules.graphics"].value is True
    assert resolved_with("x11.driver=dummy")["kernel.modules.graphics"].value is False
    assert resolved_with("alsa=false", "kernel.modules.all=true").problems == ()


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["x11.resolution=1366x768"], "multiple of 8, not 1366"),
        (["x11.resolution=100x100"], "from 320x200 to 7680x4320"),
        (["x11.resolution=9000x800"], "from 320x200 to 7680x4320"),
        (["x11.resolution=large"], "must be WIDTHxHEIGHT such as 1280x800"),
        (["x11.resolution="], "x11.resolution must not be empty"),
        (["x11.refresh=75"], "x11.resolution != auto"),
        (["x11.refresh=1000", "x11.resolution=640x480"], "must be from 24 to 240"),
        (["x11.refresh=75", "x11.resolution=640x480", "x11.driver=fbdev"], "x11.driver != fbdev"),
        (["x11.depth=16"], "x11.depth cannot be 16"),
        (["x11.depth=30", "x11.driver=modesetting"], "kernel.modules.all"),
        (["x11.dpi=9999"], "must be from 48 to 600"),
        (["x11.outputs=5"], "must be from 1 to 4"),
        (["x11.outputs=2", "x11.driver=fbdev"], "must be from 1 to 1"),
        (["x11.layout=left"], "x11.outputs > 1"),
        (["x11.output-names=HDMI 1", "x11.outputs=2"], "the name of an output"),
        (["x11.output-names=HDMI-1", "x11.outputs=2", "x11.driver=dummy"], "x11.driver != dummy"),
        (["x11.rotation=left", "x11.driver=dummy"], "x11.driver != dummy"),
        (["x11.dpms=true", "x11.driver=dummy"], "x11.driver != dummy"),
        (["x11.dpms-after=5"], "it needs x11.dpms"),
        (["x11.keyboard.layout=us'"], "up to four names"),
        (["x11.keyboard.options=nocaps"], "GROUP:OPTION"),
        (["x11.cursor=true", "x11.pointer=false"], "it needs x11.pointer"),
        (["x11.background=red"], "a colour such as"),
        (["x11.tcp=true", "x11.cookie=false"], "it needs x11.cookie"),
        (["x11.vnc.port=80", "x11.vnc=true"], "must be from 1024 to 65535"),
        (["x11.vnc.address=0.0.0.0", "x11.vnc=true"], "it needs x11.vnc.remote"),
        (["x11.vnc=true", "x11.vnc.remote=true"], "x11.vnc.password must not be empty"),
        (["x11.vnc=true", "x11.vnc.remote=true", "x11.vnc.password=geheim"], "must say where the secret is"),
        (["x11.gl=software", "x11=false"], "it needs x11"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(assignments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        resolved_with(*assignments).check()


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["x11.outputs=2", "x11.output-names=A,B,C"], "x11.output-names: 3 names for 2 screens"),
        (["x11.keyboard.variant=a,b"], "x11.keyboard.variant: 2 variants for 1 keyboard layout"),
        (["x11.keyboard.layout=de,us", "x11.keyboard.variant=,,x"], "x11.keyboard.variant: 3 variants for 2"),
    ],
)
def test_more_of_something_than_there_is_place_for_is_refused(
    assignments: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        rendered(tmp_path, *assignments)


def test_problems_are_told_with_their_place() -> None:
    with pytest.raises(InputError) as caught:
        profile.read("thanos: 1\noptions:\n  stark: true\n  x11.resolution: 9999x9\n", "kiosk.thanos").resolved.check()
    assert str(caught.value).startswith("kiosk.thanos:4:19: x11.resolution must be ")


def test_a_password_longer_than_vnc_looks_at_is_refused(tmp_path: Path) -> None:
    remote = ("x11.vnc=true", "x11.vnc.remote=true", "x11.vnc.password=./word")
    (tmp_path / "word").write_text("geheim12\n")
    assert rendered(tmp_path, *remote)["vnc-password"] == "geheim12\n"
    for word in ("geheim123", "gehéim"):
        (tmp_path / "word").write_text(word)
        with pytest.raises(InputError, match="at most 8 characters") as caught:
            rendered(tmp_path, *remote)
        assert word not in str(caught.value)


def test_sections_of_the_profile_are_added_one_file_after_another(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('# fonts\nSection "Files"\n    FontPath "/a"\nEndSection')
    (tmp_path / "b.conf").write_text('section "Extensions"\n    Option "Composite" "off"\nendsection\n')
    added = rendered(tmp_path, "x11.extra=a.conf,b.conf")["xorg.conf.d/90-profile.conf"]
    assert added == (tmp_path / "a.conf").read_text() + "\n" + (tmp_path / "b.conf").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('Section "Files"\n', "more.conf:1: the section that begins here has no EndSection"),
        ('\nFontPath "/a"\n', "more.conf:2: FontPath belongs into a section"),
        ("EndSection\n", "more.conf:1: EndSection where there should be none"),
        ('Section "A"\nSection "B"\nEndSection\n', "more.conf:2: Section where there should be none"),
        ("\0", "too large, or no text"),
        (None, "No such file"),
    ],
)
def test_files_that_hold_no_sections_are_refused(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "more.conf").write_text(text)
    with pytest.raises(InputError) as caught:
        rendered(tmp_path, "x11.extra=more.conf")
    assert said in str(caught.value)
