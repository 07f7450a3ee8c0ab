"""The shelf memory of one fixed camera: which frames to look at, what to embed, what changed.

A frame goes through three calls: ``look`` compares it with the shelf as it was and says whether the
detector is needed; ``plan`` takes the detections and says what to embed; ``update`` takes the
embeddings, votes, and returns the events. The order of calls and the frames' own times are all that
matters: no clock is read, and the same frames give the same events.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import numpy as np

from edge.manifest import OperatingPoint
from edge.shelf.clearance import answers_of
from edge.shelf.light import evened
from edge.shelf.requests import Plan, Requests
from edge.shelf.settling import EventLog, Settling
from edge.shelf.slot import Pending, Slot, Votes
from edge.shelf.slot_book import SlotBook
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slot_state import pack_state, unpack_state
from edge.shelf.visibility import Visibility
from edge.types import F32, U8, Detections, Embeddings, Frame, Matches

Match = Callable[[Embeddings], Matches]
"""From embeddings to the gallery's decision."""
_LOOKS = 2  # of the detector at a change
_PRODUCTS = 0.5  # of the slots, found in another view: a covered camera would show none
_WORTH_A_LOOK = 0.25  # of a facing, changed where there is no slot


class ShelfMemory:
    """Slots of one camera, their products over time, and what is being looked into."""

    def __init__(self, camera_id: str, settings: SlotSettings | None = None) -> None:
        self.camera_id = camera_id
        self.settings = settings or SlotSettings()
        self.book = SlotBook(self.settings)
        self.log = EventLog(camera_id)
        self.view: Visibility | None = None
        self.now_s = 0.0
        self.requests = Requests(self.settings)
        self._at: datetime | None = None
        self._detected_s = -math.inf
        self._outside_looks = 0

    @property
    def postponed(self) -> int:
        """Suspects that waited for another frame, as only a few are embedded in each."""
        return self.requests.postponed

    def look(self, frame: Frame) -> bool:
        """Compare a frame with the shelf as it was; True when the detector should see it.

        Raises ValueError for a frame of another camera.
        """
        if frame.camera_id != self.camera_id:
            raise ValueError(f"frame of camera {frame.camera_id!r} given to {self.camera_id!r}")
        step = 0.0 if self._at is None else (frame.captured_at - self._at).total_seconds()
        elapsed = min(max(step, 0.0), self.settings.longest_step_s)
        self.now_s += elapsed
        self._at = frame.captured_at
        view = self.view
        if view is None or view.appearance.size_wh != frame.size_wh:
            view = self._start(frame.size_wh)
        view.observe(frame.image, self.book, self.now_s, elapsed)
        shift = view.follow_shift(self.book)
        if shift is not None:
            self._detected_s = -math.inf
            if math.hypot(*shift) >= self.settings.nudge_px:
                self.log.add("camera_moved", frame.captured_at, frame.captured_at, shift_px=shift)
        return self._wants_detector(view)

    def plan(self, detections: Detections | None) -> Plan:
        """What to embed of the frame just looked at, given its detections if it had any."""
        view = self._seen()
        elsewhere = detections is not None and view.another_view
        if elsewhere and detections and len(detections) >= _PRODUCTS * len(self.book):
            self._start(view.appearance.size_wh)
        elif detections is not None and not view.held:
            self._detected_s = self.now_s
            self.book.take(detections, view.place, self.now_s)
            view.index(self.book)
            self._outside_looks += 1
            if self._outside_looks >= _LOOKS:
                # the detector found no product in it
                self._outside_looks = 0
                view.adopt_outside()
        return self.requests.plan(self.book, self.now_s, view.light)

    def evened(self, frame: Frame, xyxy: F32 | None = None) -> U8:
        """The frame just looked at in the light of the shelf as it was, all of it or the boxes
        ``(N, 4) float32``: other light makes no other product."""
        view = self._seen()
        factor = view.appearance.factor
        if factor is None or view.another_view or (xyxy is not None and not len(xyxy)):
            return frame.image
        return evened(frame.image, xyxy, factor)

    def update(
        self,
        plan: Plan,
        embeddings: Embeddings | None,
        match: Match,
        point: OperatingPoint | None = None,
    ) -> tuple[SlotEvent, ...]:
        """Vote with the embeddings of ``plan.xyxy`` and return what changed, oldest first.

        Args:
            plan: as ``plan`` gave it for this frame.
            embeddings: a row a box; None where there was nothing to embed.
            match: the gallery's decision.
            point: where it accepts a SKU; without it no answer is near another.
        """
        view, at = self._seen(), self._at
        assert at is not None
        if embeddings is not None and len(embeddings):
            self._vote(plan, embeddings, match, point, view.light)
        settling = Settling(self.settings, view, self.log, at, self.now_s)
        moved = False
        for slot in self.book:
            if slot.pending is not None:
                moved |= settling.settle(slot, slot.pending)
            elif not slot.filled and settling.age(slot):
                del self.book.slots[slot.slot_id]
                moved = True
        if moved:
            view.index(self.book)
        return self.log.drain()

    def facings(self) -> list[Slot]:
        """The slots that hold a product, those hidden behind somebody included."""
        return self.book.facings()

    def slots(self) -> list[Slot]:
        """All slots, empty and doubtful ones included, in the order in which they were found."""
        return list(self.book)

    def inventory(self) -> dict[str | None, int]:
        """Facings by SKU, None for products that are not known, hidden ones included."""
        return dict(Counter(slot.answer.sku_id for slot in self.facings()))

    def state(self) -> bytes:
        """All that a restart needs; to be stored together with the events that led to it.

        Pictures in it are of products only: what lies outside the slots is not kept.
        """
        return pack_state(self)

    @classmethod
    def restore(
        cls, camera_id: str, state: bytes, settings: SlotSettings | None = None
    ) -> ShelfMemory:
        """The memory as it was stored; changes since then are found and reported once.

        Raises ConfigError when the state is damaged, of another format or another camera.
        """
        memory = cls(camera_id, settings)
        unpack_state(memory, state)
        return memory

    def _start(self, size_wh: tuple[int, int]) -> Visibility:
        if len(self.book):
            assert self._at is not None
            self.log.add("view_changed", self._at, self._at)
        self.book = SlotBook(self.settings)
        self._detected_s = -math.inf
        self.view = Visibility(self.settings, size_wh)
        return self.view

    def _seen(self) -> Visibility:
        if self.view is None:
            raise ValueError("look at a frame first")
        return self.view

    def _wants_detector(self, view: Visibility) -> bool:
        since = self.now_s - self._detected_s
        if view.another_view:
            return since >= self.settings.reset_after_s
        if view.held:
            return False
        if self.book.passes < self.settings.votes:
            return since >= self.settings.calm_s
        if any(self._to_find(slot) for slot in self.book):
            return True
        outside = view.outside_changed()
        if outside >= _WORTH_A_LOOK:
            return True
        if outside and not any(slot.pending is not None for slot in self.book):
            # a price label or the like: too small for a product
            view.adopt_outside()
        return since >= self.settings.detect_s and view.calm

    def _to_find(self, slot: Slot) -> bool:
        """Whether the detector must say if something stands in a slot that looks changed."""
        if slot.pending is None or slot.pending.looks >= _LOOKS:
            return False
        # a product of which a part changed is still there
        return not slot.filled or slot.changed_share >= self.settings.absent_share

    def _vote(
        self,
        plan: Plan,
        embeddings: Embeddings,
        match: Match,
        point: OperatingPoint | None,
        light: float,
    ) -> None:
        most, least = self.settings.votes_max, self.settings.confirm_light
        voted: list[tuple[Slot, Pending | None, Votes]] = []
        for slot_id, check, vector in zip(
            plan.slot_ids, plan.checks, embeddings.vectors, strict=True
        ):
            slot = self.book.slots[slot_id]
            pending = slot.pending if check else None
            if pending is not None:
                voted.append((slot, pending, pending.votes.with_vector(vector, most, light)))
            elif slot.votes.confirmed_in(light, least):
                voted.append((slot, None, slot.votes.with_vector(vector, most, light)))
        if not voted:
            return
        matches = match(Embeddings(np.stack([v.mean() for _, _, v in voted]), embeddings.tower))
        answers = answers_of(matches, point)
        for (slot, pending, votes), answer in zip(voted, answers, strict=True):
            if pending is not None:
                pending.votes, pending.answer = votes, answer
            else:
                slot.votes, slot.answer = votes, answer
                slot.embedded_at = self.now_s
