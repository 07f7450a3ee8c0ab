"""The shelf memory on a small rendered shelf: what it computes, and what it reports."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.shelf.registration import shifted
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.types import F32, Detections
from tests.edge.shelf.watched_shelf import (
    COLUMNS,
    ROWS,
    SETTINGS,
    SIZE_WH,
    START,
    Shelf,
    Watcher,
    box_of,
    match,
    slot_at,
)

ALL = COLUMNS * ROWS


def settled(**changes: object) -> Watcher:
    """A watcher that has seen a full shelf for four seconds."""
    watcher = Watcher(Shelf.full(**changes))
    assert watcher.run(4.0) == []
    assert sum(watcher.memory.inventory().values()) == ALL
    return watcher


def test_first_look_finds_the_inventory_without_an_event() -> None:
    watcher = Watcher(Shelf.full())
    assert watcher.step() == []
    assert watcher.memory.inventory() == {"a": 4, "b": 4, "c": 4, "d": 4}


def test_an_unchanged_shelf_costs_no_detector_and_no_tower() -> None:
    watcher = settled()
    passes, embedded = watcher.detections, watcher.embedded
    assert watcher.run(10.0) == []
    assert (watcher.detections, watcher.embedded) == (passes, embedded)


def test_old_slots_are_embedded_again_within_the_time_set() -> None:
    settings = SETTINGS.model_copy(update={"refresh_s": 5.0})
    watcher = Watcher(Shelf.full(), ShelfMemory("cam", settings))
    watcher.run(4.0)
    seen: set[int] = set()
    for _ in range(30):
        watcher.step()
        assert len(watcher.last_slots) <= np.ceil(settings.refresh_share * ALL)
        seen.update(watcher.last_slots)
    assert len(seen) == ALL


def test_taken_and_put_back() -> None:
    watcher = settled()
    slot = slot_at(watcher.memory, 9)
    del watcher.shelf.products[9]
    (taken,) = watcher.run(3.0)
    assert (taken.kind, taken.slot_id, taken.sku_before, taken.sku_after) == (
        "taken",
        slot,
        "b",
        None,
    )
    since = taken.changed_at - START - timedelta(seconds=4.0)
    assert timedelta(0) <= since <= timedelta(seconds=0.2)
    assert taken.at - taken.changed_at <= timedelta(seconds=2)
    assert watcher.memory.inventory()["b"] == 3
    watcher.shelf.products[9] = ("b", False)
    (back,) = watcher.run(3.0)
    assert (back.kind, back.slot_id, back.sku_before, back.sku_after) == (
        "put_back",
        slot,
        "b",
        "b",
    )
    assert watcher.memory.inventory()["b"] == 4


def test_replaced_by_another_sku() -> None:
    watcher = settled()
    watcher.shelf.products[9] = ("d", False)
    (event,) = watcher.run(3.0)
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "b", "d")
    assert event.similarity is not None
    assert event.similarity < 0.9


def test_a_variant_that_the_gallery_cannot_tell_apart_is_still_a_change() -> None:
    watcher = settled()
    watcher.shelf.products[9] = ("b", True)
    (event,) = watcher.run(3.0)
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "b", "b")
    assert event.changed_share is not None
    assert event.changed_share < 0.3


def test_neighbouring_changes_at_once_are_told_apart() -> None:
    watcher = settled()
    del watcher.shelf.products[9]
    watcher.shelf.products[10] = ("a", False)
    events = watcher.run(3.0)
    assert sorted(e.kind for e in events) == ["replaced", "taken"]
    assert {e.slot_id for e in events} == {slot_at(watcher.memory, 9), slot_at(watcher.memory, 10)}


def test_a_gap_opens_once_and_is_filled_once() -> None:
    settings = SETTINGS.model_copy(update={"gap_after_s": 5.0})
    watcher = Watcher(Shelf.full(), ShelfMemory("cam", settings))
    watcher.run(4.0)
    del watcher.shelf.products[3]
    assert [e.kind for e in watcher.run(10.0)] == ["taken", "gap_opened"]
    watcher.shelf.products[3] = ("a", False)
    (filled,) = watcher.run(4.0)
    assert (filled.kind, filled.sku_before, filled.sku_after) == ("gap_filled", "d", "a")


def test_a_product_where_nothing_ever_stood_fills_a_gap() -> None:
    shelf = Shelf.full()
    del shelf.products[12]
    watcher = Watcher(shelf)
    watcher.run(4.0)
    shelf.products[12] = ("c", False)
    (event,) = watcher.run(3.0)
    assert (event.kind, event.sku_before, event.sku_after) == ("gap_filled", None, "c")
    assert sum(watcher.memory.inventory().values()) == ALL


def test_a_detection_missed_at_first_is_no_event() -> None:
    shelf = Shelf.full(blind={5})
    settings = SETTINGS.model_copy(update={"detect_s": 2.0})
    watcher = Watcher(shelf, ShelfMemory("cam", settings))
    watcher.run(3.0)
    shelf.blind.clear()
    assert watcher.run(40.0) == []
    assert sum(watcher.memory.inventory().values()) == ALL


def test_a_product_that_the_detector_loses_without_a_change_is_not_taken() -> None:
    watcher = settled()
    watcher.shelf.blind.add(5)
    del watcher.shelf.products[9]
    events = watcher.run(3.0)
    assert [(e.kind, e.slot_id) for e in events] == [("taken", slot_at(watcher.memory, 9))]


@pytest.mark.parametrize("gain", [(0.6, 0.6, 0.6), (1.3, 1.25, 1.1)])
def test_light_is_no_change(gain: tuple[float, float, float]) -> None:
    watcher = settled()
    ramp = np.linspace(0.8, 1.1, SIZE_WH[0], dtype=np.float32)[None, :, None]

    def lit(picture: F32, number: int) -> F32:
        return picture * np.array(gain, np.float32) * ramp

    assert watcher.run(6.0, lit) == []


def test_flicker_is_no_change_and_hides_none() -> None:
    watcher = Watcher(Shelf.full())
    rows = np.linspace(0, 2.4, SIZE_WH[1])

    def bands(picture: F32, number: int) -> F32:
        wave = 1 + 0.06 * np.sin(2 * np.pi * (rows + 0.37 * number))
        return picture * wave.astype(np.float32)[:, None, None]

    assert watcher.run(8.0, bands) == []
    watcher.shelf.products[9] = ("b", True)
    (event,) = watcher.run(3.0, bands)
    assert event.kind == "replaced"


def test_lights_out_is_no_change() -> None:
    watcher = settled()
    assert watcher.run(6.0, lambda picture, number: picture * 0.05) == []
    assert watcher.run(4.0) == []
    assert sum(watcher.memory.inventory().values()) == ALL


class Person:
    """A body as wide as three facings and as high as the picture, that may stand still."""

    def __init__(self, watcher: Watcher, from_x: float, speed: float) -> None:
        self.first, self.from_x, self.speed = watcher.number, from_x, speed
        self.body = np.random.default_rng(5).uniform(20, 90, (SIZE_WH[1], 150, 3))
        watcher.hidden = self.hides

    def left(self, number: int) -> int:
        return round(self.from_x + self.speed * (number - self.first))

    def __call__(self, picture: F32, number: int) -> F32:
        x = self.left(number)
        x0, x1 = max(x, 0), min(x + 150, SIZE_WH[0])
        if x1 > x0:
            picture[:, x0:x1] = self.body[:, x0 - x : x1 - x]
        return picture

    def hides(self, box: F32, number: int) -> bool:
        x = self.left(number)
        return bool(box[2] > x and box[0] < x + 150)


def test_somebody_who_walks_by_hides_slots_and_changes_nothing() -> None:
    watcher = settled()
    person = Person(watcher, -150, 30)
    hidden = 0
    for _ in range(25):
        assert watcher.step(person) == []
        hidden = max(hidden, sum(s.state == "occluded" for s in watcher.memory.slots()))
        assert sum(watcher.memory.inventory().values()) == ALL
    assert hidden >= 4
    watcher.hidden = None
    assert watcher.run(4.0) == []
    assert all(s.state == "filled" for s in watcher.memory.slots())


def test_somebody_who_stands_still_hides_slots() -> None:
    watcher = settled()
    person = Person(watcher, 200, 0)
    assert watcher.run(10.0, person) == []
    assert sum(watcher.memory.inventory().values()) == ALL
    assert any(s.state == "occluded" for s in watcher.memory.slots())
    watcher.hidden = None
    assert watcher.run(3.0) == []


def test_what_changed_behind_somebody_is_reported_when_they_are_gone() -> None:
    watcher = settled()
    person = Person(watcher, 200, 0)
    watcher.run(3.0, person)
    del watcher.shelf.products[4]
    assert watcher.run(3.0, person) == []
    watcher.hidden = None
    (event,) = watcher.run(3.0)
    assert (event.kind, event.slot_id) == ("taken", slot_at(watcher.memory, 4))


@pytest.mark.parametrize("shift", [(7.0, -4.0), (-2.0, 0.0)])
def test_a_nudged_camera_takes_its_slots_along(shift: tuple[float, float]) -> None:
    watcher = settled()

    def nudged(picture: F32, number: int) -> F32:
        return shifted(picture, shift)

    watcher.shift = shift
    before = {s.slot_id: s.xyxy.copy() for s in watcher.memory.slots()}
    (event,) = watcher.run(5.0, nudged)
    assert event.kind == "camera_moved"
    assert event.shift_px == pytest.approx(shift, abs=0.5)
    after = {s.slot_id: s.xyxy for s in watcher.memory.slots()}
    assert set(after) == set(before)
    for slot_id, box in before.items():
        assert after[slot_id] - box == pytest.approx(np.array(shift * 2), abs=1.5)
    watcher.shelf.products[9] = ("d", False)
    (event,) = watcher.run(3.0, nudged)
    assert (event.kind, event.sku_after) == ("replaced", "d")


def test_a_nudge_too_small_to_report_is_followed_silently() -> None:
    watcher = settled()
    assert watcher.run(6.0, lambda picture, number: shifted(picture, (0.5, 0.3))) == []


def test_another_view_gives_the_slots_up() -> None:
    watcher = settled()

    def turned(picture: F32, number: int) -> F32:
        return np.ascontiguousarray(picture[:, ::-1] * 0.9 + 10)

    events = watcher.run(16.0, turned)
    assert [e.kind for e in events] == ["view_changed"]
    assert sum(watcher.memory.inventory().values()) == ALL


def test_a_covered_camera_keeps_its_slots() -> None:
    watcher = settled()
    cover = np.random.default_rng(3).uniform(20, 60, (SIZE_WH[1], SIZE_WH[0], 3))
    watcher.hidden = lambda box, number: True
    assert watcher.run(16.0, lambda picture, number: cover.astype(np.float32)) == []
    watcher.hidden = None
    assert watcher.run(4.0) == []
    assert sum(watcher.memory.inventory().values()) == ALL


def test_a_restart_repeats_nothing_and_reports_what_changed_meanwhile_once() -> None:
    watcher = settled()
    del watcher.shelf.products[9]
    (first,) = watcher.run(3.0)
    state = watcher.memory.state()
    watcher.shelf.products[2] = ("a", False)
    again = Watcher(
        watcher.shelf, ShelfMemory.restore("cam", state, SETTINGS), watcher.number + 500
    )
    assert again.memory.inventory() == watcher.memory.inventory()
    (event,) = again.run(6.0)
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "c", "a")
    assert event.number == first.number + 1
    assert again.memory.inventory() == {"a": 5, "b": 3, "c": 3, "d": 4}


def test_a_restart_in_another_light_reports_nothing() -> None:
    watcher = settled()
    again = Watcher(
        watcher.shelf, ShelfMemory.restore("cam", watcher.memory.state(), SETTINGS), 900
    )
    assert again.run(5.0, lambda picture, number: picture * 0.7) == []


def test_a_state_written_before_drift_pulse_and_clearance_were_kept_goes_on() -> None:
    watcher = settled()
    with np.load(io.BytesIO(watcher.memory.state())) as arrays:
        older = {n: arrays[n] for n in arrays.files if n not in ("drift", "pulse")}
    record = json.loads(older["record"].tobytes())
    for slot in record["slots"]:
        del slot["clearance"]
    older["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **older)
    again = Watcher(watcher.shelf, ShelfMemory.restore("cam", file.getvalue(), SETTINGS), 900)
    assert again.run(5.0) == []
    assert sum(again.memory.inventory().values()) == ALL


def test_the_state_keeps_pictures_of_products_only() -> None:
    watcher = settled()
    view = watcher.memory.view
    assert view is not None
    kept = view.appearance.reference_of(view.shelved & view.appearance.known)
    x1, y1, x2, y2 = (round(float(v)) for v in box_of(0))
    assert kept[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].min() > 0
    assert kept[y2 + 8 : y2 + 20].max() == 0


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_state_is_refused(damage: bytes | None) -> None:
    state = settled().memory.state()
    broken = state[: len(state) // 2] if damage is None else damage
    with pytest.raises(ConfigError, match="slot state of cam: damaged"):
        ShelfMemory.restore("cam", broken, SETTINGS)


def test_a_state_of_another_camera_is_refused() -> None:
    state = settled().memory.state()
    with pytest.raises(ConfigError, match="belongs to camera cam"):
        ShelfMemory.restore("other", state, SETTINGS)


def test_the_same_frames_give_the_same_state_and_events() -> None:
    def once() -> tuple[bytes, list[dict[str, object]]]:
        watcher = Watcher(Shelf.full())
        watcher.run(3.0)
        del watcher.shelf.products[9]
        events = watcher.run(3.0)
        return watcher.memory.state(), [e.to_json() for e in events]

    (state, events), (state_again, events_again) = once(), once()
    assert events == events_again
    assert len(events) == 1
    assert state == state_again


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_jumps_changes_nothing(jump: timedelta) -> None:
    watcher = settled()
    frame = watcher.shelf.frame(watcher.number)
    moved = type(frame)(frame.image, "cam", frame.index, frame.captured_at + jump)
    watcher.memory.look(moved)
    plan = watcher.memory.plan(None)
    assert watcher.memory.update(plan, None, match) == ()
    watcher.number += 1
    assert watcher.run(4.0) == []
    del watcher.shelf.products[9]
    assert [e.kind for e in watcher.run(3.0)] == ["taken"]


def test_another_resolution_starts_anew() -> None:
    watcher = settled()
    frame = watcher.shelf.frame(watcher.number)
    small = type(frame)(frame.image[::2, ::2].copy(), "cam", frame.index, frame.captured_at)
    watcher.memory.look(small)
    plan = watcher.memory.plan(Detections.empty())
    (event,) = watcher.memory.update(plan, None, match)
    assert event.kind == "view_changed"
    assert watcher.memory.inventory() == {}


def test_frames_of_another_camera_are_refused() -> None:
    with pytest.raises(ValueError, match="camera 'cam' given to 'other'"):
        ShelfMemory("other", SlotSettings()).look(Shelf.full().frame(0))


def test_what_the_detector_rarely_finds_is_forgotten_without_an_event() -> None:
    shelf = Shelf.full(blind={5})
    settings = SETTINGS.model_copy(update={"detect_s": 5.0})
    watcher = Watcher(shelf, ShelfMemory("cam", settings))
    watcher.run(3.0)
    shelf.blind.clear()
    watcher.run(5.0)
    assert sum(watcher.memory.inventory().values()) == ALL - 1
    assert len(watcher.memory.slots()) == ALL
    del shelf.products[5]
    assert watcher.run(4.0) == []
    assert len(watcher.memory.slots()) == ALL - 1
