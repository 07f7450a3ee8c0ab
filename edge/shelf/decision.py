"""The rules by which a change that has settled becomes an event, or does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge import geometry
from edge.shelf.slot import Pending, Slot, is_phantom
from edge.shelf.slot_events import Kind
from edge.shelf.slot_settings import SlotSettings

_LOOKS = 2  # of the detector, before an absence is believed
_PUSHED = 0.06  # of a facing that looks different, from which it may be pushed: all its edges do
_RESIZED = 0.06  # a unit further back is smaller by at least this share of its area


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wait`` for more evidence, ``same`` product (or still nothing), or a change of a kind.

    ``empties`` says that nothing stands there any more; ``similarity`` is before against after.
    """

    outcome: Literal["wait", "same", "change"]
    kind: Kind | None = None
    similarity: float | None = None
    empties: bool = False


_WAIT, _SAME = Verdict("wait"), Verdict("same")


def decide(
    slot: Slot,
    pending: Pending,
    settings: SlotSettings,
    moved: Callable[[], bool],
    *,
    coded: bool = False,
) -> Verdict:
    """What became of a slot that looks changed and is still.

    A product is gone when the detector twice does not find it where most of the facing looks
    different; a detection that resembles no product of the gallery does not count. It is another
    one when the gallery says so, or when a spot of it changed by enough contrast. Pushed or turned,
    it stays the same: the gallery gives the same SKU for a facing that looks different all over, or
    ``moved`` (asked only where it matters) says that the same print is somewhere else. In a stream
    that is ``coded`` so that it shows, spots come and go: one of a product that looks the same to the
    gallery takes more contrast there.
    """
    if not slot.filled:
        return _decide_empty(slot, pending, settings)
    large = slot.changed_share >= settings.absent_share
    if pending.absent > pending.seen and large:
        return Verdict("change", "taken", empties=True) if pending.absent >= _LOOKS else _WAIT
    if pending.votes.count < settings.votes:
        return _WAIT
    similarity = slot.votes.similarity(pending.votes)
    if large and is_phantom(pending.answer, pending.confidence, settings):
        return Verdict("change", "taken", empties=True)
    differs = similarity is not None and similarity < settings.same_similarity
    before, after = slot.answer.sku_id, pending.answer.sku_id
    alike = similarity is not None and similarity >= settings.alike_similarity
    doubtful = coded and alike and before == after
    levels = settings.replaced_levels * (settings.coded_contrast if doubtful else 1.0)
    strong = slot.contrast >= levels
    if before != after and before is not None and after is not None and (differs or strong):
        return Verdict("change", "replaced", similarity)
    if strong and large and before == after and after is not None:
        kind = _by_size(slot, pending)
        return Verdict("change" if kind else "same", kind, similarity)
    pushed = before == after and (coded or slot.changed_share >= _PUSHED)
    if strong and not (pushed and moved()):
        return Verdict("change", "replaced", similarity)
    return Verdict("same", similarity=similarity)


def _decide_empty(slot: Slot, pending: Pending, settings: SlotSettings) -> Verdict:
    if pending.absent >= _LOOKS and pending.absent > pending.seen:
        return _SAME
    if not pending.seen or pending.votes.count < settings.votes:
        return _WAIT
    if is_phantom(pending.answer, pending.confidence, settings):
        return _SAME
    similarity = slot.votes.similarity(pending.votes)
    if slot.gap or not slot.held:
        return Verdict("change", "gap_filled", similarity)
    before, after = slot.answer.sku_id, pending.answer.sku_id
    same = before == after
    if before is None or after is None:
        same = similarity is not None and similarity >= settings.same_similarity
    return Verdict("change", "put_back" if same else "replaced", similarity)


def _by_size(slot: Slot, pending: Pending) -> Kind | None:
    """Same SKU, other look: smaller is the next unit behind, larger one that was put before it."""
    if pending.box is None:
        return None
    boxes = np.stack([slot.xyxy, pending.box])
    before, after = (float(v) for v in geometry.area(boxes))
    if after < (1 - _RESIZED) * before:
        return "taken"
    return "put_back" if after > (1 + _RESIZED) * before else None
