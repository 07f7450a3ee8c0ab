from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.manifest import Preprocessing
from edge.vision.antialias import resize_antialias
from edge.vision.preprocess import crops

Image = pytest.importorskip("PIL.Image")
sides = st.integers(1, 300)


def _picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth, and away from black and white, where the order of the passes would matter."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 196, (9, 9, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    sides, sides, st.integers(1, 240), st.integers(1, 240), st.sampled_from(["bilinear", "bicubic"])
)
def test_it_is_pillows_resize(width: int, height: int, w: int, h: int, kernel: str) -> None:
    picture = _picture(width, height)
    own = resize_antialias(picture, (w, h), kernel)
    way = Image.Resampling.BICUBIC if kernel == "bicubic" else Image.Resampling.BILINEAR
    theirs = np.asarray(Image.fromarray(picture).resize((w, h), way))
    assert own.shape == theirs.shape == (h, w, 3)
    assert np.abs(own.astype(int) - theirs).max() <= 2


@settings(max_examples=30, deadline=None)
@given(sides, sides, st.data())
def test_a_window_is_a_part_of_the_whole(width: int, height: int, data: st.DataObject) -> None:
    picture = _picture(width, height, seed=1)
    x1, x2 = sorted(data.draw(st.lists(st.integers(0, 120), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(data.draw(st.lists(st.integers(0, 90), min_size=2, max_size=2, unique=True)))
    whole = resize_antialias(picture, (120, 90), "bicubic")
    part = resize_antialias(picture, (120, 90), "bicubic", (x1, y1, x2, y2))
    # sums of blocks that start elsewhere may round differently
    assert np.abs(part.astype(int) - whole[y1:y2, x1:x2]).max() <= 1


def test_nothing_is_done_where_nothing_changes() -> None:
    picture = _picture(40, 30)
    np.testing.assert_array_equal(resize_antialias(picture, (40, 30), "bicubic"), picture)


@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (33, 200), (1, 90)])
def test_every_resize_mode_fills_the_input(shape: tuple[int, int]) -> None:
    picture = _picture(shape[1], shape[0])
    box = np.array([[0, 0, shape[1], shape[0]]], np.float32)
    for mode in ("stretch", "crop", "pad"):
        made = {}
        for kernel in ("bilinear", "bilinear-antialias"):
            spec = Preprocessing.model_validate(
                {
                    "size": 48,
                    "mean": (0.5,) * 3,
                    "std": (0.5,) * 3,
                    "resize": mode,
                    "interpolation": kernel,
                }
            )
            made[kernel] = crops(picture, box, spec)
            assert made[kernel].shape == (1, 3, 48, 48)
        # the same picture in the same place, whichever way it was made small
        assert np.abs(made["bilinear"] - made["bilinear-antialias"]).mean() < 0.05
