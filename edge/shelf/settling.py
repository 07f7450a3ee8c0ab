"""Turns what was seen of a changed slot into an event and the slot's new content."""

from __future__ import annotations

from datetime import datetime, timedelta

from edge.shelf.decision import Verdict, decide
from edge.shelf.slot import Pending, Slot, alike
from edge.shelf.slot_events import Kind, SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.visibility import Visibility
from edge.types import F32


class EventLog:
    """Numbers the events of a camera and holds them until they are taken."""

    def __init__(self, camera_id: str, next_number: int = 1) -> None:
        self._camera_id = camera_id
        self.next_number = next_number
        self._waiting: list[SlotEvent] = []

    def add(
        self,
        kind: Kind,
        at: datetime,
        changed_at: datetime,
        *,
        slot: Slot | None = None,
        before: str | None = None,
        after: str | None = None,
        changed_share: float | None = None,
        similarity: float | None = None,
        shift_px: tuple[float, float] | None = None,
    ) -> None:
        """Report one change."""
        xyxy = None
        if slot is not None:
            x1, y1, x2, y2 = (float(v) for v in slot.xyxy)
            xyxy = (x1, y1, x2, y2)
        self._waiting.append(
            SlotEvent(
                self.next_number, kind, self._camera_id, at, changed_at,
                slot.slot_id if slot is not None else None, before, after, xyxy,
                changed_share, similarity, shift_px,
            )
        )  # fmt: skip
        self.next_number += 1

    def drain(self) -> tuple[SlotEvent, ...]:
        """All events since the last call."""
        events, self._waiting = tuple(self._waiting), []
        return events


class Settling:
    """Applies decisions to slots at one moment.

    Args:
        at: the frame's time.
        now_s: the same on the memory's clock.
    """

    def __init__(
        self,
        settings: SlotSettings,
        visibility: Visibility,
        log: EventLog,
        at: datetime,
        now_s: float,
    ) -> None:
        self._settings = settings
        self._visibility = visibility
        self._log = log
        self._at = at
        self._now_s = now_s

    def settle(self, slot: Slot, pending: Pending) -> bool:
        """Decide about a changed slot if that can be done; True when its box may have changed."""
        view = self._visibility
        coded = view.appearance.noise.coded
        verdict = decide(slot, pending, self._settings, lambda: view.only_moved(slot), coded=coded)
        if verdict.outcome == "wait":
            return False
        box = pending.box if pending.seen >= pending.absent else None
        since_s = self._visibility.changed_since(slot)
        self._visibility.adopt(slot, box, noise=slot.filled and verdict.outcome == "same")
        slot.pending = None
        doubtful = slot.filled and not slot.counts(self._settings)
        if verdict.outcome == "change" and doubtful and verdict.empties:
            # what never counted as a facing cannot be taken: it is forgotten
            slot.filled, slot.held, slot.empty_since = False, False, float("-inf")
            return True
        if verdict.outcome == "change" and not doubtful:
            self._change(slot, pending, verdict, box, since_s)
            return True
        if slot.filled and pending.votes.total is not None:
            slot.votes = slot.votes.with_vector(pending.votes.mean(), self._settings.votes_max)
        if slot.filled and box is not None and not alike(box, slot.xyxy):
            # pushed aside
            slot.xyxy = box
            return True
        return False

    def age(self, slot: Slot) -> bool:
        """Open a gap where a slot has been empty for long; True when it is to be forgotten."""
        empty_s = self._now_s - slot.empty_since
        if not slot.gap and slot.held and empty_s >= self._settings.gap_after_s:
            slot.gap = True
            since = self._time(slot.empty_since)
            self._log.add("gap_opened", self._at, since, slot=slot, before=slot.answer.sku_id)
        return empty_s >= self._settings.forget_after_s

    def _change(
        self,
        slot: Slot,
        pending: Pending,
        verdict: Verdict,
        box: F32 | None,
        since_s: float,
    ) -> None:
        assert verdict.kind is not None
        share = slot.changed_share
        before, after = slot.answer.sku_id, pending.answer.sku_id
        if verdict.empties:
            slot.filled, slot.gap, slot.held = False, False, True
            slot.empty_since, after = self._now_s, None
        else:
            if box is not None and not alike(box, slot.xyxy):
                slot.xyxy = box
            slot.filled, slot.gap = True, False
            slot.votes, slot.answer = pending.votes, pending.answer
            slot.embedded_at = self._now_s
            if pending.seen:
                slot.looks = slot.hits = float(pending.seen)
        self._log.add(
            verdict.kind, self._at, self._time(since_s), slot=slot, before=before,
            after=after, changed_share=share, similarity=verdict.similarity,
        )  # fmt: skip

    def _time(self, clock_s: float) -> datetime:
        return self._at - timedelta(seconds=max(self._now_s - clock_s, 0.0))
