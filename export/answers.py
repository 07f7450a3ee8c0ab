"""What a gallery answers to labelled pictures, and which of it is right, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.gallery.evidence import gather
from edge.gallery.exact import ExactIndex
from edge.gallery.hierarchy import Hierarchy
from edge.types import F32, I64

Flags = NDArray[np.bool_]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Embedded pictures: ``vectors (N, D)`` of norm 1, their SKUs, and the category path of each."""

    vectors: F32
    labels: tuple[str, ...]
    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not len(self.vectors) == len(self.labels) == len(self.paths):
            raise ValueError(
                f"vectors, labels and paths differ in number: {len(self.vectors)},"
                f" {len(self.labels)}, {len(self.paths)}"
            )

    def where(self, keep: Flags) -> Labelled:
        """The pictures for which ``keep (N,)`` holds."""
        at = np.flatnonzero(keep).tolist()
        return Labelled(
            self.vectors[at], tuple(self.labels[i] for i in at), tuple(self.paths[i] for i in at)
        )

    def of(self, skus: frozenset[str]) -> Labelled:
        """The pictures of these SKUs."""
        return self.where(np.array([label in skus for label in self.labels], np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Nearest SKUs of Q queries, before any decision.

    ``score (Q,)`` and ``margins (Q, L + 1)`` as of ``Hierarchy.margins``, the SKU last;
    ``right (Q, L + 1)`` whether the best SKU's node at that level is the true one;
    ``known (Q,)`` whether the query's SKU is in the gallery; ``labels`` the true SKUs.
    """

    score: F32
    margins: F32
    right: Flags
    known: Flags
    labels: tuple[str, ...]

    @property
    def depth(self) -> int:
        """The number of category levels."""
        return int(self.right.shape[1]) - 1

    def where(self, keep: Flags) -> Answers:
        """The queries for which ``keep (Q,)`` holds."""
        labels = tuple(self.labels[i] for i in np.flatnonzero(keep).tolist())
        return Answers(
            self.score[keep], self.margins[keep], self.right[keep], self.known[keep], labels
        )


def join(parts: Sequence[Answers]) -> Answers:
    """All the answers of several draws, one after another."""
    return Answers(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.margins for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.known for part in parts]),
        tuple(label for part in parts for label in part.labels),
    )


def depth_of(gallery: Labelled) -> int:
    """The number of levels of the longest path."""
    lengths: list[int] = [len(path) for path in gallery.paths]
    return max(lengths, default=0)


def answer(gallery: Labelled, queries: Labelled, *, views: int, depth: int) -> Answers:
    """Search every query exactly and combine the references of each SKU as the device does."""
    skus = sorted(set(gallery.labels))
    number = {sku: i for i, sku in enumerate(skus)}
    path_of = dict(zip(gallery.labels, gallery.paths, strict=True))
    paths = [path_of[sku] for sku in skus]
    owner_of: I64 = np.array([number[label] for label in gallery.labels], np.int64)
    index = ExactIndex(np.arange(len(owner_of)), gallery.vectors)
    neighbors = index.search(queries.vectors, len(owner_of))
    owner = np.where(neighbors.reference_id >= 0, owner_of[neighbors.reference_id], -1)
    views_of = np.bincount(owner_of, minlength=len(skus))
    evidence = gather(neighbors, owner, views_of, views)
    margins = Hierarchy(paths, views_of > 0, depth).margins(evidence)
    best = evidence.sku[:, 0]
    right = np.zeros((len(best), depth + 1), np.bool_)
    for row, (sku, truth) in enumerate(zip(best.tolist(), queries.paths, strict=True)):
        found = paths[sku]
        for level in range(min(depth, len(found))):
            right[row, level] = found[: level + 1] == truth[: level + 1]
        right[row, depth] = skus[sku] == queries.labels[row]
    known = np.array([label in number for label in queries.labels], np.bool_)
    return Answers(evidence.score[:, 0], margins, right, known, queries.labels)


def draw(labels: Sequence[str], share: float, rng: np.random.Generator) -> frozenset[str]:
    """About ``share`` of the labels, at least one, drawn at random."""
    names = sorted(set(labels))
    count = max(1, round(share * len(names)))
    return frozenset(names[int(i)] for i in rng.permutation(len(names))[:count])
