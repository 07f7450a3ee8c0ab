from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import geometry
from edge.errors import BundleError, ConfigError
from edge.manifest import ScalePolicy
from edge.timing import Stopwatch
from edge.types import F32
from edge.vision.detector import TILE_BATCH, Detector
from tests.factories import BlobDetector, FakeSession, detector_session, detector_spec

INPUT = (128, 128)
KNOWN_PX = (6.0, 60.0)


def fixed(answer: F32, *, batch: int | None = None, **changes: Any) -> Detector:
    """A detector that gives the columns ``(5, n)`` of ``answer`` for every picture."""

    def run(pixels: F32) -> F32:
        return np.repeat(answer[None], len(pixels), axis=0)

    return Detector(detector_session(run, batch=batch), detector_spec(**changes), "whole")


def columns(*rows: tuple[float, ...]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 5).T


def test_boxes_come_back_in_frame_pixels_best_first() -> None:
    # a 128 x 64 frame in a 64 x 64 input: half size, 16 pixels of padding above
    detector = fixed(columns((16, 32, 8, 8, 0.7), (40, 32, 4, 8, 0.9)))
    watch = Stopwatch()
    found, scale = detector.detect(np.zeros((64, 128, 3), np.uint8), watch)
    np.testing.assert_allclose(found.xyxy, [[76, 24, 84, 40], [24, 24, 40, 40]], atol=1e-4)
    np.testing.assert_allclose(found.confidence, [0.9, 0.7])
    assert scale == "whole"
    assert set(watch.timings_ms()) == {"letterbox", "detector", "nms"}


def test_boxes_are_clipped_and_padding_holds_none() -> None:
    detector = fixed(columns((0, 32, 20, 20, 0.9), (32, 4, 8, 6, 0.9)))
    found, _ = detector.detect(np.zeros((64, 128, 3), np.uint8))
    np.testing.assert_allclose(found.xyxy, [[0, 12, 20, 52]], atol=1e-4)


def test_one_product_is_one_box_and_classes_do_not_meet() -> None:
    twice = columns((20, 20, 10, 10, 0.9), (21, 20, 10, 10, 0.8))
    found, _ = fixed(twice).detect(np.zeros((64, 64, 3), np.uint8))
    assert len(found) == 1
    two = np.array([[20, 21], [20, 20], [10, 10], [10, 10], [0.9, 0.1], [0.1, 0.8]], np.float32)
    session = detector_session(lambda b: two[None], output=(None, 6, None))
    detector = Detector(session, detector_spec(class_names=("a", "b")), "whole")
    found, _ = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert found.class_id.tolist() == [0, 1]


def test_end_to_end_boxes_of_one_pass_are_not_suppressed() -> None:
    rows = np.array([[[10, 10, 20, 20, 0.7, 0], [10, 10, 20, 20, 0.9, 0]]], np.float32)
    spec = detector_spec(head="end2end", box_format="xyxy")
    session = detector_session(lambda b: rows, output=(None, None, 6))
    found, _ = Detector(session, spec, "whole").detect(np.zeros((64, 64, 3), np.uint8))
    np.testing.assert_allclose(found.confidence, [0.9, 0.7])


def test_a_box_that_surer_ones_cover_in_part_needs_more_confidence() -> None:
    # cx, cy, w, h, score: IoU 1/3 with the first, and a lone one of the same confidence
    rows = np.array(
        [[20, 20, 20, 20, 0.9], [30, 20, 20, 20, 0.7], [50, 50, 12, 12, 0.7]], np.float32
    ).T
    image = np.zeros((64, 64, 3), np.uint8)
    hard, _ = fixed(rows).detect(image)
    np.testing.assert_allclose(hard.confidence, [0.9, 0.7, 0.7])
    soft, _ = fixed(rows, soft_sigma=0.5).detect(image)
    np.testing.assert_allclose(soft.confidence, [0.9, 0.7])
    assert soft.xyxy[1].tolist() == [44, 44, 56, 56]
    wide, _ = fixed(rows, soft_sigma=5.0).detect(image)
    np.testing.assert_allclose(wide.confidence, [0.9, 0.7, 0.7 * np.exp(-1 / 45)], rtol=1e-5)


def test_a_limit_is_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40]
    many = np.stack(
        [x.ravel() * 1.6, y.ravel() * 1.6, *np.full((2, 1600), 1.2), rng.uniform(0.6, 1, 1600)]
    ).astype(np.float32)
    image = np.zeros((64, 64, 3), np.uint8)
    with caplog.at_level(logging.WARNING):
        found, _ = fixed(many, max_det=1000).detect(image)
    assert len(found) == 1000
    assert "max_det reached" in caplog.text
    caplog.clear()
    all_of_them, _ = fixed(many, max_det=2000).detect(image)
    assert len(all_of_them) > 1500
    np.testing.assert_array_equal(found.confidence, all_of_them.confidence[:1000])
    assert not caplog.text


