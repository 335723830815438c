"""The images of the cases, for everything that builds them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of all cases, as an image store."""
    spec = importlib.util.spec_from_file_location("conformance_images", Path(__file__).parent / "images.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    path = tmp_path_factory.mktemp("images") / "store"
    made.make(path)
    return path
