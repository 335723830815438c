"""Every option of the screen, accepted by the real X server: as its service of stark starts it, with other files."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from boxes import Box, unmet

from thanos_tui import profile
from thanos_tui.options import preview

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Case:
    """Options, and what the server then says of itself: regular expressions, one that begins with ``!`` for what it
    must not say. before: what else is done to the machine, and after: how that is undone.
    """

    options: Sequence[str]
    expected: Sequence[str]
    before: str = ""
    after: str = ""


CASES: Mapping[str, Case] = {
    "usual": Case(
        [],
        [
            "driver: modesetting",
            r"current 1024 x 768",  # of its own accord
            r"DPI set to \(96, 96\)",
            r"RESOURCE_MANAGER.*Xft\.dpi:\\t96",
            r"Depth 24",
            r'_XKB_RULES_NAMES.*"pc105", "us", "", ""',
            r"timeout:  0 ",
            r"!DPMS is Enabled",
            r"-nolisten tcp",
            r"!-nocursor",
            r"!without cookie",
            r"!:6000",
            r"event\d+\" \(type: KEYBOARD",
            r"event\d+\" \(type: (TOUCHSCREEN|MOUSE)",
            r"!Loaded and initialized swrast",
            r"!\(EE\) (?!error|Screen 1 deleted)",
            "!note: ",
        ],
    ),
    "memory": Case(
        [
            *("x11.driver=dummy", "x11.resolution=800x600", "x11.refresh=75", "x11.depth=16", "x11.dpi=120"),
            *("x11.outputs=2", "x11.layout=right", "x11.blank-after=3", "x11.cursor=false", "x11.tcp=true"),
            *("x11.keyboard.model=pc104", "x11.keyboard.layout=de,us", "x11.keyboard.variant=nodeadkeys,"),
            *("x11.keyboard.options=ctrl:nocaps,compose:ralt", "x11.background=#102030"),
        ],
        [
            "driver: dummy",
            "current 1600 x 600",
            r"DUMMY0 connected primary 800x600\+0\+0",
            r"DUMMY1 connected 800x600\+800\+0",
            r"800x600@75 +74\.\d+\*\+",
            "Depth 16",
            r"DPI set to \(120, 120\)",
            r"Xft\.dpi:\\t120",
            r"timeout:  180 ",
            "-nocursor",
            "-listen tcp",
            ":6000",
            "!without cookie",
            r'_XKB_RULES_NAMES.*"pc104", "de,us", "nodeadkeys,", "ctrl:nocaps,compose:ralt"',
            r"xkb_symbols.*de\(nodeadkeys\).*us.*ctrl\(nocaps\).*compose\(ralt\)",
        ],
    ),
    "left": Case(
        ["x11.driver=dummy", "x11.resolution=640x480", "x11.outputs=3", "x11.layout=left", "x11.depth=30"],
        [r"DUMMY0 connected primary 640x480\+1280\+0", r"DUMMY2 connected 640x480\+0\+0", "Depth 30"],
    ),
    "below": Case(
        ["x11.driver=dummy", "x11.resolution=640x480", "x11.outputs=4", "x11.layout=below"],
        [r"DUMMY0 connected primary 640x480\+0\+0", r"DUMMY3 connected 640x480\+0\+1440"],
    ),
    "above": Case(
        ["x11.driver=dummy", "x11.outputs=2", "x11.layout=above"],
        [r"DUMMY0 connected primary 1280x800\+0\+800", r"DUMMY1 connected 1280x800\+0\+0"],
    ),
    "mirror": Case(
        ["x11.driver=dummy", "x11.resolution=640x480", "x11.outputs=2", "x11.layout=mirror"],
        [r"DUMMY0 connected primary 640x480\+0\+0", r"DUMMY1 connected 640x480\+0\+0"],
    ),
    "turned to the left": Case(
        ["x11.driver=modesetting", "x11.resolution=800x600", "x11.rotation=left", "x11.dpms=true", "x11.dpms-after=7"],
        ["driver: modesetting", "current 600 x 800", "600x800.* left ", r"DPMS is Enabled", "Off: 420"],
    ),
    "turned to the right": Case(
        ["x11.rotation=right", "x11.outputs=2", "x11.output-names=Virtual-1,HDMI-7", "x11.cookie=false"],
        ["driver: modesetting", "768x1024.* right ", "-ac", "without cookie: yes", "note: no screen is called HDMI-7"],
    ),
    "upside down": Case(
        ["x11.rotation=inverted", "x11.pointer=false"],
        ["1024x768.* inverted ", r"event\d+\" \(type: KEYBOARD", r"!type: (TOUCHSCREEN|MOUSE)", "-nocursor"],
    ),
    "frame buffer": Case(
        ["x11.driver=fbdev", "x11.rotation=left", "x11.resolution=640x480"],
        [
            "driver: fbdev",
            "current 768 x 1024",
            "Depth 24",
            r"note: the screen is 768x1024, not 640x480 \(x11.resolution\)$",
        ],
    ),
    "sections of the profile": Case(
        ["x11.extra=more.conf", "x11.driver=dummy"], [r"Extension \"?XVideo\"? is disabled"]
    ),
    "no such layout": Case(
        ["x11.keyboard.layout=zz", "x11.keyboard.options=ctrl:nix", "x11.driver=dummy"],
        [
            r"xkb_symbols.*\+us",
            r"\(EE\) .*(XKB|Keyboard|keymap)",
            r"note: no keyboard layout zz \(x11.keyboard.layout\); "
            r"no keyboard option ctrl:nix \(x11.keyboard.options\)$",
        ],
    ),
    "no such variant": Case(
        ["x11.keyboard.layout=de,us", "x11.keyboard.variant=,wrong", "x11.driver=dummy"],
        ["note: the keyboard layout us has no variant wrong"],
    ),
    "only a frame buffer": Case(
        [],
        ["driver: fbdev", "current 1024 x 768"],
        before="mount --bind /run/nothing /sys/class/drm",
        after="umount /sys/class/drm",
    ),
    "no screen at all": Case(
        ["x11.resolution=1280x1024", "x11.rotation=left", "x11.outputs=2"],
        [
            "driver: dummy",
            "DUMMY0 connected primary 1280x1024",
            "current 1280 x 1024",
            "note: no screen, so nobody sees what apps draw$",
        ],
        before="mount --bind /run/nothing /sys/class/drm; mv /dev/fb0 /dev/fb0.away",
        after="umount /sys/class/drm; mv /dev/fb0.away /dev/fb0",
    ),
    "no card for the driver": Case(
        ["x11.driver=modesetting"],
        [r"\(EE\) .*no screens found", "note: no graphics card that the kernel has a driver for", "!current"],
        before="mount --bind /run/nothing /sys/class/drm; mv /dev/dri /dev/dri.away",
        after="umount /sys/class/drm; mv /dev/dri.away /dev/dri",
    ),
    "no frame buffer for the driver": Case(
        ["x11.driver=fbdev"],
        [r"\(EE\) .*no screens found", "note: no frame buffer, as x11.driver wants it$", "!current"],
        before="mv /dev/fb0 /dev/fb0.away",
        after="mv /dev/fb0.away /dev/fb0",
    ),
}

# What tells of it: words of a case's expectations, and what is run in the machine for them. Not more than that, as each
# program takes an emulated machine a while.
FACTS: Sequence[tuple[str, str]] = (
    ("note", "sed 's/^/note: /' note"),
    ("current|connected|DUMMY|[0-9]x[0-9]", r"xrandr 2>/dev/null | grep -E '^Screen|connected [0-9p]|\*'"),
    ("timeout|DPMS|Off", "xset q | grep -E 'timeout|DPMS is|Standby'"),
    ("RESOURCE|Xft", "xprop -root RESOURCE_MANAGER"),
    ("XKB_RULES", "xprop -root _XKB_RULES_NAMES"),
    # Of the first device that there is.
    ("xkb_symbols", "xkbcomp -xkb -i 6 :0 - 2>/dev/null | grep xkb_symbols"),
    ("cookie", "XAUTHORITY=/dev/null xset q >/dev/null 2>&1 && echo without cookie: yes"),
    ("6000", "netstat -ltn | grep -E ':6000 '"),
    (
        # The server's own words since it was started.
        "",
        r"""cat /var/log/stark/xorg/@* /var/log/stark/xorg/current 2>/dev/null |
            awk -v from=$from '$1 >= from { print substr($0, 27) }' |
            grep -E 'driver: |DPI set|Depth [0-9]|XINPUT|disabled|swrast|\(EE\)|Keyboard'""",
    ),
)
# Until the server answers, or has ended by itself.
STARTED = r"""
rm -f delay
from=$(date -u +%Y-%m-%d_%H:%M:%S)
sv start . >/dev/null
n=0
until ./check >/dev/null 2>&1 || [ -e delay ] || [ $n -gt 400 ]; do
    usleep 200000
    n=$((n + 1))