def test_nothing_found_is_an_empty_result() -> None:
    found, _ = fixed(np.zeros((5, 0), np.float32)).detect(np.zeros((1, 1, 3), np.uint8))
    assert found.xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("given_shape", "output", "message"),
    [
        ((None, 3, 32, 64), (None, 5, None), r"input must be \(batch, 3, 64, 64\), got .*32, 64"),
        ((None, 3, 64), (None, 5, None), "input must be"),
        ((None, 64, 64, 3), (None, 5, None), "input must be"),
        ((None, 3, 64, 64), (None, 84, None), "output must be"),
    ],
)
def test_a_model_that_does_not_fit_its_manifest_is_refused(
    given_shape: tuple[int | None, ...], output: tuple[int | None, ...], message: str
) -> None:
    session = FakeSession(lambda b: b, given_shape, output)
    with pytest.raises(BundleError, match=message):
        Detector(session, detector_spec())


def test_an_unknown_scale_is_a_wrong_call() -> None:
    with pytest.raises(ConfigError, match="'huge' is not known"):
        Detector(detector_session(lambda b: b), detector_spec(), "huge")


def test_channels_last_input_is_fed_channels_last() -> None:
    session = FakeSession(
        lambda b: np.zeros((len(b), 5, 1), np.float32), (1, 64, 64, 3), (1, 5, None)
    )
    Detector(session, detector_spec(layout="nhwc"), "whole").detect(np.zeros((9, 9, 3), np.uint8))
    assert session.shapes == [(1, 64, 64, 3)]


def test_the_bare_run_is_one_run_of_the_model() -> None:
    session = detector_session(BlobDetector(KNOWN_PX))
    run = Detector(session, detector_spec()).bare_run(np.zeros((500, 300, 3), np.uint8))
    assert session.shapes == []
    run()
    assert session.shapes == [(1, 3, 64, 64)]


# --------------------------------------------------------------------------------------- tiles


def blobs(seed: int, width: int, height: int) -> tuple[np.ndarray, F32]:
    """White boxes of 8 to 20 pixels a side, at least 3 apart, anywhere: also across tile borders."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(150):
        w, h = (int(n) for n in rng.integers(8, 21, 2))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        near = image[max(0, y - 3) : y + h + 3, max(0, x - 3) : x + w + 3]
        if not near.any():
            image[y : y + h, x : x + w] = 255
            boxes.append((x, y, x + w, y + h))
    return image, np.array(boxes, np.float32)


@given(
    st.integers(0, 10_000), st.integers(140, 420), st.integers(140, 420), st.sampled_from([1, None])
)
@settings(max_examples=25, deadline=None)
def test_boxes_cut_by_tile_borders_are_merged(
    seed: int, width: int, height: int, batch: int | None
) -> None:
    """Every product once: none lost on a border, none twice where tiles overlap."""
    image, truth = blobs(seed, width, height)
    session = detector_session(BlobDetector(KNOWN_PX), batch=batch, input_wh=INPUT)
    policy = ScalePolicy(facing_px=KNOWN_PX, overlap=0.2)
    spec = detector_spec(input_wh=INPUT, scale=policy)
    found, scale = Detector(session, spec, "tiles@1").detect(image)
    assert scale == "tiles@1"
    assert len(found) == len(truth)
    assert (geometry.iou(found.xyxy, truth).max(axis=0) > 0.99).all()
    limit = 1 if batch == 1 else TILE_BATCH
    assert max(shape[0] for shape in session.shapes) <= limit


def test_what_no_tile_shows_whole_is_not_lost() -> None:
    """A product larger than the overlap is cut by every tile: its largest part is still reported."""
    image = np.zeros((128, 230, 3), np.uint8)
    truth = np.array([[10, 40, 30, 60], [90, 40, 140, 90]], np.float32)
    image[40:60, 10:30] = 255
    image[40:90, 90:140] = 255
    session = detector_session(BlobDetector(KNOWN_PX), input_wh=INPUT)
    spec = detector_spec(input_wh=INPUT, scale=ScalePolicy(facing_px=KNOWN_PX, overlap=0.1))
    found, _ = Detector(session, spec, "tiles@1").detect(image)
    assert 2 <= len(found) <= 3
    assert (geometry.iou(found.xyxy, truth).max(axis=0) > 0.7).all()


def test_a_batch_that_is_fixed_is_filled_up() -> None:
    image, truth = blobs(1, 300, 200)
    session = detector_session(BlobDetector(KNOWN_PX), batch=3, input_wh=INPUT)
    spec = detector_spec(input_wh=INPUT)
    found, _ = Detector(session, spec, "tiles@1").detect(image)
    assert len(found) == len(truth)
    assert {shape[0] for shape in session.shapes} == {3}
    Detector(session, spec, "whole").bare_run(image)()
    assert session.shapes[-1][0] == 3


def test_a_fixed_choice_beyond_the_bundle_s_tiles_is_refused() -> None:
    spec = detector_spec()
    detector = Detector(detector_session(BlobDetector((4.0, 24.0))), spec, "tiles@8")
    with pytest.raises(ConfigError, match=r"scale tiles@8 needs \d+ tiles on 2000x1000, more than"):
        detector.detect(np.zeros((1000, 2000, 3), np.uint8))
