"""What can be booted, and how a build wants it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from thanos_tui.builds import Build, builds
from thanos_tui.vm import Settings


def settings_for(build: Build) -> Settings:
    """The settings that a build asks for."""
    settings = Settings(memory_mib=build.memory_mib, cpus=build.cpus, architecture=build.architecture)
    return settings if build.ssh_port is None else replace(settings, guest_ssh_port=build.ssh_port)


def bootable() -> list[str]:
    """The files that builds have made and that are still there, the latest first."""
    return [output for build in builds() for output in build.outputs if Path(output).exists()]
