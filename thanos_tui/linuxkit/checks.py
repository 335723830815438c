"""What types alone do not tell: values that mean nothing, names used twice or not at all, files of two kinds.

What needs one entry only is checked while it is read; what needs the whole configuration, once it is merged.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from thanos_tui.errors import InputError, Where, nearest
from thanos_tui.linuxkit import values
from thanos_tui.linuxkit.model import Compat, Component, Config, File, Kernel, Mount, Settings, Volume

S = TypeVar("S", bound=Settings)

FIRST_ID = 100


def settings(item: Settings) -> None:
    """Check the values that a component and a label have in common. Raises InputError."""
    for key in ("capabilities", "capabilities.add", "ambient"):
        names = getattr(item, key.replace(".", "_"))
        for index, name in enumerate(names or ()):
            # One by one for the place's sake; `all` must know whether it stands alone.
            values.capabilities(names if name.lower() in ("all", "none") else (name,), key, item.where(key, index))
    for key, binds in (("binds", item.binds), ("binds.add", item.binds_add)):
        for index, text in enumerate(binds or ()):
            values.bind(text, item.where(key, index))
    for index, text in enumerate(item.tmpfs or ()):
        values.tmpfs(text, item.where("tmpfs", index))
    for index, entry in enumerate(item.mounts or ()):
        values.mount(entry, item.where("mounts", index))
    for index, text in enumerate(item.rlimits or ()):
        values.rlimit(text, item.where("rlimits", index))
    for index, limit in enumerate(item.resources.hugepage_limits if item.resources else ()):
        if limit.page_size & (limit.page_size - 1) or not limit.page_size:
            where = item.where("resources", "hugepageLimits", index)
            raise InputError(f"`pageSize` must be a power of two in bytes, not {limit.page_size}", where=where)
    for key in ("net", "pid", "ipc", "uts", "userns"):
        values.namespace(getattr(item, key), key, item.where(key))
    if item.cwd and not item.cwd.startswith("/"):
        raise InputError(f"`cwd` must be an absolute path, not `{item.cwd}`", where=item.where("cwd"))
    for index, device in enumerate(item.devices or ()):
        if device.path == "all":
            continue
        where = item.where("devices", index)
        if not device.mode:
            raise InputError(f"the device `{device.path}` has no mode", hint='add one, like mode: "0666"', where=where)
        values.octal(device.mode, f"the device `{device.path}`", item.where("devices", index, "mode"))


def component(item: Component) -> None:
    """Check one container. Raises InputError."""
    if item.name in ("", ".", "..") or re.search(r"[/\x00-\x1f\x7f]", item.name):
        raise InputError(
            f"a container cannot be named `{item.name}`",
            hint="its name becomes the name of a directory",
            where=item.where("name"),
        )
    image(item.image, f"the container `{item.name}`", item.where("image"))
    settings(item)


def image(reference: str, user: str, where: Where | None) -> None:
    """Check that a text can be the name of an image at all. Raises InputError."""
    if not reference:
        raise InputError(f"{user} has an empty `image`", where=where)
    if "://" in reference or re.search(r"[\s\x00-\x1f\x7f]", reference) or reference.startswith(("/", ":")):
        raise InputError(
            f"`{reference}` is not the name of an image", hint="write registry/repository:tag", where=where
        )


def kernel(item: Kernel) -> None:
    """Check the kernel. Raises InputError."""
    if item.image:
        image(item.image, "the kernel", item.where("image"))


def volume(item: Volume) -> None:
    """Check one volume. Raises InputError."""
    if not item.name:
        raise InputError("a volume has no `name`", where=item.where())
    if not re.fullmatch("[a-z0-9_-]+", item.name):
        raise InputError(
            f"the volume name `{item.name}` may only have small letters, digits, - and _", where=item.where("name")
        )
    if item.format not in ("", "filesystem", "oci", "docker"):
        known = "there are: filesystem, oci, docker"
        raise InputError(f"there is no volume format `{item.format}`", hint=known, where=item.where("format"))
    if item.format == "docker" and not item.image:
        raise InputError(f"the volume `{item.name}` has the format docker, and no image", where=item.where("format"))
    if item.image:
        image(item.image, f"the volume `{item.name}`", item.where("image"))
    for index, platform in enumerate(item.platforms):
        if not re.fullmatch(r"[a-z0-9_.]+/[a-z0-9_.]+(/[a-z0-9_.]+)?", platform):
            raise InputError(
                f"`{platform}` is not a platform",
                hint="write one like linux/amd64",
                where=item.where("platforms", index),
            )


def file(item: File, compat: Compat) -> None:
    """Check one entry of ``files``. Raises InputError."""
    name = "directory" if item.directory else "file"
    if not item.path:
        raise InputError(f"a {name} has no `path`", where=item.where())
    if ".." in item.path.split("/") or "\0" in item.path or posixpath.normpath(item.path.lstrip("/")) == ".":
        raise InputError(
            f"a {name} cannot have the path `{item.path}`", hint="it must lie below the root", where=item.where("path")
        )
    kinds = [
        kind
        for kind, given in (
            ("contents", item.contents is not None),
            ("source", bool(item.source)),
            ("metadata", bool(item.metadata)),
            ("symlink", bool(item.symlink)),
        )
        if given
    ]
    if compat == "upstream" and "symlink" in kinds:
        # Upstream lets a directory win over a symlink, and a symlink over contents.
        kinds = [kind for kind in kinds if kind != ("symlink" if item.directory else "contents")]
    if item.directory and kinds:
        raise InputError(f"the directory `{item.path}` has {kinds[0]}", where=item.where(kinds[0], key=True))
    if len(kinds) > 1:
        raise InputError(
            f"the file `{item.path}` has {' and '.join(kinds)}", hint="keep one", where=item.where(kinds[1], key=True)
        )
    if not kinds and not item.directory:
        raise InputError(
            f"the file `{item.path}` has no contents, source, directory, symlink or metadata", where=item.where()
        )
    if item.metadata not in ("", "yaml", "json"):
        raise InputError(
            f"there is no metadata format `{item.metadata}`",
            hint="there are: yaml, json",
            where=item.where("metadata"),
        )
    if item.mode:
        values.octal(item.mode, f"the {name} `{item.path}`", item.where("mode"))


def whole(config: Config, compat: Compat = "fixed") -> None:
    """Check a complete configuration: names that are used twice, or that nothing bears.

    Raises InputError where the YAML says it.
    """
    _unique(config.services, "the service name")
    _unique(config.volumes, "the volume name")
    ids = container_ids(config)
    volumes = {item.name: item for item in config.volumes}
    for _, _, item in config.components():
        with_volumes(item, volumes, compat)
        for key, value in (("uid", item.uid), ("gid", item.gid)):
            numeric_id(value, ids, "the user" if key == "uid" else "the group", item.where(key))
        for index, value in enumerate(item.additional_gids or ()):
            numeric_id(value, ids, "the group", item.where("additionalGids", index))
    for entry in config.files:
        for key, value in (("uid", entry.uid), ("gid", entry.gid)):
            if isinstance(value, str):  # of many files, few say a name; to find a place takes longer than to check it
                numeric_id(value, ids, "the owner" if key == "uid" else "the group", entry.where(key))


def _unique(items: Iterable[Component | Volume], what: str) -> None:
    seen: dict[str, Where | None] = {}
    for item in items:
        if item.name in seen:
            first = seen[item.name]
            raise InputError(
                f"{what} `{item.name}` is used twice",
                hint=f"the first one is at {first}" if first else None,
                where=item.where("name"),
            )
        seen[item.name] = item.where("name")


def container_ids(config: Config) -> dict[str, int]:
    """The user and group id that each container's name stands for: from 100, in order; the last of a name counts."""
    return {item.name: FIRST_ID + number for number, (_, _, item) in enumerate(config.components())}


