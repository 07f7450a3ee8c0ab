"""From a training configuration to datasets, and from batches of items to arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.manifest import Preprocessing
from export.ahead import ahead
from export.augment import AugmentConfig, augment
from export.datasets import (
    Dataset,
    read_csv,
    read_folder,
    read_grocery_store,
    read_rp2k,
)
from export.embedding import F32, whole
from export.images import Image, ImageCache
from export.sampling import Item, Source, View
from export.training_config import SourceConfig


def open_source(config: SourceConfig) -> Dataset:
    """Reads one source. SKUs of `leave_out` are dropped; a name it does not have is an error."""
    if config.reader == "folder":
        dataset = read_folder(config.path)
    elif config.reader == "csv":
        dataset = read_csv(config.path)
    elif config.reader == "rp2k":
        dataset = read_rp2k(config.path, config.split)
    else:
        dataset = read_grocery_store(config.path, config.split)
    if config.pictures != "all":
        dataset = dataset.where(lambda sample: sample.clean == (config.pictures == "clean"))
    return dataset.without(config.leave_out) if config.leave_out else dataset


def training_source(config: SourceConfig) -> Source:
    """A source fit for training: every SKU has two pictures or more, no file is missing or empty.

    Contents are read later, one by one; checking them all first would take hours on large sets.
    """
    dataset = open_source(config)
    absent = [s.path for s in dataset.samples if not s.path.is_file() or not s.path.stat().st_size]
    if absent:
        raise ConfigError(
            f"{dataset.name}: {len(absent)} picture(s) missing or empty: "
            + ", ".join(str(path) for path in absent[:3])
        )
    single = [label for label, count in dataset.counts().items() if count < 2]
    if single:
        raise ConfigError(
            f"{dataset.name}: {len(single)} SKU(s) with one image cannot be trained on: "
            + ", ".join(sorted(single)[:5])
        )
    view = View(config.gentle, config.flip, config.zoom_in)
    return Source(dataset, config.images, config.per_sku, config.variants, config.clean_p, view)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`images (n, 3, S, S) float32`, `labels (n,) int64`."""

    number: int
    images: F32
    labels: NDArray[np.int64]


class Loader:
    """Reads and augments the next batches on threads while the model computes."""

    def __init__(
        self,
        batch_items: Callable[[int], list[Item]],
        spec: Callable[[], Preprocessing],
        cache: ImageCache,
        config: AugmentConfig,
        workers: int,
    ) -> None:
        self._items = batch_items
        self._spec = spec
        self._cache = cache
        self._config = config
        self._workers = workers

    def batches(self, start: int) -> Iterator[Batch]:
        """Batches `start`, `start` + 1, … without an end."""
        tasks = (partial(self._load, number, self._spec()) for number in count(start))
        return ahead(tasks, workers=self._workers, depth=self._workers)

    def _load(self, number: int, spec: Preprocessing) -> Batch:
        items = self._items(number)
        views = []
        for item in items:
            rng = np.random.default_rng(item.seed)
            image = self._cache.get(item.sample.path)
            view = self._augmented(image, rng, item.view)
            views.append(whole(view, spec))
        labels = np.array([item.label for item in items], np.int64)
        return Batch(number, np.concatenate(views), labels)

    def _augmented(self, image: Image, rng: np.random.Generator, view: View) -> Image:
        config = self._config
        if view.zoom_in is not None:
            config = replace(config, zoom_in=view.zoom_in)
        if view.flip and rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        return augment(image, rng, config, gentle=view.gentle)
