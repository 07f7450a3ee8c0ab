"""A small rendered shelf, a detector and a tower that know its truth: for tests of the memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np

from edge import geometry
from edge.manifest import OperatingPoint
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.types import F32, U8, Candidate, Detections, Embeddings, Frame, Matches

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FPS = 5.0
COLUMNS, ROWS = 8, 2
WIDE, HIGH = 48, 64
SIZE_WH = (COLUMNS * 60 + 40, ROWS * 96 + 24)
SKUS = ("a", "b", "c", "d")
TOWER = "00112233445566778899aabbccddeeff"
SETTINGS = SlotSettings(compare_width_px=SIZE_WH[0], refresh_share=0.2)

_GRAIN = np.random.default_rng(1).standard_normal(
    (SIZE_WH[1] + 64, SIZE_WH[0] + 64, 3), dtype=np.float32
)
_PICTURES: dict[object, F32] = {}

Paint = Callable[[F32, int], F32]


def box_of(place: int) -> F32:
    """The box of a place in pixels."""
    x, y = 30 + 60 * (place % COLUMNS), 20 + 96 * (place // COLUMNS)
    return np.array([x, y, x + WIDE, y + HIGH], np.float32)


def package(sku: str, spot: bool = False) -> F32:
    """A front with the SKU's own pattern; with ``spot``, a small detail more."""
    rng = np.random.default_rng(SKUS.index(sku))
    grain = cv2.resize(rng.uniform(40, 215, (8, 6, 3)), (WIDE, HIGH), interpolation=cv2.INTER_CUBIC)
    if spot:
        grain[44:54, 12:24] = 255 - grain[44:54, 12:24]
    return np.asarray(grain.clip(0, 255), np.float32)


@dataclass
class Shelf:
    """What stands where, and what the camera adds. ``products`` maps places to (SKU, spot)."""

    products: dict[int, tuple[str, bool]] = field(default_factory=dict)
    noise: float = 3.0
    blind: set[int] = field(default_factory=set)

    @classmethod
    def full(cls, **changes: object) -> Shelf:
        """A product at every place."""
        count = COLUMNS * ROWS
        return cls({place: (SKUS[place % 4], False) for place in range(count)}, **changes)  # type: ignore[arg-type]

    def picture(self) -> F32:
        """The clean picture (H, W, 3) float32."""
        key = tuple(sorted(self.products.items()))
        if key not in _PICTURES:
            _PICTURES[key] = self._draw()
        return _PICTURES[key].copy()

    def _draw(self) -> F32:
        width, height = SIZE_WH
        rng = np.random.default_rng(99)
        back = cv2.resize(rng.uniform(60, 110, (height // 12, width // 12, 3)), (width, height))
        for row in range(ROWS):
            back[20 + 96 * row + HIGH : 20 + 96 * row + HIGH + 12] = 170
            back[20 + 96 * row + HIGH + 4 : 20 + 96 * row + HIGH + 8, ::9] = 30
        for place, (sku, spot) in self.products.items():
            x1, y1, x2, y2 = box_of(place).astype(int)
            back[y1:y2, x1:x2] = package(sku, spot)
        return np.asarray(back, np.float32)

    def frame(self, number: int, paint: Paint | None = None) -> Frame:
        """One noisy frame; ``paint`` may draw over the clean picture."""
        picture = self.picture()
        if paint is not None:
            picture = paint(picture, number)
        y, x = number * 37 % 64, number * 53 % 64
        grain = _GRAIN[y : y + SIZE_WH[1], x : x + SIZE_WH[0]]
        noisy = picture + np.float32(self.noise) * grain
        image: U8 = np.rint(noisy.clip(0, 255)).astype(np.uint8)
        return Frame(image, "cam", number, START + timedelta(seconds=number / FPS))


@dataclass
class Watcher:
    """Drives a memory over frames of a shelf with parts that know the truth."""

    shelf: Shelf
    memory: ShelfMemory = field(default_factory=lambda: ShelfMemory("cam", SETTINGS))
    number: int = 0
    detections: int = 0
    embedded: int = 0
    hidden: Callable[[F32, int], bool] | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    last_slots: tuple[int, ...] = ()
    point: OperatingPoint | None = None
    confidence: float = 0.9

    def run(self, seconds: float, paint: Paint | None = None) -> list[SlotEvent]:
        """Some seconds more; returns the events."""
        events: list[SlotEvent] = []
        for _ in range(round(seconds * FPS)):
            events += self.step(paint)
        return events

    def step(self, paint: Paint | None = None) -> list[SlotEvent]:
        frame = self.shelf.frame(self.number, paint)
        found = self._detect() if self.memory.look(frame) else None
        self.detections += found is not None
        plan = self.memory.plan(found)
        self.last_slots = plan.slot_ids
        self.embedded += len(plan.slot_ids)
        image = self.memory.evened(frame, plan.xyxy)
        vectors = embed(image, plan.xyxy) if len(plan.xyxy) else None
        self.number += 1
        return list(self.memory.update(plan, vectors, match, self.point))

    def _detect(self) -> Detections:
        places = [p for p in self.shelf.products if p not in self.shelf.blind]
        boxes = [box_of(p) + np.array(self.shift * 2, np.float32) for p in places]
        rng = np.random.default_rng([7, self.number])
        boxes = [
            b + rng.normal(0, 0.6, 4).astype(np.float32)
            for b in boxes
            if self.hidden is None or not self.hidden(b, self.number)
        ]
        count = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(count, self.confidence, np.float32),
            np.zeros(count, np.int32),
        )


def embed(image: U8, xyxy: F32) -> Embeddings:
    """Coarse patterns as vectors: a small spot hardly shows."""
    rows = []
    for x1, y1, x2, y2 in np.rint(xyxy).astype(int).clip(0):
        crop = image[y1:y2, x1:x2].astype(np.float32)
        small = cv2.resize(crop, (3, 4), interpolation=cv2.INTER_AREA).ravel()
        rows.append((small - small.mean()) / max(float(small.std()), 1e-3))
    vectors = np.array(rows, np.float32)
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), TOWER)


def match(embeddings: Embeddings) -> Matches:
    """The nearest of the four clean fronts; unknown below 0.7."""
    whole = np.array([[0, 0, WIDE, HIGH]], np.float32)
    fronts = [embed(np.rint(package(sku)).astype(np.uint8), whole).vectors[0] for sku in SKUS]
    similarity = embeddings.vectors @ np.array(fronts).T
    order = np.argsort(-similarity, axis=1)
    best = np.take_along_axis(similarity, order, axis=1).astype(np.float32)
    return Matches(
        sku_id=tuple(SKUS[o[0]] if b[0] >= 0.7 else None for o, b in zip(order, best, strict=True)),
        category=((),) * len(order),
        similarity=best[:, 0].copy(),
        margin=(best[:, 0] - best[:, 1]).copy(),
        probability=np.full(len(order), np.nan, np.float32),
        top=tuple(
            tuple(Candidate(SKUS[i], float(v)) for i, v in zip(o, b, strict=True))
            for o, b in zip(order, best, strict=True)
        ),
    )


def slot_at(memory: ShelfMemory, place: int) -> int:
    """The id of the slot at a place."""
    boxes = [(s.slot_id, s.xyxy) for s in memory.slots()]
    overlap = geometry.iou(box_of(place)[None], np.array([b for _, b in boxes]))[0]
    assert overlap.max() > 0.5
    return boxes[int(overlap.argmax())][0]
