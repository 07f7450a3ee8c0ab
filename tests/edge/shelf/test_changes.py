"""The parts of the shelf memory one by one: association, light, regions, evidence, votes, shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge import geometry
from edge.shelf.association import associate, uncovered
from edge.shelf.block_shares import BlockShares
from edge.shelf.evidence import measure
from edge.shelf.light import LightMatch
from edge.shelf.occlusion import Occlusion
from edge.shelf.registration import estimate_shift, shifted
from edge.shelf.slot import Votes
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32

boxes = st.lists(
    st.tuples(*(st.integers(0, 60) for _ in range(2)), *(st.integers(4, 30) for _ in range(2))),
    max_size=8,
).map(
    lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)
)


def greedy(slots: F32, found: F32, least: float) -> list[int]:
    """A pair at a time, best first."""
    overlap = geometry.iou(slots, found)
    partner = [-1] * len(slots)
    while overlap.size and overlap.max() >= least:
        slot, index = np.unravel_index(overlap.argmax(), overlap.shape)
        partner[int(slot)] = int(index)
        overlap[slot] = overlap[:, index] = -1
    return partner


@given(boxes, boxes)
@settings(max_examples=60, deadline=None)
def test_association_is_greedy_by_overlap(slots: F32, found: F32) -> None:
    partner = associate(slots, found, np.full(len(slots), 0.3, np.float32)).tolist()
    taken = [p for p in partner if p >= 0]
    assert len(taken) == len(set(taken))
    overlap = geometry.iou(slots, found)
    values = sorted(float(overlap[i, p]) for i, p in enumerate(partner) if p >= 0)
    plain = greedy(slots, found, 0.3)
    # ties may pair otherwise, at the same overlap
    assert values == pytest.approx(
        sorted(float(overlap[i, p]) for i, p in enumerate(plain) if p >= 0), abs=0.2
    )
    for slot, p in enumerate(partner):
        free = [k for k in range(len(found)) if k not in taken]
        assert p >= 0 or all(overlap[slot, k] < 0.3 for k in free)


def test_a_detection_inside_a_slot_is_covered() -> None:
    slots = np.array([[0, 0, 40, 40]], np.float32)
    found = np.array([[5, 5, 20, 20], [30, 0, 70, 40], [60, 60, 80, 80]], np.float32)
    assert uncovered(found, slots, 0.5).tolist() == [1, 2]
    assert uncovered(found, np.zeros((0, 4), np.float32), 0.5).tolist() == [0, 1, 2]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_shares_are_means_of_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((12, 17)) < 0.3
    blocks = [
        (slice(0, 3), slice(2, 9)),
        (slice(11, 12), slice(16, 17)),
        (slice(0, 12), slice(0, 17)),
    ]
    expected = [mask[rows, columns].mean() for rows, columns in blocks]
    assert BlockShares(blocks).of(mask).tolist() == pytest.approx(expected, abs=1e-6)


def picture(seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.uniform(40, 160, (24, 40, 3)), 8, 0), 8, 1).astype(np.float32)


def test_smooth_light_and_bands_leave_no_difference() -> None:
    reference = picture()
    bands = 1 + 0.08 * np.sin(np.linspace(0, 14, 192, dtype=np.float32))[:, None, None]
    slope = np.linspace(0.7, 1.2, 320, dtype=np.float32)[None, :, None]
    now = reference * bands * slope * np.array([1.0, 0.9, 0.8], np.float32)
    light, even = LightMatch((320, 192)), np.empty_like(reference)
    light.even(now, reference, light.factor(now, reference), even)
    assert np.abs(even - reference).max() < 8
    assert np.abs(even - reference).mean() < 1.5


def test_a_product_that_changed_keeps_its_difference() -> None:
    reference, now = picture(), picture() * np.float32(0.8)
    now[80:128, 120:152] = 30
    light, even = LightMatch((320, 192)), np.empty_like(reference)
    light.even(now, reference, light.factor(now, reference), even)
    inside = np.abs(even - reference)[84:124, 124:148].mean()
    assert inside > 40
    away = np.abs(even - reference)
    away[60:150, 100:172] = 0
    assert away.max() < 6


def test_clipped_pixels_are_no_difference() -> None:
    reference = picture()
    reference[:, 100:140] = 250
    now = np.minimum(reference * 1.4, 255).astype(np.float32)
    light, even = LightMatch((320, 192)), np.empty_like(reference)
    light.even(now, reference, light.factor(now, reference), even)
    assert np.abs(even - reference)[:, 104:136].max() < 1


@given(st.floats(-9, 9), st.floats(-9, 9))
@settings(max_examples=15, deadline=None)
def test_shift_is_found_to_a_tenth_of_a_pixel(x: float, y: float) -> None:
    rng = np.random.default_rng(3)
    base = np.repeat(rng.uniform(0, 255, (120, 160, 1)), 3, 2).astype(np.float32)
    base = shifted(base, (0.5, 0.5))  # smooth enough to be moved by parts of a pixel
    found = estimate_shift(base, shifted(base, (x, y)))
    assert found == pytest.approx((x, y), abs=0.15)


def test_a_region_counts_for_the_slot_in_which_it_lies() -> None:
    slots = ((slice(2, 10), slice(2, 8)), (slice(2, 10), slice(9, 15)))
    open_ = np.zeros((14, 20), bool)
    open_[3:9, 3:10] = True  # a neighbour's shadow reaches one column into the second slot
    energy = np.where(open_, 400.0, 0.0).astype(np.float32)
    evidence = measure(open_, energy, slots)
    assert evidence.share[0] > 0.5
    assert evidence.contrast[0] == pytest.approx(20.0)
    assert evidence.share[1] == 0
    assert np.array_equal(evidence.region(0, slots), open_)


def test_a_region_over_two_slots_counts_for_both() -> None:
    slots = ((slice(2, 10), slice(2, 8)), (slice(2, 10), slice(9, 15)))
    open_ = np.zeros((14, 20), bool)
    open_[2:10, 2:15] = True
    evidence = measure(open_, open_.astype(np.float32), slots)
    assert evidence.share.tolist() == [1.0, 1.0]
    assert not (evidence.region(0, slots) & evidence.region(1, slots))[2:10, 9:15].any()


def shelf_masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    changed, still = np.zeros((40, 60), bool), np.ones((40, 60), bool)
    shelved = np.zeros((40, 60), bool)
    shelved[4:16] = shelved[22:34] = True
    return changed, still, shelved


def test_a_large_still_region_over_the_rails_is_somebody_until_its_time_is_over() -> None:
    occlusion = Occlusion(SlotSettings(occluded_max_s=30.0))
    changed, still, shelved = shelf_masks()
    changed[:, 20:36] = True
    for _ in range(3):
        regions = occlusion.sort(changed, still, shelved, 60.0, 10.0)
        assert regions.occluded[10, 28]
        assert not regions.open.any()
    regions = occlusion.sort(changed, still, shelved, 60.0, 10.0)
    assert regions.open[10, 28]


def test_a_large_region_inside_the_slots_is_a_change() -> None:
    changed, still, shelved = shelf_masks()
    changed[4:16, 5:50] = True
    regions = Occlusion(SlotSettings()).sort(changed, still, shelved, 60.0, 0.2)
    assert regions.open[10, 20]
    assert not regions.occluded.any()


def test_a_moving_hand_unsettles_but_does_not_hide() -> None:
    changed, still, shelved = shelf_masks()
    changed[6:12, 6:12] = True
    still[6:12, 6:12] = False
    regions = Occlusion(SlotSettings()).sort(changed, still, shelved, 60.0, 0.2)
    assert regions.unsettled[8, 8]
    assert not regions.occluded.any()
    assert not regions.open.any()


def test_votes_are_a_mean_that_fades() -> None:
    x, y = np.eye(2, dtype=np.float32)
    votes = Votes().with_vector(x, 4)
    assert votes.mean().tolist() == [1.0, 0.0]
    for _ in range(3):
        votes = votes.with_vector(y, 4)
    assert votes.count == pytest.approx(4.0)
    for _ in range(20):
        votes = votes.with_vector(y, 4)
    assert votes.count == pytest.approx(4.0)
    assert votes.similarity(Votes().with_vector(y, 4)) == pytest.approx(1.0, abs=1e-3)
    assert votes.similarity(Votes()) is None
    with pytest.raises(ValueError, match="no embedding yet"):
        Votes().mean()


@pytest.mark.parametrize(
    "change", [{"calm_s": 0.0}, {"votes": 0}, {"unknown": 1}, {"gap_after_s": "x"}]
)
def test_settings_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        SlotSettings.model_validate(change)


def test_every_parameter_is_documented() -> None:
    text = SlotSettings.__doc__ or ""
    assert [name for name in SlotSettings.model_fields if f"{name}:" not in text] == []
