from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("PIL")

import cv2  # noqa: E402

from edge.errors import ConfigError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.preprocessing_parity import (  # noqa: E402
    checkpoint_transform,
    judge,
    preprocessing_cosines,
    preprocessing_gate,
    shelf_crops,
)

MODEL = "timm:test_efficientnet"


def _crops(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sides = rng.integers(60, 400, (count, 2))
    return [
        cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (int(w), int(h))) for w, h in sides
    ]


def test_the_device_prepares_crops_as_the_checkpoint_expects() -> None:
    torch.manual_seed(0)
    tower, _ = load_tower(MODEL, None)
    report = preprocessing_gate(tower, MODEL, _crops(24))
    assert report.failures == ()
    assert report.values["min_cosine_preprocessing"] > 0.999


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def test_pixels_agree_too_and_another_resize_mode_is_seen() -> None:
    tower, _ = load_tower(MODEL, None)
    spec, transform = tower.preprocessing, checkpoint_transform(MODEL, tower)
    assert preprocessing_cosines(_pixels, spec, transform, _crops(24)).min() > 0.9999
    other = spec.model_copy(update={"resize": "stretch"})
    report = judge(preprocessing_cosines(_pixels, other, transform, _crops(24)))
    assert "24 pictures differ by preprocessing" in report.failures[0]


def test_real_shelf_crops_are_prepared_alike(shelf_data: Path) -> None:
    crops = shelf_crops(shelf_data / "shelves" / "val")
    assert len(crops) == 200
    tower, _ = load_tower(MODEL, None)
    spec, transform = tower.preprocessing, checkpoint_transform(MODEL, tower)
    assert preprocessing_cosines(_pixels, spec, transform, crops).min() > 0.999
    plain = spec.model_copy(update={"interpolation": "bicubic"})
    assert preprocessing_cosines(_pixels, plain, transform, crops).min() < 0.999


def test_too_few_products_and_unknown_libraries_are_named(tmp_path: Path) -> None:
    tower, _ = load_tower(MODEL, None)
    with pytest.raises(ConfigError, match="no transform of its own"):
        checkpoint_transform("other:net", tower)
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match="0 products in its first photos, 200 are needed"):
        shelf_crops(tmp_path)
