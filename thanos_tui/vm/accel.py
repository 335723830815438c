"""Whether KVM really runs a guest here, or software emulation has to do.

That /dev/kvm exists and opens proves nothing: under some hypervisors (nested, or without hardware support) it takes a
guest that then hangs in silence or stops at the first unusual instruction. So a program of a few instructions is run,
with a time limit, and the answer remembered until the host reboots or QEMU changes.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from thanos_tui import programs
from thanos_tui.errors import BuildError, HostError, InputError, ThanosError
from thanos_tui.files import cache_dir, replacing
from thanos_tui.vm.processes import boot_id
from thanos_tui.vm.qemu import PROGRAMS, Accel, Settings

DEVICE = Path("/dev/kvm")
TIME_LIMIT = 5.0  # seconds; where KVM works the probe takes a fifth of one
_HOSTS = {"x86_64": "amd64", "aarch64": "arm64"}

# A boot sector that enters 64-bit mode and runs the instructions that hypervisors have been seen to choke on, above all
# cmpxchg16b (Linux's allocator uses it; one in 16-bit code alone passed where Linux hung). Then it tells QEMU's
# isa-debug-exit device 0x15, which ends QEMU with status 0x15 * 2 + 1. There is no interrupt table: any fault is a
# triple fault, a reset, and `-no-reboot` ends QEMU with status 0.
# fmt: off
_PROBE = bytes.fromhex(
    "fa"                      # 00 cli
    "31c0 8ed8 8ec0 8ed0"     # 01 xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax
    "bc007c fc"               # 09 mov sp,0x7c00; cld
    "bf0010 b90018 f3ab"      # 0d mov di,0x1000; mov cx,0x1800; rep stosw      clear three pages
    "c70600100320"            # 15 mov word [0x1000],0x2003    level 4 -> level 3
    "c70600200330"            # 1b mov word [0x2000],0x3003    level 3 -> level 2
    "c70600308300"            # 21 mov word [0x3000],0x0083    level 2: the first 2 MiB, onto themselves
    "66b820060000 0f22e0"     # 27 mov eax,0x620; mov cr4,eax  PAE, OSFXSR, OSXMMEXCPT
    "66b800100000 0f22d8"     # 30 mov eax,0x1000; mov cr3,eax
    "66b9800000c0 0f32"       # 39 mov ecx,0xc0000080; rdmsr   EFER
    "0d0001 0f30"             # 41 or ax,0x100; wrmsr          long mode enable
    "660f0116a47c"            # 46 lgdt [0x7ca4]
    "66b811000080 0f22c0"     # 4c mov eax,0x80000011; mov cr0,eax   paging, protected mode
    "ea5a7c0800"              # 55 jmp 8:0x7c5a
    "bf00400000"              # 5a mov edi,0x4000              64-bit code from here on
    "31c0 31d2"               # 5f xor eax,eax; xor edx,edx
    "bb01000000 31c9"         # 63 mov ebx,1; xor ecx,ecx
    "488907 48894708"         # 6a mov [rdi],rax; mov [rdi+8],rax
    "f0480fc70f 7511"         # 71 lock cmpxchg16b [rdi]; jnz 0x89
    "0f2807 66480f7ec0"       # 78 movaps xmm0,[rdi]; movq rax,xmm0
    "83f801 7504"             # 80 cmp eax,1; jne 0x89
    "b015 eb02"               # 85 mov al,0x15; jmp 0x8b       right
    "b016"                    # 89 mov al,0x16                 wrong
    "66ba0105 ee"             # 8b mov dx,0x501; out dx,al
    "f4 ebf8 90"              # 90 hlt; jmp 0x8b; nop
    "0000000000000000"        # 94 segment 0
    "00000000009a2000"        # 9c segment 8: code, 64 bit
    "0f00 947c0000"           # a4 lgdt's operand: limit 15, base 0x7c94
)
# fmt: on
PROBE_SECTOR = _PROBE.ljust(510, b"\0") + b"\x55\xaa"
_PASSED = 0x15 * 2 + 1


@dataclass(frozen=True)
class Accelerator:
    """What runs the guest's instructions, why, and (for software emulation) how to get faster."""

    name: Accel
    reason: str
    hint: str = ""