done
[ ! -e delay ] || sv -w 30 stop . >/dev/null # it would try again
tr '\0' ' ' <"/proc/$(cat supervise/pid)/cmdline"
echo
"""


def files_of(case: Case, directory: Path) -> Mapping[str, str]:
    """What the profile puts into /etc/stark."""
    (directory / "more.conf").write_text('Section "Extensions"\n    Option "XVideo" "Disable"\nEndSection\n')
    given = profile.override(profile.read("thanos: 1", "test"), ["stark=true", *case.options]).resolved
    made = preview(given, directory, "test").files
    below = "etc/stark/"
    return {f.path.removeprefix(below): f.contents or "" for f in made if f.path.startswith(below) and not f.directory}


def test_every_option_is_accepted(stark: Box, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, case in enumerate(CASES.values()):
            for path, text in files_of(case, tmp_path).items():
                member = tarfile.TarInfo(f"{number}/{path}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
    (tmp_path / "cases.tar").write_bytes(stream.getvalue())
    stark.user.run("cp", tmp_path / "cases.tar", f"{stark.name}:/run/cases.tar")
    script = """
    export DISPLAY=:0 XAUTHORITY=/run/stark/Xauthority
    cd /etc/service/xorg
    rm -rf /run/cases
    mkdir -p /run/cases /run/nothing
    tar x -f /run/cases.tar -C /run/cases
    """
    for number, case in enumerate(CASES.values()):
        expected = "\n".join(case.expected)
        facts = "\n".join(command for words, command in FACTS if re.search(words, expected))
        script += f"""
        sv -w 30 stop . >/dev/null
        mount --bind /run/cases/{number} /etc/stark
        {case.before}
        echo '=== {number}'
        {STARTED}
        {facts}
        umount /etc/stark
        {case.after}
        """
    script += "sv -w 30 restart . >/dev/null; echo '=== log'; cat /var/log/stark.log\n"
    said = stark.inside(f"{script}rm -rf /run/cases /run/cases.tar /run/nothing; stark wait xorg\n")
    *parts, log = re.split(r"^=== \w+\n", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(CASES)
    assert "x11: no screen, so nobody sees what apps draw\n" in log
    assert not unmet({name: case.expected for name, case in CASES.items()}, parts)


def test_the_cases_name_every_option_of_the_server_itself() -> None:
    """The others are tried where their programs are in the image."""
    elsewhere = {"x11", "x11.gl", "x11.window-manager"} | {
        f"x11.vnc{end}" for end in ("", ".port", ".remote", ".address", ".password")
    }
    named = {option.partition("=")[0] for case in CASES.values() for option in case.options}
    known = {name for name in profile.read("thanos: 1", "test").resolved.catalogue.options if re.match(r"x11\b", name)}
    assert known - named == elsewhere
