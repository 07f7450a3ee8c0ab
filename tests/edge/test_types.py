from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from edge.types import (
    Candidate,
    Detections,
    Embeddings,
    Frame,
    FrameResult,
    Matches,
    Neighbors,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def matches(n: int) -> Matches:
    column = np.zeros(n, np.float32)
    top = ((Candidate("a", 0.5),),) * n
    return Matches((None,) * n, ((),) * n, column, column, column, top)


def test_a_wrong_array_is_refused_with_what_was_expected_and_what_came() -> None:
    with pytest.raises(ValueError, match=r"xyxy must be float32 \(N, 4\), got float64 \(4,\)"):
        Detections(np.zeros(4), np.zeros(1, np.float32), np.zeros(1, np.int32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"confidence must be float32 \(2\), got float32 \(3,\)"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=r"class_id must be int32 \(1\), got list"):
        Detections(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), [0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"image must be uint8 \(H, W, 3\), got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), r"got float32 \(4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "image must not be empty"),
    ],
)
def test_a_frame_holds_pixels(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Frame(image, "a", 0, NOW)


def test_a_frame_knows_its_size_and_time_zone() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert Frame(image, "a", 0, NOW).size_wh == (6, 4)
    with pytest.raises(ValueError, match="timezone-aware"):
        Frame(image, "a", 0, datetime(2026, 1, 2))


def test_embeddings_have_norm_1() -> None:
    good = np.array([[0.6, 0.8]], np.float32)
    assert len(Embeddings(good, "t")) == 1
    assert len(Embeddings(np.zeros((0, 2), np.float32), "t")) == 0
    for bad in (good * 2, good * 0, good * np.float32(math.nan)):
        with pytest.raises(ValueError, match="L2 norm 1"):
            Embeddings(bad, "t")


def test_neighbors_have_one_shape() -> None:
    ids = np.zeros((2, 3), np.int64)
    Neighbors(ids, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"similarity must be float32 \(2, 3\)"):
        Neighbors(ids, np.zeros((2, 2), np.float32))


def test_matches_have_one_length() -> None:
    assert len(matches(2)) == 2
    assert len(Matches.empty()) == len(Detections.empty()) == 0
    column = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="2 entries"):
        Matches((None, "a"), ((),), column, column, column, ((), ()))
    with pytest.raises(ValueError, match="margin"):
        Matches((None, "a"), ((), ()), column, column[:1], column, ((), ()))


def test_a_result_has_a_match_a_detection() -> None:
    def build(n: int) -> FrameResult:
        return FrameResult(
            "s", 0, NOW, (4, 4), "whole", "cpu", "b", "", Detections.empty(), matches(n)
        )

    assert build(0).timings_ms == {}
    with pytest.raises(ValueError, match="one entry a detection: 1 for 0"):
        build(1)


def test_objects_are_frozen_and_slotted() -> None:
    found = Detections.empty()
    with pytest.raises(AttributeError):
        found.xyxy = np.zeros((0, 4), np.float32)  # type: ignore[misc]
    assert not hasattr(found, "__dict__")