def choose(settings: Settings, device: Path = DEVICE) -> Accelerator:
    """KVM where it works, else software emulation.

    Raises HostError where KVM was insisted on and does not work, or QEMU is missing; InputError for an unknown wish.
    """
    if settings.accel not in ("auto", "kvm", "tcg"):
        raise InputError(f"there is no accelerator {settings.accel!r}", hint="known: auto, kvm, tcg")
    if settings.accel == "tcg":
        return Accelerator("tcg", "software emulation was asked for")
    found = _look(settings.architecture, device)
    if settings.accel == "kvm" and found.name != "kvm":
        hint = found.hint or "leave the accelerator to `auto`: software emulation works everywhere, slowly"
        raise HostError(f"KVM cannot be used: {found.reason}", hint=hint)
    return found


def _look(architecture: str, device: Path) -> Accelerator:
    host = _HOSTS.get(platform.machine(), platform.machine())
    if host != architecture:
        return Accelerator("tcg", f"an {architecture} guest on an {host} host is emulated")
    if architecture != "amd64":
        return Accelerator("tcg", f"KVM has not been tried on {host} hosts", hint="insisting is not possible yet")
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return Accelerator(
            "tcg",
            f"{device} does not exist",
            hint="switch virtualisation on in the firmware's set-up, and load the module kvm_intel or kvm_amd",
        )
    except PermissionError:
        return Accelerator(
            "tcg",
            f"you may not open {device}",
            hint="join the group kvm (`sudo usermod -aG kvm $USER`) and log in again",
        )
    except OSError as error:
        return Accelerator("tcg", f"{device} cannot be opened: {error.strerror}")

    program = programs.require(PROGRAMS[architecture])
    key = {"boot": boot_id(), "qemu": version(program), "device": str(device)}
    memory = cache_dir() / "kvm.json"
    fault = _remembered(memory, key)
    if fault is None:
        fault = probe(program)
        try:
            with replacing(memory) as stream:
                stream.write(json.dumps({**key, "fault": fault}).encode() + b"\n")
        except ThanosError:
            pass  # a cache that cannot be written only costs time
    if fault:
        return Accelerator("tcg", f"{device} is there, but {fault}")
    return Accelerator("kvm", f"{device} ran a test program")


def _remembered(memory: Path, key: dict[str, str]) -> str | None:
    try:
        record = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or any(record.get(name) != value for name, value in key.items()):
        return None
    fault = record.get("fault")
    return fault if isinstance(fault, str) else None


def probe(program: Path, accel: Accel = "kvm") -> str:
    """What is wrong with an accelerator, found by running PROBE_SECTOR; "" if it works."""
    with tempfile.TemporaryDirectory(prefix="thanos-kvm-") as directory:
        sector = Path(directory) / "probe.img"
        sector.write_bytes(PROBE_SECTOR)
        argv: list[str | Path] = [program, "-accel", accel, "-cpu", "host" if accel == "kvm" else "max"]
        argv += ["-machine", "pc", "-m", "16M", "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"]
        argv += ["-device", "isa-debug-exit,iobase=0x501,iosize=1"]
        argv += ["-drive", "file=probe.img,format=raw,if=ide,snapshot=on"]
        try:
            done = programs.run(argv, cwd=Path(directory), check=False, timeout=TIME_LIMIT)
        except BuildError:
            return f"a test program hung in it ({TIME_LIMIT:.0f} s)"
    if done.status == _PASSED:
        return ""
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "warning:" not in line]
    name = program.name
    return "a test program failed in it" + (
        f": {said[0].removeprefix(f'{name}: ').removeprefix('error: ')}" if said else ""
    )


def version(program: Path) -> str:
    """QEMU's version as it tells it: ``7.2.22 (Debian …)``."""
    done = programs.run([program, "--version"], check=False, timeout=30)
    line = (done.stdout.decode(errors="replace").splitlines() or ["unknown"])[0]
    return line.removeprefix("QEMU emulator version ").strip()
