"""A full reading of a gallery that reports damage instead of stopping at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import GalleryError
from edge.gallery.packed_skus import PackedSkus
from edge.gallery.records import VerifyReport
from edge.gallery.store import GalleryStore

_BLOCK = 4096


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
    skus = PackedSkus.of(())
    unused: tuple[str, ...] = ()
    count = 0
    try:
        with store.reading():
            skus = store.packed_skus()
            used = np.zeros(len(skus), bool)
            for block in store.blocks(_BLOCK, skus=skus):
                used[block.sku_index] = True
            for _ in store.references():
                count += 1
        unused = tuple(skus.sku_id(place) for place in np.flatnonzero(~used).tolist())
    except GalleryError as error:
        problems.append(str(error))
    if problems:
        unused = ()
    return VerifyReport(str(store.path), store.version, len(skus), count, tuple(problems), unused)
