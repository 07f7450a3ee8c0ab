"""What the daemon tells the world: events of a documented, versioned schema.

``event.schema.json`` beside this module is the schema (JSON Schema 2020-12). Within one ``format``
keys may be added, never removed or given another meaning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

FORMAT = 1
SCHEMA = Path(__file__).with_name("event.schema.json")

Kind = Literal["change", "inventory", "camera_health", "device_health"]
SNAPSHOTS: frozenset[Kind] = frozenset({"inventory", "camera_health", "device_health"})
"""Kinds of which a newer event replaces an older one; they are the first to go when it is tight."""

DEVICE = "_device"
"""Stands for ``camera`` in events about the device as a whole; no camera can have this name."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was seen.

    ``id`` is the same whenever the same thing is told again; ``at`` is when it was seen (UTC-aware,
    of a clock that may be wrong: order follows the order of delivery, not ``at``); ``data`` is as
    the schema has it for the kind.
    """

    id: str
    kind: Kind
    device: str
    camera: str
    at: datetime
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("at must be timezone-aware")

    @property
    def is_snapshot(self) -> bool:
        """Whether a newer event of its kind and camera makes this one worthless."""
        return self.kind in SNAPSHOTS

    def to_json(self) -> str:
        """The event as one line of JSON, as every sink gives it away."""
        record = {
            "format": FORMAT,
            "id": self.id,
            "kind": self.kind,
            "device": self.device,
            "camera": None if self.camera == DEVICE else self.camera,
            "at": timestamp(self.at),
            "data": self.data,
        }
        return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def event_id(device: str, camera: str, kind: str, *what: object) -> str:
    """A name for one happening: the same parts give the same 32 hex digits, on every run."""
    text = "\x1f".join([device, camera, kind, *(str(part) for part in what)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as in ``2031-05-04T09:30:00.125Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
