"""Builds that do what a test wants, in the place of real ones."""

from __future__ import annotations

import pytest
from made import Made

from thanos_tui import replay


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    stand_in = Made()
    monkeypatch.setattr(replay, "build", stand_in.build)
    return stand_in
