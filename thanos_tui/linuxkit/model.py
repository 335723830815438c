"""The LinuxKit configuration as typed values: what its YAML may say, name by name.

A field is named as its key in the YAML, in Python's spelling (``maskedPaths`` is ``masked_paths``, ``binds.add`` is
``binds_add``). None means that the YAML does not say; for most keys that is not the same as saying "nothing", because
what the YAML does not say is taken from the image's label.

Field metadata drives reading, checking and writing (``schema.py``): ``key`` is the name in the YAML, ``range`` the
smallest and largest number that fits the OCI runtime specification's type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from thanos_tui.errors import Where
from thanos_tui.yaml12 import Document

# "fixed" mends what upstream gets wrong; "upstream" repeats it where that is safe: docs/linuxkit-compat.md
Compat = Literal["fixed", "upstream"]

_INT64 = (-(2**63), 2**63 - 1)
_UINT64 = (0, 2**64 - 1)
_UINT32 = (0, 2**32 - 1)
_UINT16 = (0, 2**16 - 1)
# -1 is what system calls take for "leave it as it is", so the highest id is not one.
_ID = (0, 2**32 - 2)
# The kernel's own limits (proc(5)); upstream leaves it to the machine to fail.
_OOM_SCORE = (-1000, 1000)


def _named(key: str, default: Any = None) -> Any:
    return field(default=default, metadata={"key": key})


def _number(limits: tuple[int, int], key: str | None = None, default: int | None = None) -> Any:
    return field(default=default, metadata={"range": limits} | ({"key": key} if key else {}))


@dataclass(frozen=True)
class Place:
    """Where a value was read: a document and a path in it."""

    document: Document
    path: tuple[str | int, ...] = ()

    def where(self, *path: str | int, key: bool = False) -> Where:
        """The place of what is at ``path`` below this value (or of its key)."""
        return self.document.where((*self.path, *path), key)


@dataclass(frozen=True, kw_only=True)
class Located:
    """A value that remembers where it was read (None: it was made, not read); equality does not care."""

    place: Place | None = field(default=None, compare=False, repr=False)

    def where(self, *path: str | int, key: bool = False) -> Where | None:
        """Where the YAML says this, or what is at ``path`` below it (or its key)."""
        return self.place.where(*path, key=key) if self.place else None


@dataclass(frozen=True, kw_only=True)
class IdMapping:
    """A range of user or group ids of a user namespace."""

    container_id: int = _number(_UINT32, "containerID", 0)
    host_id: int = _number(_UINT32, "hostID", 0)
    size: int = _number(_UINT32, default=0)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mount, in a container or (in ``runtime``) before it starts."""

    destination: str = ""
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = _named("uidmappings", ())
    gid_mappings: tuple[IdMapping, ...] = _named("gidmappings", ())


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device node in a container; the path ``all`` stands for every device of its type."""

    path: str = ""
    type: str = ""
    major: int = _number(_INT64, default=0)
    minor: int = _number(_INT64, default=0)
    mode: str = ""


@dataclass(frozen=True, kw_only=True)
class DeviceRule:
    """A rule of the device cgroup."""

    allow: bool = False
    type: str = ""
    major: int | None = _number(_INT64)
    minor: int | None = _number(_INT64)
    access: str = ""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory limits in bytes; -1 is no limit."""

    limit: int | None = _number(_INT64)
    reservation: int | None = _number(_INT64)
    swap: int | None = _number(_INT64)
    kernel: int | None = _number(_INT64)
    kernel_tcp: int | None = _number(_INT64, "kernelTCP")
    swappiness: int | None = _number(_UINT64)
    disable_oom_killer: bool | None = _named("disableOOMKiller")


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Processor time; periods and quotas are in microseconds."""

    shares: int | None = _number(_UINT64)
    quota: int | None = _number(_INT64)
    period: int | None = _number(_UINT64)
    realtime_runtime: int | None = _number(_INT64, "realtimeRuntime")
    realtime_period: int | None = _number(_UINT64, "realtimePeriod")
    cpus: str = ""
    mems: str = ""


@dataclass(frozen=True, kw_only=True)
class Pids:
    limit: int = _number(_INT64, default=0)


@dataclass(frozen=True, kw_only=True)
class WeightDevice:
    major: int = _number(_INT64, default=0)
    minor: int = _number(_INT64, default=0)
    weight: int | None = _number(_UINT16)
    leaf_weight: int | None = _number(_UINT16, "leafWeight")


@dataclass(frozen=True, kw_only=True)
class ThrottleDevice:
    major: int = _number(_INT64, default=0)
    minor: int = _number(_INT64, default=0)
    rate: int = _number(_UINT64, default=0)


@dataclass(frozen=True, kw_only=True)
class BlockIo:
    weight: int | None = _number(_UINT16)
    leaf_weight: int | None = _number(_UINT16, "leafWeight")
    weight_device: tuple[WeightDevice, ...] = _named("weightDevice", ())
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = _named("throttleReadBpsDevice", ())
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = _named("throttleWriteBpsDevice", ())
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = _named("throttleReadIOPSDevice", ())
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = _named("throttleWriteIOPSDevice", ())


@dataclass(frozen=True, kw_only=True)
class HugepageLimit:
    """A limit in bytes on pages of ``page_size`` bytes."""

    page_size: int = _number((1, 2**63 - 1), "pageSize", 0)
    limit: int = _number(_UINT64, default=0)


@dataclass(frozen=True, kw_only=True)
class InterfacePriority:
    name: str = ""
    priority: int = _number(_UINT32, default=0)


@dataclass(frozen=True, kw_only=True)
class Network:
    class_id: int | None = _number(_UINT32, "classID")
    priorities: tuple[InterfacePriority, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a container's cgroup allows it."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    blockio: BlockIo | None = None
    hugepage_limits: tuple[HugepageLimit, ...] = _named("hugepageLimits", ())
    network: Network | None = None


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A network interface that is moved into a container, or made for it."""

    name: str = ""
    add: str = ""
    peer: str = ""
    create_in_root: bool = _named("createInRoot", False)


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """Paths at which a container's namespaces are bound, so that others can join them."""

    cgroup: str | None = None
    ipc: str | None = None
    mnt: str | None = None
    net: str | None = None
    pid: str | None = None
    user: str | None = None
    uts: str | None = None


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What the init system does for a container before and after it makes it."""

    cgroups: tuple[str, ...] | None = None
    mounts: tuple[Mount, ...] | None = None
    mkdir: tuple[str, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    bind_ns: Namespaces = field(default_factory=Namespaces, metadata={"key": "bindNS"})
    namespace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings(Located):
    """How a container runs: every key that both a component and an image's label may have, in upstream's order."""

    capabilities: tuple[str, ...] | None = None
    capabilities_add: tuple[str, ...] | None = _named("capabilities.add")
    ambient: tuple[str, ...] | None = None
    mounts: tuple[Mount, ...] | None = None
    binds: tuple[str, ...] | None = None
    binds_add: tuple[str, ...] | None = _named("binds.add")
    devices: tuple[Device, ...] | None = None
    tmpfs: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    cwd: str = ""
    net: str = ""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    userns: str = ""
    hostname: str = ""
    readonly: bool | None = None
    masked_paths: tuple[str, ...] | None = _named("maskedPaths")
    readonly_paths: tuple[str, ...] | None = _named("readonlyPaths")
    uid: int | str | None = _number(_ID)
    gid: int | str | None = _number(_ID)
    additional_gids: tuple[int | str, ...] | None = _number(_ID, "additionalGids")
    no_new_privileges: bool | None = _named("noNewPrivileges")
    oom_score_adj: int | None = _number(_OOM_SCORE, "oomScoreAdj")
    rootfs_propagation: str | None = _named("rootfsPropagation")
    cgroups_path: str | None = _named("cgroupsPath")
    resources: Resources | None = None
    sysctl: Mapping[str, str] | None = None
    rlimits: tuple[str, ...] | None = None
    uid_mappings: tuple[IdMapping, ...] | None = _named("uidMappings")
    gid_mappings: tuple[IdMapping, ...] | None = _named("gidMappings")
    annotations: Mapping[str, str] | None = None
    runtime: Runtime | None = None


@dataclass(frozen=True)
class Component(Settings):
    """A container that runs at boot, at shutdown, or as a service."""

    name: str
    image: str


@dataclass(frozen=True)
class Volume(Located):
    """A directory that containers share, empty or filled from an image."""

    name: str = ""
    image: str = ""
    readonly: bool = False
    format: str = ""
    platforms: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """Where the volume is in the root filesystem, without a leading slash."""
        return f"containers/volumes/{self.name}"


@dataclass(frozen=True)
class File(Located):
    """A file, directory or symlink of the root filesystem."""

    path: str = ""
    directory: bool = False
    symlink: str = ""
    contents: str | None = None
    source: str = ""
    metadata: str = ""
    optional: bool = False
    mode: str = ""
    uid: int | str | None = _number(_ID)
    gid: int | str | None = _number(_ID)

    @property
    def permissions(self) -> int:
        """The permission bits: 0700 for a directory and 0600 for anything else, unless ``mode`` says otherwise."""
        return int(self.mode, 8) if self.mode else 0o700 if self.directory else 0o600


@dataclass(frozen=True)
class Kernel:
    """The kernel image, and which of its files are what.

    tar: the archive of modules (``kernel.tar`` if not given; ``""`` and ``"none"``: there is none).
    ucode: the archive of microcode, if any.
    places: where each field was read (a merged kernel may come from several files), by its key.
    """

    image: str = ""
    cmdline: str = ""
    binary: str = ""
    tar: str | None = None
    ucode: str | None = None
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False, kw_only=True)

    def where(self, key: str = "image") -> Where | None:
        """Where the YAML says this field."""
        return self.places[key].where() if key in self.places else None


@dataclass(frozen=True)
class Config:
    """A whole configuration: one YAML file, or several merged."""

    kernel: Kernel = field(default_factory=Kernel)
    init: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    onboot: tuple[Component, ...] = ()
    onshutdown: tuple[Component, ...] = ()
    services: tuple[Component, ...] = ()
    files: tuple[File, ...] = ()
    init_places: tuple[Place, ...] = field(default=(), compare=False, repr=False, kw_only=True)

    def where_init(self, index: int) -> Where | None:
        """Where the YAML names this init image."""
        return self.init_places[index].where() if index < len(self.init_places) else None

    def where_image(self, reference: str) -> Where | None:
        """Where the YAML names an image for the first time."""
        if reference == self.kernel.image:
            return self.kernel.where()
        if reference in self.init:
            return self.where_init(self.init.index(reference))
        entries: list[Volume | Component] = [*self.volumes, *(item for _, _, item in self.components())]
        return next((item.where("image") for item in entries if item.image == reference), None)

    def components(self) -> tuple[tuple[str, int, Component], ...]:
        """All containers with their section and number, in the order of the root filesystem."""
        sections = (("onboot", self.onboot), ("onshutdown", self.onshutdown), ("services", self.services))
        return tuple((name, number, item) for name, items in sections for number, item in enumerate(items))

    def images(self) -> tuple[str, ...]:
        """Every image it names, as written and once each, in the order of the root filesystem."""
        kernel = (self.kernel.image,) if self.kernel.image else ()
        volumes = (volume.image for volume in self.volumes if volume.image)
        containers = (item.image for _, _, item in self.components())
        return tuple(dict.fromkeys((*kernel, *self.init, *volumes, *containers)))

    def layouts(self, arch: str) -> dict[str, tuple[str, ...]]:
        """The images that volumes hold as they are, each with the platforms it is wanted for; none for all it has.

        arch: of the system (Go's name), for images that are used in other ways, too.
        """
        found: dict[str, tuple[str, ...]] = {}
        for volume in self.volumes:
            if volume.image and volume.format == "oci":
                before = found.get(volume.image, volume.platforms)
                both = dict.fromkeys((*before, *volume.platforms))
                found[volume.image] = tuple(both) if before and volume.platforms else ()
        others = replace(self, volumes=tuple(volume for volume in self.volumes if volume.format != "oci")).images()
        for image in found.keys() & set(others):
            if found[image]:
                found[image] = tuple(dict.fromkeys((*found[image], f"linux/{arch}")))
        return found
