"""P×K batches: several SKUs, several pictures of each, near-identical SKUs together.

Each source fills a fixed share of every batch. Within a source a family is slots first and then
up to `variants` of its SKUs, so that the hardest negatives meet in one batch. The content of
batch `n` depends on the seed and `n` alone, so a run continues after a kill where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge.errors import ConfigError
from export.datasets import Dataset, Sample


@dataclass(frozen=True, slots=True)
class View:
    """How a source's pictures are augmented: `gentle` spares them all but a shifted box,

    `flip` mirrors half of them, `zoom_in` replaces the run's largest crop.
    """

    gentle: bool = False
    flip: bool = False
    zoom_in: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One slot of a batch: what to load, its class, the seed of its augmentation.

    `view` says how much its source's pictures may be changed.
    """

    sample: Sample
    label: int
    seed: tuple[int, int, int]
    view: View


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset, the images it fills in each batch, K a SKU, and how many variants meet."""

    dataset: Dataset
    images: int
    per_sku: int
    variants: int = 1
    clean_p: float = 0.3
    view: View = View()


def class_ids(sources: Sequence[Source]) -> dict[str, int]:
    """A number for each SKU of all sources, in order; a SKU name in two sources is one class."""
    labels = [label for source in sources for label in source.dataset.labels]
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}


class BatchSampler:
    """Yields batches of `Item` from batch `start` on, without an end."""

    def __init__(
        self, sources: Sequence[Source], ids: dict[str, int], seed: int, start: int = 0
    ) -> None:
        self._pools = [_Pool(source, ids) for source in sources]
        self._seed = seed
        self._start = start

    def __iter__(self) -> Iterator[list[Item]]:
        number = self._start
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> list[Item]:
        """The items of batch `number`."""
        rng = np.random.default_rng([self._seed, number])
        slots = [slot for pool in self._pools for slot in pool.draw(rng)]
        return [
            Item(sample, label, (self._seed, number, position), view)
            for position, (sample, label, view) in enumerate(slots)
        ]


class _Pool:
    def __init__(self, source: Source, ids: dict[str, int]) -> None:
        if source.images < 2 * source.per_sku:
            raise ConfigError(
                f"{source.dataset.name}: {source.images} images a batch are less than two SKUs "
                f"of {source.per_sku}"
            )
        self._source = source
        self._ids = ids
        self._photos: dict[str, list[Sample]] = {}
        self._clean: dict[str, list[Sample]] = {}
        families: dict[str, set[str]] = {}
        for sample in source.dataset.samples:
            kind = self._clean if sample.clean else self._photos
            kind.setdefault(sample.label, []).append(sample)
            families.setdefault(sample.family or sample.label, set()).add(sample.label)
        self._families = [sorted(labels) for _, labels in sorted(families.items())]

    def draw(self, rng: np.random.Generator) -> list[tuple[Sample, int, View]]:
        source = self._source
        wanted = source.images // source.per_sku
        labels: list[str] = []
        for index in rng.permutation(len(self._families)):
            family = self._families[index]
            take = min(source.variants, len(family), wanted - len(labels))
            labels += [family[i] for i in rng.choice(len(family), take, replace=False)]
            if len(labels) == wanted:
                break
        return [
            (sample, self._ids[label], source.view)
            for label in labels
            for sample in self._pictures(label, rng)
        ]

    def _pictures(self, label: str, rng: np.random.Generator) -> list[Sample]:
        photos, clean = self._photos.get(label, []), self._clean.get(label, [])
        count = self._source.per_sku
        picked: list[Sample] = []
        if clean and (not photos or rng.random() < self._source.clean_p * count):
            picked.append(clean[int(rng.integers(len(clean)))])
        pool = photos or clean
        while len(picked) < count:
            missing = count - len(picked)
            order = rng.permutation(len(pool))[:missing]
            picked += [pool[int(i)] for i in order]
        return picked
