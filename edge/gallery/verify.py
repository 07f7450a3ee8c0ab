"""A full reading of a gallery that reports damage instead of stopping at it."""

from __future__ import annotations

from pathlib import Path

from edge.errors import GalleryError
from edge.gallery.records import Sku, VerifyReport
from edge.gallery.store import GalleryStore


def verify_gallery(path: Path, *, tower: str | None = None) -> VerifyReport:
    """Read every page, row and picture of the gallery at ``path``.

    Never raises for damage: ``problems`` names all that was found, also when the file cannot be
    opened or another tower than ``tower`` made it.
    """
    try:
        with GalleryStore.open(path, tower=tower) as store:
            return _read_all(store)
    except GalleryError as error:
        return VerifyReport(str(path), None, 0, 0, (str(error),), ())


def _read_all(store: GalleryStore) -> VerifyReport:
    problems = list(store.structural_problems())
    skus: tuple[Sku, ...] = ()
    used: set[str] = set()
    count = 0
    try:
        with store.reading():
            skus = store.skus()
            store.vectors()
            for reference in store.references():
                used.add(reference.sku_id)
                count += 1
    except GalleryError as error:
        problems.append(str(error))
    unused = tuple(sku.sku_id for sku in skus if sku.sku_id not in used) if not problems else ()
    return VerifyReport(str(store.path), store.version, len(skus), count, tuple(problems), unused)