def numeric_id(value: int | str | None, ids: Mapping[str, int], what: str, where: Where | None) -> int:
    """The number a ``uid`` or ``gid`` stands for: itself, or that of the container of this name.

    Raises InputError when no container has the name.
    """
    if value is None or value in ("", "root"):
        return 0
    if isinstance(value, int):
        return value
    if value not in ids:
        close = nearest(value, ids)
        hint = f"did you mean `{close}`?" if close else None
        if value.isdigit():
            hint = "write the number without quotes"
        raise InputError(f"{what} `{value}` is not the name of a container", hint=hint, where=where)
    return ids[value]


def with_volumes(item: S, volumes: Mapping[str, Volume], compat: Compat = "fixed") -> S:
    """The same settings with paths of volumes in place of their names, in ``binds``, ``binds.add`` and ``mounts``.

    Raises InputError when there is no such volume, or a read-only one is bound for writing.
    """

    def binds(key: str, texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if texts is None:
            return None
        found = []
        for index, text in enumerate(texts):
            where = item.where(key, index)
            mount = values.bind(text, where)
            path = volume_path(mount, volumes, where)
            found.append(path + text[len(mount.source) :])
        return tuple(found)

    mounts = item.mounts
    if mounts is not None:
        found = []
        for index, mount in enumerate(mounts):
            path = volume_path(mount, volumes, item.where("mounts", index)) if mount.type == "bind" else mount.source
            # Upstream looks the volume up, and then forgets the path it found.
            found.append(mount if compat == "upstream" else replace(mount, source=path))
        mounts = tuple(found)
    return replace(item, binds=binds("binds", item.binds), binds_add=binds("binds.add", item.binds_add), mounts=mounts)


def volume_path(mount: Mount, volumes: Mapping[str, Volume], where: Where | None) -> str:
    """The source of a bind mount as a path: itself, or the directory of the volume it names."""
    name = mount.source
    if name.startswith("/"):
        return name
    if name not in volumes:
        close = nearest(name, volumes)
        raise InputError(
            f"the volume `{name}` is not declared",
            hint=f"did you mean `{close}`?" if close else "declare it in `volumes`, or bind an absolute path",
            where=where,
        )
    found = volumes[name]
    access = [option for option in mount.options if option in ("ro", "rw")]
    if found.readonly and access[-1:] != ["ro"]:
        raise InputError(
            f"the volume `{name}` is read-only and bound for writing", hint="add the option ro", where=where
        )
    return f"/{found.directory}/merged"
