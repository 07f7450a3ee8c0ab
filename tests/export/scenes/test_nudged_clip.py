"""A rendered clip whose camera is pushed, as it is written to disk, before the shelf memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import geometry
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.types import F32, Detections, Embeddings, Frame, Matches
from export.scenes.clip import ClipPlan, Nudge
from export.scenes.clip_writer import write_clip
from tests.edge.shelf.watched_shelf import START, embed

NUDGE = Nudge(5.0, (6.0, -4.0))
PLAN = ClipPlan(
    seconds=14.0,
    fps=5.0,
    size_wh=(640, 360),
    facings=(24, 40),
    changes_at_s=(10.0,),
    nudges=(NUDGE,),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nudged")
    write_clip(out, PLAN, seed=2, skus=30, hard_share=0.6, front_px=64)
    return out


def frames_of(path: Path) -> Iterator[Frame]:
    """The frames as a player gives them."""
    capture = cv2.VideoCapture(str(path))
    number = 0
    while (read := capture.read())[0]:
        rgb = np.ascontiguousarray(read[1][..., ::-1], np.uint8)
        yield Frame(rgb, "clip", number, START + timedelta(seconds=number / PLAN.fps))
        number += 1
    capture.release()


def standing(truth: dict[str, Any], at_s: float) -> F32:
    """Boxes of what stands on the shelf at a time, where the camera sees them then."""
    gone = {e["place"] for e in truth["events"] if e["kind"] == "taken" and at_s >= e["at_s"]}
    boxes = [p["xyxy"] for p in truth["places"] if p["place"] not in gone]
    shift = np.zeros(2, np.float32)
    for nudge in truth["nudges"]:
        shift += np.array(nudge["shift_px"], np.float32) * (at_s >= nudge["at_s"])
    return np.array(boxes, np.float32) + np.tile(shift, 2)


def unknown(embeddings: Embeddings) -> Matches:
    """Nobody knows a product here: what is asked for is when something changed."""
    count = len(embeddings.vectors)
    nothing = np.full(count, np.nan, np.float32)
    low = np.zeros(count, np.float32)
    return Matches((None,) * count, ((),) * count, low, low, nothing, ((),) * count)


def watched(
    folder: Path, truth: dict[str, Any]
) -> tuple[ShelfMemory, list[SlotEvent], dict[int, F32]]:
    """The clip through the memory, with a detector that knows the truth; the slots' boxes as they
    were just before the nudge."""
    memory = ShelfMemory("clip", SlotSettings())
    events: list[SlotEvent] = []
    before: dict[int, F32] = {}
    for frame in frames_of(folder / "clip.avi"):
        at_s = (frame.captured_at - START).total_seconds()
        if at_s < NUDGE.at_s:
            before = {s.slot_id: s.xyxy.copy() for s in memory.slots()}
        found = None
        if memory.look(frame):
            boxes = standing(truth, at_s)
            count = len(boxes)
            found = Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int32))
        plan = memory.plan(found)
        vectors = embed(frame.image, plan.xyxy) if len(plan.xyxy) else None
        events += memory.update(plan, vectors, unknown)
    return memory, events, before


def test_a_nudge_is_told_once_and_the_slots_go_along(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["nudges"] == [{"at_s": NUDGE.at_s, "shift_px": list(NUDGE.shift_px)}]
    memory, events, before = watched(folder, truth)
    # the push itself changes nothing on the shelf; what is taken after it is noticed where it stood
    assert [e.kind for e in events] == ["camera_moved", "taken"]
    moved, taken = events
    assert moved.shift_px == pytest.approx(NUDGE.shift_px, abs=0.5)
    assert (moved.at - START).total_seconds() == pytest.approx(NUDGE.at_s + 1, abs=1)
    change = truth["events"][0]
    box = np.array([change["xyxy"]], np.float32) + np.array(NUDGE.shift_px * 2, np.float32)
    assert geometry.iou(box, np.array([taken.xyxy], np.float32))[0, 0] > 0.6
    assert 0 <= (taken.at - START).total_seconds() - change["at_s"] <= 2.0
    after = {s.slot_id: s.xyxy for s in memory.slots()}
    kept = [slot_id for slot_id in before if slot_id in after]
    assert len(kept) >= 0.9 * len(before)
    shifts = np.array([after[i][:2] - before[i][:2] for i in kept])
    assert np.median(shifts, axis=0) == pytest.approx(np.array(NUDGE.shift_px), abs=0.6)
