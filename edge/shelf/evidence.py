"""Which slot a change belongs to, and how much of its facing looks different."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.shelf.block_shares import Blocks
from edge.types import F32, I64

Mask = npt.NDArray[np.bool_]
_FILLS = 0.4  # of a slot covered by a region, from which the region is the slot's, too


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The changed share ``(S,)`` of each slot, and the contrast ``(S,)`` of its strongest spot.

    ``labels (rows, columns)`` numbers the changed regions; ``owners`` names the slots of each.
    """

    share: F32
    contrast: F32
    labels: npt.NDArray[np.int32]
    owners: dict[int, list[int]]

    def region(self, index: int, slots: tuple[Blocks, ...]) -> Mask:
        """All blocks that changed with a slot, also those that reach into its neighbours."""
        mask = np.zeros(self.labels.shape, bool)
        for label, owners in self.owners.items():
            if index in owners:
                mine = self.labels == label
                for other in owners:
                    if other != index:
                        mine[slots[other]] = False
                mask |= mine
        return mask


def measure(open_: Mask, energy: F32, slots: tuple[Blocks, ...]) -> Evidence:
    """Find the slots to which the changes of a frame belong.

    What changes beside a slot (a neighbour taken away, its shadow) reaches into it. So a changed
    region counts for the one slot in or next to which most of it lies, and for each that it covers
    to a good part.

    Args:
        open_: changed blocks ``(rows, columns)`` that are still, with nobody in front.
        energy: mean square difference a block, in grey levels squared.
        slots: rows and columns of each slot's blocks.
    """
    share = np.zeros(len(slots), np.float32)
    contrast = np.zeros(len(slots), np.float32)
    # parts of one change need not touch: a badge here, its reflection next door
    near_by = cv2.dilate(open_.astype(np.uint8), np.ones((3, 3), np.uint8))
    count, found = cv2.connectedComponents(near_by, connectivity=8)
    labels = np.where(open_, found, 0).astype(np.int32)
    evidence = Evidence(share, contrast, labels, {})
    around = [grown(blocks) for blocks in slots]
    touched = [i for i, blocks in enumerate(around) if open_[blocks].any()]
    if not touched:
        return evidence
    inside = _counts([labels[slots[i]] for i in touched], count)
    near = _counts([labels[around[i]] for i in touched], count)
    # what lies in a box weighs more than what lies at its edge
    owner = (inside * 16 + near).argmax(axis=0)
    for row, index in enumerate(touched):
        area = labels[slots[index]].size
        mine = (owner == row) & (near[row] > 0) | (inside[row] >= _FILLS * area)
        mine[0] = False
        chosen = mine[labels[around[index]]]
        if chosen.any():
            share[index] = min(1.0, chosen.sum() / area)
            contrast[index] = np.sqrt(energy[around[index]][chosen].max())
            for label in np.flatnonzero(mine).tolist():
                evidence.owners.setdefault(label, []).append(index)
    return evidence


def _counts(parts: list[npt.NDArray[np.int32]], count: int) -> I64:
    """How many blocks of each region lie in each part, ``(parts, count)``."""
    return np.array([np.bincount(part.ravel(), minlength=count) for part in parts], np.int64)


def grown(blocks: Blocks) -> Blocks:
    """The blocks of a slot and one around them, since boxes are not exact."""
    rows, columns = blocks
    return (
        slice(max(rows.start - 1, 0), rows.stop + 1),
        slice(max(columns.start - 1, 0), columns.stop + 1),
    )
