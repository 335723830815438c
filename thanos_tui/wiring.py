"""How an app's container is wired to the screen and the sound of its machine.

One description (``stark/wiring.yml``), said in two ways: as arguments of ``docker create``, for the apps that a machine
starts by itself, and as options of the Docker SDK, for those that ``thanos-tui app run`` starts. Both give the same
container.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from thanos_tui.errors import InputError
from thanos_tui.files import stark_dir
from thanos_tui.yaml12 import read

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_VARIABLE = re.compile(r"[^=\s]+")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::(?P<most>[0-9]{1,4}))?")
_PORT = re.compile(
    r"(?:(?P<address>\[[0-9A-Fa-f:.]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<port>[0-9]{0,5}):)?(?P<inner>[0-9]{1,5})"
    r"(?:/(?P<protocol>tcp|udp))?"
)
_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535
_MODES = ("", "ro", "rw")
_LEAST_MEMORY = 6  # MiB: Docker refuses less
_CPU = 1_000_000_000  # Docker counts processors in billionths


@dataclass(frozen=True)
class Volume:
    """A directory or file of the machine, or a named volume of Docker's, and where the app sees it."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Port:
    """A port of the app, and the address and port of the machine that lead to it; port 0: a free one."""

    address: str
    port: int
    inner: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class App:
    """A container with the wiring of an app. Raises InputError where something cannot be so.

    name: empty for one that Docker makes up. command: empty for the image's own. env: wins over the wiring's.
    restart: ``no``, ``always``, ``unless-stopped``, ``on-failure`` or ``on-failure:TIMES``. memory_mib, cpus: at most
    that much; 0 for no limit. x11, sound: whether it is wired to the screen, and to the sound. user: ``UID[:GID]`` or
    names that the image knows; empty for the image's own.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    restart: str = "no"
    memory_mib: int = 0
    cpus: float = 0
    x11: bool = True
    sound: bool = True
    user: str = ""
    volumes: tuple[Volume, ...] = ()
    publish: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            hint = "letters, digits, '_', '.' and '-', two at least, with a letter or digit first"
            raise InputError(f"{self.name!r} cannot be the name of an app", hint=hint)
        if not _IMAGE.fullmatch(self.image):
            raise InputError(f"{self.image!r} is not the name of an image", hint="such as localhost/thanos/demo:base")
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                raise InputError(f"{name!r} cannot be the name of a variable", hint="write it as NAME=VALUE")
        for text in (*self.command, *self.env, *self.env.values(), self.user):
            if "\0" in text:
                raise InputError("an app's command and variables cannot hold the character U+0000")
        if not _RESTART.fullmatch(self.restart):
            hint = "no, always, unless-stopped, on-failure or on-failure:TIMES"
            raise InputError(f"{self.restart!r} is not a restart policy", hint=hint)
        if self.memory_mib and self.memory_mib < _LEAST_MEMORY:
            raise InputError(f"an app needs {_LEAST_MEMORY} MiB of memory at least, not {self.memory_mib}")
        if self.cpus < 0 or round(self.cpus, 2) != self.cpus:
            raise InputError(f"{self.cpus} is not a number of processors", hint="such as 2 or 0.5; 0 for no limit")


def volume(text: str) -> Volume:
    """Read ``SOURCE:TARGET[:ro]``. Raises InputError."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source.startswith("/") or _NAME.fullmatch(source)) or not target.startswith("/") or mode not in _MODES:
        hint = "NAME:/PLACE, or /PATH/ON/THE/MACHINE:/PLACE; with :ro behind it the app cannot write there"
        raise InputError(f"{text!r} does not say what the app is to see, and where", hint=hint)
    return Volume(source, target, mode == "ro")


def port(text: str) -> Port:
    """Read ``[[ADDRESS:]PORT:]INNER[/udp]``; without an address only the machine itself gets through.

    Raises InputError.
    """
    found = _PORT.fullmatch(text)
    if found:
        outer, inner = int(found["port"] or 0), int(found["inner"])
        with suppress(ValueError):
            address = ip_address((found["address"] or _LOOPBACK).strip("[]"))
            if outer <= _LAST_PORT and 0 < inner <= _LAST_PORT:
                return Port(str(address), outer, inner, found["protocol"] or "tcp")
    hint = "PORT:INNER, such as 8080:80; to let others through as well: 0.0.0.0:8080:80"
    raise InputError(f"{text!r} does not say which port leads to which", hint=hint)


def signs() -> Mapping[str, tuple[str, ...]]:
    """The paths, as sshd sees them, that a machine has when apps can be wired to its ``x11``, and to its ``sound``."""
    return {part: tuple(_data()[part]["signs"]) for part in ("x11", "sound")}


def labels() -> Mapping[str, str]:
    """What every app is marked with, so that it is known among other containers."""
    found: Mapping[str, str] = _data()["every"]["labels"]
    return found


