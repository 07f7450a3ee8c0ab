"""References that show nearly the same picture: found by their vectors, proved by their pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.gallery.reader import GalleryReader
from edge.types import F32, U8

SAME_SIMILARITY = 0.93
SAME_LEVELS = 9.0
SAME_PART_LEVELS = 30.0
SIGNATURE_PX = 16
"""Nearly the same picture: a cosine similarity of at least SAME_SIMILARITY, and at SIGNATURE_PX a
side, mean colours taken out, a mean difference of at most SAME_LEVELS of 255, and of at most
SAME_PART_LEVELS in each part of an eighth of the side.

Neither is enough alone. Half of 1,900 photos of GroceryStoreDataset have another photo of their
product above 0.95, which is worth enrolling. Packshots of flavours differ by 7 levels in the mean, but
by 43 or more in the part that names the flavour; a copy saved at quality 50, at half the size, 15%
brighter, with grain, or cut by 1% a side differs by at most 29 there, and its similarity is at least
0.94.
"""

_BLOCK = 16384

Signature = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Twin:
    """A reference that shows nearly the same picture; ``what`` names it in a message."""

    sku_id: str
    what: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Near:
    """Similarity by row of what is near a vector among the first ``upto`` rows."""

    rows: Mapping[int, float]
    upto: int


class Enrolled:
    """The references of a gallery, and those added since, to compare new pictures with.

    Holds all vectors in memory; pictures are read when vectors are similar. The gallery must stay
    open and unchanged but for what is added here.
    """

    def __init__(self, gallery: GalleryReader | None = None, *, dim: int | None = None) -> None:
        """All of a gallery, or nothing yet for vectors of length ``dim``."""
        self._gallery = gallery
        self._skus: list[str] = []
        self._what: list[str] = []
        self._signatures: list[Signature | None] = []
        self._stored: dict[str, dict[int, Signature]] = {}
        if gallery is None:
            self._ids: list[int] = []
            self._vectors: F32 = np.zeros((0, dim or 0), np.float32)
            return
        snapshot = gallery.snapshot()
        self._ids = snapshot.references.ids.tolist()
        self._vectors = snapshot.references.vectors
        self._skus = [snapshot.skus[i].sku_id for i in snapshot.references.sku_index.tolist()]
        self._what = [f"reference {i}" for i in self._ids]
        self._signatures = [None] * len(self._ids)

    def add(self, sku_id: str, what: str, image: U8, vector: F32) -> None:
        """Compare what comes later with this picture too, called ``what``."""
        n = len(self._skus)
        if n == len(self._vectors):
            grown = np.zeros((max(64, 2 * n), len(vector)), np.float32)
            grown[:n] = self._vectors[:n]
            self._vectors = grown
        self._vectors[n] = vector
        self._skus.append(sku_id)
        self._what.append(what)
        self._signatures.append(signature(image))

    def near(self, vectors: F32) -> list[Near]:
        """What is now near each of ``vectors (N, D)``, for ``twins``: quicker than one by one."""
        upto = len(self._skus)
        found: list[dict[int, float]] = [{} for _ in vectors]
        for start in range(0, upto, _BLOCK):
            similarity = vectors @ self._vectors[start : min(start + _BLOCK, upto)].T
            for i, row in np.argwhere(similarity >= SAME_SIMILARITY).tolist():
                found[i][start + row] = float(similarity[i, row])
        return [Near(rows, upto) for rows in found]

    def twins(self, image: U8, vector: F32, near: Near | None = None) -> list[Twin]:
        """References that show nearly the same as ``image`` of embedding ``vector``, nearest first.

        ``near`` is what ``near`` found for it earlier; what was added since is looked at too.
        """
        known = near if near is not None else self.near(vector[None])[0]
        rows = dict(known.rows)
        for row in range(known.upto, len(self._skus)):
            similarity = float(self._vectors[row] @ vector)
            if similarity >= SAME_SIMILARITY:
                rows[row] = similarity
        own = signature(image)
        return [
            Twin(self._skus[row], self._what[row], similarity)
            for row, similarity in sorted(rows.items(), key=lambda item: (-item[1], item[0]))
            if same_pixels(self._signature(row), own)
        ]

    def _signature(self, row: int) -> Signature:
        known = self._signatures[row]
        if known is None:
            known = self._signatures[row] = self._read(self._skus[row])[self._ids[row]]
        return known

    def _read(self, sku_id: str) -> dict[int, Signature]:
        """The signatures of a SKU's stored references by id."""
        if self._gallery is None:
            return {}
        if sku_id not in self._stored:
            found = {}
            for reference in self._gallery.references(sku_id):
                what = f"{self._gallery.path}: reference {reference.reference_id}"
                found[reference.reference_id] = signature(decode(reference.jpeg, what))
            self._stored[sku_id] = found
        return self._stored[sku_id]


def signature(image: U8) -> Signature:
    """A picture at SIGNATURE_PX a side, its mean colour taken out: ``(px * px * 3,) float32``."""
    size_wh = (SIGNATURE_PX, SIGNATURE_PX)
    small = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA))
    levels = small.reshape(-1, 3).astype(np.float32)
    return np.asarray((levels - levels.mean(axis=0)).ravel(), np.float32)


def same_pixels(a: Signature, b: Signature) -> bool:
    """Whether two signatures are of nearly the same picture."""
    apart = np.abs(a - b)
    if float(apart.mean()) > SAME_LEVELS:
        return False
    half = SIGNATURE_PX // 2
    parts = apart.reshape(half, 2, half, 2, 3).mean(axis=(1, 3, 4))
    return float(parts.max()) <= SAME_PART_LEVELS


def decode(jpeg: bytes, what: str) -> U8:
    """The pixels ``(H, W, 3) uint8`` RGB of a kept picture; GalleryError that names ``what``."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if bgr is None:
        raise GalleryError(f"{what}: its picture cannot be decoded")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
