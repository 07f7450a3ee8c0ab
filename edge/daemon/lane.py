"""One camera inside the inference process: its frames, its shelf memory, its events."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.camera.shared_frame import FrameReader, SharedFrame
from edge.config import CameraConfig
from edge.daemon.clock import FrameClock
from edge.daemon.events import Event, event_id, timestamp
from edge.daemon.evidence import Box, EvidenceStore
from edge.daemon.figures import LaneFigures
from edge.daemon.lane_state import forget_embeddings, match_again, pack, unpack
from edge.daemon.runtime import Runtime
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.shelf.watch import FixedCamera, Pass
from edge.types import U8, Frame

_SETTLE_S = 5.0
"""Between a change and the inventory that shows it: further changes often follow at once."""


@dataclass(frozen=True, slots=True)
class LaneOrder:
    """What the supervisor and the configuration say about one camera."""

    camera: CameraConfig
    slots: SlotSettings
    segment: Path
    device: str
    inventory_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A frame out of shared memory, with the frame that the shelf memory sees."""

    shared: SharedFrame
    frame: Frame


class Lane:
    """Everything the loop keeps for one camera.

    Args:
        order: the camera, its shelf memory's settings and its segment.
        state: what ``state`` gave in an earlier run; a damaged one is as good as none.
    """

    def __init__(
        self, order: LaneOrder, clock: FrameClock, runtime: Runtime, state: bytes | None
    ) -> None:
        self.order = order
        self.camera_id = order.camera.id
        self.figures = LaneFigures()
        self.index = 0
        self._clock = clock
        self._reader = FrameReader(order.segment)
        self._inventory_at = clock.seconds()
        self._before: U8 | None = None
        tower = runtime.models.embedder.tower
        self._head, memory = unpack(state, self.camera_id, order.slots, tower)
        self.fixed = FixedCamera(
            runtime.models_at(self.scale), runtime.gallery, memory, runtime.matcher
        )

    @property
    def scale(self) -> str | None:
        """The camera's own fixed scale, else the one that was chosen for its first frame."""
        own = self.order.camera.scale
        return (self._head.scale or own) if own in (None, "auto") else own

    @property
    def memory(self) -> ShelfMemory:
        """The shelf as it is remembered."""
        return self.fixed.memory

    def use(self, runtime: Runtime) -> None:
        """Go on with other models or another gallery; what another tower embedded is done again."""
        tower = runtime.models.embedder.tower
        if tower != self._head.tower:
            forget_embeddings(self.memory)
            self._head = replace(self._head, tower=tower)
        else:
            match_again(self.memory, runtime)
        self.fixed.use(runtime.models_at(self.scale), runtime.gallery, runtime.matcher)
        self._inventory_at = self._clock.seconds()

    def settle_scale(self, step: Pass, runtime: Runtime) -> None:
        """Keep the scale of the first frame on which products were found: a fixed camera sees its
        shelf at one scale, and trying others costs passes and makes boxes jump."""
        if self.scale in (None, "auto") and step.detected and len(self.memory.book):
            self._head = replace(self._head, scale=step.scale)
            self.fixed.use(runtime.models_at(step.scale), runtime.gallery, runtime.matcher)

    def take(self) -> Taken | None:
        """The latest frame if there is a new one; those that were overtaken count as dropped."""
        shared = self._reader.latest(self.index)
        if shared is None:
            return None
        if self.index:
            self.figures.dropped += shared.index - self.index - 1
        self.index = shared.index
        at = self._clock.steady(shared.captured_ns)
        return Taken(shared, Frame(shared.image, self.camera_id, shared.index, at))

    def state(self) -> bytes:
        """The shelf memory, to go on with after a restart."""
        return pack(self._head, self.memory)

    def close(self) -> None:
        """Let go of shared memory."""
        self._reader.close()

    def events_of(
        self,
        taken: Taken,
        changes: tuple[SlotEvent, ...],
        evidence: EvidenceStore,
        about: dict[str, object],
    ) -> list[Event]:
        """The events of a processed frame: its changes, and an inventory when one is due.

        ``about`` names provider, bundle and gallery.
        """
        events = [self._change(taken, change, evidence) for change in changes]
        self.figures.changes += len(changes)
        self._remember(taken)
        now_s = self._clock.seconds()
        if changes:
            self._inventory_at = min(self._inventory_at, now_s + _SETTLE_S)
        if now_s >= self._inventory_at and self.memory.book.passes >= self.order.slots.votes:
            self._inventory_at = now_s + self.order.inventory_s
            events.append(self._inventory(taken, about))
        return events

    def _change(self, taken: Taken, change: SlotEvent, evidence: EvidenceStore) -> Event:
        key = event_id(
            self.order.device, self.camera_id, "change", self._head.lineage, change.number
        )
        data: dict[str, Any] = {
            "change": change.kind,
            "number": change.number,
            "changed_at": timestamp(self._clock.wall(change.changed_at)),
            "frame_age_s": round(self._clock.age_s(taken.shared.captured_ns), 3),
        }
        record = change.to_json()
        for name in ("slot", "sku_before", "sku_after", "changed_share", "similarity", "shift_px"):
            if name in record:
                data[name] = record[name]
        if change.xyxy is not None:
            left, top = taken.shared.origin_xy
            x1, y1, x2, y2 = change.xyxy
            data["xyxy"] = [round(v, 1) for v in (x1 + left, y1 + top, x2 + left, y2 + top)]
            data["picture_wh"] = list(taken.shared.full_wh)
            data["evidence"] = self._evidence(taken, change.xyxy, key, evidence)
        return Event(key, "change", self.order.device, self.camera_id, self._told(change.at), data)

    def _evidence(
        self, taken: Taken, box: Box, key: str, evidence: EvidenceStore
    ) -> dict[str, str | None]:
        before = None
        if self._before is not None and self._before.shape == taken.frame.image.shape:
            before = evidence.crop(self._before, box, f"{key}-before")
        return {
            "before": before,
            "after": evidence.crop(taken.frame.image, box, f"{key}-after"),
            "frame": evidence.frame(taken.frame.image, f"{key}-frame"),
        }

    def _remember(self, taken: Taken) -> None:
        """Keep the last picture in which nobody stood before the shelf and nothing was unsettled.

        Crops of what was there before a change are cut from it, so it must not show people.
        """
        view = self.memory.view
        if view is not None and view.calm and not any(s.pending for s in self.memory.book):
            self._before = taken.frame.image

    def _inventory(self, taken: Taken, about: dict[str, object]) -> Event:
        facings = self.memory.facings()
        slots = list(self.memory.book)
        counts = Counter(s.answer.sku_id for s in facings)
        widths: defaultdict[str | None, float] = defaultdict(float)
        for slot in facings:
            widths[slot.answer.sku_id] += float(slot.xyxy[2] - slot.xyxy[0])
        total = sum(widths.values()) or 1.0
        unknown = counts.pop(None, 0)
        self.figures.facings = len(facings)
        data: dict[str, Any] = {
            "facings": dict(sorted((str(k), v) for k, v in counts.items())),
            "known": sum(counts.values()),
            "unknown": unknown,
            "occluded": sum(s.hidden for s in slots),
            "gaps": sum(s.gap for s in slots),
            "share_of_shelf": {
                str(sku): round(float(width / total), 4)
                for sku, width in sorted(widths.items(), key=lambda item: str(item[0]))
                if sku is not None
            },
            "unknown_share": round(float(widths[None] / total), 4),
            "frame_age_s": round(self._clock.age_s(taken.shared.captured_ns), 3),
            **about,
        }
        at = self._told(taken.frame.captured_at)
        key = event_id(
            self.order.device, self.camera_id, "inventory", self._head.lineage, self.index, at
        )
        return Event(key, "inventory", self.order.device, self.camera_id, at, data)

    def _told(self, steady: datetime) -> datetime:
        return self._clock.wall(steady)
