from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from export.answers import Answers, Labelled, answer, draw
from export.calibration import calibrate, decide, highest_target
from export.intervals import lower_limit
from export.open_set import OpenSetOptions, run_calibrated, run_split
from export.open_set_report import summarise


def _store(seed: int = 0, skus: int = 24, each: int = 24, noise: float = 0.15) -> Labelled:
    """Clusters on a sphere: SKUs of a category lie together, categories apart."""
    rng = np.random.default_rng(seed)
    families = rng.standard_normal((skus // 4, 16))
    centres = np.repeat(families, 4, axis=0) + 0.9 * rng.standard_normal((skus, 16))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    owner = np.repeat(np.arange(skus), each)
    vectors = centres[owner] + noise * rng.standard_normal((len(owner), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(f"sku-{i:02d}" for i in owner.tolist())
    paths = tuple(("food", f"shelf-{i // 8}", f"kind-{i // 4}") for i in owner.tolist())
    return Labelled(vectors.astype(np.float32), labels, paths)


def _halves(store: Labelled) -> tuple[Labelled, Labelled]:
    place = np.arange(len(store.labels)) % 24
    return store.where(place < 4), store.where(place >= 4)


@pytest.fixture(scope="module")
def draws() -> list[Answers]:
    gallery, queries = _halves(_store())
    skus = frozenset(gallery.labels)
    rng = np.random.default_rng(1)
    unknown = [draw(sorted(skus), 1 / 3, rng) for _ in range(3)]
    return [answer(gallery.of(skus - u), queries, views=2, depth=3) for u in unknown]


def test_answers_know_what_is_right_at_each_level(draws: list[Answers]) -> None:
    one = draws[0]
    assert one.depth == 3
    assert 0.6 < one.known.mean() < 0.72
    assert not one.right[~one.known, -1].any()
    # who is right about the SKU is right about its categories; all is food
    assert np.all(one.right[:, :-1] >= one.right[:, -1:])
    assert one.right[:, 0].all()
    # an unknown SKU's sisters give its kind away
    assert one.right[~one.known, 2].mean() > 0.4


def test_what_is_certified_holds_in_every_draw(draws: list[Answers]) -> None:
    done = calibrate(draws, views=2, target=0.97, level_target=0.9, measured="for a test")
    calibration = done.point.calibration
    points = [*calibration.levels, calibration.sku]
    for one in draws:
        level, _ = decide(calibration, one)
        for number, point in enumerate(points):
            if point.accept is None:
                continue
            reached = np.isfinite(one.margins[:, number]) & (level >= number)
            right, count = int(one.right[reached, number].sum()), int(reached.sum())
            assert lower_limit(right, count) >= point.target - 1e-9
            assert lower_limit(right, count) >= point.precision_low - 1e-9
    assert calibration.sku.target == 0.97
    assert done.point.similarity == calibration.sku.min_similarity
    assert 0 < done.report["coverage"]["sku"] < 0.67
    by_sku = done.report["reliability"][-1]["precision_ci95_resampling_skus"]
    assert by_sku[0] < calibration.sku.right / calibration.sku.answers <= 1
    assert json.loads(json.dumps(done.report)) == done.report


def test_a_higher_target_costs_coverage(draws: list[Answers]) -> None:
    shares = []
    for target in (0.8, 0.9, 0.97):
        done = calibrate(draws, views=2, target=target, level_target=0.9, measured="for a test")
        shares.append(done.report["coverage"]["sku"])
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_a_target_that_so_few_answers_cannot_certify_is_refused(draws: list[Answers]) -> None:
    few = [one.where(np.arange(len(one.labels)) % 8 == 0) for one in draws]
    with pytest.raises(ConfigError, match=r"at least 299 accepted answers .* give \d+ answers"):
        calibrate(few, views=1, target=0.99, level_target=0.9, measured="for a test")
    wrong = [
        replace(one, right=one.right & (np.arange(len(one.labels)) % 9 > 0)[:, None])
        for one in draws
    ]
    with pytest.raises(ConfigError, match=r"then one is wrong; .*% can be certified"):
        calibrate(wrong, views=1, target=0.99, level_target=0.9, measured="for a test")
    assert highest_target(wrong) is not None
    assert highest_target(wrong) < 0.9


def test_a_split_asks_for_nothing_that_it_calibrated_on() -> None:
    gallery, queries = _halves(_store())
    one = run_split(gallery, queries, OpenSetOptions(level_target=0.9, draws=2), seed=3)
    row = one.to_json()
    assert one.outcome is not None
    asked = set(one.outcome.answers.labels)
    assert len(asked) == 12
    assert row["target"] >= 0.9
    assert row["precision_ci95"][0] <= row["precision"] <= row["precision_ci95"][1]
    assert row["coverage"] > 0.2
    assert row["fnir"] < 1
    assert row["queries"] == 12 * 20
    shares = [part["share"] for part in row["answered_at"].values()]
    assert sum(shares) + row["unknown"] == pytest.approx(1, abs=1e-3)
    # a half's own pictures decide: other pictures of the SKUs asked change nothing in its point
    theirs = np.isin(gallery.labels, sorted(asked))[:, None]
    vectors = np.where(theirs, gallery.vectors[::-1], gallery.vectors)
    strange = Labelled(vectors, gallery.labels, gallery.paths)
    again = run_split(strange, queries, OpenSetOptions(level_target=0.9, draws=2), seed=3)
    assert again.point == one.point


def test_splits_are_summarised() -> None:
    gallery, queries = _halves(_store())
    options = OpenSetOptions(level_target=0.9, draws=2)
    splits = [run_split(gallery, queries, options, seed) for seed in range(3)]
    report = summarise(splits)
    assert (report["splits"], report["certified"]) == (3, 3)
    assert report["pooled_precision"] > 0.9
    assert report["mean"]["class_or_deeper"] >= report["mean"]["coverage"]
    assert json.loads(json.dumps(report)) == report


def test_an_operating_point_from_elsewhere_is_judged() -> None:
    gallery, queries = _halves(_store())
    options = OpenSetOptions(level_target=0.9, draws=2)
    point = run_split(gallery, queries, options, seed=0).point
    other = _halves(_store(seed=5))
    row = run_calibrated(*other, point, options, seed=1).to_json()
    assert row["target"] == point.calibration.sku.target
    assert row["known"] == 16 * 20


def test_too_few_skus_or_odd_options_are_refused() -> None:
    gallery, queries = _halves(_store(skus=4))
    with pytest.raises(ConfigError, match="8 SKUs or more"):
        run_split(gallery, queries, OpenSetOptions(), seed=0)
    with pytest.raises(ConfigError, match="unknown_share"):
        OpenSetOptions(unknown_share=1.0)
    with pytest.raises(ConfigError, match="level_target"):
        OpenSetOptions(level_target=1.5)


def test_no_target_at_all_is_said_and_not_hidden(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = _store()
    noise = rng.standard_normal(store.vectors.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    gallery, queries = _halves(Labelled(noise, store.labels, store.paths))
    split = run_split(gallery, queries, OpenSetOptions(draws=2), seed=0)
    assert (split.point, split.outcome) == (None, None)
    report = summarise([split])
    assert (report["certified"], report["pooled_precision"]) == (0, None)
