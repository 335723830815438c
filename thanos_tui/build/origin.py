"""Why a file is in the root filesystem: which component put it there, from which layer of which image."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from thanos_tui.build import kernel, rootfs, trees
from thanos_tui.errors import BuildError
from thanos_tui.images import layers
from thanos_tui.images.reference import expand
from thanos_tui.images.store import Image, Store
from thanos_tui.images.unpacked import canonical
from thanos_tui.linuxkit.config import Component, Config
from thanos_tui.tree import Member

_ROOTS = ("lower", "rootfs")


@dataclass(frozen=True)
class Origin:
    """One part that puts something at a path.

    path: in the root filesystem. location, source: of the part (``rootfs.Part``). name: the component's, ``""`` for
    parts that are none. member: what it puts there. inside: the path in the image, where it is a file of one, or in the
    archive of modules in a kernel image. archive: that archive's name there, "" for all else. image: that image.
    layers: which of its layers bring something to the path (or the archive), from 1, the last one counting.
    replaced: a later part puts something else there.
    """

    path: str
    location: str
    source: str
    name: str
    member: Member
    inside: str
    archive: str
    image: Image | None
    layers: tuple[int, ...]
    replaced: bool


def find(config: Config, store: Store, arch: str, path: str) -> list[Origin]:
    """All that put something at ``path``, in the order of the root filesystem; the last one counts.

    path: in the root filesystem, or (where nothing is there) inside containers: then each that has it is found, at the
    path that its files have in the root filesystem. What a container sees as ``rootfs`` may be kept elsewhere.

    Raises BuildError where an image is not in the store, or nothing is at the path.
    """
    wanted = "/".join(step for step in path.split("/") if step not in ("", "."))
    parts = rootfs.parts(config, store, arch)
    homes = _homes(config)
    for names, locations in _places(config, homes, wanted):
        found = [
            origin
            for part in parts
            if part.location in locations
            for origin in _in_part(part, names, config, store, arch, homes)
        ]
        if found:
            last = {origin.path: number for number, origin in enumerate(found)}
            return [_marked(origin, last[origin.path] != number) for number, origin in enumerate(found)]
    raise BuildError(
        f"nothing puts /{wanted} into this system",
        hint="write its path in the system, or in a container; what is made at boot is in no image",
    )


def _marked(origin: Origin, replaced: bool) -> Origin:
    return Origin(**{**vars(origin), "replaced": replaced})


def _homes(config: Config) -> Mapping[str, str]:
    """Where each container is, by its location in the config."""
    return {
        f"{section}[{number}]": f"containers/{section}/{'' if section == 'services' else f'{number:03d}-'}{item.name}"
        for section, number, item in config.components()
    }


def _places(config: Config, homes: Mapping[str, str], wanted: str) -> Iterator[tuple[set[str], set[str]]]:
    """The names that a path may have, and the parts that may have them: one try after the other."""
    system = {"kernel", "files", "init", *(f"init[{number}]" for number in range(len(config.init)))}
    volumes = {f"volume[{number}]" for number in range(len(config.volumes))}
    components = {f"{section}[{number}]": item for section, number, item in config.components()}
    if not wanted.startswith("containers/"):
        # Debian's move into usr: the root may have either name.
        yield {wanted, canonical(wanted)}, system
        yield {f"{home}/{root}/{wanted}" for home in homes.values() for root in _ROOTS}, set(homes)
        return
    yield {wanted}, {"files", *volumes, *(at for at, home in homes.items() if wanted.startswith(f"{home}/"))}
    for location, home in homes.items():
        for root in _ROOTS:
            if wanted.startswith(f"{home}/{root}/"):
                # Containers with one image share the files of the first.
                inside = wanted.removeprefix(f"{home}/{root}/")
                same = {at for at, item in components.items() if _same(item, components[location])}
                yield {f"{homes[at]}/{each}/{inside}" for at in same for each in _ROOTS}, same


def _same(one: Component, other: Component) -> bool:
    return expand(one.image) == expand(other.image)


def _in_part(
    part: rootfs.Part, names: Collection[str], config: Config, store: Store, arch: str, homes: Mapping[str, str]
) -> Iterator[Origin]:
    titles = {f"{section}[{number}]": item.name for section, number, item in config.components()}
    titles |= {f"volume[{number}]": volume.name for number, volume in enumerate(config.volumes)}
    prefixes = [f"{homes[part.location]}/{root}/" for root in _ROOTS] if part.location in homes else [""]
    prefixes = (
        [f"{config.volumes[int(part.location[7:-1])].directory}/lower/"] if "volume[" in part.location else prefixes
    )
    for member in part.members():
        if member.name not in names:
            continue
        source = member.pax.get("LINUXKIT.source", part.source)
        inside = next((member.name.removeprefix(p) for p in prefixes if member.name.startswith(p)), "")
        archive = ""
        image = None if source.startswith(("linuxkit.", "LINUXKIT.")) else store.get(source, arch)
        if part.location == "kernel":
            files = kernel.names(config.kernel)
            # What is below boot has other names in the image; the command line and directories are in none.
            roles = {"boot/kernel": files.binary, "boot/ucode.cpio": files.ucode, "boot/cmdline": "", "boot": ""}
            inside = roles.get(inside, inside)
            archive = files.tar if member.name not in roles else ""
            image = image if inside else None
        own = inside and inside not in trees.GENERATED
        brought = layers.brought_by(store, image, archive or inside) if image and own else ()
        yield Origin(
            member.name,
            member.pax.get("LINUXKIT.location", part.location),
            source,
            titles.get(part.location, ""),
            member,
            inside if image else "",
            archive,
            image,
            brought,
            False,
        )
