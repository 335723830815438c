"""LinuxKit YAML in and out: read, merge, write. The values themselves are in ``model.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from thanos_tui import yaml12
from thanos_tui.errors import HostError, InputError
from thanos_tui.linuxkit import checks, schema
from thanos_tui.linuxkit.model import (
    Compat,
    Component,
    Config,
    Device,
    DeviceRule,
    File,
    IdMapping,
    Interface,
    Kernel,
    Mount,
    Namespaces,
    Place,
    Resources,
    Runtime,
    Settings,
    Volume,
)

__all__ = [
    "Compat",
    "Component",
    "Config",
    "Device",
    "DeviceRule",
    "File",
    "IdMapping",
    "Interface",
    "Kernel",
    "Mount",
    "Namespaces",
    "Place",
    "Resources",
    "Runtime",
    "Settings",
    "Volume",
    "check",
    "dump",
    "merge",
    "read",
    "read_files",
    "read_label",
]

check = checks.whole

_PATIENCE = 30.0  # seconds that a server may say nothing
_LARGEST = 16 << 20  # bytes of a configuration that is fetched

_ENTRIES = {"volumes": (Volume, "a volume"), "files": (File, "a file")} | dict.fromkeys(
    ("onboot", "onshutdown", "services"), (Component, "a container")
)


def read(text: str | bytes, file: str, compat: Compat = "fixed") -> Config:
    """Read one LinuxKit YAML; ``file`` is the name that errors give for it.

    Every entry is checked for itself. What concerns the whole (names used twice, volumes, owners) waits for
    :func:`merge` or :func:`check`, because another file may hold the rest.
    Raises InputError with file, line and column.
    """
    document = yaml12.read(text, file, documents="first")
    root = Place(document)
    if document.value is None:
        raise InputError(f"`{file}` holds nothing but comments", hint="write {} for an empty one", where=root.where())
    if not isinstance(document.value, dict):
        raise InputError("a LinuxKit configuration is a mapping of sections", where=root.where())
    sections: dict[str, Any] = {}
    for name, value in document.value.items():
        place = Place(document, (name,))
        if name == "kernel":
            sections[name] = _kernel(value, place, compat)
        elif name == "trust":
            schema.build(_Trust, value, place, "`trust`", compat)
        elif name == "init" or name in _ENTRIES:
            sections[name] = _section(name, value, place, compat)
        else:
            raise schema.unknown_key(name, ("kernel", "init", *_ENTRIES, "trust"), root, "the configuration")
    places = tuple(Place(document, ("init", index)) for index in range(len(sections.get("init", ()))))
    return Config(**sections, init_places=places)


@dataclass(frozen=True)
class _Trust:
    """Upstream still accepts this section, and makes nothing of it."""

    image: tuple[str, ...] = ()
    org: tuple[str, ...] = ()


def _kernel(value: Any, place: Place, compat: Compat) -> Kernel:
    kernel = schema.build(Kernel, value, place, "`kernel`", compat)
    kernel = replace(kernel, places={key: Place(place.document, (*place.path, key)) for key in value})
    checks.kernel(kernel)
    return kernel


def _section(name: str, value: Any, place: Place, compat: Compat) -> tuple[Any, ...]:
    if not isinstance(value, list):
        state = (
            "it is empty" if value is None else f"it is a {'mapping' if isinstance(value, dict) else 'single value'}"
        )
        hint = "leave it out, or write []" if value is None else None
        raise InputError(f"`{name}` must be a list, {state}", hint=hint, where=place.where())
    found: list[Any] = []
    for index, item in enumerate(value):
        at = Place(place.document, (*place.path, index))
        if name == "init":
            if not isinstance(item, str):
                raise InputError("`init` must be a list of strings", where=at.where())
            checks.image(item, "`init`", at.where())
            found.append(schema.text(item, at, compat))
            continue
        cls, noun = _ENTRIES[name]
        entry: Any = schema.build(cls, item, at, noun, compat)
        if isinstance(entry, Component):
            checks.component(entry)
        elif isinstance(entry, Volume):
            checks.volume(entry)
        elif isinstance(entry, File):
            checks.file(entry, compat)
        found.append(entry)
    return tuple(found)


def read_label(text: str, reference: str) -> Settings:
    """Read the label ``org.mobyproject.config`` of the image ``reference`` (YAML or JSON; ``""`` is an empty one).

    Raises InputError, with places in the label.
    """
    if not text:
        return Settings()
    document = yaml12.read(text, f"label of {reference}", documents="first")
    label = schema.build(Settings, document.value, Place(document), f"the label of the image `{reference}`", "fixed")
    checks.settings(label)
    return label


def read_files(paths: Sequence[str | Path], compat: Compat = "fixed") -> Config:
    """Read and merge LinuxKit YAML files in this order; ``-`` is the standard input, and URLs are fetched.

    Raises HostError for a URL that cannot be fetched, InputError for files that cannot be read, and for everything that
    :func:`read` and :func:`merge` refuse.
    """
    configs = []
    for path in paths:
        name = str(path)
        if name.startswith(("http://", "https://")):
            configs.append(read(_fetched(name), name, compat))
            continue
        if name == "-":
            configs.append(read(sys.stdin.buffer.read(), "-", compat))
            continue
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}") from None
        configs.append(read(data, name, compat))
    return merge(configs, compat)


def _fetched(url: str) -> bytes:
    import http.client
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as response:  # noqa: S310 - only http and https get here
            data: bytes = response.read(_LARGEST + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise HostError(f"cannot fetch {url}: {reason}", hint="download it another way, and name the file") from None
    if len(data) > _LARGEST:
        raise InputError(f"{url} is larger than {_LARGEST >> 20} MiB, which no configuration is")
    return data


def merge(configs: Sequence[Config], compat: Compat = "fixed") -> Config:
    """One configuration of several: kernel fields replace each other one by one, lists are joined; then the whole
    is checked.

    Raises InputError for names used twice, volumes and owners that are not declared in any of them.
    """
    silent = kernel = Kernel()
    for said in (config.kernel for config in configs if config.kernel != silent):
        given = {
            item.name: value
            for item in fields(Kernel)
            if item.name != "places" and (value := getattr(said, item.name)) not in (item.default, None)
        }
        kernel = replace(kernel, **given, places={**kernel.places, **said.places})
    sections: dict[str, tuple[Any, ...]] = {
        name: tuple(item for config in configs for item in getattr(config, name))
        for name in ("init", "volumes", "onboot", "onshutdown", "services", "files", "init_places")
    }
    merged = Config(kernel=kernel, **sections)
    checks.whole(merged, compat)
    return merged


def dump(config: Config) -> str:
    """The configuration as LinuxKit YAML: the same text for the same values, read alike by upstream.

    What equals a default is left out; :func:`read` gives the same configuration back.
    """
    return yaml12.write(schema.plain(config))
