"""What a machine boots and what it is made of, and the QEMU command line that says so.

Everything here is pure: no file is read but to find out what a path means, and nothing is started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from thanos_tui.errors import InputError
from thanos_tui.hardware import Peripherals
from thanos_tui.vm.ports import ADDRESS, Forward

SSH_PORT = 1234  # sshd's port in ThanOS; on the host the preferred one
VNC_PORT = 5900  # display :0 of RFC 6143; QEMU counts displays from here
HOST_KEY = "ssh_host_ed25519_key"  # in the machine's directory, and the name by which the guest finds it
SERIAL_LOG = "serial.log"
SERIAL_TIMES = "serial.times"
SERIAL_SOCKET = "serial.sock"
MONITOR_SOCKET = "qmp.sock"
DATA_DISK = "data.img"  # in the machine's directory, kept as long as the machine is
VARIABLES = "efi-variables.fd"  # what UEFI remembers, in the machine's directory
EFI_FILES = "efi"  # in the machine's directory: what UEFI finds on a disk that QEMU makes up
DISPLAY = "display0"
SOUND_SOCKET = "sound.sock"  # what the machine plays (vm/sound.py)
SOUND_RATE = 48_000  # Hz: at which QEMU mixes it; it gives its listeners no more

DiskFormat = Literal["raw", "vpc", "qcow2", "vmdk", "vdi"]
Accel = Literal["kvm", "tcg"]
Firmware = Literal["bios", "efi"]
Medium = Literal["disk", "cd", "program"]


@dataclass(frozen=True)
class Boot:
    """What a machine starts from: either a kernel (with initrd and command line) or an image, or a kernel with its root
    file system on a disk.

    root: the kind of that file system, in Linux's words.
    cmdline: the kernel's command line itself, not a file.
    format: the disk image's format in QEMU's words (`vpc` is VHD). It is never guessed from the image's content: a raw
        image could be written by its guest so as to look like another format and name files of the host.
    medium: what the image is: a disk, an optical disc, or a program of EFI's.
    firmware: what the image is made for.
    """

    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""
    disk: Path | None = None
    format: DiskFormat = "raw"
    medium: Medium = "disk"
    firmware: Firmware = "bios"
    root: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it is read from."""
        return tuple(path for path in (self.kernel, self.initrd, self.disk) if path)


@dataclass(frozen=True)
class Settings:
    """How a machine is made.

    name: None takes it from the image and makes it unique.
    memory_mib, cpus: what the guest gets.
    architecture: the guest's, in Debian's words. devices: a row of DEVICES.
    accel: `auto` takes KVM where it works; `kvm` insists on it; `tcg` is software emulation.
    ssh_port: the host port that leads to sshd; None prefers 1234 and takes another if that is in use.
    guest_ssh_port: where sshd listens in the guest.
    publish: further ports that lead into the machine.
    peripherals: what the image expects beside that.
    vnc_port: None shows the screen nowhere (a screenshot works all the same), 0 offers it by VNC on a free port.
    firmware: None takes the one that the image is made for.
    """

    name: str | None = None
    memory_mib: int = 2048
    cpus: int = 2
    architecture: str = "amd64"
    devices: str = "qemu"
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    ssh_port: int | None = None
    guest_ssh_port: int = SSH_PORT
    publish: tuple[Forward, ...] = ()
    peripherals: Peripherals = field(default_factory=Peripherals)
    vnc_port: int | None = None
    firmware: Firmware | None = None


@dataclass(frozen=True)
class Devices:
    """The board and its devices, as words of QEMU.

    disk: the devices that hold the drive ``disk0``. cd: those that do so if it is an optical disc. data: those that
    hold ``data0``. root: what Linux calls the disk.

    display: for one screen; displays: for several.
    """

    board: str
    network: str
    display: str
    displays: str
    disk: tuple[str, ...]
    cd: tuple[str, ...]
    data: tuple[str, ...]
    root: str = "/dev/vda"
    further: tuple[str, ...] = ()