def run_arguments(app: App) -> list[str]:
    """What follows ``docker create`` (or ``docker run``) on the command line, the image and its command included."""
    wires = _wires(app)
    options = [("name", app.name)] if app.name else []
    options += [("label", f"{key}={value}") for key, value in wires.labels.items()]
    options += [("init", "true")] if wires.init else []
    options += [("security-opt", text) for text in wires.security]
    options += [("log-driver", wires.log_driver)]
    options += [("log-opt", f"{key}={value}") for key, value in wires.log_options.items()]
    options += [("restart", app.restart)]
    options += [("memory", f"{app.memory_mib}m")] if app.memory_mib else []
    options += [("cpus", f"{app.cpus:g}")] if app.cpus else []
    options += [("user", app.user)] if app.user else []
    options += [("ipc", wires.ipc)] if wires.ipc else []
    options += [("group-add", group) for group in wires.groups]
    options += [("device", f"{path}:{path}:rwm") for path in wires.devices]
    options += [("mount", _mount_argument(mount)) for mount in wires.mounts]
    options += [("env", f"{name}={value}") for name, value in wires.env.items()]
    options += [("publish", _publish_argument(each)) for each in app.publish]
    # With the equals sign no value can be taken for an option.
    return [*(f"--{name}={value}" for name, value in options), app.image, *app.command]


def create_options(app: App) -> dict[str, Any]:
    """The keyword arguments for ``containers.create`` of the Docker SDK."""
    wires = _wires(app)
    policy, _, most = app.restart.partition(":")
    options: dict[str, Any] = {
        "image": app.image,
        "command": list(app.command) or None,
        "labels": dict(wires.labels),
        "init": wires.init or None,
        "security_opt": list(wires.security),
        "log_config": {"type": wires.log_driver, "config": dict(wires.log_options)},
        "restart_policy": {"Name": policy, "MaximumRetryCount": int(most or 0)},
        "ipc_mode": wires.ipc or None,
        "group_add": list(wires.groups),
        "devices": [f"{path}:{path}:rwm" for path in wires.devices],
        "mounts": [_mount_option(mount) for mount in wires.mounts],
        "environment": [f"{name}={value}" for name, value in wires.env.items()],
        "ports": _ports_option(app.publish),
    }
    if app.name:
        options["name"] = app.name
    if app.memory_mib:
        options["mem_limit"] = app.memory_mib << 20
    if app.cpus:
        options["nano_cpus"] = round(app.cpus * _CPU)
    if app.user:
        options["user"] = app.user
    return options


@dataclass(frozen=True)
class _Wires:
    """All that an app's container is given, from the parts of ``wiring.yml`` and the app itself."""

    labels: Mapping[str, str]
    init: bool
    security: tuple[str, ...]
    log_driver: str
    log_options: Mapping[str, str]
    ipc: str
    groups: tuple[str, ...]
    devices: tuple[str, ...]
    mounts: tuple[Volume, ...]
    env: Mapping[str, str]


def _wires(app: App) -> _Wires:
    data = _data()
    every = data["every"]
    parts = [data[name] for name, wanted in (("x11", app.x11), ("sound", app.sound)) if wanted]
    env: dict[str, str] = {}
    for part in parts:
        env |= part.get("env", {})
    wired = [Volume(mount["source"], mount["target"], True) for part in parts for mount in part["mounts"]]
    return _Wires(
        labels=labels(),
        init=every["init"],
        security=tuple(every["security"]),
        log_driver=every["log"]["driver"],
        log_options=every["log"]["options"],
        ipc=next((part["ipc"] for part in parts), ""),
        groups=tuple(group for part in parts for group in part["groups"]),
        devices=tuple(path for part in parts for path in part.get("devices", ())),
        mounts=(*wired, *app.volumes),
        env=env | dict(app.env),
    )


@functools.cache
def _data() -> Mapping[str, Any]:
    path = stark_dir() / "wiring.yml"
    data: Mapping[str, Any] = read(path.read_bytes(), str(path)).value
    return data


def _kind(mount: Volume) -> str:
    return "bind" if mount.source.startswith("/") else "volume"


def _mount_argument(mount: Volume) -> str:
    # Not --volume, which makes a directory where a path is missing: a socket that is late would become one.
    fields = [f"type={_kind(mount)}", f"source={mount.source}", f"target={mount.target}"]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*fields, "readonly"] if mount.read_only else fields)
    return line.getvalue()


def _mount_option(mount: Volume) -> dict[str, Any]:
    option = {"Type": _kind(mount), "Source": mount.source, "Target": mount.target}
    return {**option, "ReadOnly": True} if mount.read_only else option


def _publish_argument(each: Port) -> str:
    address = f"[{each.address}]" if ":" in each.address else each.address
    return f"{address}:{each.port or ''}:{each.inner}/{each.protocol}"


def _ports_option(ports: tuple[Port, ...]) -> dict[str, list[tuple[str, int | None]]]:
    option: dict[str, list[tuple[str, int | None]]] = {}
    for each in ports:
        option.setdefault(f"{each.inner}/{each.protocol}", []).append((each.address, each.port or None))
    return option
