"""The written store: complete, readable, and atomic a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, OutputError
from export.scenes import writer
from export.scenes.catalog import build_catalog
from export.scenes.words import LOCALES


def _write(out: Path, progress: writer.Progress | None = None) -> None:
    writer.write_store(
        out,
        seed=2,
        split="test",
        skus=6,
        photos=2,
        size_wh=(320, 240),
        facings=(6, 12),
        front_px=64,
        yolo_labels=True,
        progress=progress,
    )


def test_a_store_is_complete_and_readable(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    _write(tmp_path / "store", lambda done, total: steps.append((done, total)))
    out = tmp_path / "store"
    skus = build_catalog(seed=2, split="test", skus=6).skus

    assert steps == [(done, 8) for done in range(1, 9)]
    assert {path.stem for path in (out / "fronts").iterdir()} == {sku.sku_id for sku in skus}
    assert cv2.imread(str(out / "fronts" / f"{skus[0].sku_id}.jpg")).shape[0] == 64
    with (out / "skus.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sku_id"] for row in rows] == [sku.sku_id for sku in skus]
    assert rows[0]["category"].count(" > ") == 3
    assert all(rows[0][f"name_{locale}"] for locale in LOCALES)
    records = [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]
    assert [record["photo"] for record in records] == ["photos/0000.jpg", "photos/0001.jpg"]
    for record in records:
        image = cv2.imread(str(out / record["photo"]))
        assert image.shape[:2] == (record["height"], record["width"])
        assert {facing["sku_id"] for facing in record["facings"]} <= {sku.sku_id for sku in skus}
        assert set(record["facings"][0]) == {"xyxy", "sku_id", "slot", "row"}


def test_yolo_labels_say_the_same_as_the_truth(tmp_path: Path) -> None:
    _write(tmp_path)
    for line in (tmp_path / "truth.jsonl").read_text().splitlines():
        record = json.loads(line)
        boxes = np.array([facing["xyxy"] for facing in record["facings"]])
        name = Path(record["photo"]).stem
        labels = np.loadtxt(tmp_path / "labels" / f"{name}.txt", ndmin=2)
        size = np.array([record["width"], record["height"]])
        centre, extent = labels[:, 1:3] * size, labels[:, 3:] * size
        back = np.concatenate([centre - extent / 2, centre + extent / 2], axis=1)
        assert (labels[:, 0] == 0).all()
        np.testing.assert_allclose(back, boxes, atol=0.01)


def test_the_same_arguments_write_the_same_files(tmp_path: Path) -> None:
    _write(tmp_path / "one")
    _write(tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))

    assert len(files) == 6 + 2 + 2 + 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_work_that_breaks_off_leaves_no_half_file(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path, stop)

    assert len(list((tmp_path / "fronts").iterdir())) == 4
    assert all(cv2.imread(str(path)) is not None for path in (tmp_path / "fronts").iterdir())
    assert not (tmp_path / "truth.jsonl").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(OutputError, match="taken"):
        _write(tmp_path / "taken")


def test_a_negative_number_of_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="photos must be at least 0, got -1"):
        writer.write_store(tmp_path, seed=0, split="demo", photos=-1)
