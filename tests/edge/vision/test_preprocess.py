from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.types import F32, U8
from edge.vision import preprocess
from tests.factories import preprocessing


def noise(width: int, height: int, seed: int = 0) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def area_average(image: U8, size_wh: tuple[int, int]) -> np.ndarray:
    """Exact area averaging with plain loops: each new pixel is the mean of the old ones under it."""
    height, width = image.shape[:2]
    weights = []
    for old, new in ((width, size_wh[0]), (height, size_wh[1])):
        step = old / new
        matrix = np.zeros((new, old))
        for i in range(new):
            for j in range(old):
                matrix[i, j] = max(0.0, min((i + 1) * step, j + 1) - max(i * step, j)) / step
        weights.append(matrix)
    mean = np.einsum("yh,hwc,xw->yxc", weights[1], image.astype(np.float64), weights[0])
    return np.asarray(mean)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_letterbox_places_the_picture_where_its_transform_says(
    width: int, height: int, seed: int
) -> None:
    image = noise(width, height, seed)
    batch, transform = preprocess.letterbox(image, (48, 32))
    assert batch.shape == (1, 3, 32, 48)
    assert batch.dtype == np.float32
    x1, y1, x2, y2 = transform.forward(np.array([[0, 0, width, height]], np.float32))[0]
    assert x1 >= -1e-3
    assert y1 >= -1e-3
    assert x2 <= 48.001
    assert y2 <= 32.001
    outside = np.ones((32, 48), bool)
    outside[round(y1) : round(y2), round(x1) : round(x2)] = False
    np.testing.assert_allclose(batch[0][:, outside], preprocess.PAD_VALUE / 255, atol=1e-6)
    back = transform.inverse(np.array([[x1, y1, x2, y2]], np.float32))
    np.testing.assert_allclose(back, [[0, 0, width, height]], atol=1e-2)


@pytest.mark.parametrize("value_range", ["0-1", "0-255"])
def test_layouts_and_ranges_hold_the_same_pixels(value_range: str) -> None:
    image = noise(20, 30)
    planar, _ = preprocess.letterbox(image, (30, 30), value_range=value_range)  # type: ignore[arg-type]
    packed, _ = preprocess.letterbox(
        image,
        (30, 30),
        layout="nhwc",
        value_range=value_range,  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(planar[0].transpose(1, 2, 0), packed[0], rtol=1e-6)
    pixels = packed[0] * (255 if value_range == "0-1" else 1)
    np.testing.assert_allclose(pixels[:, 5:25], image, atol=1e-3)


def test_a_picture_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"100x50 at scale 1 does not fit 64x64"):
        preprocess.letterbox(noise(100, 50), (64, 64), scale=1.0)


def test_a_region_knows_where_it_was_cut() -> None:
    _, transform = preprocess.letterbox(noise(40, 40), (40, 40), origin_xy=(100, 60))
    box = np.array([[5, 5, 10, 10]], np.float32)
    np.testing.assert_allclose(transform.inverse(box), [[105, 65, 110, 70]])


# ---------------------------------------------------------------------------------------- resize


@pytest.mark.parametrize("size_wh", [(10, 10), (7, 13), (50, 20), (24, 3), (1, 1)])
def test_shrinking_averages_areas(size_wh: tuple[int, int]) -> None:
    image = noise(50, 31)
    shrunk = preprocess.resize(image, size_wh).astype(np.float64)
    assert shrunk.shape == (size_wh[1], size_wh[0], 3)
    if size_wh[1] <= 31:
        assert np.abs(shrunk - area_average(image, size_wh)).max() <= 1.0


def test_a_fine_checkerboard_becomes_grey() -> None:
    """A resize that aliases shows black, white or stripes here."""
    y, x = np.mgrid[:240, :240]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for side in (96, 64, 61, 33):
        for interpolation in ("bilinear", "bicubic"):
            small = preprocess.resize(board, (side, side), interpolation)
            assert np.abs(small.astype(int) - 127).max() <= 16, side
    tensor = preprocess.crops(board, np.array([[0, 0, 240, 240]], np.float32), preprocessing())
    assert np.abs(tensor).max() < 0.13  # grey is 0 here


def test_one_side_may_grow_while_the_other_shrinks() -> None:
    image = np.zeros((100, 4, 3), np.uint8)
    image[50:] = 200
    out = preprocess.resize(image, (40, 10))
    assert out.shape == (10, 40, 3)
    np.testing.assert_array_equal(out[:5], 0)
    np.testing.assert_array_equal(out[5:], 200)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = noise(8, 8)
    assert preprocess.resize(image, (8, 8)) is image


# ----------------------------------------------------------------------------------------- crops


