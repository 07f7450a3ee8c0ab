from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from export.answering import best_answers
from export.answers import Answers, Labelled, answer, draw_in_turn, join
from export.calibration import calibrate, highest_target
from export.calibration_report import decide
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
    unknown = draw_in_turn(sorted(skus), 1 / 3, 3, rng)
    assert set().union(*unknown) == skus
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


def test_what_is_certified_holds_for_skus_and_what_is_expected_for_categories(
    draws: list[Answers],
) -> None:
    done = calibrate(draws, views=2, target=0.9, level_target=0.9, measured="for a test")
    calibration = done.point.calibration
    every = join(draws)
    level, _ = decide(calibration, every)
    accepted = level == every.depth
    right = every.right[accepted, -1]
    assert right.mean() >= 0.9
    assert calibration.sku.target == 0.9
    assert 0.9 <= calibration.sku.precision_low < right.mean()
    assert calibration.sku.answers == round(len(right) / len(draws))
    # whole paths and SKUs together are right as often as was asked for, if not at any one level
    whole = np.where(accepted, every.whole[:, 1], every.whole[:, 0])[level >= every.depth - 1]
    assert whole.mean() >= 0.9
    assert len({point.accept for point in calibration.levels}) == 1
    assert done.point.similarity == calibration.sku.min_similarity
    assert 0 < done.report["coverage"]["sku"] < 0.67
    assert json.loads(json.dumps(done.report)) == done.report


def test_a_classifier_tells_the_category_of_a_sku_that_is_not_enrolled() -> None:
    """A direction that all SKUs of a category share, under differences that are larger."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(40), 6)
    centres = 1.5 * rng.standard_normal((40, 24))
    centres[:, 0] = np.where(np.arange(40) % 2 == 0, 1.5, -1.5)
    vectors = centres[owner] + 0.2 * rng.standard_normal((len(owner), 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = Labelled(
        vectors.astype(np.float32),
        tuple(f"sku-{i:02d}" for i in owner.tolist()),
        tuple(("food", "even" if i % 2 == 0 else "odd") for i in owner.tolist()),
    )
    unknown = frozenset(f"sku-{i:02d}" for i in range(12))
    gallery, asked = store.of(frozenset(store.labels) - unknown), store.of(unknown)
    nearest = answer(gallery, asked, views=1, depth=2)
    learned = answer(gallery, asked, views=1, depth=2, ridge=0.5)
    assert np.array_equal(nearest.whole[:, 0], nearest.whole[:, 1])
    assert np.array_equal(learned.whole[:, 1], nearest.whole[:, 1])
    assert learned.whole[:, 0].mean() > nearest.whole[:, 0].mean() + 0.1
    assert np.array_equal(learned.right[:, -2], learned.whole[:, 0])
    assert not learned.agree.all()
    found = best_answers([(gallery, asked)] * 2, 1, 2)
    assert (found.views, found.ridge) == (1, 1.0)


def test_a_higher_target_costs_coverage(draws: list[Answers]) -> None:
    shares = []
    for target in (0.7, 0.8, 0.9):
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
    with pytest.raises(ConfigError, match=r"about 24 SKUs do not suffice; .*% can be certified"):
        calibrate(wrong, views=1, target=0.99, level_target=0.9, measured="for a test")
    assert highest_target(wrong) is not None
    assert highest_target(wrong) < 0.9


def _mixed(store: Labelled, skus: list[str]) -> Labelled:
    """The pictures of these SKUs replaced by others."""
    theirs = np.isin(store.labels, skus)[:, None]
    vectors = np.where(theirs, store.vectors[::-1], store.vectors)
    return Labelled(vectors, store.labels, store.paths)


def test_a_split_asks_for_nothing_that_it_calibrated_on() -> None:
    gallery, queries = _halves(_store())
    one = run_split(gallery, queries, OpenSetOptions(level_target=0.9, draws=2), seed=3)
    row = one.to_json()
    assert one.outcome is not None
    asked = set(one.outcome.answers.labels)
    assert len(asked) == 12
    assert row["target"] >= 0.7
    assert row["precision_ci95"][0] <= row["precision"] <= row["precision_ci95"][1]
    assert row["coverage"] > 0.2
    assert row["fnir"] < 1
    assert row["queries"] == 12 * 20
    shares = [part["share"] for part in row["answered_at"].values()]
    assert sum(shares) + row["unknown"] == pytest.approx(1, abs=1e-3)
    # other pictures asked of them, and others of the SKUs left out, change nothing in the point
    answers = one.outcome.answers
    left_out = sorted(
        {x for x, known in zip(answers.labels, answers.known, strict=True) if not known}
    )
    assert len(left_out) == 4
    strange = _mixed(gallery, left_out), _mixed(queries, sorted(asked))
    again = run_split(*strange, OpenSetOptions(level_target=0.9, draws=2), seed=3)
    assert again.point == one.point
    assert again.outcome.to_json() != one.outcome.to_json()


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
