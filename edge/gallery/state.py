"""One committed state of a gallery in memory, and how the next one follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.gallery.base import Base
from edge.gallery.exact import ExactIndex
from edge.gallery.hnsw import HnswIndex
from edge.gallery.index import Index
from edge.gallery.layered import LayeredIndex
from edge.gallery.nodes import U64, vector_digests
from edge.gallery.packed_skus import PackedSkus
from edge.gallery.records import Changes, ReferenceSet, Snapshot
from edge.types import F32, I32, I64


@dataclass(frozen=True, slots=True, eq=False)
class GalleryState:
    """SKUs, references and how they are searched. Immutable; every array in it too.

    ``skus`` is in the order of its keys; ``ids (R,) int64`` ascending are the living references and
    ``sku_index (R,)`` the place of each one's SKU. ``base`` has the references of an earlier state;
    ``gone (G,)`` ascending are those of its ids that do not count any more, and ``delta_ids (A,)``
    ascending with ``delta_vectors (A, D)`` those that it lacks.
    """

    version: str
    last_seq: int
    skus: PackedSkus
    ids: I64
    sku_index: I32
    base: Base
    gone: I64
    delta_ids: I64
    delta_vectors: F32

    @classmethod
    def of(cls, snapshot: Snapshot, base: Base) -> GalleryState:
        """A state read from the file, searched by a base that may be of another one."""
        skus = PackedSkus.of(snapshot.skus)
        return cls.read(snapshot.version, snapshot.last_seq, skus, [snapshot.references], base)

    @classmethod
    def read(
        cls,
        version: str,
        last_seq: int,
        skus: PackedSkus,
        blocks: Iterable[ReferenceSet],
        base: Base,
    ) -> GalleryState:
        """As ``of``, from references in blocks by ascending id: only what the base lacks is kept."""
        order = np.argsort(base.ids, kind="stable")
        have = base.ids[order]
        theirs = (
            base.parts.nodes.reference_digests()[order] if isinstance(base, HnswIndex) else None
        )
        valid = np.zeros(len(have), bool)
        ids, sku_index, new_ids, new_vectors = [], [], [], []
        for block in blocks:
            known = np.zeros(len(block), bool)
            if len(have) and len(block):
                at = np.minimum(np.searchsorted(have, block.ids), len(have) - 1)
                known = have[at] == block.ids
                if theirs is not None:
                    known &= theirs[at] == vector_digests(block.vectors)
                valid[at[known]] = True
            ids.append(block.ids)
            sku_index.append(block.sku_index)
            new_ids.append(block.ids[~known])
            new_vectors.append(block.vectors[~known])
        dim = base.vectors.shape[1] if isinstance(base, ExactIndex) else base.dim
        return cls(
            version=version,
            last_seq=last_seq,
            skus=skus,
            ids=np.concatenate([np.zeros(0, np.int64), *ids]),
            sku_index=np.concatenate([np.zeros(0, np.int32), *sku_index]),
            base=base,
            gone=have[~valid],
            delta_ids=np.concatenate([np.zeros(0, np.int64), *new_ids]),
            delta_vectors=np.concatenate([np.zeros((0, dim), np.float32), *new_vectors]),
        )

    @property
    def backlog(self) -> int:
        """How many references the base lacks or has too many."""
        return len(self.gone) + len(self.delta_ids)

    def index(self) -> Index:
        """The search over the living references."""
        if not self.backlog:
            return self.base
        delta = ExactIndex(self.delta_ids, self.delta_vectors)
        return LayeredIndex(self.base, self.gone, delta, len(self.ids))

    def vectors(self) -> F32:
        """The vectors ``(R, D) float32`` of ``ids``."""
        out = np.empty((len(self.ids), self.delta_vectors.shape[1]), np.float32)
        new = _among(self.ids, self.delta_ids)
        out[new] = self.delta_vectors
        old = self.ids[~new]
        if isinstance(self.base, ExactIndex):
            out[~new] = self.base.vectors[np.searchsorted(self.base.ids, old)]
        else:
            node, at = self._in_base(self.base, old)
            out[~new] = self.base.parts.vectors.take(node[at])
        return out

    def sample(self, most: int) -> tuple[I32, F32]:
        """The place of the SKU ``(M,)`` and the vector ``(M, D)`` of at most ``most`` references,
        evenly spread over their ids; of all, where there are no more."""
        take = np.unique(np.linspace(0, len(self.ids) - 1, min(most, len(self.ids))).astype(int))
        ids = self.ids[take]
        new = _among(self.delta_ids, ids)
        some = replace(
            self, ids=ids, delta_ids=self.delta_ids[new], delta_vectors=self.delta_vectors[new]
        )
        return self.sku_index[take], some.vectors()

    def digests(self, base: HnswIndex) -> U64:
        """The digest ``(R,)`` of each of ``ids``; ``base`` is the state's own."""
        out = np.empty(len(self.ids), np.uint64)
        new = _among(self.ids, self.delta_ids)
        out[new] = vector_digests(self.delta_vectors)
        node, at = self._in_base(base, self.ids[~new])
        out[~new] = base.parts.nodes.digest[node[at]]
        return out

    @staticmethod
    def _in_base(base: HnswIndex, ids: I64) -> tuple[I64, I64]:
        """The node of each reference of the base, by id, and where ``ids`` are among them."""
        nodes = base.parts.nodes
        order = np.argsort(nodes.ids, kind="stable")
        node = np.repeat(np.arange(len(nodes)), np.diff(nodes.start))[order]
        return node, np.searchsorted(nodes.ids[order], ids)

    def after(self, changes: Changes) -> GalleryState:
        """The state that ``changes`` lead to; GalleryError when they do not follow from this one."""
        if changes.since != self.last_seq:
            raise GalleryError(f"changes since {changes.since} do not follow {self.last_seq}")
        skus, owner = self._skus_after(changes)
        stays = ~_among(self.ids, changes.removed)
        ids = np.concatenate([self.ids[stays], changes.ids])
        try:
            added = np.array([skus.place(sku_id) for sku_id in changes.sku_ids], np.int32)
            moved = np.array([skus.place(i) for i in changes.relabelled.values()], np.int32)
        except KeyError as error:
            raise GalleryError(f"changes name a SKU {error} that is not there") from error
        kept = owner[self.sku_index[stays]]
        if len(moved):
            at = np.searchsorted(self.ids[stays], np.array(list(changes.relabelled), np.int64))
            kept[at] = moved
        order = np.argsort(ids, kind="stable")
        ids, sku_index = ids[order], np.concatenate([kept, added])[order]
        if len(ids) != changes.reference_count or len(skus) != changes.sku_count:
            raise GalleryError("changes do not lead to as many references and SKUs as there are")
        if np.any(np.diff(ids) <= 0) or np.any(sku_index < 0):
            raise GalleryError("changes contradict the state that they are applied to")
        waiting = ~_among(self.delta_ids, changes.removed)
        delta_ids = np.concatenate([self.delta_ids[waiting], changes.ids])
        delta = np.concatenate([self.delta_vectors[waiting], changes.vectors])
        order = np.argsort(delta_ids, kind="stable")
        leave = changes.removed[~_among(changes.removed, self.delta_ids)]
        return GalleryState(
            version=changes.version,
            last_seq=changes.last_seq,
            skus=skus,
            ids=ids,
            sku_index=sku_index,
            base=self.base,
            gone=np.union1d(self.gone, leave),
            delta_ids=delta_ids[order],
            delta_vectors=delta[order],
        )

    def on(self, base: Base) -> GalleryState:
        """The same state searched by a base that was made of this one or of one before it."""
        have = np.sort(base.ids)
        waits = ~_among(self.delta_ids, have)
        return replace(
            self,
            base=base,
            gone=have[~_among(have, self.ids)],
            delta_ids=self.delta_ids[waits],
            delta_vectors=self.delta_vectors[waits],
        )

    def _skus_after(self, changes: Changes) -> tuple[PackedSkus, I32]:
        """The SKUs then, and the new place ``(S,)`` of each of the old ones (-1 = gone)."""
        if not changes.skus and not changes.removed_skus:
            return self.skus, np.arange(len(self.skus), dtype=np.int32)
        return self.skus.after(changes.skus, changes.removed_skus)


def _among(ids: I64, sorted_ids: I64) -> npt.NDArray[np.bool_]:
    if not len(sorted_ids):
        return np.zeros(ids.shape, bool)
    at = np.minimum(np.searchsorted(sorted_ids, ids), len(sorted_ids) - 1)
    return np.asarray(sorted_ids[at] == ids)
