from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import bundle as bundle_module
from edge import demo
from edge.bundle import Bundle
from edge.demo import pair_boxes, run_demo
from edge.types import F32
from tests.factories import SHELF, boxes_of, squares, write_fronts, write_picture

NAMES = ("red", "red", "green", "blue", "yellow", "white")


def boxes(*rows: tuple[float, float, float, float]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_pairs_are_made_best_first_and_once() -> None:
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60))
    truth = boxes((1, 0, 11, 10), (0, 0, 10, 10), (90, 90, 99, 99))
    assert sorted(pair_boxes(found, truth)) == [(0, 1), (1, 0)]
    assert pair_boxes(found, boxes((0, 0, 4, 10))) == []
    assert pair_boxes(boxes(), truth) == []
    assert pair_boxes(found, boxes()) == []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_a_picture_of_itself_is_paired_whole(corners: list[tuple[int, int]]) -> None:
    xyxy = boxes(*((x, y, x + 8, y + 8) for x, y in corners))
    pairs = pair_boxes(xyxy, xyxy)
    assert len(pairs) == len(xyxy)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(xyxy)


@pytest.fixture
def tiny_sample(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample of kilobytes in place of the embedded one, with the tiny bundle as the default."""
    sample = tmp_path / "sample"
    write_fronts(sample / "fronts")
    write_picture(sample / "shelf.jpg", squares(SHELF))
    facings = [
        {"xyxy": box.tolist(), "sku_id": name}
        for box, name in zip(boxes_of(SHELF), NAMES, strict=True)
    ]
    facings.append({"xyxy": [0, 0, 20, 20], "sku_id": "red"})  # one that nobody can see
    (sample / "truth.json").write_text(json.dumps({"facings": facings}))
    monkeypatch.setattr(demo, "SAMPLE", sample)
    monkeypatch.setattr(bundle_module, "default_path", lambda: tiny_bundle)
    return sample


@pytest.mark.usefixtures("tiny_sample")
def test_a_demo_is_scored_against_its_truth(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "out", provider="cpu")
    assert (result.truth, result.found, result.right) == (7, 6, 5)
    about = result.to_json()
    assert about["truth"] == {"facings": 7, "found": 6, "right_sku": 5, "accuracy": 0.7143}
    assert (
        about["facings"] == json.loads((tmp_path / "out" / "summary.json").read_text())["facings"]
    )
    text = result.to_text()
    assert "5 facings of 4 SKUs, 1 unknown" in text
    assert "7 facings, 6 found, 5 with the right SKU (71.4%)" in text
    assert str(tmp_path / "out" / "report.html") in text
    for line in text.splitlines():
        if line.startswith(("report: ", "picture: ")):
            assert Path(line.split(": ", 1)[1]).is_file()


@pytest.mark.usefixtures("tiny_sample")
def test_a_demo_can_be_run_again(tmp_path: Path) -> None:
    first = run_demo(tmp_path / "out", provider="cpu")
    second = run_demo(tmp_path / "out", provider="cpu")
    assert first.right == second.right
    assert Bundle.default().manifest.name == "tiny"
