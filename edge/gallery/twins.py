"""References that show nearly the same picture: found by their vectors, proved by their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.gallery.reader import GalleryReader
from edge.gallery.records import ReferenceSet
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
0.94. Of all 2,640 training photos two are found to be copies of another, and none contradicts one.
"""

HELD = 200_000
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
    """What is near a vector: similarity by reference id and by number of the pictures added since;
    of the latter the first ``upto`` were looked at."""

    stored: dict[int, float]
    added: dict[int, float]
    upto: int


class Enrolled:
    """The references of a gallery, and those added since, to compare new pictures with.

    Vectors of a gallery of up to HELD references are held in memory, those of a larger one are read
    again by each call of ``near``; pictures are read where vectors are similar. The gallery must
    stay open and unchanged but for what is added here.
    """

    def __init__(self, gallery: GalleryReader | None = None, *, dim: int | None = None) -> None:
        """All of a gallery, or nothing yet for vectors of length ``dim``."""
        self._gallery = gallery
        self._skus = [sku.sku_id for sku in gallery.skus()] if gallery is not None else []
        self._held: ReferenceSet | None = None
        if gallery is not None and gallery.reference_count <= HELD:
            self._held = gallery.vectors()
        self._sku_of: dict[int, str] = {}
        self._signatures: dict[int, Signature] = {}
        self._vectors: F32 = np.zeros(
            (64, gallery.dim if gallery is not None else dim or 0), np.float32
        )
        self._added: list[tuple[str, str, Signature]] = []

    def add(self, sku_id: str, what: str, image: U8, vector: F32) -> None:
        """Compare what comes later with this picture too, called ``what``."""
        n = len(self._added)
        if n == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[n] = vector
        self._added.append((sku_id, what, signature(image)))

    def near(self, vectors: F32) -> list[Near]:
        """What is now near each of ``vectors (N, D)``, for ``twins``: quicker than one by one."""
        found = [Near({}, {}, len(self._added)) for _ in vectors]
        for block in self._blocks():
            similarity = vectors @ block.vectors.T
            for i, at in np.argwhere(similarity >= SAME_SIMILARITY).tolist():
                reference = int(block.ids[at])
                self._sku_of[reference] = self._skus[int(block.sku_index[at])]
                found[i].stored[reference] = float(similarity[i, at])
        for i, vector in enumerate(vectors):
            found[i].added.update(self._near_added(vector, 0))
        return found

    def twins(self, image: U8, vector: F32, near: Near | None = None) -> list[Twin]:
        """References that show nearly the same as ``image`` of embedding ``vector``, nearest first.

        ``near`` is what ``near`` found for it earlier; what was added since is looked at too.
        """
        known = near if near is not None else self.near(vector[None])[0]
        own = signature(image)
        found = [
            Twin(self._sku_of[reference], f"reference {reference}", similarity)
            for reference, similarity in known.stored.items()
            if same_pixels(self._signature(reference), own)
        ]
        added = {**known.added, **self._near_added(vector, known.upto)}
        for number, similarity in added.items():
            sku_id, what, other = self._added[number]
            if same_pixels(other, own):
                found.append(Twin(sku_id, what, similarity))
        return sorted(found, key=lambda twin: -twin.similarity)

    def _near_added(self, vector: F32, first: int) -> dict[int, float]:
        similarity = self._vectors[first : len(self._added)] @ vector
        rows = np.flatnonzero(similarity >= SAME_SIMILARITY).tolist()
        return {first + row: float(similarity[row]) for row in rows}

    def _blocks(self) -> Iterator[ReferenceSet]:
        if self._gallery is not None:
            yield from [self._held] if self._held is not None else self._gallery.blocks(_BLOCK)

    def _signature(self, reference: int) -> Signature:
        """Of a stored picture; those of its SKU are read with it."""
        if reference not in self._signatures and self._gallery is not None:
            for one in self._gallery.references(self._sku_of[reference]):
                what = f"{self._gallery.path}: reference {one.reference_id}"
                self._signatures[one.reference_id] = signature(decode(one.jpeg, what))
        return self._signatures[reference]


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
