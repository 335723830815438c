"""What a component becomes in the root filesystem: ``config.json`` (the OCI runtime specification, 1.2.1) and
``runtime.json`` (what LinuxKit's init does around it), as upstream's ``linuxkit build`` writes them.

    component = effective(component, image_config, reference, volumes)
    to_json(oci_spec(component, ids))
    to_json(runtime_spec(component, "containers/services/sshd", "containers/services/sshd/lower"))
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from thanos_tui.errors import BuildError
from thanos_tui.linuxkit import checks, schema, values
from thanos_tui.linuxkit.config import read_label
from thanos_tui.linuxkit.model import (
    Compat,
    Component,
    IdMapping,
    Mount,
    Namespaces,
    Resources,
    Runtime,
    Settings,
    Volume,
)

LABEL = "org.mobyproject.config"
OCI_VERSION = "1.2.1"

# Keys that the runtime specification spells otherwise than the YAML.
_JSON_NAMES = {"blockio": "blockIO", "uidmappings": "uidMappings", "gidmappings": "gidMappings"}


def effective(
    component: Component,
    image_config: Mapping[str, Any],
    volumes: Mapping[str, Volume],
    compat: Compat = "fixed",
) -> Component:
    """The component with everything it does not say taken from its image, and volume names replaced by paths.

    image_config: the object ``config`` of the OCI image configuration; its label ``org.mobyproject.config`` comes
        first, then its Entrypoint, Cmd, Env and WorkingDir.
    volumes: those of the whole configuration, by name.
    Raises InputError for a bad label and for volumes that do not exist; BuildError for a broken image configuration.
    """
    component = checks.with_volumes(component, volumes, compat)
    labels = image_config.get("Labels") or {}
    label = read_label(labels.get(LABEL) or "", component.image)
    if compat == "fixed":
        label = checks.with_volumes(label, volumes)
    merged: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name in ("place", "binds_add", "capabilities_add"):
            continue
        own, default = getattr(component, item.name), getattr(label, item.name)
        # An empty text counts as not given, an empty list does not.
        merged[item.name] = default if own is None or (own == "" and item.default == "") else own
    merged["binds"] = _added(component.binds, label.binds, component.binds_add)
    merged["capabilities"] = _capabilities(component, label)
    merged["runtime"] = _runtime(component.runtime or Runtime(), label.runtime or Runtime())
    if merged["command"] is None:
        merged["command"] = (*_strings(image_config, "Entrypoint"), *_strings(image_config, "Cmd"))
    if merged["env"] is None:
        merged["env"] = _strings(image_config, "Env")
    merged["cwd"] = merged["cwd"] or image_config.get("WorkingDir") or "/"
    return replace(component, **merged, binds_add=None, capabilities_add=None)


def _strings(image_config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = image_config.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise BuildError(f"the image's configuration is broken: {key} is not a list of strings")
    return tuple(found)


def _added(
    own: tuple[str, ...] | None, label: tuple[str, ...] | None, added: tuple[str, ...] | None
) -> tuple[str, ...]:
    return own if own is not None else (label or ()) + (added or ())


def _capabilities(component: Component, label: Settings) -> tuple[str, ...]:
    def expanded(settings: Settings, key: str, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else values.capabilities(names, key, settings.where(key))

    own = expanded(component, "capabilities", component.capabilities)
    default = expanded(label, "capabilities", label.capabilities)
    added = expanded(component, "capabilities.add", component.capabilities_add)
    if own is None and values.CAPABILITIES in (default, added):
        return values.CAPABILITIES
    return _added(own, default, added)


def _runtime(own: Runtime, label: Runtime) -> Runtime:
    def first(mine: Any, theirs: Any) -> Any:
        return {
            item.name: getattr(mine, item.name) if getattr(mine, item.name) is not None else getattr(theirs, item.name)
            for item in fields(mine)
        }

    return Runtime(**first(own, label) | {"bind_ns": Namespaces(**first(own.bind_ns, label.bind_ns))})


def oci_spec(component: Component, ids: Mapping[str, int], compat: Compat = "fixed") -> dict[str, Any]:
    """The content of ``config.json`` for a component that :func:`effective` returned, in the order of upstream.

    ids: what names of containers mean as user and group ids (``checks.container_ids``).
    Raises InputError for a name that no container has.
    """
    capabilities = component.capabilities or ()
    ambient = values.capabilities(component.ambient or (), "ambient", component.where("ambient"))
    bounding = sorted({*capabilities, *ambient})
    return _filled(
        {
            "ociVersion": OCI_VERSION,
            "process": _filled(
                {
                    "user": _user(component, ids),
                    "args": list(component.command or ()),
                    "env": list(component.env or ()),
                    "cwd": component.cwd,
                    # Upstream writes this even when nothing is in it.
                    "capabilities": _Always(
                        _filled(
                            {
                                "bounding": bounding,
                                "effective": list(capabilities),
                                "inheritable": bounding,
                                "permitted": bounding,
                                "ambient": list(ambient),
                            }
                        )
                    ),
                    "rlimits": _rlimits(component),
                    "noNewPrivileges": component.no_new_privileges or None,
                    "oomScoreAdj": component.oom_score_adj,
                }
            ),
            "root": _filled({"path": "rootfs", "readonly": component.readonly or None}),
            "hostname": component.hostname,
            "mounts": [_json(mount, compat) for mount in _mounts(component, compat)],
            "annotations": dict(sorted((component.annotations or {}).items())),
            "linux": _filled(
                {
                    "uidMappings": [_json(item, compat) for item in component.uid_mappings or ()],
                    "gidMappings": [_json(item, compat) for item in component.gid_mappings or ()],
                    "sysctl": dict(sorted((component.sysctl or {}).items())),
                    "resources": _Always(_resources(component, compat)),
                    "cgroupsPath": component.cgroups_path,
                    "namespaces": _namespaces(component, compat),
                    "devices": _devices(component),
                    "rootfsPropagation": component.rootfs_propagation,
                    "maskedPaths": list(component.masked_paths or ()),
                    "readonlyPaths": list(component.readonly_paths or ()),
                }
            ),
        }
    )


class _Always(dict[str, Any]):
    """A mapping that stays even when it is empty."""


def _filled(mapping: dict[str, Any]) -> dict[str, Any]:
    """Without what upstream leaves out: absent values, empty texts, lists and mappings."""
    return {
        key: value
        for key, value in mapping.items()
        if isinstance(value, _Always) or not (value is None or value == "" or value == [] or value == {})
    }


def _user(component: Component, ids: Mapping[str, int]) -> dict[str, Any]:
    groups = enumerate(component.additional_gids or ())
    return _filled(
        {
            # Ids beyond 32 bits get this far only where upstream's wrapping is asked for.
            "uid": checks.numeric_id(component.uid, ids, "the user", component.where("uid")) % 2**32,
            "gid": checks.numeric_id(component.gid, ids, "the group", component.where("gid")) % 2**32,
            "additionalGids": [
                checks.numeric_id(group, ids, "the group", component.where("additionalGids", index)) % 2**32
                for index, group in groups
            ],
        }
    )


def _rlimits(component: Component) -> list[dict[str, Any]]:
    limits = (values.rlimit(text, component.where("rlimits")) for text in component.rlimits or ())
    return [{"type": name, "hard": hard, "soft": soft} for name, soft, hard in limits]


def _mounts(component: Component, compat: Compat) -> list[Mount]:
    readonly = ("ro",) if component.readonly else ()
    found = {
        mount.destination: mount
        for mount in (
            Mount(destination="/proc", type="proc", options=("nosuid", "nodev", "noexec", "relatime")),
            Mount(
                destination="/dev",
                type="tmpfs",
                options=("nosuid", "strictatime", "mode=755", "size=65536k", *readonly),
            ),
            Mount(
                destination="/dev/pts",
                type="devpts",
                options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
            ),
            Mount(destination="/sys", type="sysfs", options=("nosuid", "noexec", "nodev", *readonly)),
            Mount(
                destination="/sys/fs/cgroup",
                type="cgroup",
                options=("nosuid", "noexec", "nodev", "relatime", "ro"),
            ),
        )
    }
    for text in component.tmpfs or ():
        mount = values.tmpfs(text, component.where("tmpfs"))
        found[mount.destination] = mount
    for text in component.binds or ():
        mount = values.bind(text, component.where("binds"))
        found[mount.destination] = mount
    for item in component.mounts or ():
        mount = values.mount(item, component.where("mounts"))
        if compat == "upstream":
            mount = replace(mount, uid_mappings=(), gid_mappings=())
        found[mount.destination] = mount
    return [replace(mount, source=mount.source or mount.type) for _, mount in sorted(found.items())]


def _namespaces(component: Component, compat: Compat) -> list[dict[str, Any]]:
    found = []
    for kind, value in (
        ("network", component.net or "host"),
        ("ipc", component.ipc or "host"),
        ("uts", component.uts or "host"),
        ("pid", component.pid or "new"),
        ("user", component.userns or "host"),
        ("mount", "new"),
    ):
        if value in ("host", "root"):
            continue
        new = ("new", "none") if kind == "network" or compat == "fixed" else ("new",)
        found.append({"type": kind} if value in new else {"type": kind, "path": value})
    return found


def _devices(component: Component) -> list[dict[str, Any]]:
    return [
        {
            "path": device.path,
            "type": device.type,
            "major": device.major,
            "minor": device.minor,
            "fileMode": int(device.mode, 8),
        }
        for device in component.devices or ()
        if device.path != "all"
    ]


def _resources(component: Component, compat: Compat) -> dict[str, Any]:
    found = _json(component.resources or Resources(), compat)
    rules = found.pop("devices", [])
    for device in component.devices or ():
        numbers = {} if device.path == "all" else {"major": device.major, "minor": device.minor}
        rules.append({"allow": True, **_filled({"type": device.type}), **numbers, "access": "rwm"})
    return {"devices": rules, **found} if rules else found


def _json(item: Any, compat: Compat) -> dict[str, Any]:
    """A value of ``model.py`` as the runtime specification has it; numbers and booleans that are given stay."""
    found: dict[str, Any] = {}
    for rule in schema.keys(cast(Hashable, type(item))).values():
        value = getattr(item, rule.attribute)
        if compat == "upstream" and rule.name != rule.name.lower():
            # Its decoder looks for such keys in small letters, and finds none.
            if isinstance(item, IdMapping):
                found[rule.name] = 0
            continue
        if rule.name == "pageSize":
            value = _page_size(value)
        elif is_dataclass(value):
            value = _Always(_json(value, compat))
        elif isinstance(value, tuple):
            value = [_json(entry, compat) if is_dataclass(entry) else entry for entry in value]
        found[_JSON_NAMES.get(rule.name, rule.name)] = value
    return _filled(found)


def _page_size(size: int) -> str:
    """A size in bytes as the specification and the kernel's file names have it: ``2MB``."""
    for exponent, unit in ((3, "GB"), (2, "MB"), (1, "KB")):
        if size and size % 1024**exponent == 0:
            return f"{size // 1024**exponent}{unit}"
    return f"{size}B"


