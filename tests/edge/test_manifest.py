from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.bundle import MANIFEST
from edge.manifest import Manifest, ScalePolicy
from tests.factories import detector_spec, preprocessing


@pytest.fixture
def data(tiny_bundle: Path) -> dict[str, Any]:
    return dict(json.loads((tiny_bundle / MANIFEST).read_text()))


def test_a_manifest_survives_being_written(data: dict[str, Any]) -> None:
    manifest = Manifest.model_validate(data)
    again = Manifest.model_validate_json(manifest.model_dump_json())
    assert again == manifest


def test_nothing_in_it_can_be_changed(data: dict[str, Any]) -> None:
    manifest = Manifest.model_validate(data)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.name = "other"


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda m: m.update(colour="red"), "colour"),
    "unknown head": (lambda m: m["detector"].update(head="yolov5"), "detector.head"),
    "unknown layout": (lambda m: m["detector"].update(layout="chwn"), "detector.layout"),
    "unknown resize": (
        lambda m: m["tower"]["preprocessing"].update(resize="squash"),
        "tower.preprocessing.resize",
    ),
    "unknown interpolation": (
        lambda m: m["tower"]["preprocessing"].update(interpolation="nearest"),
        "tower.preprocessing.interpolation",
    ),
    "std of zero": (lambda m: m["tower"]["preprocessing"].update(std=[0, 1, 1]), "std must be"),
    "too few boxes": (lambda m: m["detector"].update(max_det=300), "detector.max_det"),
    "confidence above 1": (lambda m: m["detector"].update(confidence=1.5), "detector.confidence"),
    "no classes": (lambda m: m["detector"].update(class_names=[]), "detector.class_names"),
    "overlap that never ends": (
        lambda m: m["detector"]["scale"].update(overlap=1.0),
        "detector.scale.overlap",
    ),
    "sizes in the wrong order": (
        lambda m: m["detector"]["scale"].update(facing_px=[90, 10]),
        "facing_px must be an increasing pair",
    ),
    "no variant": (lambda m: m["tower"].update(variants=[]), "tower.variants"),
    "unknown provider": (
        lambda m: m["tower"]["variants"][0].update(providers=["coreml"]),
        "tower.variants.0.providers.0",
    ),
    "short fingerprint": (lambda m: m["tower"].update(fingerprint="abc"), "tower.fingerprint"),
    "no operating point": (lambda m: m.update(decision={}), "no operating point for fp32"),
    "no tolerance": (lambda m: m["canary"].update(min_cosine={}), "no value for fp32"),
    "one crop": (lambda m: m["canary"].update(crops=["canary/crop-0.png"]), "canary.crops"),
    "file without checksum": (
        lambda m: m["files"].pop("tower.onnx"),
        "files has no checksum for tower.onnx",
    ),
    "checksum of the wrong form": (lambda m: m["files"].update({"tower.onnx": "00"}), "files."),
    "name with a slash": (lambda m: m.update(name="a/b"), "name"),
    "not a number": (
        lambda m: m["decision"]["fp32"].update(similarity=float("nan")),
        "decision.fp32.similarity",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_value_is_refused_under_its_key(data: dict[str, Any], change: str) -> None:
    alter, key = CHANGES[change]
    alter(data)
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate(data)
    places = [".".join(str(p) for p in e["loc"]) + " " + e["msg"] for e in caught.value.errors()]
    assert any(key in place for place in places), places


@pytest.mark.parametrize(
    "name", ["../up.onnx", "/etc/passwd", "a/../../b", "a\\b", "", ".", "nul\0l", "two\nlines"]
)
def test_a_path_stays_in_the_folder(data: dict[str, Any], name: str) -> None:
    data["tower"]["variants"][0]["file"] = name
    with pytest.raises(ValidationError, match=r"tower\.variants\.0\.file"):
        Manifest.model_validate(data)


def test_defaults_are_those_of_a_shelf() -> None:
    assert ScalePolicy().mode == "auto"
    assert detector_spec().max_det >= 1000
    assert preprocessing().interpolation == "bilinear"


def _calibrated(**changes: Any) -> dict[str, Any]:
    model = {
        "bias": -5.0,
        "similarity": 8.0,
        "margin": 3.0,
        "similarity_range": [0.1, 0.9],
        "margin_range": [0.0, 0.5],
    }
    answer = {
        "model": {**model, **changes.pop("model", {})},
        "accept": 0.9,
        "min_similarity": 0.4,
        "target": 0.95,
        "answers": 100,
        "right": 99,
        "precision_low": 0.953,
    }
    never = {**answer, "accept": None}
    return {
        "similarity": 0.4,
        "views": 3,
        "measured": "for a test",
        "calibration": {"sku": {**answer, **changes}, "levels": [never]},
    }


def test_a_calibrated_operating_point_survives_being_written(data: dict[str, Any]) -> None:
    data["decision"]["fp32"] = _calibrated()
    manifest = Manifest.model_validate(data)
    again = Manifest.model_validate_json(manifest.model_dump_json())
    assert again == manifest
    assert again.decision["fp32"].views == 3
    assert again.decision["fp32"].calibration is not None


def test_an_operating_point_of_before_calibration_still_loads(data: dict[str, Any]) -> None:
    data["decision"]["fp32"] = {
        "similarity": 0.6, "margin": 0.01, "category_similarity": None, "measured": "once"
    }  # fmt: skip
    point = Manifest.model_validate(data).decision["fp32"]
    assert (point.views, point.calibration) == (1, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accept": 1.2}, "accept"),
        ({"model": {"margin": -1.0}}, "model.margin"),
        ({"model": {"margin_range": [0.5, 0.0]}}, "margin_range must not decrease"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(
    data: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    data["decision"]["fp32"] = _calibrated(**changes)
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(data)
