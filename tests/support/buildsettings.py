"""What a build is told, for tests that build without a profile and without a command line."""

from __future__ import annotations

from thanos_tui.settings import BuildSettings

TAR = BuildSettings(
    formats=("tar",),
    name="box",
    size_mib=0,
    compression=1,
    architecture="amd64",
    mirrors=(),
    suite="",
    keyring=None,
    memory_mib=512,
    cpus=1,
    ssh_port=None,
)
