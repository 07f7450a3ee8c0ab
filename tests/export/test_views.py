from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from export.images import ImageCache
from export.views import jitter_colour, read_yolo_folder


def _plain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure and white balance, then the distance of each colour from grey, step by step."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, size=3)
    bias = rng.uniform(-18, 18)
    lit = image.astype(np.float64) * gain + bias
    grey = lit.mean(axis=2, keepdims=True)
    return (grey + (lit - grey) * rng.uniform(0.6, 1.35)).clip(0, 255)


@pytest.mark.parametrize("seed", range(5))
def test_colours_are_jittered_in_one_pass_as_step_by_step(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mirrored = image[:, ::-1]
    for given in (image, mirrored):
        done = jitter_colour(given, np.random.default_rng(seed))
        assert done.dtype == np.uint8
        wanted = _plain(given, np.random.default_rng(seed))
        # OpenCV transforms 8 bits with fixed-point factors
        assert np.abs(done - wanted).max() < 1
    assert np.array_equal(mirrored[:, ::-1], image)


def test_a_cache_keeps_whole_pictures_up_to_its_limit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((400, 600, 3), 7, np.uint8))
    cache = ImageCache(1)
    first = cache.get(tmp_path / "a.png")
    assert first.shape == (400, 600, 3)
    assert cache.get(tmp_path / "a.png") is first
    # 0.7 MB each: the second no longer fits, and is read again
    assert cache.get(tmp_path / "b.png") is not cache.get(tmp_path / "b.png")


def test_a_broken_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "images" / "x.jpg").write_bytes(b"not a photo")
    (tmp_path / "labels" / "x.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ConfigError, match=r"x\.jpg: not a readable image"):
        read_yolo_folder(tmp_path)