# `romfile=` leaves out the network boot ROMs: they cost seconds at each start, and Debian packs them apart.
_VIRTIO_NET = "virtio-net-pci,netdev=net0,romfile="
# No balloon anywhere: the image lives in the guest's memory, which must not be taken back.
# A tablet everywhere: it tells the guest where the pointer is, not how far a mouse has moved (vm/input.py).
DEVICES: Mapping[str, Mapping[str, Devices]] = {
    "amd64": {
        "qemu": Devices(
            board="q35",
            network=_VIRTIO_NET,
            display="VGA",
            displays="virtio-vga",
            disk=("virtio-blk-pci,drive=disk0,bootindex=0",),
            cd=("ide-cd,drive=disk0,bootindex=0",),
            data=("virtio-blk-pci,drive=data0",),
            further=("virtio-rng-pci", "virtio-tablet-pci"),
        ),
        # What VirtualBox gives a 64-bit Linux guest: PIIX chipset, SATA disk on AHCI, Intel PRO/1000 network card, and
        # the USB tablet that it offers as pointing device.
        "virtualbox": Devices(
            board="pc",
            network="e1000,netdev=net0,romfile=",
            display="VGA",
            displays="virtio-vga",
            disk=("ahci,id=ahci0", "ide-hd,drive=disk0,bus=ahci0.0,bootindex=0"),
            cd=("ide-cd,drive=disk0,bootindex=0",),
            data=("ahci,id=ahci1", "ide-hd,drive=data0,bus=ahci1.0"),
            root="/dev/sda",
            further=("pci-ohci,id=usb0", "usb-tablet,bus=usb0.0"),
        ),
    },
    "arm64": {
        "qemu": Devices(
            board="virt",
            network=_VIRTIO_NET,
            display="virtio-gpu-pci",
            displays="virtio-gpu-pci",
            disk=("virtio-blk-pci,drive=disk0,bootindex=0",),
            cd=("virtio-scsi-pci,id=scsi0", "scsi-cd,drive=disk0,bus=scsi0.0,bootindex=0"),
            data=("virtio-blk-pci,drive=data0",),
            # The board has no keyboard of its own, as PCs have.
            further=("virtio-rng-pci", "virtio-keyboard-pci", "virtio-tablet-pci"),
        ),
    },
}
# What makes a sound card, by the name that the option `alsa.device` has for it. Each was heard under software
# emulation; a virtio sound card would want QEMU 8.2, and an ES1370 plays a little too high.
SOUND_CARDS: Mapping[str, tuple[str, ...]] = {
    "AC97": ("AC97,audiodev=sound0",),
    "intel-hda": ("intel-hda,id=hda0", "hda-duplex,bus=hda0.0,audiodev=sound0"),
    "usb-audio": ("qemu-xhci,id=xhci0", "usb-audio,bus=xhci0.0,audiodev=sound0"),
}
PROGRAMS: Mapping[str, str] = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}

# Output files by the end of their names (those of `linuxkit build`); the first that fits counts.
_IMAGES: Sequence[tuple[str, DiskFormat, Medium, Firmware]] = (
    ("-bios.img", "raw", "disk", "bios"),
    ("-efi.img", "raw", "disk", "efi"),
    ("-efi.qcow2", "qcow2", "disk", "efi"),
    ("-efi.iso", "raw", "cd", "efi"),
    ("-efi-initrd.iso", "raw", "cd", "efi"),
    ("-uki.efi", "raw", "program", "efi"),
    (".qcow2", "qcow2", "disk", "bios"),
    (".vhd", "vpc", "disk", "bios"),
    (".vmdk", "vmdk", "disk", "bios"),
    (".vdi", "vdi", "disk", "bios"),
    (".raw", "raw", "disk", "bios"),
    (".img", "raw", "disk", "bios"),
    (".iso", "raw", "cd", "bios"),
    (".efi", "raw", "program", "efi"),
)
_KERNEL_FILES = ("-kernel", "-initrd.img", "-cmdline")
# Root file systems by the end of their names, in Linux's words. The initrd that mounts them has a name of its own.
_ROOTS: Mapping[str, str] = {"-squashfs.img": "squashfs", "-erofs.img": "erofs", ".iso": "iso9660"}
_EARLY = "-early.img"
_FIRST = ",bootindex=0"
# ISO 9660, 8.2, and "El Torito" 1.0: what the descriptor of a disc that boots begins with, and where it is.
_BOOT_RECORD, _BOOT_RECORD_AT = b"\0CD001\1EL TORITO SPECIFICATION", 17 * 2048


def boot_of(path: Path) -> Boot:
    """What a path means to boot: an output file of any format, or the name a build was given (``DIR/NAME``).

    Raises InputError where nothing bootable, or more than one thing, is found.
    """
    for end in _KERNEL_FILES:
        if path.name.endswith(end):
            return _kernel(Path(str(path).removesuffix(end)))
    if not path.is_file():
        endings = dict.fromkeys((*_ROOTS, *(end for end, *_ in _IMAGES)))
        found = [beside for end in endings if (beside := Path(f"{path}{end}")).is_file()]
        rooted = any(_rooted(image) for image in found)
        if Path(f"{path}-kernel").is_file() and (Path(f"{path}-initrd.img").is_file() or not rooted):
            found.insert(0, Path(f"{path}-kernel"))
        if not found:
            raise InputError(
                f"there is nothing to boot at {path}",
                hint="give an output file (…-kernel, .vhd, .qcow2, .img, .iso, .efi), or the name they begin with",
            )
        if len(found) > 1:
            names = ", ".join(each.name for each in found)
            raise InputError(f"{path} could mean any of {names}", hint="give one of these files")
        return boot_of(found[0])
    with_root = _rooted(path)
    if with_root:
        return with_root
    for end, form, medium, firmware in _IMAGES:
        if path.name.endswith(end):
            return Boot(disk=path, format=form, medium=medium, firmware=firmware)
    ends = ", ".join(end for end, *_ in _IMAGES)
    raise InputError(f"the format of {path} cannot be told from its name", hint=f"disk images end in {ends}")


