"""What a slot's identity rests on: how near another answer is, in what light, and how often seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gallery.decision import may_answer, probability
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.shelf.clearance import clearance
from edge.shelf.light import LightMatch, evened
from edge.shelf.slot import Votes
from edge.shelf.slots import ShelfMemory
from edge.types import F32
from tests.edge.shelf.watched_shelf import COLUMNS, FPS, ROWS, SETTINGS, Shelf, Watcher, slot_at

ALL = COLUMNS * ROWS
PLAIN = OperatingPoint(similarity=0.55, margin=0.01, measured="for this test")
MODEL = ProbabilityModel(
    bias=-6.0, similarity=8.0, margin=20.0, similarity_range=(-1.0, 1.0), margin_range=(0.0, 1.0)
)
CALIBRATED = OperatingPoint(
    similarity=0.3,
    measured="for this test",
    calibration=Calibration(
        sku=AnswerPoint(
            model=MODEL,
            accept=0.9,
            min_similarity=0.5,
            target=0.9,
            answers=9,
            right=9,
            precision_low=0.9,
        )
    ),
)


def accepts(point: OperatingPoint, similarity: float, margin: float) -> bool:
    s, m = np.array([similarity], np.float32), np.array([margin], np.float32)
    enough = similarity >= point.similarity and margin >= point.margin
    if point.calibration is None:
        return enough
    sku = point.calibration.sku
    return enough and bool(may_answer(sku, s, m, probability(sku.model, s, m))[0])


@given(st.sampled_from([PLAIN, CALIBRATED]), st.floats(0.2, 0.95), st.floats(0.002, 0.4))
@settings(max_examples=60, deadline=None)
def test_no_smaller_change_than_the_clearance_turns_an_answer(
    point: OperatingPoint, similarity: float, margin: float
) -> None:
    (near,) = clearance(
        point, np.array([similarity], np.float32), np.array([margin], np.float32)
    ).tolist()
    now = accepts(point, similarity, margin)
    turns = np.linspace(0, 2 * math.pi, 24)
    reach = 0.98 * near - 1e-5
    for turn in turns if now and reach > 0 else ():
        s, m = similarity + reach * math.cos(turn), margin + reach * math.sin(turn)
        assert accepts(point, s, m) or m <= 0
    if not now and reach > 0:
        assert not accepts(point, similarity + reach, margin)
        assert not accepts(point, similarity, margin + reach)


@pytest.mark.parametrize(
    ("similarity", "margin", "near"),
    [(0.9, 0.03, 0.02), (0.9, 0.004, 0.006), (0.5, 0.3, 0.05), (0.4, 0.005, 0.15)],
)
def test_clearance_is_the_distance_to_the_operating_point(
    similarity: float, margin: float, near: float
) -> None:
    found = clearance(PLAIN, np.array([similarity], np.float32), np.array([margin], np.float32))
    assert found.tolist() == pytest.approx([near], abs=1e-6)


def test_without_similarity_no_clearance_is_known() -> None:
    nothing = np.array([np.nan], np.float32)
    assert math.isnan(float(clearance(PLAIN, nothing, nothing)[0]))


def test_crops_of_a_lit_picture_come_back_into_the_light_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    reference = np.repeat(np.repeat(rng.uniform(40, 160, (24, 40, 3)), 8, 0), 8, 1)
    reference = reference.astype(np.float32)
    now = np.rint(reference * np.array([0.7, 0.8, 0.6], np.float32)).astype(np.uint8)
    now[100:104, 100:104] = 255
    factor = LightMatch((320, 192)).factor(now.astype(np.float32), reference)
    boxes = np.array([[20, 30, 61.5, 90.2], [90, 90, 330, 150]], np.float32)
    even = evened(now, boxes, factor)
    assert np.abs(even[30:90, 20:61] - reference[30:90, 20:61]).max() < 4
    assert (even[100:104, 100:104] == 255).all()
    assert np.array_equal(even[:30], now[:30])
    assert even is not now


def test_a_frame_of_more_pixels_than_the_comparison_is_brought_into_its_light() -> None:
    image = np.full((384, 640, 3), 100, np.uint8)
    image[:, 320:] = 50
    factor = np.ones((192, 320, 3), np.float32)
    factor[:, 160:] = 2.0
    even = evened(image, None, factor)
    assert np.abs(even.astype(int) - 100).max(axis=(0, 2))[[0, 200, 310, 330, 639]].max() == 0


def test_less_light_adds_nothing_to_what_was_seen_in_more() -> None:
    vector = np.eye(2, dtype=np.float32)[0]
    dim = Votes().with_vector(vector, 10, 0.6)
    assert dim.confirmed_in(0.55, 0.9)
    assert dim.confirmed_in(1.0, 0.9)
    bright = dim.with_vector(vector, 10, 1.2)
    assert not bright.confirmed_in(0.8, 0.9)
    assert bright.confirmed_in(0.95, 0.9)


def near_another(**changes: float) -> Watcher:
    """A shelf of which no answer is sure."""
    slots = SETTINGS.model_copy(update={"sure_margin": 2.0, **changes})
    point = OperatingPoint(similarity=0.5, margin=0.01, measured="for this test")
    return Watcher(Shelf.full(), ShelfMemory("cam", slots), point=point)


def test_an_answer_near_another_is_embedded_again_in_turn_and_then_rests() -> None:
    watcher = near_another(doubt_votes=4, doubt_s=0.6)
    watcher.run(3.0)
    frames: list[int] = []
    for number in range(round(20 * FPS)):
        watcher.step()
        assert len(watcher.last_slots) <= 1
        frames += [number] * len(watcher.last_slots)
    assert min(np.diff(frames)) >= 3
    assert [s.votes.count for s in watcher.memory.slots()] == pytest.approx([4] * ALL)
    embedded = watcher.embedded
    assert embedded == 4 * ALL
    watcher.run(5.0)
    assert watcher.embedded == embedded


def test_a_clear_answer_is_embedded_once() -> None:
    point = OperatingPoint(similarity=0.0, measured="for this test")
    slots = SETTINGS.model_copy(update={"sure_margin": 0.01})
    watcher = Watcher(Shelf.full(), ShelfMemory("cam", slots), point=point)
    watcher.run(6.0)
    assert watcher.embedded == ALL


def test_clearance_and_light_outlive_a_restart() -> None:
    watcher = near_another()
    watcher.run(4.0)
    again = ShelfMemory.restore("cam", watcher.memory.state(), watcher.memory.settings)
    before = [(s.answer.clearance, s.votes.light) for s in watcher.memory.slots()]
    assert [(s.answer.clearance, s.votes.light) for s in again.slots()] == before
    assert all(math.isfinite(near) and light > 0.5 for near, light in before)


def test_what_looks_unchanged_is_not_judged_again_in_less_light() -> None:
    watcher = Watcher(
        Shelf.full(), ShelfMemory("cam", SETTINGS.model_copy(update={"refresh_s": 2}))
    )
    watcher.run(4.0)
    dim = lambda picture, number: picture * np.float32(0.7)  # noqa: E731
    watcher.run(1.0, dim)
    embedded = watcher.embedded
    assert watcher.run(4.0, dim) == []
    assert watcher.embedded == embedded
    watcher.shelf.products[9] = ("d", False)
    (event,) = watcher.run(3.0, dim)
    assert (event.kind, event.sku_after) == ("replaced", "d")
    assert watcher.memory.book.slots[slot_at(watcher.memory, 9)].votes.light < 0.8
    watcher.run(4.0)
    assert watcher.memory.book.slots[slot_at(watcher.memory, 9)].votes.light > 0.9


def test_light_of_another_colour_is_taken_out_before_the_tower() -> None:
    watcher = Watcher(Shelf.full(noise=0.0))
    watcher.run(4.0)
    gain = np.array([0.95, 0.7, 0.6], np.float32)
    frame = watcher.shelf.frame(watcher.number, lambda picture, number: picture * gain)
    watcher.memory.look(frame)
    boxes = watcher.memory.book.boxes()
    plain = watcher.shelf.frame(watcher.number).image
    assert mean_difference(watcher.memory.evened(frame, boxes), plain, boxes) < 2
    assert mean_difference(watcher.memory.evened(frame), plain, boxes) < 2
    assert mean_difference(frame.image, plain, boxes) > 15


def mean_difference(image: np.ndarray, other: np.ndarray, boxes: F32) -> float:
    parts = [
        np.abs(image[y1:y2, x1:x2].astype(int) - other[y1:y2, x1:x2]).mean()
        for x1, y1, x2, y2 in np.rint(boxes).astype(int).tolist()
    ]
    return float(max(parts))


def test_a_piece_of_shelf_is_no_facing() -> None:
    slots = SETTINGS.model_copy(update={"phantom_similarity": 0.99})
    unsure = Watcher(Shelf.full(noise=8.0), ShelfMemory("cam", slots), confidence=0.4)
    unsure.run(4.0)
    assert unsure.memory.slots()
    told = sum(unsure.memory.inventory().values())
    assert told == sum(s.answer.similarity >= 0.99 for s in unsure.memory.slots()) < ALL
    sure = Watcher(Shelf.full(noise=8.0), ShelfMemory("cam", slots), confidence=0.9)
    sure.run(4.0)
    assert sum(sure.memory.inventory().values()) == ALL
    slot = unsure.memory.slots()[0]
    unknown = replace(slot.answer, top=())
    slot.answer = unknown
    assert slot.counts(slots)
