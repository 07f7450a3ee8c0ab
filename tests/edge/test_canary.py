from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import canary
from edge.bundle import Bundle
from edge.errors import BundleError, InferenceError
from edge.pipeline import Models
from tests.factories import (
    edit_manifest,
    reseal,
    write_detector,
    write_tower,
    write_two_precisions,
)

Golden = dict[str, dict[str, Any]]


def edit_golden(folder: Path, change: Callable[[Golden], object]) -> None:
    path = folder / "canary" / "golden.json"
    golden = json.loads(path.read_text())
    change(golden)
    path.write_text(json.dumps(golden))
    reseal(folder)


def line_of(folder: Path) -> str:
    """The one line with which a loaded bundle is refused."""
    with pytest.raises(BundleError) as caught:
        Models.open(Bundle.load(folder), provider="cpu")
    text = str(caught.value)
    assert text.isprintable()
    assert str(folder) in text
    return text


def test_a_sound_bundle_is_measured(tiny_bundle: Path) -> None:
    report = Models.open(Bundle.load(tiny_bundle), provider="cpu").canary
    assert report.cosine > 0.9999
    assert report.box_agreement == 1.0
    assert report.spread > 2 * Bundle.load(tiny_bundle).manifest.canary.min_spread - 1e-3
    assert set(report.to_json()) == {"cosine", "spread", "box_agreement"}


def test_an_altered_golden_embedding_is_noticed(own_bundle: Path) -> None:
    def turn(golden: Golden) -> None:
        golden["embeddings"]["fp32"][2] = golden["embeddings"]["fp32"][0]

    edit_golden(own_bundle, turn)
    line = line_of(own_bundle)
    assert "canary on cpu: tower (fp32) differs from its golden embeddings: cosine" in line
    assert "< 0.999" in line


def test_another_tower_is_noticed(own_bundle: Path) -> None:
    write_tower(own_bundle / "tower.onnx", noise=0.2)
    reseal(own_bundle)
    assert "differs from its golden embeddings" in line_of(own_bundle)


def test_a_collapsed_tower_is_noticed_even_where_its_goldens_agree(own_bundle: Path) -> None:
    write_tower(own_bundle / "tower.onnx", kind="collapsed")
    reseal(own_bundle)
    assert "differs from its golden embeddings" in line_of(own_bundle)
    # a bundle packed from a tower that had collapsed by then
    constant = np.random.default_rng(5)
    np.linalg.qr(constant.standard_normal((12, 12)))
    constant.standard_normal((12, 12))
    vector = constant.standard_normal(12)
    vector /= np.linalg.norm(vector)
    edit_golden(own_bundle, lambda g: g["embeddings"].update(fp32=[vector.tolist()] * 4))
    assert "canary on cpu: embeddings have collapsed: spread" in line_of(own_bundle)


def test_a_tower_without_answers_is_noticed(own_bundle: Path) -> None:
    write_tower(own_bundle / "tower.onnx", kind="nan")
    reseal(own_bundle)
    with pytest.raises(InferenceError, match=f"{own_bundle}: tower on cpu gave NaN"):
        Models.open(Bundle.load(own_bundle), provider="cpu")


def test_boxes_that_moved_are_noticed(own_bundle: Path) -> None:
    write_detector(own_bundle / "detector.onnx", shift_px=3)
    reseal(own_bundle)
    line = line_of(own_bundle)
    assert "canary on cpu: detector (fp32) differs from its golden boxes: agreement 0.000" in line


def test_one_box_of_six_is_too_many(own_bundle: Path) -> None:
    edit_golden(own_bundle, lambda g: g["boxes"].update(fp32=g["boxes"]["fp32"][:4]))
    assert "agreement 0.800 < 0.9" in line_of(own_bundle)


@pytest.mark.parametrize("kind", ["boxes", "embeddings"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "no golden {kind} for fp32"),
        ({"fp32": [[1, 2, 3]]}, "golden {kind} must be "),
        ({"fp32": []}, "golden {kind} must be "),
        ({"fp32": [[1, 2, 3, 4], [1]]}, "golden {kind} for fp32 are no array"),
        ({"fp32": "none"}, "golden {kind} for fp32 are no array"),
        (None, "golden outputs cannot be read"),
    ],
)
def test_goldens_of_another_shape_are_said(
    own_bundle: Path, kind: str, value: object, reason: str
) -> None:
    edit_golden(own_bundle, lambda g: g.update({kind: value}))  # type: ignore[dict-item]
    line = line_of(own_bundle)
    assert "golden.json: " in line
    assert reason.format(kind=kind) in line


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_goldens_that_are_no_json_are_said(own_bundle: Path, content: bytes) -> None:
    (own_bundle / "canary" / "golden.json").write_bytes(content)
    reseal(own_bundle)
    assert "golden.json: golden outputs cannot be read" in line_of(own_bundle)


def test_a_golden_that_is_no_number_is_no_agreement(own_bundle: Path) -> None:
    edit_golden(own_bundle, lambda g: g["embeddings"]["fp32"][0].__setitem__(0, math.nan))
    assert "differs from its golden embeddings: cosine nan" in line_of(own_bundle)


def test_a_canary_picture_that_is_no_picture_is_said(own_bundle: Path) -> None:
    (own_bundle / "canary" / "crop-1.png").write_bytes(b"no picture")
    reseal(own_bundle)
    assert "crop-1.png: canary picture cannot be decoded" in line_of(own_bundle)


def test_each_precision_has_goldens_of_its_own(tmp_path: Path) -> None:
    bundle = write_two_precisions(tmp_path / "two", noise=0.2)
    golden = json.loads((bundle.path / "canary" / "golden.json").read_text())
    a, b = (np.array(golden["embeddings"][p]) for p in ("fp32", "int8"))
    assert (a * b).sum(axis=1).min() < 0.999  # the two differ by more than either may
    models = Models.open(bundle, provider="cpu")
    assert models.tower_precision == "int8"
    assert models.canary.cosine > 0.9999
    edit_golden(bundle.path, lambda g: g["embeddings"].update(int8=g["embeddings"]["fp32"]))
    edit_manifest(bundle.path, lambda m: m["canary"]["min_cosine"].update(int8=0.999))
    assert "tower (int8) differs" in line_of(bundle.path)


# ----------------------------------------------------------------------------------- measures


def test_spread_is_the_mean_distance_between_rows() -> None:
    same = np.tile(np.array([[0.6, 0.8]], np.float32), (3, 1))
    assert canary.spread(same) == pytest.approx(0, abs=1e-6)
    apart = np.eye(3, dtype=np.float32)
    assert canary.spread(apart) == pytest.approx(1)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert canary.spread(opposite) == pytest.approx(2)


def test_box_agreement_is_an_f1() -> None:
    none = np.zeros((0, 4), np.float32)
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    assert canary.box_agreement(none, none) == 1
    assert canary.box_agreement(none, boxes) == canary.box_agreement(boxes, none) == 0
    assert canary.box_agreement(boxes, boxes[::-1]) == 1
    assert canary.box_agreement(boxes, boxes[:1]) == pytest.approx(2 / 3)
    assert canary.box_agreement(boxes, boxes + 3) == 0
