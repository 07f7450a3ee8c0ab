from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edge.errors import ConfigError
from export.datasets import Dataset, Sample
from export.sampling import BatchSampler, Source, class_ids


def _dataset(name: str, skus: int, pictures: int, family_of: int = 1) -> Dataset:
    samples = tuple(
        Sample(
            Path(f"{name}/{sku}/{n}.jpg"),
            f"{name}-{sku}",
            f"{name}{sku}{n}",
            family=f"{name}-f{sku // family_of}",
            clean=n == 0,
        )
        for sku in range(skus)
        for n in range(pictures)
    )
    return Dataset(name, samples)


def test_every_batch_holds_each_sources_share_in_groups_of_k() -> None:
    sources = [Source(_dataset("a", 9, 5), 12, 4), Source(_dataset("b", 6, 4), 6, 3)]
    sampler = BatchSampler(sources, class_ids(sources), seed=1)
    for number in range(20):
        items = sampler.batch(number)
        names = Counter(item.sample.label.split("-")[0] for item in items)
        assert names == {"a": 12, "b": 6}
        per_sku = Counter(item.sample.label for item in items)
        assert all(count == (4 if label[0] == "a" else 3) for label, count in per_sku.items())
        paths = [item.sample.path for item in items]
        assert len(set(paths)) == len(paths)


def test_variants_of_a_family_meet_in_one_batch() -> None:
    source = Source(_dataset("a", 40, 3, family_of=4), 16, 2, variants=4)
    items = BatchSampler([source], class_ids([source]), seed=0).batch(0)
    families = Counter(item.sample.family for item in items)
    assert sorted(families.values()) == [8, 8]


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    source = Source(_dataset("a", 9, 5), 12, 4)
    one, two = (BatchSampler([source], class_ids([source]), seed=3, start=s) for s in (0, 5))
    stream = iter(two)
    assert [next(stream), next(stream)] == [one.batch(5), one.batch(6)]
    assert one.batch(5) != BatchSampler([source], class_ids([source]), seed=4).batch(5)


def test_a_sku_with_fewer_than_k_pictures_repeats_them() -> None:
    source = Source(_dataset("a", 4, 2), 8, 4, clean_p=0.0)
    items = BatchSampler([source], class_ids([source]), seed=0).batch(0)
    assert len(items) == 8
    assert len({item.seed for item in items}) == 8


def test_the_clean_picture_is_always_there_when_asked_for() -> None:
    source = Source(_dataset("a", 8, 6), 16, 4, clean_p=1.0)
    items = BatchSampler([source], class_ids([source]), seed=0).batch(0)
    clean = Counter(item.sample.label for item in items if item.sample.clean)
    assert clean == dict.fromkeys({item.sample.label for item in items}, 1)


def test_a_share_of_less_than_two_skus_cannot_be_contrasted() -> None:
    source = Source(_dataset("a", 4, 2), 6, 4)
    with pytest.raises(ConfigError, match="less than two SKUs"):
        BatchSampler([source], class_ids([source]), seed=0)
