"""A gallery that is ready to be searched: one committed state of the store, with its index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np

from edge.errors import ConfigError, GalleryError
from edge.gallery.category_ridge import MAX_REFERENCES, CategoryRidge
from edge.gallery.index import EXACT_UP_TO
from edge.gallery.matcher import Matcher, ridge_of
from edge.gallery.names import best_name
from edge.gallery.opened import Identity, open_state
from edge.gallery.records import Sku
from edge.gallery.state import GalleryState
from edge.manifest import OperatingPoint
from edge.types import Embeddings, Matches, Neighbors


class Gallery:
    """The SKUs and references of a gallery file as they were at one moment.

    Never changes, holds no open database and may be shared between threads; ``LiveGallery`` gives a
    new one when the file has changed.
    """

    def __init__(self, path: Path, identity: Identity, state: GalleryState) -> None:
        """Used by ``open`` and by LiveGallery."""
        self.path = path
        self.tower = identity.tower
        self.precision = identity.precision
        self.version = state.version
        self.index = state.index()
        self._skus = state.skus
        self._reference_ids = state.ids
        self._reference_sku = state.sku_index
        self._state = state

    @classmethod
    def open(cls, path: Path, *, tower: str | None = None, threshold: int = EXACT_UP_TO) -> Self:
        """Read and verify the gallery at ``path``; with ``tower``, only if that tower made it.

        Above ``threshold`` references the HNSW graph beside the file is loaded, or built and saved.
        Raises GalleryError.
        """
        return cls(path, *open_state(path, tower=tower, threshold=threshold, at_once=False))

    @property
    def skus(self) -> Mapping[str, Sku]:
        """The products by id, in the order of their ids."""
        return self._skus

    def __len__(self) -> int:
        """The number of references."""
        return len(self._reference_ids)

    def matcher(self, operating_point: OperatingPoint, *, top_k: int = 5) -> Matcher:
        """The decision at an operating point over these SKUs."""
        return Matcher(
            sku_ids=self._skus.ids,
            categories=self._skus.categories,
            reference_ids=self._reference_ids,
            reference_sku=self._reference_sku,
            operating_point=operating_point,
            top_k=top_k,
            ridge=self._ridge(operating_point),
        )

    def _ridge(self, point: OperatingPoint) -> CategoryRidge | None:
        penalty, calibration = ridge_of(point), point.calibration
        if penalty is None or calibration is None:
            return None
        owner, vectors = self._state.sample(MAX_REFERENCES)
        categories = [sku.category for sku in self._skus.values()]
        return CategoryRidge.fit(vectors, owner, categories, len(calibration.levels), penalty)

    def search(self, embeddings: Embeddings, k: int) -> Neighbors:
        """The k nearest references of each query; GalleryError when another tower made them."""
        if embeddings.tower != self.tower:
            raise GalleryError(
                f"{self.path}: made with image tower {self.tower}, the queries with"
                f" {embeddings.tower}"
            )
        return self.index.search(embeddings.vectors, k)

    def match(self, embeddings: Embeddings, matcher: Matcher) -> Matches:
        """Search with as many neighbours as the matcher needs, and decide."""
        return matcher.match(self.search(embeddings, matcher.k), embeddings.vectors)

    def reference_counts(self) -> dict[str, int]:
        """Number of references by SKU, zero included."""
        counts = np.bincount(self._reference_sku, minlength=len(self._skus))
        return dict(zip(self._skus, counts.tolist(), strict=True))

    def name(self, sku_id: str, locale: str) -> str:
        """The name of a SKU in the nearest language there is; its id when it has no name.

        Raises ConfigError when ``locale`` is no BCP 47 tag.
        """
        try:
            return best_name(self._skus[sku_id].names, locale) or sku_id
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def names(self, locale: str) -> dict[str, str]:
        """``name`` of every SKU by id."""
        return {sku_id: self.name(sku_id, locale) for sku_id in self._skus}
