from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("PIL")

import cv2  # noqa: E402

from edge.errors import BundleError, ConfigError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.embedding import torch_embed  # noqa: E402
from export.preprocessing_parity import (  # noqa: E402
    checkpoint_transform,
    preprocessing_cosines,
    require_same,
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
    cosines = preprocessing_cosines(
        torch_embed(tower), tower.preprocessing, checkpoint_transform(MODEL), _crops(24)
    )
    require_same(cosines, MODEL)


def test_pixels_agree_too_and_another_resize_mode_is_seen() -> None:
    spec = load_tower(MODEL, None)[0].preprocessing
    transform = checkpoint_transform(MODEL)

    def pixels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)

    assert preprocessing_cosines(pixels, spec, transform, _crops(24)).min() > 0.99
    other = spec.model_copy(update={"resize": "stretch"})
    with pytest.raises(BundleError, match="differ by preprocessing"):
        require_same(preprocessing_cosines(pixels, other, transform, _crops(24)), MODEL)


def test_a_model_without_a_transform_is_refused() -> None:
    with pytest.raises(ConfigError, match="no transform of its own"):
        checkpoint_transform("hf-clip:folder")
