"""A catalogue from text, and a home with a key to log in with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from thanos_tui.options import Catalogue, read_catalogue

# Public halves only; the private ones were never kept.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE03mq6gW3omJoS3PRLPJHhOBo6RIPsFw9cbMsBdA8EI me@test"


@pytest.fixture
def make_catalogue() -> Callable[[str], Catalogue]:
    """Reads a catalogue of one file, `test.yml`, from the text of its items."""

    def make(text: str) -> Catalogue:
        return read_catalogue([("test.yml", dedent(text))])

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: a home whose ~/.ssh has one public key, and XDG directories below it."""
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    (directory / ".ssh" / "id_ed25519.pub").write_text(f"{ED25519}\n")
    monkeypatch.setenv("HOME", str(directory))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def public_key() -> str:
    return ED25519
