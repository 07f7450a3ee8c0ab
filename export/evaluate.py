"""Named retrieval protocols: embed gallery and queries, take cosine neighbours, compare SKUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from export.datasets import Dataset, Sample
from export.embedding import F32, embed_samples
from export.leaks import Leak, file_digest, find_leaks, near_by_embedding, refuse_leaks
from export.metrics import (
    Ranking,
    bootstrap_ci95,
    hits,
    rank,
)
from export.towers import OpenTower

Protocol = Literal["split", "leave-one-out", "one-shot"]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is looked up in what.

    - split: `gallery` and `queries` are different pictures of the same SKUs
    - leave-one-out: `queries` is the gallery or a part of it; a query never sees itself, its own
      SKU in its own photo, or an identical file. Other SKUs of its photo stay: they share its
      light, so they are the harder ones to tell apart
    - one-shot: `gallery` holds exactly one (clean) picture a SKU
    """

    name: str
    protocol: Protocol
    gallery: Dataset
    queries: Dataset

    def __post_init__(self) -> None:
        strange = set(self.queries.labels) - set(self.gallery.labels)
        if strange:
            raise ConfigError(
                f"{self.name}: {len(strange)} SKU(s) of the queries are not in the gallery: "
                + ", ".join(sorted(strange)[:5])
            )
        if self.protocol == "one-shot" and max(self.gallery.counts().values()) > 1:
            raise ConfigError(f"{self.name}: one-shot needs one gallery picture a SKU")
        if self.protocol == "leave-one-out":
            alone = [
                label
                for label in self.queries.labels
                if len({s.photo for s in self.gallery.samples if s.label == label}) < 2
            ]
            if alone:
                raise ConfigError(
                    f"{self.name}: leave-one-out needs two photos a SKU: {', '.join(alone[:5])}"
                )


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Result of one tower on one task; `right` and `ranking` are per query.

    `doubtful` lists the leaks that were allowed and the pairs that look the same to the tower.
    """

    tower: str
    task: Task
    ranking: Ranking
    right: NDArray[np.bool_]
    top: dict[int, float]
    ci95: tuple[float, float]
    levels: dict[str, float]
    leaks: int
    suspects: int = 0
    doubtful: tuple[Leak, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row that `--json` prints."""
        return {
            "tower": self.tower,
            "task": self.task.name,
            "protocol": self.task.protocol,
            "gallery": len(self.task.gallery.samples),
            "queries": len(self.task.queries.samples),
            "skus": len(self.task.gallery.labels),
            **{f"top{k}": round(value, 4) for k, value in self.top.items()},
            "top1_ci95": [round(self.ci95[0], 4), round(self.ci95[1], 4)],
            "levels": {level: round(value, 4) for level, value in self.levels.items()},
            "leaks": self.leaks,
            "suspects": self.suspects,
        }

    def per_sku(self) -> list[tuple[str, int, float]]:
        """(SKU, queries, top-1), the worst first."""
        total = Counter(s.label for s in self.task.queries.samples)
        good = Counter(
            s.label for s, right in zip(self.task.queries.samples, self.right, strict=True) if right
        )
        rows = [(label, count, good[label] / count) for label, count in total.items()]
        return sorted(rows, key=lambda row: (row[2], row[0]))

    def confusions(self) -> list[tuple[str, str, int]]:
        """(true SKU, answer, count) of wrong answers, the most frequent first."""
        names = self.task.gallery.labels
        pairs = Counter(
            (sample.label, names[answer])
            for sample, answer, right in zip(
                self.task.queries.samples, self.ranking.label[:, 0], self.right, strict=True
            )
            if not right and answer >= 0
        )
        return [(true, answer, count) for (true, answer), count in pairs.most_common()]


def evaluate(
    tower: OpenTower,
    task: Task,
    *,
    allow_leaks: bool = False,
    leaks: Sequence[Leak] | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Runs `task`; raises ConfigError when pictures of the queries stand in the gallery.

    With `allow_leaks` they are counted and left in; queries that only look the same to the tower
    are counted as suspects. `leaks` spares the search where several towers run on one task.
    Intervals resample whole photos.
    """
    if leaks is None:
        leaks = task_leaks(task)
    if not allow_leaks:
        refuse_leaks(leaks)
    gallery = embed_samples(
        task.gallery.samples, tower.embed, tower.preprocessing, progress=progress
    )
    if task.queries is task.gallery:
        queries = gallery
    else:
        queries = embed_samples(
            task.queries.samples, tower.embed, tower.preprocessing, progress=progress
        )
    near: list[Leak] = []
    if task.protocol != "leave-one-out":
        near = near_by_embedding(task.gallery.samples, task.queries.samples, gallery, queries)
    result = score(tower.name, task, gallery, queries, leaks=len(leaks), seed=seed)
    suspects = len({leak.query for leak in near})
    return replace(result, suspects=suspects, doubtful=(*leaks, *near))


def task_leaks(task: Task) -> list[Leak]:
    """Pictures that stand on both sides; none by definition where a query never sees itself."""
    if task.protocol == "leave-one-out":
        return []
    return find_leaks(task.gallery.samples, task.queries.samples)


def score(
    tower: str, task: Task, gallery: F32, queries: F32, *, leaks: int = 0, seed: int = 0
) -> Evaluation:
    """The evaluation of embeddings already made, (G, D) and (Q, D) of norm 1."""
    references, truth = _numbers(task)
    exclude = _own(task) if task.protocol == "leave-one-out" else None
    ranking = rank(gallery, references, queries, k=5, exclude=exclude)
    right = hits(ranking, truth, 1)
    return Evaluation(
        tower,
        task,
        ranking,
        right,
        {k: float(hits(ranking, truth, k).mean()) for k in (1, 3, 5)},
        bootstrap_ci95(right, [s.photo for s in task.queries.samples], seed=seed),
        _levels(task, ranking, right),
        leaks,
    )


def _numbers(task: Task) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = {label: i for i, label in enumerate(task.gallery.labels)}

    def of(samples: Sequence[Sample]) -> NDArray[np.int64]:
        return np.array([ids[s.label] for s in samples], np.int64)

    return of(task.gallery.samples), of(task.queries.samples)


def _own(task: Task) -> NDArray[np.bool_]:
    """(Q, G): the same SKU in the same photo, or a file of the same content."""
    gallery, queries = task.gallery.samples, task.queries.samples
    places = np.array([f"{s.label}\n{s.photo}" for s in gallery])
    asked = np.array([f"{s.label}\n{s.photo}" for s in queries])
    digests = np.array([file_digest(s.path) for s in gallery])
    asked_digests = np.array([file_digest(s.path) for s in queries])
    same = (asked[:, None] == places[None]) | (asked_digests[:, None] == digests[None])
    return np.asarray(same)


def _levels(task: Task, ranking: Ranking, right: NDArray[np.bool_]) -> dict[str, float]:
    """Share of queries whose answer lies in the right category, level by level, and the SKU.

    A level counts the queries whose own path reaches it.
    """
    paths = {s.label: s.levels for s in task.gallery.samples}
    names = task.gallery.labels
    truth = [paths[s.label] for s in task.queries.samples]
    answers = [paths[names[i]] if i >= 0 else () for i in ranking.label[:, 0]]
    levels = {}
    for depth in range(1, max(len(path) for path in truth) + 1):
        reach = [
            one[:depth] == two[:depth]
            for one, two in zip(truth, answers, strict=True)
            if len(one) >= depth
        ]
        levels[f"level{depth}"] = float(np.mean(reach))
    return {**levels, "sku": float(right.mean())}
