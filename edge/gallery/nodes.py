"""Which references each node of the graph stands for.

Many equal vectors (one picture enrolled again and again, a tower that collapsed) tear an HNSW graph
apart: each links to its twins and to nothing else. So there is one node a distinct vector.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge.gallery.queries import no_neighbors
from edge.types import F32, I64

U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_BLOCK = 512  # vectors hashed at a time: what a core's cache holds


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Node n stands for ``ids[start[n]:start[n + 1]]``, ascending, of one vector with ``digest[n]``.

    ``ids (R,) int64``; ``start (N + 1,) int64``; ``digest (N,) uint64``.
    """

    ids: I64
    start: I64
    digest: U64
    _single: bool = field(init=False)

    def __post_init__(self) -> None:
        # most galleries hold no vector twice: then nothing is to be unfolded
        object.__setattr__(self, "_single", bool(np.all(np.diff(self.start) == 1)))

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.digest)

    @classmethod
    def none(cls) -> Nodes:
        """No node yet."""
        return cls(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.uint64))

    def updated(self, ids: I64, digest: U64) -> tuple[Nodes, I64, I64]:
        """The nodes once the references are ``ids (R,)`` ascending with ``digest (R,)``.

        A node keeps its number. One that loses its last reference stays as a dead one and is never
        used again. Also gives the row ``(A,)`` in ``ids`` of the first reference of each node that
        is appended, and the numbers ``(F,)`` of the nodes that died.
        """
        lived = np.diff(self.start) > 0
        alive = np.flatnonzero(lived)
        alive = alive[np.argsort(self.digest[alive])]
        node = np.full(len(ids), -1, np.int64)
        if len(alive):
            at = np.minimum(np.searchsorted(self.digest[alive], digest), len(alive) - 1)
            known = self.digest[alive[at]] == digest
            node[known] = alive[at[known]]
        fresh = np.flatnonzero(node < 0)
        _, first, inverse = np.unique(digest[fresh], return_index=True, return_inverse=True)
        order = np.argsort(first)  # np.unique sorts by digest
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        node[fresh] = len(self) + rank[inverse]
        rows = fresh[first[order]]
        views = np.bincount(node, minlength=len(self) + len(rows))
        made = Nodes(
            ids[np.argsort(node, kind="stable")],
            np.concatenate([[0], np.cumsum(views)]).astype(np.int64),
            np.concatenate([self.digest, digest[rows]]),
        )
        return made, rows.astype(np.int64), np.flatnonzero(lived & (views[: len(self)] == 0))

    def reference_digests(self) -> U64:
        """The digest ``(R,)`` of each of ``ids``."""
        return np.repeat(self.digest, np.diff(self.start))

    def expand(self, found: I64, similarity: F32, k: int) -> tuple[I64, F32]:
        """The best k references a row, from nodes ``(Q, B)`` (-1 = none) and their similarities.

        Equal similarities come in the order of their ids.
        """
        ids, best = no_neighbors(len(found), k)
        if self._single and len(self.ids):
            if len(found) == 1 and found[0, -1] >= 0:
                every = self.ids[found[0]]
                first = np.lexsort((every, -similarity[0]))[:k]
                ids[0, : len(first)], best[0, : len(first)] = every[first], similarity[0, first]
                return ids, best
            every = np.where(found >= 0, self.ids[found], -1)
            order = np.lexsort((every, -similarity), axis=1)[:, :k]
            ids[:, : order.shape[1]] = np.take_along_axis(every, order, axis=1)
            best[:, : order.shape[1]] = np.take_along_axis(similarity, order, axis=1)
            return ids, best
        row, column = np.nonzero(found >= 0)
        node = found[row, column]
        views = np.minimum(self.start[node + 1] - self.start[node], k)
        at = np.repeat(np.arange(len(node)), views)
        nth = np.arange(len(at)) - np.repeat(np.cumsum(views) - views, views)
        reference = self.ids[self.start[node[at]] + nth]
        row, value = row[at], similarity[row, column][at]
        order = np.lexsort((reference, -value, row))
        row, reference, value = row[order], reference[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        keep = place < k
        ids[row[keep], place[keep]] = reference[keep]
        best[row[keep], place[keep]] = value[keep]
        return ids, best


def vector_digests(vectors: F32) -> U64:
    """64 bits ``(N,)`` of each vector's bytes: equal vectors have equal digests.

    A multiplicative hash of fixed odd constants (Dietzfelbinger and others, 1997) that tells vectors
    apart that nobody has chosen to collide; not a proof against damage, which is SHA-256's task.
    """
    words = -(-vectors.shape[1] // 2)
    factor, last = (
        np.random.default_rng(0x53484C46).integers(0, 2**63, (2, words), np.uint64) * 2 + 1
    )
    out = np.empty(len(vectors), np.uint64)
    part = np.zeros((min(_BLOCK, len(vectors)), 2 * words), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        some = vectors[start : start + _BLOCK]
        # adding 0 makes a minus zero a zero
        np.add(some, np.float32(0), out=part[: len(some), : vectors.shape[1]])
        mixed = part[: len(some)].view(np.uint64) * factor
        mixed ^= mixed >> np.uint64(31)
        out[start : start + _BLOCK] = mixed @ last
    return out
