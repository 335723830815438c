"""Machines: QEMU runs an output, and these functions start, watch and stop it (docs/machines.md)."""

from thanos_tui.vm.architecture import architecture_of
from thanos_tui.vm.life import Stopped, attached, bring_qemu, reboot, start, stop, wait
from thanos_tui.vm.ports import Forward, parse_forward
from thanos_tui.vm.qemu import Boot, Settings, boot_of
from thanos_tui.vm.registry import Machine, find, machines, remove
from thanos_tui.vm.screen import Picture, picture, screenshot
from thanos_tui.vm.serial import check_up, last_lines, logs, open_serial, serial_position, serial_since, wait_for_serial

__all__ = [
    "Boot",
    "Forward",
    "Machine",
    "Picture",
    "Settings",
    "Stopped",
    "architecture_of",
    "attached",
    "boot_of",
    "bring_qemu",
    "check_up",
    "find",
    "last_lines",
    "logs",
    "machines",
    "open_serial",
    "parse_forward",
    "picture",
    "reboot",
    "remove",
    "screenshot",
    "serial_position",
    "serial_since",
    "start",
    "stop",
    "wait",
    "wait_for_serial",
]
