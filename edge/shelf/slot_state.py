"""A shelf memory as bytes, and back: what a daemon stores together with its events."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.shelf.appearance import Mask
from edge.shelf.slot import Answer, Slot, Votes
from edge.shelf.visibility import Visibility
from edge.types import F32, U8, Candidate

if TYPE_CHECKING:
    from edge.shelf.slots import ShelfMemory

FORMAT = 1


def pack_state(memory: ShelfMemory) -> bytes:
    """The slots, their products and reference pictures, and the counters of ids."""
    slots = list(memory.book.slots.values())
    arrays: dict[str, np.ndarray] = {
        "boxes": memory.book.boxes(),
        "totals": _totals(slots),
        "has_total": np.array([s.votes.total is not None for s in slots], bool),
    }
    record: dict[str, Any] = {
        "format": FORMAT,
        "camera": memory.camera_id,
        "now_s": memory.now_s,
        "next_event": memory.log.next_number,
        "next_slot": memory.book.next_id,
        "passes": memory.book.passes,
        "slots": [_slot_record(s) for s in slots],
    }
    view = memory.view
    if view is not None and view.appearance.reference is not None:
        record["size_wh"] = view.appearance.size_wh
        kept = view.shelved & view.appearance.known
        arrays["known"] = kept
        arrays["noise"] = view.appearance.noise.quick.astype(np.float16)
        arrays["drift"] = view.appearance.noise.drift.astype(np.float16)
        arrays["pulse"] = view.appearance.noise.pulse.astype(np.float16)
        arrays["reference"] = _encode(view.appearance.reference_of(kept))
    arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack_state(memory: ShelfMemory, state: bytes) -> None:
    """Fill a new memory; ConfigError when ``state`` is not what ``pack_state`` gave for it."""
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
            record = json.loads(arrays["record"].tobytes())
            if record["format"] != FORMAT:
                raise ConfigError(
                    f"slot state of {memory.camera_id}: format {record['format']!r} is not known"
                    f" (this version reads {FORMAT})"
                )
            if record["camera"] != memory.camera_id:
                raise ConfigError(
                    f"slot state of {memory.camera_id}: belongs to camera {record['camera']}"
                )
            _fill(memory, record, {name: arrays[name] for name in arrays.files})
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"slot state of {memory.camera_id}: damaged: {error}") from error


def _fill(memory: ShelfMemory, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    memory.now_s = float(record["now_s"])
    memory.log.next_number = int(record["next_event"])
    memory.book.next_id = int(record["next_slot"])
    memory.book.passes = int(record["passes"])
    for row, entry in enumerate(record["slots"]):
        total = arrays["totals"][row].astype(np.float32) if arrays["has_total"][row] else None
        slot = _slot(entry, arrays["boxes"][row].astype(np.float32), total)
        memory.book.slots[slot.slot_id] = slot
    if "size_wh" not in record:
        return
    width, height = record["size_wh"]
    view = Visibility(memory.settings, (int(width), int(height)))
    reference: F32 | None = _decode(arrays["reference"])
    known: Mask = arrays["known"].astype(bool)
    if known.shape != view.appearance.shape:
        # compared at another width now: the slots stay, their looks are learned again
        known = np.zeros(view.appearance.shape, bool)
        reference = None
    # written by earlier versions without them
    drift, pulse = (
        arrays[key].astype(np.float32) if key in arrays else None for key in ("drift", "pulse")
    )
    view.appearance.resume(reference, known)
    view.appearance.noise.resume(arrays["noise"].astype(np.float32), drift, pulse)
    view.index(memory.book)
    memory.view = view


def _totals(slots: list[Slot]) -> F32:
    dim = next((len(s.votes.total) for s in slots if s.votes.total is not None), 1)
    nothing = np.zeros(dim, np.float32)
    rows = [nothing if s.votes.total is None else s.votes.total for s in slots]
    return np.array(rows, np.float32).reshape(len(slots), dim)


def _slot_record(slot: Slot) -> dict[str, Any]:
    answer = slot.answer
    return {
        "id": slot.slot_id,
        "confidence": slot.confidence,
        "filled": slot.filled,
        "gap": slot.gap,
        "held": slot.held,
        "empty_since": slot.empty_since,
        "embedded_at": _finite(slot.embedded_at),
        "looks": slot.looks,
        "hits": slot.hits,
        "votes": slot.votes.count,
        "light": slot.votes.light,
        "sku": answer.sku_id,
        "category": answer.category,
        "scores": [_finite(v) for v in (answer.similarity, answer.margin, answer.probability)],
        "clearance": _finite(answer.clearance),
        "top": [(c.sku_id, c.similarity) for c in answer.top if math.isfinite(c.similarity)],
    }


def _slot(entry: dict[str, Any], xyxy: F32, total: F32 | None) -> Slot:
    # written by earlier versions without clearance
    similarity, margin, probability, clearance = (
        float("nan") if v is None else float(v) for v in (*entry["scores"], entry.get("clearance"))
    )
    answer = Answer(
        entry["sku"], tuple(entry["category"]), similarity, margin, probability,
        tuple(Candidate(str(sku), float(value)) for sku, value in entry["top"]),
        clearance,
    )  # fmt: skip
    embedded = entry["embedded_at"]
    return Slot(
        slot_id=int(entry["id"]),
        xyxy=xyxy,
        confidence=float(entry["confidence"]),
        filled=bool(entry["filled"]),
        gap=bool(entry["gap"]),
        votes=Votes(total, float(entry["votes"]), float(entry.get("light", 1.0))),
        answer=answer,
        held=bool(entry["held"]),
        empty_since=float(entry["empty_since"]),
        embedded_at=float("-inf") if embedded is None else float(embedded),
        looks=float(entry["looks"]),
        hits=float(entry["hits"]),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _encode(picture: U8) -> np.ndarray:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {picture.shape}")
    return np.asarray(data, np.uint8).ravel()


def _decode(data: np.ndarray) -> F32:
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("the reference picture cannot be decoded")
    return np.asarray(picture, np.float32)
