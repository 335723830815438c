"""That tests of a file stay in one process, where they are spread over several: else each has boots of its own."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all tests run in one process")
def test_a_file_is_a_group(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@test_groups.py")
