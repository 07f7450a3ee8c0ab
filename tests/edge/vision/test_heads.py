"""Decoding of detector outputs, per head and layout of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.errors import BundleError
from edge.manifest import DetectorSpec
from edge.vision.decode import check_output, decode
from tests.factories import detector_spec


def spec(**changes: Any) -> DetectorSpec:
    return detector_spec(confidence=0.5, **changes)


def test_yolov8_columns_become_boxes() -> None:
    output = np.zeros((2, 6, 4), np.float32)
    output[0, :, 1] = (30, 20, 10, 8, 0.2, 0.9)
    output[0, :, 3] = (5, 5, 2, 2, 0.6, 0.1)
    output[1, :, 0] = (5, 5, 2, 2, 0.49, 0.1)
    first, second = decode(output, spec(class_names=("a", "b")))
    np.testing.assert_allclose(first[0], [[25, 16, 35, 24], [4, 4, 6, 6]])
    np.testing.assert_allclose(first[1], [0.9, 0.6])
    assert first[2].tolist() == [1, 0]
    assert [part.dtype for part in first] == [np.float32, np.float32, np.int32]
    assert [part.shape for part in second] == [(0, 4), (0,), (0,)]


def test_one_class_needs_no_argmax() -> None:
    output = np.zeros((1, 5, 2), np.float32)
    output[0, :, 0] = (10, 10, 4, 4, 0.5)
    xyxy, confidence, class_id = decode(output, spec())[0]
    np.testing.assert_allclose(xyxy, [[8, 8, 12, 12]])
    assert confidence.tolist() == [0.5]
    assert class_id.tolist() == [0]


def test_end_to_end_rows_become_boxes() -> None:
    output = np.zeros((1, 3, 6), np.float16)
    output[0, 0] = (1, 2, 3, 4, 0.75, 1)
    output[0, 1] = (5, 6, 7, 8, 0.25, 0)
    xyxy, confidence, class_id = decode(
        output, spec(head="end2end", box_format="xyxy", class_names=("a", "b"))
    )[0]
    np.testing.assert_allclose(xyxy, [[1, 2, 3, 4]])
    assert confidence.tolist() == [0.75]
    assert class_id.tolist() == [1]
    assert xyxy.dtype == np.float32


@pytest.mark.parametrize("box_format", ["cxcywh", "xyxy"])
@pytest.mark.parametrize("units", ["pixels", "unit"])
def test_formats_and_units_mean_the_same_box(box_format: str, units: str) -> None:
    box = np.array((20, 8, 30, 16) if box_format == "xyxy" else (25, 12, 10, 8), np.float32)
    if units == "unit":
        box /= np.array((40, 20, 40, 20), np.float32)
    output = np.concatenate([box, [0.9]]).astype(np.float32).reshape(1, 5, 1)
    described = spec(box_format=box_format, box_units=units, input_wh=(40, 20))
    np.testing.assert_allclose(decode(output, described)[0][0], [[20, 8, 30, 16]], rtol=1e-5)


def test_what_is_no_number_is_no_box() -> None:
    output = np.ones((1, 5, 4), np.float32)
    output[0, 0, 0] = np.nan
    output[0, 2, 1] = np.inf
    output[0, 4, 2] = np.nan
    output[0, 4, 3] = 1.5  # some heads round above 1
    xyxy, confidence, _ = decode(output, spec())[0]
    assert len(xyxy) == 1
    assert confidence.tolist() == [1.0]


@pytest.mark.parametrize(
    ("head", "shape", "message"),
    [
        (
            "yolov8",
            (1, 84, 8400),
            r"\(batch, 5, anchors\).*yolov8 with 1 class\(es\), got \(1, 84, 8400\)",
        ),
        ("yolov8", (1, 8400, 5), r"got \(1, 8400, 5\)"),
        ("yolov8", (None, 64), r"got \('\?', 64\)"),
        ("end2end", (None, 300, 7), r"\(batch, n, 6\) for head end2end.*got \('\?', 300, 7\)"),
    ],
)
def test_an_unknown_shape_is_named(head: str, shape: tuple[int | None, ...], message: str) -> None:
    described = spec(head=head, box_format="xyxy")
    with pytest.raises(BundleError, match=message):
        check_output(shape, described)
    concrete = np.zeros([2 if n is None else n for n in shape], np.float32)
    with pytest.raises(BundleError, match="detector output must be"):
        decode(concrete, described)


def test_open_dimensions_may_turn_out_right() -> None:
    check_output((None, None, None), spec())
    check_output((1, 300, None), spec(head="end2end"))
