from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("faster_coco_eval")

from edge.errors import ConfigError
from export.cli import app
from export.detector_evaluation import (
    evaluate_detector,
    open_detector,
    read_photos,
)
from tests.factories import CELLS, SHELF, squares, write_detector, write_picture


def write_shelves(root: Path) -> Path:
    """Two shelves of six squares with their labels, as a YOLO folder."""
    lines = [
        f"0 {(column + 0.5) / CELLS} {(row + 0.5) / CELLS} {1 / CELLS} {1 / CELLS}"
        for row, column in SHELF
    ]
    for name in ("a", "b"):
        write_picture(root / "images" / f"{name}.png", squares(SHELF))
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shelves(tmp_path_factory.mktemp("yolo"))


@pytest.mark.parametrize(
    "model", [{}, {"head": "end2end"}, {"nhwc": True, "units": "unit"}, {"batch": 2}]
)
def test_every_head_is_measured_on_the_devices_decode(
    folder: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    photos = read_photos(folder)
    opened = open_detector(write_detector(tmp_path / "d.onnx", **model), photos)
    result = evaluate_detector(opened, photos, folder)
    row = result.to_json()
    assert (row["photos"], row["facings"], row["scale"]) == (2, 12, "whole")
    assert (row["ap50"], row["recall50_1000"], row["recall_at_precision"]) == (1.0, 1.0, 1.0)
    assert row["at_confidence"] == {"confidence": 0.3, "precision": 1.0, "recall": 1.0}


def test_a_detector_that_misses_by_some_pixels_scores_less(folder: Path, tmp_path: Path) -> None:
    photos = read_photos(folder)
    # IoU 0.6: right at 0.5 to 0.6, wrong above
    opened = open_detector(write_detector(tmp_path / "d.onnx", shift_px=2.0), photos)
    scores = evaluate_detector(opened, photos, folder).scores
    assert scores.ap50 == pytest.approx(1.0)
    assert scores.ap75 == 0.0
    assert 0.1 < scores.ap < 0.35


def test_the_command_measures_a_file_and_a_bundle(
    folder: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (write_detector(tmp_path / "d.onnx"), tiny_bundle):
        call = ["detector", str(model), "--evaluate", str(folder), "--photos", "1", "--json"]
        app(call, standalone_mode=False)
        told = json.loads(capsys.readouterr().out)
        assert told["written"] == {}
        assert [row["facings"] for row in told["evaluations"]] == [6]
        assert told["evaluations"][0]["ap50"] == 1.0
    app([*call[:-1], "--confidence", "0.99"], standalone_mode=False)
    assert "at confidence 0.99 precision" in capsys.readouterr().out


def test_bad_calls_name_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--out, --evaluate or both"):
        app(["detector", "x.onnx"], standalone_mode=False)
    with pytest.raises(ConfigError, match=r"x\.onnx: no such file"):
        app(["detector", "x.onnx", "--evaluate", str(folder)], standalone_mode=False)
    with pytest.raises(ConfigError, match=r"nowhere: holds neither images/ nor photos/"):
        read_photos(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match="no photos"):
        read_photos(tmp_path)
    write_picture(tmp_path / "images" / "a.png", squares(SHELF))
    with pytest.raises(ConfigError, match=r"label file .*a\.txt is missing"):
        read_photos(tmp_path)
