"""What `edge gallery build` refuses, through the command line on the kilobyte bundle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.gallery.store import GalleryStore
from tests.edge.command import Edge
from tests.factories import COLOURS, write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two SKUs with a good picture each, and four that are not fit."""
    folder = tmp_path / "pictures"
    red, blue = (np.full((60, 40, 3), COLOURS[name], np.uint8) for name in ("red", "blue"))
    write_picture(folder / "a-red" / "front.png", red)
    write_picture(folder / "a-red" / "saved-again.png", np.maximum(red, 3))
    write_picture(folder / "b-blue" / "front.png", blue)
    write_picture(folder / "b-blue" / "tiny.png", np.ascontiguousarray(blue[:20, :9]))
    label = np.full((200, 150, 3), COLOURS["yellow"], np.uint8)
    cv2.putText(label, "Jam", (10, 120), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 90), 6)
    blurred = np.asarray(cv2.GaussianBlur(label, (0, 0), 10), np.uint8)
    write_picture(folder / "b-blue" / "shaken.png", blurred)
    write_picture(folder / "c-other" / "front.png", np.maximum(red, 5))
    return folder


def test_what_is_not_fit_is_refused_with_the_reason(
    folder: Path, tiny_bundle: Path, tmp_path: Path, edge: Edge
) -> None:
    out = tmp_path / "g.db"
    done = edge("gallery", "build", folder, "--out", out, "--bundle", tiny_bundle)
    assert done.status == 1
    lines = done.err.splitlines()
    for name, reason in (
        ("b-blue/tiny.png", "error: {}: tiny: 9x20 pixels"),
        ("b-blue/shaken.png", "error: {}: blurred: "),
        ("c-other/front.png", "error: {}: contradictory: nearly the same picture is SKU 'a-red'"),
        ("a-red/saved-again.png", "warning: {}: near-duplicate: nearly the same picture is "),
    ):
        expected = reason.format(folder / name)
        assert sum(line.startswith(expected) for line in lines) == 1, expected
    assert "warning: SKU 'c-other' has no reference" in lines
    with GalleryStore.open(out) as store:
        names = {Path(reference.source).name for reference in store.references()}
        assert names == {"front.png"}
        assert store.reference_count == 2


def test_force_enrols_it_all_the_same(
    folder: Path, tiny_bundle: Path, tmp_path: Path, edge: Edge
) -> None:
    out = tmp_path / "g.db"
    options = ("--out", out, "--bundle", tiny_bundle, "--force", "--json")
    assert edge("gallery", "build", folder, *options).json["references"] == 6
