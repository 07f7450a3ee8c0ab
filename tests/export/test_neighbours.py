from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from export.neighbours import Alike, group, mine, neighbours, write_groups
from export.tasks import open_dataset
from export.towers import OpenTower
from export.views import LabelledPhoto
from tests.factories import preprocessing, write_picture

RED, BLUE, PINK = (220, 20, 20), (20, 20, 220), (230, 70, 70)


def _centred_colour(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(2, 3)) + np.float32(1e-3)


TOWER = OpenTower("colour", preprocessing(), _centred_colour)


def _shelf(folder: Path, row: list[tuple[int, int, int]], name: str = "a") -> LabelledPhoto:
    """One row of 40 x 60 facings, touching one another."""
    image = np.zeros((100, 50 * len(row) + 20, 3), np.uint8)
    boxes = []
    for i, colour in enumerate(row):
        x = 10 + 42 * i
        image[20:80, x : x + 40] = colour
        boxes.append([x, 20, x + 40, 80])
    path = write_picture(folder / f"{name}.png", image)
    return LabelledPhoto(path, np.array(boxes, np.float32), (image.shape[1], 100))


def test_only_equal_boxes_side_by_side_are_neighbours() -> None:
    boxes = np.array(
        [
            [0, 0, 40, 60],
            [42, 2, 82, 62],  # beside the first
            [84, 0, 154, 60],  # beside, but wider
            [0, 70, 40, 130],  # the row below
            [130, 70, 170, 130],  # too far away
            [172, 70, 180, 78],  # tiny
        ],
        np.float32,
    )
    assert neighbours(boxes).tolist() == [[0, 1]]
    assert neighbours(np.zeros((0, 4), np.float32)).shape == (0, 2)


def test_identical_neighbours_are_grouped_and_join_across_a_gap(tmp_path: Path) -> None:
    photo = _shelf(tmp_path, [RED, RED, BLUE, BLUE, BLUE, RED, RED])
    groups = mine(photo, TOWER, Alike())
    found = sorted(sorted(g.xyxy[:, 0].tolist()) for g in groups)
    assert [len(g) for g in found] == [4, 3]
    assert found[1] == [10 + 42 * i for i in (2, 3, 4)]


def test_what_may_be_the_same_product_is_left_out(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0.75, 0.66], [0.75, 0.66]], np.float32)
    pairs = np.array([[0, 1], [1, 2], [3, 4]])
    assert [g.tolist() for g in group(pairs, vectors, Alike())] == [[0, 1, 2]]
    assert [g.tolist() for g in group(pairs, vectors, Alike(0.9, 0.8))] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ConfigError, match="must lie below"):
        Alike(0.5, 0.6)


def test_the_groups_are_a_training_source(tmp_path: Path) -> None:
    photos = [
        _shelf(tmp_path, [RED, RED, BLUE, BLUE], "a"),
        _shelf(tmp_path, [BLUE, BLUE, BLUE], "b"),
        _shelf(tmp_path, [RED, BLUE, RED], "c"),
    ]
    assert write_groups(photos, TOWER, tmp_path / "out") == (3, 7)
    dataset = open_dataset(str(tmp_path / "out" / "crops.csv"))
    assert sorted(dataset.counts().values()) == [2, 2, 3]
    assert {s.family for s in dataset.samples} == {"a", "b"}
    assert all(s.path.is_file() for s in dataset.samples)
    with pytest.raises(ConfigError, match="no identical neighbours found in 1 photos"):
        write_groups(photos[2:], TOWER, tmp_path / "none")


def test_the_command_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from export.cli import app

    _shelf(tmp_path / "images", [RED, RED, BLUE])
    (tmp_path / "labels").mkdir()
    width = 170.0
    rows = [f"0 {(10 + 42 * i + 20) / width} 0.5 {40 / width} 0.6" for i in range(3)]
    (tmp_path / "labels" / "a.txt").write_text("\n".join(rows))
    monkeypatch.setattr("export.towers.open_tower", lambda name, threads=None: TOWER)
    out = tmp_path / "out"
    call = ["neighbours", str(tmp_path), "--tower", "x", "--out", str(out), "--json"]
    app(call, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told == {"photos": 1, "groups": 1, "crops": 2, "path": str(out / "crops.csv")}
    with pytest.raises(ConfigError, match="no identical neighbours"):
        app([*call, "--min-side", "41"], standalone_mode=False)


def test_photos_kept_out_are_a_validation_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from export.cli import app

    photos = [
        _shelf(tmp_path, [RED, RED, BLUE, BLUE, BLUE, BLUE], "a"),
        _shelf(tmp_path, [BLUE, BLUE, RED, RED, RED, RED], "b"),
        _shelf(tmp_path, [RED, BLUE, RED, RED], "c"),
    ]
    monkeypatch.setattr("export.towers.open_tower", lambda name, threads=None: TOWER)
    monkeypatch.setattr("export.views.read_yolo_folder", lambda folder, limit=None: photos)
    out = tmp_path / "out"
    call = ["neighbours", "x", "--tower", "x", "--out", str(out), "--keep-out", "0.4"]
    app([*call, "--seed", "1"], standalone_mode=False)
    assert "kept out" in capsys.readouterr().out
    training, gallery, queries = (
        open_dataset(str(out / f"{name}.csv")) for name in ("crops", "gallery", "queries")
    )
    assert {s.family for s in training.samples} | {s.family for s in gallery.samples} == set("abc")
    assert not {s.family for s in training.samples} & {s.family for s in gallery.samples}
    assert set(gallery.counts().values()) == {1}
    assert set(queries.labels) <= set(gallery.labels)
    assert max(queries.counts().values()) <= 2
    altered = {s.path.name: s.path.read_bytes() for s in queries.samples}
    assert all(name.startswith("query-") for name in altered)
    assert (
        altered[queries.samples[0].path.name]
        != (out / queries.samples[0].path.name.removeprefix("query-")).read_bytes()
    )
    app([*call, "--seed", "1", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["queries"] == len(queries.samples)
    assert {s.path.name: s.path.read_bytes() for s in queries.samples} == altered
    with pytest.raises(ConfigError, match=r"share of 0.1 of \d photos leaves none"):
        app([*call[:-1], "0.1"], standalone_mode=False)
