"""What the shelf memory reports: one event for each change, with its times and evidence box."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal[
    "taken", "put_back", "replaced", "gap_opened", "gap_filled", "camera_moved", "view_changed"
]

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SlotEvent:
    """One change of a shelf, seen by one camera.

    ``taken``: the slot's product is gone (``sku_after`` None), or the next of its kind stands
    behind it (``sku_after`` the same SKU). ``put_back``: an empty slot holds the same SKU again
    before it became a gap. ``replaced``: another product stands there; both SKUs may be the same or
    None where the gallery cannot tell them apart. ``gap_opened``: the slot has been empty for
    ``gap_after_s``. ``gap_filled``: a gap, or a place where nothing stood, holds a product.
    ``camera_moved``: the picture shifted by ``shift_px`` and the slots with it. ``view_changed``:
    the slots were given up and are learned anew.

    ``number`` counts the events of a camera from 1 and never repeats; with the camera's name it
    identifies an event. ``changed_at`` is the first frame that showed the change, ``at`` the frame
    that settled it. ``xyxy`` is the evidence box in frame pixels (None for camera events);
    ``changed_share`` the part of the facing that looks different, ``similarity`` the cosine between
    its embeddings before and after (None where there is no before or after).
    """

    number: int
    kind: Kind
    camera_id: str
    at: datetime
    changed_at: datetime
    slot_id: int | None = None
    sku_before: str | None = None
    sku_after: str | None = None
    xyxy: Xyxy | None = None
    changed_share: float | None = None
    similarity: float | None = None
    shift_px: tuple[float, float] | None = None

    def to_json(self) -> dict[str, object]:
        """For machines; times as ISO 8601, numbers rounded."""
        record: dict[str, object] = {
            "number": self.number,
            "kind": self.kind,
            "camera": self.camera_id,
            "at": self.at.isoformat(timespec="milliseconds"),
            "changed_at": self.changed_at.isoformat(timespec="milliseconds"),
        }
        if self.slot_id is not None:
            record |= {
                "slot": self.slot_id,
                "sku_before": self.sku_before,
                "sku_after": self.sku_after,
            }
        if self.xyxy is not None:
            record["xyxy"] = [round(v, 1) for v in self.xyxy]
        if self.changed_share is not None:
            record["changed_share"] = round(self.changed_share, 3)
        if self.similarity is not None:
            record["similarity"] = round(self.similarity, 4)
        if self.shift_px is not None:
            record["shift_px"] = [round(v, 2) for v in self.shift_px]
        return record
