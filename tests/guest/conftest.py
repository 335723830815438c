"""What the tests of the machine's scripts share."""

from __future__ import annotations

from pathlib import Path

import pytest
from guests import Guest


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    (tmp_path / "stubs").mkdir()
    return Guest(tmp_path)
