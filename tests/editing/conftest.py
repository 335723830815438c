"""An empty home, and a small profile to edit."""

from __future__ import annotations

from pathlib import Path

import pytest

# The private half was never kept.
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE03mq6gW3omJoS3PRLPJHhOBo6RIPsFw9cbMsBdA8EI me@test"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing but a key to log in with; XDG directories are below it."""
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    (directory / ".ssh" / "id_ed25519.pub").write_text(f"{PUBLIC_KEY}\n")
    monkeypatch.setenv("HOME", str(directory))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    """A profile that says something."""
    path = tmp_path / "box.thanos"
    path.write_text("# mine\nthanos: 1\noptions:\n  hostname: box\n")
    return path