def _rooted(path: Path) -> Boot | None:
    """The kernel beside a root file system, with what mounts it; None if the file is none."""
    end = next((end for end in _ROOTS if path.name.endswith(end)), None)
    prefix = Path(str(path).removesuffix(end or ""))
    if end is None or (end == ".iso" and (_boots(path) or not Path(f"{prefix}-kernel").is_file())):
        return None
    early = Path(f"{prefix}{_EARLY}")
    return replace(_kernel(prefix), initrd=early if early.is_file() else None, disk=path, root=_ROOTS[end])


def _boots(disc: Path) -> bool:
    with suppress(OSError), disc.open("rb") as stream:
        stream.seek(_BOOT_RECORD_AT)
        return stream.read(len(_BOOT_RECORD)) == _BOOT_RECORD
    return True


def _kernel(prefix: Path) -> Boot:
    kernel, initrd, cmdline = (Path(f"{prefix}{end}") for end in _KERNEL_FILES)
    try:
        words = cmdline.read_text().strip()
    except FileNotFoundError:
        words = ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the kernel's command line from {cmdline}: {error}") from error
    return Boot(kernel=kernel, initrd=initrd, cmdline=words)


def default_name(boot: Boot) -> str:
    """A machine's name from its image: ``build/thanos-kernel`` and ``build/thanos.vhd`` give ``thanos``."""
    name = boot.files[0].name if boot.files else ""
    for end in sorted((*_KERNEL_FILES, *_ROOTS, *(end for end, *_ in _IMAGES)), key=len, reverse=True):
        if name.endswith(end):
            name = name.removesuffix(end)
            break
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name).strip("-")
    return kept[:40].strip("-") or "machine"


def check(boot: Boot, settings: Settings) -> Devices:
    """The devices that the settings mean; raises InputError for what cannot be booted this way."""
    if (boot.kernel is None) == (boot.disk is None) and not boot.root:
        raise InputError("a machine boots either a kernel or a disk image")
    rows = DEVICES.get(settings.architecture)
    if rows is None:
        raise InputError(
            f"machines of architecture {settings.architecture!r} cannot be run",
            hint="known: " + ", ".join(DEVICES),
        )
    devices = rows.get(settings.devices)
    if devices is None:
        raise InputError(
            f"there is no device model {settings.devices!r} for {settings.architecture}",
            hint="known: " + ", ".join(rows),
        )
    if settings.architecture == "arm64" and settings.firmware == "bios":
        raise InputError("arm64 machines have no BIOS", hint="leave --firmware out, or say efi")
    if boot.medium == "program" and settings.firmware == "bios":
        raise InputError(f"{boot.disk} is a program of EFI's, which no BIOS starts", hint="leave --firmware out")
    if settings.memory_mib < 16 or settings.cpus < 1:
        raise InputError("a machine needs at least 16 MiB of memory and one processor")
    sound = settings.peripherals.sound
    if sound is not None and sound not in SOUND_CARDS:
        raise InputError(f"there is no sound card {sound!r}", hint="known: " + ", ".join(SOUND_CARDS))
    for path in boot.files:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
    return devices


def firmware(boot: Boot, settings: Settings) -> Firmware:
    """What a machine starts with: what was asked for, else what its image is made for; arm64 has EFI for all images but
    kernels, which QEMU starts itself.
    """
    if boot.disk and not boot.kernel and settings.architecture == "arm64":
        return "efi"
    return settings.firmware or boot.firmware


