"""Retrieval measured during training, on pictures and SKUs that the run does not train on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.manifest import Preprocessing
from export.datasets import Dataset
from export.embedding import F32, Embed, embed_samples
from export.metrics import hits, rank
from export.training_config import SourceConfig, ValidationConfig
from export.training_data import open_source


@dataclass(frozen=True, slots=True, eq=False)
class ValidationTask:
    """A gallery and queries of the same SKUs."""

    name: str
    gallery: Dataset
    queries: Dataset


def open_tasks(configs: tuple[ValidationConfig, ...]) -> list[ValidationTask]:
    """Reads the validation sets; queries are thinned to `limit` pictures, always the same ones."""
    return [
        ValidationTask(c.name, open_source(c.gallery), _thinned(c.query, c.limit)) for c in configs
    ]


def measure(tasks: list[ValidationTask], embed: Embed, spec: Preprocessing) -> dict[str, float]:
    """Top-1 by task, and their mean under `mean` where there are any."""
    return score(
        (
            task,
            embed_samples(task.gallery.samples, embed, spec),
            embed_samples(task.queries.samples, embed, spec),
        )
        for task in tasks
    )


def score(embedded: Iterable[tuple[ValidationTask, F32, F32]]) -> dict[str, float]:
    """`measure` for tasks whose pictures are embedded: (task, gallery (G, D), queries (Q, D))."""
    top1 = {}
    for task, gallery, queries in embedded:
        labels = {label: i for i, label in enumerate(task.gallery.labels)}
        own = np.array([labels[s.label] for s in task.gallery.samples])
        truth = np.array([labels.get(s.label, -2) for s in task.queries.samples])
        top1[task.name] = round(float(hits(rank(gallery, own, queries), truth, 1).mean()), 4)
    if top1:
        top1["mean"] = round(sum(top1.values()) / len(top1), 4)
    return top1


def _thinned(config: SourceConfig, limit: int) -> Dataset:
    dataset = open_source(config)
    if len(dataset.samples) <= limit:
        return dataset
    order = np.random.default_rng(0).permutation(len(dataset.samples))[:limit]
    kept = tuple(dataset.samples[int(i)] for i in sorted(order))
    return Dataset(dataset.name, kept, dataset.source, dataset.licence)
