"""`edge gallery list`: the SKUs of a gallery, or the references of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import ConfigError, GalleryError
from edge.gallery.names import best_name, canonical_locale
from edge.gallery.records import Sku
from edge.gallery.store import GalleryStore


@dataclass(frozen=True, slots=True)
class ListedSku:
    """A SKU, its name in the nearest language there is (its id without one), its references."""

    sku: Sku
    name: str
    references: int

    def to_json(self) -> dict[str, object]:
        """For machines: what is known about it, its name in one language."""
        return {
            "sku_id": self.sku.sku_id,
            "name": self.name,
            "brand": self.sku.brand,
            "category": list(self.sku.category),
            "gtin": self.sku.gtin,
            "references": self.references,
        }

    def to_text(self) -> str:
        """For people: one line, separated by tabs."""
        category = " > ".join(self.sku.category)
        cells = (self.sku.sku_id, self.name, self.sku.brand or "", category, str(self.references))
        return "\t".join(cells)


@dataclass(frozen=True, slots=True)
class ListedReference:
    """A reference without its vector and picture."""

    reference_id: int
    source: str
    quality: float
    created_at: str

    def to_json(self) -> dict[str, object]:
        """For machines: all fields."""
        return {
            "id": self.reference_id,
            "source": self.source,
            "quality": self.quality,
            "created_at": self.created_at,
        }

    def to_text(self) -> str:
        """For people: one line, separated by tabs."""
        return f"{self.reference_id}\t{self.created_at}\t{self.quality:.1f}\t{self.source}"


def list_gallery(file: Path, *, locale: str, default: str = "en") -> tuple[str, list[ListedSku]]:
    """The version of a gallery and its SKUs by id, every row verified.

    Names are those for ``locale``, else for ``default``, else any. Raises ConfigError when one of
    the two is no BCP 47 tag.
    """
    try:
        canonical_locale(locale), canonical_locale(default)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with GalleryStore.open(file) as store:
        found = store.snapshot()
    counts = np.bincount(found.references.sku_index, minlength=len(found.skus)).tolist()
    return found.version, [
        ListedSku(sku, best_name(sku.names, locale, default) or sku.sku_id, count)
        for sku, count in zip(found.skus, counts, strict=True)
    ]


def list_references(file: Path, sku_id: str) -> tuple[str, list[ListedReference]]:
    """The version of a gallery and the references of one SKU; GalleryError when it has no such."""
    with GalleryStore.open(file) as store, store.reading():
        if sku_id not in {sku.sku_id for sku in store.skus()}:
            raise GalleryError(f"{file}: no SKU {sku_id!r}")
        return store.version, [
            ListedReference(one.reference_id, one.source, one.quality, one.created_at)
            for one in store.references(sku_id)
        ]
