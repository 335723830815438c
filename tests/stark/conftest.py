"""One machine with stark for all checks of this directory: its boot takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from boxes import Box
from road import Road

PROFILE = """\
thanos: 1
options:
  hostname: starkbox
  output.formats: [kernel+initrd]
  kernel.modules.virtualbox: false
  kernel.modules.vmware: false
  kernel.modules.hyperv: false
  sshd.generate-key: true
  stark: true
  x11.resolution: 1024x768
"""


@pytest.fixture(scope="session")
def stark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine of a profile with stark as it comes, with all its services ready."""
    user = Road(tmp_path_factory.mktemp("user"))
    profile = user.home / "starkbox.thanos"
    profile.write_text(PROFILE)
    user.run("--replay", profile, "--output", user.home / "out")
    user.run("run", "--detach", user.home / "out" / "starkbox-kernel")
    box = Box(user, "starkbox")
    try:
        box.inside("stark ready --timeout 240")
        yield box
    finally:
        user.run("stop", "--all", "--timeout", "0", check=False)
