"""Nearest references by cosine similarity: the one interface behind which all ways of search are."""

from __future__ import annotations

from typing import Protocol

from edge.types import F32, Neighbors

EXACT_UP_TO = 8000
"""References up to which search is exact.

Measured on two busy cores, 150 queries a frame, k = 21, clustered vectors of 24 intrinsic
dimensions, median ms of exact search and of HNSW at ef = 128, at 1,000, 4,000, 8,000 and 16,000
references: 256 dimensions: 3, 14, 32, 80 and 12, 22, 28, 72; 512 dimensions: 12, 39, 94, 131 and
20, 57, 128, 125. HNSW begins to pay between 8,000 and 16,000, and finds the same first neighbour
in all of them; exact search needs no build and no cache, and cannot miss.
"""


class Index(Protocol):
    """Nearest-neighbour search over references. Immutable; may be shared between threads."""

    @property
    def kind(self) -> str:
        """``exact``, ``hnsw`` or ``exact (hnswlib missing)``."""

    @property
    def note(self) -> str:
        """How the index came to be, for a report; empty when there is nothing to say."""

    def __len__(self) -> int:
        """The number of references."""

    def search(self, vectors: F32, k: int) -> Neighbors:
        """The k nearest references of each query ``(N, D)``, best first.

        Rows are filled up with id -1 and similarity -inf where there are fewer than k references,
        and for a query that is zero or not finite. Raises GalleryError for another dimension.
        """
