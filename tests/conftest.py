"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
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


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few kilobytes; not to be changed (see ``own_bundle``)."""
    pytest.importorskip("onnx")
    from tests.factories import write_bundle

    return write_bundle(tmp_path_factory.mktemp("tiny") / "bundle").path


@pytest.fixture
def own_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may change."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "own-bundle"))


@pytest.fixture(scope="session")
def tiny_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shelves (``a.png``, ``b.png``), each with ``factories.SHELF``."""
    from tests.factories import SHELF, squares, write_picture

    folder = tmp_path_factory.mktemp("pictures")
    for name in ("a.png", "b.png"):
        write_picture(folder / name, squares(SHELF))
    return folder


@pytest.fixture(scope="session")
def tiny_fronts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One flat picture a SKU of ``factories.COLOURS``, with a ``skus.csv``."""
    from tests.factories import write_fronts

    return write_fronts(tmp_path_factory.mktemp("fronts"))


@pytest.fixture(scope="session")
def tiny_gallery(
    tiny_bundle: Path, tiny_fronts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A gallery of ``tiny_fronts`` made with the tiny bundle; only to be read."""
    from edge.enrolment import build_from_folder

    out = tmp_path_factory.mktemp("gallery") / "gallery.db"
    build_from_folder(tiny_fronts, out, bundle=tiny_bundle, provider="cpu")
    return out
