"""How much of each box a block mask covers, for all boxes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import F32, I64

Mask = npt.NDArray[np.bool_]
Blocks = tuple[slice, slice]


class BlockShares:
    """Boxes in blocks; answers shares by an integral image, so that many boxes cost as one."""

    def __init__(self, blocks: Sequence[Blocks]) -> None:
        self.blocks = tuple(blocks)
        edges = [(r.start, r.stop, c.start, c.stop) for r, c in blocks]
        self._edges: I64 = np.array(edges, dtype=np.int64).reshape(-1, 4)
        top, bottom, left, right = self._edges.T
        self.sizes: I64 = np.maximum((bottom - top) * (right - left), 1)

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        return cls(())

    def of(self, mask: Mask) -> F32:
        """The share ``(N,) float32`` of each box's blocks that are set in ``mask``."""
        total = cv2.integral(mask.astype(np.uint8))
        top, bottom, left, right = self._edges.T
        inside = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        return np.asarray(inside / self.sizes, dtype=np.float32)

    def union(self, shape: tuple[int, int]) -> Mask:
        """The blocks that lie in any box."""
        mask = np.zeros(shape, bool)
        for rows, columns in self.blocks:
            mask[rows, columns] = True
        return mask

    def median_size(self) -> float:
        """Median size in blocks; 1 without boxes."""
        return float(np.median(self.sizes)) if len(self.blocks) else 1.0