def command(
    program: Path,
    boot: Boot,
    settings: Settings,
    devices: Devices,
    accel: Accel,
    name: str,
    forwards: Sequence[Forward],
    vnc_port: int | None,
    efi: Path | None = None,
) -> list[str]:
    """The argument list of QEMU, to be run in the machine's directory: its sockets and log are relative names, as a
    Unix socket's address holds 107 bytes and a directory's name may be longer or hold commas.

    efi: the firmware's code, if it is UEFI.
    """
    argv = [str(program), "-name", f"guest=thanos-{name}", "-no-user-config", "-nodefaults"]
    # `thread=multi` gives every virtual processor a thread of its own; `host` is the real processor, which KVM needs,
    # `max` everything that software emulation knows.
    argv += ["-accel", "kvm", "-cpu", "host"] if accel == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    argv += ["-machine", devices.board, "-m", f"{settings.memory_mib}M", "-smp", str(settings.cpus)]

    if efi:
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escaped(str(efi))}"]
        argv += ["-drive", f"if=pflash,unit=1,format=raw,file={VARIABLES}"]
    if boot.kernel:
        argv += ["-kernel", str(boot.kernel.absolute())]
        argv += ["-initrd", str(boot.initrd.absolute())] if boot.initrd else []
        # As upstream does, whose command line names no root either: which disk it is only we know.
        root = [f"root={devices.root} rootfstype={boot.root}"] if boot.root else []
        words = " ".join([*([boot.cmdline] if boot.cmdline else []), *root])
        argv += ["-append", words] if words else []
    if boot.disk:
        image = f"format={boot.format},file={_escaped(str(boot.disk.absolute()))}"
        drive = {
            # It is opened for reading only; what the guest writes goes to a nameless temporary file.
            "disk": f"snapshot=on,{image}",
            "cd": f"media=cdrom,readonly=on,{image}",
            "program": f"driver=vvfat,dir={EFI_FILES},read-only=on",
        }[boot.medium]
        argv += ["-drive", f"if=none,id=disk0,{drive}"]
        holders = devices.cd if boot.medium == "cd" else devices.disk
        if boot.kernel:
            # QEMU starts its own loader of kernels first, and takes no second device for the first.
            holders = tuple(device.removesuffix(_FIRST) for device in holders)
        argv += [word for device in holders for word in ("-device", device)]

    if settings.peripherals.disk_mib:
        # What the guest no longer needs takes no space on the host, either.
        argv += ["-drive", f"if=none,id=data0,format=raw,discard=unmap,detect-zeroes=unmap,file={DATA_DISK}"]
        argv += [word for device in devices.data for word in ("-device", device)]

    rules = [f"hostfwd={each.protocol}:{ADDRESS}:{each.host}-:{each.guest}" for each in forwards]
    argv += ["-netdev", ",".join(["user,id=net0", *rules]), "-device", devices.network]
    argv += [word for device in devices.further for word in ("-device", device)]

    argv += ["-device", _display(devices, settings.peripherals), "-display", "none"]
    argv += ["-vnc", f"{ADDRESS}:{vnc_port - VNC_PORT}"] if vnc_port is not None else []
    if settings.peripherals.sound:
        # Played nowhere, but mixed and offered to whoever listens; the host needs no sound card of its own.
        argv += ["-audiodev", f"none,id=sound0,out.frequency={SOUND_RATE}"]
        argv += [word for device in SOUND_CARDS[settings.peripherals.sound] for word in ("-device", device)]
        argv += ["-vnc", f"unix:{SOUND_SOCKET},audiodev=sound0"]
    # The log is written whether or not somebody listens on the socket.
    serial = f"socket,id=serial0,path={SERIAL_SOCKET},server=on,wait=off,logfile={SERIAL_LOG},logappend=off"
    argv += ["-chardev", serial, "-serial", "chardev:serial0"]
    argv += [
        "-chardev",
        f"socket,id=qmp0,path={MONITOR_SOCKET},server=on,wait=off",
        "-mon",
        "chardev=qmp0,mode=control",
    ]
    # The guest reads its host key from /sys/firmware/qemu_fw_cfg: the image itself holds no private key.
    argv += ["-fw_cfg", f"name=opt/thanos-tui/{HOST_KEY},file={HOST_KEY}"]
    return argv


def _display(devices: Devices, peripherals: Peripherals) -> str:
    """The graphics card, whose screens say of themselves (by EDID) that they like the wanted resolution best."""
    several = peripherals.outputs > 1
    words = [devices.displays if several else devices.display]
    virtio = words[0].startswith("virtio")
    if several:
        # What the monitor's commands call it, to ask for the picture of one of its screens.
        words += [f"id={DISPLAY}", f"max_outputs={peripherals.outputs}"]
    if peripherals.resolution:
        width, height = map(int, peripherals.resolution.split("x"))
        words += [f"xres={width}", f"yres={height}"]
        # Four bytes for each pixel, and room for a second picture: Linux refuses modes that leave none.
        needed = 2 * 4 * width * height * peripherals.outputs
        smallest, unit = (256 << 20, 1) if virtio else (16 << 20, 1 << 20)
        if needed > smallest:
            memory = (1 << (needed - 1).bit_length()) // unit
            words.append(f"max_hostmem={memory}" if virtio else f"vgamem_mb={memory}")
    return ",".join(words)


def _escaped(value: str) -> str:
    """A value inside QEMU's comma-separated options: a comma is written twice."""
    return value.replace(",", ",,")
