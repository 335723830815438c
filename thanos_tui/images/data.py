"""Files of Debian packages that outputs and machines take as they are: EFI stubs, boot loaders, firmware.

None of them runs on this machine, so they can be for another architecture than its own. What is installed here is used;
what is not is brought without root, from the packages of the architecture it is for, into the place where programs go
that the machine lacks (tools.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import programs
from thanos_tui.errors import BuildError, HostError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_in_use
from thanos_tui.images import tools
from thanos_tui.images.apt import Apt
from thanos_tui.images.download import fetch
from thanos_tui.images.package import Origin


@dataclass(frozen=True)
class Source:
    """A package and the file in it; the path is below ``/``.

    later: the package that has it in later releases, and that earlier ones do not know.
    """

    package: str
    path: str
    later: str = ""


# By what they are for (formats.yml uses these names) and the architecture they are for, in Debian's words.
SOURCES: Mapping[str, Mapping[str, Source]] = {
    # systemd's EFI program that starts the kernel and the initrd which it carries.
    "efi-stub": {
        "amd64": Source("systemd-boot-efi", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"),
        "arm64": Source("systemd-boot-efi", "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"),
    },
    # GRUB as Debian puts it on discs: it reads /boot/grub/grub.cfg of the disc with /.disk/info.
    "efi-grub": {
        "amd64": Source(
            "grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/monolithic/gcdx64.efi", "grub-efi-amd64-unsigned"
        ),
        "arm64": Source(
            "grub-efi-arm64-bin", "usr/lib/grub/arm64-efi/monolithic/gcdaa64.efi", "grub-efi-arm64-unsigned"
        ),
    },
    # ISOLINUX: the boot loader, the library it loads, and the boot code that makes a disc a disk, too.
    "isolinux": {"amd64": Source("isolinux", "usr/lib/ISOLINUX/isolinux.bin")},
    "isohybrid": {"amd64": Source("isolinux", "usr/lib/ISOLINUX/isohdpfx.bin")},
    "ldlinux": {"amd64": Source("syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32")},
    "u-boot-rpi3": {"arm64": Source("u-boot-rpi", "usr/lib/u-boot/rpi_3/u-boot.bin")},
    # UEFI for QEMU's machines: the code, and variables that have not been set yet.
    "firmware": {
        "amd64": Source("ovmf", "usr/share/OVMF/OVMF_CODE_4M.fd"),
        "arm64": Source("qemu-efi-aarch64", "usr/share/AAVMF/AAVMF_CODE.fd"),
    },
    "firmware-variables": {
        "amd64": Source("ovmf", "usr/share/OVMF/OVMF_VARS_4M.fd"),
        "arm64": Source("qemu-efi-aarch64", "usr/share/AAVMF/AAVMF_VARS.fd"),
    },
}


def find(name: str, arch: str) -> Path | None:
    """Where a file is: in its package's place on this machine, else in the cache; None if it is nowhere, or unknown."""
    source = SOURCES[name].get(arch)
    if source is None:
        return None
    fetched = sorted(programs.tools_dir().glob(f"[!.]*/{source.path}"), key=lambda path: path.stat().st_mtime)
    return next((path for path in (Path("/", source.path), *reversed(fetched)) if path.is_file()), None)


def require(name: str, arch: str) -> Path:
    """Where a file is; raises HostError naming the package that has it."""
    found = find(name, arch)
    if found is None:
        source = SOURCES[name].get(arch)
        if source is None:
            raise HostError(f"there is no {name} for {arch}")
        raise HostError(
            f"/{source.path} is not installed", hint=f"install it: apt-get install {source.package}, on {arch}"
        )
    return found


def ensure(
    names: Iterable[str], arch: str, reporter: Reporter, *, offline: bool = False, origin: Origin | None = None
) -> None:
    """See to it that every file of ``names`` can be found, fetching what is missing.

    origin: of the packages, if not the machine's own sources. Raises as :func:`thanos_tui.images.tools.ensure` does.
    """
    missing = [name for name in dict.fromkeys(names) if arch in SOURCES[name] and find(name, arch) is None]
    if not missing:
        return
    sources = [SOURCES[name][arch] for name in missing]
    wanted = sorted({source.package for source in sources} | {source.later for source in sources if source.later})
    asked = [f"{name}?" if any(name == source.later for source in sources) else name for name in wanted]
    with cache_in_use():
        apt = Apt(arch, origin)
        apt.refresh(reporter, offline=offline)
        # As data, they need nothing of what their packages depend on.
        packages = [package for package in apt.solve(asked, reporter.check) if package.name in wanted]
        files = fetch(packages, apt, reporter, offline=offline)
        tools.install(packages, files, wanted, arch, reporter)
    for name in missing:
        if find(name, arch) is None:
            source = SOURCES[name][arch]
            raise BuildError(f"the package {source.package} of {apt.suite} ({arch}) has no file /{source.path}")