def runtime_spec(component: Component, path: str, root: str, compat: Compat = "fixed") -> dict[str, Any]:
    """The content of ``runtime.json`` for a component that :func:`effective` returned.

    path: the component's directory in the root filesystem, without a leading slash.
    root: the directory that holds its image's files: ``lower`` (``rootfs`` if it is read-only) in ``path``, or in the
        path of an earlier component with the same image.
    """
    own = f"/{path}/"
    if component.readonly:
        mounts = [Mount(destination=f"{own}rootfs", source=f"/{root}", options=("bind",))]
    else:
        overlay = (f"lowerdir=/{root}", f"upperdir={own}tmp/upper", f"workdir={own}tmp/work")
        mounts = [
            Mount(destination=f"{own}tmp", type="tmpfs", source="tmpfs"),
            # Nothing else should see the layers.
            Mount(destination=f"{own}tmp", options=("remount", "private")),
            Mount(destination=f"{own}rootfs", type="overlay", source="overlay", options=overlay),
        ]
    runtime = component.runtime or Runtime()
    bound = {item.name: getattr(runtime.bind_ns, item.name) or "" for item in fields(Namespaces)}
    return {
        "cgroups": list(runtime.cgroups or ()),
        "mounts": [_json(mount, compat) for mount in (*mounts, *(runtime.mounts or ()))],
        "mkdir": list(runtime.mkdir or ()),
        "interfaces": [
            {**_filled({"name": item.name, "add": item.add, "peer": item.peer}), "createInRoot": item.create_in_root}
            for item in runtime.interfaces or ()
        ],
        "bindNS": bound,
        "namespace": runtime.namespace or "",
    }


# Go's encoder keeps JSON safe for HTML; the bytes are to be the same.
_GO_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def to_json(value: Any) -> bytes:
    """JSON as Go's ``json.MarshalIndent`` writes it with four spaces, byte for byte."""
    return json.dumps(value, indent=4, ensure_ascii=False).translate(_GO_ESCAPES).encode()
