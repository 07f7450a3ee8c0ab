"""The categories of a gallery as numbers, and margins over everything outside one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.gallery.evidence import LOWEST, Evidence
from edge.types import F32


class Hierarchy:
    """Which category node holds which SKU, level by level; the SKU itself is the last level."""

    def __init__(
        self, categories: Sequence[tuple[str, ...]], enrolled: npt.NDArray[np.bool_], depth: int
    ) -> None:
        """``categories`` per SKU, of which the first ``depth`` levels count; ``enrolled (S,)``
        tells which SKUs have a reference."""
        paths: dict[tuple[str, ...], int] = {}
        of_sku = np.array([paths.setdefault(c[:depth], len(paths)) for c in categories], np.int64)
        numbers: dict[tuple[str, ...], int] = {}
        nodes = np.full((max(len(paths), 1), depth), -1, np.int32)
        for path, row in paths.items():
            for level in range(len(path)):
                nodes[row, level] = numbers.setdefault(path[: level + 1], len(numbers))
        count = len(categories)
        self.depth = depth
        self._node = np.empty((count, depth + 1), np.int32)
        self._node[:, :depth] = nodes[of_sku] if count else 0
        self._node[:, depth] = np.arange(count)
        total = int(np.count_nonzero(enrolled))
        held = np.bincount(self._node[enrolled, :depth].ravel() + 1, minlength=len(numbers) + 1)
        self._holds_all = np.empty((count, depth + 1), np.bool_)
        self._holds_all[:, :depth] = held[self._node[:, :depth] + 1] >= total
        self._holds_all[:, depth] = total <= 1

    def margins(self, evidence: Evidence) -> F32:
        """``(N, depth + 1) float32``: the best score minus that of the best SKU elsewhere.

        Elsewhere is outside the best SKU's node at each level, and last any other SKU. Where none
        was found, it counts as ``evidence.bound``, or as -1 when the gallery has none. NaN where
        the best SKU's path does not reach the level, or no SKU was found.
        """
        if not len(self._node):
            return np.full((len(evidence.sku), self.depth + 1), np.nan, np.float32)
        best = evidence.sku[:, 0]
        node = self._node[best]
        found = evidence.sku >= 0
        elsewhere = np.empty(node.shape, np.float32)
        for level in range(self.depth + 1):
            outside = found & (self._node[evidence.sku, level] != node[:, level, None])
            elsewhere[:, level] = np.where(outside, evidence.score, -np.inf).max(axis=1)
        none = np.isneginf(elsewhere)
        floor = np.where(self._holds_all[best], LOWEST, evidence.bound[:, None])
        elsewhere = np.where(none, floor, elsewhere)
        margin = evidence.score[:, :1] - elsewhere
        margin[(best < 0)[:, None] | (node < 0)] = np.nan
        return np.asarray(margin, np.float32)
