"""The shelf memory with nothing skipped: what it would know if every frame were computed in full."""

from __future__ import annotations

import numpy as np

from edge.shelf.requests import Plan
from edge.shelf.slots import ShelfMemory
from edge.types import Detections, Frame


class FullMemory(ShelfMemory):
    """The same memory, but the detector and every facing in sight are computed while ``full``."""

    full = True

    def look(self, frame: Frame) -> bool:
        wanted = super().look(frame)
        assert self.view is not None
        return wanted or (self.full and not self.view.held)

    def plan(self, detections: Detections | None) -> Plan:
        plan = super().plan(detections)
        left = [
            slot
            for slot in self.facings()
            if slot.pending is None and slot.watched and slot.slot_id not in plan.slot_ids
        ]
        if not self.full or not left:
            return plan
        return Plan(
            np.concatenate([plan.xyxy, np.stack([slot.xyxy for slot in left])]),
            plan.slot_ids + tuple(slot.slot_id for slot in left),
            plan.checks + (False,) * len(left),
        )
