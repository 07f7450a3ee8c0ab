"""One place on the shelf: where it is, what stands there, and what is being looked into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edge import geometry
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32, Candidate, Matches

SlotState = Literal["filled", "empty", "occluded"]
_SAME_BOX = 0.8  # overlap from which a slot keeps its box, so that its crops stay comparable


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gallery said about a product; fields as a row of ``Matches``, and its ``clearance``:
    how far, in cosine, it is from where it would be another, NaN where that is not known."""

    sku_id: str | None = None
    category: tuple[str, ...] = ()
    similarity: float = float("nan")
    margin: float = float("nan")
    probability: float = float("nan")
    top: tuple[Candidate, ...] = ()
    clearance: float = float("nan")

    @classmethod
    def of(cls, matches: Matches, row: int) -> Answer:
        """One row of a gallery's decision."""
        return cls(
            matches.sku_id[row],
            matches.category[row],
            float(matches.similarity[row]),
            float(matches.margin[row]),
            float(matches.probability[row]),
            matches.top[row],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Embeddings of one product, added up: the sum of unit vectors is its identity over time.

    ``light`` is the best in which one was made, as a part of the reference's.
    """

    total: F32 | None = None
    count: float = 0.0
    light: float = 0.0

    def with_vector(self, vector: F32, most: int, light: float = 1.0) -> Votes:
        """One more embedding; above ``most`` the older ones fade."""
        light = max(self.light, light)
        if self.total is None:
            return Votes(vector.copy(), 1.0, light)
        fade = min(1.0, (most - 1) / self.count)
        total = self.total * np.float32(fade) + vector
        return Votes(np.asarray(total, np.float32), self.count * fade + 1.0, light)

    def confirmed_in(self, light: float, least: float) -> bool:
        """Whether an embedding in this light adds to what was seen in better one."""
        return light >= least * min(self.light, 1.0)

    def mean(self) -> F32:
        """The direction of the sum, of length 1; ValueError before the first embedding."""
        if self.total is None:
            raise ValueError("no embedding yet")
        length = float(np.linalg.norm(self.total))
        return np.asarray(self.total / max(length, 1e-12), np.float32)

    def similarity(self, other: Votes) -> float | None:
        """Cosine between two products; None where one has no embedding."""
        if self.total is None or other.total is None:
            return None
        return float(self.mean() @ other.mean())


@dataclass(slots=True, eq=False)
class Pending:
    """A change that is being looked into: what the detector and the tower said since it settled, at
    ``since_s`` of the memory's clock."""

    seen: int = 0
    absent: int = 0
    box: F32 | None = None
    confidence: float = 0.0
    votes: Votes = field(default_factory=Votes)
    answer: Answer = field(default_factory=Answer)
    since_s: float = 0.0

    @property
    def looks(self) -> int:
        """Passes of the detector since the change."""
        return self.seen + self.absent


@dataclass(slots=True, eq=False)
class Slot:
    """A facing's place. Times are seconds of the memory's own clock.

    ``xyxy (4,) float32`` in frame pixels; ``filled`` False means empty; ``held`` that an empty slot
    held a product before, which ``votes`` and ``answer`` then still describe; ``looks`` and
    ``hits`` how often the detector looked and found it, older looks fading. Of the present frame:
    ``hidden`` somebody stands in front; ``restless`` something moves there; ``changed_share`` the
    part that looks different from the reference, ``contrast`` the strongest spot of it in grey
    levels; ``same_at`` when it last looked the same.
    """

    slot_id: int
    xyxy: F32
    confidence: float
    filled: bool = True
    gap: bool = False
    votes: Votes = field(default_factory=Votes)
    answer: Answer = field(default_factory=Answer)
    held: bool = False
    empty_since: float = 0.0
    embedded_at: float = float("-inf")
    looks: float = 0.0
    hits: float = 0.0
    hidden: bool = False
    restless: bool = False
    changed_share: float = 0.0
    contrast: float = 0.0
    same_at: float = 0.0
    pending: Pending | None = None

    @property
    def state(self) -> SlotState:
        """filled, empty or occluded."""
        if self.hidden:
            return "occluded"
        return "filled" if self.filled else "empty"

    @property
    def watched(self) -> bool:
        """Whether it can be seen and is still."""
        return not self.hidden and not self.restless

    def looked(self, found: bool, most: float = 12.0) -> None:
        """Count one look of the detector."""
        fade = min(1.0, (most - 1) / self.looks) if self.looks else 1.0
        self.looks = self.looks * fade + 1.0
        self.hits = self.hits * fade + float(found)

    def counts(self, settings: SlotSettings) -> bool:
        """Whether it stands for a facing of the inventory: found often enough, and no piece of shelf."""
        phantom = is_phantom(self.answer, self.confidence, settings)
        return (
            not phantom and self.filled and self.hits >= settings.present_share * self.looks - 1e-6
        )

    def check_box(self) -> F32 | None:
        """The box by which a change is judged; None while there is none.

        The slot's own as long as the detection is about there: then crops before and after differ
        by the product alone.
        """
        box = self.pending.box if self.pending is not None else None
        if box is None:
            return self.xyxy if self.filled else None
        return self.xyxy if self.filled and alike(box, self.xyxy) else box


def is_phantom(answer: Answer, confidence: float, settings: SlotSettings) -> bool:
    """Whether the detector found a piece of empty shelf: unsure, and like nothing that is sold."""
    return (
        bool(answer.top)
        and answer.similarity < settings.phantom_similarity
        and confidence < settings.phantom_confidence
    )


def alike(a: F32, b: F32) -> bool:
    """Whether two boxes ``(4,)`` are so near that a slot keeps its own."""
    return float(geometry.iou(a[None], b[None])[0, 0]) >= _SAME_BOX
