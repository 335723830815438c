"""One machine with stark for all checks of this directory: its boot takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from boxes import Box, booted


@pytest.fixture(scope="session")
def stark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine of a profile with stark as it comes, with all its services ready."""
    with booted(tmp_path_factory.mktemp("user"), "starkbox", "  x11.resolution: 1024x768\n") as box:
        yield box
