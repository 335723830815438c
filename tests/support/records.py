"""The record of a machine that was never there; tests say with ``dataclasses.replace`` what matters to them."""

from __future__ import annotations

from thanos_tui.vm import Forward
from thanos_tui.vm.registry import Record

RECORD = Record(
    name="box",
    created="2026-01-02T03:04:05+00:00",
    boot={"disk": "/images/box.vhd", "format": "vpc"},
    memory_mib=512,
    cpus=2,
    architecture="amd64",
    devices="qemu",
    qemu="8.0",
    accel="tcg",
    accel_reason="there is no /dev/kvm",
    forwards=(Forward(1235, 1234), Forward(8080, 80)),
    vnc_port=5901,
    host_key="ssh-ed25519 AAAA",
    argv=("qemu",),
)
