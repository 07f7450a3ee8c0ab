from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.manifest import Preprocessing
from export.datasets import Dataset, Sample, read_folder
from export.embedding import normalised
from export.evaluate import Task, evaluate
from export.leaks import find_leaks, near_by_embedding
from export.towers import OpenTower

SPEC = Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize="stretch")


def _mean_colour(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(2, 3)) + 1e-3


COLOUR = OpenTower("mean colour", SPEC, _mean_colour)
CONSTANT = OpenTower("constant", SPEC, lambda images: np.ones((len(images), 4), np.float32))


@pytest.fixture(scope="module")
def skus(tmp_path_factory: pytest.TempPathFactory, write_skus) -> Dataset:
    root = write_skus(tmp_path_factory.mktemp("skus"), 8, 5)
    rows = [f"sku-{n:02d},f{n // 2},{'Food' if n < 4 else 'Drinks'},{n // 2}" for n in range(8)]
    (root / "skus.csv").write_text("sku_id,family,level1,level2\n" + "\n".join(rows) + "\n")
    return read_folder(root)


def _halves(skus: Dataset) -> tuple[Dataset, Dataset]:
    return skus.where(lambda s: s.clean), skus.where(lambda s: not s.clean)


def test_colours_are_told_apart_and_a_constant_is_not(skus: Dataset) -> None:
    task = Task("colours", "one-shot", *_halves(skus))
    good, blind = evaluate(COLOUR, task), evaluate(CONSTANT, task)
    assert good.top[1] == 1.0
    assert blind.top[1] == pytest.approx(1 / 8)
    assert blind.top[1] <= blind.top[3] <= blind.top[5]
    assert blind.ci95[0] < 1 / 8 < blind.ci95[1]


def test_the_row_has_the_agreed_keys_and_levels(skus: Dataset) -> None:
    row = evaluate(CONSTANT, Task("colours", "one-shot", *_halves(skus))).to_json()
    assert {"protocol", "gallery", "queries", "skus", "top1", "top3", "top5", "top1_ci95"} <= set(
        row
    )
    assert (row["gallery"], row["queries"], row["skus"]) == (8, 40, 8)
    assert row["levels"] == {"level1": 0.5, "level2": 0.25, "sku": 0.125}


def test_worst_skus_and_confusions_name_both_sides(skus: Dataset) -> None:
    result = evaluate(CONSTANT, Task("colours", "one-shot", *_halves(skus)))
    assert result.per_sku()[0][1:] == (5, 0.0)
    assert result.per_sku()[-1] == ("sku-00", 5, 1.0)
    assert {(answer, count) for _, answer, count in result.confusions()} == {("sku-00", 5)}


def test_leave_one_out_never_finds_its_own_photo_or_an_identical_file(tmp_path: Path) -> None:
    samples = []
    for name, label, photo, value in (
        ("a1", "a", "p1", 10), ("a2", "a", "p1", 12), ("a3", "a", "p2", 200),
        ("b1", "b", "p3", 14), ("b2", "b", "p4", 190), ("b3", "b", "p5", 14),
    ):  # fmt: skip
        path = tmp_path / f"{name}.png"
        pixels = np.full((8, 8, 3), value, np.uint8)
        cv2.imwrite(str(path), pixels)
        samples.append(Sample(path, label, photo))
    dataset = Dataset("set", tuple(samples))
    by_value = OpenTower(
        "value",
        SPEC,
        lambda x: normalised(
            np.stack([np.cos(x[:, 0, 0, 0]), np.sin(x[:, 0, 0, 0])], axis=1).astype(np.float32)
        ),
    )
    result = evaluate(by_value, Task("loo", "leave-one-out", dataset, dataset))
    # a1 would find a2 (same photo), b1 would find b3 (same bytes); both must look further
    assert not result.right[0]
    assert not result.right[3]


def test_a_query_that_stands_in_the_gallery_is_refused_unless_allowed(
    skus: Dataset, tmp_path: Path
) -> None:
    clean, photos = _halves(skus)
    copied = tmp_path / "copy.png"
    copied.write_bytes(clean.samples[0].path.read_bytes())
    queries = Dataset("q", (*photos.samples, Sample(copied, clean.samples[0].label, "x")))
    with pytest.raises(ConfigError, match=r"copy\.png"):
        evaluate(COLOUR, Task("colours", "split", clean, queries))
    allowed = evaluate(COLOUR, Task("t", "split", clean, queries), allow_leaks=True)
    assert allowed.leaks >= 1
    kinds = {(leak.query.name, leak.bits, leak.cosine is None) for leak in allowed.doubtful}
    assert ("copy.png", -1, True) in kinds
    assert any(leak.cosine is not None and leak.cosine > 0.995 for leak in allowed.doubtful)


def test_near_duplicates_are_found_and_other_pictures_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (120, 90))
    other = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (120, 90))
    cv2.imwrite(str(tmp_path / "a.png"), smooth)
    cv2.imwrite(str(tmp_path / "a.jpg"), cv2.resize(smooth, (100, 75)), [1, 60])
    cv2.imwrite(str(tmp_path / "b.png"), other)
    one, near, far = (Sample(tmp_path / n, "x", n) for n in ("a.png", "a.jpg", "b.png"))
    leaks = find_leaks([one], [near, far])
    assert [(leak.query.name, leak.bits >= 0) for leak in leaks] == [("a.jpg", True)]
    assert [leak.bits for leak in find_leaks([one], [one])] == [-1]
    same = np.array([[1.0, 0.0]], np.float32)
    turned = np.array([[0.999, 0.0447], [0.0, 1.0]], np.float32)
    suspects = near_by_embedding([one], [near, far], same, turned)
    assert [leak.query.name for leak in suspects] == ["a.jpg"]


def test_tasks_that_cannot_be_answered_are_refused(skus: Dataset) -> None:
    clean, photos = _halves(skus)
    with pytest.raises(ConfigError, match="not in the gallery: sku-00"):
        Task("t", "split", clean.without(["sku-00"]), photos)
    with pytest.raises(ConfigError, match="one gallery picture a SKU"):
        Task("t", "one-shot", photos, clean)
    with pytest.raises(ConfigError, match="two photos a SKU"):
        Task("t", "leave-one-out", clean, clean)


def test_levels_count_the_queries_whose_path_reaches_them(skus: Dataset) -> None:
    clean, photos = _halves(skus)

    def cut(data: Dataset) -> Dataset:
        short = ("sku-06", "sku-07")
        return replace(
            data,
            samples=tuple(
                replace(s, levels=s.levels[:1]) if s.label in short else s for s in data.samples
            ),
        )

    row = evaluate(CONSTANT, Task("colours", "one-shot", cut(clean), cut(photos))).to_json()
    # all are taken for sku-00: half are food, and of the six with a second level two are its kind
    assert row["levels"] == {"level1": 0.5, "level2": round(2 / 6, 4), "sku": 0.125}


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    whole = tmp_path / "whole.png"
    cv2.imwrite(str(whole), np.zeros((8, 8, 3), np.uint8))
    task = Task(
        "t", "split", Dataset("g", (Sample(whole, "a", "1"),)),
        Dataset("q", (Sample(broken, "a", "2"),)),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"broken\.jpg: not a readable image"):
        evaluate(COLOUR, task)
