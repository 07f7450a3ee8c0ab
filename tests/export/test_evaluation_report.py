from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import OutputError
from edge.manifest import Preprocessing
from export.datasets import read_folder
from export.evaluate import Evaluation, Task, evaluate
from export.evaluation_report import (
    CELL_PX,
    confusion_sheet,
    write_open_set,
    write_report,
)
from export.metrics import open_set_curve
from export.towers import OpenTower

SPEC = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize="stretch")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, write_skus) -> list[Evaluation]:
    skus = read_folder(write_skus(tmp_path_factory.mktemp("skus"), 4, 3))
    task = Task(
        "fronts", "one-shot", skus.where(lambda s: s.clean), skus.where(lambda s: not s.clean)
    )
    colour = OpenTower("colour", SPEC, lambda x: x.mean(axis=(2, 3)) + 1e-3)
    blind = OpenTower("blind", SPEC, lambda x: np.ones((len(x), 4), np.float32))
    return [evaluate(tower, task) for tower in (colour, blind)]


def test_table_and_json_say_the_same(results: list[Evaluation], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_report(results, tmp_path)
    rows = json.loads((tmp_path / "evaluation.json").read_text())
    table = list(csv.DictReader((tmp_path / "evaluation.csv").open()))
    assert [row["top1"] for row in rows] == [1.0, 0.25]
    assert [float(row["top1"]) for row in table] == [1.0, 0.25]
    assert [row["tower"] for row in table] == ["colour", "blind"]
    per_sku = list(csv.DictReader((tmp_path / "per_sku.csv").open()))
    assert len(per_sku) == 8
    assert cv2.imread(str(tmp_path / "evaluation.png")).shape[0] > 200


def test_confusions_are_drawn_where_there_are_any(results: list[Evaluation]) -> None:
    assert confusion_sheet(results[0]) is None
    sheet = confusion_sheet(results[1], rows=2, columns=4)
    assert sheet is not None
    assert sheet.shape == (2 * CELL_PX, 4 * CELL_PX, 3)


def test_open_set_curves_are_written_for_each_tower(
    results: list[Evaluation], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    known, unknown = (rng.random(50).astype(np.float32) for _ in range(2))
    curve = open_set_curve(known, known > 0.3, unknown, points=11)
    write_open_set({"one": curve, "two": curve}, tmp_path)
    rows = list(csv.DictReader((tmp_path / "open_set.csv").open()))
    assert [row["tower"] for row in rows] == ["one"] * 11 + ["two"] * 11
    assert float(rows[0]["fpir"]) == 1.0
    assert cv2.imread(str(tmp_path / "open_set.png")).shape[0] > 200


def test_a_report_that_cannot_be_written_says_where(
    results: list[Evaluation], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_report(results, tmp_path / "file" / "out")
