"""An index that cannot be changed, made to follow changes: what is gone is passed over, what is new is
searched exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.gallery.exact import ExactIndex
from edge.gallery.index import Index
from edge.types import F32, I64, Neighbors

_SPARE = 16
"""Neighbours asked for beyond k at first, where some references are gone."""


class LayeredIndex:
    """``base`` without the references ``gone``, and with those of ``delta``. Immutable.

    Gives what one index of all living references would give.
    """

    def __init__(self, base: Index, gone: I64, delta: ExactIndex, living: int) -> None:
        """``gone (G,)`` ascending, of ``base`` alone: ``delta`` may hold an id that is in it.
        ``living`` references are left in both."""
        self.base = base
        self._gone = gone
        self._delta = delta
        self._living = living

    @property
    def kind(self) -> str:
        """That of the base."""
        return self.base.kind

    @property
    def note(self) -> str:
        """See ``edge.gallery.index.Index``."""
        parts = [self.base.note] if self.base.note else []
        if len(self._delta):
            parts.append(f"{len(self._delta)} newer references searched exactly")
        if len(self._gone):
            parts.append(f"{len(self._gone)} removed ones passed over")
        return ", ".join(parts)

    def __len__(self) -> int:
        return self._living

    def search(self, vectors: F32, k: int) -> Neighbors:
        """See ``edge.gallery.index.Index``."""
        old = self._of_base(vectors, k) if len(self._gone) else self.base.search(vectors, k)
        if not len(self._delta):
            return old
        new = self._delta.search(vectors, k)
        return _best(
            np.concatenate([old.reference_id, new.reference_id], axis=1),
            np.concatenate([old.similarity, new.similarity], axis=1),
            k,
        )

    def _of_base(self, vectors: F32, k: int) -> Neighbors:
        ids = np.full((len(vectors), k), -1, np.int64)
        similarity = np.full((len(vectors), k), -np.inf, np.float32)
        rows = np.arange(len(vectors))
        wanted = min(len(self.base), k + min(len(self._gone), _SPARE))
        while len(rows) and wanted:
            found = self.base.search(vectors[rows], wanted)
            dead = _among(found.reference_id, self._gone)
            kept = _best(
                np.where(dead, -1, found.reference_id),
                np.where(dead, -np.inf, found.similarity).astype(np.float32),
                k,
            )
            ids[rows, : kept.reference_id.shape[1]] = kept.reference_id
            similarity[rows, : kept.similarity.shape[1]] = kept.similarity
            if wanted == len(self.base):
                break
            # a row that ended in -1 had no more to give
            short = (kept.reference_id[:, -1] < 0) & (found.reference_id[:, -1] >= 0)
            rows = rows[short]
            wanted = min(len(self.base), 4 * wanted)
        return Neighbors(ids, similarity)


def _among(ids: I64, sorted_ids: I64) -> npt.NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(sorted_ids, ids), len(sorted_ids) - 1)
    return np.asarray(sorted_ids[at] == ids)


def _best(ids: I64, similarity: F32, k: int) -> Neighbors:
    order = np.lexsort((ids, -similarity), axis=1)[:, :k]
    return Neighbors(
        np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarity, order, axis=1)
    )
