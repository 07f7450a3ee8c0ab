"""All slots of a camera, and what a pass of the detector says about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edge.shelf.association import associate, uncovered
from edge.shelf.slot import Pending, Slot
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32, Detections

_LOOSE = 0.3  # overlap from which a detection may be the product put into an empty slot
_SETTLING = 5  # looks over which a slot's box is averaged
_OVERLAP = 0.5  # of a detection in a filled slot, from which it is no place of its own


class SlotBook:
    """The slots by id, in the order in which they were found."""

    def __init__(self, settings: SlotSettings) -> None:
        self._settings = settings
        self.slots: dict[int, Slot] = {}
        self.next_id = 1
        self.passes = 0

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self.slots.values()))

    def boxes(self) -> F32:
        """Boxes ``(S, 4)`` in order."""
        rows = [slot.xyxy for slot in self.slots.values()]
        return np.array(rows, np.float32).reshape(-1, 4)

    def facings(self) -> list[Slot]:
        """The slots that stand for a facing of the inventory."""
        return [s for s in self.slots.values() if s.counts(self._settings)]

    def take(
        self,
        found: Detections,
        place: Callable[[F32], str],
        now_s: float,
    ) -> list[Slot]:
        """Count a pass of the detector, and open slots for what stands where none was.

        Args:
            found: the pass.
            place: of a box without slot: ``changed`` since before, ``same`` as before, or ``busy``.
            now_s: the memory's clock.

        Returns:
            The new slots.
        """
        self.passes += 1
        slots = list(self.slots.values())
        loose = min(_LOOSE, self._settings.associate_iou)
        least = [self._settings.associate_iou if s.filled else loose for s in slots]
        partner = associate(self.boxes(), found.xyxy, np.array(least, np.float32))
        for slot, index in zip(slots, partner.tolist(), strict=True):
            if slot.watched:
                self._count(slot, found, index)
        kept = [s.xyxy for s in slots if s.filled]
        free = uncovered(found.xyxy, np.array(kept, np.float32).reshape(-1, 4), _OVERLAP)
        used = set(partner.tolist())
        opened = []
        for index in free.tolist():
            where = place(found.xyxy[index])
            if index not in used and where != "busy":
                opened.append(self._open(found, index, where == "changed", now_s))
        return opened

    def add(self, slot: Slot) -> None:
        """Put back a slot that was stored."""
        self.slots[slot.slot_id] = slot

    def _count(self, slot: Slot, found: Detections, index: int) -> None:
        seen = index >= 0
        if slot.pending is not None:
            slot.pending.seen += seen
            slot.pending.absent += not seen
            if seen:
                slot.pending.box = found.xyxy[index].copy()
                slot.pending.confidence = float(found.confidence[index])
            return
        if not slot.filled:
            return
        slot.looked(seen)
        if seen:
            slot.confidence = float(found.confidence[index])
            if slot.hits <= _SETTLING:
                share = np.float32(1.0 / max(slot.hits, 1.0))
                slot.xyxy = slot.xyxy + (found.xyxy[index] - slot.xyxy) * share

    def _open(self, found: Detections, index: int, changed: bool, now_s: float) -> Slot:
        slot = Slot(self.next_id, found.xyxy[index].copy(), float(found.confidence[index]))
        self.next_id += 1
        if changed:
            slot.filled, slot.empty_since = False, now_s
            slot.pending = Pending(1, 0, slot.xyxy.copy(), slot.confidence, since_s=now_s)
        else:
            # earlier passes looked there, too, and found nothing
            slot.looks = float(min(self.passes, 12))
            slot.hits = 1.0
        self.slots[slot.slot_id] = slot
        return slot
