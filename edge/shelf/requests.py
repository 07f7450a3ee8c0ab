"""What to embed of a frame: changes that are looked into, and what is not yet certain or not fresh."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.shelf.slot import Slot
from edge.shelf.slot_book import SlotBook
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What to embed of a frame: boxes ``xyxy (M, 4) float32`` in its pixels, and the slot of each.

    ``checks`` says per row whether it looks into a change or confirms what is known.
    """

    xyxy: F32
    slot_ids: tuple[int, ...]
    checks: tuple[bool, ...]


class Requests:
    """Shares the embeddings of a camera's frames among its slots.

    New slots are embedded at once, changes next, a few slots a frame until each has ``votes`` or is
    sure, and then, more slowly, those whose answer lies near another: the mean of n embeddings strays
    by one over the root of n of what a single one does, so each more of them settles some.

    ``postponed`` counts suspects that waited for another frame, as only a few are embedded in each.
    """

    def __init__(self, settings: SlotSettings) -> None:
        self._settings = settings
        self._doubted_s = -math.inf
        self.postponed = 0

    def plan(self, book: SlotBook, now_s: float, light: float) -> Plan:
        """The plan of the frame at ``now_s`` of the memory's clock, in a ``light`` that is a part of
        the reference's."""
        least = self._settings.confirm_light
        known = [s for s in book.facings() if s.pending is None and s.watched]
        known = [s for s in known if s.votes.confirmed_in(light, least)]
        new = [s for s in known if not s.votes.count]
        due = [s for s in known if s.votes.count and self._due(s, now_s)]
        due.sort(key=lambda s: s.embedded_at)
        limit = math.ceil(self._settings.refresh_share * len(book))
        confirm = new + due[: max(0, limit - len(new))]
        if len(confirm) < limit and now_s - self._doubted_s >= self._settings.doubt_s - 1e-6:
            doubtful = [s for s in known if s not in confirm and self._doubtful(s)]
            if doubtful:
                self._doubted_s = now_s
                confirm.append(min(doubtful, key=lambda s: s.embedded_at))
        checks = self._suspects(book)
        rows = checks + [(s, s.xyxy) for s in confirm]
        return Plan(
            np.array([box for _, box in rows], np.float32).reshape(-1, 4),
            tuple(slot.slot_id for slot, _ in rows),
            (True,) * len(checks) + (False,) * len(confirm),
        )

    def _suspects(self, book: SlotBook) -> list[tuple[Slot, F32]]:
        """The changes to be looked into in this frame, those that have waited longest first."""
        votes, most = self._settings.votes, self._settings.suspects_max
        checks = [
            (pending.since_s, slot.slot_id, slot, box)
            for slot in book
            if (pending := slot.pending) is not None and pending.votes.count < votes
            if (box := slot.check_box()) is not None
        ]
        checks.sort(key=lambda check: check[:2])
        self.postponed += max(0, len(checks) - most)
        return [(slot, box) for _, _, slot, box in checks[:most]]

    def _due(self, slot: Slot, now_s: float) -> bool:
        undecided = slot.votes.count < self._settings.votes and not self._sure(slot)
        return undecided or now_s - slot.embedded_at >= self._settings.refresh_s

    def _doubtful(self, slot: Slot) -> bool:
        most = min(self._settings.doubt_votes, self._settings.votes_max) - 1e-3
        # without an operating point nothing says how near another answer is
        near = not math.isnan(slot.answer.clearance) and not self._sure(slot)
        return near and slot.votes.count < most

    def _sure(self, slot: Slot) -> bool:
        return slot.answer.clearance * math.sqrt(slot.votes.count) >= self._settings.sure_margin
