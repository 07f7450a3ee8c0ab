"""Tells somebody in front of the shelf from a product that changed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.shelf.slot_settings import SlotSettings

Mask = npt.NDArray[np.bool_]
_LEAST_BLOCKS = 3  # a smaller region is noise
_MOVING_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Where the picture is not as it was, per block ``(rows, columns)``.

    ``unsettled``: moving now or a moment ago; ``occluded``: somebody or something stands in front;
    ``open``: changed, still, and nobody in front.
    """

    unsettled: Mask
    occluded: Mask
    open: Mask


class Occlusion:
    """Sorts changed regions, and remembers how long a still one has stood in front."""

    def __init__(self, settings: SlotSettings) -> None:
        self._settings = settings
        self._since_s: dict[int, float] = {}

    def sort(
        self,
        changed: Mask,
        still: Mask,
        shelved: Mask,
        facing_blocks: float,
        elapsed_s: float,
    ) -> Regions:
        """Sort the regions of one frame.

        A connected region larger than ``occluder_facings`` is in front when part of it moved within
        ``calm_s``, or when more than ``occluder_outside_share`` of it lies outside all slots:
        products change inside their slots, a person hides rails and boards as well. One that is
        still for ``occluded_max_s`` becomes part of the scene.

        Args:
            changed: blocks that differ from the reference.
            still: blocks that have not moved for ``calm_s``.
            shelved: blocks that belong to slots.
            facing_blocks: median size of a slot in blocks.
            elapsed_s: seconds since the frame before.
        """
        active = changed | ~still
        near = cv2.dilate(active.astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
        inside = labels * active
        size = np.bincount(inside.ravel(), minlength=count)
        moved = np.bincount(inside[~still], minlength=count)
        outside = np.bincount(inside[active & ~shelved], minlength=count)
        large = size >= self._settings.occluder_facings * facing_blocks
        alive = moved >= _MOVING_SHARE * np.maximum(size, 1)
        standing = outside >= self._settings.occluder_outside_share * np.maximum(size, 1)
        front = large & (alive | standing)
        restless = (moved >= _LEAST_BLOCKS) & ~front
        front[0] = restless[0] = False
        front &= ~self._settled_in(np.asarray(stats, np.int32), front & ~alive, elapsed_s)
        calm = (size >= 1) & ~front
        calm[0] = False
        occluded = front[labels] & active
        beside = occluded
        if occluded.any():
            reach = round(self._settings.occluder_margin * facing_blocks**0.5)
            beside = cv2.dilate(
                occluded.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)
            ).astype(bool)
        return Regions(
            unsettled=(restless[labels] & ~still) | beside,
            occluded=occluded,
            open=calm[labels] & changed & still & ~beside,
        )

    def _settled_in(self, stats: npt.NDArray[np.int32], standing: Mask, elapsed_s: float) -> Mask:
        """Standing regions whose time is over; each is known by where its box roughly is."""
        over = np.zeros(len(standing), bool)
        seen: dict[int, float] = {}
        for label in np.flatnonzero(standing):
            x, y, w, h = (int(v) // 8 for v in stats[label, :4])
            key = ((x * 64 + y) * 64 + w) * 64 + h
            seen[key] = self._since_s.get(key, 0.0) + elapsed_s
            over[label] = seen[key] > self._settings.occluded_max_s
        self._since_s = seen
        return over
