from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import geometry
from edge.errors import ConfigError
from edge.manifest import ScalePolicy
from edge.types import F32, U8, Detections
from edge.vision.detector import Detector
from edge.vision.scale import Scale, choose, coverage, parse_scale, tile_origins, whole_factor
from tests.factories import BlobDetector, FakeSession, detector_session, detector_spec

INPUT = (128, 128)
KNOWN_PX = (8.0, 40.0)
POLICY = ScalePolicy(facing_px=KNOWN_PX, enough_coverage=0.1, max_tiles=16)


def shelf(side: int, blob: int, pitch: int) -> tuple[U8, F32]:
    """A dark picture with white squares every ``pitch`` pixels, and their boxes."""
    image = np.zeros((side, side, 3), np.uint8)
    corners = [
        (x, y)
        for y in range(pitch // 3, side - blob, pitch)
        for x in range(pitch // 3, side - blob, pitch)
    ]
    for x, y in corners:
        image[y : y + blob, x : x + blob] = 255
    return image, np.array([(x, y, x + blob, y + blob) for x, y in corners], np.float32)


def blob_detector(
    batch: int | None = None, scale: str | None = None, policy: ScalePolicy = POLICY
) -> tuple[Detector, FakeSession]:
    session = detector_session(BlobDetector(KNOWN_PX), batch=batch, input_wh=INPUT)
    return Detector(session, detector_spec(input_wh=INPUT, scale=policy), scale), session


def assert_same_boxes(found: F32, truth: F32, threshold: float = 0.6) -> None:
    """One box each: nothing lost, nothing twice."""
    assert len(found) == len(truth)
    overlap = geometry.iou(found, truth) >= threshold
    assert overlap.any(axis=0).all()
    assert overlap.any(axis=1).all()


# -------------------------------------------------------------------------------- written form


@pytest.mark.parametrize("text", ["whole", "shrink@0.31", "tiles@0.75", "tiles@1"])
def test_the_form_in_results_is_a_fixed_choice(text: str) -> None:
    scale = parse_scale(text, 0.5)
    assert scale is not None
    assert str(scale) == text


def test_words_alone_are_choices_too() -> None:
    assert parse_scale("auto", 0.5) is None
    assert parse_scale("shrink", 0.5) == Scale("shrink", 0.25)
    assert parse_scale("tiles", 0.5) == Scale("tiles", 1.0)
    assert parse_scale("shrink@3", 0.5) == Scale("shrink", 0.5)


@given(st.sampled_from(["shrink", "tiles"]), st.floats(0.001, 8.0))
def test_any_choice_survives_being_written(mode: str, factor: float) -> None:
    text = str(Scale(mode, factor))
    again = parse_scale(text, 100.0)
    assert again is not None
    assert again.factor == pytest.approx(factor, rel=5e-3)
    assert str(again) == text


@pytest.mark.parametrize(
    "text", ["", "big", "tiles@", "tiles@0", "tiles@-1", "whole@1", "shrink@nan", "tiles@1000"]
)
def test_an_unknown_form_is_a_wrong_call(text: str) -> None:
    with pytest.raises(ConfigError, match=r"scale '.*'"):
        parse_scale(text, 0.5)


# --------------------------------------------------------------------------------------- tiles


@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.tuples(st.integers(32, 256), st.integers(32, 256)),
    st.floats(0.1, 4.0),
    st.floats(0.0, 0.5),
)
@settings(max_examples=100)
def test_tiles_cover_every_pixel_and_overlap(
    frame_wh: tuple[int, int], input_wh: tuple[int, int], factor: float, overlap: float
) -> None:
    regions = tile_origins(frame_wh, input_wh, factor, overlap)
    for axis in (0, 1):
        spans = sorted({(r[axis], r[axis + 2]) for r in regions})
        tile = spans[0][1] - spans[0][0]
        assert spans[0][0] == 0
        assert spans[-1][1] == frame_wh[axis]
        assert tile * factor <= input_wh[axis]
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= math.floor(tile * overlap) - 1
    columns = {(r[0], r[2]) for r in regions}
    rows = {(r[1], r[3]) for r in regions}
    assert len(regions) == len(columns) * len(rows)


def test_a_frame_that_fits_is_one_tile() -> None:
    assert tile_origins((100, 50), (128, 128), 1.0, 0.2) == [(0, 0, 100, 50)]


# -------------------------------------------------------------------------------- the choice


def test_a_normal_frame_takes_exactly_one_pass() -> None:
    image, truth = shelf(side=256, blob=40, pitch=64)
    detector, session = blob_detector()
    found, scale = detector.detect(image)
    assert_same_boxes(found.xyxy, truth)
    assert scale == "whole"
    assert session.shapes == [(1, 3, 128, 128)]


def test_a_close_up_is_shrunk() -> None:
    image, truth = shelf(side=512, blob=230, pitch=260)
    detector, _ = blob_detector(scale="whole")
    assert len(detector.detect(image)[0]) == 0
    detector, session = blob_detector()
    found, scale = detector.detect(image)
    assert_same_boxes(found.xyxy, truth)
    assert scale.startswith("shrink@")
    assert len(session.shapes) <= 4


def test_a_huge_frame_of_small_facings_is_tiled() -> None:
    image, truth = shelf(side=1024, blob=40, pitch=60)
    detector, session = blob_detector()
    found, scale = detector.detect(image)
    assert_same_boxes(found.xyxy, truth)
    assert scale.startswith("tiles@")
    assert len(session.shapes) < 3 + POLICY.max_tiles


@pytest.mark.parametrize(
    ("side", "blob", "pitch"), [(256, 40, 64), (512, 230, 260), (1024, 40, 60)]
)
def test_the_choice_found_can_be_fixed(side: int, blob: int, pitch: int) -> None:
    image, _ = shelf(side, blob, pitch)
    found, scale = blob_detector()[0].detect(image)
    again, same = blob_detector(scale=scale)[0].detect(image)
    assert same == scale
    assert_same_boxes(again.xyxy, found.xyxy, 0.9)


def test_an_empty_frame_ends_with_nothing() -> None:
    detector, session = blob_detector()
    found, _ = detector.detect(np.zeros((300, 500, 3), np.uint8))
    assert len(found) == 0
    assert len(session.shapes) <= 3 + POLICY.max_tiles


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from([(32, 32), (64, 64), (128, 96), (96, 160), (320, 320)]),
)
@settings(max_examples=40, deadline=None)
def test_any_frame_fits_any_input(width: int, height: int, input_wh: tuple[int, int]) -> None:
    """Smaller copies share one input: they have to fit, whatever the shapes."""
    session = detector_session(BlobDetector(KNOWN_PX), input_wh=input_wh)
    detector = Detector(session, detector_spec(input_wh=input_wh, scale=POLICY))
    found, _ = detector.detect(np.zeros((height, width, 3), np.uint8))
    assert len(found) == 0


def test_no_more_tiles_than_allowed() -> None:
    image, _ = shelf(side=1024, blob=40, pitch=60)
    few = POLICY.model_copy(update={"max_tiles": 4})
    detector, session = blob_detector(policy=few)
    detector.detect(image)
    assert sum(shape[0] for shape in session.shapes) <= 4 + 3


def test_a_draw_goes_to_the_whole_frame() -> None:
    """Without a clear gain the frame is not cut up."""
    box = Detections(
        np.array([[0, 0, 10, 10]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
    )

    def same(scales: Sequence[Scale]) -> list[Detections]:
        return [box for _ in scales]

    found, scale = choose(same, (1000, 1000), INPUT, POLICY)
    assert scale.mode == "whole"
    assert found is box


def test_coverage_weighs_by_confidence() -> None:
    found = Detections(
        np.array([[0, 0, 10, 10]], np.float32), np.array([0.5], np.float32), np.zeros(1, np.int32)
    )
    assert coverage(found, (10, 20)) == 0.25
    assert coverage(Detections.empty(), (10, 20)) == 0


def test_small_frames_are_not_enlarged() -> None:
    assert whole_factor((30, 20), (640, 640)) == 1.0
    assert whole_factor((1280, 640), (640, 640)) == 0.5
