"""Which detection belongs to which slot."""

from __future__ import annotations

import numpy as np

from edge import geometry
from edge.types import F32, I64


def associate(slots: F32, found: F32, least: F32) -> I64:
    """The detection of each slot, ``(S,)`` indices into ``found``, -1 where there is none.

    Pairs are taken by falling IoU, each slot and detection once, down to each slot's ``least (S,)``.
    Boxes are ``(S, 4)`` and ``(N, 4) float32`` in the same pixels.
    """
    partner = np.full(len(slots), -1, dtype=np.int64)
    if not len(slots) or not len(found):
        return partner
    overlap = geometry.iou(slots, found)
    overlap[overlap < least[:, None]] = 0.0
    while True:
        # a pair that is the best of its row and of its column is one that greedy matching takes
        best = overlap.argmax(axis=1)
        value = overlap[np.arange(len(slots)), best]
        mutual = (value > 0) & (overlap.argmax(axis=0)[best] == np.arange(len(slots)))
        if not mutual.any():
            return partner
        partner[mutual] = best[mutual]
        overlap[mutual] = 0.0
        overlap[:, best[mutual]] = 0.0


def uncovered(found: F32, slots: F32, most: float) -> I64:
    """Indices of the detections of which at most a share ``most`` lies in any one slot."""
    if not len(found) or not len(slots):
        return np.arange(len(found), dtype=np.int64)
    share = geometry.intersection(found, slots) / np.maximum(geometry.area(found), 1e-6)[:, None]
    return np.flatnonzero(share.max(axis=1) <= most).astype(np.int64)