def reference_crop(image: U8, box: F32, mode: str, size: int = 32) -> np.ndarray:
    """One crop, told step by step, for boxes inside the frame that are larger than ``size``."""
    x1, y1, x2, y2 = (int(np.floor(v + 0.5)) for v in box)
    crop = image[y1:y2, x1:x2]
    height, width = crop.shape[:2]
    if mode == "stretch":
        pixels = area_average(crop, (size, size))
    elif mode == "crop":
        short = min(height, width)
        left, top = (width - short) // 2, (height - short) // 2
        pixels = area_average(crop[top : top + short, left : left + short], (size, size))
    else:
        scale = size / max(height, width)
        new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.full((size, size, 3), round(0.5 * 255), np.float64)
        left, top = (size - new_w) // 2, (size - new_h) // 2
        pixels[top : top + new_h, left : left + new_w] = area_average(crop, (new_w, new_h))
    return ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["stretch", "pad", "crop"])
def test_crops_are_what_a_plain_reference_gives(mode: str) -> None:
    image = noise(200, 150)
    xyxy = np.array(
        [[0, 0, 200, 150], [10.4, 20.6, 60.5, 120.2], [100, 5, 199.7, 45], [1, 1, 41, 41]],
        np.float32,
    )
    batch = preprocess.crops(image, xyxy, preprocessing(resize=mode))
    assert batch.shape == (4, 3, 32, 32)
    assert batch.dtype == np.float32
    for got, box in zip(batch, xyxy, strict=True):
        # one grey level of 255 is 0.0078 here
        np.testing.assert_allclose(got, reference_crop(image, box, mode), atol=0.009)


def test_modes_keep_what_they_promise() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255  # the middle third is white
    box = np.array([[0, 0, 300, 100]], np.float32)
    assert preprocess.crops(image, box, preprocessing(resize="crop")).min() == pytest.approx(1)
    padded = preprocess.crops(image, box, preprocessing(resize="pad"))[0]
    np.testing.assert_allclose(padded[:, :10], 0, atol=0.01)  # the mean colour
    np.testing.assert_allclose(padded[:, -10:], 0, atol=0.01)
    assert padded[:, 16, 16].tolist() == [1, 1, 1]
    stretched = preprocess.crops(image, box, preprocessing(resize="stretch"))[0]
    assert stretched[0, 0, 0] == -1
    assert stretched[0, 0, 16] == 1


@pytest.mark.parametrize("mode", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_boxes_beyond_the_frame_and_of_no_size_give_pixels_of_the_frame(
    mode: str, interpolation: str
) -> None:
    image = noise(40, 30)
    xyxy = np.array(
        [
            [5, 5, 6, 6],
            [7, 7, 7, 7],
            [9, 9, 3, 3],
            [-50, -50, 500, 500],
            [100, 100, 120, 120],
            [-20, -20, -10, -10],
            [39.6, 29.6, 40, 30],
        ],
        np.float32,
    )
    batch = preprocess.crops(image, xyxy, preprocessing(resize=mode, interpolation=interpolation))
    assert np.isfinite(batch).all()
    whole = preprocess.crops(
        image,
        np.array([[0, 0, 40, 30]], np.float32),
        preprocessing(resize=mode, interpolation=interpolation),
    )
    np.testing.assert_array_equal(batch[3], whole[0])
    corner = (image[29, 39] / 255 - 0.5) / 0.5
    np.testing.assert_allclose(batch[4, :, 16, 16], corner, atol=1e-6)
    np.testing.assert_allclose(batch[6, :, 16, 16], corner, atol=1e-6)


coordinate = st.floats(-20, 120, width=32)


@given(st.lists(st.tuples(*[coordinate] * 4), max_size=12))
@settings(max_examples=30, deadline=None)
def test_a_batch_equals_its_crops_one_by_one(rows: list[tuple[float, ...]]) -> None:
    image = noise(100, 80)
    xyxy = np.array(rows, np.float32).reshape(-1, 4)
    spec = preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    batch = preprocess.crops(image, xyxy, spec)
    assert batch.shape == (len(rows), 3, 32, 32)
    for i in range(len(rows)):
        np.testing.assert_array_equal(batch[i], preprocess.crops(image, xyxy[i : i + 1], spec)[0])


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    image = np.full((9, 9, 3), (0, 51, 255), np.uint8)
    spec = preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.7))
    out = preprocess.crops(image, np.array([[0, 0, 9, 9]], np.float32), spec)
    expected = np.broadcast_to(np.float32([-0.1, 0, 1])[:, None, None], out[0].shape)
    np.testing.assert_allclose(out[0], expected, atol=1e-6)
