"""A seeded catalogue of SKUs: brands, families of near-identical variants, codes and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.errors import ConfigError
from export.scenes.brands import SPLIT_CODES, SPLITS, Brand, Split, make_brand
from export.scenes.words import LOCALES, PRODUCT_TYPES, Flavour, Kind, ProductType, flavours_of

_EXTRAS = {
    "zero": ("Zero", "Zero", "Zéro", "Зеро", "Zero", "ゼロ", "제로"),
    "bio": ("Organic", "Bio", "Bio", "Био", "Βιολογικό", "有機", "유기농"),
    "light": ("Light", "Leicht", "Léger", "Лайт", "Ελαφρύ", "ライト", "라이트"),
    "family": ("Family", "Familie", "Famille", "Семья", "Οικογένεια", "徳用", "대용량"),
}
_GTIN_PREFIX: dict[Split, tuple[int, ...]] = {"train": (20, 21, 22), "demo": (26,), "test": (28,)}


@dataclass(frozen=True, slots=True)
class Family:
    """One design shared by variants; `seed` fixes all that the variants have in common.

    In a hard family all variants have the colours and illustration of the flavour `look`.
    """

    family_id: str
    brand: Brand
    product: ProductType
    kind: Kind
    seed: int
    look: Flavour | None


@dataclass(frozen=True, slots=True)
class Sku:
    """One product.

    `gtin` is an EAN-13 of the restricted range (prefix 20 to 29), so it is never a real product.
    `names` maps every locale of LOCALES. `size_mm` is (width, height). A `hard_variant` differs
    from its siblings in one small detail only.
    """

    sku_id: str
    gtin: str
    family: Family
    variant: int
    flavour: Flavour
    extra: str
    amount: str
    size_mm: tuple[float, float]
    names: Mapping[str, str] = field(hash=False)

    @property
    def brand(self) -> str:
        """The brand's name."""
        return self.family.brand.name

    @property
    def kind(self) -> Kind:
        """The package's shape."""
        return self.family.kind

    @property
    def category(self) -> tuple[str, str, str, str]:
        """Category path, broad to narrow."""
        return self.family.product.path

    @property
    def hard_variant(self) -> bool:
        """True where only a small detail tells this SKU from its siblings."""
        return self.family.look is not None

    @property
    def look(self) -> Flavour:
        """The flavour whose colour and illustration the package has."""
        return self.family.look or self.flavour

    def extra_word(self, locale: str) -> str:
        """The word of the small badge ("Zero", "Organic") in a locale, or ""."""
        return _EXTRAS[self.extra][LOCALES.index(locale)] if self.extra else ""


@dataclass(frozen=True, eq=False)
class Catalog:
    """The SKUs of one split and seed, with lookup by id."""

    split: Split
    seed: int
    skus: tuple[Sku, ...]
    by_id: Mapping[str, Sku]

    def __len__(self) -> int:
        return len(self.skus)


