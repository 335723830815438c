"""The command line of QEMU, and what paths mean: pure."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui.errors import InputError
from thanos_tui.hardware import Peripherals
from thanos_tui.vm import qemu
from thanos_tui.vm.ports import Forward
from thanos_tui.vm.qemu import Boot, Settings


def argv_of(boot: Boot, settings: Settings, accel: qemu.Accel = "tcg", vnc_port: int | None = None) -> list[str]:
    devices = qemu.DEVICES[settings.architecture][settings.devices]
    forwards = (Forward(1234, 1234), Forward(5353, 53, "udp"))
    return qemu.command(Path("/usr/bin/qemu"), boot, settings, devices, accel, "m", forwards, vnc_port)


def following(argv: list[str], option: str) -> list[str]:
    return [argv[index + 1] for index, word in enumerate(argv) if word == option]


@pytest.mark.parametrize(("devices", "holder"), [("qemu", "virtio-blk-pci,drive=data0"), ("virtualbox", "ide-hd,")])
def test_a_data_disk_is_written_to_and_comes_after_the_image(devices: str, holder: str) -> None:
    settings = Settings(devices=devices, peripherals=Peripherals(disk_mib=64))
    image, data = following(argv_of(Boot(disk=Path("/d")), settings), "-drive")
    assert "snapshot=on" in image
    assert "snapshot" not in data
    assert data.endswith("file=data.img")
    held = [word for word in argv_of(Boot(disk=Path("/d")), settings) if "drive=data0" in word]
    assert len(held) == 1
    assert held[0].startswith(holder)
    assert following(argv_of(Boot(kernel=Path("/k")), Settings(devices=devices)), "-drive") == []


def test_a_kernel_is_booted_with_its_initrd_and_its_command_line_as_one_word() -> None:
    boot = Boot(kernel=Path("/a,b/k"), initrd=Path("/a,b/i"), cmdline="console=ttyS0 x='a, b'")
    argv = argv_of(boot, Settings(memory_mib=512, cpus=3))
    assert following(argv, "-kernel") == ["/a,b/k"]
    assert following(argv, "-initrd") == ["/a,b/i"]
    assert following(argv, "-append") == ["console=ttyS0 x='a, b'"]
    assert following(argv, "-m") == ["512M"]
    assert following(argv, "-smp") == ["3"]
    assert following(argv, "-drive") == []


@pytest.mark.parametrize("form", ["raw", "vpc", "qcow2"])
def test_a_disk_is_opened_as_a_snapshot_in_its_stated_format(form: qemu.DiskFormat) -> None:
    argv = argv_of(Boot(disk=Path("/some, where/d.img"), format=form), Settings())
    assert following(argv, "-drive") == [f"if=none,id=disk0,snapshot=on,format={form},file=/some,, where/d.img"]


def test_relative_images_become_absolute_because_qemu_runs_elsewhere() -> None:
    argv = argv_of(Boot(kernel=Path("k"), initrd=Path("i")), Settings())
    assert following(argv, "-kernel") == [str(Path.cwd() / "k")]
    assert following(argv, "-initrd") == [str(Path.cwd() / "i")]


def test_virtualbox_devices_hold_no_virtio() -> None:
    argv = argv_of(Boot(disk=Path("/d")), Settings(devices="virtualbox"))
    assert "ahci,id=ahci0" in argv
    assert "e1000,netdev=net0,romfile=" in argv
    assert not [word for word in argv if "virtio" in word]


def test_qemu_devices_are_virtio_without_a_balloon() -> None:
    devices = following(argv_of(Boot(disk=Path("/d")), Settings()), "-device")
    assert {word.split(",")[0] for word in devices} == {
        "virtio-blk-pci",
        "virtio-net-pci",
        "virtio-rng-pci",
        "virtio-tablet-pci",
        "VGA",
    }


@pytest.mark.parametrize(
    ("architecture", "peripherals", "display"),
    [
        ("amd64", Peripherals(), "VGA"),
        ("amd64", Peripherals(resolution="1280x800"), "VGA,xres=1280,yres=800"),
        # 1920 * 1080 pixels of 4 bytes twice are 15.8 MiB, and 16 are what the card has by itself.
        ("amd64", Peripherals(resolution="1920x1080"), "VGA,xres=1920,yres=1080"),
        ("amd64", Peripherals(resolution="1920x1200"), "VGA,xres=1920,yres=1200,vgamem_mb=32"),
        ("amd64", Peripherals(resolution="7680x4320"), "VGA,xres=7680,yres=4320,vgamem_mb=256"),
        ("amd64", Peripherals(outputs=2), "virtio-vga,id=display0,max_outputs=2"),
        ("arm64", Peripherals(resolution="1280x800"), "virtio-gpu-pci,xres=1280,yres=800"),
        (
            "arm64",
            Peripherals(resolution="3840x2160", outputs=4),
            "virtio-gpu-pci,id=display0,max_outputs=4,xres=3840,yres=2160",
        ),
        (
            "arm64",
            Peripherals(resolution="7680x4320", outputs=2),
            "virtio-gpu-pci,id=display0,max_outputs=2,xres=7680,yres=4320,max_hostmem=536870912",
        ),
    ],
)
def test_the_display_has_the_screens_and_the_memory_for_them(
    architecture: str, peripherals: Peripherals, display: str
) -> None:
    devices = following(
        argv_of(Boot(kernel=Path("/k")), Settings(architecture=architecture, peripherals=peripherals)), "-device"
    )
    assert display in devices


def test_ports_lead_in_from_loopback_only() -> None:
    argv = argv_of(Boot(disk=Path("/d")), Settings(), vnc_port=5907)
    assert following(argv, "-netdev") == [
        "user,id=net0,hostfwd=tcp:127.0.0.1:1234-:1234,hostfwd=udp:127.0.0.1:5353-:53",
    ]
    assert following(argv, "-vnc") == ["127.0.0.1:7"]
    assert "-vnc" not in argv_of(Boot(disk=Path("/d")), Settings())


def test_accelerators_come_with_the_processor_that_suits_them() -> None:
    assert following(argv_of(Boot(disk=Path("/d")), Settings(), "kvm"), "-accel") == ["kvm"]
    assert following(argv_of(Boot(disk=Path("/d")), Settings(), "kvm"), "-cpu") == ["host"]
    assert following(argv_of(Boot(disk=Path("/d")), Settings(), "tcg"), "-accel") == ["tcg,thread=multi"]
    assert following(argv_of(Boot(disk=Path("/d")), Settings(), "tcg"), "-cpu") == ["max"]


def test_arm64_is_a_virt_board() -> None:
    argv = argv_of(Boot(kernel=Path("/k")), Settings(architecture="arm64"))
    assert following(argv, "-machine") == ["virt"]


def test_the_host_key_goes_in_by_the_firmware_configuration() -> None:
    argv = argv_of(Boot(disk=Path("/d")), Settings())
    assert following(argv, "-fw_cfg") == ["name=opt/thanos-tui/ssh_host_ed25519_key,file=ssh_host_ed25519_key"]


@pytest.mark.parametrize(
    ("boot", "settings", "said"),
    [
        (Boot(), Settings(), "either"),
        (Boot(kernel=Path("/k"), disk=Path("/d")), Settings(), "either"),
        (Boot(disk=Path("/d")), Settings(architecture="riscv64"), "riscv64"),
        (Boot(disk=Path("/d")), Settings(devices="vmware"), "vmware"),
        (Boot(disk=Path("/d")), Settings(architecture="arm64", firmware="bios"), "no BIOS"),
        (Boot(disk=Path("/d"), medium="program", firmware="efi"), Settings(firmware="bios"), "no BIOS starts"),
        (Boot(disk=Path("/d")), Settings(memory_mib=0), "16 MiB"),
        (Boot(disk=Path("/d")), Settings(cpus=0), "processor"),
        (Boot(disk=Path("/nowhere/d")), Settings(), "cannot read /nowhere/d"),
    ],
)
def test_what_cannot_be_booted_is_refused(boot: Boot, settings: Settings, said: str) -> None:
    with pytest.raises(InputError, match=said):
        qemu.check(boot, settings)


def test_an_image_made_for_efi_gets_efi_and_what_it_writes_is_the_machines_own() -> None:
    boot = Boot(disk=Path("/d"), firmware="efi")
    devices = qemu.DEVICES["amd64"]["qemu"]
    argv = qemu.command(Path("/qemu"), boot, Settings(), devices, "tcg", "m", (), None, Path("/a,b/code"))
    code, variables, image = following(argv, "-drive")
    assert code == "if=pflash,unit=0,format=raw,readonly=on,file=/a,,b/code"
    assert variables == f"if=pflash,unit=1,format=raw,file={qemu.VARIABLES}"
    assert "id=disk0" in image
    assert not [word for word in argv_of(boot, Settings()) if "pflash" in word]


@pytest.mark.parametrize(
    ("boot", "settings", "firmware"),
    [
        (Boot(disk=Path("/d")), Settings(), "bios"),
        (Boot(disk=Path("/d")), Settings(firmware="efi"), "efi"),
        (Boot(disk=Path("/d"), firmware="efi"), Settings(), "efi"),
        (Boot(disk=Path("/d"), firmware="efi"), Settings(firmware="bios"), "bios"),
        (Boot(disk=Path("/d")), Settings(architecture="arm64"), "efi"),
        (Boot(kernel=Path("/k")), Settings(architecture="arm64"), "bios"),
        (Boot(kernel=Path("/k"), disk=Path("/d"), root="erofs"), Settings(architecture="arm64"), "bios"),
        (Boot(kernel=Path("/k")), Settings(architecture="arm64", firmware="efi"), "efi"),
    ],
)
def test_the_firmware_is_the_one_asked_for_or_the_images(boot: Boot, settings: Settings, firmware: str) -> None:
    assert qemu.firmware(boot, settings) == firmware


@pytest.mark.parametrize(
    ("medium", "drive", "holder"),
    [
        ("cd", "if=none,id=disk0,media=cdrom,readonly=on,format=raw,file=/d", "ide-cd"),
        ("program", f"if=none,id=disk0,driver=vvfat,dir={qemu.EFI_FILES},read-only=on", "virtio-blk-pci"),
    ],
)
def test_what_is_no_disk_is_never_written_to(medium: qemu.Medium, drive: str, holder: str) -> None:
    argv = argv_of(Boot(disk=Path("/d"), medium=medium, firmware="efi"), Settings())
    assert following(argv, "-drive") == [drive]
    assert f"{holder},drive=disk0,bootindex=0" in following(argv, "-device")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    ends = ("-kernel", "-initrd.img", "-bios.img", ".vhd", ".qcow2")
    for end in (*ends, "-efi.img", "-efi.qcow2", "-efi.iso", "-efi-initrd.iso", "-uki.efi"):
        (tmp_path / f"os{end}").write_bytes(b"x")
    (tmp_path / "os-cmdline").write_text("console=ttyS0\n")
    return tmp_path


@pytest.mark.parametrize("end", ["-kernel", "-initrd.img", "-cmdline"])
def test_each_file_of_kernel_and_initrd_stands_for_all_three(outputs: Path, end: str) -> None:
    boot = qemu.boot_of(outputs / f"os{end}")
    assert boot == Boot(kernel=outputs / "os-kernel", initrd=outputs / "os-initrd.img", cmdline="console=ttyS0")
    assert qemu.default_name(boot) == "os"


@pytest.mark.parametrize(("end", "form"), [("-bios.img", "raw"), (".vhd", "vpc"), (".qcow2", "qcow2")])
def test_the_name_of_a_disk_image_tells_its_format(outputs: Path, end: str, form: str) -> None:
    boot = qemu.boot_of(outputs / f"os{end}")
    assert (boot.disk, boot.format) == (outputs / f"os{end}", form)
    assert qemu.default_name(boot) == "os"


@pytest.mark.parametrize(
    ("end", "form", "medium"),
    [
        ("-efi.img", "raw", "disk"),
        ("-efi.qcow2", "qcow2", "disk"),
        ("-efi.iso", "raw", "cd"),
        ("-efi-initrd.iso", "raw", "cd"),
        ("-uki.efi", "raw", "program"),
    ],
)
def test_the_name_of_an_image_tells_that_it_wants_efi(outputs: Path, end: str, form: str, medium: str) -> None:
    boot = qemu.boot_of(outputs / f"os{end}")
    assert (boot.disk, boot.format, boot.medium, boot.firmware) == (outputs / f"os{end}", form, medium, "efi")
    assert qemu.default_name(boot) == "os"


def test_the_name_of_a_build_stands_for_its_only_output(outputs: Path) -> None:
    with pytest.raises(InputError, match=r"could mean any of os-kernel, os-bios\.img, os-efi\.img, .*, os\.vhd"):
        qemu.boot_of(outputs / "os")
    for path in outputs.iterdir():
        if path.name not in ("os.qcow2", "os-cmdline"):
            path.unlink()
    assert qemu.boot_of(outputs / "os").format == "qcow2"


def test_what_is_not_there_or_not_known_is_not_guessed(outputs: Path) -> None:
    with pytest.raises(InputError, match="nothing to boot"):
        qemu.boot_of(outputs / "other")
    (outputs / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="cannot be told"):
        qemu.boot_of(outputs / "notes.txt")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x/My image (2).vhd", "My-image--2"),
        ("/x/-kernel", "machine"),
        ("/x/größe.qcow2", "gr--e"),
        ("/x/a.b.raw", "a-b"),
    ],
)
def test_default_names_are_safe(path: str, name: str) -> None:
    assert qemu.default_name(Boot(disk=Path(path))) == name
