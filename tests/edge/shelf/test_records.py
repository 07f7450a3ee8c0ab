from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.shelf.records import from_line, read_records, to_line
from edge.types import FrameResult
from tests.edge.shelf.results import TAKEN, result


def test_a_line_has_the_agreed_keys() -> None:
    record = json.loads(to_line(result(["a", None], source="x/ü 牛.jpg", index=3)))
    assert list(record) == [
        "source", "index", "captured_at", "width", "height", "scale", "provider", "bundle_id",
        "gallery_version", "detections", "timings_ms",
    ]  # fmt: skip
    assert (record["source"], record["index"], record["width"]) == ("x/ü 牛.jpg", 3, 400)
    assert datetime.fromisoformat(record["captured_at"]) == TAKEN
    assert record["timings_ms"] == {"detect": 12.346, "embed": 4.0}
    assert record["detections"] == [
        {
            "xyxy": [0.0, 10.0, 20.0, 90.0],
            "confidence": 0.9,
            "sku_id": "a",
            "category": [],
            "similarity": 0.8,
            "margin": 0.12346,
            "probability": None,
            "top": [{"sku_id": "a", "similarity": 0.8}],
        },
        {
            "xyxy": [20.0, 10.0, 40.0, 90.0],
            "confidence": 0.5,
            "sku_id": None,
            "category": ["Food"],
            "similarity": 0.4,
            "margin": 0.12346,
            "probability": None,
            "top": [{"sku_id": "a", "similarity": 0.8}],
        },
    ]


def same(a: FrameResult, b: FrameResult) -> None:
    for name in ("source", "index", "captured_at", "size_wh", "scale", "provider", "bundle_id"):
        assert getattr(a, name) == getattr(b, name)
    np.testing.assert_allclose(a.detections.xyxy, b.detections.xyxy, atol=0.006)
    np.testing.assert_allclose(a.detections.confidence, b.detections.confidence, atol=1e-5)
    for name in ("similarity", "margin", "probability"):
        np.testing.assert_allclose(getattr(a.matches, name), getattr(b.matches, name), atol=1e-5)
    assert a.matches.sku_id == b.matches.sku_id
    assert a.matches.category == b.matches.category


@pytest.mark.parametrize("skus", [[], ["a"], ["a", None, "b\n", 'q"'], [None] * 5])
def test_round_trip(skus: list[str | None]) -> None:
    line = to_line(result(skus, widths=[10.123 + i for i in range(len(skus))]))
    assert "\n" not in line
    again = from_line(line, "here")
    same(again, result(skus, widths=[10.123 + i for i in range(len(skus))]))
    assert to_line(again) == line


def test_numbers_that_are_not_finite_are_null() -> None:
    first = result([None])
    first.matches.similarity[:] = -math.inf
    first.matches.margin[:] = math.nan
    line = to_line(first)
    for word in ("Infinity", "NaN"):
        assert word not in line
    again = from_line(line, "here").matches
    assert np.isneginf(again.similarity).all()
    assert np.isnan(again.margin).all()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not a line of JSON"),
        ("[]", "not a frame result"),
        ("{}", "no value for 'detections'"),
        ('{"detections": [{}]}', "no value for"),
        (to_line(result(["a"])).replace("+00:00", ""), "no time zone"),
        (to_line(result(["a"])).replace("20.0,90.0", "20.0"), "not a frame result"),
        (to_line(result(["a"])).replace('"index":0', '"index":null'), "not a frame result"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(to_line(result(["a"])) + "\n\n" + line + "\n")
    records = read_records(path)
    next(records)
    with pytest.raises(ConfigError, match=rf"results\.jsonl:3: .*{why}") as caught:
        next(records)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.jsonl: cannot be read"):
        list(read_records(tmp_path / "none.jsonl"))
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        list(read_records(tmp_path / "x.jsonl"))
