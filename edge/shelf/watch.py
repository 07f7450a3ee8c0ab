"""A fixed camera: frames in, results and events out, computing only what changed.

The three phases of a frame stand apart, so that one process can serve many cameras and share the
tower's batches among them: ``look`` (change check, and the detector where needed) says what to
embed, the caller embeds, ``finish`` votes and gives the result. ``process`` does all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.gallery.gallery import Gallery
from edge.gallery.matcher import Matcher
from edge.pipeline import Models
from edge.shelf.requests import Plan
from edge.shelf.slot import Answer, Slot
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slots import ShelfMemory
from edge.timing import Stopwatch
from edge.types import F32, U8, Detections, Embeddings, Frame, FrameResult, Matches


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """A frame between its phases: what to embed is ``plan.xyxy`` of ``image``, where those boxes
    are in the light in which the shelf was first seen."""

    frame: Frame
    image: U8
    plan: Plan
    detected: bool
    scale: str
    watch: Stopwatch


class FixedCamera:
    """Models, gallery and memory of one camera.

    Args:
        models: loaded models; the detector's scale should be fixed (``Models.open(scale=…)``).
        gallery: enrolled SKUs; without one changes are reported and every product is unknown.
        matcher: the decision over ``gallery``; by default at the bundle's operating point.
    """

    def __init__(
        self,
        models: Models,
        gallery: Gallery | None,
        memory: ShelfMemory,
        matcher: Matcher | None = None,
    ) -> None:
        self.memory = memory
        self._scale = ""
        self.use(models, gallery, matcher)

    def use(self, models: Models, gallery: Gallery | None, matcher: Matcher | None = None) -> None:
        """Go on with other models or another gallery; the memory stays."""
        self._models, self._gallery = models, gallery
        if matcher is None and gallery is not None:
            matcher = gallery.matcher(models.bundle.manifest.decision[models.tower_precision])
        self._matcher = matcher

    def look(self, frame: Frame) -> Pass:
        """Compare a frame with the memory and run the detector where that says so.

        Raises InferenceError when the detector fails.
        """
        watch = Stopwatch()
        with watch.stage("changes"):
            wanted = self.memory.look(frame)
            shown = self.memory.evened(frame) if wanted else frame.image
        found = None
        if wanted:
            found, self._scale = self._models.detector.detect(shown, watch)
        with watch.stage("slots"):
            plan = self.memory.plan(found)
            image = self.memory.evened(frame, plan.xyxy)
        return Pass(frame, image, plan, wanted, self._scale, watch)

    def embed(self, step: Pass) -> Embeddings | None:
        """Embed what a frame needs; None when that is nothing. Raises InferenceError."""
        if not len(step.plan.xyxy):
            return None
        return self._models.embedder.embed(step.image, step.plan.xyxy, step.watch)

    def finish(
        self, step: Pass, embeddings: Embeddings | None
    ) -> tuple[FrameResult, tuple[SlotEvent, ...]]:
        """Vote with the embeddings of ``step.plan.xyxy``, in their order."""
        with step.watch.stage("match"):
            point = None if self._matcher is None else self._matcher.operating_point
            events = self.memory.update(step.plan, embeddings, self._match, point)
        return self._result(step), events

    def process(self, frame: Frame) -> tuple[FrameResult, tuple[SlotEvent, ...]]:
        """All phases of a frame.

        Raises:
            InferenceError: when a model fails on it.
        """
        step = self.look(frame)
        return self.finish(step, self.embed(step))

    def _match(self, embeddings: Embeddings) -> Matches:
        if self._gallery is None or self._matcher is None:
            return _matches([Answer()] * len(embeddings))
        return self._gallery.match(embeddings, self._matcher)

    def _result(self, step: Pass) -> FrameResult:
        slots = sorted(self.memory.facings(), key=lambda s: (-s.confidence, s.slot_id))
        return FrameResult(
            source=step.frame.camera_id,
            index=step.frame.index,
            captured_at=step.frame.captured_at,
            size_wh=step.frame.size_wh,
            scale=step.scale,
            provider=self._models.provider,
            bundle_id=self._models.bundle.bundle_id,
            gallery_version=self._gallery.version if self._gallery is not None else "",
            detections=_detections(slots),
            matches=_matches([s.answer for s in slots]),
            timings_ms=step.watch.timings_ms(),
        )


def _detections(slots: list[Slot]) -> Detections:
    count = len(slots)
    return Detections(
        np.array([s.xyxy for s in slots], np.float32).reshape(count, 4),
        np.array([s.confidence for s in slots], np.float32),
        np.zeros(count, np.int32),
    )


def _matches(answers: list[Answer]) -> Matches:
    def column(values: list[float]) -> F32:
        return np.array(values, dtype=np.float32)

    return Matches(
        sku_id=tuple(a.sku_id for a in answers),
        category=tuple(a.category for a in answers),
        similarity=column([a.similarity for a in answers]),
        margin=column([a.margin for a in answers]),
        probability=column([a.probability for a in answers]),
        top=tuple(a.top for a in answers),
    )
