from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.gallery.category_ridge import CategoryRidge
from edge.gallery.gallery import Gallery
from edge.gallery.live import LiveGallery
from edge.gallery.matcher import Matcher
from edge.gallery.records import Sku
from edge.gallery.store import GalleryStore
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.types import Embeddings, Neighbors

PATHS = (("food", "dairy", "milk"), ("food", "dairy", "milk"), ("food", "juice"), (), ("home",))
VECTORS = np.eye(5, 8, dtype=np.float32)
OWNER = np.arange(5, dtype=np.int32)
MODEL = ProbabilityModel(
    bias=-1.0, similarity=0.0, margin=8.0, similarity_range=(0, 1), margin_range=(0, 2)
)
POINT = AnswerPoint(
    model=MODEL, accept=0.6, min_similarity=-1.0, target=0.9, answers=50, right=50,
    precision_low=0.94,
)  # fmt: skip


def _ridge() -> CategoryRidge:
    return CategoryRidge.fit(VECTORS, OWNER, PATHS, 3, 0.1)


def test_the_path_and_its_margins() -> None:
    ridge = _ridge()
    assert set(ridge.paths) == {("food", "dairy", "milk"), ("food", "juice"), ("home",)}
    # halfway between two SKUs of one category, at the juice, at the soap
    asked = np.stack([VECTORS[:2].sum(0) / np.sqrt(2), VECTORS[2], VECTORS[4]])
    best, margins = ridge.margins(asked.astype(np.float32))
    assert [ridge.paths[i] for i in best] == [PATHS[0], PATHS[2], PATHS[4]]
    assert np.isnan(margins).tolist() == [[False] * 3, [False, False, True], [False, True, True]]
    assert np.nanmin(margins) > 0
    # juice is the next to milk, or soap: both are outside of dairy, only soap outside of food
    assert margins[0, 0] >= margins[0, 1] == margins[0, 2]


def test_a_sku_weighs_the_same_however_many_pictures_it_has() -> None:
    again = np.concatenate([np.arange(5), [2] * 9])
    many = CategoryRidge.fit(VECTORS[again], OWNER[again], PATHS, 3, 0.1)
    assert np.allclose(many.weights, _ridge().weights, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 3])
def test_without_categories_there_is_no_answer(rows: int) -> None:
    ridge = CategoryRidge.fit(VECTORS[:rows], OWNER[:rows], [()] * 5, 2, 0.1)
    best, margins = ridge.margins(VECTORS)
    assert (best == -1).all()
    assert margins.shape == (5, 2)
    assert np.isnan(margins).all()


def test_the_decision_tells_the_category_that_was_learned() -> None:
    calibration = Calibration(sku=POINT, levels=(POINT,) * 3, category_ridge=0.1)
    point = OperatingPoint(similarity=0.0, measured="for a test", calibration=calibration)
    matcher = Matcher("abcde", PATHS, np.arange(5), OWNER, point, ridge=_ridge())
    near = Neighbors(
        np.array([[0, 1, 2], [2, 0, 4], [0, 1, 2]]),
        np.array([[0.7, 0.69, 0.1], [0.9, 0.1, 0.1], [0.7, 0.69, 0.6]], np.float32),
    )
    asked = np.stack([VECTORS[0] + VECTORS[1], VECTORS[2], VECTORS[2] + 0.1 * VECTORS[0]])
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    made = matcher.match(near, asked)
    # milk of two kinds; a SKU; and where the nearest SKUs are milk, but the classifier says juice
    assert made.sku_id == (None, "c", None)
    assert made.category == (PATHS[0], PATHS[2], PATHS[2])
    with pytest.raises(ValueError, match="needs the vectors"):
        matcher.match(near)
    with pytest.raises(ValueError, match="classifier is needed"):
        Matcher("abcde", PATHS, np.arange(5), OWNER, point)
    plain = point.model_copy(update={"calibration": None})
    with pytest.raises(ValueError, match="classifier is needed"):
        Matcher("abcde", PATHS, np.arange(5), OWNER, plain, ridge=_ridge())


def test_a_gallery_learns_again_what_is_enrolled_while_it_is_open(
    small: Path, unit, new_reference
) -> None:
    calibration = Calibration(sku=POINT, levels=(POINT,) * 3, category_ridge=0.1)
    never = calibration.sku.model_copy(update={"accept": None})
    point = OperatingPoint(
        similarity=0.0,
        measured="for a test",
        calibration=calibration.model_copy(update={"sku": never}),
    )
    live = LiveGallery.open(small)
    asked = Embeddings(unit(3, 8, 1), live.current.tower)
    before = live.current.match(asked, live.current.matcher(point))
    assert [path[-1] for path in before.category] == ["cream", "milk", "cream"]
    with GalleryStore.open(small, read_only=False) as store:
        store.add_sku(Sku("d", category=("home", "soap")))
        store.add_references([new_reference("d", v) for v in unit(2, 8, 9)])
    assert live.refresh()
    soap = Embeddings(unit(2, 8, 9), live.current.tower)
    after = live.current.match(soap, live.current.matcher(point))
    assert after.category == (("home", "soap"),) * 2
    assert not np.isnan(after.probability).any()
    live.close()


def test_an_empty_gallery_has_nothing_to_learn_from(tmp_path: Path, unit) -> None:
    calibration = Calibration(sku=POINT, levels=(POINT,) * 2, category_ridge=0.1)
    point = OperatingPoint(similarity=0.0, measured="for a test", calibration=calibration)
    with GalleryStore.create(tmp_path / "g.db", tower="0123456789abcdef", dim=8, precision="fp32"):
        pass
    gallery = Gallery.open(tmp_path / "g.db")
    made = gallery.match(Embeddings(unit(2, 8, 0), gallery.tower), gallery.matcher(point))
    assert (made.sku_id, made.category) == ((None, None), ((), ()))


def test_what_differs_between_pictures_of_one_sku_tells_no_category() -> None:
    """Light: every SKU was seen bright and dark, but most of the juice's pictures are dark."""
    rng = np.random.default_rng(0)
    kind, light = np.eye(6, dtype=np.float32)[:2]
    vectors, owner = [], []
    for sku in range(8):
        sign = 1 if sku % 2 else -1
        for shade in (-1, 1):
            noise = 0.05 * rng.standard_normal(6)
            vectors.append(0.4 * sign * kind + (0.8 * shade + 0.3 * sign) * light + noise)
            owner.append(sku)
    paths = [("juice",) if sku % 2 else ("milk",) for sku in range(8)]
    given = np.array(vectors, np.float32), np.array(owner)
    ridge = CategoryRidge.fit(*given, paths, 1, 2.0)
    telling, fooling = np.abs(ridge.weights[:2, 0])
    assert telling > 4 * fooling
    # a dark juice is a juice
    best, _ = ridge.margins((0.4 * kind - 0.5 * light)[None])
    assert ridge.paths[int(best[0])] == ("juice",)
