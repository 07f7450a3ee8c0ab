from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import BundleError, ConfigError, InferenceError
from export.recognise import DetectorLayout, recognise_detector
from tests.factories import SHELF, SIDE, squares, write_detector, write_tower

pytest.importorskip("onnx")

KINDS: dict[str, tuple[dict[str, Any], DetectorLayout]] = {
    "yolov8": ({}, DetectorLayout("yolov8", (SIDE, SIDE), "nchw", "cxcywh", "pixels", 1)),
    "channels last": (
        {"nhwc": True},
        DetectorLayout("yolov8", (SIDE, SIDE), "nhwc", "cxcywh", "pixels", 1),
    ),
    "fixed batch": (
        {"batch": 2},
        DetectorLayout("yolov8", (SIDE, SIDE), "nchw", "cxcywh", "pixels", 1),
    ),
    "end to end": (
        {"head": "end2end"},
        DetectorLayout("end2end", (SIDE, SIDE), "nchw", "xyxy", "pixels", None),
    ),
    "unit boxes": (
        {"units": "unit"},
        DetectorLayout("yolov8", (SIDE, SIDE), "nchw", "cxcywh", "unit", 1),
    ),
    "unit boxes, end to end, channels last": (
        {"units": "unit", "head": "end2end", "nhwc": True},
        DetectorLayout("end2end", (SIDE, SIDE), "nhwc", "xyxy", "unit", None),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_is_recognised(tmp_path: Path, kind: str) -> None:
    model, expected = KINDS[kind]
    path = write_detector(tmp_path / "d.onnx", **model)
    assert recognise_detector(path, squares(SHELF)) == expected


def test_an_unknown_output_names_the_file(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "d.onnx", head="unknown")
    with pytest.raises(BundleError, match=r"d\.onnx: output \(1, 64\) is neither"):
        recognise_detector(path, squares(SHELF))
    tower = write_tower(tmp_path / "t.onnx")
    with pytest.raises(BundleError, match=r"t\.onnx: output \(1, 12\) is neither"):
        recognise_detector(tower, squares(SHELF), 32)


def test_an_input_that_is_no_picture_names_the_file(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 4, 8, 8])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", 4, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "d.onnx"))
    with pytest.raises(BundleError, match=r"d\.onnx: input must be .*got \(None, 4, 8, 8\)"):
        recognise_detector(tmp_path / "d.onnx", squares(SHELF))


def test_no_file_and_no_model_are_told_apart(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"d\.onnx: no such file"):
        recognise_detector(tmp_path / "d.onnx", picture)
    (tmp_path / "d.onnx").write_bytes(b"text")
    with pytest.raises(InferenceError, match=r"d\.onnx: cpu cannot load it"):
        recognise_detector(tmp_path / "d.onnx", picture)


def test_a_detector_by_others_is_recognised(shelf_data: Path) -> None:
    path = shelf_data / "detector" / "sku110k_yolov8n_nhwc.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    from edge.camera.source import read_image

    photo = read_image(next(iter(sorted((shelf_data / "shelves").rglob("*.jpg")))))
    layout = recognise_detector(path, photo)
    assert (layout.head, layout.layout, layout.classes) == ("yolov8", "nhwc", 1)
