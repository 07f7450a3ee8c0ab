"""What a gallery answers to labelled pictures, and which of it is right, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.gallery.category_ridge import CategoryRidge
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
    """What a gallery finds for Q queries, before any decision.

    ``score (Q,)`` and ``margins (Q, L + 1)`` as of ``Hierarchy.margins``, the SKU last, the levels those
    of the path that is told: the best SKU's, or the category classifier's. ``right (Q, L + 1)``:
    whether that path is the true one down to this level, and whether the best SKU is the true one;
    ``agree (Q,)`` whether it is the best SKU's path. ``nearest (Q, L)``: whether the best SKU's own path
    is right down to this level, which is what an accepted SKU says. ``whole (Q, 2)``: whether the path
    told, and the best SKU's, is the true one as a whole. ``known (Q,)``: whether the query's SKU is in
    the gallery; ``labels`` the true SKUs.
    """

    score: F32
    margins: F32
    right: Flags
    agree: Flags
    nearest: Flags
    whole: Flags
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
            self.score[keep], self.margins[keep], self.right[keep], self.agree[keep],
            self.nearest[keep], self.whole[keep], self.known[keep], labels,
        )  # fmt: skip


def join(parts: Sequence[Answers]) -> Answers:
    """All the answers of several draws, one after another."""
    return Answers(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.margins for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.agree for part in parts]),
        np.concatenate([part.nearest for part in parts]),
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.known for part in parts]),
        tuple(label for part in parts for label in part.labels),
    )


def depth_of(gallery: Labelled) -> int:
    """The number of levels of the longest path."""
    lengths: list[int] = [len(path) for path in gallery.paths]
    return max(lengths, default=0)


def answer(
    gallery: Labelled, queries: Labelled, *, views: int, depth: int, ridge: float | None = None
) -> Answers:
    """Search every query exactly and combine the references of each SKU as the device does.

    With ``ridge``, categories are those of the device's classifier.
    """
    skus = sorted(set(gallery.labels))
    number = {sku: i for i, sku in enumerate(skus)}
    path_of = dict(zip(gallery.labels, gallery.paths, strict=True))
    paths = [path_of[sku][:depth] for sku in skus]
    owner_of: I64 = np.array([number[label] for label in gallery.labels], np.int64)
    index = ExactIndex(np.arange(len(owner_of)), gallery.vectors)
    neighbors = index.search(queries.vectors, len(owner_of))
    owner = np.where(neighbors.reference_id >= 0, owner_of[neighbors.reference_id], -1)
    views_of = np.bincount(owner_of, minlength=len(skus))
    evidence = gather(neighbors, owner, views_of, views)
    margins = Hierarchy(paths, views_of > 0, depth).margins(evidence)
    best = evidence.sku[:, 0].tolist()
    nearest = told = [paths[sku] for sku in best]
    if ridge is not None:
        classifier = CategoryRidge.fit(gallery.vectors, owner_of, paths, depth, ridge)
        place, margins[:, :-1] = classifier.margins(queries.vectors)
        told = [classifier.paths[i] if i >= 0 else () for i in place.tolist()]
    hit = np.array([skus[i] == label for i, label in zip(best, queries.labels, strict=True)])
    truth = queries.paths
    known = np.array([label in number for label in queries.labels], np.bool_)
    return Answers(
        score=evidence.score[:, 0],
        margins=margins,
        right=np.concatenate([_shared(told, truth, depth), hit[:, None]], axis=1),
        agree=np.array([a == b for a, b in zip(told, nearest, strict=True)], np.bool_),
        nearest=_shared(nearest, truth, depth),
        whole=np.stack([_same(told, truth), _same(nearest, truth)], axis=1),
        known=known,
        labels=queries.labels,
    )


def draw(labels: Sequence[str], share: float, rng: np.random.Generator) -> frozenset[str]:
    """About ``share`` of the labels, at least one, drawn at random."""
    names = sorted(set(labels))
    count = max(1, round(share * len(names)))
    return frozenset(names[int(i)] for i in rng.permutation(len(names))[:count])


def draw_in_turn(
    labels: Sequence[str], share: float, draws: int, rng: np.random.Generator
) -> list[frozenset[str]]:
    """As ``draw``, several times, each label as often as any other, give or take one."""
    names = sorted(set(labels))
    count = max(1, round(share * len(names)))
    order: list[str] = []
    out = []
    for _ in range(draws):
        taken: list[str] = []
        while len(taken) < count:
            order = order or [names[int(i)] for i in rng.permutation(len(names))]
            at = next((i for i, name in enumerate(order) if name not in taken), None)
            # a new round that begins within a draw must not take a label twice
            if at is None:
                order += [names[int(i)] for i in rng.permutation(len(names))]
                continue
            taken.append(order.pop(at))
        out.append(frozenset(taken))
    return out


def _shared(paths: Sequence[Path], truth: Sequence[Path], depth: int) -> Flags:
    """``(Q, depth)``: whether both reach the level and are the same down to it."""
    flags = np.zeros((len(truth), depth), np.bool_)
    for row, (path, true) in enumerate(zip(paths, truth, strict=True)):
        for level in range(min(depth, len(path))):
            flags[row, level] = path[: level + 1] == true[: level + 1]
    return flags


def _same(paths: Sequence[Path], truth: Sequence[Path]) -> Flags:
    return np.array([path == true for path, true in zip(paths, truth, strict=True)], np.bool_)