def build_catalog(*, seed: int, split: Split, skus: int = 240, hard_share: float = 0.15) -> Catalog:
    """Build a catalogue of exactly `skus` SKUs.

    Brands, SKU ids, GTINs and all random streams of one split never occur in another. A share
    `hard_share` in [0, 1] of the families has variants that differ in one small detail only; 0
    leaves such families out. Raises ConfigError for an unknown split or skus < 1.
    """
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if skus < 1:
        raise ConfigError(f"skus must be at least 1, got {skus}")
    made: list[Sku] = []
    brands = _brands(seed, split, max(4, skus // 9))
    family = 0
    while len(made) < skus:
        rng = np.random.default_rng([SPLIT_CODES[split], seed, 1, family])
        for sku in _family(rng, seed, split, family, brands, hard_share, len(made)):
            if len(made) < skus:
                made.append(sku)
        family += 1
    return Catalog(split, seed, tuple(made), {sku.sku_id: sku for sku in made})


def ean13(digits: str) -> str:
    """Append the EAN-13 check digit to 12 digits (GS1 General Specifications, 7.9)."""
    if len(digits) != 12 or not digits.isdigit():
        raise ValueError(f"an EAN-13 is made of 12 digits and a check digit, got {digits!r}")
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return digits + str(-total % 10)


def _brands(seed: int, split: Split, count: int) -> list[Brand]:
    rng = np.random.default_rng([SPLIT_CODES[split], seed, 0])
    brands: dict[str, Brand] = {}
    for _ in range(50 * count):
        brand = make_brand(rng, split)
        brands.setdefault(brand.name, brand)
        if len(brands) == count:
            break
    return list(brands.values())


def _family(
    rng: np.random.Generator,
    seed: int,
    split: Split,
    index: int,
    brands: list[Brand],
    hard_share: float,
    first: int,
) -> list[Sku]:
    brand = brands[int(rng.integers(len(brands)))]
    product = PRODUCT_TYPES[int(rng.integers(len(PRODUCT_TYPES)))]
    kind = product.kinds[int(rng.integers(len(product.kinds)))]
    family_seed = int(rng.integers(2**62))
    hard = bool(rng.random() < hard_share)
    flavours = _flavours(rng, product, far_apart=not hard)
    look = flavours[0] if hard else None
    family = Family(f"{split}-{seed}-{index:04d}", brand, product, kind, family_seed, look)
    width = float(rng.uniform(*product.width_mm))
    height = width * float(rng.uniform(*product.aspect))
    amount = product.amounts[int(rng.integers(len(product.amounts)))]
    one_word = bool(rng.random() < 0.4)
    count = int(rng.integers(2, 7))
    count = min(count, len(flavours)) if one_word or not hard else count
    skus = []
    for variant in range(count):
        flavour, extra, own_amount, size = (
            flavours[variant % len(flavours)],
            "",
            amount,
            (width, height),
        )
        if hard and not one_word:
            flavour = flavours[0]
            extra, own_amount = _hard_difference(rng, variant, product, amount)
        elif variant == count - 1 and count > 2 and not hard and rng.random() < 0.5:
            extra = str(rng.choice(list(_EXTRAS)))
            if extra == "family":
                size = (width * 1.12, height * 1.12)
        skus.append(
            Sku(
                f"{family.family_id}-{variant:02d}",
                ean13(_gtin_body(split, seed, first + variant)),
                family,
                variant,
                flavour,
                extra,
                own_amount,
                size,
                _names(brand, product, flavour, extra, own_amount),
            )
        )
    return skus


def _flavours(rng: np.random.Generator, product: ProductType, *, far_apart: bool) -> list[Flavour]:
    """A product's flavours in random order; `far_apart` leaves out those of like colours."""
    pool = list(flavours_of(product.flavours))
    chosen: list[Flavour] = []
    for place in rng.permutation(len(pool)):
        flavour = pool[int(place)]
        if not far_apart or all(
            sum(abs(a - b) for a, b in zip(flavour.colour, other.colour, strict=True)) > 110
            for other in chosen
        ):
            chosen.append(flavour)
    return chosen


def _hard_difference(
    rng: np.random.Generator, variant: int, product: ProductType, amount: str
) -> tuple[str, str]:
    """Badge and weight of a variant that differs from its siblings in one of them only."""
    extras = ["", *_EXTRAS]
    if variant < len(extras):
        return extras[variant], amount
    amounts = [other for other in product.amounts if other != amount] or [amount]
    return extras[variant % len(extras)], amounts[int(rng.integers(len(amounts)))]


def _gtin_body(split: Split, seed: int, index: int) -> str:
    prefixes = _GTIN_PREFIX[split]
    return f"{prefixes[index % len(prefixes)]}{seed % 10000:04d}{index % 1_000_000:06d}"


def _names(
    brand: Brand, product: ProductType, flavour: Flavour, extra: str, amount: str
) -> dict[str, str]:
    names = {}
    for place, locale in enumerate(LOCALES):
        words = [brand.name, product.word(locale), flavour.word(locale)]
        if extra:
            words.append(_EXTRAS[extra][place])
        names[locale] = " ".join([*words, amount])
    return names
