"""Apps that come with the OS: from lines of ``stark.apps`` to what LinuxKit's YAML says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thanos_tui import appwords
from thanos_tui.errors import InputError

DIRECTORY = "etc/stark/apps"
_WAITS = {"x11": "xorg wm", "sound": "alsa"}


def volumes(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of ``volumes`` with the images of apps, each once."""
    images = dict.fromkeys(appwords.read(line).image for line in lines)
    return [{"name": _volume(image), "image": image, "format": "docker", "readonly": True} for image in images]


def files(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of ``files`` that say how apps are started, for stark's service ``apps``.

    given: ``apps``, lines; ``x11`` and ``sound``, whether the machine has these for apps.
    The first line of a file names the services that the app waits for, beside Docker; the others are the arguments of
    ``docker run``. Files begin with the number of their app: they are started in that order.
    Raises InputError where two apps have one name.
    """
    from thanos_tui import wiring

    entries: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(given["apps"]):
        app = appwords.read(line)
        if app.name in entries:
            raise InputError(
                f"two apps have the name {app.name}", hint="give one another name: --name NAME", where="stark.apps"
            )
        # Docker gives no image a name with a digest.
        app = replace(app, image=app.image.partition("@")[0])
        app = replace(app, x11=app.x11 and bool(given.get("x11")), sound=app.sound and bool(given.get("sound")))
        waits = [services for part, services in _WAITS.items() if getattr(app, part)]
        text = "\n".join([" ".join(waits), *wiring.run_arguments(app), ""])
        entries[app.name] = {"path": f"{DIRECTORY}/{number:02d}-{app.name}", "contents": text, "mode": "0600"}
    return [{"path": DIRECTORY, "directory": True, "mode": "0700"}, *entries.values()]


def _volume(image: str) -> str:
    return "app-" + re.sub(r"[^a-z0-9]+", "-", image.lower()).strip("-")
