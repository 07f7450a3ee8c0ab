"""The catalogue: size, codes, names, and splits that share nothing."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError
from export.scenes.brands import SPLITS, Split, split_of
from export.scenes.catalog import Catalog, Sku, build_catalog, ean13
from export.scenes.words import FLAVOURS, LOCALES, PRODUCT_TYPES


@pytest.fixture(scope="module")
def catalogs() -> dict[Split, list[Catalog]]:
    return {
        split: [build_catalog(seed=seed, split=split, skus=300) for seed in (0, 1, 7)]
        for split in SPLITS
    }


@pytest.mark.parametrize("count", [1, 5, 200, 1001])
def test_it_has_exactly_the_skus_asked_for_with_unique_ids_and_codes(count: int) -> None:
    catalog = build_catalog(seed=4, split="demo", skus=count)

    assert len(catalog) == count
    assert len({sku.sku_id for sku in catalog.skus}) == count
    assert len({sku.gtin for sku in catalog.skus}) == count
    assert catalog.by_id[catalog.skus[-1].sku_id] is catalog.skus[-1]


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another() -> None:
    first = build_catalog(seed=4, split="train", skus=60)
    again = build_catalog(seed=4, split="train", skus=60)
    other = build_catalog(seed=5, split="train", skus=60)

    assert first.skus == again.skus
    assert {sku.family.seed for sku in first.skus}.isdisjoint(sku.family.seed for sku in other.skus)


def test_a_large_catalogue_is_written_in_every_script() -> None:
    scripts = {
        sku.family.brand.script for sku in build_catalog(seed=2, split="train", skus=900).skus
    }

    assert scripts == {"latin", "cyrillic", "greek", "kana", "hangul"}


@pytest.mark.parametrize(("one", "other"), list(combinations(SPLITS, 2)))
def test_splits_share_no_brand_id_code_or_seed(
    catalogs: dict[Split, list[Catalog]], one: Split, other: Split
) -> None:
    mine = [sku for catalog in catalogs[one] for sku in catalog.skus]
    theirs = [sku for catalog in catalogs[other] for sku in catalog.skus]

    for of in (
        lambda sku: sku.brand,
        lambda sku: sku.sku_id,
        lambda sku: sku.gtin,
        lambda sku: sku.family.seed,
        lambda sku: sku.family.brand.seed,
    ):
        assert {of(sku) for sku in mine}.isdisjoint({of(sku) for sku in theirs})


def test_a_brand_name_tells_its_split(catalogs: dict[Split, list[Catalog]]) -> None:
    for split in SPLITS:
        names = {sku.brand for catalog in catalogs[split] for sku in catalog.skus}
        assert {split_of(name) for name in names} == {split}


def test_every_sku_has_a_valid_restricted_range_ean13(
    catalogs: dict[Split, list[Catalog]],
) -> None:
    for sku in catalogs["test"][0].skus:
        digits = [int(digit) for digit in sku.gtin]
        assert len(digits) == 13
        assert sku.gtin.startswith("2")
        assert (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def test_check_digit_agrees_with_published_codes() -> None:
    # ISBN-13 of "The C Programming Language" and GS1's own example.
    assert ean13("978013110362") == "9780131103627"
    assert ean13("629104150021") == "6291041500213"


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 11))
@settings(max_examples=50)
def test_a_changed_digit_changes_the_check_digit(digits: str, place: int) -> None:
    changed = digits[:place] + str((int(digits[place]) + 1) % 10) + digits[place + 1 :]

    assert ean13(digits)[-1] != ean13(changed)[-1]


def test_every_sku_has_names_four_category_levels_and_a_size() -> None:
    for sku in build_catalog(seed=3, split="demo", skus=200).skus:
        assert tuple(sku.names) == LOCALES
        assert all(sku.brand in name and sku.amount in name for name in sku.names.values())
        assert len(sku.category) == 4
        assert all(20 < side < 400 for side in sku.size_mm)


def test_word_tables_have_a_word_for_every_locale() -> None:
    for entry in (*FLAVOURS.values(), *PRODUCT_TYPES):
        assert len(entry.words) == len(LOCALES), entry
        assert all(word.strip() for word in entry.words), entry
        assert getattr(entry, "kinds", ("box",)), entry


def test_the_share_of_hard_families_is_a_parameter() -> None:
    none = build_catalog(seed=3, split="train", skus=400, hard_share=0.0)
    some = build_catalog(seed=3, split="train", skus=2000, hard_share=0.15)
    families = {sku.family.family_id: sku.hard_variant for sku in some.skus}

    assert not any(sku.hard_variant for sku in none.skus)
    assert 0.08 < sum(families.values()) / len(families) < 0.22


def test_siblings_look_like_their_flavour_and_hard_siblings_like_each_other() -> None:
    families: dict[str, list[Sku]] = {}
    for sku in build_catalog(seed=3, split="train", skus=600).skus:
        families.setdefault(sku.family.family_id, []).append(sku)

    for siblings in families.values():
        looks = {sku.look.key for sku in siblings}
        assert len(looks) == (1 if siblings[0].hard_variant else len(siblings))
        assert len({(sku.flavour.key, sku.extra, sku.amount) for sku in siblings}) == len(siblings)


def test_impossible_requests_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="skus must be at least 1, got 0"):
        build_catalog(seed=1, split="demo", skus=0)
    with pytest.raises(ConfigError, match="split must be one of train, demo, test, got 'val'"):
        build_catalog(seed=1, split="val")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="12 digits"):
        ean13("123")
