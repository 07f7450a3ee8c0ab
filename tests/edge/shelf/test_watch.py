"""A fixed camera on the tiny bundle: the results of the whole pipeline, for less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.shelf.watch import FixedCamera
from edge.types import Frame
from tests.factories import COLOURS, SHELF, SHELF_FACINGS, squares

pytest.importorskip("onnx")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SETTINGS = SlotSettings(compare_width_px=256)


def frame(layout: dict[tuple[int, int], tuple[int, int, int]], number: int) -> Frame:
    rng = np.random.default_rng(number)
    noisy = squares(layout).astype(int) + rng.normal(0, 2, (256, 256, 3)).round().astype(int)
    at = START + timedelta(seconds=0.2 * number)
    return Frame(noisy.clip(0, 255).astype(np.uint8), "aisle", number, at)


@pytest.fixture
def models(tiny_bundle: Path) -> Models:
    return Models.open(Bundle.load(tiny_bundle), provider="cpu", scale="whole")


def test_the_first_result_is_that_of_the_whole_pipeline(models: Models, tiny_gallery: Path) -> None:
    gallery = Gallery.open(tiny_gallery)
    camera = FixedCamera(models, gallery, ShelfMemory("aisle", SETTINGS))
    first = frame(dict(SHELF), 0)
    result, events = camera.process(first)
    whole = Pipeline(models, gallery)(first)
    assert events == ()
    assert sorted(map(str, result.matches.sku_id)) == sorted(map(str, whole.matches.sku_id))
    assert np.array_equal(result.detections.xyxy, whole.detections.xyxy)
    assert (result.scale, result.provider) == (whole.scale, whole.provider)
    assert result.gallery_version == whole.gallery_version


def test_later_frames_keep_the_answers_and_run_no_model(models: Models, tiny_gallery: Path) -> None:
    camera = FixedCamera(models, Gallery.open(tiny_gallery), ShelfMemory("aisle", SETTINGS))
    results = [camera.process(frame(dict(SHELF), n))[0] for n in range(30)]
    assert {"detector", "tower"} <= set(results[0].timings_ms)
    assert set(results[-1].timings_ms) == {"changes", "slots", "match"}
    known = [sku for sku in results[-1].matches.sku_id if sku is not None]
    assert {sku: known.count(sku) for sku in known} == SHELF_FACINGS


def test_a_change_is_an_event_and_a_new_result(models: Models, tiny_gallery: Path) -> None:
    camera = FixedCamera(models, Gallery.open(tiny_gallery), ShelfMemory("aisle", SETTINGS))
    shelf = dict(SHELF)
    for n in range(15):
        camera.process(frame(shelf, n))
    shelf[(4, 1)] = COLOURS["green"]
    events = []
    for n in range(15, 30):
        result, new = camera.process(frame(shelf, n))
        events += new
    (event,) = events
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "blue", "green")
    assert event.to_json()["slot"] == event.slot_id
    assert list(result.matches.sku_id).count("green") == 2


def test_without_a_gallery_changes_are_still_seen(models: Models) -> None:
    camera = FixedCamera(models, None, ShelfMemory("aisle", SETTINGS))
    shelf = dict(SHELF)
    for n in range(15):
        result, _ = camera.process(frame(shelf, n))
    assert set(result.matches.sku_id) == {None}
    del shelf[(1, 3)]
    events = [e for n in range(15, 30) for e in camera.process(frame(shelf, n))[1]]
    assert [e.kind for e in events] == ["taken"]


def test_batches_may_be_shared(models: Models, tiny_gallery: Path) -> None:
    gallery = Gallery.open(tiny_gallery)
    alone = FixedCamera(models, gallery, ShelfMemory("aisle", SETTINGS))
    shared = FixedCamera(models, gallery, ShelfMemory("aisle", SETTINGS))
    step = shared.look(frame(dict(SHELF), 0))
    crops = [
        step.frame.image[y1:y2, x1:x2] for x1, y1, x2, y2 in step.plan.xyxy.astype(int).tolist()
    ]
    result, _ = shared.finish(step, models.embedder.embed_images(crops))
    assert result.matches.sku_id == alone.process(frame(dict(SHELF), 0))[0].matches.sku_id
