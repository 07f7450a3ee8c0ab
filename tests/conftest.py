"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shelf_data() -> Path:
    """The folder of real pictures, from SHELF_EDGE_DATA or ../shared/data; skips where absent."""
    path = Path(os.environ.get("SHELF_EDGE_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "shelves").is_dir():
        pytest.skip(f"real pictures are not at {path} (set SHELF_EDGE_DATA)")
    return path
